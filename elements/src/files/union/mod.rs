//! A union of layers: directories of the host that look like one, as the
//! kernel's overlayfs makes it of them, on overlayfs's own on-disk format.
//!
//! The layers are numbered, the lowest first. None of them changes but the last,
//! the *write layer*, where the union has one. A name is looked for from the top:
//! the first layer that has it decides. Directories of one name are merged, down
//! to one that is *opaque*. A *whiteout* (a character device 0:0) says that a
//! name is gone.
//!
//! A directory has a *side* in each layer that has it. Which those are is kept in
//! a table that the instance's processes share ([`crate::shared`]), so that a file
//! in a directory with one side costs no call more than natively. An entry of the
//! table may be missing, never wrong: a directory gets its side in the write layer
//! only between two moments at which the whole table loses its meaning.
//!
//! Nothing is locked. A layer below never changes, so whoever copies a file up
//! copies the same bytes, and the first one to put them in place has done it for
//! all. What must not be seen half made is made in the write layer's *work*
//! directory and moved into place by one call; what that call finds in the way
//! tells the loser of a race.

mod admission;
mod back;
mod change;
mod copy_up;
mod enter;
mod given;
mod kept;
mod known;
mod letters;
mod list;
mod marks;
mod may;
mod moved;
mod names;
mod number;
mod open;
mod origin;
mod position;
mod relative;
mod rename;
mod settled;
mod spelling;
mod spot;
mod upper;
mod whole;
mod working;
mod xattr;

pub(super) use kept::Kept;
pub(super) use list::{ALL_GIVEN, Listing};
pub(super) use may::may_write_copy;
pub use origin::COPIES;
pub(super) use position::Position;
pub use settled::forget_answers;
pub(super) use settled::{NoLink, Settled, Told};
pub(super) use spelling::Spelling;
pub(super) use working::{WholePath, forget_path};
pub(super) use xattr::{is_private_attribute, look_at_attributes};

use core::ffi::CStr;

use view::Access;

use super::explain::Layer;
use super::namei::Walk;
use super::place::{Place, Scratch};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::copies::Identity;
use crate::shared::{Directories, Layers, Shared};
use crate::{Errno, Instance};

/// How often a call that has lost a race looks again before it gives up.
const ATTEMPTS: u32 = 64;
/// When it no longer takes the table of directories at its word: something else
/// than the instance may have changed a layer.
const DOUBTFUL: u32 = 4;

/// What was found has changed meanwhile, so all is looked at again. The kernel's own
/// number for this, which no program is ever told.
const LOST: Errno = Errno(85);

/// One union of the view.
#[derive(Clone, Copy)]
pub(super) struct Union<'i> {
    instance: &'i Instance<'i>,
    /// The mount.
    id: u32,
    /// How many layers it has.
    count: usize,
    /// Whether the last of them takes changes.
    is_writable: bool,
}

