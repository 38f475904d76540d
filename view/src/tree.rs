//! Look-ups in the path tables.
//!
//! A walk goes down one component at a time. It stays *on the tree* while a
//! mount point may still lie ahead; once a component has no node, whatever
//! follows belongs to the region of the last node that did.

use crate::layout::{NO_NODE, Node, Slot, View};

/// A position in one of the path tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(
    /// Index into the image's nodes.
    pub u32,
);

/// The hash of a component's name (FNV-1a, 32 bits).
pub fn hash(name: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in name {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

pub(crate) fn start_bit(first: u8) -> u64 {
    1 << (first & 63)
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

    /// Whether a child of `id` may have a name that begins with `first`. False is certain.
    #[inline]
    pub fn may_have_child(&self, id: NodeId, first: u8) -> bool {
        self.node(id).is_some_and(|node| node.starts & start_bit(first) != 0)
    }

    /// The child of `id` called `name`.
    #[inline]
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let first = *name.first()?;
        if !self.may_have_child(id, first) {
            return None;
        }
        self.probe(self.node(id)?, name)
    }

    fn probe(&self, node: &Node, name: &[u8]) -> Option<NodeId> {
        let mask = node.slot_count.checked_sub(1)?;
        let wanted = hash(name);
        // At most one turn: a full table without the name must not hold us.
        for step in 0..node.slot_count {
            let index = node.first_slot + (wanted.wrapping_add(step) & mask);
            let slot: &Slot = self.slots.get(index as usize)?;
            if slot.node == NO_NODE {
                return None;
            }
            if slot.hash == wanted && self.name_of(NodeId(slot.node)) == name {
                return Some(NodeId(slot.node));
            }
        }
        None
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
        self.node(id).is_some_and(|node| node.is_mount_point != 0)
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
