//! Marks in the listings of sides: where the kernel goes on after the last name that has been given.
//!
//! They save a search, and none need be there.

use core::sync::atomic::{AtomicU64, Ordering};

use super::list::Listing;
use crate::shared::directory_hash;

/// Where a side's own listing goes on after a name.
struct Slot {
    native: AtomicU64,
    proof: AtomicU64,
}

static SLOTS: [Slot; 64] = [const { Slot { native: AtomicU64::new(0), proof: AtomicU64::new(0) } }; 64];

impl Listing<'_, '_> {
    fn slot(&self, position: u64) -> (&'static Slot, u64) {
        let key =
            (directory_hash(self.union.id, self.below) ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        // The index is below the table's length.
        (&SLOTS[(key >> 32) as usize % SLOTS.len()], key)
    }

    /// Keeps what a position is in a side's own listing.
    pub(super) fn remember(&self, position: u64, native: u64) {
        let (slot, key) = self.slot(position);
        slot.proof.store(0, Ordering::Release);
        slot.native.store(native, Ordering::Release);
        slot.proof.store(key ^ native.rotate_left(17), Ordering::Release);
    }

    /// What has been kept of a position, if it is still there.
    pub(super) fn remembered(&self, position: u64) -> Option<u64> {
        let (slot, key) = self.slot(position);
        let native = slot.native.load(Ordering::Acquire);
        (slot.proof.load(Ordering::Acquire) == key ^ native.rotate_left(17)).then_some(native)
    }
}
