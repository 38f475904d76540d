//! Extended headers: what they say wins over the header that follows.

use anyhow::{Context, Result, bail};

/// What extended headers have said.
#[derive(Clone, Debug, Default)]
pub struct Pax {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Takes in the records of one header. Of two with one key the last one
    /// counts, except for the pairs of GNU's first sparse format.
    ///
    /// # Errors
    ///
    /// Records that are malformed.
    pub fn take_in(&mut self, mut body: &[u8]) -> Result<()> {
        while !body.is_empty() && body[0] != 0 {
            let space = body.iter().take(20).position(|byte| *byte == b' ');
            let space = space.context("an extended header's record has no length")?;
            let length = decimal(&body[..space]).context("an extended header's length")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length <= space + 1 || length > body.len() || body[length - 1] != b'\n' {
                bail!(
                    "an extended header's record of {length} bytes does not end in a newline within the header"
                )
            }
            let record = &body[space + 1..length - 1];
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.context("an extended header's record has no `=`")?;
            self.set(&record[..equals], &record[equals + 1..]);
            body = &body[length..];
        }
        if body.iter().any(|byte| *byte != 0) {
            bail!("an extended header goes on after its records")
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        if !matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            self.records.retain(|(known, _)| known != key);
        }
        self.records.push((key.to_vec(), value.to_vec()));
    }

    /// A value; one that is empty takes back what a global header said.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(known, _)| known == key.as_bytes());
        found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// A value that is none.
    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        self.get(key).map(decimal).transpose().with_context(|| format!("the extended header's `{key}`"))
    }

    /// A time: seconds, and nanoseconds after them.
    ///
    /// # Errors
    ///
    /// A value that is none.
    pub fn time(&self, key: &str) -> Result<Option<(i64, u32)>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let wrong =
            || format!("the extended header's `{key}` is no time: {:?}", String::from_utf8_lossy(text));
        let text = std::str::from_utf8(text).with_context(wrong)?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let negative = whole.starts_with('-');
        let whole: i64 = whole.parse().with_context(wrong)?;
        let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            bail!(wrong())
        }
        let nanos: u32 = digits.parse().with_context(wrong)?;
        Ok(Some(match nanos {
            0 => (whole, 0),
            _ if negative => (whole.checked_sub(1).with_context(wrong)?, 1_000_000_000 - nanos),
            _ => (whole, nanos),
        }))
    }

    /// Extended attributes.
    pub fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.records
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(b"SCHILY.xattr.")?, value.as_slice())))
    }

    /// The pairs of GNU's sparse formats 0.0 and 0.1.
    ///
    /// # Errors
    ///
    /// Values that are no numbers, or have no partner.
    pub fn pieces(&self) -> Result<Vec<(u64, u64)>> {
        let mut numbers = Vec::new();
        if let Some(map) = self.get("GNU.sparse.map") {
            for number in map.split(|byte| *byte == b',') {
                numbers.push(decimal(number).context("the extended header's `GNU.sparse.map`")?);
            }
        } else {
            for (key, value) in &self.records {
                let expected =
                    if numbers.len() % 2 == 0 { "GNU.sparse.offset" } else { "GNU.sparse.numbytes" };
                if key == expected.as_bytes() {
                    numbers
                        .push(decimal(value).with_context(|| format!("the extended header's `{expected}`"))?);
                } else if matches!(key.as_slice(), b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                    bail!("the extended header's sparse map has an offset without a length")
                }
            }
        }
        if numbers.len() % 2 != 0 {
            bail!("the extended header's sparse map has an offset without a length")
        }
        Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    /// What these say, over what global ones said.
    pub fn over(&self, global: &Pax) -> Pax {
        let mut both = global.clone();
        for (key, value) in &self.records {
            both.set(key, value);
        }
        both
    }
}

/// A number in plain digits.
///
/// # Errors
///
/// Anything else.
pub fn decimal(text: &[u8]) -> Result<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.with_context(|| format!("{:?} is no number", String::from_utf8_lossy(text)))
}
