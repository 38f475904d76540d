//! Who may do what with a file: the kernel's rules, by the owner, group and mode that are shown.
//!
//! The kernel asks what the host user may. Of a process that is not root in its view it is asked here
//! besides, on the way and at its end. What both allow is allowed.

use super::super::place::{Change, Need, Scratch};
use super::super::refusal::{links_are_protected, loses_bits, may_be_linked};
use super::super::text::Text;
use super::search::{Key, directory_of};
use super::{EMPTY, Reached};
use crate::files::present::About;
use crate::files::{MAX_PATH, scan};
use crate::identity::credentials::{Credentials, capability};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::owners::Book;
use crate::{Answer, Errno, Instance};

const SEARCH: u32 = libc::X_OK as u32;
const WRITE: u32 = libc::W_OK as u32;

/// The directory of a path's last name, as a path of its own. None: it does not fit.
pub(super) fn parent_place(path: *const u8) -> Option<Scratch> {
    // SAFETY: a place's path, or one that the kernel has read.
    let bytes = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
    let last = bytes.iter().rposition(|byte| *byte != b'/')?;
    let slash = bytes.get(..last)?.iter().rposition(|byte| *byte == b'/');
    let mut parent = Scratch::new();
    match slash {
        Some(0) => parent.push(b"/").ok()?,
        Some(end) => parent.push(bytes.get(..end)?).ok()?,
        None => parent.push(b".").ok()?,
    }
    Some(parent)
}

