//! What a program is told of a file, where that is not what the kernel says: its
//! owner, group and mode, and that it is a device.
//!
//! All calls that look at a file come by [`Instance::present`] with what the kernel has
//! said. Where nothing has been changed, it looks at memory alone.

use super::owners::{FOREIGN, Reached, is_empty};
use super::place::Want;
use crate::kernel::{self, syscall};
use crate::shared::owners::{Record, Version};
use crate::{Answer, Errno, Instance};

/// What the kernel says of a file, as far as it may be told otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// Which file, and as it is when.
    pub version: Version,
    /// Its kind and permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The number of a device.
    pub number: u64,
}

impl About {
    /// What newfstatat(2) has said.
    pub fn of(stat: &libc::stat) -> About {
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        About {
            version: Version { device: stat.st_dev, inode: stat.st_ino, changed },
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            number: stat.st_rdev,
        }
    }

    /// What statx(2) has said.
    pub(super) fn of_statx(stat: &libc::statx) -> About {
        let changed = (stat.stx_ctime.tv_sec, i64::from(stat.stx_ctime.tv_nsec));
        let device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        About {
            version: Version { device, inode: stat.stx_ino, changed },
            mode: stat.stx_mode.into(),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            number: libc::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }

    /// Puts a record in the place of what the kernel has said.
    pub fn put(&mut self, record: &Record) {
        (self.uid, self.gid) = (record.uid, record.gid);
        let kind = if record.device == 0 { self.mode & libc::S_IFMT } else { record.device };
        self.mode = kind | record.mode;
        if record.device != 0 {
            self.number = u64::from(record.number);
        }
    }

    /// The kind of file.
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

impl Instance<'_> {
    /// What a program is told of a file. `find` looks for the file's record; it is asked only
    /// where there may be one.
    #[inline]
    pub fn present(&self, about: &mut About, find: impl FnOnce(&About) -> Option<Record>) {
        let Some(starter) = self.starter() else { return };
        let record = if self.may_have_record(about, starter.host_uid) {
            let known = self.told.and_then(|told| told.owners.get(&about.version));
            known.unwrap_or_else(|| find(about))
        } else {
            None
        };
        match record {
            Some(record) => about.put(&record),
            None => {
                if about.uid == starter.host_uid {
                    about.uid = starter.uid;
                }
                if about.gid == starter.host_gid {
                    about.gid = starter.gid;
                }
            }
        }
    }

    /// Whether there may be a record of a file.
    #[inline]
    fn may_have_record(&self, about: &About, host_uid: u32) -> bool {
        self.book.is_none_or(|book| book.may_have(about.version.inode))
            || self.view.flags() & FOREIGN != 0 && about.uid == host_uid
    }

    /// Changes the answer of a call that has looked at a file.
    fn present_stat(&self, stat: *mut libc::stat, reached: Reached) {
        // SAFETY: a call that succeeds has filled the struct.
        let stat = unsafe { &mut *stat };
        let mut about = About::of(stat);
        self.present(&mut about, |about| self.record(about, reached));
        self.present_process(&mut about, reached);
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev) =
            (about.mode, about.uid, about.gid, about.number);
    }

