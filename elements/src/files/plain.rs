//! The plain case of a path under a mount: plain names only, below a mount
//! that has something behind it, in a directory that the table knows to hold
//! no symbolic link on the way. One pass over the path and one copy tell the
//! host path. Whatever is different is for [`super::lexical`] and
//! [`super::place`], which give the same answer for this case too.

use core::{ptr, slice};

use view::{Node, NodeId};

use super::glance::{REACH, Start, is_in_reach};
use super::place::{Place, is_link_of};
use super::scan;
use super::text::Text;
use super::union::NoLink;
use crate::Instance;
use crate::kernel::AT_FDCWD;

/// Room for the host path of a plain place: less than for any, to be easy on the stack.
pub type PlainScratch = Text<512>;

/// A plain path below a mount point.
pub(super) struct PlainPath<'v, 'p> {
    /// The last node on the way.
    node: &'v Node,
    /// What follows the mount point, but for the last name.
    above: &'p [u8],
    /// The same with it.
    whole: &'p [u8],
}

impl PlainPath<'_, '_> {
    /// Whether it leads to a union.
    pub(super) fn is_layered(&self) -> bool {
        self.node.is_layered()
    }
}

/// How far nodes reach on a path.
struct Descent<'v> {
    /// The last one.
    node: &'v Node,
    /// Where the path of the last mount point ends; null where there is none.
    point: *const u8,
    /// Where its own path ends.
    at: *const u8,
}

