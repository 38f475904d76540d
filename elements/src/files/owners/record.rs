//! The text of a record: `uid:gid:mode:type`, as fuse-overlayfs writes and reads it.

use core::ffi::CStr;

use super::super::text::Text;
use crate::shared::owners::Record;
use crate::{Errno, user};

/// The attribute that holds it.
pub(crate) const OVERRIDE: &CStr = c"user.containers.override_stat";

/// Whether a string of the program's names it.
pub(crate) fn is_override(name: *const u8) -> bool {
    // SAFETY: read only where found readable.
    user::is_string(name) && unsafe { CStr::from_ptr(name.cast()) } == OVERRIDE
}

fn number(text: &[u8], base: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |sum, digit| {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        if digit >= base { None } else { sum.checked_mul(base)?.checked_add(digit) }
    })
}

/// Reads a record; the type may be left out. None: it is none.
pub(super) fn parse(text: &[u8]) -> Option<Record> {
    let mut parts = text.split(|byte| *byte == b':');
    let uid = number(parts.next()?, 10)?;
    let gid = number(parts.next()?, 10)?;
    let mode = number(parts.next()?, 8)? & 0o7777;
    let mut words = parts.next().unwrap_or(b"file").split(|byte| *byte == b'-');
    let device = match words.next()? {
        b"char" => libc::S_IFCHR,
        b"block" => libc::S_IFBLK,
        _ => 0,
    };
    let mut word = || words.next().map_or(Some(0), |word| number(word, 10));
    let (major, minor) = (word()?, word()?);
    Some(Record { uid, gid, mode, device, number: libc::makedev(major, minor) as u32 })
}

/// Writes it. `kind` is the file's own.
pub(super) fn write(record: &Record, kind: u32, text: &mut Text<128>) -> Result<(), Errno> {
    text.push_decimal(record.uid)?;
    text.push(b":")?;
    text.push_decimal(record.gid)?;
    text.push(b":0")?;
    for shift in [9, 6, 3, 0] {
        text.push(&[b'0' + (record.mode >> shift & 7) as u8])?;
    }
    text.push(b":")?;
    let number = u64::from(record.number);
    match (record.device, kind) {
        (0, libc::S_IFDIR) => text.push(b"dir"),
        (0, _) => text.push(b"file"),
        (device, _) => {
            text.push(if device == libc::S_IFCHR { b"char-" } else { b"block-" })?;
            text.push_decimal(libc::major(number))?;
            text.push(b"-")?;
            text.push_decimal(libc::minor(number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let plain = Record { uid: 33, gid: 44, mode: 0o4755, device: 0, number: 0 };
        let device = Record {
            uid: 0,
            gid: u32::MAX - 1,
            mode: 0o600,
            device: libc::S_IFBLK,
            number: libc::makedev(8, 300) as u32,
        };
        for (record, kind, expected) in [
            (plain, libc::S_IFREG, "33:44:04755:file"),
            (plain, libc::S_IFDIR, "33:44:04755:dir"),
            (device, libc::S_IFREG, "0:4294967294:00600:block-8-300"),
        ] {
            let mut text = Text::new();
            write(&record, kind, &mut text).expect("there is room");
            assert_eq!(text.bytes(), expected.as_bytes());
            assert_eq!(parse(text.bytes()), Some(record));
        }
        assert_eq!(
            parse(b"1:2:0644").map(|record| (record.uid, record.gid, record.mode)),
            Some((1, 2, 0o644))
        );
        for wrong in ["", "1:2", "a:2:644", "1:2:888", "1:4294967296:644:file"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
