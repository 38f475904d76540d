//! Changes to what a union has under a name: modify, make, take away.

use super::super::allow::truncates;
use super::super::namei::Walk;
use super::super::place::{Change, Need, Place, Scratch, Want};
use super::super::refusal::{links_are_protected, may_be_linked};
use super::copy_up::Data;
use super::enter::dumps_lie_elsewhere;
use super::may::may;
use super::open::is_other_at;
use super::spot::Spot;
use super::{LOST, Position, Union, is_whiteout, xattr};
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance};

/// A call to be made on a place in the write layer.
pub(in crate::files) type Call<'c> = &'c mut dyn FnMut(&Place) -> Result<usize, Errno>;

impl Instance<'_> {
    /// Makes a call that changes something in a union.
    ///
    /// # Errors
    ///
    /// What the kernel would answer of its own union.
    #[inline(never)]
    pub(in crate::files) fn change_union(
        &self,
        (dirfd, path): (i32, *const u8),
        want: Want,
        call: Call<'_>,
    ) -> Result<usize, Errno> {
        self.again_and_again(|| {
            let mut walk = Walk::for_change(want);
            let slash = self.walk_path(&mut walk, dirfd, path, want.follow)?;
            let mount = self.view.region(walk.cursor.node);
            let union = self.union(mount).ok_or(Errno::ESTALE)?;
            let node = (walk.cursor.below == 0).then_some(walk.cursor.node);
            let step = Step { union, walk: &walk, slash, place: Place::new(AT_FDCWD, path, mount, node) };
            match want.change {
                Change::None | Change::Name => Err(Errno::EINVAL),
                Change::Modify(_) | Change::Mode | Change::Truncate => step.modify(want, call),
                Change::Create => step.make(false, call),
                Change::CreateDirectory => step.make(true, call),
                Change::Remove(below) => step.remove(want, below == Errno::ENOTEMPTY, call),
            }
        })
    }
}

impl Instance<'_> {
    /// linkat(2) of names in one union. `link` gets the places of both in the write layer.
    #[inline(never)]
    pub(in crate::files) fn link_in_union(
        &self,
        (old, follow): ((i32, *const u8), bool),
        new: (i32, *const u8),
        link: &mut dyn FnMut(&Place, &Place) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        self.may_link_in_union((old, follow), new)?;
        let mut path = Scratch::new();
        self.change_union(new, Want::CREATE, &mut |to| {
            let mut walk = Walk::new();
            let slash = self.walk_path(&mut walk, old.0, old.1, follow)?;
            let at = &walk.position;
            let union = self.union(self.view.region(walk.cursor.node)).ok_or(Errno::ESTALE)?;
            let below = union.below(walk.app.bytes());
            if at.sides.is_empty() {
                return Err(Errno::ENOENT);
            }
            if slash && !at.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            if to.ends_in_slash() {
                return Err(Errno::ENOENT);
            }
            if at.is_dir() {
                return Err(Errno::EPERM);
            }
            union.copy_up(at, below, Data::All)?;
            let from = union.upper_path(below, &mut path)?;
            link(&Place::new(AT_FDCWD, from.as_ptr(), to.mount, None), to)
        })
    }
}

