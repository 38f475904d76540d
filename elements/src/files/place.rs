//! From the letters of a path to a host path that means the same.
//!
//! The kernel resolves the host path, so it must hold no symbolic link that
//! the kernel would follow into the host's tree instead of the app's. The
//! source of a mount is canonical. What follows it is confirmed with one call
//! (openat2 with `RESOLVE_NO_SYMLINKS`) and remembered in the instance's
//! table of directories; where a link lies on the way, [`super::namei`] walks.

use core::mem::MaybeUninit;

use view::{Kind, NodeId};

use super::allow::refuse_dots;
use super::lexical::{Look, Rest};
use super::text::Text;
use super::{MAX_PATH, scan};
use crate::kernel::{self, AT_FDCWD, OpenHow, RESOLVE_NO_SYMLINKS};
use crate::shared::{Directories, directory_hash};
use crate::{Errno, Instance};

/// Room for one host path.
pub type Scratch = Text<MAX_PATH>;

/// What a call does to the place it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Only looks.
    None,
    /// Means a name, of a link and a slash that of the link. What is allowed is the caller's to say.
    Name,
    /// Changes what is there: owner, times, attributes.
    Modify(Need),
    /// Changes its mode, which a link has not.
    Mode,
    /// Changes the size of what is there: a file only.
    Truncate,
    /// Makes a new name.
    Create,
    /// Makes a directory, whose name may end in a slash.
    CreateDirectory,
    /// Takes a name away. The errno is for a directory that mounts lie below.
    Remove(Errno),
}

/// What a process needs for a change, but for root's rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// To be the owner: else `EPERM`.
    Owner,
    /// To be the owner, or allowed to write: else `EACCES`.
    OwnerOrWrite,
    /// To be allowed to write: else `EACCES`. In a directory with the sticky bit, to be its owner: else `EPERM`.
    Write,
    /// Nothing, but for a file that runs as its owner, which is to do so no longer: then to be that.
    Nothing,
}

/// How a path is to be resolved, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Whether a symbolic link as the last component is followed.
    pub follow: bool,
    /// What the call does.
    pub change: Change,
}

impl Want {
    /// Looks at what the path leads to.
    pub const LOOK: Want = Want { follow: true, change: Change::None };
    /// Looks at the last component itself.
    pub const LOOK_AT_LINK: Want = Want { follow: false, change: Change::None };
    /// Changes what the path leads to.
    pub const MODIFY: Want = Want { follow: true, change: Change::Modify(Need::Owner) };
    /// Changes the last component itself.
    pub const MODIFY_LINK: Want = Want { follow: false, change: Change::Modify(Need::Owner) };
    /// Changes the mode of what the path leads to.
    pub const MODE: Want = Want { follow: true, change: Change::Mode };
    /// Means the last component, which may be new.
    pub const NAME: Want = Want { follow: false, change: Change::Name };
    /// Makes the last component.
    pub const CREATE: Want = Want { follow: false, change: Change::Create };
    /// Makes the last component, a directory.
    pub const CREATE_DIRECTORY: Want = Want { follow: false, change: Change::CreateDirectory };

    /// Whether a link in the last place is followed, as one before a slash is
    /// by calls that neither make nor take away a name.
    fn follows(self, place: &Place) -> bool {
        self.follow || !self.names() && place.ends_in_slash()
    }

    /// Whether a name is made or taken away.
    pub(super) fn names(self) -> bool {
        matches!(self.change, Change::Name | Change::Create | Change::CreateDirectory | Change::Remove(_))
    }

    /// The same, following the last component or not.
    pub const fn following(self, follow: bool) -> Want {
        Want { follow, ..self }
    }
}

/// What to hand to the kernel for a path.
pub struct Place {
    /// The descriptor that `path` is relative to, if it is relative.
    pub dirfd: i32,
    /// The path.
    pub path: *const u8,
    /// The mount that governs the place.
    pub mount: u32,
    /// The node, where the path ends at one.
    pub node: Option<NodeId>,
    /// Of a union's directory with several sides, the layer that it is known by.
    pub(super) identity: Option<usize>,
    /// A descriptor made for the occasion.
    opened: Option<i32>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(fd) = self.opened {
            kernel::close(fd);
        }
    }
}

impl Place {
    pub(super) fn new(dirfd: i32, path: *const u8, mount: u32, node: Option<NodeId>) -> Place {
        Place { dirfd, path, mount, node, identity: None, opened: None }
    }

    /// Whether the path says that it means a directory.
    pub(super) fn ends_in_slash(&self) -> bool {
        // SAFETY: a place's path is a string that ends in NUL.
        let path = unsafe { core::slice::from_raw_parts(self.path, scan::length(self.path)) };
        path.last() == Some(&b'/')
    }

