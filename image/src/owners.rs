//! The file of owners beside a layer: what is kept of symbolic links and FIFOs,
//! which carry no extended attributes of a user's.
//!
//! A record is a path, the owner, and extended attributes in hexadecimal digits, each
//! ended by NUL. [`crate::attributes::Keeper`] writes them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::kept::Kept;

/// Extended attributes.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;
/// By their paths in the layer.
type Records = HashMap<Vec<u8>, (Kept, Xattrs)>;

/// A file of owners.
pub struct Owners {
    file: PathBuf,
    records: OnceLock<Records>,
}

impl Owners {
    /// Those of a file, which is read when it is needed.
    pub fn of(file: PathBuf) -> Owners {
        Owners { file, records: OnceLock::new() }
    }

    /// What is kept of a path in the layer.
    ///
    /// # Errors
    ///
    /// A file that is malformed, or what the file system says.
    pub fn get(&self, path: &[u8]) -> Result<Option<&(Kept, Xattrs)>> {
        if self.records.get().is_none() {
            let bytes =
                std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
            let read = records(&bytes).with_context(|| format!("{} is malformed", self.file.display()))?;
            // Whoever was faster has read the same.
            let _ = self.records.set(read);
        }
        Ok(self.records.get().and_then(|records| records.get(path)))
    }
}

/// Reads the records. Of two for one path the last counts.
fn records(bytes: &[u8]) -> Result<Records> {
    let mut records = HashMap::new();
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    for record in fields.chunks_exact(3) {
        let mut xattrs = Xattrs::new();
        for text in record[2].split(|byte| *byte == b' ').filter(|text| !text.is_empty()) {
            let equals = text.iter().rposition(|byte| *byte == b'=').context("an attribute has no value")?;
            let digits = text[equals + 1..].chunks(2);
            let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
            xattrs.push((text[..equals].to_vec(), digits.map(byte).collect::<Result<_>>()?));
        }
        records.insert(record[0].to_vec(), (Kept::parse(record[1])?, xattrs));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::records;
    use crate::header::Kind;

    #[test]
    fn the_last_record_of_a_path_counts() {
        let bytes =
            b"a/l\x001:2:0777:symlink\0\0p\x003:4:01644:pipe\0trusted.a=00ff \0a/l\x005:6:0777:symlink\0\0";
        let read = records(bytes).expect("it is well formed");
        assert_eq!((read[&b"a/l"[..]].0.uid, read[&b"a/l"[..]].0.gid), (5, 6));
        let (pipe, xattrs) = &read[&b"p"[..]];
        assert_eq!((pipe.mode, pipe.kind), (0o1644, Kind::Fifo));
        assert_eq!(xattrs, &[(b"trusted.a".to_vec(), vec![0, 255])]);
        assert!(records(b"a\0nobody\0\0").is_err());
    }
}
