//! Calls that the program makes itself: those that take a signal mask and wait
//! (ppoll, pselect6, epoll_pwait, rt_sigsuspend), and sigaltstack.
//!
//! A signal that the mask lets through must reach its handler in the middle of
//! the call, so the call cannot be made from a slot. The program makes it
//! itself, from the gate's code: its arguments, with a mask that is fit to be
//! used, and what is to be put back afterwards, lie on its own stack, where the
//! signal's frame would lie as well.

use elements::{Answer, Errno};

use super::entry::{address, gate_native};
use super::{CALL_LEN, Context};
use crate::place::Slot;
use crate::signals::{inward, read};

/// What lies on the program's stack meanwhile; `gate_native` knows the order.
#[repr(C)]
struct Native {
    back: u64,
    rdi: u64,
    r10: u64,
    r8: u64,
    r9: u64,
    rsp: u64,
    mask: u64,
    /// What pselect6(2) takes in the place of a mask.
    pair: (u64, u64),
}

/// No mask is given; [`inward`] makes none like this.
const NONE: u64 = u64::MAX;

/// The mask of a call that a signal has interrupted: what the program has
/// blocked while it waits. The kernel tells the one that it goes back to.
pub fn mask_of_wait(context: &Context) -> Option<u64> {
    if context.ip != address(gate_native) + CALL_LEN {
        return None;
    }
    // SAFETY: `gate_native` has its stack pointer at what was prepared.
    let mask = unsafe { (*(context.sp as *const Native)).mask };
    (mask != NONE).then_some(mask)
}

/// Where a call has its mask.
#[derive(Clone, Copy)]
pub enum Mask {
    /// Behind the argument with this number.
    Argument(usize),
    /// Behind a pair of words behind the argument with this number, as pselect6(2) has it.
    Pair(usize),
}

/// The bytes below its stack pointer that a function may use (the red zone).
const RED_ZONE: u64 = 128;

/// Prepares the call, so that it is made as the slot is left.
pub fn prepare(slot: &mut Slot, mask: Option<Mask>) -> Answer {
    match place(slot, mask) {
        // The number goes where the result would: it is what the call needs there.
        Ok(()) => Answer::Done(Ok(slot.number as usize)),
        Err(errno) => Answer::fail(errno),
    }
}

fn place(slot: &mut Slot, mask: Option<Mask>) -> Result<(), Errno> {
    let (index, pointer) = match mask {
        None => (0, 0),
        Some(Mask::Argument(index)) => (index, slot.args[index]),
        Some(Mask::Pair(index)) if slot.args[index] == 0 => (index, 0),
        Some(Mask::Pair(index)) => (index, read::<[u64; 2]>(slot.args[index])?[0] as usize),
    };
    let [rdi, _, _, r10, r8, r9] = slot.args.map(|word| word as u64);
    let start = (slot.sp - RED_ZONE - size_of::<Native>() as u64) & !15;
    let mut native = Native { back: slot.back, rdi, r10, r8, r9, rsp: slot.sp, mask: NONE, pair: (0, 8) };
    if pointer != 0 {
        native.mask = inward(read::<u64>(pointer)?);
        let placed = start + core::mem::offset_of!(Native, mask) as u64;
        native.pair.0 = placed;
        slot.args[index] = match mask {
            Some(Mask::Pair(_)) => start as usize + core::mem::offset_of!(Native, pair),
            _ => placed as usize,
        };
    }
    // SAFETY: below the program's stack pointer and its red zone nothing is in
    // use; where there is no stack, that is a fault which ends the call.
    unsafe { (start as *mut Native).write(native) };
    slot.sp = start;
    slot.back = address(gate_native);
    Ok(())
}
