//! A name in a directory of a union of which the table has the sides, by the letters of its path.
//!
//! What the table has was walked to in this epoch, without a link on the way. So a path that leads there and on
//! to one more name means that name in this union, and a call that changes something there need not find out first
//! what the path has to do with.

use super::super::glance::{Glance, Start};
use super::super::place::Want;
use super::super::rename::ends_in_dots;
use super::change::Call;
use super::spot::Spot;
use super::{Position, Union, WholePath, is_whiteout, parent};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// A path and the descriptor that it is relative to.
type Given = (i32, *const u8);

impl Instance<'_> {
    /// The union where a path names something in a directory that the table knows, what follows the mount's path in
    /// it, and the path as an absolute one. It may lie in `whole`.
    fn known_name<'p>(
        &self,
        (dirfd, path): Given,
        start: Start,
        whole: &'p mut WholePath,
    ) -> Option<(Given, Union<'_>, &'p [u8])> {
        let (path, start) = if start.is_anew() {
            // `.` names no directory that could be made or changed.
            if ends_in_dots(path) {
                return None;
            }
            let start = self.respelled((dirfd, path), start, whole)?.ok()?;
            (whole.as_ptr(), start)
        } else {
            (path, start)
        };
        let (mount, below) = self.plain_in_union(path, start)?;
        // SAFETY: `below` lies in the path, which goes on with a slash or ends.
        let ends_in_slash = unsafe { *below.as_ptr_range().end } == b'/';
        if below.is_empty() || ends_in_slash {
            return None;
        }
        let union = self.union(mount)?;
        union.known(parent(below))?;
        Some(((AT_FDCWD, path), union, below))
    }

    /// Makes a call that changes something in a union, where it is known to be that. None: it is not.
    #[inline(never)]
    pub(in crate::files) fn change_at_once(
        &self,
        given: Given,
        start: Start,
        want: Want,
        call: Call<'_>,
    ) -> Option<Result<usize, Errno>> {
        if !self.has_unions() || self.traces() {
            return None;
        }
        let mut whole = WholePath::new();
        let (given, ..) = self.known_name(given, start, &mut whole)?;
        match self.change_union(given, want, call) {
            // A link leads out of the union.
            Err(Errno::ESTALE) => None,
            done => Some(done),
        }
    }

    /// The same of a rename in one union.
    #[inline(never)]
    pub(in crate::files) fn rename_at_once(
        &self,
        old: Given,
        new: Given,
        flags: u32,
    ) -> Option<Result<usize, Errno>> {
        if !self.has_unions() {
            return None;
        }
        let start = |(dirfd, path)| match self.glance(dirfd, path) {
            Glance::Elsewhere => None,
            Glance::Closer(start) => Some(start),
        };
        let mut whole = [WholePath::new(), WholePath::new()];
        let [first, second] = &mut whole;
        let (old, union, from) = self.known_name(old, start(old)?, first)?;
        let (new, other, to) = self.known_name(new, start(new)?, second)?;
        if union.id != other.id || !union.is_writable {
            return None;
        }
        let done = union.rename_beside(from, to, flags).map(|done| done.map(|()| 0));
        Some(done.unwrap_or_else(|| self.rename_in_union(old, new, flags)))
    }
}

impl Union<'_> {
    /// Renames a file of the write layer in its directory, where the table knows that. None: it is no file or not there
    /// yet, or takes the place of something that has to be looked at.
    #[inline(never)]
    fn rename_beside(&self, from: &[u8], to: &[u8], flags: u32) -> Option<Result<(), Errno>> {
        let above = parent(from);
        if above != parent(to) || from == to || flags & !libc::RENAME_NOREPLACE != 0 {
            return None;
        }
        let mut at = Position::new();
        at.begin(self);
        let sides = self.known(above).filter(|sides| self.top().is_some_and(|top| sides.has(top)))?;
        let leaves = self.has_below(sides & self.lower(), from).ok()?;
        let hides = self.has_below(sides & self.lower(), to).ok()?;
        let (mut old, mut new) = (Spot::new(), Spot::new());
        if !self.hold_in(&mut old, &at, from).ok()? || !self.hold_beside(&mut new, &old, &at, to).ok()? {
            return None;
        }
        let is_file = |stat: &libc::stat| stat.st_mode & libc::S_IFMT != libc::S_IFDIR;
        self.hide(|is_alone| {
            old.stat().ok()?.filter(|stat| is_file(stat) && !is_whiteout(stat))?;
            // Where layers below have the name, they must be hidden already.
            if hides {
                new.stat().ok()?.filter(|stat| is_file(stat) && flags == 0)?;
            }
            let whiteout = if leaves { libc::RENAME_WHITEOUT } else { 0 };
            match kernel::renameat2(old.end(), new.end(), flags | whiteout) {
                // A directory is there, or something else has come between.
                Err(Errno::EISDIR | Errno::ENOTDIR | Errno::ENOENT | Errno::EEXIST) => None,
                // A whiteout has taken the file's place meanwhile.
                Ok(())
                    if !is_alone() && new.is_gone().ok()? && (!hides || self.is_opaque_since(&at, &new)) =>
                {
                    self.take_back_whiteout(&mut new);
                    None
                }
                done => {
                    if done.is_ok() && leaves {
                        self.takes_back_whiteout(&at, &mut old);
                    }
                    Some(done)
                }
            }
        })
    }
}
