//! What the program may change in a union, where the kernel will not be asked: a copy is the user's own, and would be
//! changed whatever the original says. The rules are those of path_resolution(7) and of each call's man page.

use super::super::place::{Change, Need, Scratch, Want};
use super::super::refusal::loses_bits;
use super::{Position, Union, parent};
use crate::Errno;
use crate::identity::credentials::capability;
use crate::kernel::{self, AT_FDCWD};

impl Union<'_> {
    /// Whether the program may make and take away names beside this one. In the
    /// write layer the kernel says so itself; a directory that has no side there
    /// yet is asked.
    pub(super) fn may_change_names(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        if at.above.highest() == self.top() { Ok(()) } else { self.may_write_directory(at, below) }
    }

    /// The same, where the kernel will not be asked.
    pub(super) fn may_write_directory(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        let above = at.above.highest().ok_or(Errno::ENOENT)?;
        if self.is_roots() {
            return Ok(());
        }
        let mut path = Scratch::new();
        let is_below = at.is_moved && Some(above) != self.top();
        let lower = if is_below { parent(at.lower.bytes()) } else { parent(below) };
        let path = self.host_path(above, lower, &mut path)?;
        may(path, libc::W_OK | libc::X_OK)
    }

    /// Whether the program plays root, to whom the whole union belongs: what its user can read can
    /// be copied, and the copy is changed.
    pub(super) fn is_roots(&self) -> bool {
        self.instance.plays() && self.instance.has(capability::DAC_OVERRIDE)
    }

    /// Whether the program may take a name away from a directory in which users
    /// may only do so with their own (`S_ISVTX`). Of what is in the write layer the kernel says so itself.
    pub(super) fn may_remove(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        if at.sides.highest() == self.top() { Ok(()) } else { self.may_take_away(at, below) }
    }

    /// That the program may take a name away is asked before anything else is said about that: here the kernel will not be asked.
    pub(super) fn may_remove_first(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        self.may_write_directory(at, below)?;
        self.may_take_away(at, below)
    }

    fn may_take_away(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        let (Some(above), Some(here)) = (at.above.highest(), at.sides.highest()) else { return Ok(()) };
        if self.is_roots() {
            return Ok(());
        }
        let user = kernel::geteuid();
        if user == 0 {
            return Ok(());
        }
        let look = |layer: usize, path: &[u8]| {
            let mut text = Scratch::new();
            let text = self.host_path(layer, path, &mut text)?;
            kernel::fstatat(AT_FDCWD, text.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
        };
        let lower = if Some(above) == self.top() { parent(below) } else { parent(at.lower.bytes()) };
        let above = look(above, lower)?;
        if above.st_mode & libc::S_ISVTX == 0 || above.st_uid == user {
            return Ok(());
        }
        if look(here, at.path_in(self, here, below))?.st_uid == user { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Whether the program may change a file that has no copy in the write layer
    /// yet. A copy is the user's own, so it would not be asked.
    pub(super) fn may_modify(&self, at: &Position, below: &[u8], want: Want) -> Result<(), Errno> {
        let Some(here) = at.sides.highest().filter(|here| Some(*here) != self.top()) else { return Ok(()) };
        if self.is_roots() {
            return Ok(());
        }
        let mut path = Scratch::new();
        let path = self.host_path(here, at.path_in(self, here, below), &mut path)?;
        if want.change == Change::Truncate {
            return may(path, libc::W_OK);
        }
        let user = kernel::geteuid();
        let stat = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let is_sticky = stat.st_mode & (libc::S_IFMT | libc::S_ISVTX) == libc::S_IFDIR | libc::S_ISVTX;
        match want.change {
            _ if user == 0 => Ok(()),
            Change::Modify(Need::Write) if is_sticky && stat.st_uid != user => Err(Errno::EPERM),
            Change::Modify(Need::Write) => may(path, libc::W_OK),
            _ if stat.st_uid == user => Ok(()),
            Change::Modify(Need::Nothing) if !loses_bits(stat.st_mode) => Ok(()),
            Change::Modify(Need::OwnerOrWrite) => may(path, libc::W_OK),
            _ => Err(Errno::EPERM),
        }
    }
}

/// Whether the program has a right, by its effective user.
pub(super) fn may(path: &mut Scratch, right: i32) -> Result<(), Errno> {
    kernel::faccessat2(AT_FDCWD, path.as_ptr(), right, libc::AT_EACCESS)
}
