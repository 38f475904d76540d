//! From a trapped call to its answer.
//!
//! The elements' own table says what most calls mean (elements::calls). What
//! stands here is what only a door on system calls must see to: signals, and
//! new processes.

use core::sync::atomic::Ordering;

use elements::calls::{Args, CALLS, FirstLook, SECCOMP, When};
use elements::files::{self, note_open};
use elements::instance::attached;
use elements::kernel;
use elements::process::{self, exec::Door};
use elements::time::vdso;
use elements::{Answer, Errno, Instance};

use crate::arch::entry::gate_waiting;
use crate::arch::native::{self, Mask};
use crate::arch::site;
use crate::loader::own_path;
use crate::place::{Slot, free_others};
use crate::seccomp::Verdict;
use crate::{alternate, mapped, patch, ptrace, seccomp, signals, sigsys};

/// The gate's own calls, in the manner of [`CALLS`].
const OWN: &[(u32, When)] = &[
    (libc::SYS_rt_sigaction as u32, When::Always),
    (libc::SYS_rt_sigprocmask as u32, When::Always),
    (libc::SYS_rt_sigpending as u32, When::Always),
    (libc::SYS_rt_sigtimedwait as u32, When::Always),
    (libc::SYS_rt_sigsuspend as u32, When::Always),
    (libc::SYS_sigaltstack as u32, When::NotNull(0)),
    (libc::SYS_ppoll as u32, When::NotNull(3)),
    (libc::SYS_pselect6 as u32, When::NotNull(5)),
    (libc::SYS_epoll_pwait as u32, When::NotNull(4)),
    (libc::SYS_epoll_pwait2 as u32, When::NotNull(4)),
    // The handler of SIGSYS answers it.
    (libc::SYS_rt_sigreturn as u32, When::Always),
    // What shares memory with its parent begins on a stack of its own, and
    // must not begin in the gate.
    (libc::SYS_clone as u32, When::Without(0, libc::CLONE_VM as u32)),
    (libc::SYS_fork as u32, When::Always),
    (libc::SYS_ptrace as u32, When::Is(0, &[libc::PTRACE_TRACEME, libc::PTRACE_ATTACH, libc::PTRACE_SEIZE])),
    // The program's own filters.
    (libc::SYS_seccomp as u32, When::Always),
];

/// Calls that any thread may wait in for long, and that the elements have no say in but for a trace: they are not to
/// wait on a slot.
const IN_PASSING: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
];

/// The calls that trap, if the view has to do with them.
pub const TRAPPED: [(u32, When); CALLS.len() + OWN.len()] = {
    let mut all = [(0, When::Always); CALLS.len() + OWN.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < CALLS.len() { CALLS[index] } else { OWN[index - CALLS.len()] };
        index += 1;
    }
    all
};

/// Those that trap under this view.
pub fn trapped() -> impl Iterator<Item = (u32, When)> {
    TRAPPED.iter().filter_map(|(number, when)| {
        let when = attached().map_or(Some(*when), |instance| instance.when(*number, *when))?;
        Some((*number, when))
    })
}

/// How many numbers [`ALWAYS`] tells of.
pub const ALWAYS_BITS: usize = 512;
/// A bit for each call that traps whatever its arguments are, under one view or another, but for the one that
/// the handler of SIGSYS answers.
pub static ALWAYS: [u32; ALWAYS_BITS / 32] = {
    let mut bits = [0; ALWAYS_BITS / 32];
    let mut index = 0;
    while index < TRAPPED.len() {
        let (number, when) = TRAPPED[index];
        if matches!(when, When::Always) && number != libc::SYS_rt_sigreturn as u32 {
            bits[number as usize / 32] |= 1 << (number % 32);
        }
        index += 1;
    }
    bits
};

/// How a call ends, in two registers.
#[repr(C)]
pub struct End {
    /// What the program is told; the call's number, where it is yet to be made.
    value: isize,
    /// Whether it is yet to be made, as it was asked: by `gate_entry`.
    is_asked: usize,
}

impl End {
    fn told(value: isize) -> End {
        End { value, is_asked: 0 }
    }

    fn asked(number: u64) -> End {
        End { value: number as isize, is_asked: 1 }
    }

