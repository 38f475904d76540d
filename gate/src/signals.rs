//! What a program may ask of its signals: SIGSYS stays ours.
//!
//! The kernel must never find SIGSYS blocked or ignored in a thread when a
//! call traps: it would end the process. A program that blocks all signals
//! does not mean that. So SIGSYS is taken out of every mask, and whether the
//! program has it blocked is kept in the mask itself, where threads, forks and
//! signal frames keep it with the rest: as SIGSTKFLT, which Linux never sends.

use core::sync::atomic::{AtomicU64, Ordering};

use elements::{Errno, kernel, user};

use crate::arch::entry::{address, gate_restorer};
use crate::arch::{Context, gate_deliver};
use crate::deliver::{HANDLERS, SHOWS_SENDER};
use crate::patch;
use crate::peek;
use crate::sigsys;
use crate::trap::{Action, SA_RESTORER, rt_sigaction};

/// One more than the highest signal.
pub const SIGNALS: usize = 65;
/// SIGSYS in a mask.
pub const SIGSYS_BIT: u64 = 1 << (libc::SIGSYS - 1);
/// All that may wait until a call is done. A bad pointer that it was given is found at once.
pub const MAY_WAIT: u64 = !(SIGSYS_BIT | 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1));
/// SIGSTKFLT in a mask.
pub const STAND_IN: u64 = 1 << (16 - 1);

/// What the program has asked for with a handler, but for the handler itself.
pub struct Kept {
    flags: AtomicU64,
    restorer: AtomicU64,
    mask: AtomicU64,
}

/// For each signal that has a handler.
#[unsafe(link_section = ".bss.soon")]
pub static ACTIONS: [Kept; SIGNALS] = [const { Kept::new() }; SIGNALS];

impl Kept {
    const fn new() -> Kept {
        Kept { flags: AtomicU64::new(0), restorer: AtomicU64::new(0), mask: AtomicU64::new(0) }
    }

    fn store(&self, action: &Action) {
        self.flags.store(action.flags, Ordering::Relaxed);
        self.restorer.store(action.restorer as u64, Ordering::Relaxed);
        self.mask.store(action.mask, Ordering::Release);
    }

    fn load(&self, handler: usize) -> Action {
        Action {
            handler,
            mask: self.mask.load(Ordering::Acquire),
            flags: self.flags.load(Ordering::Relaxed),
            restorer: self.restorer.load(Ordering::Relaxed) as usize,
        }
    }

    /// Whether the handler is given a `siginfo_t`.
    pub fn asks_for_info(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & libc::SA_SIGINFO as u64 != 0
    }

    /// The action as the kernel had it, if it was for one time only.
    pub fn once(&self) -> Option<Action> {
        let action = self.load(address(gate_deliver) as usize);
        (action.flags & libc::SA_RESETHAND as u64 != 0).then_some(action)
    }
}

/// A mask that a thread is to have, as the kernel may have it.
pub fn inward(mask: u64) -> u64 {
    peek::note_mask(mask);
    with_stand_in(mask)
}

fn with_stand_in(mask: u64) -> u64 {
    if mask & SIGSYS_BIT == 0 { mask } else { mask & !SIGSYS_BIT | STAND_IN }
}

/// A mask as the program believes that it is.
fn outward(mask: u64) -> u64 {
    if mask & STAND_IN == 0 { mask } else { mask | SIGSYS_BIT }
}

/// Takes SIGSYS out of the mask that a handler is about to return to.
///
/// # Safety
///
/// `frame` is where the kernel will look for the context.
pub unsafe fn sanitize_frame(frame: *mut Context) {
    // SAFETY: the caller's promise. What cannot be read is a fault of the
    // program's, as it would be without us.
    unsafe { (*frame).mask = inward((*frame).mask) };
}

/// Reads a word of the program's.
pub fn read<T: Copy>(from: usize) -> Result<T, Errno> {
    if user::is_readable(from as *const u8, size_of::<T>()) {
        // SAFETY: found readable.
        Ok(unsafe { (from as *const T).read_unaligned() })
    } else {
        Err(Errno::EFAULT)
    }
}

/// Writes a word to the program. A bad pointer ends the call with `EFAULT`.
pub fn write<T>(to: usize, value: T) {
    // SAFETY: a fault here is caught (`gate_fault`).
    unsafe { (to as *mut T).write_unaligned(value) };
}

/// rt_sigprocmask(2)
pub fn rt_sigprocmask(args: [usize; 6]) -> Result<usize, Errno> {
    let [how, set, old, size, ..] = args;
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let inward = if how == libc::SIG_UNBLOCK as usize { with_stand_in } else { inward };
    let mask = if set == 0 { None } else { Some(inward(read::<u64>(set)?)) };
    let mut before = 0_u64;
    let new = mask.as_ref().map_or(0, |mask| core::ptr::from_ref(mask) as usize);
    let args = [how, new, &raw mut before as usize, 8, 0, 0];
    // Not while a signal is kept, when all are blocked. SAFETY: both words are ours.
    unsafe { kernel::waiting_syscall(libc::SYS_rt_sigprocmask, args) }?;
    if old != 0 {
        write(old, outward(before));
    }
    Ok(0)
}

