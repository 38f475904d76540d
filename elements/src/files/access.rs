//! access: access(2), faccessat(2), faccessat2(2).

use core::hint::cold_path;

use super::glance::{Glance, Start};
use super::lexical::Look;
use super::look::follows;
use super::place::{Place, Want, find_link, is_link_of};
use super::plain::PlainScratch;
use super::refusal::may_access;
use super::union::{WholePath, may_write_copy};
use crate::kernel::{self, AT_FDCWD, syscall4};
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// faccessat2(2). Asking to write on a read-only mount answers `EROFS`.
    pub fn faccessat(&self, dirfd: i32, path: *const u8, mode: i32, flags: i32) -> Answer {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.faccessat_from(dirfd, path, mode, flags, start),
        }
    }

    /// The same, after the first look.
    #[inline(always)]
    pub fn faccessat_from(&self, dirfd: i32, path: *const u8, mode: i32, flags: i32, start: Start) -> Answer {
        let mut scratch = PlainScratch::new();
        let Some(place) = self.plain_place_of_one(path, start, &mut scratch) else {
            cold_path();
            return self.faccessat_beyond_plain(dirfd, path, mode, flags, start);
        };
        let find = || find_link(&place, false);
        let Some(done) = self.access_but_link(&place, (mode, flags), scratch.ends_in_slash(), find) else {
            cold_path();
            return self.faccessat_by(Look::Walk, dirfd, path, mode, flags);
        };
        Answer::Done(done.map(|()| 0))
    }

    /// The same, where the path is not plain.
    #[inline(never)]
    fn faccessat_beyond_plain(
        &self,
        dirfd: i32,
        path: *const u8,
        mode: i32,
        flags: i32,
        start: Start,
    ) -> Answer {
        if let Err(errno) = may_access(mode, flags) {
            return Answer::fail(errno);
        }
        match self.second_glance(dirfd, path, start) {
            Some(Glance::Elsewhere) => return Answer::Pass,
            Some(Glance::Closer(start)) => return self.faccessat_from(dirfd, path, mode, flags, start),
            None => {}
        }
        let writes = mode & libc::W_OK != 0;
        let mut scratch = PlainScratch::new();
        if self.has_unions()
            && !writes
            && let Some(place) = self.plain_place(path, start, true, &mut scratch)
        {
            let find = || self.find_link_at(&place, &scratch);
            if let Some(done) = self.access_but_link(&place, (mode, flags), scratch.ends_in_slash(), find) {
                return Answer::Done(done.map(|()| 0));
            }
            let look = |path, next| self.faccessat_from(AT_FDCWD, path, mode, flags, next);
            let beyond = self.beyond_link(path, start, look, |_| None);
            return beyond.unwrap_or_else(|| self.faccessat_by(Look::Walk, dirfd, path, mode, flags));
        }
        if !writes
            && start.is_anew()
            && let Some(found) = self.in_base(dirfd, path)
        {
            let given = Place::new(dirfd, path, found.mount(self), None);
            let find = || self.find_link_in_base(&given, found.hash(path));
            if let Some(done) = self.access_but_link(&given, (mode, flags), false, find) {
                return Answer::Done(done.map(|()| 0));
            }
        }
        let mut whole = WholePath::new();
        match self.respelled((dirfd, path), start, &mut whole) {
            Some(Ok(start)) => return self.faccessat_from(dirfd, whole.as_ptr(), mode, flags, start),
            Some(Err(errno)) => return Answer::fail(errno),
            None => {}
        }
        if !writes {
            let mut scratch = [PlainScratch::new(), PlainScratch::new()];
            match self.one_of_two(path, start, follows(flags), &mut scratch) {
                // Whether it is there is known.
                Some(Ok(_)) if mode == libc::F_OK && flags & libc::AT_EMPTY_PATH == 0 => {
                    return Answer::Done(Ok(0));
                }
                Some(Ok(place)) => return Answer::Done(self.access(&place, mode, flags).map(|()| 0)),
                Some(Err(errno)) => return Answer::fail(errno),
                None => {}
            }
        }
        let look = self.look_closer(dirfd, path, start, Want::LOOK.following(follows(flags)));
        if matches!(look, Look::Untouched) && !self.traces() {
            return Answer::Pass;
        }
        self.faccessat_by(look, dirfd, path, mode, flags)
    }

    /// The same, of a path that has been read.
    #[inline(never)]
    fn faccessat_by(&self, look: Look, dirfd: i32, path: *const u8, mode: i32, flags: i32) -> Answer {
        if let Err(errno) = may_access(mode, flags) {
            return Answer::fail(errno);
        }
        let want = Want::LOOK.following(follows(flags));
        self.at_place(libc::SYS_faccessat2, (dirfd, path), look, want, |place| {
            self.access(place, mode, flags).map(|()| 0)
        })
    }

    /// The call, unless `find` finds a link that is to be followed. What has no name takes one call: most of what is asked
    /// for along a search path. It is this one, and not the look for a link, since it is judged by the real user.
    #[inline(always)]
    fn access_but_link(
        &self,
        place: &Place,
        (mode, flags): (i32, i32),
        ends_in_slash: bool,
        find: impl FnOnce() -> Result<(), Errno>,
    ) -> Option<Result<(), Errno>> {
        // Before a slash the kernel would follow a link in any case.
        if !follows(flags) || ends_in_slash {
            cold_path();
            let is_link = follows(flags) && is_link_of(place, true);
            return (!is_link).then(|| self.access(place, mode, flags));
        }
        match ask(libc::SYS_faccessat2, place, mode, flags | libc::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => match find() {
                Ok(()) => None,
                Err(Errno::EINVAL) => Some(self.allowed(place, mode, flags)),
                Err(_) => Some(self.access(place, mode, flags)),
            },
            Err(Errno::ENOENT) => Some(Err(Errno::ENOENT)),
            Err(errno) => {
                cold_path();
                self.access_refused(errno, find(), place, mode, flags)
            }
        }
    }

    /// The answer where the kernel has refused the last component itself, of which `found` tells whether it is a link.
    #[inline(never)]
    fn access_refused(
        &self,
        errno: Errno,
        found: Result<(), Errno>,
        place: &Place,
        mode: i32,
        flags: i32,
    ) -> Option<Result<(), Errno>> {
        match (found, errno) {
            (Ok(()), _) => None,
            // Also where there is no such call, on an old kernel or behind a filter.
            (Err(Errno::EINVAL), Errno::EACCES) => Some(Err(errno)),
            _ => Some(self.access(place, mode, flags)),
        }
    }

    /// The call itself.
    #[inline(never)]
    fn access(&self, place: &Place, mode: i32, flags: i32) -> Result<(), Errno> {
        let number = if flags == 0 { libc::SYS_faccessat } else { libc::SYS_faccessat2 };
        match ask(number, place, mode, flags) {
            Ok(_) => self.allowed(place, mode, flags),
            Err(Errno::EROFS) => self.access_copy(place, mode, flags),
            Err(errno) => Err(errno),
        }
    }

    /// The answer where the kernel allows it.
    #[inline(always)]
    fn allowed(&self, place: &Place, mode: i32, flags: i32) -> Result<(), Errno> {
        if mode & libc::W_OK != 0 && self.is_read_only(place) && is_protected(place, flags)? {
            return Err(Errno::EROFS);
        }
        Ok(())
    }

    /// Whether what lies on a file system that takes no change may be written to: a layer of a union gets a copy.
    #[inline(never)]
    fn access_copy(&self, place: &Place, mode: i32, flags: i32) -> Result<(), Errno> {
        if self.is_read_only(place) || self.view.mount(place.mount).kind != view::Kind::Layers {
            return Err(Errno::EROFS);
        }
        // Who plays somebody is judged by what the file is told to be.
        if self.plays() { Ok(()) } else { may_write_copy((place.dirfd, place.path), mode, flags) }
    }

    fn is_read_only(&self, place: &Place) -> bool {
        self.view.mount(place.mount).access == view::Access::ReadOnly
    }
}

/// Asks the kernel.
#[inline(always)]
fn ask(number: i64, place: &Place, mode: i32, flags: i32) -> Result<usize, Errno> {
    let args = [place.dirfd as usize, place.path as usize, mode as usize, flags as usize];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall4(number, args) }
}

/// Whether a read-only mount protects the file from writing: it does not
/// protect what a device, a pipe or a socket leads to.
fn is_protected(place: &Place, flags: i32) -> Result<bool, Errno> {
    let stat = kernel::fstatat(place.dirfd, place.path, flags & libc::AT_SYMLINK_NOFOLLOW)?;
    Ok(matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR | libc::S_IFLNK))
}
