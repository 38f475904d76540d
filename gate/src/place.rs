//! What lies where: the addresses that are the gate's in every process.
//!
//! The gate's image lies at [`BASE`] (build.rs links it there), which neither
//! the kernel's choice of addresses, nor the shadow memory of sanitizers, nor
//! programs with fixed addresses use. The filter lets through what comes from
//! the [`SIZE`] bytes there. Below it lie the [`Slot`]s.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use elements::proc::mappings::GATE;

/// Where the gate's image begins.
pub const BASE: usize = 0x7e00_0000_0000;
/// How many bytes are reserved for it: a power of two.
pub const SIZE: usize = 1 << 20;

/// How many calls can be under way at once in one process.
pub const SLOTS: usize = 256;
/// The bytes of a slot: a power of two.
pub const SLOT_SIZE: usize = 256 * 1024;
/// Where the slots begin.
pub const POOL: usize = BASE - SLOTS * SLOT_SIZE;

const _: () = assert!(GATE.start == POOL as u64 && GATE.end == (BASE + SIZE) as u64);

/// One call on its way through the gate: the program's registers, and a stack
/// to work on, which fills the rest of the slot from its end down.
#[repr(C, align(16))]
pub struct Slot {
    /// Whether a call is under way here.
    pub busy: AtomicU32,
    /// Whether a signal has come meanwhile.
    pub pending: AtomicU32,
    /// The program's stack pointer.
    pub rsp: u64,
    /// The number of the call; once it is done, its result.
    pub rax: u64,
    /// The number of the call, still.
    pub number: u64,
    /// Where the program goes on.
    pub rcx: u64,
    /// The arguments of the call, in order.
    pub args: [u64; 6],
    /// The registers that a function keeps: rbx, rbp, r12 to r15.
    pub kept: [u64; 6],
    /// The program's vector registers.
    pub xmm: [u128; 16],
    /// The signal that has come, and the mask that the thread had then.
    pub signal: u64,
    /// See [`Slot::signal`].
    pub mask: AtomicU64,
    /// What is known of the signal: a `siginfo_t`.
    pub info: [u64; 16],
}

/// Whether an address is in the gate's image.
pub fn is_inside(address: u64) -> bool {
    (address as usize).wrapping_sub(BASE) < SIZE
}

/// The slot that an address lies in.
pub fn slot_of(address: u64) -> Option<&'static mut Slot> {
    let offset = (address as usize).wrapping_sub(POOL);
    if offset >= SLOTS * SLOT_SIZE {
        return None;
    }
    let slot = POOL + offset / SLOT_SIZE * SLOT_SIZE;
    // SAFETY: the loader has mapped all slots; the caller's thread, whose
    // stack pointer lies there, has claimed this one.
    Some(unsafe { &mut *(slot as *mut Slot) })
}

/// Frees all slots but the one that the caller is on: after a fork, the
/// threads that held them are not in this process.
pub fn free_others(own: &Slot) {
    for index in 0..SLOTS {
        let slot = (POOL + index * SLOT_SIZE) as *const Slot;
        if core::ptr::eq(slot, own) {
            continue;
        }
        // SAFETY: mapped by the loader; only atomics are touched.
        let (busy, pending) = unsafe { (&(*slot).busy, &(*slot).pending) };
        // Only reading leaves a page shared with the parent.
        if busy.load(Relaxed) != 0 {
            pending.store(0, Relaxed);
            busy.store(0, Relaxed);
        }
    }
}