    /// Makes a call that takes a path and no descriptor. A path relative to
    /// one goes by /proc then.
    ///
    /// # Errors
    ///
    /// The call's, or `ENAMETOOLONG` where the way by /proc does not fit.
    pub fn with_path(&self, call: impl FnOnce(*const u8) -> Result<usize, Errno>) -> Result<usize, Errno> {
        if self.dirfd == AT_FDCWD {
            return call(self.path);
        }
        let mut text = Scratch::new();
        text.push(b"/proc/self/fd/")?;
        text.push_decimal(self.dirfd.unsigned_abs())?;
        text.push(b"/")?;
        // SAFETY: a place's path is a string that ends in NUL.
        text.push(unsafe { core::slice::from_raw_parts(self.path, scan::length(self.path)) })?;
        call(text.as_ptr())
    }
}

impl Instance<'_> {
    /// Finds the host's place for a path that [`Self::look_up`] has read.
    /// None: the kernel's own answer is right after all.
    pub(super) fn place(
        &self,
        dirfd: i32,
        path: *const u8,
        look: Look,
        want: Want,
        scratch: &mut Scratch,
    ) -> Result<Option<Place>, Errno> {
        if let (Change::Remove(below), false) = (want.change, matches!(look, Look::Untouched))
            && let Err(errno) = refuse_dots(path, below)
        {
            self.directory_of((dirfd, path))?;
            return Err(errno);
        }
        let place = match look {
            Look::Untouched => return Ok(None),
            Look::Boundary(_) => {
                return if let Change::Remove(errno) = want.change { Err(errno) } else { Ok(None) };
            }
            Look::Mapped { node, ends_at_node, rest } => {
                if ends_at_node
                    && !want.names()
                    && let Some(point) = self.union_point(node, path, scratch)
                {
                    return Ok(Some(point));
                }
                let quick = self.quick(dirfd, path, node, ends_at_node, rest, scratch)?;
                match quick {
                    Some(place) if !want.follows(&place) || !is_link(&place) => place,
                    _ => self.walk_for(dirfd, path, want, scratch)?,
                }
            }
            Look::Walk => self.walk_for(dirfd, path, want, scratch)?,
        };
        if self.is_layered(&place) {
            // A union says itself what it does not allow.
            return Ok(Some(place));
        }
        self.refuse(&place, want)?;
        Ok(Some(place))
    }

    /// Whether a place lies in a union of layers.
    pub(super) fn is_layered(&self, place: &Place) -> bool {
        self.view.layer_count(place.mount) != 0
    }

    fn walk_for(
        &self,
        dirfd: i32,
        path: *const u8,
        want: Want,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        if want.names() {
            self.walk_to_name(dirfd, path, scratch)
        } else {
            self.walk(dirfd, path, want.follow, scratch)
        }
    }

    /// The place by letters, with no link above the last component. None: a
    /// link lies on the way, so walk.
    fn quick(
        &self,
        dirfd: i32,
        path: *const u8,
        node: NodeId,
        ends_at_node: bool,
        rest: Option<Rest>,
        scratch: &mut Scratch,
    ) -> Result<Option<Place>, Errno> {
        let place = self.unconfirmed(dirfd, path, node, ends_at_node, rest, scratch)?;
        let Some(place) = place else { return Ok(None) };
        let plain = match rest {
            None => self.is_relative_plain(dirfd, path),
            Some(_) if place.opened.is_some() => false,
            Some(_) => self.is_plain(scratch.bytes(), place.mount),
        };
        Ok(plain.then_some(place))
    }

    /// The place by letters alone, for a call that has the kernel resolve it
    /// without links. None: the letters do not suffice.
    pub(super) fn unconfirmed(
        &self,
        dirfd: i32,
        path: *const u8,
        node: NodeId,
        ends_at_node: bool,
        rest: Option<Rest>,
        scratch: &mut Scratch,
    ) -> Result<Option<Place>, Errno> {
        let id = self.view.region(node);
        let mount = self.view.mount(id);
        match mount.kind {
            Kind::Hidden => return Err(Errno::ENOENT),
            Kind::Denied => return Err(Errno::EACCES),
            Kind::Link | Kind::Pass | Kind::Layers => return Ok(None),
            Kind::Host | Kind::Content | Kind::Empty | Kind::Scaffold => {}
        }
        let node = ends_at_node.then_some(node);
        let Some(rest) = rest else {
            return Ok(Some(Place::new(dirfd, path, id, node)));
        };
        // The program's own path counts, whatever becomes of it.
        if rest.is_too_long() {
            return Err(Errno::ENAMETOOLONG);
        }
        // SAFETY: what has been read of the path.
        let rest = unsafe { rest.of(path) };
        scratch.truncate(0);
        scratch.push(mount.source)?;
        if scratch.push(rest).is_err() {
            return self.beyond_path_max(mount.source, rest, id, node, scratch).map(Some);
        }
        Ok(Some(Place::new(AT_FDCWD, scratch.as_ptr(), id, node)))
    }

    /// A host path that is longer than the kernel takes, from one that was
    /// not: enter the source first.
    fn beyond_path_max(
        &self,
        source: &[u8],
        rest: &[u8],
        mount: u32,
        node: Option<NodeId>,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        scratch.truncate(0);
        scratch.push(source)?;
        let dirfd = kernel::openat(AT_FDCWD, scratch.as_ptr(), libc::O_PATH | libc::O_CLOEXEC, 0)?;
        scratch.truncate(0);
        let mut place = Place::new(dirfd, core::ptr::null(), mount, node);
        place.opened = Some(dirfd);
        let start = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
        scratch.push(rest.get(start..).unwrap_or(&[]))?;
        place.path = scratch.as_ptr();
        Ok(place)
    }

    /// Whether no symbolic link lies above the last component of a host path.
    /// The source of its mount is known to hold none. Errors of the kernel do
    /// not count: the call itself will meet them.
    pub(super) fn is_plain(&self, path: &[u8], mount: u32) -> bool {
        let Some(end) = end_without_links(path) else { return true };
        let parent = path.get(..end).unwrap_or(&[]);
        let Some(below) = parent.get(self.view.mount(mount).source.len()..) else { return true };
        if below.is_empty() || self.is_known_plain(mount, below) {
            return true;
        }
        is_no_link(self.learn_plain(parent, mount))
    }

    /// Has the kernel look for links on the way to a directory of a mount, and remembers that there are none.
    pub(super) fn learn_plain(&self, directory: &[u8], mount: u32) -> Result<(), Errno> {
        let below = directory.get(self.view.mount(mount).source.len()..).unwrap_or(&[]);
        let epoch = self.directories.map(Directories::epoch);
        let confirmed = confirm(AT_FDCWD, directory);
        if let (Some(directories), Some(epoch), Ok(())) = (self.directories, epoch, confirmed) {
            directories.set_plain(directory_hash(mount, below), epoch);
        }
        confirmed
    }

    /// Whether the table of directories knows the one that this path leads to
    /// from a mount's source.
    #[inline]
    pub(super) fn is_known_plain(&self, mount: u32, below: &[u8]) -> bool {
        self.directories.is_some_and(|directories| directories.is_plain(directory_hash(mount, below)))
    }

    /// The same for a path relative to a descriptor in a mount.
    fn is_relative_plain(&self, dirfd: i32, path: *const u8) -> bool {
        // SAFETY: a string that has been read up to its NUL.
        let path = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
        match end_without_links(path) {
            None => true,
            Some(end) => self.is_way_plain(dirfd, path.get(..end).unwrap_or(&[])),
        }
    }
}

