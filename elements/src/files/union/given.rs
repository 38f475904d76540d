//! A directory that root gives to another user, whose side in a layer is closed to that one.
//!
//! What the program becomes then may not look into that side, and so could not know what the directory has. Once
//! the write layer has all the names that the side has, as after chown(1) of the whole tree, it need not know: the
//! directory is made opaque, and nothing looks at the side any more.

use super::super::entries;
use super::super::place::Scratch;
use super::list::{DIRECTORY, ROOM};
use super::upper::Times;
use super::{Position, Union, is_whiteout, xattr};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};

/// What a directory's mode must allow all others, that they can look into it.
const OPEN_TO_ALL: u32 = 0o5;

impl Union<'_> {
    /// Makes a directory opaque that has just got another owner or mode, where that changes nothing of what is seen.
    #[inline(never)]
    pub(super) fn part_from_layers(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        let sides = at.sides & self.lower();
        if sides.is_empty() || kernel::geteuid() != 0 {
            return Ok(());
        }
        let mut path = Scratch::new();
        let mut is_closed = false;
        for layer in sides.downwards() {
            let side = self.host_path(layer, at.path_in(self, layer, below), &mut path)?;
            let stat = kernel::fstatat(AT_FDCWD, side.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
            is_closed |= stat.st_mode & OPEN_TO_ALL != OPEN_TO_ALL;
        }
        if !is_closed {
            return Ok(());
        }
        for layer in sides.downwards() {
            let side = self.host_path(layer, at.path_in(self, layer, below), &mut path)?;
            if !self.hides_all(side, below)? {
                return Ok(());
            }
        }
        let path = self.upper_path(below, &mut path)?;
        // Without it only what is held open is lost.
        let _ = kernel::lsetxattr(path.as_ptr(), xattr::PARTED.as_ptr().cast(), b"y", 0);
        self.move_directories(|| xattr::set(path.as_ptr(), &xattr::OPAQUE, b"y"))?;
        // They hide nothing any more, and the kernel shows those in an opaque directory. To the program nothing has changed in it.
        let times = Times::of(&kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?);
        let cleared = self.clear_whiteouts(path, Ok(()));
        kernel::utimensat(AT_FDCWD, path.as_ptr(), times.as_array(), libc::AT_SYMLINK_NOFOLLOW).and(cleared)
    }

    /// Whether a directory that the write layer alone has is one that was made so here, and not another one by its name: what is held
    /// open of its sides in layers is still it.
    pub(super) fn has_parted(&self, at: &Position, below: &[u8]) -> bool {
        let mut path = Scratch::new();
        at.sides == self.top_bit()
            && self
                .upper_path(below, &mut path)
                .is_ok_and(|path| kernel::lgetxattr(path.as_ptr(), xattr::PARTED, &mut [0]) == Ok(1))
    }

    /// Whether the write layer has a name of its own for each name of a side.
    fn hides_all(&self, side: &mut Scratch, below: &[u8]) -> Result<bool, Errno> {
        let opened = kernel::openat(AT_FDCWD, side.as_ptr(), DIRECTORY, 0)?;
        let mut room = [0; ROOM];
        let done = loop {
            match kernel::getdents64(opened, &mut room) {
                Ok(0) => break Ok(true),
                Ok(len) => {
                    let all = entries::records(room.get(..len).unwrap_or(&[]));
                    let mut names = all.filter(|entry| !matches!(entry.name, b"." | b".."));
                    if !names.all(|entry| self.hides(entry.name, below).unwrap_or(false)) {
                        break Ok(false);
                    }
                }
                Err(errno) => break Err(errno),
            }
        };
        kernel::close(opened);
        done
    }

    /// Whether what the write layer has under a name in a directory is all that there is.
    fn hides(&self, name: &[u8], below: &[u8]) -> Result<bool, Errno> {
        let mut path = Scratch::new();
        let path = self.upper_path(below, &mut path)?;
        path.push(b"/")?;
        path.push(name)?;
        let stat = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let is_dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        Ok(is_whiteout(&stat) || !is_dir || xattr::is_opaque(path.as_ptr()))
    }
}
