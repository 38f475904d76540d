//! Calls that change a file or a name: mkdir, unlink, chmod, truncate and the like.

use super::owners::{Own, is_access_list, is_override};
use super::place::{Change, Place, Want};
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
        match self.at(nr, dirfd, path, Want::CREATE, |place| self.made(place, call(place))) {
            Answer::Pass if self.plays() => {
                let given = Place::new(dirfd, path, 0, None);
                Answer::Done(self.made(&given, call(&given)))
            }
            answer => answer,
        }
    }

    /// symlinkat(2). The link's text is the program's own: an app path, or relative.
    pub fn symlinkat(&self, target: *const u8, dirfd: i32, path: *const u8) -> Answer {
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
        if let Some(shared) = self.shared {
            shared.forget_directories();
        }
    }

    /// fchmodat(2), and fchmodat2(2) where there are flags.
    pub fn fchmodat(&self, dirfd: i32, path: *const u8, mode: u32, flags: i32) -> Answer {
        const SYS_FCHMODAT2: i64 = 452;
        if self.plays() {
            return self.own(SYS_FCHMODAT2, (dirfd, path), flags, Own::Mode(mode));
        }
        let nr = if flags == 0 { libc::SYS_fchmodat } else { SYS_FCHMODAT2 };
        self.modify(nr, dirfd, path, flags, [mode as usize, flags as usize, 0])
    }

    /// fchownat(2)
    pub fn fchownat(&self, dirfd: i32, path: *const u8, uid: u32, gid: u32, flags: i32) -> Answer {
        if self.plays() {
            return self.own(libc::SYS_fchownat, (dirfd, path), flags, Own::Owner(uid, gid));
        }
        if names_descriptor(path, flags) && self.is_protected_descriptor(dirfd) {
            return Answer::fail(Errno::EROFS);
        }
        let words = [uid as usize, gid as usize, flags as usize];
        self.modify(libc::SYS_fchownat, dirfd, path, flags, words)
    }

    /// chown(2) and chmod(2), where owners are played.
    fn own(&self, nr: i64, (dirfd, path): (i32, *const u8), flags: i32, what: Own) -> Answer {
        if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return Answer::fail(Errno::EINVAL);
        }
        if names_descriptor(path, flags) {
            return self.own_descriptor(dirfd, what, true);
        }
        self.own_path(nr, (dirfd, path), flags, what)
    }

    /// utimensat(2). `times` is the program's.
    pub fn utimensat(&self, dirfd: i32, path: *const u8, times: *const libc::timespec, flags: i32) -> Answer {
        let Some(host) = self.host_times(times) else {
            return self.modify(libc::SYS_utimensat, dirfd, path, flags, [times as usize, flags as usize, 0]);
        };
        let words = [host.as_ptr() as usize, flags as usize, 0];
        self.with_own_words(
            libc::SYS_utimensat,
            (dirfd, path),
            self.modify(libc::SYS_utimensat, dirfd, path, flags, words),
            words,
        )
    }

    /// futimesat(2). `times` is the program's.
    pub fn futimesat(&self, dirfd: i32, path: *const u8, times: *const libc::timeval) -> Answer {
        let Some(host) = self.host_timevals(times) else {
            return self.modify(libc::SYS_futimesat, dirfd, path, 0, [times as usize, 0, 0]);
        };
        let (nr, words) = (libc::SYS_utimensat, [host.as_ptr() as usize, 0, 0]);
        self.with_own_words(nr, (dirfd, path), self.modify(nr, dirfd, path, 0, words), words)
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

    fn modify(&self, nr: i64, dirfd: i32, path: *const u8, flags: i32, words: [usize; 3]) -> Answer {
        if let Err(errno) = self.must_own((dirfd, path), flags & libc::AT_SYMLINK_NOFOLLOW == 0) {
            // To set the time of now it is enough to be allowed to write.
            let may = if words[0] == 0 {
                self.may_use_path((dirfd, path), true, libc::W_OK as u32, false)
            } else {
                Err(errno)
            };
            if let Err(errno) = may {
                return Answer::fail(errno);
            }
        }
        if names_descriptor(path, flags)
            && let Some(done) = self.modify_in_union(nr, [dirfd as usize, words[0], words[1], words[2], 0, 0])
        {
            return done;
        }
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        self.at(nr, dirfd, path, Want::MODIFY.following(follow), |place| {
            let [a, b, c] = words;
            // SAFETY: the program's pointers, for the kernel to judge.
            unsafe { syscall(nr, [place.dirfd as usize, place.path as usize, a, b, c, 0]) }
        })
    }

    /// A call that changes what a path leads to and takes up to four more
    /// words after it: truncate(2), setxattr(2), removexattr(2).
    pub fn alter(&self, nr: i64, path: *const u8, follow: bool, words: [usize; 4]) -> Answer {
        let change = if nr == libc::SYS_truncate { Change::Truncate } else { Change::Modify };
        if nr != libc::SYS_truncate
            && let Some(kept) = self.kept_name(words[0] as *const u8)
        {
            return self.alter_kept(nr, (path, follow), kept, words);
        }
        let is_list = nr != libc::SYS_truncate && self.plays() && is_access_list(words[0] as *const u8);
        let wanted = if is_list {
            self.must_own((AT_FDCWD, path), follow)
        } else {
            self.may_use_path((AT_FDCWD, path), follow, libc::W_OK as u32, false)
        };
        if let Err(errno) = wanted {
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

/// Whether a call means the file of its descriptor.
fn names_descriptor(path: *const u8, flags: i32) -> bool {
    // SAFETY: read only where found readable.
    flags & libc::AT_EMPTY_PATH != 0 && crate::user::is_string(path) && unsafe { *path } == 0
}
