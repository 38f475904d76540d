//! When an instance was started: the one moment that all its processes reckon from.
//!
//! The launcher writes it before the first process is there. After that the host's side
//! stays, and the other one moves only where a program sets the clock.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A moment by two clocks, in nanoseconds since 1970.
#[repr(C)]
pub struct Anchor {
    host: AtomicI64,
    shown: AtomicI64,
    /// Who has written it, as [`Anchor::holder`] has it.
    holder: AtomicU64,
}

impl Anchor {
    /// The moment by the host's clock, and by the application's.
    #[inline]
    pub fn get(&self) -> (i64, i64) {
        (self.host.load(Ordering::Relaxed), self.shown.load(Ordering::Relaxed))
    }

    /// Begins anew. Nobody may be running in the instance.
    pub fn begin(&self, host: i64, shown: i64, holder: u64) {
        self.host.store(host, Ordering::Relaxed);
        self.shown.store(shown, Ordering::Relaxed);
        self.holder.store(holder, Ordering::Release);
    }

    /// Puts the application's clock forward by so many nanoseconds, or back.
    pub fn step(&self, by: i64) {
        self.shown.fetch_add(by, Ordering::Relaxed);
    }

    /// What tells the start that has begun it from all others; 0 where none has.
    pub fn holder(&self) -> u64 {
        self.holder.load(Ordering::Acquire)
    }
}
