//! A link in the last place of a plain path in a union, which leads to another plain path: what most links to libraries
//! and programs are (`libz.so.1`, `/usr/bin/gcc`).
//!
//! Where the lowest layer alone has the link's directory, the kernel tells what the link says, and the path that this makes
//! is answered as if it had been asked for. So it takes no walk, for whose paths there would have to be room on the stack. Whatever
//! else a link leads to, or through, is for [`super::namei`].

use super::glance::{Glance, Start};
use super::open::{how, may_be_link, writes};
use super::place::Place;
use super::plain::{PlainPath, PlainScratch};
use super::scan;
use super::union::WholePath;
use crate::kernel::{self, AT_FDCWD, RESOLVE_NO_SYMLINKS};
use crate::{Answer, Errno, Instance};

/// How many links one after the other are followed in this way: a walk tells when they are too many.
const LINKS: u8 = 8;

impl Instance<'_> {
    /// The path that a link leads to, and what a glance tells of that. None: it is none, or it takes a walk.
    fn path_beyond_link(&self, path: *const u8, start: Start, whole: &mut WholePath) -> Option<Glance> {
        if start.is_anew() || start.respelled >= LINKS || self.traces() {
            return None;
        }
        let read = self.plain_path(path, start).filter(PlainPath::is_layered)?;
        let mut scratch = PlainScratch::new();
        let place = self.place_of_plain(&read, true, &mut scratch)?;
        if scratch.ends_in_slash() {
            return None;
        }
        let len = scan::survey(path, 0)?.len;
        // SAFETY: just read.
        let given = unsafe { core::slice::from_raw_parts(path, len) };
        let name = given.iter().rposition(|byte| *byte == b'/')? + 1;
        let mut target = WholePath::new();
        target.read(|room| kernel::readlinkat(AT_FDCWD, place.path, room)).ok()?;
        whole.truncate(0);
        if target.bytes().first() != Some(&b'/') {
            whole.push(given.get(..name)?).ok()?;
        }
        // One that has not had room is too long for this as well.
        whole.push(target.bytes()).ok()?;
        whole.clear_rest();
        // SAFETY: there is room for as much, all of it written.
        match unsafe { self.glance_at(AT_FDCWD, whole.as_ptr()) } {
            Glance::Closer(next) if next.is_anew() => None,
            Glance::Closer(next) => {
                Some(Glance::Closer(Start { respelled: start.respelled.saturating_add(1), ..next }))
            }
            Glance::Elsewhere => Some(Glance::Elsewhere),
        }
    }

    /// openat(2) of a link.
    #[inline(never)]
    pub(super) fn openat_beyond_link(
        &self,
        path: *const u8,
        flags: i32,
        mode: u32,
        start: Start,
    ) -> Option<Answer> {
        if writes(flags) || flags & libc::O_NOFOLLOW != 0 {
            return None;
        }
        let mut whole = WholePath::new();
        let answer = match self.path_beyond_link(path, start, &mut whole)? {
            Glance::Closer(next) => self.openat_from(AT_FDCWD, whole.as_ptr(), flags, mode, next),
            Glance::Elsewhere if self.may_tell_otherwise(whole.as_ptr(), flags) => return None,
            Glance::Elsewhere => {
                let path = whole.as_ptr();
                // Another link there may lead back to a mount.
                let opened = kernel::openat2(AT_FDCWD, path, &how(flags, mode, RESOLVE_NO_SYMLINKS));
                if opened.is_err_and(may_be_link) {
                    return None;
                }
                if let Ok(fd) = opened {
                    self.opened(AT_FDCWD, path, flags, fd);
                }
                Answer::Done(opened.map(|fd| fd as usize))
            }
        };
        done(answer)
    }

    /// What a call answers that looks at what a link leads to, where it begins to look; `elsewhere` looks at a host path that
    /// no mount has to do with.
    #[inline(never)]
    pub(super) fn beyond_link(
        &self,
        path: *const u8,
        start: Start,
        look: impl FnOnce(*const u8, Start) -> Answer,
        elsewhere: impl FnOnce(*const u8) -> Option<Result<usize, Errno>>,
    ) -> Option<Answer> {
        let mut whole = WholePath::new();
        match self.path_beyond_link(path, start, &mut whole)? {
            Glance::Closer(next) => done(look(whole.as_ptr(), next)),
            Glance::Elsewhere => elsewhere(whole.as_ptr()).map(Answer::Done),
        }
    }
}

/// Looks at what a host path leads to, by a descriptor. None: perhaps by another link, which may lead back to a mount.
pub(super) fn look_elsewhere(
    path: *const u8,
    look: impl FnOnce(&Place) -> Result<usize, Errno>,
) -> Option<Result<usize, Errno>> {
    let how = how(libc::O_PATH | libc::O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
    match kernel::openat2_at_once(AT_FDCWD, path, &how) {
        Ok(fd) => {
            let done = look(&Place::new(fd, c"".as_ptr().cast(), 0, None));
            kernel::close(fd);
            Some(done)
        }
        Err(errno @ (Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES)) => Some(Err(errno)),
        Err(_) => None,
    }
}

/// An answer about another path than was asked for. None: it is the kernel's to give.
fn done(answer: Answer) -> Option<Answer> {
    matches!(answer, Answer::Done(_)).then_some(answer)
}
