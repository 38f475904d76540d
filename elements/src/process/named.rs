//! By which name a program is started.
//!
//! The kernel calls a process by the last name of the path that execve(2) was given (`comm`, proc_pid_comm(5)), and ps(1),
//! pgrep(1) and killall(1) go by that. The shim starts a program by the file behind its path, which has another name where
//! the path is a link: `python3` would be called `python3.11`. So the link is given instead, where the kernel comes to the
//! same file by it. The gate names the process itself.

use super::exec::Start;
use crate::files::{Scratch, Want};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Starts a program that has been found, by the link that was asked for if there is one.
    #[inline(never)]
    pub(super) fn by_name(
        &self,
        found: &Start,
        asked: (i32, *const u8),
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut scratch = Scratch::new();
        let path = self.link_to(found.path, asked, &mut scratch).unwrap_or(found.path);
        call(&Start { path, ..*found })
    }

    /// The link behind the path that was asked for. None: it is no link, or the kernel may find something else by it.
    fn link_to(
        &self,
        file: *const u8,
        (dirfd, path): (i32, *const u8),
        scratch: &mut Scratch,
    ) -> Option<*const u8> {
        // SAFETY: both have been walked: they are strings.
        if unsafe { last_name(path) == last_name(file) } {
            return None;
        }
        let link = self.host_path(dirfd, path, Want::LOOK.following(false), scratch).ok()??;
        let identity = |path| -> Result<_, Errno> {
            let stat = kernel::fstatat(AT_FDCWD, path, 0)?;
            Ok((stat.st_dev, stat.st_ino))
        };
        (identity(link).ok()? == identity(file).ok()?).then_some(link)
    }
}

/// What follows the last slash.
///
/// # Safety
///
/// The path is a string.
unsafe fn last_name<'a>(path: *const u8) -> &'a [u8] {
    // SAFETY: the caller's promise.
    let path = unsafe { core::ffi::CStr::from_ptr(path.cast()) }.to_bytes();
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
