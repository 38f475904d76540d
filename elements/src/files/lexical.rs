//! Reading a path against the view's tree, without asking the kernel.
//!
//! Most calls end here: the first component has no node, the rest holds no
//! `..`, and the region is the host's own tree. That takes a few dozen
//! instructions and decides for [`Look::Untouched`].
//!
//! `..` is read by its letters here, so a path of the host's own tree that
//! climbs out of a symbolic link into a mount is missed: docs/limitations.md.
//! Under a mount nothing is decided by letters: the answer is [`Look::Walk`].

use view::{Kind, NodeId};

use super::Want;
use super::base::Cursor;
use super::scan::{self, climbs, is_end};
use crate::Instance;

/// What the letters of a path tell.
#[derive(Clone, Copy)]
pub enum Look {
    /// No mount is involved: the kernel's answer is the right one.
    Untouched,
    /// The host's own directory, but mount points lie below it.
    Boundary,
    /// In a mount's region.
    Mapped {
        /// The last node on the way.
        node: NodeId,
        /// Whether the path ends at that node.
        ends_at_node: bool,
        /// What follows the mount point in the path; none where the path
        /// begins inside the mount and can be used as it is.
        rest: Option<*const u8>,
    },
    /// Only a walk in the app's tree can tell.
    Walk,
}

impl Instance<'_> {
    /// Reads the path. A pointer that cannot be read is the kernel's to refuse.
    #[inline]
    pub(super) fn look_up(&self, dirfd: i32, path: *const u8, want: Want) -> Look {
        if !crate::user::is_string(path) {
            return Look::Untouched;
        }
        // SAFETY: a readable string.
        unsafe {
            if *path == b'/' {
                if is_system(path)
                    && let Some(look) = self.look_through_magic(path, want)
                {
                    return look;
                }
                return self.lex(Cursor::at(self.view.app_root()), path, want);
            }
            // With AT_EMPTY_PATH the descriptor itself is meant; without, it is ENOENT.
            if *path == 0 {
                return Look::Untouched;
            }
            match self.base(dirfd) {
                Some(base) => self.lex(base, path, want),
                None => Look::Untouched,
            }
        }
    }

    /// # Safety
    ///
    /// `path` ends in NUL.
    unsafe fn lex(&self, start: Cursor, path: *const u8, want: Want) -> Look {
        let view = &self.view;
        let mut node = start.node;
        let mut at = path;
        let mut rest = None;
        // SAFETY: `at` moves forward and never past the NUL.
        unsafe {
            if start.below == 0 {
                loop {
                    while *at == b'/' {
                        at = at.add(1);
                    }
                    let first = *at;
                    if first == 0 {
                        return self.ended(node, rest);
                    }
                    if first == b'.' && (is_end(*at.add(1)) || (*at.add(1) == b'.' && is_end(*at.add(2)))) {
                        if is_end(*at.add(1)) {
                            at = at.add(1);
                            continue;
                        }
                        return self.climb(start, path);
                    }
                    if !view.may_have_child(node, first) {
                        break;
                    }
                    let mut end = at.add(1);
                    while !is_end(*end) {
                        end = end.add(1);
                    }
                    let name = core::slice::from_raw_parts(at, end.offset_from_unsigned(at));
                    let Some(child) = view.child(node, name) else { break };
                    node = child;
                    at = end;
                    if view.is_mount_point(child) {
                        let mount = view.mount(view.region(child));
                        if mount.kind != Kind::Link {
                            rest = Some(at);
                        } else if *end == 0 && !want.follow && self.passes(view.parent(child)) {
                            return Look::Untouched;
                        } else {
                            match self.link_target(view.parent(child), mount.source) {
                                Some(target) if view.is_mount_point(target) || self.passes(target) => {
                                    node = target;
                                    rest = if view.is_mount_point(target) { Some(at) } else { None };
                                }
                                _ => return Look::Walk,
                            }
                        }
                    }
                }
            }
            if climbs(at) {
                return self.climb(start, path);
            }
        }
        if self.passes(node) { Look::Untouched } else { Look::Mapped { node, ends_at_node: false, rest } }
    }

    fn ended(&self, node: NodeId, rest: Option<*const u8>) -> Look {
        if !self.passes(node) {
            return Look::Mapped { node, ends_at_node: true, rest };
        }
        if self.view.has_children(node) { Look::Boundary } else { Look::Untouched }
    }

    /// Whether the node's region is the host's own tree.
    #[inline]
    pub(super) fn passes(&self, node: NodeId) -> bool {
        self.view.passes(self.view.region(node))
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
    ///
    /// # Safety
    ///
    /// `path` ends in NUL.
    unsafe fn climb(&self, start: Cursor, path: *const u8) -> Look {
        // SAFETY: the string ends in NUL.
        let path = unsafe { core::slice::from_raw_parts(path, scan::length(path)) };
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
        if boundary { Look::Boundary } else { Look::Untouched }
    }
}

/// Whether an absolute path begins with /proc or /dev.
///
/// # Safety
///
/// `path` ends in NUL.
#[inline]
unsafe fn is_system(path: *const u8) -> bool {
    // SAFETY: read no further than the bytes before have been found.
    unsafe {
        match *path.add(1) {
            b'p' => *path.add(2) == b'r' && *path.add(3) == b'o' && *path.add(4) == b'c',
            b'd' => *path.add(2) == b'e' && *path.add(3) == b'v',
            b'/' => true,
            _ => false,
        }
    }
}
