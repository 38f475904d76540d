//! Rare calls on paths, which take the path that a look-up has made.

use super::place::{Scratch, Want};
use crate::kernel::{AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// name_to_handle_at(2). `words` are the handle and the mount's number.
    pub fn name_to_handle_at(&self, dirfd: i32, path: *const u8, words: [usize; 2], flags: i32) -> Answer {
        let want = Want::LOOK.following(flags & libc::AT_SYMLINK_FOLLOW != 0);
        self.on_host_path(dirfd, path, want, |dirfd, path| {
            let args = [dirfd as usize, path as usize, words[0], words[1], flags as usize, 0];
            // SAFETY: the program's own arguments, but for the path.
            unsafe { syscall(libc::SYS_name_to_handle_at, args) }
        })
    }

    /// fanotify_mark(2)
    pub fn fanotify_mark(&self, fd: i32, flags: u32, mask: u64, dirfd: i32, path: *const u8) -> Answer {
        let want = Want::LOOK.following(flags & libc::FAN_MARK_DONT_FOLLOW == 0);
        self.on_host_path(dirfd, path, want, |dirfd, path| {
            let args = [fd as usize, flags as usize, mask as usize, dirfd as usize, path as usize, 0];
            // SAFETY: the program's own arguments, but for the path.
            unsafe { syscall(libc::SYS_fanotify_mark, args) }
        })
    }

    fn on_host_path(
        &self,
        dirfd: i32,
        path: *const u8,
        want: Want,
        call: impl FnOnce(i32, *const u8) -> Result<usize, Errno>,
    ) -> Answer {
        let mut scratch = Scratch::new();
        match self.host_path(dirfd, path, want, &mut scratch) {
            Ok(None) => Answer::Pass,
            Ok(Some(host)) => Answer::Done(call(AT_FDCWD, host)),
            Err(errno) => Answer::fail(errno),
        }
    }
}
