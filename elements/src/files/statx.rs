//! statx(2): what newfstatat(2) tells, and more.

use core::hint::cold_path;

use super::glance::{Glance, Start};
use super::last_link::look_elsewhere;
use super::lexical::Look;
use super::look::follows;
use super::place::{Place, Scratch, Want};
use super::plain::PlainScratch;
use super::present::About;
use super::refusal::may_stat;
use super::stat::{is_directory, means_descriptor};
use super::union::WholePath;
use crate::kernel::{AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance};

/// What a version is made of.
const VERSION: u32 = libc::STATX_INO | libc::STATX_CTIME;

impl Instance<'_> {
    /// statx(2)
    pub fn statx(&self, dirfd: i32, path: *const u8, flags: i32, mask: u32, buf: *mut libc::statx) -> Answer {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.statx_closer(dirfd, path, (flags, mask), buf, start),
        }
    }

    /// The same, after the first look.
    #[inline(always)]
    pub fn statx_closer(
        &self,
        dirfd: i32,
        path: *const u8,
        (flags, mask): (i32, u32),
        buf: *mut libc::statx,
        start: Start,
    ) -> Answer {
        // What kind of file it is, whatever else is asked for.
        let mask = mask | libc::STATX_TYPE;
        let mut scratch = PlainScratch::new();
        let Some(place) = self.plain_place(path, start, true, &mut scratch) else {
            cold_path();
            return self.statx_beyond_plain(dirfd, path, (flags, mask), buf, start);
        };
        let done = self.look_at_extended(&place, flags | libc::AT_SYMLINK_NOFOLLOW, mask, buf);
        if follows(flags) && done.is_ok() && found_extended_link(buf) {
            cold_path();
            let look = |path, next| self.statx_closer(AT_FDCWD, path, (flags, mask), buf, next);
            let by_descriptor =
                |place: &Place| self.look_at_extended(place, flags | libc::AT_EMPTY_PATH, mask, buf);
            let elsewhere = |path| look_elsewhere(path, by_descriptor);
            if self.has_unions()
                && let Some(answer) = self.beyond_link(path, start, look, elsewhere)
            {
                return answer;
            }
            return self.statx_by(Look::Walk, dirfd, path, (flags, mask), buf);
        }
        Answer::Done(done)
    }

    /// The same, where the path is not plain.
    #[inline(never)]
    fn statx_beyond_plain(
        &self,
        dirfd: i32,
        path: *const u8,
        (flags, mask): (i32, u32),
        buf: *mut libc::statx,
        start: Start,
    ) -> Answer {
        if let Err(errno) = may_stat(flags, mask) {
            return Answer::fail(errno);
        }
        match self.second_glance(dirfd, path, start) {
            Some(Glance::Elsewhere) => return Answer::Pass,
            Some(Glance::Closer(start)) => return self.statx_closer(dirfd, path, (flags, mask), buf, start),
            None => {}
        }
        if let Some(node) = self.boundary_at(path, start) {
            return self.statx_by(Look::Boundary(node), dirfd, path, (flags, mask), buf);
        }
        let look = |place: &Place| self.look_at_extended(place, flags | libc::AT_SYMLINK_NOFOLLOW, mask, buf);
        if self.is_path_behind(dirfd, path) || start.is_anew() && self.in_base(dirfd, path).is_some() {
            let done = look(&Place::new(dirfd, path, 0, None));
            if !(follows(flags) && done.is_ok() && found_extended_link(buf)) {
                return Answer::Done(done);
            }
        }
        let mut whole = WholePath::new();
        match self.respelled((dirfd, path), start, &mut whole) {
            Some(Ok(start)) => return self.statx_closer(dirfd, whole.as_ptr(), (flags, mask), buf, start),
            Some(Err(errno)) => return Answer::fail(errno),
            None => {}
        }
        let found = || {
            // SAFETY: a call that succeeds has filled the struct.
            let found = unsafe { &*buf };
            (found.stx_mode.into(), libc::makedev(found.stx_rdev_major, found.stx_rdev_minor))
        };
        if let Some(done) = self.look_at_one_of_two(path, start, follows(flags), look, found) {
            return Answer::Done(done);
        }
        let read = self.look_closer(dirfd, path, start, Want::LOOK.following(follows(flags)));
        self.statx_by(read, dirfd, path, (flags, mask), buf)
    }

    /// The same, of a path that has been read.
    #[inline(never)]
    fn statx_by(
        &self,
        read: Look,
        dirfd: i32,
        path: *const u8,
        (flags, mask): (i32, u32),
        buf: *mut libc::statx,
    ) -> Answer {
        let want = Want::LOOK.following(follows(flags));
        let look = |place: &Place, flags: i32| self.look_at_extended(place, flags, mask, buf);
        let given = Place::new(dirfd, path, 0, read.boundary());
        if !self.traces() && (given.node.is_some() || means_descriptor(path, flags)) {
            let done = look(&given, flags);
            let mut scratch = Scratch::new();
            // SAFETY: a call that succeeds has filled the struct.
            let is_dir = done.is_ok() && is_directory(unsafe { (*buf).stx_mode }.into());
            // SAFETY: as above.
            let is_known = is_dir && self.is_known_directory(&given, unsafe { &*buf });
            if is_dir
                && !is_known
                && let Some(place) = self.union_place(dirfd, path, &mut scratch)
            {
                let done = look(&place, flags & !libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW);
                if done.is_ok() {
                    // SAFETY: a call that succeeds has filled the struct.
                    self.learn_origin(&About::of_statx(unsafe { &*buf }).version, &place);
                }
                return Answer::Done(done);
            }
            return Answer::Done(done);
        }
        self.at_place(libc::SYS_statx, (dirfd, path), read, want, |place| look(place, flags))
    }

    /// Looks at a place, as statx(2), and counts what is mounted in a directory.
    #[inline(always)]
    fn look_at_extended(
        &self,
        place: &Place,
        flags: i32,
        mask: u32,
        buf: *mut libc::statx,
    ) -> Result<usize, Errno> {
        let args =
            [place.dirfd as usize, place.path as usize, flags as usize, mask as usize, buf as usize, 0];
        // SAFETY: the program's pointer, for the kernel to judge.
        let done = unsafe { syscall(libc::SYS_statx, args) }?;
        // SAFETY: a call that succeeds has filled the struct.
        let found = unsafe { &mut *buf };
        if found.stx_mask & libc::STATX_NLINK != 0 && is_directory(found.stx_mode.into()) {
            self.count_extended(place, found);
        }
        Ok(done)
    }

    /// Whether the kernel is right about a directory that a descriptor is of.
    fn is_known_directory(&self, place: &Place, found: &libc::statx) -> bool {
        let device = libc::makedev(found.stx_dev_major, found.stx_dev_minor);
        means_descriptor(place.path, libc::AT_EMPTY_PATH)
            && self.is_known_by_number(place.dirfd, device, found.stx_ino)
    }

    #[inline(never)]
    fn count_extended(&self, place: &Place, found: &mut libc::statx) {
        if self.is_known_directory(place, found) {
            return;
        }
        let version = About::of_statx(found).version;
        let is_known = found.stx_mask & VERSION == VERSION;
        let links = found.stx_nlink.into();
        found.stx_nlink = self.count_links(place, links, is_known.then_some(&version)) as u32;
        if let Some(known_by) = self.identity_of(place) {
            (found.stx_ino, found.stx_nlink) = (known_by.st_ino, 1);
            found.stx_dev_major = libc::major(known_by.st_dev);
            found.stx_dev_minor = libc::minor(known_by.st_dev);
        }
    }
}

/// The same of statx(2).
#[inline(always)]
fn found_extended_link(buf: *const libc::statx) -> bool {
    // SAFETY: as above.
    u32::from(unsafe { (*buf).stx_mode }) & libc::S_IFMT == libc::S_IFLNK
}
