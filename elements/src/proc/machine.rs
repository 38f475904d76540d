//! The files of /proc that tell how many processors and how much memory there are:
//! cpuinfo, stat and meminfo, as they would be on the policy's machine.
//!
//! The kernel's own text is taken, and what does not fit is taken out or put
//! in: a processor too many, a share of memory.

use crate::Errno;
use crate::identity::Scale;

/// Which file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// /proc/cpuinfo
    Cpuinfo,
    /// /proc/stat
    Stat,
    /// /proc/meminfo
    Meminfo,
}

impl File {
    /// Which one a path's last component may be.
    pub fn named(path: &[u8]) -> Option<File> {
        match path.rsplit(|byte| *byte == b'/').next()? {
            b"cpuinfo" => Some(File::Cpuinfo),
            b"stat" => Some(File::Stat),
            b"meminfo" => Some(File::Meminfo),
            _ => None,
        }
    }

    /// Which one a canonical path is.
    pub fn at(path: &[u8]) -> Option<File> {
        let name = path.strip_prefix(b"/proc/")?;
        if name.contains(&b'/') { None } else { File::named(path) }
    }
}

/// Where the parts of a text go.
pub type Put<'p> = &'p mut dyn FnMut(&[u8]) -> Result<(), Errno>;

/// The lines of a text, with their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn decimal(number: u64, put: Put<'_>) -> Result<(), Errno> {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 {
            return put(digits.get(at..).unwrap_or(&[]));
        }
    }
}

/// The number that a text begins with, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some((value, rest))
}

/// /proc/cpuinfo with so many processors: where there are more than the host has, they are like
/// the host's, one after another.
///
/// # Errors
///
/// Those of `put`.
pub fn cpuinfo(text: &[u8], cpus: u32, put: Put<'_>) -> Result<(), Errno> {
    let blocks = || {
        // A block ends with an empty line.
        let mut rest = text;
        core::iter::from_fn(move || {
            let end = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at + 2);
            let (block, after) = rest.split_at(end);
            rest = after;
            (!block.is_empty()).then_some(block)
        })
    };
    let count = blocks().filter(|block| block.starts_with(b"processor")).count();
    if count == 0 {
        return put(text);
    }
    for cpu in 0..cpus {
        let Some(block) = blocks().nth(cpu as usize % count) else { continue };
        for line in lines(block) {
            let value = line.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 2);
            let (key, _) = line.split_at(value.min(line.len()));
            let shown = match key.trim_ascii_end() {
                b"processor\t:" => Some(u64::from(cpu)),
                key if key.starts_with(b"siblings") || key.starts_with(b"cpu cores") => Some(u64::from(cpus)),
                key if key.starts_with(b"core id")
                    || key.starts_with(b"apicid")
                    || key.starts_with(b"initial apicid") =>
                {
                    Some(u64::from(cpu))
                }
                key if key.starts_with(b"physical id") => Some(0),
                _ => None,
            };
            match shown {
                Some(shown) => {
                    put(key)?;
                    decimal(shown, put)?;
                    put(b"\n")?;
                }
                None => put(line)?,
            }
        }
    }
    Ok(())
}

/// /proc/stat with so many processors, if not 0, and for a machine that was booted then: the sums stay the host's, and what each of the host's
/// does counts for those that stand for it.
///
/// # Errors
///
/// Those of `put`.
pub fn stat(text: &[u8], cpus: u32, booted: Option<u64>, put: Put<'_>) -> Result<(), Errno> {
    let of_one = |line: &&[u8]| {
        line.strip_prefix(b"cpu").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
    };
    let count = lines(text).filter(of_one).count();
    let mut is_done = false;
    for line in lines(text) {
        if let (Some(booted), true) = (booted, line.starts_with(b"btime ")) {
            put(b"btime ")?;
            decimal(booted, put)?;
            put(b"\n")?;
            continue;
        }
        if cpus == 0 || !of_one(&line) {
            put(line)?;
            continue;
        }
        if is_done {
            continue;
        }
        is_done = true;
        for cpu in 0..cpus {
            let Some(line) = lines(text).filter(of_one).nth(cpu as usize % count) else { continue };
            let rest = line.iter().position(|byte| *byte == b' ').and_then(|space| line.get(space..));
            put(b"cpu")?;
            decimal(u64::from(cpu), put)?;
            put(rest.unwrap_or(b"\n"))?;
        }
    }
    Ok(())
}

