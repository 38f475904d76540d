//! Look-ups in the path tables.
//!
//! A walk goes down one component at a time. It stays *on the tree* while a
//! mount point may still lie ahead; once a component has no node, whatever
//! follows belongs to the region of the last node that did.

use crate::layout::{Edge, NO_NODE, NO_WAY, Node, Slot, View, Way, node};

/// A position in one of the path tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(
    /// Index into the image's nodes.
    pub u32,
);

impl NodeId {
    /// No node's.
    pub const NONE: NodeId = NodeId(NO_NODE);
}

/// How far the nodes of a tree reach on a path, by its letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The last node on the way.
    pub node: NodeId,
    /// How many bytes of the path are left after it.
    pub left: usize,
    /// How many are left after the last mount point on the way; none where
    /// there was none after the start.
    pub point: Option<usize>,
    /// What comes then.
    pub stop: Stop,
}

/// Why the nodes reach no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The path ends here, slashes and dots aside.
    End,
    /// The next component has no node.
    Apart,
    /// The node is a symbolic link.
    Link,
}

/// What the first byte of an absolute path's first name tells.
#[derive(Clone, Copy)]
pub enum First<'a> {
    /// The path has nothing to do with the view, unless it climbs.
    Nothing,
    /// So it is with every path but those that go this way.
    Way(&'a Way),
    /// That takes a closer look.
    Unsure,
}

/// What [`View::edge`] finds.
enum Step {
    /// To this node, which ends after so many bytes; no mount lies before it.
    To(NodeId, usize),
    /// Where no node is.
    Apart,
    /// A `.`: nowhere.
    Here,
    /// That takes a look at the component.
    Unsure,
}

/// How many bytes two strings have in common at their beginnings.
#[inline]
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    let end = a.len().min(b.len());
    while same < end && a.get(same) == b.get(same) {
        same += 1;
    }
    same
}

