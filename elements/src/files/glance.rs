//! The first look at an absolute path, as short as can be: most calls of most
//! programs end here, since no mount has to do with their paths.
//!
//! A path is compared with the one label that its first byte leaves, and what
//! follows is searched for dots, sixteen bytes at a time. Whatever is out of
//! the ordinary is for [`super::lexical`].

use view::{First, LABEL, NodeId, Way};

use super::scan::{self, chunk};
use crate::{Instance, user};

const PAGE: usize = 4096;

/// How much of a path is looked at; a longer one takes a closer look.
const REACH: usize = 256;

/// How much of memory is read for that, at the most.
const READ: usize = REACH + 2 * chunk::SIZE;

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
    pub(super) after: u32,
}

impl Start {
    /// The beginning.
    pub const ANEW: Start = Start { node: NodeId::NONE, after: 0 };
}

impl Instance<'_> {
    /// Takes the first look.
    #[inline(always)]
    pub fn glance(&self, path: *const u8) -> Glance {
        const UNSURE: Glance = Glance::Closer(Start::ANEW);
        if !user::is_seen(path) || (is_near_end(path) && !user::is_seen(path.wrapping_add(READ))) {
            return UNSURE;
        }
        // SAFETY: the `READ` bytes from `path` on can be read.
        unsafe {
            if *path != b'/' {
                return UNSURE;
            }
            let mut at = path.add(1);
            match self.view.first(*at) {
                First::Nothing => {}
                First::Unsure => return UNSURE,
                First::Way(way) => {
                    let Some(same) = common(at, &way.label) else { return UNSURE };
                    at = at.add(same);
                    if *at <= b'/' {
                        return go_on(*at, same, way);
                    }
                }
            }
            if scan::is_plain(at, path.add(REACH)) { Glance::Elsewhere } else { UNSURE }
        }
    }

    /// Sees to it that the next glance at a path here goes by what is known of
    /// the page after it.
    #[inline]
    pub(super) fn prepare_glance(path: *const u8) {
        if is_near_end(path) {
            user::note_known(path.wrapping_add(READ));
        }
    }
}

/// Where to go on after so many bytes that are the same as a way's.
#[inline(always)]
fn go_on(next: u8, same: usize, way: &Way) -> Glance {
    if next == b'/' && same == way.len as usize {
        return Glance::Closer(Start { node: NodeId(way.node), after: same as u32 + 1 });
    }
    // Perhaps the same in another spelling.
    Glance::Closer(Start::ANEW)
}

/// Whether a glance may read beyond the page of a path's first byte.
#[inline(always)]
fn is_near_end(path: *const u8) -> bool {
    path as usize % PAGE > PAGE - READ
}

/// How many bytes of a label a path begins with; none where it has them all.
///
/// # Safety
///
/// As many bytes as a label may have can be read at `path`.
#[inline(always)]
unsafe fn common(path: *const u8, label: &[u8; LABEL]) -> Option<usize> {
    let mut same = 0;
    while same < LABEL {
        // SAFETY: the caller's promise, and chunks divide the label.
        let differ = unsafe { chunk::differ(path.add(same), label.as_ptr().add(same)) };
        if differ != 0 {
            return Some(same + differ.trailing_zeros() as usize);
        }
        same += chunk::SIZE;
    }
    None
}
