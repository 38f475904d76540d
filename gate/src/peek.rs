//! Whether a byte of the program's can be read, found out by reading it.
//!
//! That costs nothing where the byte is there, and a system call is made for none of the pages that a program's
//! paths lie in. Where it is not, the fault comes as SIGSEGV or SIGBUS, which we always listen to (signals.rs), and
//! [`crate::deliver`] has the thread go on at `gate_unreadable`.
//!
//! The kernel ends a program by a fault of which it finds the signal blocked, ignored or left to it. So from the
//! first mask on, and the first action, by which that may be so, it is the kernel that is asked.

use core::sync::atomic::{AtomicBool, Ordering};

use elements::{kernel, user};

use crate::arch::entry::gate_peek;

/// The signals that tell of faults, in a mask.
pub const FAULTS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

/// Whether a fault may be the end of the program. Once it is so, it stays.
#[unsafe(link_section = ".data.start")]
pub static ENDS: AtomicBool = AtomicBool::new(false);

/// Begins to, now that faults are listened to.
pub fn begin() {
    user::set_peek(can_read);
}

fn can_read(address: usize) -> bool {
    if ENDS.load(Ordering::Relaxed) {
        return kernel::is_readable(address);
    }
    // SAFETY: a fault there is caught.
    unsafe { gate_peek(address) != 0 }
}

/// Notes a mask that a thread is about to have.
pub fn note_mask(mask: u64) {
    if mask & FAULTS != 0 {
        ENDS.store(true, Ordering::Relaxed);
    }
}

/// Notes that the program sets what happens at a signal.
pub fn note_action(signal: usize) {
    if (1..64).contains(&signal) {
        note_mask(1 << (signal - 1));
    }
}
