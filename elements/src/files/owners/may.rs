//! Who may do what with a file: the kernel's rules, by the owner, group and mode that are shown.
//!
//! The kernel asks what the host user may. Of a process that is not root in its view it is asked here
//! besides, on the way and at its end. What both allow is allowed.

use super::super::place::Scratch;
use super::super::text::Text;
use crate::files::present::About;
use crate::files::{MAX_PATH, Want, scan};
use crate::identity::credentials::{Credentials, capability};
use crate::kernel::AT_FDCWD;
use crate::shared::owners::Book;
use crate::{Errno, Instance};

const SEARCH: u32 = libc::X_OK as u32;

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
        if !self.plays() {
            return None;
        }
        let own = self.credentials();
        if own.can(capability::DAC_OVERRIDE) && own.can(capability::FOWNER) {
            return None;
        }
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

    /// The host path of a path of the program's, absolute.
    fn host_of(
        &self,
        (dirfd, path): (i32, *const u8),
        follow: bool,
        host: &mut Text<MAX_PATH>,
    ) -> Result<(), Errno> {
        let mut scratch = Scratch::new();
        let found = self.host_path(dirfd, path, Want::LOOK.following(follow), &mut scratch)?;
        let path = found.unwrap_or(path);
        if !crate::user::is_string(path) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let bytes = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
        if bytes.first() != Some(&b'/') {
            let base = if found.is_some() { AT_FDCWD } else { dirfd };
            // As the kernel names it: what is behind it is not of interest.
            self.base_paths(base, host, &mut Text::new())?;
            if !bytes.is_empty() {
                host.push(b"/")?;
            }
        }
        host.push(bytes)
    }

    /// Whether a process may go to where a path of the program's leads: may search each directory
    /// on the way.
    ///
    /// # Errors
    ///
    /// `EACCES`
    pub(in crate::files) fn may_reach(&self, at: (i32, *const u8), follow: bool) -> Result<(), Errno> {
        let Some(own) = self.judged() else { return Ok(()) };
        let mut host = Text::<MAX_PATH>::new();
        // What cannot be told is the kernel's to refuse.
        if self.host_of(at, follow, &mut host).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, host.bytes())
    }

    fn may_search_to(&self, own: &Credentials, host: &[u8]) -> Result<(), Errno> {
        let mut directory = Text::<MAX_PATH>::new();
        let parts = || host.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let count = parts().count();
        for part in parts().take(count.saturating_sub(1)) {
            directory.push(b"/")?;
            directory.push(part)?;
            let Ok(about) = self.stat_of_place(AT_FDCWD, directory.as_ptr(), 0) else { return Ok(()) };
            if !may_use(own, &about, SEARCH) {
                return Err(Errno::EACCES);
            }
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
        if !self.plays() {
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
        let mut host = Text::<MAX_PATH>::new();
        if self.host_of(at, follow, &mut host).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, host.bytes())?;
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        match self.stat_of_place(AT_FDCWD, host.as_ptr(), flags) {
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
        let mut host = Text::<MAX_PATH>::new();
        if !self.name_host(at, &mut host) {
            return Ok(());
        }
        self.may_search_to(&own, host.bytes())?;
        let Some(mut parent) = parent_place(host.as_ptr()) else { return Ok(()) };
        let Ok(directory) = self.stat_of_place(AT_FDCWD, parent.as_ptr(), 0) else { return Ok(()) };
        let there = self.stat_of_place(AT_FDCWD, host.as_ptr(), libc::AT_SYMLINK_NOFOLLOW);
        if !takes && there.is_ok() {
            // That it is there already is said first.
            return Ok(());
        }
        if takes && there.is_err() {
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

    /// The host path of a name, whether it is there or not. False: it cannot be told.
    fn name_host(&self, (dirfd, path): (i32, *const u8), host: &mut Text<MAX_PATH>) -> bool {
        self.host_of((dirfd, path), false, host).is_ok() && !host.bytes().ends_with(b"/")
    }

    /// What the program is told of the directory that a path's last name is in.
    pub(super) fn parent_of_path(&self, dirfd: i32, path: *const u8) -> Option<About> {
        let mut host = Text::<MAX_PATH>::new();
        self.host_of((dirfd, path), false, &mut host).ok()?;
        let mut parent = parent_place(host.as_ptr())?;
        self.stat_of_place(AT_FDCWD, parent.as_ptr(), 0).ok()
    }

    /// Whether this process may do what only an owner may: set times, and the like.
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub(in crate::files) fn must_own(&self, at: (i32, *const u8), follow: bool) -> Result<(), Errno> {
        let Some(own) = self.judged() else { return Ok(()) };
        let mut host = Text::<MAX_PATH>::new();
        if self.host_of(at, follow, &mut host).is_err() {
            return Ok(());
        }
        self.may_search_to(&own, host.bytes())?;
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        match self.stat_of_place(AT_FDCWD, host.as_ptr(), flags) {
            Ok(about) if about.uid != own.user.files && !own.can(capability::FOWNER) => Err(Errno::EPERM),
            _ => Ok(()),
        }
    }
}

fn may_use(own: &Credentials, about: &About, wanted: u32) -> bool {
    own.may_use((about.uid, about.gid, about.mode), wanted)
}
