//! Look-ups in the path tables.
//!
//! A walk goes down one component at a time. It stays *on the tree* while a
//! mount point may still lie ahead; once a component has no node, whatever
//! follows belongs to the region of the last node that did.

use crate::key::Key;
use crate::layout::{FROM_ROOT, NO_NODE, NO_WAY, Node, View, Way, node};

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
    /// It begins under the mount at `/`.
    Root,
    /// That takes a closer look.
    Unsure,
}

/// The bit of a byte in a set of 64.
#[inline]
pub fn bit(byte: u8) -> u64 {
    1 << (byte & 63)
}

/// A path from its first name on, which is no `.`.
#[inline]
fn name_ahead(path: &[u8]) -> &[u8] {
    let mut ahead = path;
    loop {
        ahead = match ahead {
            [b'/', rest @ ..] => rest,
            [b'.'] => &[],
            [b'.', b'/', rest @ ..] => rest,
            _ => return ahead,
        }
    }
}

impl Node {
    /// Whether a child may have a name that begins with `first`. False is
    /// certain, and never said of a slash or NUL where there are children.
    #[inline]
    pub fn may_have_child(&self, first: u8) -> bool {
        self.starts & bit(first) != 0
    }

    /// Whether a mount stands here.
    #[inline]
    pub fn is_mount_point(&self) -> bool {
        self.flags & node::MOUNT_POINT != 0
    }

    /// Whether the mount that stands here is a symbolic link.
    #[inline]
    pub fn is_link(&self) -> bool {
        self.flags & node::LINK != 0
    }

    /// Whether the node's region is a union of layers.
    #[inline]
    pub fn is_layered(&self) -> bool {
        self.flags & node::LAYERED != 0
    }

    /// The mount that governs what is below and has no node.
    #[inline]
    pub fn region(&self) -> u32 {
        self.region
    }
}

impl<'a> View<'a> {
    /// The node of `/` in the app tree.
    pub fn app_root(&self) -> NodeId {
        NodeId(self.header.app_root)
    }

    /// Whether a mount stands at `/`, so that the host's own tree is not seen.
    #[inline]
    pub fn has_root(&self) -> bool {
        !self.passes(self.app_root())
    }

    /// The node of `/` in the host tree.
    pub fn host_root(&self) -> NodeId {
        NodeId(self.header.host_root)
    }

    /// The node at a position.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&'a Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The number of one of its nodes.
    pub fn id_of(&self, node: &Node) -> NodeId {
        let start = self.nodes.as_ptr().addr();
        NodeId(((core::ptr::from_ref(node).addr() - start) / size_of::<Node>()) as u32)
    }

    /// Where absolute paths go whose first name begins with this byte.
    #[inline(always)]
    pub fn first(&self, byte: u8) -> First<'a> {
        match self.header.first[usize::from(byte)] {
            NO_WAY => First::Nothing,
            number => match self.ways.get(usize::from(number) - 1) {
                Some(way) => First::Way(way),
                None if number == FROM_ROOT => First::Root,
                None => First::Unsure,
            },
        }
    }

    /// The child of `id` called `name`.
    #[inline]
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let node = self.node(id)?;
        let first = *name.first()?;
        if node.may_have_child(first) { self.child_by_key(node, Key::of(name), name) } else { None }
    }

    /// The child of a node by its name and the name's key.
    #[inline(always)]
    pub fn child_by_key(&self, node: &Node, key: Key, name: &[u8]) -> Option<NodeId> {
        let mask = node.slot_count.wrapping_sub(1);
        let index = node.first_slot.wrapping_add(key.hash() & mask);
        let slot = self.slots.get(index as usize)?;
        if slot.key == key && key.is_whole() { Some(NodeId(slot.node)) } else { self.probe(node, name) }
    }

    /// The same, at more than the first slot and for long names.
    #[cold]
    #[inline(never)]
    fn probe(&self, node: &Node, name: &[u8]) -> Option<NodeId> {
        let key = Key::of(name);
        let mask = node.slot_count.checked_sub(1)?;
        // At most one turn: a full table without the name must not hold us.
        for step in 0..node.slot_count {
            let index = node.first_slot + (key.hash().wrapping_add(step) & mask);
            let slot = self.slots.get(index as usize)?;
            if slot.node == NO_NODE {
                return None;
            }
            if slot.key == key && (key.is_whole() || self.name_of(NodeId(slot.node)) == name) {
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
            ahead = name_ahead(ahead);
            let [first, ..] = ahead else {
                reach.stop = Stop::End;
                return reach;
            };
            if !node.may_have_child(*first) {
                return reach;
            }
            let len = ahead.iter().position(|byte| *byte == b'/').unwrap_or(ahead.len());
            let (name, rest) = ahead.split_at(len);
            let Some(child) = self.child_by_key(node, Key::of(name), name) else { return reach };
            let Some(below) = self.node(child) else { return reach };
            node = below;
            ahead = rest;
            reach.node = child;
            reach.left = ahead.len();
            if node.is_link() {
                reach.stop = Stop::Link;
                return reach;
            }
            if node.is_mount_point() {
                reach.point = Some(ahead.len());
            }
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

    /// The host path behind a node's region; none where nothing stands behind it.
    #[inline]
    pub fn source_of(&self, node: &Node) -> Option<&'a [u8]> {
        let source = self.try_string(node.source)?;
        if source.is_empty() { None } else { Some(source) }
    }

    /// Whether a mount stands at this very node.
    #[inline]
    pub fn is_mount_point(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(Node::is_mount_point)
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
        let slots = self.slots.get(first..first + count).unwrap_or(&[]);
        slots.iter().filter(|slot| slot.node != NO_NODE).map(|slot| NodeId(slot.node))
    }
}