/// Blocks what the program wants blocked while its handler of SIGSYS runs.
pub fn block_for(signal: i32) {
    let Some(kept) = ACTIONS.get(signal as usize) else { return };
    let action = kept.load(0);
    let own = if action.flags & libc::SA_NODEFER as u64 == 0 { SIGSYS_BIT } else { 0 };
    let mask = inward(action.mask | own);
    let args = [libc::SIG_BLOCK as usize, &raw const mask as usize, 0, 8, 0, 0];
    // SAFETY: the kernel reads a word.
    let _ = unsafe { kernel::syscall(libc::SYS_rt_sigprocmask, args) };
}

/// Whether we listen to a signal even where the program does not: to faults,
/// which may come from a bad pointer that a call was given.
fn is_ours(signal: usize) -> bool {
    matches!(signal as i32, libc::SIGSEGV | libc::SIGBUS)
        || signal as i32 == sigsys::STANDS_IN && sigsys::listens()
}

/// What a new program's signals are to be: SIGSYS may come, and those do.
pub fn begin(ignored: bool) {
    let mut mask = SIGSYS_BIT;
    let unblock = libc::SIG_UNBLOCK as usize;
    let (set, old) = (&raw const mask as usize, &raw mut mask as usize);
    // SAFETY: the kernel reads the word before it writes it.
    let _ = unsafe { kernel::syscall(libc::SYS_rt_sigprocmask, [unblock, set, old, 8, 0, 0]) };
    if mask & SIGSYS_BIT != 0 {
        let (stand_in, block) = (STAND_IN, libc::SIG_BLOCK as usize);
        // SAFETY: the kernel reads a word.
        let _ = unsafe {
            kernel::syscall(libc::SYS_rt_sigprocmask, [block, &raw const stand_in as usize, 0, 8, 0, 0])
        };
    }
    sigsys::begin(ignored, mask & (SIGSYS_BIT | STAND_IN) != 0);
    let plays = elements::instance::attached().is_some_and(elements::Instance::plays);
    if plays {
        SHOWS_SENDER.store(true, Ordering::Relaxed);
    }
    listen();
    peek::note_mask(mask);
    peek::begin();
}

fn listen() {
    let action = listening();
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the gate's own handler.
        let _ = unsafe { rt_sigaction(signal as usize, &raw const action, core::ptr::null_mut()) };
    }
}

/// Whether a program's handler may run on an alternate stack, and names what it returns to.
fn is_on_own_stack(action: &Action) -> bool {
    const BOTH: u64 = libc::SA_ONSTACK as u64 | SA_RESTORER;
    action.handler > libc::SIG_IGN && action.flags & BOTH == BOTH
}

/// rt_sigaction(2)
pub fn sigaction(args: [usize; 6]) -> Result<usize, Errno> {
    let [signal, new, old, size, ..] = args;
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let asked = if new == 0 { None } else { Some(read::<Action>(new)?) };
    let Some(entry) = HANDLERS.get(signal) else { return Err(Errno::EINVAL) };
    let kept = &ACTIONS[signal % SIGNALS];
    let handler = entry.load(Ordering::Acquire);
    if signal as i32 == libc::SIGSYS {
        let before = kept.load(sigsys::handler());
        if let Some(action) = asked {
            if !elements::process::is_borrower() {
                kept.store(&action);
            }
            sigsys::set_handler(action.handler);
        }
        if old != 0 {
            write(old, before);
        }
        return Ok(0);
    }
    let mut placed = asked;
    if let Some(action) = &mut placed {
        peek::note_action(signal);
        action.mask = inward(action.mask);
        if action.handler > libc::SIG_IGN {
            entry.store(action.handler, Ordering::Release);
            action.handler = address(gate_deliver) as usize;
            kept.store(action);
        } else if is_ours(signal) && action.handler == libc::SIG_DFL && !elements::process::is_borrower() {
            entry.store(0, Ordering::Release);
            *action = listening();
        }
    }
    let new = placed.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let mut before = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: the program's handlers, through ours.
    let done = unsafe { rt_sigaction(signal, new, &raw mut before) };
    if done.is_err() {
        entry.store(handler, Ordering::Release);
    }
    done?;
    if let Some(action) = asked.filter(is_on_own_stack)
        && !elements::process::is_borrower()
    {
        patch::consider_return(action.restorer as u64);
    }
    if old != 0 {
        if before.handler == address(gate_deliver) as usize {
            before.handler = handler;
            if handler == libc::SIG_DFL {
                before = Action { handler, flags: 0, restorer: 0, mask: 0 };
            }
        }
        before.mask = outward(before.mask);
        write(old, before);
    }
    Ok(0)
}

/// The action for signals that we listen to where the program does not.
pub fn listening() -> Action {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    Action {
        handler: address(gate_deliver) as usize,
        flags: flags as u64 | SA_RESTORER,
        restorer: address(gate_restorer) as usize,
        mask: 0,
    }
}
