//! What a header of a tar archive says, and the numbers and names in it.

use anyhow::{Context, Result, bail};

/// The size of a header, and what all else is padded to.
pub const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// One more name of a file.
    HardLink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A FIFO.
    Fifo,
}

/// Offsets and lengths of what is stored of a sparse file.
pub type Pieces = Vec<(u64, u64)>;

/// An entry, all but its bytes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, as the archive spells it.
    pub name: Vec<u8>,
    /// What a link leads to.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds and nanoseconds of the last change.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The size of the file, holes and all.
    pub size: u64,
    /// Offsets and lengths of what is stored; the rest are holes.
    pub pieces: Option<Pieces>,
}

impl Entry {
    /// An entry of root's without bytes, attributes or a time.
    pub fn plain(name: Vec<u8>, kind: Kind, mode: u32) -> Entry {
        Entry {
            name,
            link: Vec::new(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            size: 0,
            pieces: None,
        }
    }
}

/// A field up to its first NUL.
pub fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

/// The name in a header; POSIX's has its beginning in a field of its own.
pub fn header_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { b"" };
    let name = text(&block[..100]);
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// A number in octal, or in GNU's binary form.
///
/// # Errors
///
/// What is neither, or out of range.
pub fn number(field: &[u8]) -> Result<i64> {
    let first = field[0];
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
            value = value << 8 | i128::from(byte);
            if at < field.len() - 1 && (value > i128::from(i64::MAX) || value < i128::from(i64::MIN)) {
                bail!("a binary number is out of range")
            }
        }
        return i64::try_from(value).context("a binary number is out of range");
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Ok(0);
    }
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    let number = number.and_then(|digits| i64::from_str_radix(digits, 8).ok());
    number.with_context(|| format!("{:?} is no octal number", String::from_utf8_lossy(digits)))
}

/// A name as it can be shown on a terminal.
pub fn spelled(name: &[u8]) -> String {
    let shown = name.get(..120).unwrap_or(name).escape_ascii();
    format!("`{shown}{}`", if name.len() > 120 { "…" } else { "" })
}