impl Instance<'_> {
    /// The credentials that files are judged by here; none where the kernel's word is enough.
    fn judged(&self) -> Option<Credentials> {
        if !self.plays() || self.has(capability::DAC_OVERRIDE) && self.has(capability::FOWNER) {
            return None;
        }
        let own = self.credentials();
        // Whoever started the instance is judged rightly by the kernel where no file is another's.
        let is_starter = self
            .starter()
            .is_some_and(|starter| (own.user.files, own.group.files) == (starter.uid, starter.gid));
        let has_records = self.book.is_none_or(Book::has_any) || self.view.flags() & super::FOREIGN != 0;
        (!is_starter || has_records).then_some(own)
    }

    /// Whether this process is judged by what it is shown.
    #[inline]
    pub(in crate::files) fn is_judged(&self) -> bool {
        self.plays() && self.judged().is_some()
    }

    /// A path of the program's, absolute. Links in it are as they are.
    fn absolute(&self, (dirfd, path): (i32, *const u8), app: &mut Text<MAX_PATH>) -> Result<(), Errno> {
        if !crate::user::is_string(path) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let bytes = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
        if bytes.first() != Some(&b'/') {
            self.base_path(dirfd, app)?;
            if !bytes.is_empty() {
                app.push(b"/")?;
            }
        }
        app.push(bytes)
    }

    /// What the program is told of what a path leads to.
    fn shown_at(&self, app: &mut Text<MAX_PATH>, follow: bool) -> Result<About, Errno> {
        self.shown_by((AT_FDCWD, app.as_ptr()), if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW })
    }

    /// What newfstatat(2) tells the program.
    fn shown_by(&self, (dirfd, path): (i32, *const u8), flags: i32) -> Result<About, Errno> {
        let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
        let mut about = match self.fstatat(dirfd, path, stat.as_mut_ptr(), flags) {
            Answer::Pass => About::of(&kernel::fstatat(dirfd, path, flags)?),
            Answer::Done(Err(errno)) => return Err(errno),
            // SAFETY: a call that succeeds has filled the struct.
            Answer::Done(Ok(_)) => About::of(unsafe { stat.assume_init_ref() }),
        };
        self.present(&mut about, |about| self.record(about, Reached::Path(dirfd, path, flags)));
        Ok(about)
    }

    /// Whether a process may go to where a path of the program's leads: may search each directory
    /// on the way.
    ///
    /// # Errors
    ///
    /// `EACCES`
    pub(in crate::files) fn may_reach(&self, at: (i32, *const u8)) -> Result<(), Errno> {
        if !self.plays()
            || self.has(capability::DAC_OVERRIDE) && self.has(capability::FOWNER)
            || self.is_known(at.1)
        {
            return Ok(());
        }
        let Some(own) = self.judged() else { return Ok(()) };
        let mut app = Text::<MAX_PATH>::new();
        // What cannot be told is the kernel's to refuse.
        if self.absolute(at, &mut app).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, app.bytes())
    }

    /// Whether it was found, not long ago, that the directory of an absolute path can be reached.
    #[inline]
    fn is_known(&self, path: *const u8) -> bool {
        let Some(survey) = scan::survey(path, 0) else { return false };
        // SAFETY: just read.
        let path = unsafe { core::slice::from_raw_parts(path, survey.len) };
        path.first() == Some(&b'/') && self.search_key(directory_of(path)).is_some_and(Key::is_known)
    }

    fn may_search_to(&self, own: &Credentials, app: &[u8]) -> Result<(), Errno> {
        // Of access(2)'s other question nothing is kept.
        let key = self.search_key(directory_of(app)).filter(|_| own.user.files == self.id(3));
        if key.is_some_and(Key::is_known) {
            return Ok(());
        }
        let mut directory = Text::<MAX_PATH>::new();
        let parts = || app.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let count = parts().count();
        for part in parts().take(count.saturating_sub(1)) {
            directory.push(b"/")?;
            directory.push(part)?;
            let Ok(about) = self.shown_at(&mut directory, true) else { return Ok(()) };
            if about.kind() != libc::S_IFDIR {
                // `ENOTDIR` comes first.
                return Ok(());
            }
            if !may_use(own, &about, SEARCH) {
                return Err(Errno::EACCES);
            }
        }
        if let Some(key) = key {
            key.remember();
        }
        Ok(())
    }

    /// Whether this process may use what a path leads to: bits of `R_OK`, `W_OK` and `X_OK`.
    /// `real` asks for whom it was started by, as access(2) does.
    ///
    /// # Errors
    ///
    /// `EACCES`
    pub(in crate::files) fn may_use_path(
        &self,
        at: (i32, *const u8),
        follow: bool,
        wanted: u32,
        real: bool,
    ) -> Result<(), Errno> {
        let is_one = self.id(0) == self.id(3) && self.id(4) == self.id(7);
        if !self.plays() || (is_one || !real) && self.has(capability::DAC_OVERRIDE) {
            return Ok(());
        }
        let mut own = self.credentials();
        if real && (own.user.real != own.user.files || own.group.real != own.group.files) {
            let has = if own.user.real == 0 { own.permitted } else { 0 };
            (own.user.files, own.group.files, own.effective) = (own.user.real, own.group.real, has);
        }
        if own.can(capability::DAC_OVERRIDE) {
            return Ok(());
        }
        let mut app = Text::<MAX_PATH>::new();
        if self.absolute(at, &mut app).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, app.bytes())?;
        match self.shown_at(&mut app, follow) {
            Ok(about) if !may_use(&own, &about, wanted) => Err(Errno::EACCES),
            _ => Ok(()),
        }
    }

    /// Whether this process may make a name, or take one away.
    ///
    /// # Errors
    ///
    /// `EACCES`, and `EPERM` for another's file in a directory with the sticky bit.
    pub(in crate::files) fn may_change_name(&self, at: (i32, *const u8), takes: bool) -> Result<(), Errno> {
        let Some(own) = self.judged() else { return Ok(()) };
        let mut app = Text::<MAX_PATH>::new();
        if self.absolute(at, &mut app).is_err() || app.bytes().ends_with(b"/") {
            return Ok(());
        }
        self.may_search_to(&own, app.bytes())?;
        let Some(mut parent) = parent_place(app.as_ptr()) else { return Ok(()) };
        let Ok(directory) = self.shown_at(&mut parent, true) else { return Ok(()) };
        let there = self.shown_at(&mut app, false);
        if !takes && there.is_ok() {
            // That it is there already is said first.
            return Ok(());
        }
        if takes && there.is_err() || directory.kind() != libc::S_IFDIR {
            return Ok(());
        }
        if !may_use(&own, &directory, (libc::W_OK | libc::X_OK) as u32) {
            return Err(Errno::EACCES);
        }
        let is_kept = takes
            && directory.mode & libc::S_ISVTX != 0
            && own.user.files != directory.uid
            && there.is_ok_and(|about| about.uid != own.user.files)
            && !own.can(capability::FOWNER);
        if is_kept { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// What the program is told of the directory that a path's last name is in.
    pub(super) fn parent_of_path(&self, dirfd: i32, path: *const u8) -> Option<About> {
        let mut app = Text::<MAX_PATH>::new();
        self.absolute((dirfd, path), &mut app).ok()?;
        self.shown_at(&mut parent_place(app.as_ptr())?, true).ok()
    }

    /// Whether this process may change what a path leads to.
    ///
    /// # Errors
    ///
    /// Those of what it needs.
    pub(in crate::files) fn may_modify_path(
        &self,
        at: (i32, *const u8),
        follow: bool,
        change: Change,
    ) -> Result<(), Errno> {
        self.may_do_at(at, follow, |own, about| may_change(own, about, change))
    }

    /// The same of a descriptor's file.
    pub(in crate::files) fn may_modify_file(&self, fd: i32, change: Change) -> Result<(), Errno> {
        let Some(own) = self.judged() else { return Ok(()) };
        match self.shown_by((fd, EMPTY), libc::AT_EMPTY_PATH) {
            Ok(about) => may_change(&own, &about, change),
            Err(_) => Ok(()),
        }
    }

    /// Whether this process may open what a path leads to.
    ///
    /// # Errors
    ///
    /// `EACCES`; `EISDIR` of a directory that is to be written to, `EPERM` for `O_NOATIME`.
    pub(super) fn may_open_path(
        &self,
        at: (i32, *const u8),
        follow: bool,
        flags: i32,
        wanted: u32,
    ) -> Result<(), Errno> {
        self.may_do_at(at, follow, |own, about| match about.kind() {
            libc::S_IFLNK => Ok(()),
            libc::S_IFDIR if wanted & WRITE != 0 || flags & libc::O_CREAT != 0 => Err(Errno::EISDIR),
            kind if kind != libc::S_IFDIR && flags & libc::O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
            _ if !may_use(own, about, wanted) => Err(Errno::EACCES),
            _ if flags & libc::O_NOATIME != 0 && !owns(own, about) => Err(Errno::EPERM),
            _ => Ok(()),
        })
    }

    /// Whether this process may make the directory that a path leads to its own.
    ///
    /// # Errors
    ///
    /// `EACCES`
    pub(in crate::files) fn may_enter(&self, at: (i32, *const u8)) -> Result<(), Errno> {
        self.may_do_at(at, true, |own, about| {
            // Of what is no directory that is said first.
            if about.kind() != libc::S_IFDIR || may_use(own, about, SEARCH) {
                Ok(())
            } else {
                Err(Errno::EACCES)
            }
        })
    }

    /// Whether this process may give what a path leads to another name: see `protected_hardlinks` in
    /// proc_sys_fs(5).
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub(in crate::files) fn may_link(&self, at: (i32, *const u8), follow: bool) -> Result<(), Errno> {
        self.may_do_at(at, follow, |own, about| {
            let both = (libc::R_OK | libc::W_OK) as u32;
            let is_safe = owns(own, about) || may_be_linked(about.mode) && may_use(own, about, both);
            if is_safe || !links_are_protected() { Ok(()) } else { Err(Errno::EPERM) }
        })
    }

    /// Holds what this process is shown at a path against a rule. What is not there is the call's to say.
    fn may_do_at(
        &self,
        at: (i32, *const u8),
        follow: bool,
        rule: impl Fn(&Credentials, &About) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let Some(own) = self.judged() else { return Ok(()) };
        let mut app = Text::<MAX_PATH>::new();
        if self.absolute(at, &mut app).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, app.bytes())?;
        match self.shown_at(&mut app, follow) {
            Ok(about) => rule(&own, &about),
            Err(_) => Ok(()),
        }
    }
}

