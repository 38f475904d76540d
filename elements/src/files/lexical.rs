//! Reading a path against the view's tree, without asking the kernel.
//!
//! What comes here is what a glance has not settled: relative paths, paths
//! with dots, or near to mounts, or in the kernel's own directories.
//!
//! `..` is read by its letters here, so a path of the host's own tree that
//! climbs out of a symbolic link into a mount is missed: docs/limitations.md.
//! Under a mount nothing is decided by letters: the answer is [`Look::Walk`].

use view::{Kind, NodeId, Stop};

use super::Want;
use super::base::Cursor;
use super::glance::{Glance, Start};
use super::scan;
use crate::Instance;

/// What the letters of a path tell.
#[derive(Clone, Copy)]
pub enum Look {
    /// No mount is involved: the kernel's answer is the right one.
    Untouched,
    /// The host's own directory, but mount points lie below its node.
    Boundary(NodeId),
    /// In a mount's region.
    Mapped {
        /// The last node on the way.
        node: NodeId,
        /// Whether the path ends at that node.
        ends_at_node: bool,
        /// What follows the mount point in the path; none where the path
        /// begins inside the mount and can be used as it is.
        rest: Option<Rest>,
    },
    /// Only a walk in the app's tree can tell.
    Walk,
}

impl Look {
    /// The node of the host's own directory that mount points lie below.
    #[inline]
    pub fn boundary(&self) -> Option<NodeId> {
        if let Look::Boundary(node) = self { Some(*node) } else { None }
    }
}

/// The end of a path: where in it, and how long it is.
#[derive(Clone, Copy)]
pub struct Rest {
    start: u32,
    len: u32,
}

impl Rest {
    /// The last `left` bytes of a path.
    fn after(path: &[u8], left: Option<usize>) -> Option<Rest> {
        left.map(|left| Rest { start: (path.len() - left) as u32, len: left as u32 })
    }

    /// Whether the path is longer than the kernel takes.
    pub fn is_too_long(self) -> bool {
        (self.start + self.len) as usize >= super::MAX_PATH
    }

    /// Its bytes.
    ///
    /// # Safety
    ///
    /// `path` is the path that it is the end of.
    pub unsafe fn of<'p>(self, path: *const u8) -> &'p [u8] {
        // SAFETY: the caller's promise.
        unsafe { core::slice::from_raw_parts(path.add(self.start as usize), self.len as usize) }
    }
}

