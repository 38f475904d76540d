//! What a file is: newfstatat(2) and its kin.

use core::hint::cold_path;

use super::base::is_free;
use super::glance::{Glance, Start};
use super::last_link::look_elsewhere;
use super::lexical::Look;
use super::look::follows;
use super::owners::Reached;
use super::place::{Place, Scratch, Want};
use super::plain::PlainScratch;
use super::present::About;
use super::refusal::may_stat;
use super::union::WholePath;
use crate::kernel::{self, AT_FDCWD, syscall4};
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// newfstatat(2). `stat` is where the program wants the answer.
    ///
    /// The link itself is looked at first; only if it is one is there more to do.
    pub fn fstatat(&self, dirfd: i32, path: *const u8, stat: *mut libc::stat, flags: i32) -> Answer {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.fstatat_from(dirfd, path, stat, flags, start),
        }
    }

    /// The same, after the first look.
    #[inline(always)]
    pub fn fstatat_from(
        &self,
        dirfd: i32,
        path: *const u8,
        stat: *mut libc::stat,
        flags: i32,
        start: Start,
    ) -> Answer {
        let mut scratch = PlainScratch::new();
        let place = match self.plain_place(path, start, true, &mut scratch) {
            Some(place) => place,
            None if start.is_anew() && self.is_of_base(dirfd, path) => Place::new(dirfd, path, 0, None),
            None => {
                cold_path();
                let answer = self.fstatat_beyond_plain(dirfd, path, stat, flags, start);
                return self.with_origin(answer, dirfd, path, stat, flags);
            }
        };
        let done = look_at(&place, stat, flags | libc::AT_SYMLINK_NOFOLLOW);
        if follows(flags) && done.is_ok() && found_link(stat) {
            cold_path();
            let look = |path, next| self.fstatat_from(AT_FDCWD, path, stat, flags, next);
            let elsewhere =
                |path| look_elsewhere(path, |place| look_at(place, stat, flags | libc::AT_EMPTY_PATH));
            if self.has_unions()
                && let Some(answer) = self.beyond_link(path, start, look, elsewhere)
            {
                return answer;
            }
            let answer = self.fstatat_walked(dirfd, path, stat, flags);
            return self.with_origin(answer, dirfd, path, stat, flags);
        }
        Answer::Done(done)
    }

    /// The same by what a copy is known by. Where the program plays somebody, that comes last.
    fn with_origin(
        &self,
        answer: Answer,
        dirfd: i32,
        path: *const u8,
        stat: *mut libc::stat,
        flags: i32,
    ) -> Answer {
        if matches!(answer, Answer::Done(Ok(_))) && self.has_copies() && !self.plays() {
            self.show_origin(stat, Reached::Path(dirfd, path, flags));
        }
        answer
    }

    /// The same, where the path is not plain.
    #[inline(never)]
    fn fstatat_beyond_plain(
        &self,
        dirfd: i32,
        path: *const u8,
        stat: *mut libc::stat,
        flags: i32,
        start: Start,
    ) -> Answer {
        const NR: i64 = libc::SYS_newfstatat;
        if let Err(errno) = may_stat(flags, 0) {
            return Answer::fail(errno);
        }
        if means_descriptor(path, flags) && !self.traces() {
            return Answer::Done(self.fstat(dirfd, path, stat, flags));
        }
        match self.second_glance(dirfd, path, start) {
            Some(Glance::Elsewhere) => return Answer::Pass,
            Some(Glance::Closer(start)) => return self.fstatat_from(dirfd, path, stat, flags, start),
            None => {}
        }
        if let Some(node) = self.boundary_at(path, start) {
            return Answer::Done(self.look_at_given(&Place::new(dirfd, path, 0, Some(node)), stat, flags));
        }
        if self.is_path_behind(dirfd, path) || start.is_anew() && self.in_base(dirfd, path).is_some() {
            let done = look_at(&Place::new(dirfd, path, 0, None), stat, flags | libc::AT_SYMLINK_NOFOLLOW);
            if !(follows(flags) && done.is_ok() && found_link(stat)) {
                return Answer::Done(done);
            }
        }
        let mut whole = WholePath::new();
        match self.respelled((dirfd, path), start, &mut whole) {
            Some(Ok(start)) => return self.fstatat_from(dirfd, whole.as_ptr(), stat, flags, start),
            Some(Err(errno)) => return Answer::fail(errno),
            None => {}
        }
        let found = || {
            // SAFETY: a call that succeeds has filled the struct.
            let found = unsafe { &*stat };
            (found.st_mode, found.st_rdev)
        };
        let look = |place: &Place| look_at(place, stat, flags | libc::AT_SYMLINK_NOFOLLOW);
        if let Some(done) = self.look_at_one_of_two(path, start, follows(flags), look, found) {
            return Answer::Done(done);
        }
        let want = Want::LOOK.following(follows(flags));
        let look = self.look_closer(dirfd, path, start, want);
        let given = Place::new(dirfd, path, 0, look.boundary());
        if !self.traces() && given.node.is_some() {
            return Answer::Done(self.look_at_given(&given, stat, flags));
        }
        if matches!(look, Look::Untouched) && !self.traces() {
            return Answer::Pass;
        }
        let first = self.at_place(NR, (dirfd, path), look, Want::LOOK_AT_LINK, |place| {
            self.look_and_count(place, stat, flags | libc::AT_SYMLINK_NOFOLLOW)
        });
        if want.follow && matches!(first, Answer::Done(Ok(_))) && found_link(stat) {
            return self.at(NR, dirfd, path, want, |place| self.look_and_count(place, stat, flags));
        }
        first
    }

    /// [`Instance::fstatat_from`] where fstat(3) may have asked, and nothing is traced: `AT_EMPTY_PATH` alone is set.
    #[inline(always)]
    pub fn fstatat_of_file(&self, fd: i32, path: *const u8, stat: *mut libc::stat, start: Start) -> Answer {
        // The path of a library's, which is looked at again and again.
        let is_file = fd >= 0 && crate::user::is_seen(path);
        // SAFETY: found readable.
        if !(is_file && unsafe { *path } == 0) {
            return self.fstatat_by_path(fd, path, stat, start);
        }
        let done = kernel::fstat(fd, stat);
        // SAFETY: a call that succeeds has filled the struct.
        let is_dir = done.is_ok() && is_directory(unsafe { (*stat).st_mode });
        let looked = if is_dir { self.look_closer_at_opened(fd, path, stat) } else { Ok(()) };
        if done.is_ok() && looked.is_ok() {
            self.show_origin(stat, Reached::File(fd));
        }
        Answer::Done(looked.and(done))
    }

    #[inline(never)]
    fn fstatat_by_path(&self, fd: i32, path: *const u8, stat: *mut libc::stat, start: Start) -> Answer {
        self.fstatat_from(fd, path, stat, libc::AT_EMPTY_PATH, start)
    }

    /// The same for the descriptor itself. What is no directory is as the kernel says.
    fn fstat(&self, fd: i32, path: *const u8, stat: *mut libc::stat, flags: i32) -> Result<usize, Errno> {
        let done = look_at(&Place::new(fd, path, 0, None), stat, flags)?;
        // SAFETY: a call that succeeds has filled the struct.
        if is_directory(unsafe { (*stat).st_mode }) {
            self.look_closer_at_opened(fd, path, stat)?;
        }
        Ok(done)
    }

    /// Looks at the right side of the directory that a descriptor is of.
    #[inline(never)]
    fn look_closer_at_opened(&self, fd: i32, path: *const u8, stat: *mut libc::stat) -> Result<(), Errno> {
        // SAFETY: a call that succeeds has filled the struct.
        let (device, inode) = unsafe { ((*stat).st_dev, (*stat).st_ino) };
        if is_free(fd) || self.is_known_by_number(fd, device, inode) {
            return Ok(());
        }
        let boundary = || self.look_closer(fd, path, Start::ANEW, Want::LOOK).boundary();
        self.look_closer_at_directory((fd, path), boundary, stat)
    }

    /// [`Instance::fstat`] where the kernel finds what is meant by itself.
    fn look_at_given(&self, place: &Place, stat: *mut libc::stat, flags: i32) -> Result<usize, Errno> {
        let done = look_at(place, stat, flags)?;
        // SAFETY: a call that succeeds has filled the struct.
        if is_directory(unsafe { (*stat).st_mode }) {
            self.look_closer_at_directory((place.dirfd, place.path), || place.node, stat)?;
        }
        Ok(done)
    }

    /// Looks at the right side of a directory that the kernel has found, and counts what is
    /// mounted in it. `boundary` tells where in the tree of mounts it stands.
    fn look_closer_at_directory(
        &self,
        (dirfd, path): (i32, *const u8),
        boundary: impl FnOnce() -> Option<view::NodeId>,
        stat: *mut libc::stat,
    ) -> Result<(), Errno> {
        let mut scratch = Scratch::new();
        match self.union_place(dirfd, path, &mut scratch) {
            // The descriptor's own is what the directory is known by.
            Some(side) if side.identity == Some(0) && self.is_lowest(dirfd) => {
                // SAFETY: a call that succeeds has filled the struct.
                let (device, inode) = unsafe { ((*stat).st_dev, (*stat).st_ino) };
                look_at(&side, stat, libc::AT_SYMLINK_NOFOLLOW)?;
                // SAFETY: as above.
                let found = unsafe { &mut *stat };
                (found.st_dev, found.st_ino, found.st_nlink) = (device, inode, 1);
                Ok(())
            }
            Some(place) => {
                self.look_and_count(&place, stat, libc::AT_SYMLINK_NOFOLLOW)?;
                // SAFETY: a call that succeeds has filled the struct.
                self.learn_origin(&About::of(unsafe { &*stat }).version, &place);
                Ok(())
            }
            None => {
                self.count(&Place::new(dirfd, path, 0, boundary()), stat);
                Ok(())
            }
        }
    }

    /// Looks at what has a plain path in a directory of a union with two sides. None: that
    /// takes a walk. `found` gives the mode and the device of what `look` has found.
    #[inline]
    pub(super) fn look_at_one_of_two(
        &self,
        path: *const u8,
        start: Start,
        follow: bool,
        look: impl Fn(&Place) -> Result<usize, Errno>,
        found: impl Fn() -> (u32, u64),
    ) -> Option<Result<usize, Errno>> {
        let mut scratch = [PlainScratch::new(), PlainScratch::new()];
        let (higher, lower) = self.two_places(path, start, &mut scratch)?;
        if self.traces() {
            return None;
        }
        let (done, is_higher) = match (look(&higher), &lower) {
            (Err(Errno::ENOENT), Some(lower)) => (look(lower), false),
            (done, _) => (done, true),
        };
        if let Err(errno) = done {
            return (errno == Errno::ENOENT).then_some(Err(errno));
        }
        let (mode, device) = found();
        is_whole(mode, device, is_higher, follow).then_some(done)
    }

    /// The same, where the path leads through a link.
    #[inline(never)]
    fn fstatat_walked(&self, dirfd: i32, path: *const u8, stat: *mut libc::stat, flags: i32) -> Answer {
        let want = Want::LOOK.following(follows(flags));
        self.at_place(libc::SYS_newfstatat, (dirfd, path), Look::Walk, want, |place| {
            self.look_and_count(place, stat, flags)
        })
    }

    /// Looks at a place, as newfstatat(2), and counts what is mounted in a directory.
    fn look_and_count(&self, place: &Place, stat: *mut libc::stat, flags: i32) -> Result<usize, Errno> {
        let done = look_at(place, stat, flags)?;
        self.count(place, stat);
        Ok(done)
    }

    /// Counts what is mounted in a place that a call has found, if it is a directory.
    fn count(&self, place: &Place, stat: *mut libc::stat) {
        // SAFETY: a call that succeeds has filled the struct.
        let found = unsafe { &mut *stat };
        if is_directory(found.st_mode) {
            let version = About::of(found).version;
            found.st_nlink = self.count_links(place, found.st_nlink, Some(&version));
            if let Some(known_by) = self.identity_of(place) {
                (found.st_dev, found.st_ino, found.st_nlink) = (known_by.st_dev, known_by.st_ino, 1);
            }
        }
    }
}

