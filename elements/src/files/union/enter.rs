//! Which side of a directory the working directory is.
//!
//! The kernel judges by the highest side whether a directory may be entered, so that is entered first. Most of what a
//! program looks at there is the lowest layer's alone, and below the lowest side a relative path leads to that as it
//! is: so that side is entered then, if it is open to the same users. A descriptor is of the lowest side in any case.
//!
//! A core dump is the one thing that the kernel itself writes into a working directory. Where it may, a side in the
//! write layer is entered, and stayed in.

use super::super::MAX_PATH;
use super::super::namei::Walk;
use super::super::place::Scratch;
use super::super::text::Text;
use crate::kernel::{self, AT_FDCWD};
use crate::{Instance, process};

impl Instance<'_> {
    /// Makes the working directory, which has been entered in this epoch by its side in the write layer, the lowest
    /// layer's. None: it stays.
    #[inline(never)]
    pub(in crate::files) fn enter_lowest(&self, epoch: u32) -> Option<()> {
        let (mut host, mut app) = (Text::<MAX_PATH>::new(), Text::<MAX_PATH>::new());
        self.base_paths(AT_FDCWD, &mut host, &mut app).ok()?;
        let mut walk = Walk::new();
        walk.start(self, app.bytes()).ok()?;
        let mount = self.view.region(walk.cursor.node);
        let union = self.union(mount).filter(|_| walk.position.identity() == Some(0))?;
        if !self.is_in_write_layer(mount, host.bytes()) || !self.is_side_of(&walk, host.bytes()) {
            return None;
        }
        let below = union.below(walk.app.bytes());
        let mut lowest = Scratch::new();
        union.host_path(0, below, &mut lowest).ok()?;
        if !is_open_to_the_same(&mut host, &mut lowest) || !dumps_lie_elsewhere() {
            return None;
        }
        kernel::chdir(lowest.as_ptr()).ok()?;
        if !process::is_borrower() {
            self.note_directory(AT_FDCWD, Some(walk.cursor));
            self.keep_path(AT_FDCWD, walk.app.bytes(), epoch);
            self.note_lowest(AT_FDCWD, mount, below, epoch);
        }
        Some(())
    }
}

/// Whether the same users may search two directories.
fn is_open_to_the_same(one: &mut Scratch, other: &mut Scratch) -> bool {
    let rights = |path: &mut Scratch| {
        let stat = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).ok()?;
        let has_list = kernel::lgetxattr(path.as_ptr(), c"system.posix_acl_access", &mut []).is_ok();
        (!has_list).then_some((stat.st_uid, stat.st_gid, stat.st_mode))
    };
    let first = rights(one);
    first.is_some() && first == rights(other)
}

/// Whether the kernel writes no core dump of this process into its working directory (core(5)).
pub(super) fn dumps_lie_elsewhere() -> bool {
    if kernel::core_limit() == Some(0) {
        return true;
    }
    let mut pattern = [0];
    let Ok(file) = kernel::open_at_once(c"/proc/sys/kernel/core_pattern".as_ptr().cast()) else {
        return false;
    };
    let read = kernel::read(file, &mut pattern);
    kernel::close(file);
    read == Ok(1) && matches!(pattern, [b'/' | b'|'])
}
