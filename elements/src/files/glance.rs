//! The first look at a path, as short as can be: most calls of most
//! programs end here, since no mount has to do with their paths.
//!
//! A path is compared with the one label that its first byte leaves, and what
//! follows is searched for dots, sixteen bytes at a time. A relative one is searched for dots
//! alone, where its directory is known to be out of the reach of all mounts
//! ([`super::base`]). Whatever is out of the ordinary is for [`super::lexical`].

use view::{First, LABEL, NodeId, Way};

use super::base::{Cursor, is_free};
use super::{chunk, scan};
use crate::kernel::AT_FDCWD;
use crate::{Instance, user};

const PAGE: usize = 4096;

/// How much of a path is looked at; a longer one takes a closer look.
pub(super) const REACH: usize = 256;

/// How much of memory is read for that, and by [`super::plain`], at the most: a
/// name and the end of the path may each be a chunk beyond the reach, and a copy
/// goes up to two chunks beyond the end.
pub(super) const READ: usize = REACH + 4 * chunk::SIZE;

const _: () = assert!(LABEL + chunk::SIZE < REACH && LABEL.is_multiple_of(chunk::SIZE));

/// What the first look tells.
#[derive(Clone, Copy)]
pub enum Glance {
    /// No mount has to do with the path.
    Elsewhere,
    /// It takes a closer look, which begins here.
    Closer(Start),
}

/// How far a path has been read: up to a node, and where in the path that is.
#[derive(Clone, Copy)]
pub struct Start {
    /// None that there is: the path has not been read yet.
    pub(super) node: NodeId,
    /// How many bytes of the path lead to the node.
    pub(super) after: u16,
    /// How often another spelling has taken the place of a path that takes a walk: then this one is our own.
    pub(super) respelled: u8,
}

impl Start {
    /// The beginning.
    pub const ANEW: Start = Start::at(NodeId::NONE, 0);

    #[inline(always)]
    const fn at(node: NodeId, after: u16) -> Start {
        Start { node, after, respelled: 0 }
    }

    /// Whether it is that: the path may be a relative one.
    #[inline(always)]
    pub(crate) fn is_anew(self) -> bool {
        self.node == NodeId::NONE
    }
}

