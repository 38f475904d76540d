//! open(2), access(2) and other calls on a path, by a process with credentials of its own.

use super::change::Own;
use crate::files::present::About;
use crate::files::text::Text;
use crate::files::{MAX_PATH, scan};
use crate::identity::credentials::capability;
use crate::kernel;
use crate::{Answer, Errno, Instance};

const SET_BITS: u32 = libc::S_ISUID | libc::S_ISGID;

/// How many links the kernel follows in one path.
const LINKS: usize = 40;

/// What the flags of an open ask of a file's permissions.
fn wanted(flags: i32) -> u32 {
    let access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => libc::R_OK,
        libc::O_WRONLY => libc::W_OK,
        _ => libc::R_OK | libc::W_OK,
    };
    (access | if flags & libc::O_TRUNC != 0 { libc::W_OK } else { 0 }) as u32
}

impl Instance<'_> {
    /// open(2) and its kin, where credentials are played. `call` makes the call.
    pub fn open_played(
        &self,
        (dirfd, path): (i32, *const u8),
        flags: i32,
        mode: u32,
        call: impl Fn(u32) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let is_temporary = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        let creates = flags & libc::O_CREAT != 0 && flags & libc::O_PATH == 0 && !is_temporary;
        let follow = flags & libc::O_NOFOLLOW == 0 && (!creates || flags & libc::O_EXCL == 0);
        let makes = creates || is_temporary;
        let marks = makes && (self.marks_made() || mode & SET_BITS != 0);
        let is_judged = self.is_judged();
        let is_new = creates && (marks || is_judged) && !self.is_there(dirfd, path, follow);
        if is_judged {
            match flags {
                _ if is_temporary => self.may_use_path((dirfd, path), true, 3, false)?,
                _ if is_new => self.may_make_at((dirfd, path), follow)?,
                flags if flags & libc::O_PATH != 0 => self.may_reach((dirfd, path))?,
                _ => self.may_open_path((dirfd, path), follow, flags, wanted(flags))?,
            }
        }
        let mode_on_disk = if makes { mode & !SET_BITS } else { mode };
        let opened = match call(mode_on_disk) {
            // Root may pass what the host user has withheld from himself.
            Err(Errno::EACCES) if !is_judged && self.widen(dirfd, path) => call(mode_on_disk)?,
            done => done?,
        };
        if marks && (is_new || is_temporary) {
            let done = self
                .mark_opened(opened as i32, dirfd, path)
                .and_then(|()| self.set_bits(opened as i32, mode));
            if let Err(errno) = done {
                kernel::close(opened as i32);
                return Err(errno);
            }
        }
        Ok(opened)
    }

    /// Whether this process may make a file at a path, which may be that of a link to nothing yet.
    fn may_make_at(&self, at: (i32, *const u8), follow: bool) -> Result<(), Errno> {
        self.may_change_name(at, false)?;
        let mut path: Text<MAX_PATH>;
        let mut at = at;
        for _ in 0..if follow { LINKS } else { 0 } {
            let mut target = Text::<MAX_PATH>::new();
            let read = target.fill(|room| match self.readlinkat(at.0, at.1, room.as_mut_ptr(), room.len()) {
                Answer::Pass => {
                    let args = [at.0 as usize, at.1 as usize, room.as_mut_ptr() as usize, room.len(), 0, 0];
                    // SAFETY: the kernel writes no more than the room's length.
                    unsafe { kernel::syscall(libc::SYS_readlinkat, args) }
                }
                Answer::Done(done) => done,
            });
            if read.is_err() {
                break;
            }
            let mut next = Text::<MAX_PATH>::new();
            if target.bytes().first() != Some(&b'/') {
                // SAFETY: a string that has been read.
                let given = unsafe { core::slice::from_raw_parts(at.1, scan::length(at.1)) };
                let end = given.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
                next.push(given.get(..end).unwrap_or(&[]))?;
            }
            next.push(target.bytes())?;
            path = next;
            at.1 = path.as_ptr();
            self.may_change_name(at, false)?;
        }
        Ok(())
    }

    /// Gives a new file the bits that the disk does not have.
    fn set_bits(&self, fd: i32, mode: u32) -> Result<(), Errno> {
        if mode & SET_BITS == 0 {
            return Ok(());
        }
        let now = self.stat_of_file(fd)?.mode & 0o7777;
        match self.own_descriptor(fd, Own::Mode(now | mode & SET_BITS), false) {
            Answer::Done(Err(errno)) => Err(errno),
            _ => Ok(()),
        }
    }

    pub(in crate::files) fn is_there(&self, dirfd: i32, path: *const u8, follow: bool) -> bool {
        let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        match self.fstatat(dirfd, path, stat.as_mut_ptr(), flags) {
            Answer::Pass => kernel::fstatat(dirfd, path, flags).is_ok(),
            Answer::Done(done) => done.is_ok(),
        }
    }

    /// faccessat2(2), where credentials are played.
    pub fn access_shown(&self, dirfd: i32, path: *const u8, mode: i32, flags: i32) -> Answer {
        let answer = self.faccessat(dirfd, path, mode, flags);
        if !self.plays() {
            return answer;
        }
        let done = match answer {
            Answer::Pass if flags == 0 => kernel::faccessat(dirfd, path, mode),
            Answer::Pass => kernel::faccessat2(dirfd, path, mode, flags),
            Answer::Done(done) => done.map(|_| ()),
        };
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let real = flags & libc::AT_EACCESS == 0;
        let done = match done {
            Err(Errno::EACCES) if mode & libc::X_OK == 0 => self.would_pass(dirfd, path, follow),
            // That it is missing is told only to who may look.
            Err(errno) if flags & libc::AT_EMPTY_PATH == 0 => {
                self.may_use_path((dirfd, path), follow, 0, real).and(Err(errno))
            }
            done => done,
        };
        let judge = |()| self.may_use_path((dirfd, path), follow, mode as u32, real);
        Answer::Done(done.and_then(judge).map(|()| 0))
    }

    /// Whether root may pass what the disk withholds from the host user: what is his own.
    fn would_pass(&self, dirfd: i32, path: *const u8, follow: bool) -> Result<(), Errno> {
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
        let done = match self.fstatat(dirfd, path, stat.as_mut_ptr(), flags) {
            Answer::Pass => kernel::fstatat(dirfd, path, flags).map(|found| About::of(&found)),
            // SAFETY: a call that succeeds has filled the struct.
            Answer::Done(done) => done.map(|_| About::of(unsafe { stat.assume_init_ref() })),
        };
        let is_own =
            self.starter().zip(done.ok()).is_some_and(|(starter, about)| about.uid == starter.host_uid);
        if is_own && self.credentials().can(capability::DAC_OVERRIDE) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether a process may execute, with credentials of its own, what `given` leads to, which
    /// lies at a host path.
    ///
    /// # Errors
    ///
    /// `EACCES`
    pub(crate) fn may_execute(
        &self,
        given: (i32, *const u8),
        (dirfd, path): (i32, *const u8),
        flags: i32,
    ) -> Result<(), Errno> {
        if !self.is_judged() {
            return Ok(());
        }
        let about = self.stat_of_place(dirfd, path, flags & libc::AT_EMPTY_PATH)?;
        let own = self.credentials();
        let may = own.may_use((about.uid, about.gid, about.mode), libc::X_OK as u32);
        if may { self.may_reach(given) } else { Err(Errno::EACCES) }
    }
}
