//! What lies where: the addresses that are the gate's in every process.
//!
//! The gate's image lies at [`BASE`] (build.rs links it there), which neither
//! the kernel's choice of addresses, nor the shadow memory of sanitizers, nor
//! programs with fixed addresses use. The filter lets through what comes from
//! the [`SIZE`] bytes there. Below it lie the [`Slot`]s.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use elements::kernel;
use elements::proc::mappings::GATE;

use crate::alternate::StackT;
use crate::arch::{Kept, Vectors};

/// Where the gate's image begins.
pub const BASE: usize = POOL + SLOTS * SLOT_SIZE;
/// How many bytes are reserved for it: a power of two.
pub const SIZE: usize = 1 << 20;

/// How many calls can be under way at once in one process.
pub const SLOTS: usize = 256;
/// The bytes of a slot with its stack: a power of two.
pub const SLOT_SIZE: usize = 256 * 1024;
/// Where the slots begin. The last of them and the image share their page tables.
pub const POOL: usize = 0x7e00_0010_0000;

const _: () = assert!(GATE.start == POOL as u64 && GATE.end == (BASE + SIZE) as u64);

/// One call on its way through the gate: the program's registers. It lies at
/// the end of its [`SLOT_SIZE`] bytes; the stack to work on begins below it, so
/// that a plain call touches one page.
#[repr(C, align(16))]
pub struct Slot {
    /// Whether a call is under way here.
    pub busy: AtomicU32,
    apart: u32,
    /// Whether a signal has come meanwhile.
    pub pending: AtomicU32,
    /// Whether the program's stack pointer may lie in an alternate stack (alternate.rs).
    pub held: AtomicU32,
    /// The program's stack pointer.
    pub sp: u64,
    /// The number of the call; once it is done, its result.
    pub result: u64,
    /// The number of the call, still.
    pub number: u64,
    /// Where the program goes on.
    pub back: u64,
    /// The arguments of the call, in order.
    pub args: [usize; 6],
    /// The registers that a function keeps.
    pub kept: Kept,
    /// The program's vector registers.
    pub vectors: Vectors,
    /// The signal that has come, and the mask that the thread had then.
    pub signal: u64,
    /// See [`Slot::signal`].
    pub mask: AtomicU64,
    /// What is known of the signal: a `siginfo_t`.
    pub info: [u64; 16],
    /// The mask that the thread had when it was held, and its alternate stack.
    pub before: u64,
    /// See [`Slot::before`].
    pub alternate: StackT,
}

const _: () = assert!(core::mem::offset_of!(Slot, held) == core::mem::offset_of!(Slot, pending) + 4);

/// Where the first slot lies.
pub const FIRST: usize = POOL + SLOT_SIZE - size_of::<Slot>();

impl Slot {
    /// Where its stack begins: `gate_entry` keeps the slot's address there.
    pub fn stack(&self) -> u64 {
        core::ptr::from_ref(self) as u64 - 16
    }

    /// Maps the pages of its stack that a call is going to use, in one go: a
    /// child after a fork would fault on each of them.
    pub fn prepare_stack(&self, len: usize) {
        let end = (core::ptr::from_ref(self) as usize + size_of::<Slot>()).next_multiple_of(4096);
        kernel::populate(end - len, len);
    }
}

/// All ones until two calls have been under way at once: then one slot has been
/// enough, and no page of another one has been touched.
#[unsafe(link_section = ".data.start")]
pub static ALONE: AtomicU32 = AtomicU32::new(u32::MAX);

/// Whether an address is in the gate's image.
pub fn is_inside(address: u64) -> bool {
    (address as usize).wrapping_sub(BASE) < SIZE
}

/// The slot that a program's first calls take.
pub fn last_slot() -> &'static Slot {
    // SAFETY: the loader has mapped all slots.
    unsafe { &*((FIRST + (SLOTS - 1) * SLOT_SIZE) as *const Slot) }
}

/// The slot that a thread is on whose stack pointer this is. While a program is started, its thread is on one that nobody has claimed.
pub fn slot_of(address: u64) -> Option<&'static mut Slot> {
    let offset = (address as usize).wrapping_sub(POOL);
    if offset >= SLOTS * SLOT_SIZE {
        return None;
    }
    let slot = FIRST + offset / SLOT_SIZE * SLOT_SIZE;
    // SAFETY: the loader has mapped all slots; the caller's thread, whose
    // stack pointer lies there, has claimed this one.
    let slot = unsafe { &mut *(slot as *mut Slot) };
    (slot.busy.load(Ordering::Relaxed) != 0).then_some(slot)
}

/// Frees all slots but the one that the caller is on: after a fork, the
/// threads that held them are not in this process.
///
/// Their memory is given back. To look at each of them would map a page for
/// each, which costs more than all the rest of a fork.
pub fn free_others(own: &Slot) {
    if ALONE.swap(u32::MAX, Ordering::Relaxed) != 0 {
        return;
    }
    let start = core::ptr::from_ref(own) as usize / SLOT_SIZE * SLOT_SIZE;
    let end = start + SLOT_SIZE;
    for (from, to) in [(POOL, start), (end, BASE)] {
        if from < to {
            // SAFETY: no thread of this process is there; a free slot is all zeros.
            unsafe { kernel::discard(from, to - from) };
        }
    }
}