impl Instance<'_> {
    /// Takes the first look.
    #[inline(always)]
    pub fn glance(&self, dirfd: i32, path: *const u8) -> Glance {
        if !is_in_reach(path) {
            return Glance::Closer(Start::ANEW);
        }
        // SAFETY: the `READ` bytes from `path` on can be read.
        unsafe { self.glance_at(dirfd, path) }
    }

    /// The same of a path of our own, which need not be asked for.
    ///
    /// # Safety
    ///
    /// [`READ`] bytes from `path` on can be read.
    #[inline(always)]
    pub(super) unsafe fn glance_at(&self, dirfd: i32, path: *const u8) -> Glance {
        const UNSURE: Glance = Glance::Closer(Start::ANEW);
        // SAFETY: the caller's promise.
        unsafe {
            if *path != b'/' {
                let ends_here = is_free(dirfd) && scan::is_plain(path, path.add(REACH));
                return if ends_here { Glance::Elsewhere } else { UNSURE };
            }
            let mut at = path.add(1);
            match self.view.first(*at) {
                First::Nothing => {}
                First::Root => return Glance::Closer(Start::at(self.view.app_root(), 0)),
                First::Unsure => return UNSURE,
                First::Way(way) => {
                    at = match common(at, &way.label) {
                        Some(end) => end,
                        None => return UNSURE,
                    };
                    let after = (at as usize - path as usize) as u16;
                    if *at == b'/' && u32::from(after) == way.after {
                        if way.starts & view::bit(*at.add(1)) != 0 {
                            return Glance::Closer(Start::at(NodeId(way.node), after));
                        }
                    } else if *at <= b'/' {
                        // Perhaps the same in another spelling.
                        return UNSURE;
                    }
                }
            }
            if scan::is_plain(at, path.add(REACH)) { Glance::Elsewhere } else { UNSURE }
        }
    }

    /// Where the directory stands that a path leads to, if a glance tells.
    pub(super) fn cursor_elsewhere(&self, path: *const u8) -> Option<Cursor> {
        let Glance::Elsewhere = self.glance(AT_FDCWD, path) else { return None };
        // SAFETY: the glance has found it.
        unsafe { self.cursor_found_elsewhere(path) }
    }

    /// The same, once a glance has told that an absolute path leads elsewhere.
    ///
    /// # Safety
    ///
    /// It has, and the string is as it was.
    pub(super) unsafe fn cursor_found_elsewhere(&self, path: *const u8) -> Option<Cursor> {
        // SAFETY: as for the glance, which has found what is read here.
        unsafe {
            let name = path.add(1);
            let (node, at) = match self.view.first(*name) {
                First::Way(way) => {
                    let same = common(name, &way.label)? as usize - name as usize;
                    self.part_from(way, same, path)?
                }
                _ => (self.view.app_root(), path),
            };
            let end = scan::tail(at, path.add(REACH))?.end;
            Some(Cursor { node, below: scan::count_names(at, end) })
        }
    }

    /// The node at which a path parts from a way, and where in the path that is,
    /// when so many bytes of the label are the same.
    fn part_from(&self, way: &Way, same: usize, path: *const u8) -> Option<(NodeId, *const u8)> {
        let label = way.label.get(..way.after as usize - 1)?;
        let (matched, other) = label.split_at_checked(same)?;
        let mut node = NodeId(way.node);
        if node == NodeId::NONE {
            return None;
        }
        if other.is_empty() && !self.view.passes(node) {
            return None;
        }
        // SAFETY: as much of the path has been read.
        let at_label_end = unsafe { *path.add(1 + same) } == b'/' && other.is_empty();
        if at_label_end {
            return Some((node, path.wrapping_add(1 + same)));
        }
        // Each name of the label that is not the path's is a node too far.
        for byte in other.iter().chain(b"/") {
            if *byte == b'/' {
                node = self.view.parent(node);
            }
        }
        let slash = matched.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        Some((node, path.wrapping_add(slash)))
    }

    /// Another glance at a path, where the first one ended since nobody had looked at its page yet. None: that was
    /// not why, or it cannot be known.
    #[inline(never)]
    pub(crate) fn second_glance(&self, dirfd: i32, path: *const u8, first: Start) -> Option<Glance> {
        if !first.is_anew() || is_in_reach(path) || !comes_in_reach(path) {
            return None;
        }
        Some(self.glance(dirfd, path))
    }

    /// Sees to it that the next glance at a path here goes by what is known of
    /// the page after it.
    #[inline]
    pub(super) fn prepare_glance(path: *const u8) {
        if is_near_end(path) {
            user::note_next(path.wrapping_add(READ));
        }
    }
}

/// Whether the [`READ`] bytes at a path are known to be readable.
#[inline(always)]
pub(super) fn is_in_reach(path: *const u8) -> bool {
    user::is_seen(path) && (!is_near_end(path) || user::is_seen(path.wrapping_add(READ)))
}

/// The same, after the kernel has been asked.
#[cold]
#[inline(never)]
fn comes_in_reach(path: *const u8) -> bool {
    if !user::is_readable(path, 1) {
        return false;
    }
    if is_near_end(path) {
        user::note_next(path.wrapping_add(READ));
    }
    is_in_reach(path)
}

/// Whether a glance may read beyond the page of a path's first byte.
#[inline(always)]
fn is_near_end(path: *const u8) -> bool {
    path as usize % PAGE > PAGE - READ
}

/// Where a path stops to be as a label is; none where it is so for all of it.
///
/// # Safety
///
/// As many bytes as a label may have can be read at `path`.
#[inline(always)]
unsafe fn common(path: *const u8, label: &[u8; LABEL]) -> Option<*const u8> {
    let mut same = 0;
    while same < LABEL {
        // SAFETY: the caller's promise, and chunks divide the label.
        unsafe {
            let differ = chunk::differ(path.add(same), label.as_ptr().add(same));
            if differ != 0 {
                return Some(path.add(same).add(differ.trailing_zeros() as usize));
            }
        }
        same += chunk::SIZE;
    }
    None
}
