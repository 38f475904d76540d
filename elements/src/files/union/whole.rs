//! What the kernel is to take for the whole of something: the root that chroot(2) makes, a place to mount on, what a bind
//! mount shows.
//!
//! The kernel knows one side of a union's directory. So it is given a directory that lies in the write layer with all that it
//! has, and a file of the write layer: where more sides are merged, names would be missing, and what is written
//! to a layer would be there for all its instances.

use super::super::namei::Walk;
use super::copy_up::Data;
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Sees to it that what is at a path is whole on one side, if it lies in a union: a directory, and with `files` also
    /// a file.
    ///
    /// # Errors
    ///
    /// `EPERM` for a directory that has names in a layer, or might have, and where there is no write layer. What a walk there
    /// meets.
    #[inline(never)]
    pub(in crate::files) fn make_whole(
        &self,
        (dirfd, path): (i32, *const u8),
        follow: bool,
        files: bool,
    ) -> Result<(), Errno> {
        if !self.has_unions() || !crate::user::is_string(path) {
            return Ok(());
        }
        let mut walk = Walk::new();
        self.walk_path(&mut walk, dirfd, path, follow)?;
        if !walk.in_union() {
            return Ok(());
        }
        let union = self.union(self.view.region(walk.cursor.node)).ok_or(Errno::ESTALE)?;
        let (at, below) = (&walk.position, union.below(walk.app.bytes()));
        if at.sides.is_empty() || at.sides == union.top_bit() {
            return Ok(());
        }
        if !at.is_dir() && !files {
            return Ok(());
        }
        if !union.is_writable {
            return Err(Errno::EPERM);
        }
        if !at.is_dir() {
            return union.copy_up(at, below, Data::All);
        }
        match union.is_empty(at, below) {
            Ok((true, _)) => union.ensure_upper(below),
            _ => Err(Errno::EPERM),
        }
    }
}
