//! Access control lists (acl(5)): the kernel keeps them, and a file's permissions follow from one.

use core::ffi::CStr;

use super::change::record_as;
use super::{EMPTY, by_number, open_place};
use crate::files::present::About;
use crate::kernel;
use crate::{Errno, Instance, user};

/// Whether a string of the program's names the attribute that a file's own list is in.
pub(in crate::files) fn is_access_list(name: *const u8) -> bool {
    // SAFETY: read only where found readable.
    user::is_string(name) && unsafe { CStr::from_ptr(name.cast()) } == c"system.posix_acl_access"
}

impl Instance<'_> {
    /// Has a file's record follow the list that has just been set: gives `done`, where all went well.
    pub(in crate::files) fn after_list(
        &self,
        (dirfd, path, flags): (i32, *const u8, i32),
        done: Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let done = done?;
        if flags & libc::AT_EMPTY_PATH != 0 {
            return self.follow_list(dirfd).map(|()| done);
        }
        let file = open_place(dirfd, path, flags)?;
        self.follow_list(file.0).map(|()| done)
    }

    fn follow_list(&self, file: i32) -> Result<(), Errno> {
        let set = kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)?;
        let starter = self.starter().ok_or(Errno::EPERM)?;
        if set.st_uid == starter.host_uid && set.st_mode & 0o600 != 0o600 {
            // The record cannot be read by whom the list withholds the file from.
            kernel::chmod(by_number(file)?.as_ptr(), set.st_mode & 0o7777 | 0o600)?;
        }
        let about = About::of(&kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)?);
        let mut shown = about;
        self.present(&mut shown, |about| self.record_of(about, file));
        let mut record = record_as(&shown);
        record.mode = record.mode & !0o777 | set.st_mode & 0o777;
        self.put(file, &about, &record, !record.mode)
    }
}
