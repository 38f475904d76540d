//! What processes tell that have no part in what is shared: those of another user, which a program has become by execve(2).
//!
//! They may not write to what the instance's processes go by, since root's processes do so too. But others must learn that
//! a directory has been moved or taken away, and which files are copies. So they have a file of their own, which lies over this part in
//! each process where the launcher has made that file. Nothing in it is believed but that something has changed: each
//! change of a number ends an epoch, so that what has been forgotten once never comes back. What may be a copy is asked.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use super::filter::Filter;

/// The file. All zeros is the right state to begin with.
#[repr(C, align(4096))]
pub struct Notices {
    pub(super) changes: AtomicU32,
    pub(super) moves_begun: AtomicU32,
    pub(super) moves_done: AtomicU32,
    has_copies: AtomicU32,
    has_tracers: AtomicU32,
    copies: Filter<true>,
}

impl Notices {
    /// How many bytes the file has.
    pub const LEN: usize = size_of::<Notices>();

    /// How many bytes the counts take, with what follows in their page.
    pub const COUNTS: usize = 4096;

    /// Where in it is counted which moves of directories have begun and been done, and what says that none is under way: a
    /// start writes it.
    pub const MOVES: u64 = offset_of!(Notices, moves_begun) as u64;
    /// The bytes that say so.
    pub const NO_MOVES: [u8; 2 * size_of::<AtomicU32>()] = [0; _];

    /// Where in it, in bytes, it is written down that an inode is a copy's. The file has holes: who writes has room made there first.
    pub fn expected_at(inode: u64) -> [usize; 2] {
        Filter::<true>::places(inode).map(|at| offset_of!(Notices, copies) + at)
    }

    /// Says that a process of the instance is about to trace another, or to be traced.
    pub fn expect_tracer(&self) {
        self.has_tracers.store(1, Ordering::Release);
    }

    /// Whether any ever was.
    pub fn has_tracers(&self) -> bool {
        self.has_tracers.load(Ordering::Acquire) != 0
    }

    /// Says that an inode is about to be a copy's.
    pub fn expect_copy(&self, inode: u64) {
        self.copies.add(inode);
        self.has_copies.store(1, Ordering::Release);
    }

    /// Whether there may be any copies.
    #[inline]
    pub fn has_copies(&self) -> bool {
        self.has_copies.load(Ordering::Acquire) != 0
    }

    /// Whether an inode may be a copy's.
    #[inline]
    pub fn may_be_copy(&self, inode: u64) -> bool {
        self.has_copies() && self.copies.may_have(inode)
    }
}
