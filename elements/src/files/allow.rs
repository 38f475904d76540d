//! What a mount does not allow at a place, in the order in which the kernel refuses it: names first, then mount points,
//! then `EROFS`.

use view::Access;

use super::place::{Change, Place, Scratch, Want, parent_end};
use super::scan;
use crate::kernel;
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Refuses to change a mount point, or a directory that one lies below.
    pub(super) fn refuse_point(&self, place: &Place, want: Want) -> Result<(), Errno> {
        let point = place.node.is_some_and(|node| self.view.is_mount_point(node));
        let mount = self.view.mount(place.mount);
        match want.change {
            Change::Create | Change::CreateDirectory if place.node.is_some() => Err(Errno::EEXIST),
            // Only rmdir(2) asks for a directory without a slash.
            Change::Remove(errno)
                if place.node.is_some()
                    && !mount.is_dir
                    && (place.ends_in_slash() || errno == Errno::ENOTEMPTY) =>
            {
                Err(Errno::ENOTDIR)
            }
            Change::Remove(errno) if place.node.is_some() => {
                let busy = point && (errno != Errno::EISDIR || !mount.is_dir);
                Err(if busy { Errno::EBUSY } else { errno })
            }
            _ => Ok(()),
        }
    }

    /// Refuses what the mount at the place does not allow, as the kernel
    /// would: names first, then mount points, then `EROFS`.
    pub(super) fn refuse(&self, place: &Place, want: Want) -> Result<(), Errno> {
        self.refuse_point(place, want)?;
        let mount = self.view.mount(place.mount);
        match want.change {
            Change::None | Change::Name => Ok(()),
            _ if mount.access == Access::ReadWrite => Ok(()),
            Change::Modify(_) | Change::Mode => {
                let flags = if want.follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
                kernel::fstatat(place.dirfd, place.path, flags)?;
                Err(Errno::EROFS)
            }
            Change::Truncate => {
                let stat = kernel::fstatat(place.dirfd, place.path, 0)?;
                truncates(stat.st_mode)?;
                Err(Errno::EROFS)
            }
            Change::Create | Change::CreateDirectory if exists(place) => Err(Errno::EEXIST),
            Change::Create if place.ends_in_slash() => {
                parent_exists(place)?;
                Err(Errno::ENOENT)
            }
            Change::Create | Change::CreateDirectory | Change::Remove(_) => {
                parent_exists(place)?;
                Err(Errno::EROFS)
            }
        }
    }
}

/// `.` and `..` are no names that can be taken away. `below` tells the call,
/// as in [`Change::Remove`].
pub(super) fn refuse_dots(path: *const u8, below: Errno) -> Result<(), Errno> {
    // SAFETY: a string that has been read up to its NUL.
    let path = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
    let last = path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty());
    match (last, below) {
        (Some(b"."), Errno::ENOTEMPTY) => Err(Errno::EINVAL),
        (None, Errno::ENOTEMPTY) if !path.is_empty() => Err(Errno::EBUSY),
        (None, _) if !path.is_empty() => Err(below),
        (Some(b"." | b".."), _) => Err(below),
        _ => Ok(()),
    }
}

/// truncate(2) is for regular files.
pub(super) fn truncates(mode: u32) -> Result<(), Errno> {
    match mode & libc::S_IFMT {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(Errno::EISDIR),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether something has a place's name, whatever slashes follow it.
pub(super) fn exists(place: &Place) -> bool {
    let look = |path| kernel::fstatat(place.dirfd, path, libc::AT_SYMLINK_NOFOLLOW).is_ok();
    if !place.ends_in_slash() {
        return look(place.path);
    }
    // SAFETY: a place's path is a string that ends in NUL.
    let bytes = unsafe { core::slice::from_raw_parts(place.path, scan::length(place.path)) };
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    let mut name = Scratch::new();
    name.push(bytes.get(..end).unwrap_or(bytes)).is_ok() && look(name.as_ptr())
}

/// Whether the directory that the last component is in can be entered.
pub(super) fn parent_exists(place: &Place) -> Result<(), Errno> {
    // SAFETY: a place's path is a string that ends in NUL.
    let bytes = unsafe { core::slice::from_raw_parts(place.path, scan::length(place.path)) };
    let mut parent = Scratch::new();
    match parent_end(bytes) {
        Some(end) => {
            parent.push(bytes.get(..end).unwrap_or(&[]))?;
            parent.push(b"/.")?;
        }
        None => parent.push(b".")?,
    }
    kernel::fstatat(place.dirfd, parent.as_ptr(), 0).map(|_| ())
}
