//! Handing signals to the program's handlers.
//!
//! The kernel calls `gate_deliver` for each signal that the program has a
//! handler for. Where the program itself was interrupted, it jumps on to that
//! handler, and nothing tells that it was there. Where a call was under way
//! in the gate, the program must not see that: the signal is kept in the slot
//! with all others blocked, and sent again when the call is done, so that the
//! handler finds the program just behind its system call.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use elements::instance::attached;
use elements::{Errno, kernel};

use crate::alternate;
use crate::arch::entry::{
    address, gate_check, gate_claimed, gate_fault, gate_freed, gate_held, gate_hindered, gate_holding,
    gate_inside, gate_interrupted, gate_left, gate_look, gate_passes, gate_passing, gate_restored,
    gate_restorer, gate_unmasked, gate_unreadable, gate_waits, peeks,
};
use crate::arch::{CALL_LEN, Context, gate_deliver, is_call};
use crate::place::{Slot, is_inside, slot_of};
use crate::signals::{ACTIONS, MAY_WAIT, SIGNALS};
use crate::sigsys;
use crate::trap::{Action, SA_RESTORER, rt_sigaction};

/// The program's handlers; 0 where it has none.
#[unsafe(link_section = ".bss.soon")]
pub static HANDLERS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];

/// Whether the view has a say in who is told to have sent a signal.
#[unsafe(link_section = ".bss.soon")]
pub static SHOWS_SENDER: AtomicBool = AtomicBool::new(false);

/// `siginfo_t`: si_signo, si_errno, si_code, and what else there is.
pub use elements::identity::credentials::Info;
use elements::identity::credentials::SENDER_ROOM;
/// The kernel's number for a call that is to be made again.
pub const ERESTARTSYS: i32 = 512;

/// A place in the gate's code.
type Label = unsafe extern "C" fn();

/// A signal has come while the gate's code ran. Says whether it is kept for later.
pub extern "C" fn inside(signal: i32, info: *const Info, context: *mut Context) -> bool {
    // SAFETY: the kernel's own, for this handler.
    let (about, context) = unsafe { (&*info, &mut *context) };
    if context.ip == address(gate_deliver) {
        return stacked(signal, about, context);
    }
    if context.ip == peeks() && is_fault(signal, about) {
        context.ip = address(gate_unreadable);
        return true;
    }
    if settle(context) {
        return false;
    }
    let ip = context.ip;
    if (address(gate_check)..=address(gate_freed)).contains(&ip) {
        // SAFETY: it is still claimed there.
        let slot = unsafe { &mut *context.slot() };
        context.ip = address(gate_check);
        keep(slot, signal, about, context);
        return true;
    }
    // On the program's own stack: the entry has not begun, or a handler of
    // ours was interrupted, which does not mind.
    let Some(slot) = slot_of(context.sp) else { return false };
    if is_fault(signal, about) {
        context.ip = address(gate_fault);
        context.sp = slot.stack();
        return true;
    }
    // A call that waits must not begin now.
    let begins = |look: Label, call: Label| (address(look)..=address(call)).contains(&ip);
    if context.result() >= 0 && (begins(gate_look, gate_waits) || begins(gate_passing, gate_passes)) {
        let is_passed = begins(gate_passing, gate_passes);
        context.ip = if is_passed { address(gate_hindered) } else { address(gate_interrupted) };
        keep(slot, signal, about, context);
        return true;
    }
    // A call that the kernel would make again must return to us first. A handler of
    // ours that is about to return is not one.
    let returns = (address(gate_restorer)..address(gate_restored)).contains(&ip);
    // SAFETY: code of the gate.
    if is_inside(ip) && unsafe { is_call(ip) } && !returns {
        context.skip_call(-i64::from(ERESTARTSYS));
    }
    keep(slot, signal, about, context);
    true
}

