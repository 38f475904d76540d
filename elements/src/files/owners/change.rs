//! chown(2) and chmod(2): who may, and what becomes of the file.
//!
//! What the kernel itself can be told is told it: permissions. The rest is a record.
//! On the disk a file keeps no bit that would have it run as the host user for somebody
//! else, and one of an instance that began as root can be read and written by that
//! user whatever its mode: root's programs may.

use super::super::place::Want;
use super::super::refusal::loses_bits;
use super::{EMPTY, Opened, by_number, open_place};
use crate::files::present::About;
use crate::identity::credentials::{Credentials, UNCHANGED, capability};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::owners::Record;
use crate::{Answer, Errno, Instance};

/// What is to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::files) enum Own {
    /// The owner and the group, each unless it is [`UNCHANGED`].
    Owner(u32, u32),
    /// The permissions.
    Mode(u32),
}

impl Instance<'_> {
    /// Changes what a path leads to, by the rules of the program's credentials.
    pub(in crate::files) fn own_path(
        &self,
        number: i64,
        (dirfd, path): (i32, *const u8),
        flags: i32,
        what: Own,
    ) -> Answer {
        if let Err(errno) = self.may_reach((dirfd, path)) {
            return Answer::fail(errno);
        }
        let no_follow = flags & libc::AT_SYMLINK_NOFOLLOW;
        let want =
            if matches!(what, Own::Mode(_)) { Want::MODE } else { Want::MODIFY }.following(no_follow == 0);
        let answer = self.at(number, dirfd, path, want, |place| {
            let file = open_place(place.dirfd, place.path, no_follow)?;
            self.own_file(file.0, what).map(|()| 0)
        });
        match answer {
            Answer::Pass => Answer::Done((|| {
                let file = open_place(dirfd, path, no_follow)?;
                self.own_file(file.0, what).map(|()| 0)
            })()),
            done => done,
        }
    }

    /// Changes a descriptor's file.
    pub(in crate::files) fn own_descriptor(&self, fd: i32, what: Own, may_be_path: bool) -> Answer {
        let done = || {
            if fd == AT_FDCWD {
                let here = open_place(AT_FDCWD, c".".as_ptr().cast(), 0)?;
                return self.own_file(here.0, what);
            }
            let flags = kernel::status_flags(fd)?;
            if flags & libc::O_PATH != 0 && !may_be_path {
                return Err(Errno(libc::EBADF));
            }
            if self.is_protected_descriptor(fd) {
                return Err(Errno::EROFS);
            }
            if let Some(done) = self.on_copy(fd, true, Want::MODIFY_LINK, &mut |place| {
                let file = open_place(place.dirfd, place.path, libc::AT_SYMLINK_NOFOLLOW)?;
                self.own_file(file.0, what).map(|()| 0)
            }) {
                return done.map(|_| ());
            }
            self.own_file(fd, what)
        };
        Answer::Done(done().map(|()| 0))
    }

    fn own_file(&self, file: i32, what: Own) -> Result<(), Errno> {
        let about = About::of(&kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)?);
        let mut shown = about;
        self.present(&mut shown, |about| self.record_of(about, file));
        let own = self.credentials();
        match what {
            Own::Owner(uid, gid) => {
                let record = with_owner(&own, &shown, uid, gid)?;
                if about.kind() != libc::S_IFDIR {
                    self.forget_capabilities(file, about.version.inode);
                }
                self.put(file, &about, &record, shown.mode)
            }
            Own::Mode(mode) => {
                if about.kind() == libc::S_IFLNK {
                    return Err(Errno::EOPNOTSUPP);
                }
                let record = with_mode(&own, &shown, mode)?;
                self.put(file, &about, &record, shown.mode)
            }
        }
    }

    /// Has a descriptor's file be shown as a record says.
    pub(super) fn put(&self, file: i32, about: &About, record: &Record, before: u32) -> Result<(), Errno> {
        let done = self.put_on_file(file, about, record, before);
        if about.kind() == libc::S_IFDIR {
            self.forget_rights();
        }
        done
    }

    fn put_on_file(&self, file: i32, about: &About, record: &Record, before: u32) -> Result<(), Errno> {
        let starter = self.starter().ok_or(Errno::EPERM)?;
        let mut about = *about;
        if about.uid == starter.host_uid && about.kind() != libc::S_IFLNK {
            let disk = disk_mode(record.mode, about.kind(), starter.uid == 0);
            if disk != about.mode & 0o7777 || before & 0o7777 != record.mode {
                kernel::chmod(by_number(file)?.as_ptr(), disk)?;
                about.mode = about.kind() | disk;
            }
        }
        self.keep_record(file, &about, record)
    }

    /// Makes room for the host user's own rights where a mode on the disk withholds what root
    /// may do anyway. True: it is worth another attempt.
    #[cold]
    pub(in crate::files) fn widen(&self, dirfd: i32, path: *const u8) -> bool {
        let widened = || -> Option<bool> {
            let starter = self.starter()?;
            if !self.credentials().can(capability::DAC_OVERRIDE) {
                return None;
            }
            let Opened(file) = &open_place(dirfd, path, 0).ok()?;
            let about = About::of(&kernel::fstatat(*file, EMPTY, libc::AT_EMPTY_PATH).ok()?);
            let disk = disk_mode(about.mode & 0o7777, about.kind(), true);
            if about.uid != starter.host_uid || disk == about.mode & 0o7777 {
                return None;
            }
            let mut shown = about;
            self.present(&mut shown, |about| self.record_of(about, *file));
            self.put(*file, &about, &record_as(&shown), !shown.mode).ok()?;
            Some(true)
        };
        widened() == Some(true)
    }
}

