//! Directories that the lowest layer alone has, by their inodes.
//!
//! What is opened without being asked for as a directory is not noted by its descriptor: most of it are files. Where
//! fstat(2) finds a directory there, as setlocale(3) does in each program, only its path tells whether other layers have
//! it too, and to ask for that is dear: the first look at /proc/self costs a process as much as twenty calls. The
//! processes of an instance open the same directories, so what one has found out is kept for all of them in the table of
//! directories ([`crate::shared`]), by device and inode, for an epoch.
//!
//! Where two mounts show the same directory, what it is found to be by its host path is kept. So it is asked for only where
//! nothing else is known of a descriptor.

use super::super::base::known;
use super::super::namei::Walk;
use super::relative::is_in_base;
use crate::Instance;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::key_below;

/// The table's key for a directory with such an inode.
fn key(device: u64, inode: u64) -> u64 {
    key_below(device ^ 0x6279_206e_756d_6265, &inode.to_ne_bytes())
}

impl Instance<'_> {
    /// Notes what a walk has come to by a host path in an epoch, if the lowest layer alone has it, and nothing is mounted in
    /// it.
    pub(super) fn note_number(&self, walk: &mut Walk, epoch: u32) {
        let directories = self.directories.filter(|_| is_in_base(walk) && self.may_be_base(walk.cursor));
        // What has this path is what was walked to, whatever the descriptor may be of by now.
        if let Some(directories) = directories
            && let Ok(stat) = kernel::fstatat(AT_FDCWD, walk.host.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
        {
            directories.set_plain(key(stat.st_dev, stat.st_ino), epoch);
        }
    }

    /// Whether the kernel is right about the directory that a descriptor is of, since the lowest layer alone has it:
    /// the kernel has said that it has this inode.
    pub(in crate::files) fn is_known_by_number(&self, fd: i32, device: u64, inode: u64) -> bool {
        let directories = self.directories.filter(|_| self.has_unions());
        directories.is_some_and(|directories| directories.is_plain(key(device, inode))) && known(fd).is_none()
    }
}
