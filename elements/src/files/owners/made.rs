//! What is made: it belongs to whom the process opens files as, and a directory may hand on its group.

use super::change::record_as;
use super::{EMPTY, open_place};
use crate::files::allow::{exists, parent_exists};
use crate::files::place::{Place, Scratch, Want};
use crate::files::present::About;
use crate::identity::credentials::capability;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::owners::Record;
use crate::{Answer, Errno, Instance};

/// A copy in the making: a file that has no name yet, or something with one.
pub(in crate::files) enum Target<'a> {
    /// A descriptor.
    File(i32),
    /// A host path.
    Path(&'a mut Scratch),
}

impl Instance<'_> {
    /// Has a copy belong to whom its original does.
    pub(in crate::files) fn carry_record(&self, from: &mut Scratch, to: Target<'_>) -> Result<(), Errno> {
        let Some(starter) = self.starter() else { return Ok(()) };
        let shown = self.stat_of_place(AT_FDCWD, from.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let opened;
        let file = match to {
            Target::File(file) => file,
            Target::Path(path) => {
                opened = open_place(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
                opened.0
            }
        };
        let about = About::of(&kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)?);
        let is_same = (shown.uid, shown.gid, shown.mode) == (starter.uid, starter.gid, about.mode);
        if is_same { Ok(()) } else { self.put(file, &about, &record_as(&shown), shown.mode) }
    }

    /// Whether what this process makes takes a look: it is not the one who started the
    /// instance, or a directory may hand on its group.
    pub(in crate::files) fn marks_made(&self) -> bool {
        self.starter().is_some_and(|starter| {
            let (uid, gid) = (self.id(3), self.id(7));
            uid != starter.uid || gid != starter.gid || self.book.is_some_and(|book| book.hands_on())
        })
    }

    /// Gives what has just been made at a place its owner.
    pub(in crate::files) fn mark_made_at(&self, dirfd: i32, path: *const u8) -> Result<(), Errno> {
        let file = open_place(dirfd, path, libc::AT_SYMLINK_NOFOLLOW)?;
        let group = self.group_handed_on(dirfd, path);
        self.mark_made(file.0, group, None)
    }

    /// The same of a descriptor's file, which lies at a path of the program's.
    pub(in crate::files) fn mark_opened(&self, fd: i32, dirfd: i32, path: *const u8) -> Result<(), Errno> {
        let group = if self.book.is_some_and(|book| book.hands_on()) {
            self.parent_of_path(dirfd, path).and_then(|parent| self.hands_on(&parent))
        } else {
            None
        };
        self.mark_made(fd, group, None)
    }

    fn mark_made(&self, file: i32, group: Option<u32>, device: Option<(u32, u64)>) -> Result<(), Errno> {
        let own = self.credentials();
        let about = About::of(&kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)?);
        let mut record = Record { uid: own.user.files, gid: own.group.files, ..record_as(&about) };
        if let Some(group) = group {
            record.gid = group;
            if about.kind() == libc::S_IFDIR {
                record.mode |= libc::S_ISGID;
            }
        }
        if let Some((kind, number)) = device {
            (record.device, record.number) = (kind, number as u32);
        }
        self.put(file, &about, &record, about.mode)
    }

    /// The group that the directory of a place hands on.
    fn group_handed_on(&self, dirfd: i32, path: *const u8) -> Option<u32> {
        if !self.book.is_some_and(|book| book.hands_on()) {
            return None;
        }
        let mut parent = super::may::parent_place(path)?;
        self.hands_on(&self.stat_of_place(dirfd, parent.as_ptr(), 0).ok()?)
    }

    fn hands_on(&self, parent: &About) -> Option<u32> {
        (parent.mode & libc::S_ISGID != 0).then_some(parent.gid)
    }

    /// mkdirat(2), symlinkat(2) and mknodat(2), once the kernel has made it at a place.
    pub(in crate::files) fn made(&self, place: &Place, done: Result<usize, Errno>) -> Result<usize, Errno> {
        let done = done?;
        if self.plays() && self.marks_made() {
            self.mark_made_at(place.dirfd, place.path)?;
        }
        Ok(done)
    }

    /// mknodat(2) of a device: a file stands for it.
    pub(in crate::files) fn make_device(
        &self,
        dirfd: i32,
        path: *const u8,
        mode: u32,
        device: u64,
    ) -> Answer {
        if let Err(errno) = self.may_change_name((dirfd, path), false) {
            return Answer::fail(errno);
        }
        let may = self.credentials().can(capability::MKNOD);
        let make = |dirfd: i32, path: *const u8| {
            if !may {
                let there = Place::new(dirfd, path, 0, None);
                parent_exists(&there)?;
                return Err(if exists(&there) { Errno::EEXIST } else { Errno::EPERM });
            }
            // What the umask leaves of the permissions is the kernel's to say.
            kernel::mknodat(dirfd, path, libc::S_IFREG | mode & 0o777, 0)?;
            let file = open_place(dirfd, path, libc::AT_SYMLINK_NOFOLLOW)?;
            let group = self.group_handed_on(dirfd, path);
            let marked = self.mark_made(file.0, group, Some((mode & libc::S_IFMT, device)));
            if marked.is_err() {
                let _ = kernel::unlinkat(dirfd, path, 0);
            }
            marked.map(|()| 0)
        };
        match self.at(libc::SYS_mknodat, dirfd, path, Want::CREATE, |place| make(place.dirfd, place.path)) {
            Answer::Pass => Answer::Done(make(dirfd, path)),
            done => done,
        }
    }

    /// The mode that the kernel is asked for: nothing new is to run as the host user.
    pub(in crate::files) fn mode_on_disk(&self, mode: u32) -> u32 {
        if self.plays() { mode & !(libc::S_ISUID | libc::S_ISGID) } else { mode }
    }
}
