//! What processes tell that have no part in the rest: those of another user, which a program has become by execve(2).
//!
//! They may not write to what the instance's processes go by, since root's processes do so too. But others must learn that
//! a directory has been moved or taken away. So they have a page of a file of their own, which lies over this one in
//! each process where the launcher has made that file. Nothing in it is believed but that something has changed: each
//! change of a number ends an epoch, so that what has been forgotten once never comes back.

use core::sync::atomic::{AtomicU32, Ordering};

/// The page. All zeros is the right state to begin with.
#[repr(C, align(4096))]
pub struct Notices {
    changes: AtomicU32,
    moves_begun: AtomicU32,
    moves_done: AtomicU32,
}

impl Notices {
    /// How many bytes the file has.
    pub const LEN: usize = size_of::<Notices>();

    /// As [`Shared::move_directories`](super::Shared::move_directories).
    pub fn move_directories<T>(&self, change: impl FnOnce() -> T) -> T {
        self.moves_begun.fetch_add(1, Ordering::AcqRel);
        self.forget_directories();
        let done = change();
        self.forget_directories();
        self.moves_done.fetch_add(1, Ordering::AcqRel);
        done
    }

    /// As [`Shared::forget_directories`](super::Shared::forget_directories).
    pub fn forget_directories(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    #[inline]
    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn moves_begun(&self) -> u32 {
        self.moves_begun.load(Ordering::Acquire)
    }

    pub(super) fn moves_done(&self) -> u32 {
        self.moves_done.load(Ordering::Acquire)
    }
}