impl Instance<'_> {
    /// The node of the host's own directory that mount points lie below, where an absolute path leads there by its letters.
    #[inline(never)]
    pub(super) fn boundary_at(&self, path: *const u8, from: Start) -> Option<NodeId> {
        if !from.is_anew() || self.traces() {
            return None;
        }
        let survey = scan::survey(path, 0).filter(|survey| !survey.climbs)?;
        // SAFETY: just read.
        let bytes = unsafe { core::slice::from_raw_parts(path, survey.len) };
        if bytes.first() != Some(&b'/') || is_system(bytes) {
            return None;
        }
        let reach = self.view.reach(self.view.app_root(), bytes);
        let is_boundary = matches!(reach.stop, Stop::End) && self.passes(reach.node);
        (is_boundary && self.view.has_children(reach.node)).then_some(reach.node)
    }

    /// Reads the path. A pointer that cannot be read is the kernel's to refuse.
    #[inline]
    pub(super) fn look_up(&self, dirfd: i32, path: *const u8, want: Want) -> Look {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Look::Untouched,
            Glance::Closer(start) => self.look_closer(dirfd, path, start, want),
        }
    }

    /// Reads on where a glance has ended.
    #[inline(never)]
    pub(super) fn look_closer(&self, dirfd: i32, path: *const u8, from: Start, want: Want) -> Look {
        Self::prepare_glance(path);
        let Some(survey) = scan::survey(path, from.after as usize) else { return Look::Untouched };
        // SAFETY: just read.
        let bytes = unsafe { core::slice::from_raw_parts(path, survey.len) };
        if from.node != NodeId::NONE && !survey.climbs {
            return self.lex(Cursor::at(from.node), bytes, from.after as usize, want);
        }
        let start = match bytes {
            [b'/', ..] => {
                if is_system(bytes)
                    && let Some(look) = self.look_through_magic(bytes, want)
                {
                    return look;
                }
                Some(Cursor::at(self.view.app_root()))
            }
            // With AT_EMPTY_PATH the descriptor itself is meant; without, it is ENOENT.
            [] => None,
            _ => self.base(dirfd),
        };
        match start {
            None => Look::Untouched,
            Some(start) if survey.climbs => self.climb(start, bytes),
            Some(start) => self.lex(start, bytes, 0, want),
        }
    }

    /// Reads a path without `..`, the first bytes of which lead to the start.
    #[inline(always)]
    fn lex(&self, start: Cursor, path: &[u8], after: usize, want: Want) -> Look {
        let view = &self.view;
        let mut node = start.node;
        let mut ahead = path.get(after..).unwrap_or(&[]);
        let absolute = path.first() == Some(&b'/');
        let mut point = (absolute && view.is_mount_point(node)).then_some(ahead.len());
        loop {
            if start.below > 0 {
                break;
            }
            let reach = view.reach(node, ahead);
            node = reach.node;
            point = reach.point.or(point);
            match reach.stop {
                Stop::Apart => break,
                Stop::End => return self.ended(node, Rest::after(path, point)),
                Stop::Link => {}
            }
            let parent = view.parent(node);
            if reach.left == 0 && !want.follow && self.passes(parent) {
                return Look::Untouched;
            }
            match self.link_target(parent, view.mount(view.region(node)).source) {
                Some(target) if view.is_mount_point(target) || self.passes(target) => {
                    node = target;
                    point = view.is_mount_point(target).then_some(reach.left);
                }
                _ => return Look::Walk,
            }
            ahead = path.get(path.len() - reach.left..).unwrap_or(&[]);
        }
        if self.passes(node) {
            return Look::Untouched;
        }
        Look::Mapped { node, ends_at_node: false, rest: Rest::after(path, point) }
    }

    fn ended(&self, node: NodeId, rest: Option<Rest>) -> Look {
        if !self.passes(node) {
            return Look::Mapped { node, ends_at_node: true, rest };
        }
        if self.view.has_children(node) { Look::Boundary(node) } else { Look::Untouched }
    }

    /// Whether the node's region is the host's own tree.
    #[inline]
    pub(super) fn passes(&self, node: NodeId) -> bool {
        self.view.passes(node)
    }

    /// The node that a link's target names by its letters, where it is one and
    /// no other link or mount lies on the way to it.
    fn link_target(&self, parent: NodeId, target: &[u8]) -> Option<NodeId> {
        let mut node = if target.first() == Some(&b'/') { self.view.app_root() } else { parent };
        for name in scan::components(target) {
            if !self.passes(node) {
                return None;
            }
            node = if name == b".." { self.view.parent(node) } else { self.view.child(node, name)? };
        }
        let link =
            self.view.is_mount_point(node) && self.view.mount(self.view.region(node)).kind == Kind::Link;
        if link { None } else { Some(node) }
    }

    /// Reads a path with `..` in it: does it ever touch a mount?
    fn climb(&self, start: Cursor, path: &[u8]) -> Look {
        let mut cursor = start;
        // Above a mount point the host's `..` is not the app's.
        if !self.passes(cursor.node) {
            return Look::Walk;
        }
        for name in scan::components(path) {
            cursor = if name == b".." {
                match cursor.up(&self.view) {
                    Some(above) => above,
                    None => return Look::Walk,
                }
            } else {
                cursor.down(&self.view, name)
            };
            if !self.passes(cursor.node) {
                return Look::Walk;
            }
        }
        let boundary = cursor.below == 0 && self.view.has_children(cursor.node);
        if boundary { Look::Boundary(cursor.node) } else { Look::Untouched }
    }
}

/// Whether an absolute path begins with /proc or /dev.
#[inline]
fn is_system(path: &[u8]) -> bool {
    path.starts_with(b"/proc") || path.starts_with(b"/dev") || path.starts_with(b"//")
}
