//! What processes tell that have no part in what is shared: those of another user, which a program has become by execve(2).
//!
//! They may not write to what the instance's processes go by, since root's processes do so too. But others must learn that
//! a directory has been moved or taken away. So they have a page of a file of their own, which lies over this one in
//! each process where the launcher has made that file. Nothing in it is believed but that something has changed: each
//! change of a number ends an epoch, so that what has been forgotten once never comes back.

use core::sync::atomic::AtomicU32;

/// The page. All zeros is the right state to begin with.
#[repr(C, align(4096))]
pub struct Notices {
    pub(super) changes: AtomicU32,
    pub(super) moves_begun: AtomicU32,
    pub(super) moves_done: AtomicU32,
}

impl Notices {
    /// How many bytes the file has.
    pub const LEN: usize = size_of::<Notices>();
}
