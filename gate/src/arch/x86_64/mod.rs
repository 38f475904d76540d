//! x86-64.
//!
//! - [`entry`]: the way in and out, from registers to a slot and back.
//! - [`context`]: the registers of a thread that a signal has interrupted.
//! - [`deliver`]: what the kernel calls for a signal.
//! - [`native`]: calls that the program makes itself.
//! - [`site`]: call sites, and what takes their place.
//! - [`before`]: what comes before a call, where it is known.
//! - [`start`]: the first instructions, and the last before the program's.
//! - [`memory`]: the functions that the compiler takes for granted.

mod before;
mod context;
mod deliver;
pub mod entry;
mod memory;
pub mod native;
pub mod site;
mod start;

pub use context::Context;
pub use deliver::gate_deliver;
pub use start::{gate_begin, gate_jump};

/// The bytes of the instruction that makes a system call.
pub const CALL_LEN: u64 = 2;

/// The registers that a function keeps: rbx, rbp, r12 to r15.
pub type Kept = [u64; 6];
/// The vector registers.
pub type Vectors = [u128; 16];

/// Whether the instruction at an address makes a system call.
///
/// # Safety
///
/// It is one of the gate's code.
pub unsafe fn is_call(ip: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (ip as *const [u8; 2]).read_unaligned() == [0x0f, 0x05] }
}
