//! Calls that change a file or a name: mkdir, unlink, chmod, truncate and the like.

use super::owners::{Own, is_access_list, is_override};
use super::place::{Change, Need, Place, Want};
use super::refusal::{Times, flags_are_known, may_alter, may_link_to, may_make};
use super::union::is_private_attribute;
use crate::kernel::{AT_FDCWD, syscall};
use crate::shared::owners::Book;
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// mkdirat(2)
    pub fn mkdirat(&self, dirfd: i32, path: *const u8, mode: u32) -> Answer {
        self.forget_rights();
        self.make(libc::SYS_mkdirat, dirfd, path, [self.mode_on_disk(mode) as usize, 0])
    }

    /// mknodat(2)
    pub fn mknodat(&self, dirfd: i32, path: *const u8, mode: u32, device: u64) -> Answer {
        if let Err(errno) = may_make(mode) {
            return Answer::fail(errno);
        }
        if self.plays() && matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
            return self.make_device(dirfd, path, mode, device);
        }
        let mode = self.mode_on_disk(mode);
        self.make(libc::SYS_mknodat, dirfd, path, [mode as usize, device as usize])
    }

    fn make(&self, nr: i64, dirfd: i32, path: *const u8, words: [usize; 2]) -> Answer {
        self.made_by(nr, (dirfd, path), |place| {
            // SAFETY: the kernel only reads the string.
            unsafe { syscall(nr, [place.dirfd as usize, place.path as usize, words[0], words[1], 0, 0]) }
        })
    }

    /// Makes a name by a call, and gives it its owner where that is not the kernel's affair.
    fn made_by(
        &self,
        nr: i64,
        (dirfd, path): (i32, *const u8),
        mut call: impl FnMut(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        if let Err(errno) = self.may_change_name((dirfd, path), false) {
            return Answer::fail(errno);
        }
        let want = if nr == libc::SYS_mkdirat { Want::CREATE_DIRECTORY } else { Want::CREATE };
        match self.at(nr, dirfd, path, want, |place| self.made(place, call(place))) {
            Answer::Pass if self.plays() => {
                let given = Place::new(dirfd, path, 0, None);
                Answer::Done(self.made(&given, call(&given)))
            }
            answer => answer,
        }
    }

    /// symlinkat(2). The link's text is the program's own: an app path, or relative.
    pub fn symlinkat(&self, target: *const u8, dirfd: i32, path: *const u8) -> Answer {
        if let Err(errno) = may_link_to(target) {
            return Answer::fail(errno);
        }
        self.forget_rights();
        self.made_by(libc::SYS_symlinkat, (dirfd, path), |place| {
            let args = [target as usize, place.dirfd as usize, place.path as usize, 0, 0, 0];
            // SAFETY: the kernel only reads the strings.
            unsafe { syscall(libc::SYS_symlinkat, args) }
        })
    }

    /// unlinkat(2), with `AT_REMOVEDIR` also rmdir(2).
    pub fn unlinkat(&self, dirfd: i32, path: *const u8, flags: i32) -> Answer {
        if flags & !libc::AT_REMOVEDIR != 0 {
            return Answer::fail(Errno::EINVAL);
        }
        let directory = flags & libc::AT_REMOVEDIR != 0;
        let below = if directory { Errno::ENOTEMPTY } else { Errno::EISDIR };
        if let Err(errno) = self.may_change_name((dirfd, path), true) {
            return Answer::fail(errno);
        }
        let want = Want { follow: false, change: Change::Remove(below) };
        let remove = |place: &Place| {
            let record = self.record_of_removed(place.dirfd, place.path);
            if directory {
                self.forget_directories();
            }
            let args = [place.dirfd as usize, place.path as usize, flags as usize, 0, 0, 0];
            // SAFETY: the kernel only reads the string.
            let done = unsafe { syscall(libc::SYS_unlinkat, args) };
            if directory {
                self.forget_directories();
            }
            if let (Ok(_), Some((book, gone))) = (done, record) {
                book.remove(&gone);
            }
            done
        };
        match self.at(libc::SYS_unlinkat, dirfd, path, want, remove) {
            Answer::Pass if self.book.is_some_and(Book::has_records) => {
                Answer::Done(remove(&Place::new(dirfd, path, 0, None)))
            }
            answer => answer,
        }
    }

    /// What the table of directories knows is about to change, or just has.
    pub(super) fn forget_directories(&self) {
        if let Some(directories) = self.directories {
            directories.forget_directories();
        }
    }

    /// Makes a change after which others may search a directory of a union.
    pub(super) fn changing_rights<T>(&self, change: impl FnOnce() -> T) -> T {
        if let Some(directories) = self.directories {
            directories.change_rights();
        }
        let done = change();
        if let Some(directories) = self.directories {
            directories.change_rights();
        }
        done
    }

    /// fchmodat(2), and fchmodat2(2) where there are flags.
    pub fn fchmodat(&self, dirfd: i32, path: *const u8, mode: u32, flags: i32) -> Answer {
        const SYS_FCHMODAT2: i64 = 452;
        if let Err(errno) = flags_are_known(flags, MODIFY_FLAGS) {
            return Answer::fail(errno);
        }
        if self.plays() {
            return self.own(SYS_FCHMODAT2, (dirfd, path), flags, Own::Mode(mode));
        }
        let nr = if flags == 0 { libc::SYS_fchmodat } else { SYS_FCHMODAT2 };
        self.modify(nr, (dirfd, path), flags, Want::MODE, [mode as usize, flags as usize, 0])
    }

    /// fchownat(2)
    pub fn fchownat(&self, dirfd: i32, path: *const u8, uid: u32, gid: u32, flags: i32) -> Answer {
        if let Err(errno) = flags_are_known(flags, MODIFY_FLAGS) {
            return Answer::fail(errno);
        }
        if self.plays() {
            return self.own(libc::SYS_fchownat, (dirfd, path), flags, Own::Owner(uid, gid));
        }
        let words = [uid as usize, gid as usize, flags as usize];
        let need = if (uid, gid) == (u32::MAX, u32::MAX) { Need::Nothing } else { Need::Owner };
        let want = Want { follow: true, change: Change::Modify(need) };
        self.modify(libc::SYS_fchownat, (dirfd, path), flags, want, words)
    }

    /// chown(2) and chmod(2), where owners are played.
    fn own(&self, nr: i64, (dirfd, path): (i32, *const u8), flags: i32, what: Own) -> Answer {
        if names_descriptor(path, flags) {
            return self.own_descriptor(dirfd, what, true);
        }
        self.own_path(nr, (dirfd, path), flags, what)
    }

    /// utimensat(2). `times` is the program's.
    pub fn utimensat(&self, dirfd: i32, path: *const u8, times: *const libc::timespec, flags: i32) -> Answer {
        let read = Times::read(times);
        match read {
            Err(errno) => return Answer::fail(errno),
            Ok(Times::Nothing) => return Answer::Done(Ok(0)),
            Ok(_) => {}
        }
        if let Err(errno) = flags_are_known(flags, MODIFY_FLAGS) {
            return Answer::fail(errno);
        }
        if read == Ok(Times::Wrong) && !names_descriptor(path, flags) {
            let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
            return self.refused(libc::SYS_utimensat, (dirfd, path), follow, Errno::EINVAL);
        }
        let want = if read == Ok(Times::Now) { TIMES_OF_NOW } else { Want::MODIFY };
        let Some(host) = self.host_times(times) else {
            let words = [times as usize, flags as usize, 0];
            return self.modify(libc::SYS_utimensat, (dirfd, path), flags, want, words);
        };
        let words = [host.as_ptr() as usize, flags as usize, 0];
        self.with_own_words(
            libc::SYS_utimensat,
            (dirfd, path),
            self.modify(libc::SYS_utimensat, (dirfd, path), flags, want, words),
            words,
        )
    }

    /// futimesat(2). `times` is the program's.
    pub fn futimesat(&self, dirfd: i32, path: *const u8, times: *const libc::timeval) -> Answer {
        let Some(host) = self.host_timevals(times) else {
            let words = [times as usize, 0, 0];
            let want = if times.is_null() { TIMES_OF_NOW } else { Want::MODIFY };
            return self.modify(libc::SYS_futimesat, (dirfd, path), 0, want, words);
        };
        let (nr, words) = (libc::SYS_utimensat, [host.as_ptr() as usize, 0, 0]);
        let answer = self.modify(nr, (dirfd, path), 0, Want::MODIFY, words);
        self.with_own_words(nr, (dirfd, path), answer, words)
    }

    /// A call whose words are not the program's own, so that no door can make it.
    fn with_own_words(
        &self,
        nr: i64,
        (dirfd, path): (i32, *const u8),
        answer: Answer,
        words: [usize; 3],
    ) -> Answer {
        let [a, b, c] = words;
        match answer {
            Answer::Pass => {
                // SAFETY: the program's pointers, for the kernel to judge, and ours.
                Answer::Done(unsafe { syscall(nr, [dirfd as usize, path as usize, a, b, c, 0]) })
            }
            done => done,
        }
    }

    fn modify(
        &self,
        nr: i64,
        (dirfd, path): (i32, *const u8),
        flags: i32,
        want: Want,
        words: [usize; 3],
    ) -> Answer {
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        if let Err(errno) = self.may_modify_path((dirfd, path), follow, want.change) {
            return Answer::fail(errno);
        }
        if names_descriptor(path, flags) && self.is_protected_descriptor(dirfd) {
            return Answer::fail(Errno::EROFS);
        }
        if names_descriptor(path, flags)
            && let Some(done) =
                self.modify_in_union(nr, [dirfd as usize, words[0], words[1], words[2], 0, 0], true)
        {
            return done;
        }
        let call = |place: &Place| {
            let [a, b, c] = words;
            // SAFETY: the program's pointers, for the kernel to judge.
            unsafe { syscall(nr, [place.dirfd as usize, place.path as usize, a, b, c, 0]) }
        };
        match self.at(nr, dirfd, path, want.following(follow), call) {
            Answer::Pass if names_descriptor(path, flags) && self.has_unions() => {
                Answer::Done(self.changing_rights(|| call(&Place::new(dirfd, path, 0, None))))
            }
            answer => answer,
        }
    }

    /// A call that changes what a path leads to and takes up to four more
    /// words after it: truncate(2), setxattr(2), removexattr(2).
    pub fn alter(&self, nr: i64, path: *const u8, follow: bool, words: [usize; 4]) -> Answer {
        if let Err(errno) = may_alter(nr, words) {
            return Answer::fail(errno);
        }
        if nr != libc::SYS_truncate
            && let Some(kept) = self.kept_name(words[0] as *const u8)
        {
            return self.alter_kept(nr, (path, follow), kept, words);
        }
        let is_list = nr != libc::SYS_truncate && self.plays() && is_access_list(words[0] as *const u8);
        let change = match nr {
            libc::SYS_truncate => Change::Truncate,
            _ if is_access_list(words[0] as *const u8) => Change::Modify(Need::Owner),
            _ => Change::Modify(Need::Write),
        };
        if let Err(errno) = self.may_modify_path((AT_FDCWD, path), follow, change) {
            return Answer::fail(errno);
        }
        if nr != libc::SYS_truncate
            && let Err(errno) = self.may_alter_attribute(nr, path, follow, words[0] as *const u8)
        {
            return Answer::fail(errno);
        }
        if nr != libc::SYS_truncate && self.plays() && is_override(words[0] as *const u8) {
            return Answer::fail(Errno::EOPNOTSUPP);
        }
        let is_private = nr != libc::SYS_truncate && is_private_attribute(words[0] as *const u8);
        let alter = |place: &Place| {
            if is_private && self.is_layered(place) {
                return Err(Errno::EOPNOTSUPP);
            }
            let done = place.with_path(|path| {
                let [a, b, c, d] = words;
                // SAFETY: the program's pointers, for the kernel to judge.
                unsafe { syscall(nr, [path as usize, a, b, c, d, 0]) }
            });
            let no_follow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
            if is_list { self.after_list((place.dirfd, place.path, no_follow), done) } else { done }
        };
        match self.at(nr, AT_FDCWD, path, Want { follow, change }, alter) {
            Answer::Pass if is_list => Answer::Done(alter(&Place::new(AT_FDCWD, path, 0, None))),
            answer => answer,
        }
    }
}

/// To set the time of now it is enough to be allowed to write.
const TIMES_OF_NOW: Want = Want { follow: true, change: Change::Modify(Need::OwnerOrWrite) };

/// The flags of fchmodat2(2), fchownat(2) and utimensat(2).
const MODIFY_FLAGS: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

/// Whether a call means the file of its descriptor.
fn names_descriptor(path: *const u8, flags: i32) -> bool {
    // SAFETY: read only where found readable.
    flags & libc::AT_EMPTY_PATH != 0 && crate::user::is_string(path) && unsafe { *path } == 0
}