/// Gives up a slot that is as good as not claimed or as good as left. Says
/// whether it was one, so that the program's handler may run at once.
fn settle(context: &mut Context) -> bool {
    let ip = context.ip;
    let holding = (address(gate_holding)..address(gate_held)).contains(&ip);
    if holding || (address(gate_claimed)..address(gate_inside)).contains(&ip) {
        // SAFETY: it is claimed from here on.
        let slot = unsafe { &*context.slot() };
        context.begin_anew(slot, holding);
        free(slot);
    } else if ip == address(gate_left) {
        context.ip = context.back();
    } else if ip == address(gate_unmasked) {
        // SAFETY: it is still claimed there.
        let slot = unsafe { &*context.slot_at_unmasked() };
        context.restore(slot);
        context.mask = slot.mask.load(Ordering::Relaxed);
        free(slot);
    } else {
        return false;
    }
    true
}

/// Of several signals that may come, the kernel begins all handlers before any
/// has run an instruction. The last is the first to run, and finds the others
/// interrupted at `gate_deliver`; what they have interrupted is what counts.
fn stacked(signal: i32, about: &Info, context: &mut Context) -> bool {
    let mut outer = context.third_argument() as *mut Context;
    // SAFETY: the third argument of a handler that has just begun is its context.
    let outer = unsafe {
        while (*outer).ip == address(gate_deliver) {
            outer = (*outer).third_argument() as *mut Context;
        }
        &mut *outer
    };
    if settle(outer) || !is_inside(outer.ip) {
        return false;
    }
    let leaves = (address(gate_check)..=address(gate_freed)).contains(&outer.ip);
    if !leaves && slot_of(outer.sp).is_none() {
        return false;
    }
    send_later(signal, about, context);
    true
}

/// Sends a signal again, to come when the call that it has interrupted is done.
fn send_later(signal: i32, about: &Info, context: &mut Context) {
    let all = MAY_WAIT | 1 << (signal - 1);
    alternate::set_mask(all);
    context.mask = all;
    arm_again(signal);
    send(signal, about);
}

/// A handler that was for one time only is needed once more.
fn arm_again(signal: i32) {
    if let Some(once) = ACTIONS.get(signal as usize).and_then(crate::signals::Kept::once) {
        // SAFETY: the program's own action.
        let _ = unsafe { rt_sigaction(signal as usize, &raw const once, core::ptr::null_mut()) };
    }
}

/// Sends a signal once more: to this thread, but for what may be any thread's.
pub fn send_again(signal: i32, about: &Info) -> Result<usize, Errno> {
    let (pid, info) = (kernel::getpid() as usize, about.as_ptr() as usize);
    let (number, args) = if sigsys::is_for_process(about) {
        (libc::SYS_rt_sigqueueinfo, [pid, signal as usize, info, 0, 0, 0])
    } else {
        (libc::SYS_rt_tgsigqueueinfo, [pid, kernel::gettid() as usize, signal as usize, info, 0, 0])
    };
    // SAFETY: the kernel reads one siginfo_t.
    unsafe { kernel::syscall(number, args) }
}

/// The same, where it must come even if nothing can be told of it.
fn send(signal: i32, about: &Info) {
    if send_again(signal, about).is_err() {
        let args = [kernel::getpid() as usize, kernel::gettid() as usize, signal as usize, 0, 0, 0];
        // SAFETY: numbers only.
        let _ = unsafe { kernel::syscall(libc::SYS_tgkill, args) };
    }
}

/// Whether a signal tells of a fault of the code that it interrupts.
fn is_fault(signal: i32, about: &Info) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS) && about[2] > 0
}

fn free(slot: &Slot) {
    slot.busy.store(0, Ordering::Release);
}

/// Keeps a signal until the call is done, and all others away.
fn keep(slot: &mut Slot, signal: i32, about: &Info, context: &mut Context) {
    if slot.pending.load(Ordering::Relaxed) != 0 {
        // One has interrupted the other's handler. The program's mask is the one of
        // who came first, and handlers only add to it.
        slot.mask.fetch_and(context.mask, Ordering::Relaxed);
        return send_later(signal, about, context);
    }
    slot.signal = signal as u64;
    // SAFETY: both are as large as a siginfo_t.
    slot.info = unsafe { core::ptr::from_ref(about).cast::<[u64; 16]>().read_unaligned() };
    slot.mask.store(context.mask, Ordering::Relaxed);
    slot.pending.store(1, Ordering::Relaxed);
    context.mask = MAY_WAIT;
    arm_again(signal);
}

