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
use super::entries::{self, Buffer, NAME, OFFSET, RECLEN, TYPE, put};
use super::namei::Walk;
use super::text::Text;
use super::union::{self, Listing};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::Directories;
use crate::{Answer, Errno, Instance};

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

    /// Whether the kernel's own listing of a directory may not be right, so that libc must not
    /// read it by itself.
    pub fn lists(&self, dirfd: i32) -> bool {
        let Some(Cursor { node, below }) = self.base(dirfd) else { return false };
        below == 0 && self.view.has_children(node)
            || self.view.node(node).is_some_and(view::Node::is_layered)
                && !self.is_noted_base_directory(dirfd)
    }

    /// getdents64(2)
    pub fn getdents64(&self, dirfd: i32, buf: *mut u8, size: usize) -> Answer {
        let Some(Cursor { node, below }) = self.base(dirfd) else { return Answer::Pass };
        if self.has_unions() && self.view.node(node).is_some_and(view::Node::is_layered) {
            if self.is_noted_base_directory(dirfd) {
                return Answer::Pass;
            }
            return self.list_union(dirfd, buf, size);
        }
        if below != 0 || !self.view.has_children(node) {
            return Answer::Pass;
        }
        match kernel::lseek(dirfd, 0, libc::SEEK_CUR) {
            Ok(position) => self.list_with((dirfd, position as u64), (buf, size), Some(node), None),
            Err(errno) => Answer::fail(errno),
        }
    }

    /// The same of a directory of a union.
    #[inline(never)]
    fn list_union(&self, dirfd: i32, buf: *mut u8, size: usize) -> Answer {
        let position = match kernel::lseek(dirfd, 0, libc::SEEK_CUR) {
            Ok(position) => position as u64,
            Err(errno) => return Answer::fail(errno),
        };
        if position == union::ALL_GIVEN {
            return Answer::Done(Ok(0));
        }
        let epoch = self.directories.map(Directories::epoch);
        let mut walk = Walk::new();
        match self.walk_descriptor(&mut walk, dirfd) {
            Ok(()) if walk.position.is_dir() => {}
            // The layer still has what the program has taken away.
            Err(Errno::ENOENT) if self.is_layers_own(dirfd) => return Answer::fail(Errno::ENOENT),
            _ => return Answer::Pass,
        }
        let Cursor { node, below } = walk.cursor;
        let points = (below == 0 && self.view.has_children(node)).then_some(node);
        if let Some(epoch) = epoch {
            self.note_walked(dirfd, &walk, epoch);
        }
        let Some(union) = self.union(self.view.region(node)) else { return Answer::Pass };
        let below = union.below(walk.app.bytes());
        let side = if walk.position.has_own_name() { self.side_of_descriptor(dirfd, &walk) } else { None };
        let listing = Listing::of_side(union, &walk.position, below, side);
        if points.is_none() && listing.is_native() {
            return Answer::Pass;
        }
        self.list_with((dirfd, position), (buf, size), points, Some(&listing))
    }

    fn list_with(
        &self,
        at: (i32, u64),
        (buf, size): (*mut u8, usize),
        points: Option<NodeId>,
        listing: Option<&Listing<'_, '_>>,
    ) -> Answer {
        let mut buf = Buffer::new(buf, size);
        if !buf.has_room(0) {
            // Too small to merge in; glibc and musl never are.
            return Answer::fail(Errno::EINVAL);
        }
        Answer::Done(self.merge(points, listing, at, &mut buf))
    }

    fn merge(
        &self,
        points: Option<NodeId>,
        listing: Option<&Listing<'_, '_>>,
        (dirfd, mut position): (i32, u64),
        buf: &mut Buffer,
    ) -> Result<usize, Errno> {
        let mut used = 0;
        let given =
            if position == 0 { Some(0) } else { position.checked_sub(OURS).filter(|n| *n < OURS_MAX) };
        let exists = |name: &mut Text<256>| match listing {
            Some(listing) => listing.has(name.bytes()),
            None => kernel::fstatat(dirfd, name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).is_ok(),
        };
        if let (Some(given), Some(node)) = (given, points) {
            buf.require()?;
            let mut next = given;
            for child in self.view.children(node).skip(given as usize) {
                match self.missing_entry(child, &exists, next + 1, buf.rest(used)) {
                    Ok(len) => used += len,
                    // The rest is for the next call.
                    Err(Errno::EINVAL) if used > 0 => {
                        entries::seek(dirfd, OURS + next)?;
                        return Ok(used);
                    }
                    Err(errno) => return Err(errno),
                }
                next += 1;
            }
            // The host's own follow, from their beginning.
            if position != 0 {
                position = entries::seek(dirfd, 0)? as u64;
            }
            if used > 0 && !buf.has_room(used) {
                entries::seek(dirfd, OURS + next)?;
                return Ok(used);
            }
        }
        loop {
            let len = match listing {
                Some(listing) => listing.read((dirfd, position), buf, used)?,
                None => buf.fill(dirfd, used)?,
            };
            let kept = points.map_or(len, |node| self.drop_hidden(node, buf.bytes(used, used + len)));
            if len == 0 || used + kept > 0 {
                return Ok(used + kept);
            }
            if listing.is_some() {
                position = kernel::lseek(dirfd, 0, libc::SEEK_CUR)? as u64;
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
        entries::retain(entries, |entry| {
            self.view.child(node, entry.name()).is_none_or(|child| {
                !self.view.is_mount_point(child)
                    || self.view.mount(self.view.region(child)).kind != Kind::Hidden
            })
        })
    }
}
