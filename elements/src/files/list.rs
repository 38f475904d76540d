//! Listing a directory that mount points lie in: getdents64(2).
//!
//! The host's directory does not know of a mount point that does not exist on
//! the host, and does know of one that is hidden. So the entries that are
//! missing are given first, when the position is still 0 (a directory always
//! has `.` and `..` to move it on), and hidden ones are taken out. Nothing is
//! kept between calls: the kernel's position is all the state there is. While
//! ours are given, it is a number that no file system uses for its own.

use view::{Kind, NodeId};

use super::base::Cursor;
use super::namei::Walk;
use super::text::Text;
use super::union::Listing;
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance};

/// Offsets in `struct linux_dirent64`, see getdents64(2).
const RECLEN: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;
const OFFSET: usize = 8;

/// The position at which the first of our entries is next; the others follow.
const OURS: u64 = 0x4c41_554e_0000_0000;
/// More entries than a view can have.
const OURS_MAX: u64 = 1 << 32;

impl Instance<'_> {
    /// The node of a directory whose listing the host does not know whole.
    pub fn boundary(&self, dirfd: i32) -> Option<NodeId> {
        let Cursor { node, below } = self.base(dirfd)?;
        (below == 0 && self.view.has_children(node)).then_some(node)
    }

    /// getdents64(2)
    pub fn getdents64(&self, dirfd: i32, buf: *mut u8, size: usize) -> Answer {
        let Some(Cursor { node, below }) = self.base(dirfd) else { return Answer::Pass };
        if self.has_unions() && self.view.node(node).is_some_and(view::Node::is_layered) {
            if self.is_base_directory(dirfd) {
                return Answer::Pass;
            }
            return self.list_union(dirfd, buf, size);
        }
        if below != 0 || !self.view.has_children(node) {
            return Answer::Pass;
        }
        self.list_with(dirfd, (buf, size), Some(node), None)
    }

    /// The same of a directory of a union.
    #[inline(never)]
    fn list_union(&self, dirfd: i32, buf: *mut u8, size: usize) -> Answer {
        let mut walk = Walk::new();
        if self.walk_descriptor(&mut walk, dirfd).is_err() || !walk.position.is_dir() {
            return Answer::Pass;
        }
        let Cursor { node, below } = walk.cursor;
        let points = (below == 0 && self.view.has_children(node)).then_some(node);
        let Some(union) = self.union(self.view.region(node)) else { return Answer::Pass };
        let listing = Listing::new(union, &walk.position, union.below(walk.app.bytes()));
        if points.is_none() && listing.is_native() {
            return Answer::Pass;
        }
        self.list_with(dirfd, (buf, size), points, Some(&listing))
    }

    fn list_with(
        &self,
        dirfd: i32,
        (buf, size): (*mut u8, usize),
        points: Option<NodeId>,
        listing: Option<&Listing<'_, '_>>,
    ) -> Answer {
        if size < NAME + 256 {
            // Too small to merge in; glibc and musl never are.
            return Answer::fail(Errno::EINVAL);
        }
        if !crate::user::is_writable(buf, size) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: the program's buffer, found writable.
        let buf = unsafe { core::slice::from_raw_parts_mut(buf, size) };
        Answer::Done(self.merge(points, listing, dirfd, buf))
    }

    fn merge(
        &self,
        points: Option<NodeId>,
        listing: Option<&Listing<'_, '_>>,
        dirfd: i32,
        buf: &mut [u8],
    ) -> Result<usize, Errno> {
        let mut used = 0;
        let position = kernel::lseek(dirfd, 0, libc::SEEK_CUR)? as u64;
        let given =
            if position == 0 { Some(0) } else { position.checked_sub(OURS).filter(|n| *n < OURS_MAX) };
        let exists = |name: &mut Text<256>| match listing {
            Some(listing) => listing.has(name.bytes()),
            None => kernel::fstatat(dirfd, name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).is_ok(),
        };
        if let (Some(given), Some(node)) = (given, points) {
            let mut next = given;
            for child in self.view.children(node).skip(given as usize) {
                match self.missing_entry(child, &exists, next + 1, buf.get_mut(used..).unwrap_or(&mut [])) {
                    Ok(len) => used += len,
                    // The rest is for the next call.
                    Err(Errno::EINVAL) if used > 0 => {
                        seek(dirfd, OURS + next)?;
                        return Ok(used);
                    }
                    Err(errno) => return Err(errno),
                }
                next += 1;
            }
            // The host's own follow, from their beginning.
            if position != 0 {
                seek(dirfd, 0)?;
            }
            if used > 0 && buf.len() - used < NAME + 256 {
                seek(dirfd, OURS + next)?;
                return Ok(used);
            }
        }
        loop {
            let room = buf.get_mut(used..).unwrap_or(&mut []);
            let len = match listing {
                Some(listing) => listing.read(dirfd, room)?,
                None => kernel::getdents64(dirfd, room)?,
            };
            let entries = room.get_mut(..len).unwrap_or(&mut []);
            let kept = points.map_or(len, |node| self.drop_hidden(node, entries));
            if len == 0 || used + kept > 0 {
                return Ok(used + kept);
            }
        }
    }

    /// Writes an entry for a child that is seen but has no name on the host.
    /// `next` is the number of the one that follows it.
    fn missing_entry(
        &self,
        child: NodeId,
        exists: &dyn Fn(&mut Text<256>) -> bool,
        next: u64,
        room: &mut [u8],
    ) -> Result<usize, Errno> {
        let mount = self.view.mount(self.view.region(child));
        let shown = self.view.is_mount_point(child) && !matches!(mount.kind, Kind::Hidden | Kind::Link);
        let mut name = Text::<256>::new();
        name.push(self.view.name_of(child))?;
        if !shown || exists(&mut name) {
            return Ok(0);
        }
        let mut source = super::Scratch::new();
        source.push(mount.source)?;
        let inode =
            kernel::fstatat(AT_FDCWD, source.as_ptr(), 0).map_or(u64::from(child.0) + 1, |s| s.st_ino);
        let len = (NAME + name.len() + 1).next_multiple_of(8);
        let entry = room.get_mut(..len).ok_or(Errno::EINVAL)?;
        entry.fill(0);
        let kind = if mount.is_dir { libc::DT_DIR } else { libc::DT_REG };
        put(entry, 0, &inode.to_ne_bytes());
        put(entry, OFFSET, &(OURS + next).to_ne_bytes());
        put(entry, RECLEN, &(len as u16).to_ne_bytes());
        put(entry, TYPE, &[kind]);
        put(entry, NAME, name.bytes());
        Ok(len)
    }

    /// Takes hidden names out, and gives how many bytes are left.
    fn drop_hidden(&self, node: NodeId, entries: &mut [u8]) -> usize {
        retain(entries, |entry| {
            self.view.child(node, entry.name()).is_none_or(|child| {
                !self.view.is_mount_point(child)
                    || self.view.mount(self.view.region(child)).kind != Kind::Hidden
            })
        })
    }
}

/// An entry of a listing.
pub(super) struct Record<'e> {
    /// Its name.
    pub name: &'e [u8],
    /// The position after it.
    pub offset: u64,
}

/// An entry of a listing, to be changed.
pub(super) struct Entry<'e>(&'e mut [u8]);

impl Entry<'_> {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        name_of(self.0)
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
    let name = entry.get(NAME..).unwrap_or(&[]);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.get(..end).unwrap_or(&[])
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
        at += len;
        Some(Record { name, offset })
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
            entries.copy_within(from..from + len, to);
            to += len;
        }
        from += len;
    }
    to
}

pub(super) fn seek(dirfd: i32, position: u64) -> Result<usize, Errno> {
    kernel::lseek(dirfd, position as i64, libc::SEEK_SET)
}

fn record_length(entries: &[u8], at: usize) -> Option<usize> {
    let bytes = entries.get(at + RECLEN..at + RECLEN + 2)?;
    let len = usize::from(u16::from_ne_bytes(bytes.try_into().ok()?));
    (len > NAME && at + len <= entries.len()).then_some(len)
}

fn put(entry: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = entry.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}