impl Instance<'_> {
    /// The place of a path that a glance has ended at. Above its last component
    /// there is no link, if `confirmed`; else the kernel is to rule that out.
    #[inline(always)]
    pub(super) fn plain_place(
        &self,
        path: *const u8,
        start: Start,
        confirmed: bool,
        scratch: &mut PlainScratch,
    ) -> Option<Place> {
        self.place_of_plain(&self.plain_path(path, start)?, confirmed, scratch)
    }

    /// The same of a path that has been read.
    #[inline(always)]
    pub(super) fn place_of_plain(
        &self,
        &PlainPath { node, above, whole }: &PlainPath<'_, '_>,
        confirmed: bool,
        scratch: &mut PlainScratch,
    ) -> Option<Place> {
        let must_know = (confirmed && !above.is_empty()) || node.is_layered();
        if must_know && !self.is_known_plain(node.region(), above) {
            return None;
        }
        // SAFETY: the glance has seen to it that as much can be read.
        let host = unsafe { scratch.set_padded(self.view.source_of(node)?, whole)? };
        Some(Place::new(AT_FDCWD, host, node.region(), None))
    }

    /// The same of a path that leads to no union, with no link above its last component.
    #[inline(always)]
    pub(super) fn plain_place_of_one(
        &self,
        path: *const u8,
        start: Start,
        scratch: &mut PlainScratch,
    ) -> Option<Place> {
        let PlainPath { node, above, whole } = self.plain_path(path, start)?;
        if node.is_layered() || !above.is_empty() && !self.is_known_plain(node.region(), above) {
            return None;
        }
        // SAFETY: as above.
        let host = unsafe { scratch.set_padded(self.view.source_of(node)?, whole)? };
        Some(Place::new(AT_FDCWD, host, node.region(), None))
    }

    /// What is at a plain path in a union.
    #[inline(always)]
    pub(super) fn no_link_at(&self, path: &PlainPath<'_, '_>) -> Option<NoLink> {
        if path.node.is_layered() { self.no_link(path.node.region(), path.whole) } else { None }
    }

    /// What is at a path that ends at the point of a union.
    #[inline(never)]
    pub(super) fn no_link_at_point(&self, path: *const u8, start: Start) -> Option<NoLink> {
        if !self.has_unions() || !is_in_reach(path) {
            return None;
        }
        let (from, after) =
            if start.is_anew() { (self.view.app_root(), 0) } else { (start.node, start.after) };
        let limit = path.wrapping_add(REACH);
        let mut node = self.view.node(from)?;
        // SAFETY: what is in reach can be read, and what comes after a slash is at most the string's end.
        unsafe {
            let mut at = path.add(after as usize);
            if *at != b'/' {
                return None;
            }
            while *at == b'/' {
                let first = at.add(1);
                if !node.may_have_child(*first) || node.is_link() {
                    return None;
                }
                let name = slice::from_raw_parts(first, scan::name_length(first, limit)?);
                node = self.view.node(self.view.child_by_key(node, scan::key(name), name)?)?;
                at = first.add(name.len());
            }
        }
        if node.is_layered() && node.is_mount_point() { self.no_link(node.region(), &[]) } else { None }
    }

    /// What follows the last mount point in a plain path.
    #[inline(always)]
    pub(super) fn plain_path<'p>(&self, path: *const u8, start: Start) -> Option<PlainPath<'_, 'p>> {
        let limit = path.wrapping_add(REACH);
        // SAFETY: the glance has seen to it that as much can be read, and a
        // slash comes after what it has read.
        unsafe {
            let ahead = path.add(start.after as usize);
            let Descent { node, point, at } = self.descend(start.node, ahead, limit)?;
            if point.is_null() {
                return None;
            }
            let tail = scan::tail(at, limit)?;
            let between = |end: *const u8| slice::from_raw_parts(point, end as usize - point as usize);
            Some(PlainPath { node, above: between(tail.slash), whole: between(tail.end) })
        }
    }

    /// The two places that a plain path may mean in a union, the higher one first: in a
    /// directory that has a side in the write layer and one other, or none.
    pub(super) fn two_places(
        &self,
        path: *const u8,
        start: Start,
        scratch: &mut [PlainScratch; 2],
    ) -> Option<(Place, Option<Place>)> {
        if !self.has_unions() || start.node == NodeId::NONE {
            return None;
        }
        let PlainPath { node, above, whole } = self.plain_path(path, start)?;
        let ends_in_slash = whole.last() == Some(&b'/');
        let layers = if ends_in_slash { None } else { self.two_sides(node, above) }?;
        let mount = node.region();
        let [higher, lower] = scratch;
        let place = |layer: usize, text: &mut PlainScratch| {
            text.truncate(0);
            text.push(self.view.layer(mount, layer)).and_then(|()| text.push(whole)).ok()?;
            Some(Place::new(AT_FDCWD, text.as_ptr(), mount, None))
        };
        let other = match layers.1 {
            Some(layer) => Some(place(layer, lower)?),
            None => None,
        };
        Some((place(layers.0, higher)?, other))
    }

    /// Where the mount point of a union is that a plain path leads to, if no other node lies below it on the way, and
    /// what follows the mount's own path.
    pub(super) fn plain_below_union<'p>(&self, path: *const u8, start: Start) -> Option<(NodeId, &'p [u8])> {
        if !self.has_unions() || start.is_anew() {
            return None;
        }
        let PlainPath { node, whole, .. } = self.plain_path(path, start)?;
        (node.is_layered() && node.is_mount_point()).then(|| (self.view.id_of(node), whole))
    }

    /// The mount of a union that a plain path leads to, and what follows the mount's own path.
    pub(super) fn plain_in_union<'p>(&self, path: *const u8, start: Start) -> Option<(u32, &'p [u8])> {
        if !self.has_unions() || start.is_anew() {
            return None;
        }
        let PlainPath { node, whole, .. } = self.plain_path(path, start)?;
        node.is_layered().then(|| (node.region(), whole.strip_suffix(b"/").unwrap_or(whole)))
    }

    /// The host path of a directory with a plain path, for a function of libc
    /// that wants one. No mount points lie in it, and it is no link.
    pub fn plain_directory(
        &self,
        path: *const u8,
        start: Start,
        scratch: &mut PlainScratch,
    ) -> Option<*const u8> {
        let place = self.plain_place(path, start, false, scratch)?;
        // A slash at the end leads through a link.
        let plain = !scratch.ends_in_slash()
            && self.is_plain(scratch.bytes(), place.mount)
            && !is_link_of(&place, false);
        plain.then_some(place.path)
    }

    /// Goes down from a node by plain names for as long as there are nodes. None
    /// where the path ends at a node that has some below it, or slashes are
    /// doubled there, or a link of the policy's is on the way.
    ///
    /// Most mounts are the way's end or one name from there: the rest is apart.
    ///
    /// # Safety
    ///
    /// `path` points to the rest of a path, which begins with a slash; two chunks
    /// from each address below `limit` on can be read.
    #[inline(always)]
    unsafe fn descend(&self, from: NodeId, path: *const u8, limit: *const u8) -> Option<Descent<'_>> {
        let begin = Descent { node: self.view.node(from)?, point: ptr::null(), at: path }.arrived()?;
        // SAFETY: the caller's promise.
        unsafe {
            if !begin.may_go_on() {
                return Some(begin);
            }
            match self.step_down(begin, limit)? {
                Step::Down(below) if below.may_go_on() => self.descend_further(below, limit),
                Step::Down(end) | Step::End(end) => Some(end),
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::descend`].
    #[inline(never)]
    unsafe fn descend_further<'v>(
        &'v self,
        mut descent: Descent<'v>,
        limit: *const u8,
    ) -> Option<Descent<'v>> {
        // SAFETY: the caller's promise.
        unsafe {
            while descent.may_go_on() {
                descent = match self.step_down(descent, limit)? {
                    Step::Down(below) => below,
                    Step::End(end) => return Some(end),
                }
            }
        }
        Some(descent)
    }

    /// Goes down by one name, if it has a node.
    ///
    /// # Safety
    ///
    /// As for [`Self::descend`].
    #[inline(always)]
    unsafe fn step_down<'v>(&'v self, from: Descent<'v>, limit: *const u8) -> Option<Step<'v>> {
        // SAFETY: what comes after a slash is at most the string's end.
        unsafe {
            let first = from.at.add(1);
            let name = slice::from_raw_parts(first, scan::name_length(first, limit)?);
            if name.is_empty() {
                return None;
            }
            let Some(child) = self.view.child_by_key(from.node, scan::key(name), name) else {
                return Some(Step::End(from));
            };
            let at = first.add(name.len());
            if *at == 0 {
                return None;
            }
            let below = Descent { node: self.view.node(child)?, point: from.point, at };
            below.arrived().map(Step::Down)
        }
    }
}

/// What becomes of a descent with the next name.
enum Step<'v> {
    /// It has a node.
    Down(Descent<'v>),
    /// It has none: here the nodes end.
    End(Descent<'v>),
}

impl<'v> Descent<'v> {
    /// Sees what stands at the node. None for a link.
    #[inline(always)]
    fn arrived(mut self) -> Option<Descent<'v>> {
        if self.node.is_mount_point() {
            if self.node.is_link() {
                return None;
            }
            self.point = self.at;
        }
        Some(self)
    }

    /// Whether there may be a node for the next name.
    ///
    /// # Safety
    ///
    /// The path goes on with a slash.
    #[inline(always)]
    unsafe fn may_go_on(&self) -> bool {
        // SAFETY: what comes after a slash is at most the string's end.
        self.node.may_have_child(unsafe { *self.at.add(1) })
    }
}