impl Instance<'_> {
    /// Refuses to link a directory, and an ordinary user to link a layer's file of somebody else's, which a copy would
    /// make that user's own: see `protected_hardlinks` in proc_sys_fs(5).
    fn may_link_in_union(
        &self,
        ((dirfd, path), follow): ((i32, *const u8), bool),
        new: (i32, *const u8),
    ) -> Result<(), Errno> {
        let mut walk = Walk::new();
        let slash = self.walk_path(&mut walk, dirfd, path, follow)?;
        let (at, mount) = (&walk.position, self.view.region(walk.cursor.node));
        let Some(union) = self.union(mount).filter(|_| !slash || at.is_dir()) else { return Ok(()) };
        let user = kernel::geteuid();
        if at.is_dir() {
            let mut there = Walk::for_change(Want::CREATE);
            let slash = self.walk_path(&mut there, new.0, new.1, false)?;
            if slash || !there.position.sides.is_empty() {
                return Ok(());
            }
            union.writable()?;
            let is_others =
                union.stat(at, union.below(walk.app.bytes())).is_ok_and(|stat| stat.st_uid != user);
            if user == 0 || self.plays() || !is_others || !links_are_protected() {
                union.may_write_directory(&there.position, union.below(there.app.bytes()))?;
            }
            return Err(Errno::EPERM);
        }
        if user == 0 || self.plays() || !(at.sides & union.top_bit()).is_empty() {
            return Ok(());
        }
        let below = union.below(walk.app.bytes());
        let (Ok(stat), Some(here)) = (union.stat(at, below), at.sides.highest()) else { return Ok(()) };
        let mut host = Scratch::new();
        let host = union.host_path(here, at.path_in(&union, here, below), &mut host)?;
        let is_safe = stat.st_uid == user
            || may_be_linked(stat.st_mode) && may(host, libc::R_OK | libc::W_OK).is_ok()
            || !links_are_protected();
        let mut there = Walk::for_change(Want::CREATE);
        self.walk_path(&mut there, new.0, new.1, false)?;
        if is_safe || !there.position.sides.is_empty() { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Sees to it that a call which takes no place can make a name in the write layer: bind(2).
    pub(in crate::files) fn make_room_in_union(&self, (dirfd, path): (i32, *const u8)) -> Result<(), Errno> {
        let mut walk = Walk::for_change(Want::CREATE);
        let slash = self.walk_path(&mut walk, dirfd, path, false)?;
        let union = self.union(self.view.region(walk.cursor.node)).ok_or(Errno::ESTALE)?;
        let below = union.below(walk.app.bytes());
        if !walk.position.sides.is_empty() {
            return Err(Errno::EEXIST);
        }
        if slash {
            return Err(Errno::ENOENT);
        }
        union.writable()?;
        union.may_change_names(&walk.position, below)?;
        let mut spot = Spot::new();
        union.hold(&mut spot, &walk.position, below)?;
        if walk.position.is_gone {
            let (dir, name) = spot.end();
            kernel::unlinkat(dir, name, 0)?;
        }
        Ok(())
    }

    /// Gives a directory its side in the write layer, if it lies in a union that
    /// takes changes, before the program stays there, where that has a name of its own, or the kernel might write
    /// into it.
    pub(in crate::files) fn settle_directory(&self, path: *const u8) {
        self.settle(path, true, |union, at, below| {
            let stays = at.has_own_name() || !dumps_lie_elsewhere();
            if at.is_dir() && stays { union.ensure_upper(below) } else { Ok(()) }
        });
    }

    /// Gives a directory its side in the write layer, and those above it theirs, before anything in it changes. `path` is an
    /// app path that ends in NUL.
    pub fn prepare_directory(&self, path: *const u8) {
        self.settle(
            path,
            false,
            |union, at, below| {
                if at.is_dir() { union.ensure_upper(below) } else { Ok(()) }
            },
        );
    }

    /// Gives what is to be watched its side in the write layer: that is what changes. A file that the
    /// program may not change gets none, since a copy would be the program's.
    pub(in crate::files) fn settle_watched(&self, path: *const u8, follow: bool) {
        self.settle(path, follow, |union, at, below| {
            if at.is_dir() {
                return union.ensure_upper(below);
            }
            let want = Want { follow, change: Change::Modify(Need::Owner) };
            union.may_modify(at, below, want)?;
            union.copy_up(at, below, Data::All)
        });
    }

    fn settle(
        &self,
        path: *const u8,
        follow: bool,
        give: impl Fn(&Union<'_>, &Position, &[u8]) -> Result<(), Errno>,
    ) {
        let mut walk = Walk::new();
        if !self.has_unions()
            || !crate::user::is_string(path)
            || self.walk_path(&mut walk, AT_FDCWD, path, follow).is_err()
            || !walk.in_union()
        {
            return;
        }
        if let Some(union) = self.union(self.view.region(walk.cursor.node)).filter(|union| union.is_writable)
        {
            // The call itself will meet what stands in the way.
            let _ = give(&union, &walk.position, union.below(walk.app.bytes()));
        }
    }

    /// fsync(2) of a union's directory: its side in the write layer is what changes.
    pub fn fsync(&self, fd: i32) -> Answer {
        let is_dir = || {
            kernel::fstatat(fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)
                .is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
        };
        let mut scratch = Scratch::new();
        if !self.has_unions()
            || !is_dir()
            || self.union_place(fd, c"".as_ptr().cast(), &mut scratch).is_none()
            || kernel::status_flags(fd).is_ok_and(|flags| flags & libc::O_PATH != 0)
        {
            return Answer::Pass;
        }
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        Answer::Done(kernel::openat(AT_FDCWD, scratch.as_ptr(), flags, 0).and_then(|side| {
            let done = kernel::fsync(side);
            kernel::close(side);
            done.map(|()| 0)
        }))
    }
}

/// One try at a change.
struct Step<'s, 'i> {
    union: Union<'i>,
    walk: &'s Walk,
    slash: bool,
    /// The place as the program names it.
    place: Place,
}

/// None: what was found has changed meanwhile; look again.
type Tried = Result<Option<usize>, Errno>;

impl Step<'_, '_> {
    fn at(&self) -> &Position {
        &self.walk.position
    }

    fn below(&self) -> &[u8] {
        self.union.below(self.walk.app.bytes())
    }

    /// A call on a host path of the write layer, with the slash that the
    /// program's path ends in.
    fn call_at(&self, path: &mut Scratch, call: Call<'_>) -> Result<usize, Errno> {
        if self.slash {
            path.push(b"/")?;
        }
        call(&Place::new(AT_FDCWD, path.as_ptr(), self.place.mount, self.place.node))
    }

    /// The same on a spot.
    fn call_on(&self, spot: &mut Spot, call: Call<'_>) -> Result<usize, Errno> {
        let (dir, name) = if self.slash { spot.end_with_slash()? } else { spot.end() };
        call(&Place::new(dir, name, self.place.mount, self.place.node))
    }

    fn modify(&self, want: Want, call: Call<'_>) -> Tried {
        let at = self.at();
        if at.sides.is_empty() {
            return Err(Errno::ENOENT);
        }
        if self.slash && !at.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if want.change == Change::Truncate {
            truncates(at.kind)?;
        }
        self.union.writable()?;
        if want.change == Change::Mode && at.kind == libc::S_IFLNK {
            // One that is to be followed has come or gone while it was read.
            return if want.follow { Ok(None) } else { Err(Errno::EOPNOTSUPP) };
        }
        self.union.may_modify(at, self.below(), want)?;
        match self.union.copy_up(at, self.below(), Data::All) {
            // Nothing is to change but a time, of a file that cannot be copied.
            Err(Errno::EACCES) if want.change == Change::Modify(Need::Nothing) => return Ok(Some(0)),
            done => done?,
        }
        let mut path = Scratch::new();
        let path = self.union.upper_path(self.below(), &mut path)?;
        let done = if at.is_dir() {
            self.union.instance.changing_rights(|| self.call_at(path, call))
        } else {
            self.call_at(path, call)
        };
        match done {
            // Renamed or taken away by somebody else.
            Err(Errno::ENOENT) => Ok(None),
            // A link was there.
            Err(Errno::EOPNOTSUPP) if want.change == Change::Mode => Ok(None),
            Err(Errno::EPERM | Errno::EINVAL) if is_other_at(path, at.kind) => Ok(None),
            done => {
                if done.is_ok()
                    && at.is_dir()
                    && matches!(want.change, Change::Mode | Change::Modify(Need::Owner))
                {
                    // What stands in its way does not matter to the call.
                    let _ = self.union.part_from_layers(at, self.below());
                }
                done.map(Some)
            }
        }
    }

    fn make(&self, is_directory: bool, call: Call<'_>) -> Tried {
        let (at, union) = (self.at(), &self.union);
        if !at.sides.is_empty() || self.place.node.is_some() {
            return Err(Errno::EEXIST);
        }
        if self.slash && !is_directory {
            return Err(Errno::ENOENT);
        }
        union.writable()?;
        union.may_change_names(at, self.below())?;
        let mut spot = Spot::new();
        union.hold(&mut spot, at, self.below())?;
        let mut path = Scratch::new();
        if !at.is_gone {
            return match self.call_on(&mut spot, call) {
                // Is it a name, or a whiteout that has come meanwhile?
                Err(Errno::EEXIST) if spot.is_gone()? => Ok(None),
                done => done.map(Some),
            };
        }
        let drafted = union.draft_for(&spot, &mut path)?;
        let end = path.len();
        let made = self.call_at(&mut path, call);
        path.truncate(end);
        let placed = made.and_then(|done| {
            let placed = union.as_if_made_in(&mut path, &spot).and_then(|is_dir| {
                if is_dir && union.is_covered(at)? {
                    xattr::set(path.as_ptr(), &xattr::OPAQUE, b"y")?;
                }
                union.replace_whiteout(&mut path, &mut spot)
            });
            if placed != Ok(true) {
                union.discard(&mut path);
            }
            Ok(placed?.then_some(done))
        });
        union.drafted(drafted, &mut path);
        placed
    }

    fn remove(&self, want: Want, directory: bool, call: Call<'_>) -> Tried {
        let (at, union) = (self.at(), &self.union);
        if self.place.node.is_some() {
            self.union.instance.refuse_point(&self.place, want)?;
        }
        union.writable()?;
        let is_right = match (at.sides.is_empty(), at.is_dir()) {
            (true, _) => return Err(Errno::ENOENT),
            (_, true) if !directory => Err(Errno::EISDIR),
            (_, false) if directory || self.slash => Err(Errno::ENOTDIR),
            _ => Ok(()),
        };
        // unlink(2) of a name and a slash is refused at once, else the directory comes first.
        if self.slash && !directory {
            is_right?;
        }
        union.may_change_names(at, self.below())?;
        union.may_remove(at, self.below())?;
        if let Err(errno) = is_right {
            union.may_remove_first(at, self.below())?;
            return Err(errno);
        }
        if directory {
            return union.remove_directory(at, self.below()).map(|()| Some(0));
        }
        let covered = union.is_covered(at)?;
        let mut spot = Spot::new();
        union.hold(&mut spot, at, self.below())?;
        if at.sides == union.top_bit() {
            if !covered {
                return match self.call_on(&mut spot, call) {
                    Err(Errno::ENOENT | Errno::EISDIR) => Ok(None),
                    done => done.map(Some),
                };
            }
            let mut path = Scratch::new();
            let path = union.draft_path(&mut path)?;
            Union::make_whiteout((AT_FDCWD, path.as_ptr()))?;
            let done = union.hide(|_| whiteout_over(path, &mut spot))?;
            if done {
                union.takes_back_whiteout(at, &mut spot);
            }
            return Ok(done.then_some(0));
        }
        match Union::make_whiteout(spot.end()) {
            Err(Errno::EEXIST | Errno::ENOENT) => Ok(None),
            // Others have taken the name away before.
            Ok(()) if union.takes_back_whiteout(at, &mut spot) => Ok(None),
            done => done.map(|()| Some(0)),
        }
    }
}

/// Puts a whiteout in the place of a file of the write layer. False: that is
/// gone, or a directory now.
fn whiteout_over(whiteout: &mut Scratch, spot: &mut Spot) -> Result<bool, Errno> {
    let ends = ((AT_FDCWD, whiteout.as_ptr()), spot.end());
    let done = match kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE) {
        Ok(()) => {
            let came_out = kernel::fstatat(AT_FDCWD, whiteout.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
            let is_right = came_out.st_mode & libc::S_IFMT != libc::S_IFDIR && !is_whiteout(&came_out);
            if came_out.st_mode & libc::S_IFMT == libc::S_IFDIR {
                kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE)?;
            }
            Ok(is_right)
        }
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    };
    let _ = kernel::unlinkat(AT_FDCWD, whiteout.as_ptr(), 0);
    done
}

impl Union<'_> {
    /// Takes an empty directory away.
    fn remove_directory(&self, at: &Position, below: &[u8]) -> Result<(), Errno> {
        let (is_empty, _looked_into) = self.is_empty(at, below)?;
        if !is_empty {
            self.may_remove_first(at, below)?;
            return Err(Errno::ENOTEMPTY);
        }
        let covered = self.is_covered(at)?;
        let mut spot = Spot::new();
        self.hold(&mut spot, at, below)?;
        self.move_directories(|| {
            if !(at.sides & self.top_bit()).is_empty() {
                self.take_out(&mut spot, covered)?;
                if covered {
                    self.takes_back_whiteout(at, &mut spot);
                }
                return Ok(());
            }
            match Union::make_whiteout(spot.end()) {
                Err(Errno::EEXIST | Errno::ENOENT) => Err(LOST),
                Ok(()) if self.takes_back_whiteout(at, &mut spot) => Err(LOST),
                done => done,
            }
        })
    }

    /// Takes the write layer's side of an empty directory out of its place, and
    /// puts a whiteout there if layers below have the name.
    fn take_out(&self, spot: &mut Spot, covered: bool) -> Result<(), Errno> {
        let inside = spot.end();
        if !covered && kernel::unlinkat(inside.0, inside.1, libc::AT_REMOVEDIR).is_ok() {
            return Ok(());
        }
        let mut draft = Scratch::new();
        let draft = self.draft_path(&mut draft)?;
        let outside = (AT_FDCWD, draft.as_ptr());
        if covered {
            Union::make_whiteout(outside)?;
        }
        let flags = if covered { libc::RENAME_EXCHANGE } else { libc::RENAME_NOREPLACE };
        match kernel::renameat2(inside, outside, flags) {
            Ok(()) => {}
            Err(errno) => {
                self.discard(draft);
                return Err(if errno == Errno::ENOENT { LOST } else { errno });
            }
        }
        let taken = self.take_apart(draft);
        // It is another one now, or has something in it: it goes back, unless it is gone as far as others know.
        if taken.is_err() && !self.put_back(draft, spot)? {
            return Ok(());
        }
        taken
    }

    /// What was made in the work directory becomes as if it had been made in its
    /// own: with that one's group, where it hands it on. Says whether it is a directory.
    pub(super) fn as_if_made_in(&self, draft: &mut Scratch, spot: &Spot) -> Result<bool, Errno> {
        let made = kernel::fstatat(AT_FDCWD, draft.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let is_dir = made.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let above = spot.stat_directory()?;
        // A name that is linked is of a file that has its group already.
        let is_new = is_dir || made.st_nlink == 1;
        if is_new && above.st_mode & libc::S_ISGID != 0 {
            let flags = libc::AT_SYMLINK_NOFOLLOW;
            kernel::fchownat(AT_FDCWD, draft.as_ptr(), u32::MAX, above.st_gid, flags)?;
            if is_dir {
                kernel::fchmodat(AT_FDCWD, draft.as_ptr(), made.st_mode & 0o7777 | libc::S_ISGID)?;
            }
        }
        Ok(is_dir)
    }
}
