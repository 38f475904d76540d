//! SIGSYS as the program knows it: sent to it, blocked, ignored, waited for.
//!
//! In truth it is never blocked. One that comes while the program has it
//! blocked is sent again as SIGSTKFLT, which stands in for it in the masks as
//! well: so the kernel keeps it for as long as it must, and gives it to the
//! thread that may have it. That it is ignored is kept by the handlers' table,
//! and told to the gate of a program that this one starts.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use elements::process::{self, gated};
use elements::{Answer, Errno, kernel};

use crate::arch::{Context, native};
use crate::deliver::{self, HANDLERS, Info};
use crate::place::Slot;
use crate::signals::{self, SIGSYS_BIT, STAND_IN, read, write};
use crate::trap::rt_sigaction;

const SIGSYS: usize = libc::SIGSYS as usize;
/// SIGSTKFLT
pub const STANDS_IN: i32 = 16;
/// Tells one that stands in for SIGSYS from one that is itself (`si_errno`).
/// The last byte is the `si_code`, since the kernel does not let every thread send every code.
const TAG: i32 = 0x4c_4400;

/// Whether one has stood in for SIGSYS.
#[unsafe(link_section = ".bss.soon")]
static STOOD_IN: AtomicBool = AtomicBool::new(false);

/// What a child that shares our memory believes: its process id, and its handler.
#[unsafe(link_section = ".bss.soon")]
static CHILD: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What is so from the program's first instruction on.
pub fn begin(ignored: bool, blocked: bool) {
    if ignored {
        HANDLERS[SIGSYS].store(libc::SIG_IGN, Ordering::Relaxed);
    }
    if blocked {
        listen();
    }
}

/// What the gate of a program that this one starts is told.
pub fn note() -> u8 {
    if handler() == libc::SIG_IGN { gated::IGNORED } else { 0 }
}

/// The program's handler.
pub fn handler() -> usize {
    if process::is_borrower() && CHILD[0].load(Ordering::Acquire) == kernel::getpid() as u64 {
        return CHILD[1].load(Ordering::Relaxed) as usize;
    }
    HANDLERS[SIGSYS].load(Ordering::Acquire)
}

/// Sets it. What a vfork child sets is its own, as its memory is not.
pub fn set_handler(handler: usize) {
    if process::is_borrower() {
        CHILD[1].store(handler as u64, Ordering::Relaxed);
        CHILD[0].store(kernel::getpid() as u64, Ordering::Release);
    } else {
        HANDLERS[SIGSYS].store(handler, Ordering::Release);
    }
}

/// Whether SIGSTKFLT must reach us even where the program has no handler for it.
pub fn listens() -> bool {
    STOOD_IN.load(Ordering::Relaxed)
}

fn listen() {
    STOOD_IN.store(true, Ordering::Relaxed);
    if HANDLERS[STANDS_IN as usize].load(Ordering::Acquire) == libc::SIG_DFL {
        let action = signals::listening();
        // SAFETY: the gate's own handler.
        let _ = unsafe { rt_sigaction(STANDS_IN as usize, &raw const action, core::ptr::null_mut()) };
    }
}

/// Makes of a SIGSYS what stands in for it.
pub fn mark(info: &mut Info) {
    listen();
    (info[0], info[1]) = (STANDS_IN, TAG | info[2] & 0xff);
    info[2] = libc::SI_QUEUE;
}

/// Makes of what stands in for SIGSYS what it was; says whether it was that.
pub fn unmark(info: &mut Info) -> bool {
    let marked = info[1] & !0xff == TAG;
    if marked {
        let code = info[1] & 0xff;
        (info[0], info[1]) = (libc::SIGSYS, 0);
        info[2] = if code == libc::SI_KERNEL { code } else { i32::from(code as i8) };
    }
    marked
}

/// Whether one that stands in for SIGSYS was sent to the process. Then any of its threads may have it: this one may be about to
/// end, and has it blocked.
pub fn is_for_process(info: &Info) -> bool {
    info[1] & !0xff == TAG && info[1] as i8 != libc::SI_TKILL as i8
}

/// Keeps a SIGSYS for later, if the program has it blocked.
pub fn postpone(info: &Info, context: &Context) -> bool {
    let mask = native::mask_of_wait(context).unwrap_or(context.mask);
    if mask & STAND_IN == 0 {
        return false;
    }
    let mut about = *info;
    mark(&mut about);
    deliver::send_again(STANDS_IN, &about).is_ok()
}

/// SIGSTKFLT has come, where the program was.
pub extern "C" fn stood_in(signal: i32, info: *mut Info, context: *mut Context) {
    // SAFETY: the kernel gives a handler both, and they are its own.
    let (about, context) = unsafe { (&mut *info, &mut *context) };
    if unmark(about) {
        return deliver::to_program(libc::SIGSYS, info, context);
    }
    deliver::to_program(signal, info, context);
}

/// rt_sigtimedwait(2): what is waited for may be there under the other's name.
pub fn rt_sigtimedwait(slot: &Slot, [set, info, timeout, size, ..]: [usize; 6]) -> Answer {
    let Ok(asked) = read::<u64>(set) else { return Answer::Pass };
    let shows_sender = info != 0 && deliver::SHOWS_SENDER.load(Ordering::Relaxed);
    if size != 8 || asked & SIGSYS_BIT == 0 && !shows_sender {
        return Answer::Pass;
    }
    let mask = if asked & SIGSYS_BIT == 0 { asked } else { asked | STAND_IN };
    let mut about: Info = [0; 32];
    let args = [&raw const mask as usize, &raw mut about as usize, timeout, 8, 0, 0];
    let got = loop {
        // SAFETY: the mask and the answer are ours; the time is for the kernel to judge.
        let got = unsafe { kernel::waiting_syscall(libc::SYS_rt_sigtimedwait, args) };
        // Where no handler is to run, another thread was woken with us, and sends us on what it has got.
        if got != Err(Errno::EINTR) || slot.pending.load(Ordering::Relaxed) != 0 {
            break got;
        }
    };
    let Ok(mut signal) = got else { return Answer::Done(got) };
    if signal == STANDS_IN as usize && asked & SIGSYS_BIT != 0 && unmark(&mut about) {
        signal = SIGSYS;
    }
    if shows_sender && let Some(instance) = elements::instance::attached() {
        instance.show_sender(&mut about, true);
    }
    if info != 0 {
        write(info, about);
    }
    Answer::Done(Ok(signal))
}

/// rt_sigpending(2)
pub fn rt_sigpending([to, size, ..]: [usize; 6]) -> Answer {
    if size != 8 || !listens() {
        return Answer::Pass;
    }
    let mut pending = 0_u64;
    let args = [&raw mut pending as usize, 8, 0, 0, 0, 0];
    // SAFETY: the kernel writes one word.
    if let Err(errno) = unsafe { kernel::syscall(libc::SYS_rt_sigpending, args) } {
        return Answer::fail(errno);
    }
    if pending & STAND_IN != 0 {
        pending = pending & !STAND_IN | SIGSYS_BIT;
    }
    write(to, pending);
    Answer::Done(Ok(0))
}