impl Instance<'_> {
    /// Whether the view has a union of layers.
    pub fn has_unions(&self) -> bool {
        self.view.flags() & view::flags::LAYERS != 0
    }

    /// The union that a mount is, if it is one.
    pub(super) fn union(&self, id: u32) -> Option<Union<'_>> {
        let count = self.view.layer_count(id);
        if count == 0 {
            return None;
        }
        let is_writable = self.view.mount(id).access == Access::ReadWrite;
        Some(Union { instance: self, id, count, is_writable })
    }

    /// The place of a union's root, which stands at a node, where the table knows its sides. A walk to it begins there as well.
    pub(super) fn union_point(
        &self,
        node: view::NodeId,
        path: *const u8,
        scratch: &mut Scratch,
    ) -> Option<Place> {
        let union = self.union(self.view.region(node)).filter(|_| self.view.is_mount_point(node))?;
        let sides = union.known(&[])?;
        scratch.truncate(0);
        scratch.push(union.layer(sides.highest()?)).ok()?;
        if Place::new(AT_FDCWD, path, 0, None).ends_in_slash() {
            scratch.push(b"/").ok()?;
        }
        let mut place = Place::new(AT_FDCWD, scratch.as_ptr(), union.id, Some(node));
        place.identity = if sides.count() > 1 { sides.lowest() } else { None };
        Some(place)
    }

    /// The place of a union's directory that a descriptor is of, where `path` is empty.
    /// None: of something else.
    #[inline]
    pub(super) fn union_place(&self, dirfd: i32, path: *const u8, scratch: &mut Scratch) -> Option<Place> {
        // SAFETY: the kernel has taken it for a string.
        let is_unnamed = unsafe { *path } == 0;
        if !is_unnamed || self.is_noted_base_directory(dirfd) {
            return None;
        }
        self.walk_to_place(dirfd, path, scratch)
    }

    /// The same by a walk, for whose paths there is much room on the stack.
    #[inline(never)]
    fn walk_to_place(&self, dirfd: i32, path: *const u8, scratch: &mut Scratch) -> Option<Place> {
        let epoch = self.directories.map(Directories::epoch);
        let mut walk = Walk::new();
        let is_by_host_path = self.walk_opened(&mut walk, dirfd).ok()?;
        if !walk.position.is_dir() {
            return None;
        }
        if let Some(epoch) = epoch {
            self.note_walked(dirfd, &walk, epoch);
            if is_by_host_path {
                self.note_number(&mut walk, epoch);
            }
        }
        if self.is_noted_base_directory(dirfd) {
            return None;
        }
        self.finish_walk(&mut walk, Ok(false), (dirfd, path), false, scratch).ok()
    }

    /// The two sides of a directory, if it is known to have one in the write layer and
    /// one other, or none.
    pub(super) fn two_sides(&self, node: &view::Node, below: &[u8]) -> Option<(usize, Option<usize>)> {
        let union = self.union(node.region()).filter(|_| node.is_layered())?;
        let sides = union.known(below)?;
        let (top, lower) = (union.top()?, sides & union.lower());
        if !sides.has(top) || lower.count() > 1 {
            return None;
        }
        Some((top, lower.lowest()))
    }

    /// Whether a host path is that of a side of the directory that a walk has come to.
    pub(super) fn is_side_of(&self, walk: &Walk, host: &[u8]) -> bool {
        let at = &walk.position;
        let Some(union) = self.union(self.view.region(walk.cursor.node)) else { return false };
        let below = union.below(walk.app.bytes());
        union.side_at(host).is_some_and(|(layer, path)| {
            let is_side = || at.sides.has(layer) && path == at.path_in(&union, layer, below);
            at.is_dir() && (is_side() || path == below && union.has_parted(at, below))
        })
    }

    /// Which layer's side of a directory that a walk has come to a descriptor is of.
    pub(super) fn side_of_descriptor(&self, dirfd: i32, walk: &Walk) -> Option<usize> {
        let union = self.union(self.view.region(walk.cursor.node))?;
        let (mut host, mut app) = (Scratch::new(), Scratch::new());
        self.base_paths(dirfd, &mut host, &mut app).ok()?;
        Some(union.side_at(host.bytes())?.0)
    }

    /// Which layer has what a walk has come to.
    pub(super) fn layer_of(&self, walk: &Walk) -> Option<Layer> {
        let union = self.union(self.view.region(walk.cursor.node))?;
        let found = walk.position.sides.highest();
        let number = found.or(union.top())?;
        Some(Layer {
            number: number + 1,
            count: union.count,
            is_write_layer: Some(number) == union.top(),
            is_there: found.is_some(),
        })
    }

    /// Whether what a walk has come to is what lies at a host path in a layer that never changes: that itself, or a
    /// copy of it.
    pub(super) fn is_at(&self, walk: &mut Walk, host: &[u8]) -> bool {
        if walk.position.is_dir() {
            return self.is_side_of(walk, host);
        }
        if walk.position.sides.is_empty() || walk.host.bytes() == host {
            return !walk.position.sides.is_empty();
        }
        let mut path = Scratch::new();
        let stat = path
            .push(host)
            .and_then(|()| kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW));
        stat.is_ok_and(|stat| origin::origin_at(walk.host.as_ptr()) == Some(Identity::of(&stat)))
    }

    /// Makes a try at a call until nobody interferes: None and [`LOST`] are a lost race.
    fn again_and_again<T>(&self, mut attempt: impl FnMut() -> Result<Option<T>, Errno>) -> Result<T, Errno> {
        for number in 0..ATTEMPTS {
            if number == DOUBTFUL {
                self.forget_directories();
            }
            match attempt() {
                Ok(None) | Err(LOST) => {}
                Ok(Some(done)) => return Ok(done),
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Whether a host path lies in a union's write layer.
    pub(super) fn is_in_write_layer(&self, mount: u32, host: &[u8]) -> bool {
        let top = self.union(mount).and_then(|union| Some(union.layer(union.top()?)));
        top.and_then(|top| host.strip_prefix(top)).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// What the side says that a directory with several sides is known by.
    pub(super) fn identity_of(&self, place: &Place) -> Option<libc::stat> {
        let (layer, union) = (place.identity?, self.union(place.mount)?);
        // SAFETY: a place's path is a string.
        let path = unsafe { CStr::from_ptr(place.path.cast()) }.to_bytes();
        let (_, below) = union.side_at(path)?;
        let mut text = Scratch::new();
        let text = union.host_path(layer, below, &mut text).ok()?;
        kernel::fstatat(AT_FDCWD, text.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).ok()
    }
}

impl<'i> Union<'i> {
    /// The host path of a layer.
    fn layer(&self, number: usize) -> &'i [u8] {
        self.instance.view.layer(self.id, number)
    }

    fn shared(&self) -> Option<&'i Shared> {
        self.instance.shared
    }

    fn directories(&self) -> Option<&'i Directories> {
        self.instance.directories
    }

    /// Makes a change that moves directories or takes them away.
    ///
    /// # Errors
    ///
    /// `EACCES` in another user's process that cannot tell others of it.
    fn move_directories<T>(&self, change: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        self.directories().ok_or(Errno::EACCES)?.move_directories(change)
    }

    /// Makes a change that may put a whiteout in a file's place. The question that it is given is whether
    /// nothing else can have put one anywhere meanwhile.
    fn hide<T>(&self, change: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
        match self.directories() {
            Some(directories) => directories.hide(change),
            None => change(&|| false),
        }
    }

    /// A moment at which no directory is being moved, if this is one.
    fn quiet(&self) -> Option<u32> {
        self.directories()?.quiet()
    }

    /// Whether no directory has been moved since a walk began, nor is being moved.
    fn is_quiet_since(&self, at: &Position) -> bool {
        let known = self.directories().zip(at.moment);
        known.is_some_and(|(directories, moment)| directories.is_quiet_since(moment))
    }

    /// The number of the write layer, if there is one.
    fn top(&self) -> Option<usize> {
        self.is_writable.then(|| self.count - 1)
    }

    /// The write layer, or none.
    fn top_bit(&self) -> Layers {
        self.top().map_or(Layers::NONE, Layers::of)
    }

    /// All layers.
    fn all(&self) -> Layers {
        Layers::first(self.count)
    }

    /// The layers that never change.
    fn lower(&self) -> Layers {
        self.all() & !self.top_bit()
    }

    /// The write layer's number.
    ///
    /// # Errors
    ///
    /// `EROFS` where there is none.
    fn writable(&self) -> Result<usize, Errno> {
        self.top().ok_or(Errno::EROFS)
    }

    /// Writes the host path of what a layer has at a path below its root.
    fn host_path<'s>(
        &self,
        number: usize,
        below: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s mut Scratch, Errno> {
        scratch.truncate(0);
        scratch.push(self.layer(number))?;
        scratch.push(below)?;
        Ok(scratch)
    }

    /// The app path of its root; empty for `/`.
    pub(in crate::files) fn path(&self) -> &'i [u8] {
        let at = self.instance.view.mount(self.id).at;
        at.strip_suffix(b"/").unwrap_or(at)
    }

    /// A path in the union, below its root, of an app path in it.
    pub(in crate::files) fn below<'p>(&self, app: &'p [u8]) -> &'p [u8] {
        app.get(self.path().len()..).unwrap_or(&[])
    }
}

/// Whether what is there says that the name is gone.
pub(super) fn is_whiteout(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == 0
}

/// The path of the directory that a path's last name is in.
fn parent(below: &[u8]) -> &[u8] {
    let end = below.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    below.get(..end).unwrap_or(&[])
}