    /// What lies in a process's directory of /proc belongs to that process.
    fn present_process(&self, about: &mut About, reached: Reached) {
        let Reached::Path(_, path, _) = reached else { return };
        // SAFETY: the kernel has taken it for a string, and it is read up to its end.
        let is_in_proc = b"/proc/".iter().enumerate().all(|(at, byte)| unsafe { *path.add(at) } == *byte);
        let Some(starter) = self.starter().filter(|starter| is_in_proc && about.uid == starter.uid) else {
            return;
        };
        // SAFETY: as above.
        let path = unsafe { core::ffi::CStr::from_ptr(path.cast()) }.to_bytes();
        let process = path.split(|byte| *byte == b'/').nth(2).unwrap_or(&[]);
        let number = process.iter().try_fold(0_u32, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        });
        let own = match (process, number) {
            (b"self" | b"thread-self", _) => Some(self.credentials()),
            (_, Some(number)) if !process.is_empty() => self.credentials_of(number).ok(),
            _ => None,
        };
        if let Some(own) = own {
            about.uid = own.user.effective;
            if about.gid == starter.gid {
                about.gid = own.group.effective;
            }
        }
    }

    /// newfstatat(2), as the program is told.
    pub fn stat_shown(&self, dirfd: i32, path: *const u8, stat: *mut libc::stat, flags: i32) -> Answer {
        if !self.plays() {
            return self.fstatat(dirfd, path, stat, flags);
        }
        if !(flags & libc::AT_EMPTY_PATH != 0 && is_empty(path))
            && let Err(errno) = self.may_reach((dirfd, path))
        {
            return Answer::fail(errno);
        }
        let answer = self.fstatat(dirfd, path, stat, flags);
        let done = match answer {
            Answer::Pass => {
                let args = [dirfd as usize, path as usize, stat as usize, flags as usize, 0, 0];
                // SAFETY: the program's own arguments, for the kernel to judge.
                unsafe { syscall(libc::SYS_newfstatat, args) }
            }
            Answer::Done(done) => done,
        };
        if done.is_ok() {
            self.present_stat(stat, Reached::Path(dirfd, path, flags));
            self.show_origin(stat, Reached::Path(dirfd, path, flags));
        }
        Answer::Done(done)
    }

    /// fstat(2), as the program is told.
    pub fn fstat_shown(&self, fd: i32, stat: *mut libc::stat) -> Answer {
        // A directory of a union is known by its lowest side.
        let answer = if self.has_unions() {
            self.fstatat(fd, c"".as_ptr().cast(), stat, libc::AT_EMPTY_PATH)
        } else {
            Answer::Pass
        };
        if !self.plays() {
            return answer;
        }
        let done = match answer {
            Answer::Done(done) => done,
            Answer::Pass => kernel::fstat(fd, stat),
        };
        if done.is_ok() {
            self.present_stat(stat, Reached::File(fd));
            self.show_origin(stat, Reached::File(fd));
        }
        Answer::Done(done)
    }

    /// statx(2), as the program is told.
    pub fn statx_shown(
        &self,
        dirfd: i32,
        path: *const u8,
        flags: i32,
        mask: u32,
        buf: *mut libc::statx,
    ) -> Answer {
        let reached = Reached::Path(dirfd, path, flags);
        // Which file it is, and when it changed, tell whose it is, and what it is known by.
        let known = mask | libc::STATX_INO | libc::STATX_CTIME | libc::STATX_TYPE;
        if !self.plays() {
            let mask = if self.has_copies() { known } else { mask };
            let answer = self.statx(dirfd, path, flags, mask, buf);
            if matches!(answer, Answer::Done(Ok(_))) {
                self.show_extended_origin(buf, reached);
            }
            return answer;
        }
        if !(flags & libc::AT_EMPTY_PATH != 0 && is_empty(path))
            && let Err(errno) = self.may_reach((dirfd, path))
        {
            return Answer::fail(errno);
        }
        let done = match self.statx(dirfd, path, flags, known, buf) {
            Answer::Pass => {
                let args = [dirfd as usize, path as usize, flags as usize, known as usize, buf as usize, 0];
                // SAFETY: the program's own arguments, for the kernel to judge.
                unsafe { syscall(libc::SYS_statx, args) }
            }
            Answer::Done(done) => done,
        };
        if done.is_ok() {
            // SAFETY: a call that succeeds has filled the struct.
            let stat = unsafe { &mut *buf };
            let mut about = About::of_statx(stat);
            self.present(&mut about, |about| self.record(about, reached));
            self.present_process(&mut about, reached);
            (stat.stx_mode, stat.stx_uid, stat.stx_gid) = (about.mode as u16, about.uid, about.gid);
            (stat.stx_rdev_major, stat.stx_rdev_minor) =
                (libc::major(about.number), libc::minor(about.number));
            self.show_extended_origin(buf, reached);
        }
        Answer::Done(done)
    }

    /// What the program is told of what lies at a place that is the kernel's to resolve.
    ///
    /// # Errors
    ///
    /// Those of newfstatat(2).
    pub(crate) fn stat_of_place(&self, dirfd: i32, path: *const u8, flags: i32) -> Result<About, Errno> {
        let mut about = About::of(&kernel::fstatat(dirfd, path, flags)?);
        self.present(&mut about, |about| self.record(about, Reached::Place(dirfd, path, flags)));
        Ok(about)
    }

    /// What the program is told of a descriptor's file.
    pub(crate) fn stat_of_file(&self, fd: i32) -> Result<About, Errno> {
        self.stat_of_place(fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)
    }

    /// How a path of the program's is to be looked at.
    pub(super) fn want_to_look(flags: i32) -> Want {
        Want::LOOK.following(flags & libc::AT_SYMLINK_NOFOLLOW == 0)
    }
}