    fn of(slot: &Slot, answer: Answer) -> End {
        match answer {
            Answer::Done(Ok(value)) => End::told(value as isize),
            Answer::Done(Err(Errno(number))) => End::told(-(number as isize)),
            Answer::Pass => End::asked(slot.number),
        }
    }
}

/// Answers the call in a slot: what `gate_entry` calls. Most calls of most programs look at files that the view has
/// nothing to do with, and the way of those is to be short.
pub extern "C" fn answer(slot: *mut Slot) -> End {
    // SAFETY: the entry gives the slot that it has claimed.
    let slot = unsafe { &mut *slot };
    slot.number = slot.result;
    if slot.held.load(Ordering::Relaxed) == 0
        && !seccomp::is_filtered()
        && let Some(instance) = attached()
        && let Some(look) = instance.first_look(slot.number as i64, &slot.args)
    {
        patch::consider(slot, slot.back);
        return match look {
            FirstLook::Elsewhere => End::asked(slot.number),
            FirstLook::OpensElsewhere { flags } => open(instance, slot, flags),
            FirstLook::OpensFile => open_file(slot),
            FirstLook::Closer(start) => {
                match instance.look_closer_from(slot.number as i64, &slot.args, start) {
                    Some(answer) => End::of(slot, answer),
                    None => answer_with_care(slot),
                }
            }
        };
    }
    answer_with_care(slot)
}

/// openat(2), as it was asked.
#[inline(always)]
fn open(instance: &Instance<'_>, slot: &Slot, flags: i32) -> End {
    // SAFETY: the program's own arguments, for the kernel to judge; the stack is the slot's.
    let opened = unsafe { gate_waiting(slot.number as usize, &slot.args) } as isize;
    if opened >= 0 {
        let [dirfd, path, ..] = slot.args;
        instance.opened(dirfd as i32, path as *const u8, flags, opened as i32);
    }
    End::told(opened)
}

/// The same of a file.
#[inline(always)]
fn open_file(slot: &Slot) -> End {
    // SAFETY: as above.
    let opened = unsafe { gate_waiting(slot.number as usize, &slot.args) } as isize;
    // That there is none is beyond the table.
    note_open(opened as i32);
    End::told(opened)
}

/// Answers any call.
#[inline(never)]
fn answer_with_care(slot: &mut Slot) -> End {
    if slot.held.load(Ordering::Relaxed) != 0 {
        alternate::put_away(slot);
    }
    let back = slot.back;
    let number = slot.number as i64;
    match seccomp::judge(number, &slot.args) {
        Verdict::Allowed => {}
        Verdict::Answered(value) => return End::told(value),
        // The kernel judges the call as the program makes it.
        Verdict::ByItself => return by_itself(slot),
    }
    let answer = match number {
        libc::SYS_rt_sigaction => Answer::Done(signals::sigaction(slot.args)),
        libc::SYS_rt_sigprocmask => Answer::Done(signals::rt_sigprocmask(slot.args)),
        libc::SYS_rt_sigpending => sigsys::rt_sigpending(slot.args),
        libc::SYS_rt_sigtimedwait => sigsys::rt_sigtimedwait(slot, slot.args),
        libc::SYS_rt_sigsuspend => native::prepare(slot, Some(Mask::Argument(0))),
        libc::SYS_ppoll => native::prepare(slot, Some(Mask::Argument(3))),
        libc::SYS_pselect6 => native::prepare(slot, Some(Mask::Pair(5))),
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => native::prepare(slot, Some(Mask::Argument(4))),
        // The kernel looks where the stack pointer is. Who only asks comes here once the site is rewritten.
        libc::SYS_sigaltstack if slot.args[0] == 0 => native::prepare(slot, None),
        libc::SYS_sigaltstack => match alternate::note(slot.args[0]) {
            Ok(()) => native::prepare(slot, None),
            Err(errno) => Answer::fail(errno),
        },
        libc::SYS_execve | libc::SYS_execveat => exec(slot, number, &slot.args),
        // A thread's, by a jump: the function makes processes of their own as well, and its site has been rewritten for them.
        libc::SYS_clone if slot.args[0] as i32 & libc::CLONE_VM != 0 => return by_itself(slot),
        libc::SYS_fork | libc::SYS_clone => fork(slot, number, slot.args),
        // It comes from ld.so alone: no filter traps it.
        libc::SYS_mmap => mapped::mmap(&slot.args),
        libc::SYS_ptrace => ptrace::ptrace(slot.args[0] as u32),
        libc::SYS_seccomp => seccomp::seccomp(slot.args),
        libc::SYS_prctl if SECCOMP.contains(&(slot.args[0] as u32)) => seccomp::prctl(slot.args),
        // The kernel's vDSO is called by ours, which has asked for the host's clock.
        libc::SYS_clock_gettime | libc::SYS_gettimeofday if vdso::contains(back as usize) => Answer::Pass,
        _ if IN_PASSING.contains(&number) => match element(&PLAIN, number, &slot.args) {
            Answer::Pass => native::prepare(slot, None),
            done => done,
        },
        _ => element(&PLAIN, number, &slot.args),
    };
    patch::consider(slot, back);
    if answer == Answer::Pass {
        ptrace::before(number);
    }
    End::of(slot, answer)
}

