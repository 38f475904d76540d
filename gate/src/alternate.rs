//! Alternate signal stacks, see sigaltstack(2).
//!
//! The kernel tells by the stack pointer whether a thread is on its alternate
//! stack: if it is, the next signal's frame goes below the frames that are
//! there, and else to the top. In a slot the stack pointer is the slot's, so a
//! signal that comes while a handler on the alternate stack has a call in a slot
//! would be written over the handler's own frames.
//!
//! So the entry looks whether the program's stack pointer may lie in an
//! alternate stack ([`PAGES`]). If it may, it blocks all signals before it goes
//! over to the slot ([`Slot::held`]), where the alternate stack is taken away
//! from the thread and the signals may come again: now their frames go to the
//! slot's stack. On the way out it is the other way round. Both ways cost three
//! system calls, and are only for calls that handlers make.

use core::sync::atomic::{AtomicU32, Ordering};

use elements::{Errno, kernel};

use crate::place::Slot;
use crate::signals::read;

/// The bits of a page's number that [`PAGES`] tells apart.
pub const BITS: usize = 1 << 16;
const PAGE: usize = 4096;

/// Whether some thread has ever set an alternate stack.
#[unsafe(link_section = ".data.start")]
pub static ANY: AtomicU32 = AtomicU32::new(0);

/// A bit for each page, by the low bits of its number, that has ever been one of
/// an alternate stack. A bit that stays set, or is another page's, only costs time.
pub static PAGES: [AtomicU32; BITS / 32] = [const { AtomicU32::new(0) }; BITS / 32];

/// `stack_t`: where it begins, its flags, and how many bytes it has.
pub type StackT = [usize; 3];

const DISABLE: usize = libc::SS_DISABLE as usize;

/// Notes the stack that sigaltstack(2) is asked to set.
pub fn note(new: usize) -> Result<(), Errno> {
    let [start, flags, len] = read::<StackT>(new)?;
    if flags & DISABLE == 0 {
        let first = start / PAGE;
        let count = (start.wrapping_add(len).wrapping_sub(1) / PAGE).wrapping_sub(first).wrapping_add(1);
        for page in 0..count.min(BITS) {
            let bit = first.wrapping_add(page) % BITS;
            if let Some(word) = PAGES.get(bit / 32) {
                word.fetch_or(1 << (bit % 32), Ordering::Relaxed);
            }
        }
        ANY.store(1, Ordering::Release);
    }
    Ok(())
}

fn sigaltstack(new: &StackT, old: *mut StackT) {
    let args = [core::ptr::from_ref(new) as usize, old as usize, 0, 0, 0, 0];
    // SAFETY: both are ours; the thread is on a slot's stack.
    let _ = unsafe { kernel::syscall(libc::SYS_sigaltstack, args) };
}

/// Sets the thread's mask, and gives the one that it had.
pub fn set_mask(new: u64) -> u64 {
    let mut before = 0_u64;
    let args = [libc::SIG_SETMASK as usize, &raw const new as usize, &raw mut before as usize, 8, 0, 0];
    // SAFETY: both words are ours.
    let _ = unsafe { kernel::syscall(libc::SYS_rt_sigprocmask, args) };
    before
}

/// Takes the alternate stack away for the time of a call. All signals are blocked.
#[cold]
pub fn put_away(slot: &mut Slot) {
    sigaltstack(&[0, DISABLE, 0], &raw mut slot.alternate);
    // What may have been the page of another stack.
    slot.alternate[1] &= !(libc::SS_ONSTACK as usize);
    set_mask(slot.before);
}

/// Gives it back, as the last thing before the program's own stack is gone over to.
/// All signals are blocked then; gives the mask that the thread had.
#[cold]
pub fn give_back(slot: &Slot) -> u64 {
    let mask = set_mask(u64::MAX);
    sigaltstack(&slot.alternate, core::ptr::null_mut());
    slot.held.store(0, Ordering::Relaxed);
    mask
}
