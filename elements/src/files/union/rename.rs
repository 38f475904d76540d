//! Renaming in a union: rename(2) and its kin.
//!
//! What is renamed is in the write layer first, if need be as a copy. A
//! directory that layers below have too keeps them, by a *redirect*: an attribute that says
//! by which name they know it. In the place that it leaves, a whiteout hides
//! what layers below have there; the kernel makes that in the same call.

use super::super::namei::Walk;
use super::super::place::{Change, Scratch, Want};
use super::copy_up::{Copy, Data};
use super::{Position, Union, is_whiteout, parent, xattr};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// One end of a rename.
struct End<'e> {
    at: &'e Position,
    below: &'e [u8],
    slash: bool,
}

impl Instance<'_> {
    /// renameat2(2) of names in one union.
    #[inline(never)]
    pub(in crate::files) fn rename_in_union(
        &self,
        old: (i32, *const u8),
        new: (i32, *const u8),
        flags: u32,
    ) -> Result<usize, Errno> {
        let want = Want { follow: false, change: Change::Remove(Errno::EISDIR) };
        self.again_and_again(|| {
            let (mut from, mut to) = (Walk::for_change(want), Walk::for_change(want));
            let from_slash = self.walk_path(&mut from, old.0, old.1, false)?;
            let to_slash = self.walk_path(&mut to, new.0, new.1, false)?;
            let union = self.union(self.view.region(from.cursor.node)).ok_or(Errno::ESTALE)?;
            let from_below = union.below(from.app.bytes());
            let to_below = union.below(to.app.bytes());
            let rename = Rename {
                union,
                from: End { at: &from.position, below: from_below, slash: from_slash },
                to: End { at: &to.position, below: to_below, slash: to_slash },
                flags,
            };
            Ok(rename.attempt()?.then_some(0))
        })
    }
}

struct Rename<'r, 'i> {
    union: Union<'i>,
    from: End<'r>,
    to: End<'r>,
    flags: u32,
}

impl Rename<'_, '_> {
    fn exchanges(&self) -> bool {
        self.flags & libc::RENAME_EXCHANGE != 0
    }

