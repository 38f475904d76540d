//! What has been opened: a directory is worth knowing, since paths may be relative to it.
//!
//! Where it stands in the app's tree is noted by its descriptor ([`super::base`]), as far as the path that
//! it was opened by tells. What that does not tell is asked for when it matters.

use super::base::{Cursor, SURE, is_free, note_below};
use super::glance::Glance;
use super::way::{is_name_behind, is_name_in_free};
use super::{note_open, scan};
use crate::Instance;
use crate::kernel::AT_FDCWD;

/// Whether what is opened with these flags may become the start of other
/// paths: a directory, or what a walk through a tree has come to.
#[inline(always)]
pub fn is_worth_knowing(flags: i32) -> bool {
    flags & (libc::O_DIRECTORY | libc::O_NOFOLLOW) != 0
}

impl Instance<'_> {
    /// Notes what an open that passed has given: a directory is worth knowing,
    /// since paths may be relative to it.
    #[inline]
    pub fn opened(&self, dirfd: i32, path: *const u8, flags: i32, fd: i32) {
        if is_worth_knowing(flags) { self.opened_directory(dirfd, path, fd) } else { note_open(fd) }
    }

    /// The same, where it is, or may be, a directory.
    #[inline(never)]
    pub fn opened_directory(&self, dirfd: i32, path: *const u8, fd: i32) {
        // SAFETY: the open succeeded, so the string is one.
        let is_absolute = unsafe { *path } == b'/';
        if !is_absolute && is_name_in_free(dirfd, path) && note_below(dirfd, fd) {
            return;
        }
        let elsewhere = if is_absolute { self.cursor_elsewhere(path) } else { None };
        let is_free = match elsewhere {
            Some(_) => is_free_elsewhere(path),
            None => !is_absolute && is_free(dirfd) && matches!(self.glance(dirfd, path), Glance::Elsewhere),
        };
        let cursor = elsewhere.or_else(|| self.cursor_by_letters(dirfd, path));
        self.note_opened_directory(fd, cursor, is_free);
    }

    /// The same, where a glance has told that no mount has to do with the path.
    pub fn opened_directory_elsewhere(&self, path: *const u8, fd: i32) {
        // SAFETY: the open succeeded, so the string is one; and the glance has found it.
        unsafe {
            if *path != b'/' {
                return self.opened_directory(AT_FDCWD, path, fd);
            }
            self.note_opened_directory(fd, self.cursor_found_elsewhere(path), is_free_elsewhere(path));
        }
    }

    fn note_opened_directory(&self, fd: i32, cursor: Option<Cursor>, is_free: bool) {
        // Where a link of the host may have led elsewhere in the tree, ask when it matters.
        match cursor.filter(|cursor| cursor.below > 0 && self.passes(cursor.node)) {
            Some(cursor) => self.note_untouched_directory(fd, cursor, is_free),
            None => self.note_directory(fd, None),
        }
    }

    /// Notes what has been opened by a path that has met no link: it is where the
    /// letters say.
    #[inline]
    pub(super) fn opened_without_links(&self, dirfd: i32, path: *const u8, flags: i32, fd: i32) {
        if is_worth_knowing(flags) {
            // Far down its path may be too long to have: then the kernel alone knows it.
            let cursor = self.cursor_by_letters(dirfd, path);
            self.note_directory(fd, cursor.filter(|cursor| cursor.below < SURE));
        } else {
            note_open(fd);
        }
    }

    /// The same, in a directory behind a mount, or below it.
    pub(super) fn opened_behind(&self, dirfd: i32, path: *const u8, flags: i32, fd: i32) {
        let is_noted = is_worth_knowing(flags) && is_name_behind(dirfd, path) && note_below(dirfd, fd);
        if !is_noted {
            self.opened_without_links(dirfd, path, flags, fd);
        }
    }

    /// Where a path that has been opened leads if it meets no link.
    #[inline(never)]
    fn cursor_by_letters(&self, dirfd: i32, path: *const u8) -> Option<Cursor> {
        // SAFETY: the open succeeded, so the string is one.
        let path = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
        let absolute = path.first() == Some(&b'/');
        let start = if absolute { Some(Cursor::at(self.view.app_root())) } else { self.base(dirfd) };
        start.and_then(|start| start.along(&self.view, path))
    }
}

/// Whether an absolute path that a glance has found elsewhere is not the kernel's: it tells of no other
/// directory of the kernel's.
fn is_free_elsewhere(path: *const u8) -> bool {
    // SAFETY: found; it begins with a slash.
    !unsafe { scan::begins_with(path.add(1), b"sys") }
}