/// Looks at a place, as newfstatat(2).
#[inline(always)]
fn look_at(place: &Place, stat: *mut libc::stat, flags: i32) -> Result<usize, Errno> {
    let args = [place.dirfd as usize, place.path as usize, stat as usize, flags as usize];
    // SAFETY: the program's pointer, for the kernel to judge.
    unsafe { syscall4(libc::SYS_newfstatat, args) }
}

/// Whether what one side of two has is all that there is: no whiteout, no link that is to be
/// followed, and no directory, which the lower side may have too.
pub(super) fn is_whole(mode: u32, device: u64, is_higher: bool, follow: bool) -> bool {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => !is_higher,
        libc::S_IFLNK => !follow,
        libc::S_IFCHR => device != 0,
        _ => true,
    }
}

pub(super) fn is_directory(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFDIR
}

/// Whether a call means the file of its descriptor, as fstat(3) does.
pub(super) fn means_descriptor(path: *const u8, flags: i32) -> bool {
    // SAFETY: found readable.
    flags & libc::AT_EMPTY_PATH != 0 && crate::user::is_readable(path, 1) && unsafe { *path } == 0
}

/// Whether a look that succeeded has found a symbolic link.
#[inline(always)]
fn found_link(stat: *const libc::stat) -> bool {
    // SAFETY: a call that succeeds has filled the struct.
    unsafe { (*stat).st_mode & libc::S_IFMT == libc::S_IFLNK }
}