/// Where the parent of a path's last component ends, slashes at the end of the
/// path aside. None where the path is one component.
pub(super) fn parent_end(path: &[u8]) -> Option<usize> {
    let last = path.iter().rposition(|byte| *byte != b'/')?;
    path.get(..last)?.iter().rposition(|byte| *byte == b'/')
}

/// Where the part of a path ends in which the kernel would follow a link: above
/// the last component, or with it, as a slash at the end leads through a link.
fn end_without_links(path: &[u8]) -> Option<usize> {
    let last = path.iter().rposition(|byte| *byte != b'/')?;
    if last + 1 < path.len() { Some(last + 1) } else { parent_end(path) }
}

/// Asks the kernel to resolve a path and to meet no symbolic link.
pub(super) fn confirm(dirfd: i32, path: &[u8]) -> Result<(), Errno> {
    let mut text = Scratch::new();
    text.push(path)?;
    let flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    let how = OpenHow { flags, mode: 0, resolve: RESOLVE_NO_SYMLINKS };
    kernel::openat2_at_once(dirfd, text.as_ptr(), &how).map(kernel::close)
}

/// Whether the answer of [`confirm`] rules a link out: what is missing or
/// closed is so for the call as well.
pub(super) fn is_no_link(confirmed: Result<(), Errno>) -> bool {
    matches!(confirmed, Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES))
}

/// Whether the last component is a symbolic link.
pub(super) fn is_link(place: &Place) -> bool {
    is_link_of(place, place.ends_in_slash())
}

/// The same, for a caller that knows whether the path ends in a slash.
#[inline(always)]
pub(super) fn is_link_of(place: &Place, ends_in_slash: bool) -> bool {
    find_link(place, ends_in_slash).is_ok()
}

/// Looks for a link as the last component.
///
/// # Errors
///
/// What the kernel says of what is none: `EINVAL`, or why it has found nothing.
#[inline(always)]
pub(super) fn find_link(place: &Place, ends_in_slash: bool) -> Result<(), Errno> {
    if ends_in_slash {
        return find_link_before_slash(place);
    }
    kernel::readlinkat(place.dirfd, place.path, &mut [MaybeUninit::uninit()]).map(|_| ())
}

/// Before a slash the kernel would follow the link itself.
#[cold]
#[inline(never)]
fn find_link_before_slash(place: &Place) -> Result<(), Errno> {
    // SAFETY: a place's path is a string.
    let path = unsafe { core::ffi::CStr::from_ptr(place.path.cast()) }.to_bytes();
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let mut link = Scratch::new();
    link.push(path.get(..end).unwrap_or(&[]))?;
    kernel::readlinkat(place.dirfd, link.as_ptr(), &mut [MaybeUninit::uninit()]).map(|_| ())
}