/// The mode that a file has on the disk. Where the instance has begun as root, the host user may always
/// read and write what is his.
pub(super) fn disk_mode(mode: u32, kind: u32, began_as_root: bool) -> u32 {
    let own = match (began_as_root, kind) {
        (false, _) => 0,
        (true, libc::S_IFDIR) => 0o700,
        (true, _) if mode & 0o111 != 0 => 0o700,
        (true, _) => 0o600,
    };
    mode & 0o1777 | own
}

/// A file's record as it is shown.
pub(super) fn record_as(shown: &About) -> Record {
    let is_device = matches!(shown.kind(), libc::S_IFCHR | libc::S_IFBLK);
    Record {
        uid: shown.uid,
        gid: shown.gid,
        mode: shown.mode & 0o7777,
        device: if is_device { shown.kind() } else { 0 },
        number: if is_device { shown.number as u32 } else { 0 },
    }
}

/// What chown(2) makes of a file.
fn with_owner(own: &Credentials, shown: &About, uid: u32, gid: u32) -> Result<Record, Errno> {
    let may = own.can(capability::CHOWN);
    let is_owner = own.user.files == shown.uid;
    if loses_bits(shown.mode) && !is_owner && !own.can(capability::FOWNER) {
        return Err(Errno::EPERM);
    }
    if uid != UNCHANGED && !may && !(is_owner && uid == shown.uid) {
        return Err(Errno::EPERM);
    }
    if gid != UNCHANGED && !may && !(is_owner && (own.is_in(gid) || gid == shown.gid)) {
        return Err(Errno::EPERM);
    }
    let mut record = record_as(shown);
    if uid != UNCHANGED {
        record.uid = uid;
    }
    if gid != UNCHANGED {
        record.gid = gid;
    }
    // Nobody's bits go over to another owner.
    if shown.kind() != libc::S_IFDIR {
        record.mode &= !libc::S_ISUID;
        let keeps_group_bit =
            record.mode & libc::S_IXGRP == 0 && (own.is_in(shown.gid) || own.can(capability::FSETID));
        if !keeps_group_bit {
            record.mode &= !libc::S_ISGID;
        }
    }
    Ok(record)
}

/// What chmod(2) makes of it.
fn with_mode(own: &Credentials, shown: &About, mode: u32) -> Result<Record, Errno> {
    if own.user.files != shown.uid && !own.can(capability::FOWNER) {
        return Err(Errno::EPERM);
    }
    let mut record = record_as(shown);
    record.mode = mode & 0o7777;
    if !own.is_in(shown.gid) && !own.can(capability::FSETID) {
        record.mode &= !libc::S_ISGID;
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::owners::Version;

    const SET_IDS: u32 = libc::S_ISUID | libc::S_ISGID;

    fn file(uid: u32, gid: u32, mode: u32) -> About {
        let version = Version { device: 1, inode: 2, changed: (3, 4) };
        About { version, mode, uid, gid, number: 0 }
    }

    #[test]
    fn owners_are_given_away_by_root_alone() {
        let root = Credentials::of(0, 0, &[]);
        let user = Credentials::of(33, 33, &[44]);
        let shown = file(33, 33, libc::S_IFREG | 0o6755);
        let given = with_owner(&root, &shown, 7, UNCHANGED).expect("root may");
        assert_eq!((given.uid, given.gid, given.mode & SET_IDS), (7, 33, 0));
        assert_eq!(with_owner(&user, &shown, 7, UNCHANGED), Err(Errno::EPERM));
        assert_eq!(with_owner(&user, &shown, UNCHANGED, 44).map(|record| record.gid), Ok(44));
        assert_eq!(with_owner(&user, &shown, UNCHANGED, 45), Err(Errno::EPERM));
        assert_eq!(with_owner(&user, &file(0, 33, libc::S_IFREG), UNCHANGED, 33), Err(Errno::EPERM));
    }

    #[test]
    fn a_group_bit_is_for_members() {
        let user = Credentials::of(33, 33, &[]);
        let mode = |gid: u32| with_mode(&user, &file(33, gid, libc::S_IFREG), 0o6755).map(|made| made.mode);
        assert_eq!((mode(33), mode(34)), (Ok(0o6755), Ok(0o4755)));
        assert_eq!(with_mode(&user, &file(0, 0, libc::S_IFREG), 0o644), Err(Errno::EPERM));
    }

    #[test]
    fn no_bit_on_the_disk_runs_a_program_as_the_host_user() {
        assert_eq!(disk_mode(0o4755, libc::S_IFREG, true), 0o755);
        assert_eq!(disk_mode(0o2000, libc::S_IFDIR, true), 0o700);
        assert_eq!(disk_mode(0o0400, libc::S_IFREG, true), 0o600);
        assert_eq!(disk_mode(0o0400, libc::S_IFREG, false), 0o400);
    }
}