/// Ends a call of a thread that is held, or during which a signal has come: that
/// is sent again, to come as soon as the mask allows.
pub extern "C" fn leave(slot: *mut Slot) {
    // SAFETY: the entry gives the slot that it has claimed.
    let kept = unsafe { &mut *slot };
    let mask = (kept.held.load(Ordering::Relaxed) != 0).then(|| alternate::give_back(kept));
    if mask.is_none() {
        alternate::set_mask(u64::MAX);
    }
    // Signals are blocked by now: one that came on the way here has been kept, and the mask with it.
    if kept.pending.swap(0, Ordering::Relaxed) == 0 {
        if let Some(mask) = mask {
            kept.mask.store(mask, Ordering::Relaxed);
        }
        return;
    }
    if kept.result as i64 == -i64::from(ERESTARTSYS) {
        // The call is to be made again: back onto its instruction.
        kept.result = kept.number;
        kept.back -= CALL_LEN;
    }
    // SAFETY: both are as large as a siginfo_t.
    send(kept.signal as i32, unsafe { &*kept.info.as_ptr().cast::<Info>() });
}

/// A signal is about to be handed to the program: puts into what is told of it who has sent it. This runs on the
/// program's stack, which may be an alternate one that is small.
pub extern "C" fn show_sender(signal: i32, info: *mut Info, context: *const Context) {
    let asks = ACTIONS.get(signal as usize).is_some_and(crate::signals::Kept::asks_for_info);
    if let (true, Some(instance)) = (asks, attached()) {
        // SAFETY: the kernel's own, for a handler that is told of it.
        unsafe { instance.show_sender(&mut *info, (*context).has_below(SENDER_ROOM)) };
    }
}

/// A signal that the program leaves to the kernel, and that only we listen to.
pub extern "C" fn default(signal: i32, info: *const Info, _: *mut Context) {
    let action = Action { handler: libc::SIG_DFL, flags: SA_RESTORER, restorer: 0, mask: 0 };
    // SAFETY: the kernel's own action.
    let _ = unsafe { rt_sigaction(signal as usize, &raw const action, core::ptr::null_mut()) };
    // SAFETY: the kernel's own.
    if !is_fault(signal, unsafe { &*info }) {
        let args = [kernel::getpid() as usize, kernel::gettid() as usize, signal as usize, 0, 0, 0];
        // SAFETY: numbers only.
        let _ = unsafe { kernel::syscall(libc::SYS_tgkill, args) };
    }
    // A fault comes again by itself.
}

/// A SIGSYS that is the program's own matter.
pub fn foreign(signal: i32, info: *mut Info, context: &mut Context) {
    // Not in the middle of a call. What is kept there is what stands in for it.
    if is_inside(context.ip) {
        // SAFETY: the kernel's own.
        sigsys::mark(unsafe { &mut *info });
        if inside(sigsys::STANDS_IN, info, context) {
            return;
        }
        // SAFETY: the same.
        sigsys::unmark(unsafe { &mut *info });
    }
    // SAFETY: the kernel's own.
    if !sigsys::postpone(unsafe { &*info }, context) {
        to_program(signal, info, context);
    }
}

/// Hands a signal to the program from a handler of ours.
pub fn to_program(signal: i32, info: *mut Info, context: &mut Context) {
    let handler = match signal {
        libc::SIGSYS => sigsys::handler(),
        _ => HANDLERS.get(signal as usize).map_or(0, |entry| entry.load(Ordering::Acquire)),
    };
    if handler == libc::SIG_IGN {
        return;
    }
    if handler == libc::SIG_DFL {
        return default(signal, info, context);
    }
    if signal == libc::SIGSYS {
        crate::signals::block_for(signal);
    }
    // SAFETY: what the program has given as its handler.
    let handler: extern "C" fn(i32, *mut Info, *mut Context) = unsafe { core::mem::transmute(handler) };
    handler(signal, info, context);
}
