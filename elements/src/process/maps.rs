//! Reading /proc/PID/maps, see proc_pid_maps(5).

use crate::Errno;
use crate::files::MAX_PATH;
use crate::kernel;
use crate::shared::{key_below, path_hash};

/// A line: one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'m> {
    /// Its first byte.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
    /// `rwxp`, each a dash where it is not so.
    pub rights: &'m [u8],
    /// Where in the file it begins.
    pub offset: u64,
    /// The file's device and inode number, in the words of the line; zeros where it is anonymous.
    pub inode: (&'m [u8], &'m [u8]),
    /// The file's path; empty where it is anonymous.
    pub file: &'m [u8],
}

impl Mapping<'_> {
    /// Whether it is the next part of what `before` begins: of the same file, with the same rights.
    pub fn goes_on_from(&self, before: &Mapping<'_>) -> bool {
        let len = before.end.wrapping_sub(before.start);
        (self.start, self.offset) == (before.end, before.offset.wrapping_add(len))
            && (self.rights, self.inode, self.file) == (before.rights, before.inode, before.file)
    }

    /// Whether an address lies in it.
    pub fn holds(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Reads a line.
pub fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let number = |digits: &[u8]| u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok();
    let mut words = line.splitn(6, |byte| *byte == b' ');
    let range = words.next()?;
    let rights = words.next()?;
    let offset = number(words.next()?)?;
    let inode = (words.next()?, words.next()?);
    let dash = range.iter().position(|byte| *byte == b'-')?;
    // Other names are in brackets.
    let name = words.next().unwrap_or(&[]).trim_ascii_start();
    Some(Mapping {
        start: number(range.get(..dash)?)?,
        end: number(range.get(dash + 1..)?)?,
        rights,
        offset,
        inode,
        file: if name.first() == Some(&b'/') { name } else { &[] },
    })
}

/// Finds the mapping that an address lies in. `path` is that of a `maps` file.
///
/// # Errors
///
/// Those of reading it; `ESRCH` where there is no such mapping, and what `found` says.
pub fn find<T>(
    path: *const u8,
    address: u64,
    found: impl FnOnce(Mapping<'_>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let file = kernel::open_at_once(path)?;
    let mut text = [0_u8; 2 * MAX_PATH];
    let mut held = 0;
    let answer = loop {
        match kernel::read(file, text.get_mut(held..).unwrap_or(&mut [])) {
            Ok(0) => break Err(Errno::ESRCH),
            Err(errno) => break Err(errno),
            Ok(more) => held += more,
        }
        let lines = text.get(..held).unwrap_or(&[]);
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut whole = lines.get(..end).unwrap_or(&[]).split(|byte| *byte == b'\n').filter_map(parse);
        if let Some(mapping) = whole.find(|mapping| mapping.holds(address)) {
            break found(mapping);
        }
        text.copy_within(end..held, 0);
        held -= end;
    };
    kernel::close(file);
    answer
}

/// `struct procmap_query` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    rights: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// `PROCMAP_QUERY`: one mapping by its address, since Linux 6.11.
const QUERY: usize = 0xc068_6611;
const OF_A_FILE: u64 = 0x20;
const READABLE: u64 = 1;
const EXECUTABLE: u64 = 4;

/// A mapping of a file's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its first byte.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// What the file is known by: a hash of its device and inode number.
    pub file: u32,
}

/// What a file is known by, with this device and inode number.
pub fn file_of(device: (u32, u32), inode: u64) -> u32 {
    let device = u64::from(device.0) << 32 | u64::from(device.1);
    key_below(path_hash(&device.to_ne_bytes()), &inode.to_ne_bytes()) as u32
}

/// The mapping that an address lies in, if that is a file's code which nobody may write to.
///
/// # Errors
///
/// `EINVAL` where it is something else, `ENOENT` or `ESRCH` where there is nothing.
pub fn code_at(address: u64) -> Result<Code, Errno> {
    let path = c"/proc/self/maps".as_ptr().cast();
    let mut query = Query { size: size_of::<Query>() as u64, flags: OF_A_FILE, address, ..Query::default() };
    let file = kernel::open_at_once(path)?;
    let args = [file as usize, QUERY, &raw mut query as usize, 0, 0, 0];
    // SAFETY: the kernel reads and fills the struct.
    let asked = unsafe { kernel::syscall(libc::SYS_ioctl, args) };
    kernel::close(file);
    match asked {
        Ok(_) if query.rights == READABLE | EXECUTABLE => {
            let Query { start, end, offset, inode, device: [major, minor], .. } = query;
            Ok(Code { start, end, offset, file: file_of((major, minor), inode) })
        }
        Ok(_) => Err(Errno::EINVAL),
        // An older kernel.
        Err(Errno::ENOTTY) => find(path, address, |mapping| {
            let is_code = mapping.rights == b"r-xp" && !mapping.file.is_empty();
            let Mapping { start, end, offset, inode: (device, inode), .. } = mapping;
            let file = key_below(path_hash(device), inode) as u32;
            if is_code { Ok(Code { start, end, offset, file }) } else { Err(Errno::EINVAL) }
        }),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_range_its_rights_and_its_file() {
        let line = b"7f00-7f10 r-xp 00001000 fe:00 99                 /usr/lib/a b.so";
        let mapping = Mapping {
            start: 0x7f00,
            end: 0x7f10,
            rights: b"r-xp",
            offset: 0x1000,
            inode: (b"fe:00", b"99"),
            file: b"/usr/lib/a b.so",
        };
        assert_eq!(parse(line), Some(mapping));
        assert!(mapping.holds(0x7f0f) && !mapping.holds(0x7f10));
        assert_eq!(parse(b"1-2 rw-p 0 0:0 0").map(|m| m.file), Some(&b""[..]));
        assert_eq!(parse(b"1-2 rw-p 0 0:0 0      [anon:a/b]").map(|m| m.file), Some(&b""[..]));
        assert_eq!(parse(b"no line"), None);
    }
}
