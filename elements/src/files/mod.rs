//! The files element: which file a path means.
//!
//! The way of a path: [`lexical`] reads it against the view's tree and ends
//! most calls at once, because no mount is touched. Where one is, [`place`]
//! makes the host path and has the kernel confirm that no symbolic link lies
//! on the way. Where one does, or where `..` climbs about among mounts,
//! [`namei`] walks component by component in the app's tree. The other
//! modules are the system calls, each a few lines over [`Instance::at`].

mod base;
mod change;
mod cwd;
mod explain;
mod lexical;
mod list;
mod look;
mod magic;
mod namei;
mod open;
mod place;
mod protect;
mod rename;
mod reverse;
pub(crate) mod scan;
mod socket;
mod text;

pub use base::{VFORKS, disable_base_cache, note_directory, note_duplicate, note_open};
pub use explain::Explanation;
pub use open::OPEN_FLAGS;
pub use place::{Change, Place, Scratch, Want};
pub use socket::SUN_PATH_LEN;
pub use text::Text;

use crate::{Answer, Errno, Instance};

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
        call: impl FnOnce(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        if self.is_elsewhere(path) {
            return Answer::Pass;
        }
        match self.look_closer(dirfd, path, want) {
            lexical::Look::Untouched if !self.traces() => Answer::Pass,
            look => self.at_place(number, (dirfd, path), look, want, call),
        }
    }

    #[inline(never)]
    fn at_place(
        &self,
        number: i64,
        (dirfd, path): (i32, *const u8),
        look: lexical::Look,
        want: Want,
        call: impl FnOnce(&Place) -> Result<usize, Errno>,
    ) -> Answer {
        let mut scratch = Scratch::new();
        let found = self.place(dirfd, path, look, want, &mut scratch);
        if !self.traces() {
            return match found {
                Ok(None) => Answer::Pass,
                Ok(Some(place)) => Answer::Done(call(&place)),
                Err(errno) => Answer::fail(errno),
            };
        }
        // What is told of must be done here, to know how it ended.
        let done = match &found {
            Ok(None) => call(&Place::new(dirfd, path, 0, None)),
            Ok(Some(place)) => call(place),
            Err(errno) => Err(*errno),
        };
        let place = found.as_ref().ok().and_then(Option::as_ref);
        let mount = place.map(|place| place.mount).or_else(|| self.mount_of(&look));
        self.tell(number, (dirfd, path), place.map(|place| place.path), mount, done);
        Answer::Done(done)
    }

    /// The mount that a path's letters lead to, where they tell.
    fn mount_of(&self, look: &lexical::Look) -> Option<u32> {
        match look {
            lexical::Look::Mapped { node, .. } => Some(self.view.region(*node)),
            _ => None,
        }
    }
}