fn owns(own: &Credentials, about: &About) -> bool {
    about.uid == own.user.files || own.can(capability::FOWNER)
}

/// What the kernel asks for before it changes a file.
fn may_change(own: &Credentials, about: &About, change: Change) -> Result<(), Errno> {
    let writes = || if may_use(own, about, WRITE) { Ok(()) } else { Err(Errno::EACCES) };
    let is_dir = about.kind() == libc::S_IFDIR;
    match change {
        // The call says that it is none that can be cut.
        Change::Truncate if about.kind() != libc::S_IFREG => Ok(()),
        Change::Truncate => writes(),
        Change::Modify(Need::Write) if is_dir && about.mode & libc::S_ISVTX != 0 && !owns(own, about) => {
            Err(Errno::EPERM)
        }
        Change::Modify(Need::Write) if is_dir || about.kind() == libc::S_IFREG => writes(),
        Change::Modify(Need::Write) => Ok(()),
        Change::Modify(Need::Nothing) if !loses_bits(about.mode) => Ok(()),
        _ if owns(own, about) => Ok(()),
        Change::Modify(Need::OwnerOrWrite) => writes(),
        _ => Err(Errno::EPERM),
    }
}

fn may_use(own: &Credentials, about: &About, wanted: u32) -> bool {
    own.may_use((about.uid, about.gid, about.mode), wanted)
}
