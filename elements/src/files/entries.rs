//! The entries that getdents64(2) gives, and the buffer that they are in.
//!
//! The buffer is the program's, so it may not be writable. The kernel finds that out when it
//! fills it, and nothing else is read or written than what the kernel has filled.

use crate::kernel;
use crate::{Errno, user};

/// Offsets in `struct linux_dirent64`, see getdents64(2).
pub(super) const RECLEN: usize = 16;
pub(super) const TYPE: usize = 18;
pub(super) const NAME: usize = 19;
pub(super) const OFFSET: usize = 8;

/// What the longest entry takes.
pub(super) const ENTRY_MAX: usize = (NAME + 256).next_multiple_of(8);

/// A program's buffer.
pub(super) struct Buffer {
    start: *mut u8,
    size: usize,
    /// How many of its bytes are known to be writable.
    known: usize,
}

impl Buffer {
    /// Of `size` bytes. The kernel takes no more than an `int` of them.
    pub fn new(start: *mut u8, size: usize) -> Buffer {
        Buffer { start, size: size.min(i32::MAX as usize), known: 0 }
    }

    /// Sees to it that all of it can be written.
    ///
    /// # Errors
    ///
    /// `EFAULT`
    pub fn require(&mut self) -> Result<(), Errno> {
        if self.known < self.size && !user::is_writable(self.start, self.size) {
            return Err(Errno::EFAULT);
        }
        self.known = self.size;
        Ok(())
    }

    /// Whether the longest entry fits in behind `used` bytes.
    pub fn has_room(&self, used: usize) -> bool {
        used.saturating_add(ENTRY_MAX) <= self.size
    }

    /// Has the kernel put a directory's next entries in behind `used` bytes, and gives how many
    /// bytes they are.
    ///
    /// # Errors
    ///
    /// As getdents64(2).
    pub fn fill(&mut self, dirfd: i32, used: usize) -> Result<usize, Errno> {
        let used = used.min(self.size);
        // SAFETY: the kernel finds out itself whether it can write there.
        let len = unsafe { kernel::getdents64_at(dirfd, self.start.wrapping_add(used), self.size - used) }?;
        self.known = self.known.max(used + len);
        Ok(len)
    }

    /// What has been filled, from a byte to another one.
    pub fn bytes(&mut self, from: usize, to: usize) -> &mut [u8] {
        let to = to.min(self.known);
        let from = from.min(to);
        // SAFETY: the kernel has written there, or found that it could.
        unsafe { core::slice::from_raw_parts_mut(self.start.wrapping_add(from), to - from) }
    }

    /// The rest, if all of it has been required.
    pub fn rest(&mut self, from: usize) -> &mut [u8] {
        self.bytes(from, self.size)
    }
}

/// An entry of a listing.
pub(super) struct Record<'e> {
    /// Its name.
    pub name: &'e [u8],
    /// The position after it.
    pub offset: u64,
    /// Its inode's number.
    pub inode: u64,
    /// What kind of file it is (`DT_REG` and the like).
    pub kind: u8,
}

/// An entry of a listing, to be changed.
pub(super) struct Entry<'e>(&'e mut [u8]);

impl Entry<'_> {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        name_of(self.0)
    }

    /// Its inode's number.
    pub fn inode(&self) -> u64 {
        self.0.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    }

    /// What kind of file it is (`DT_REG` and the like).
    pub fn kind(&self) -> u8 {
        self.0.get(TYPE).copied().unwrap_or(libc::DT_UNKNOWN)
    }

    /// Says another inode and kind.
    pub fn set(&mut self, inode: u64, kind: u8) {
        put(self.0, 0, &inode.to_ne_bytes());
        put(self.0, TYPE, &[kind]);
    }
}

fn name_of(entry: &[u8]) -> &[u8] {
    // Its end is among the last eight bytes: entries are no longer than they need be.
    let tail = entry.len().saturating_sub(8).max(NAME);
    let end = entry.get(tail..).and_then(|bytes| bytes.iter().position(|byte| *byte == 0));
    entry.get(NAME..end.map_or(entry.len(), |end| tail + end)).unwrap_or(&[])
}

/// The entry at an offset: its length, the position after it, and its name.
pub(super) fn record_at(entries: &[u8], at: usize) -> Option<(usize, u64, &[u8])> {
    let len = record_length(entries, at)?;
    let entry = entries.get(at..at + len)?;
    let offset = entry.get(OFFSET..OFFSET + 8)?.try_into().ok().map(u64::from_ne_bytes)?;
    Some((len, offset, name_of(entry)))
}

/// The entries that getdents64(2) has given.
pub(super) fn records(entries: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let (len, offset, name) = record_at(entries, at)?;
        let inode = entries.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)?;
        let kind = *entries.get(at + TYPE)?;
        at += len;
        Some(Record { name, offset, inode, kind })
    })
}

/// Sets the position after the entry at an offset.
pub(super) fn set_offset(entries: &mut [u8], at: usize, position: u64) {
    put(entries, at + OFFSET, &position.to_ne_bytes());
}

/// Closes the gaps of entries that are not kept, and gives how many bytes are left.
pub(super) fn retain(entries: &mut [u8], mut keeps: impl FnMut(&mut Entry<'_>) -> bool) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(len) = record_length(entries, from) {
        let kept = entries.get_mut(from..from + len).is_some_and(|entry| keeps(&mut Entry(entry)));
        if kept {
            if from != to {
                entries.copy_within(from..from + len, to);
            }
            to += len;
        }
        from += len;
    }
    to
}

/// Goes to a position of a directory.
pub(super) fn seek(dirfd: i32, position: u64) -> Result<usize, Errno> {
    kernel::lseek(dirfd, position as i64, libc::SEEK_SET)
}

fn record_length(entries: &[u8], at: usize) -> Option<usize> {
    let bytes = entries.get(at + RECLEN..at + RECLEN + 2)?;
    let len = usize::from(u16::from_ne_bytes(bytes.try_into().ok()?));
    (len > NAME && at + len <= entries.len()).then_some(len)
}

/// Writes bytes into an entry.
pub(super) fn put(entry: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = entry.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}