/// All memory, as /proc/meminfo says it: in KiB.
pub fn total(text: &[u8]) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(b"MemTotal:"))?;
    number(line.trim_ascii_start()).map(|(value, _)| value)
}

/// The lines of /proc/meminfo that are no part of memory.
const APART: [&[u8]; 8] = [
    b"Swap",
    b"Vmalloc",
    b"HugePages",
    b"Hugepagesize",
    b"Hugetlb",
    b"DirectMap",
    b"CommitLimit",
    b"Hardware",
];

/// /proc/meminfo for a machine with other memory: each figure is its share.
///
/// # Errors
///
/// Those of `put`.
pub fn meminfo(text: &[u8], scale: &Scale, put: Put<'_>) -> Result<(), Errno> {
    for line in lines(text) {
        let is_apart = APART.iter().any(|apart| line.starts_with(apart)) && !line.starts_with(b"SwapCached");
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let after = line.get(colon..).unwrap_or(&[]);
        let figure = after.iter().position(u8::is_ascii_digit).filter(|_| !is_apart).map(|at| colon + at);
        let parts = figure.and_then(|at| number(line.get(at..)?));
        let Some((value, rest)) = parts else {
            put(line)?;
            continue;
        };
        // Names and figures stand in columns of 16 and 8.
        let scaled = scale.of(value);
        let mut width = 1;
        let mut left = scaled / 10;
        while left > 0 {
            width += 1;
            left /= 10;
        }
        let column = line.len() - rest.len();
        put(line.get(..=colon).unwrap_or(&[]))?;
        for _ in colon + 1..column.saturating_sub(width).max(colon + 2) {
            put(b" ")?;
        }
        decimal(scaled, put)?;
        put(rest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(make: impl FnOnce(Put<'_>) -> Result<(), Errno>) -> String {
        let mut out = Vec::new();
        make(&mut |part| {
            out.extend_from_slice(part);
            Ok(())
        })
        .expect("nothing fails");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn there_are_as_many_processors_as_are_asked_for() {
        let text = b"processor\t: 0\nmodel name\t: A\nsiblings\t: 2\ncore id\t\t: 0\n\nprocessor\t: 1\nmodel name\t: B\nsiblings\t: 2\ncore id\t\t: 1\n\n";
        let block = |cpu: u32, name: &str, all: u32| {
            format!("processor\t: {cpu}\nmodel name\t: {name}\nsiblings\t: {all}\ncore id\t\t: {cpu}\n\n")
        };
        assert_eq!(shown(|put| cpuinfo(text, 1, put)), block(0, "A", 1));
        assert_eq!(
            shown(|put| cpuinfo(text, 3, put)),
            block(0, "A", 3) + &block(1, "B", 3) + &block(2, "A", 3)
        );
        assert_eq!(shown(|put| cpuinfo(b"none\n", 3, put)), "none\n");
        let text = b"cpu  3 4\ncpu0 1 2\ncpu1 2 2\nintr 7\n";
        assert_eq!(shown(|put| stat(text, 1, None, put)), "cpu  3 4\ncpu0 1 2\nintr 7\n");
        assert_eq!(shown(|put| stat(b"cpu0 1\nbtime 7\n", 0, Some(5), put)), "cpu0 1\nbtime 5\n");
        assert_eq!(shown(|put| stat(text, 3, None, put)), "cpu  3 4\ncpu0 1 2\ncpu1 2 2\ncpu2 1 2\nintr 7\n");
    }

    #[test]
    fn memory_is_told_by_its_share() {
        let text = b"MemTotal:       24684084 kB\nMemFree:        12342042 kB\nSwapTotal:          1000 kB\nHugePages_Total:       8\n";
        let scale = Scale { host: 24_684_084, told: 1024 };
        let expected = "MemTotal:           1024 kB\nMemFree:             512 kB\nSwapTotal:          1000 kB\nHugePages_Total:       8\n";
        assert_eq!(shown(|put| meminfo(text, &scale, put)), expected);
    }
}