    /// False: something has changed meanwhile; look again.
    fn attempt(&self) -> Result<bool, Errno> {
        let Rename { union, from, to, .. } = self;
        self.refuse()?;
        if from.below == to.below {
            return Ok(true);
        }
        union.writable()?;
        for end in [from, to] {
            union.may_change_names(end.at, end.below)?;
            if end.at.sides != 0 {
                union.may_remove(end.at, end.below)?;
            }
        }
        if to.at.sides != 0 && !self.exchanges() {
            match (from.at.is_dir(), to.at.is_dir()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !union.is_empty(to.at, to.below)? => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        union.copy_up(from.at, from.below, Data::All)?;
        union.ensure_upper(parent(to.below))?;
        let moves_directory = from.at.is_dir() || to.at.is_dir();
        if moves_directory {
            union.may_change_directories()?;
            union.instance.forget_directories();
        }
        let done = if self.exchanges() { self.exchange() } else { self.replace() };
        if moves_directory {
            union.instance.forget_directories();
        }
        match done {
            // Taken away or made by somebody else; a lost race has its own answer the next time.
            Err(Errno::ENOENT | Errno::EEXIST | Errno::ENOTEMPTY) => Ok(false),
            done => done,
        }
    }

    /// What the names alone forbid.
    fn refuse(&self) -> Result<(), Errno> {
        let Rename { from, to, .. } = self;
        let lies_in = |inner: &[u8], outer: &[u8]| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        if from.at.sides == 0 {
            return Err(Errno::ENOENT);
        }
        if to.at.sides != 0 && self.flags & libc::RENAME_NOREPLACE != 0 {
            return Err(Errno::EEXIST);
        }
        if to.at.sides == 0 && self.exchanges() {
            return Err(Errno::ENOENT);
        }
        if self.exchanges() && to.slash && !to.at.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !from.at.is_dir() && (from.slash || to.slash && !self.exchanges()) {
            return Err(Errno::ENOTDIR);
        }
        if lies_in(to.below, from.below) {
            return Err(Errno::EINVAL);
        }
        if lies_in(from.below, to.below) {
            return Err(if self.exchanges() { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        Ok(())
    }

    fn exchange(&self) -> Result<bool, Errno> {
        let Rename { union, from, to, .. } = self;
        union.copy_up(to.at, to.below, Data::All)?;
        union.prepare_move(from.at, from.below, to.at)?;
        union.prepare_move(to.at, to.below, from.at)?;
        union.rename_upper(from.below, to.below, libc::RENAME_EXCHANGE).map(|()| true)
    }

    fn replace(&self) -> Result<bool, Errno> {
        let Rename { union, from, to, .. } = self;
        union.prepare_move(from.at, from.below, to.at)?;
        let leaves = union.is_covered(from.at)?;
        let whiteout =
            if leaves || self.flags & libc::RENAME_WHITEOUT != 0 { libc::RENAME_WHITEOUT } else { 0 };
        match union.in_upper(to.below)? {
            None => {
                union.rename_upper(from.below, to.below, libc::RENAME_NOREPLACE | whiteout).map(|()| true)
            }
            Some(stat) if is_whiteout(&stat) => self.swap_with_whiteout(whiteout != 0),
            Some(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                if !to.at.is_dir() {
                    return Ok(false);
                }
                union.make_bare(to.at, to.below)?;
                union.rename_upper(from.below, to.below, whiteout).map(|()| true)
            }
            Some(_) if to.at.sides == 0 || to.at.is_dir() => Ok(false),
            Some(_) => union.rename_upper(from.below, to.below, whiteout).map(|()| true),
        }
    }

    /// Puts what is renamed where a whiteout is, and that in the place which is left.
    fn swap_with_whiteout(&self, leaves: bool) -> Result<bool, Errno> {
        let Rename { union, from, to, .. } = self;
        union.rename_upper(from.below, to.below, libc::RENAME_EXCHANGE)?;
        if !union.is_gone(from.below)? {
            // Somebody has made something there meanwhile: it goes back.
            union.rename_upper(from.below, to.below, libc::RENAME_EXCHANGE)?;
            return Ok(false);
        }
        if !leaves {
            let mut path = Scratch::new();
            kernel::unlinkat(AT_FDCWD, union.upper_path(from.below, &mut path)?.as_ptr(), 0)?;
        }
        Ok(true)
    }
}

impl Union<'_> {
    fn rename_upper(&self, from: &[u8], to: &[u8], flags: u32) -> Result<(), Errno> {
        let (mut old, mut new) = (Scratch::new(), Scratch::new());
        let (old, new) = (self.upper_path(from, &mut old)?, self.upper_path(to, &mut new)?);
        kernel::renameat2((AT_FDCWD, old.as_ptr()), (AT_FDCWD, new.as_ptr()), flags)
    }

    /// Sees to it that a directory of the write layer is merged in its next place with
    /// what it is merged with now.
    fn prepare_move(&self, at: &Position, below: &[u8], next: &Position) -> Result<(), Errno> {
        if !at.is_dir() {
            return Ok(());
        }
        let mut path = Scratch::new();
        let path = self.upper_path(below, &mut path)?;
        if at.sides & self.lower() != 0 {
            return xattr::set(path.as_ptr(), &xattr::REDIRECT, at.sides_below());
        }
        if self.is_covered(next)? { xattr::set(path.as_ptr(), &xattr::OPAQUE, b"y") } else { Ok(()) }
    }

    /// Makes an empty directory of the write layer one that has nothing in it, and
    /// that hides what layers below have: an ordinary rename can take its place.
    fn make_bare(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        let mut upper = Scratch::new();
        let upper = self.upper_path(below, &mut upper)?;
        if at.sides == self.top_bit() && self.clear_whiteouts(upper).is_ok() {
            return Ok(());
        }
        let stat = kernel::fstatat(AT_FDCWD, upper.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let mut draft = Scratch::new();
        let draft = self.draft_path(&mut draft)?;
        kernel::mkdirat(AT_FDCWD, draft.as_ptr(), 0o700)?;
        let done = xattr::set(draft.as_ptr(), &xattr::OPAQUE, b"y")
            .and_then(|()| Copy::Path(draft).take_after(upper, &stat))
            .and_then(|()| {
                let ends = ((AT_FDCWD, draft.as_ptr()), (AT_FDCWD, upper.as_ptr()));
                kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE)
            });
        // Now the former one is there, if all went well.
        self.discard(draft);
        done
    }
}