/// Leaves a call to the program, which makes it where it was to.
fn by_itself(slot: &mut Slot) -> End {
    slot.back = site::by_itself(slot.back);
    // The number goes where the result would: it is what the call needs there.
    End::told(slot.number as isize)
}

/// The door as calls see it that start no program.
const PLAIN: Door<'_> = Door::Gate { path: c"", note: 0 };

#[inline(always)]
fn element(door: &Door<'_>, number: i64, args: &Args) -> Answer {
    attached().map_or(Answer::Pass, |instance| instance.call(door, number, args))
}

/// How much of its stack execve(2) uses for a program by a plain path.
const EXEC_STACK: usize = 4 * 4096;

/// execve(2) and execveat(2). A vfork child leaves its parent's memory here,
/// and with it the slot, which the kernel frees for us: it clears the word that
/// set_tid_address(2) names.
fn exec(slot: &Slot, number: i64, args: &Args) -> Answer {
    // Whoever claims the slot after a vfork child that is gone must not find it held.
    let held = slot.held.swap(0, Ordering::Relaxed);
    let failed = exec_on(slot, number, args);
    slot.held.store(held, Ordering::Relaxed);
    failed
}

fn exec_on(slot: &Slot, number: i64, args: &Args) -> Answer {
    let door = Door::Gate { path: own_path(), note: seccomp::note() | sigsys::note() };
    if !process::is_borrower() {
        slot.prepare_stack(EXEC_STACK);
        return element(&door, number, args);
    }
    const PR_GET_TID_ADDRESS: usize = 40;
    let mut before = 0_usize;
    // SAFETY: the kernel writes one word.
    let known = unsafe {
        kernel::syscall(libc::SYS_prctl, [PR_GET_TID_ADDRESS, &raw mut before as usize, 0, 0, 0, 0])
    };
    if known.is_err() {
        return element(&door, number, args);
    }
    let set = |address: usize| {
        // SAFETY: a word of the slot, or what the thread had.
        let _ = unsafe { kernel::syscall(libc::SYS_set_tid_address, [address, 0, 0, 0, 0, 0]) };
    };
    set(core::ptr::from_ref(&slot.busy) as usize);
    let failed = element(&door, number, args);
    set(before);
    failed
}

/// fork(2), and clone(2) where it does not share memory. The child has one
/// thread, and memory of its own. It leaves the gate as its parent does, so a
/// stack that it is to begin on is for then.
fn fork(slot: &mut Slot, number: i64, mut args: Args) -> Answer {
    if number == libc::SYS_clone && args[0] as i32 & libc::CLONE_NEWUSER != 0 {
        files::forget_answers();
    }
    let stack = if number == libc::SYS_clone { core::mem::take(&mut args[1]) } else { 0 };
    patch::hold();
    // SAFETY: the program's own arguments; the child goes on as we do.
    let done = unsafe { kernel::waiting_syscall(number, args) };
    patch::let_go();
    if done == Ok(0) {
        if stack != 0 {
            slot.sp = stack as u64;
        }
        free_others(slot);
        process::set_owner(kernel::getpid());
    }
    Answer::Done(done)
}