/// Whether two strings are the same. They are short, so no function is called.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Words, the last of which may overlap the one before.
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let same = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).all(|(a, b)| a == b);
        return same && a_end == b_end;
    }
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<4>(), b.last_chunk::<4>()) {
        return a_end == b_end && a.first_chunk::<4>() == b.first_chunk::<4>();
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// The hash of a component's name (FNV-1a, 32 bits).
pub fn hash(name: &[u8]) -> u32 {
    name.iter().fold(HASH_START, |hash, byte| hash_on(hash, *byte))
}

const HASH_START: u32 = 0x811c_9dc5;

#[inline]
fn hash_on(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// The bit of a byte in a set of 64.
#[inline]
pub fn bit(byte: u8) -> u64 {
    1 << (byte & 63)
}

impl<'a> View<'a> {
    /// The node of `/` in the app tree.
    pub fn app_root(&self) -> NodeId {
        NodeId(self.header.app_root)
    }

    /// The node of `/` in the host tree.
    pub fn host_root(&self) -> NodeId {
        NodeId(self.header.host_root)
    }

    fn node(&self, id: NodeId) -> Option<&'a Node> {
        self.nodes.get(id.0 as usize)
    }

    /// Where absolute paths go whose first name begins with this byte.
    #[inline(always)]
    pub fn first(&self, byte: u8) -> First<'a> {
        match self.header.first[usize::from(byte)] {
            NO_WAY => First::Nothing,
            number => self.ways.get(usize::from(number) - 1).map_or(First::Unsure, First::Way),
        }
    }

    /// Whether a child of `id` may have a name that begins with `first`. False is certain.
    #[inline]
    pub fn may_have_child(&self, id: NodeId, first: u8) -> bool {
        self.node(id).is_some_and(|node| node.starts & bit(first) != 0)
    }

    /// The child of `id` called `name`.
    #[inline]
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let first = *name.first()?;
        if !self.may_have_child(id, first) {
            return None;
        }
        self.probe(self.node(id)?, name, hash(name))
    }

    #[inline]
    fn probe(&self, node: &Node, name: &[u8], wanted: u32) -> Option<NodeId> {
        let mask = node.slot_count.checked_sub(1)?;
        // At most one turn: a full table without the name must not hold us.
        for step in 0..node.slot_count {
            let index = node.first_slot + (wanted.wrapping_add(step) & mask);
            let slot: &Slot = self.slots.get(index as usize)?;
            if slot.node == NO_NODE {
                return None;
            }
            if slot.hash == wanted && is_same(self.name_of(NodeId(slot.node)), name) {
                return Some(NodeId(slot.node));
            }
        }
        None
    }

    /// Follows a path from a node. There is no `..` in it.
    #[inline(never)]
    pub fn reach(&self, start: NodeId, path: &[u8]) -> Reach {
        let mut reach = Reach { node: start, left: path.len(), point: None, stop: Stop::Apart };
        let mut ahead = path;
        let Some(mut node) = self.node(start) else { return reach };
        loop {
            while let [b'/', rest @ ..] = ahead {
                ahead = rest;
            }
            let [first, ..] = ahead else {
                reach.stop = Stop::End;
                return reach;
            };
            if node.starts & bit(*first) == 0 && *first != b'.' {
                return reach;
            }
            let step = match self.edge(node, ahead) {
                Step::Unsure => self.component(node, ahead),
                step => step,
            };
            let (child, len) = match step {
                Step::To(child, len) => (child, len),
                Step::Here => {
                    ahead = ahead.get(1..).unwrap_or(&[]);
                    continue;
                }
                Step::Apart | Step::Unsure => return reach,
            };
            ahead = ahead.get(len..).unwrap_or(&[]);
            let Some(below) = self.node(child) else { return reach };
            node = below;
            reach.node = child;
            reach.left = ahead.len();
            if node.flags & (node::MOUNT_POINT | node::LINK) != 0 {
                if node.flags & node::LINK != 0 {
                    reach.stop = Stop::Link;
                    return reach;
                }
                reach.point = Some(ahead.len());
            }
        }
    }

    /// Which edge a path goes along from a node. `path` begins with a component.
    #[inline]
    fn edge(&self, node: &Node, path: &[u8]) -> Step {
        let first = node.first_edge as usize;
        let edges: &[Edge] = self.edges.get(first..first + node.edge_count as usize).unwrap_or(&[]);
        let begins = path.first().map_or(0, |byte| u32::from(*byte));
        let mut step = if edges.is_empty() || begins == u32::from(b'.') { Step::Unsure } else { Step::Apart };
        for edge in edges.iter().filter(|edge| edge.first == begins) {
            let label = self.string(edge.label);
            match path.split_at_checked(label.len()) {
                Some((head, tail)) if is_same(head, label) => {
                    if let [] | [b'/', ..] = tail {
                        return Step::To(NodeId(edge.node), label.len());
                    }
                }
                // The path, or a component that may be spelled in another
                // way, ends in the middle of the edge.
                _ => {
                    let same = common_prefix(label, path);
                    if let None | Some(b'/' | b'.') = path.get(same) {
                        step = Step::Unsure;
                    }
                }
            }
        }
        step
    }

    /// Where the first component of a path leads.
    #[inline(never)]
    fn component(&self, node: &Node, path: &[u8]) -> Step {
        let mut len = 0;
        let mut hash = HASH_START;
        for byte in path {
            if *byte == b'/' {
                break;
            }
            len += 1;
            hash = hash_on(hash, *byte);
        }
        let name = path.get(..len).unwrap_or(&[]);
        if name == b"." {
            return Step::Here;
        }
        match self.probe(node, name, hash) {
            Some(child) => Step::To(child, len),
            None => Step::Apart,
        }
    }

    /// The last component of the node's path; empty for `/`.
    pub fn name_of(&self, id: NodeId) -> &'a [u8] {
        self.node(id).map_or(&[], |node| self.string(node.name))
    }

    /// The node above; `/` is above itself.
    #[inline]
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.node(id).map_or(id, |node| NodeId(node.parent))
    }

    /// The mount that governs the node and all that is below it and has no node.
    #[inline]
    pub fn region(&self, id: NodeId) -> u32 {
        self.node(id).map_or(0, |node| node.region)
    }

    /// Whether a mount stands at this very node.
    #[inline]
    pub fn is_mount_point(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.flags & node::MOUNT_POINT != 0)
    }

    /// Whether the node's region is the host's own tree under its own names.
    #[inline]
    pub fn passes(&self, id: NodeId) -> bool {
        self.node(id).is_none_or(|node| node.flags & node::PASSES != 0)
    }

    /// Whether mount points lie below the node.
    #[inline]
    pub fn has_children(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.slot_count != 0)
    }

    /// The nodes directly below, in no particular order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'a> {
        let (first, count) = self.node(id).map_or((0, 0), |n| (n.first_slot as usize, n.slot_count as usize));
        let slots: &'a [Slot] = self.slots.get(first..first + count).unwrap_or(&[]);
        slots.iter().filter(|slot| slot.node != NO_NODE).map(|slot| NodeId(slot.node))
    }
}
