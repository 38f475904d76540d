//! Renaming in a union: rename(2) and its kin.
//!
//! What is renamed is in the write layer first, if need be as a copy. A
//! directory that layers below have too keeps them, by a *redirect*: an attribute that says
//! by which name they know it. In the place that it leaves, a whiteout hides
//! what layers below have there; the kernel makes that in the same call.

use super::super::namei::Walk;
use super::super::place::{Change, Scratch, Want};
use super::copy_up::{Copy, Data};
use super::spot::{Spot, by_number};
use super::{LOST, Position, Union, is_whiteout, parent, xattr};
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
            rename.attempt().map(|()| Some(0))
        })
    }
}

impl End<'_> {
    /// What rename(2) takes: a directory must be one still, and no whiteout that has taken its place.
    fn name(&self, spot: &mut Spot) -> Result<(i32, *const u8), Errno> {
        if self.at.is_dir() { spot.end_with_slash() } else { Ok(spot.end()) }
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

    fn attempt(&self) -> Result<(), Errno> {
        let Rename { union, from, to, .. } = self;
        self.refuse()?;
        if from.below == to.below {
            return Ok(());
        }
        union.writable()?;
        for end in [from, to] {
            union.may_change_names(end.at, end.below)?;
            if !end.at.sides.is_empty() {
                union.may_remove(end.at, end.below)?;
            }
        }
        let mut _looked_into = None;
        if !to.at.sides.is_empty() && !self.exchanges() {
            let mut is_empty = true;
            if from.at.is_dir() && to.at.is_dir() {
                (is_empty, _looked_into) = union.is_empty(to.at, to.below)?;
            }
            let fits = match (from.at.is_dir(), to.at.is_dir()) {
                (true, false) => Err(Errno::ENOTDIR),
                (false, true) => Err(Errno::EISDIR),
                _ if !is_empty => Err(Errno::ENOTEMPTY),
                _ => Ok(()),
            };
            if fits.is_err() {
                for end in [from, to] {
                    union.may_remove_first(end.at, end.below)?;
                }
                return fits;
            }
        }
        union.copy_up(from.at, from.below, Data::All)?;
        if self.exchanges() {
            union.copy_up(to.at, to.below, Data::All)?;
        }
        let (mut old, mut new) = (Spot::new(), Spot::new());
        union.hold(&mut old, from.at, from.below)?;
        let is_beside = parent(from.below) == parent(to.below);
        if !is_beside || !union.hold_beside(&mut new, &old, to.at, to.below)? {
            union.hold(&mut new, to.at, to.below)?;
        }
        let mut change = || {
            if self.exchanges() {
                self.exchange(&mut old, &mut new)
            } else {
                let left = self.replace(&mut old, &mut new)?;
                if left {
                    union.takes_back_whiteout(from.at, &mut old);
                }
                Ok(())
            }
        };
        let moves_directory = from.at.is_dir() || to.at.is_dir();
        match if moves_directory { union.move_directories(change) } else { union.hide(|_| change()) } {
            // Taken away or made by somebody else, who will be met the next time.
            Err(Errno::ENOENT | Errno::EEXIST | Errno::ENOTEMPTY) => Err(LOST),
            Err(Errno::ENOTDIR) if moves_directory => Err(LOST),
            done => done,
        }
    }

    /// What the names alone forbid.
    fn refuse(&self) -> Result<(), Errno> {
        let Rename { from, to, .. } = self;
        let lies_in = |inner: &[u8], outer: &[u8]| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        if from.at.sides.is_empty() {
            return Err(Errno::ENOENT);
        }
        if !to.at.sides.is_empty() && self.flags & libc::RENAME_NOREPLACE != 0 {
            return Err(Errno::EEXIST);
        }
        if to.at.sides.is_empty() && self.exchanges() {
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

    fn exchange(&self, old: &mut Spot, new: &mut Spot) -> Result<(), Errno> {
        let Rename { union, from, to, .. } = self;
        union.prepare_move(from.at, old, to.at)?;
        union.prepare_move(to.at, new, from.at)?;
        kernel::renameat2(from.name(old)?, to.name(new)?, libc::RENAME_EXCHANGE)?;
        if self.is_stray(old, from)? || self.is_stray(new, to)? {
            // Somebody has taken one of them away meanwhile: its whiteout goes back.
            return self.go_back(old, new);
        }
        Ok(())
    }

    /// Undoes an exchange that has met what somebody else has made or taken away meanwhile, which may be
    /// taken away by now, and looked for by nobody in its new place.
    #[cold]
    fn go_back<T>(&self, old: &mut Spot, new: &mut Spot) -> Result<T, Errno> {
        kernel::renameat2(old.end(), new.end(), libc::RENAME_EXCHANGE)?;
        self.union.instance.forget_directories();
        for (spot, end) in [(old, &self.from), (new, &self.to)] {
            if self.is_stray(spot, end)? {
                self.union.take_back_whiteout(spot);
            }
        }
        Err(LOST)
    }

    /// Says whether a whiteout hides what layers below have in the place that is left.
    fn replace(&self, old: &mut Spot, new: &mut Spot) -> Result<bool, Errno> {
        let Rename { union, from, to, .. } = self;
        union.prepare_move(from.at, old, to.at)?;
        let leaves = union.is_covered(from.at)?;
        let whiteout =
            if leaves || self.flags & libc::RENAME_WHITEOUT != 0 { libc::RENAME_WHITEOUT } else { 0 };
        if !from.at.is_dir() && !to.at.is_dir() {
            let has_name = to.at.is_gone || to.at.sides.highest() == union.top();
            let keeps = if has_name { self.flags } else { libc::RENAME_NOREPLACE } & libc::RENAME_NOREPLACE;
            // Where the write layer has the name it is replaced, whatever has come there by now, as if that had
            // come before.
            if !has_name || keeps == 0 {
                return match kernel::renameat2(old.end(), new.end(), keeps | whiteout) {
                    Err(Errno::EISDIR) => Err(LOST),
                    done => done.and_then(|()| self.has_come(leaves, new)),
                };
            }
        }
        let done = match new.stat()? {
            None => kernel::renameat2(from.name(old)?, new.end(), libc::RENAME_NOREPLACE | whiteout),
            Some(stat) if is_whiteout(&stat) => {
                // What comes back must be the whiteout, or somebody has made something there.
                kernel::renameat2(from.name(old)?, new.end(), libc::RENAME_EXCHANGE)?;
                if !old.is_gone()? {
                    return self.go_back(old, new);
                }
                if whiteout == 0 {
                    union.take_back_whiteout(old);
                }
                Ok(())
            }
            Some(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                if !to.at.is_dir() {
                    return Err(LOST);
                }
                union.make_bare(to.below, &stat, new)?;
                kernel::renameat2(from.name(old)?, new.end(), whiteout)
            }
            Some(_) if to.at.sides.is_empty() || to.at.is_dir() => Err(LOST),
            Some(_) => kernel::renameat2(from.name(old)?, new.end(), whiteout),
        };
        done.and_then(|()| self.has_come(leaves, new))
    }
}

impl Rename<'_, '_> {
    /// Looks whether what has been moved is no whiteout that has taken the file's place meanwhile: that goes.
    fn has_come(&self, leaves: bool, new: &mut Spot) -> Result<bool, Errno> {
        if !self.from.at.is_dir() && self.is_stray(new, &self.to)? {
            self.union.take_back_whiteout(new);
            return Err(LOST);
        }
        Ok(leaves)
    }

    /// Whether a whiteout is there that hides nothing, as nobody leaves one who takes a name away.
    fn is_stray(&self, spot: &mut Spot, end: &End<'_>) -> Result<bool, Errno> {
        Ok(spot.is_gone()? && (!self.union.is_covered(end.at)? || self.union.is_opaque_since(end.at, spot)))
    }
}

impl Union<'_> {
    /// Sees to it that a directory of the write layer is merged in its next place with
    /// what it is merged with now. What it is said to be merged with once is never changed.
    fn prepare_move(&self, at: &Position, spot: &mut Spot, next: &Position) -> Result<(), Errno> {
        if !at.is_dir() {
            return Ok(());
        }
        let covers = self.is_covered(next)?;
        let (dir, name) = spot.end();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let directory = kernel::openat(dir, name, flags, 0).map_err(|_| LOST)?;
        let done = by_number(directory).and_then(|mut path| {
            path.push(b"/.")?;
            if (at.sides & self.lower()).is_empty() {
                return if covers { xattr::set(path.as_ptr(), &xattr::OPAQUE, b"y") } else { Ok(()) };
            }
            let mut redirect = Scratch::new();
            if xattr::redirect(path.as_ptr(), &mut redirect) {
                return Ok(());
            }
            // Another one has been made in its place.
            if xattr::is_opaque(path.as_ptr()) {
                return Err(LOST);
            }
            xattr::set(path.as_ptr(), &xattr::REDIRECT, at.sides_below())
        });
        kernel::close(directory);
        done
    }

    /// Makes an empty directory of the write layer one that has nothing in it, and
    /// that hides what layers below have: an ordinary rename can take its place.
    fn make_bare(&self, below: &[u8], stat: &libc::stat, spot: &mut Spot) -> Result<(), Errno> {
        let (mut upper, mut draft) = (Scratch::new(), Scratch::new());
        let upper = self.upper_path(below, &mut upper)?;
        let draft = self.draft_path(&mut draft)?;
        kernel::mkdirat(AT_FDCWD, draft.as_ptr(), 0o700)?;
        let ends = ((AT_FDCWD, draft.as_ptr()), spot.end());
        let done = xattr::set(draft.as_ptr(), &xattr::OPAQUE, b"y")
            .and_then(|()| Copy::Path(draft).take_after(upper, stat))
            .and_then(|()| kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE));
        if done.is_err() {
            self.discard(draft);
            return done;
        }
        let taken = self.take_apart(draft);
        if taken.is_err() {
            // It is another one now, or has something in it: it goes back.
            kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE)?;
            self.move_into(draft, spot);
        }
        taken
    }
}
