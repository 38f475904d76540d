//! The files element: which file a path means.
//!
//! The way of a path: [`glance`] ends most calls at once, because no mount is
//! touched, and [`plain`] most of the others, where the path is plain. Any other
//! path [`lexical`] reads against the view's tree; [`place`] makes the host path
//! and has the kernel confirm that no symbolic link lies on the way. Where one does, or where `..` climbs about among mounts,
//! [`namei`] walks component by component in the app's tree. The other
//! modules are the system calls, each a few lines over [`Instance::at`].

mod access;
#[cfg(test)]
mod agreement;
mod allow;
mod base;
mod change;
mod chunk;
mod cwd;
mod entries;
mod explain;
mod glance;
mod last_link;
mod lexical;
mod links;
mod list;
mod look;
mod magic;
mod message;
mod mount;
mod namei;
mod open;
mod opened;
pub(crate) mod owners;
mod place;
mod plain;
mod present;
mod protect;
mod rare;
mod refusal;
mod rename;
mod reverse;
pub(crate) mod scan;
mod socket;
mod stat;
mod statx;
mod step;
mod stride;
mod text;
mod union;
mod way;

pub use base::{VFORKS, disable_base_cache, note_duplicate, note_open};
pub use explain::{Explanation, Layer};
pub use glance::{Glance, Start};
pub use open::OPEN_FLAGS;
pub use opened::is_worth_knowing;
pub use place::{Change, Place, Scratch, Want};
pub use plain::PlainScratch;
pub use present::About;
pub use socket::{SUN_PATH_LEN, UnixName, is_unix};
pub use text::Text;
pub use union::{COPIES, forget_answers};

use view::Access;

use crate::{Answer, Errno, Instance};

use lexical::Look;

/// The longest path that the kernel takes, with its NUL (`PATH_MAX`).
pub const MAX_PATH: usize = libc::PATH_MAX as usize;

impl Instance<'_> {
    /// Finds the place that a path means and makes a call on it.
    ///
    /// `number` is the system call's, `dirfd` and `path` are as the program
    /// gave them; `call` gets the descriptor and the path to hand to the
    /// kernel instead.
    #[inline]
    pub fn at(
        &self,
        number: i64,
        dirfd: i32,
        path: *const u8,
        want: Want,
        call: impl FnMut(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.at_closer(number, (dirfd, path), start, want, call),
        }
    }

    #[inline(never)]
    fn at_closer(
        &self,
        number: i64,
        (dirfd, path): (i32, *const u8),
        start: Start,
        want: Want,
        mut call: impl FnMut(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        let mut scratch = PlainScratch::new();
        let look = match self.plain_place(path, start, true, &mut scratch) {
            Some(place) if want.change == Change::None || self.takes_changes(&place, &scratch) => {
                if !want.follow || !self.is_link_at(&place, &scratch) {
                    return Answer::Done(call(&place));
                }
                Look::Walk
            }
            _ => {
                if want.change == Change::None
                    && self.has_unions()
                    && let Some(done) = self.look_in_union((dirfd, path), start, want.follow, &mut call)
                {
                    return Answer::Done(done);
                }
                if want.change != Change::None
                    && let Some(done) = self.change_at_once((dirfd, path), start, want, &mut call)
                {
                    return Answer::Done(done);
                }
                self.look_closer(dirfd, path, start, want)
            }
        };
        if matches!(look, Look::Untouched) && !self.traces() {
            return Answer::Pass;
        }
        self.at_place(number, (dirfd, path), look, want, call)
    }

    /// Makes a call that looks at a file of a union, where that takes no walk.
    #[inline(never)]
    fn look_in_union(
        &self,
        (dirfd, path): (i32, *const u8),
        start: Start,
        follow: bool,
        call: &mut impl FnMut(&Place) -> Result<usize, Errno>,
    ) -> Option<Result<usize, Errno>> {
        if let Some(found) = self.in_base(dirfd, path) {
            let given = Place::new(dirfd, path, found.mount(self), None);
            let is_link = follow && self.is_link_in_base(&given, found.hash(path));
            return (!is_link).then(|| call(&given));
        }
        let mut scratch = [PlainScratch::new(), PlainScratch::new()];
        match self.one_of_two(path, start, follow, &mut scratch)? {
            Ok(place) => Some(call(&place)),
            Err(errno) => Some(Err(errno)),
        }
    }

    /// Whether changes at a plain place need no look at what is there: it is no
    /// mount point, and the mount is not read-only.
    fn takes_changes(&self, place: &Place, host: &PlainScratch) -> bool {
        self.view.mount(place.mount).access == Access::ReadWrite
            && !host.ends_in_slash()
            && !self.is_layered(place)
    }

    #[inline(never)]
    fn at_place(
        &self,
        number: i64,
        (dirfd, path): (i32, *const u8),
        look: Look,
        want: Want,
        mut call: impl FnMut(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        let mut scratch = Scratch::new();
        let found = self.place(dirfd, path, look, want, &mut scratch);
        let in_union = matches!(&found, Ok(Some(place)) if self.is_layered(place));
        let changes_union = want.change != Change::None && in_union;
        if !self.traces() {
            return match found {
                Ok(None) => Answer::Pass,
                Ok(Some(_)) if changes_union => {
                    Answer::Done(self.change_union((dirfd, path), want, &mut call))
                }
                Ok(Some(place)) => Answer::Done(call(&place)),
                Err(errno) => Answer::fail(errno),
            };
        }
        // What is told of must be done here, to know how it ended.
        let done = match &found {
            Ok(None) => call(&Place::new(dirfd, path, 0, look.boundary())),
            Ok(Some(_)) if changes_union => self.change_union((dirfd, path), want, &mut call),
            Ok(Some(place)) => call(place),
            Err(errno) => Err(*errno),
        };
        let place = found.as_ref().ok().and_then(Option::as_ref);
        let mount = place.map(|place| place.mount).or_else(|| self.mount_of(&look));
        self.tell(number, (dirfd, path), place.map(|place| place.path), mount, done);
        Answer::Done(done)
    }

    /// The mount that a path's letters lead to, where they tell.
    fn mount_of(&self, look: &Look) -> Option<u32> {
        match look {
            Look::Mapped { node, .. } => Some(self.view.region(*node)),
            _ => None,
        }
    }
}
