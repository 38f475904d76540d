//! Filters that the program installs: seccomp(2) and prctl(2).
//!
//! The kernel judges each call by the program's filters and by ours, and the
//! program's must not judge what the gate does in its place. So each is
//! installed with a few instructions before it that allow what comes from the
//! gate's code. What the gate has been asked to do, the program's filters have
//! to judge all the same: `gate_ask` makes the very call from the one address
//! that those instructions leave out, and there our own filter answers an
//! error of its own ([`ALLOWED`]), which any other answer but "allow" goes
//! before. So the kernel keeps the filters, over threads and execve(2), and we
//! only know that there are any.
//!
//! Two actions go after an error, so `gate_ask` does not meet them. Without
//! somebody who listens or traces, the kernel answers `ENOSYS` for both, and
//! that is what is installed in their place. A listener cannot be asked about
//! a call that the gate answers: such a filter is refused.

use core::sync::atomic::{AtomicBool, Ordering};

use elements::calls::Args;
use elements::files::Text;
use elements::process::gated;
use elements::{Answer, Errno, kernel};

use crate::arch::entry::{address, gate_ask, gate_asked};
use crate::bpf;
use crate::calls::trapped;
use crate::filter::{
    ALLOW, AND, EQUAL, ERRNO, IP, Instruction, LOAD, LOAD_NUMBER, NUMBER, Program, RETURN, STRICT, TRAP,
};
use crate::patch;
use crate::place::{BASE, SIZE};
use crate::signals::read;

/// The error number with which our filter says that the program's have nothing against a call.
pub const ALLOWED: u16 = 3999;
/// What `gate_ask` returns where a filter of the program's wants SIGSYS.
pub const TRAPS: isize = -3998;

/// Whether a filter of the program's may be at work.
#[unsafe(link_section = ".data.start")]
static FILTERED: AtomicBool = AtomicBool::new(false);

/// What the program's filters say to a call.
pub enum Verdict {
    /// The gate is to answer it.
    Allowed,
    /// This is its result.
    Answered(isize),
    /// The program is to make it itself, where the kernel judges it.
    ByItself,
}

/// Whether a program that has just been started has filters.
pub fn begin(filtered: bool) {
    FILTERED.store(filtered, Ordering::Relaxed);
}

/// What the gate of a program that this one starts is told.
pub fn note() -> u8 {
    if FILTERED.load(Ordering::Relaxed) { gated::FILTERED } else { 0 }
}

/// Whether the program has filters of its own.
#[inline]
pub fn is_filtered() -> bool {
    FILTERED.load(Ordering::Relaxed)
}

/// Asks the program's filters about a call.
#[inline]
pub fn judge(number: i64, args: &Args) -> Verdict {
    if is_filtered() { ask(number, args) } else { Verdict::Allowed }
}

#[cold]
#[inline(never)]
fn ask(number: i64, args: &Args) -> Verdict {
    // From a site that has been rewritten all calls come, those too that do not trap.
    if !trapped().any(|(known, when)| i64::from(known) == number && when.holds(args)) {
        return Verdict::ByItself;
    }
    // SAFETY: our filter keeps the kernel from carrying the call out.
    match unsafe { gate_ask(number as usize, args) } as isize {
        allowed if allowed == -(ALLOWED as isize) => Verdict::Allowed,
        TRAPS => Verdict::ByItself,
        answer => Verdict::Answered(answer),
    }
}

/// seccomp(2)
#[inline(never)]
pub fn seccomp([operation, flags, program, ..]: Args) -> Answer {
    match operation as u32 {
        libc::SECCOMP_SET_MODE_STRICT if flags as u32 == 0 && program == 0 => strict(),
        libc::SECCOMP_SET_MODE_FILTER => filter(flags, program),
        _ => Answer::Pass,
    }
}

/// prctl(2) with `PR_GET_SECCOMP` and `PR_SET_SECCOMP`
#[inline(never)]
pub fn prctl([option, mode, program, ..]: Args) -> Answer {
    if option as i32 == libc::PR_GET_SECCOMP {
        let mode = if FILTERED.load(Ordering::Relaxed) { libc::SECCOMP_MODE_FILTER } else { 0 };
        return Answer::Done(Ok(mode as usize));
    }
    match mode as u32 {
        libc::SECCOMP_MODE_STRICT => strict(),
        libc::SECCOMP_MODE_FILTER => filter(0, program),
        _ => Answer::Pass,
    }
}

/// The most instructions that the kernel takes.
pub const MOST: usize = 4096;

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// What comes before a filter of the program's.
fn prelude() -> [Instruction; 8] {
    [
        instruction(LOAD, 0, 0, IP + 4),
        instruction(EQUAL, 0, 5, (BASE >> 32) as u32),
        instruction(LOAD, 0, 0, IP),
        instruction(EQUAL, 3, 0, address(gate_asked) as u32),
        instruction(AND, 0, 0, !(SIZE as u32 - 1)),
        instruction(EQUAL, 0, 1, BASE as u32),
        instruction(RETURN, 0, 0, ALLOW),
        // A filter finds the accumulator empty.
        instruction(LOAD_NUMBER, 0, 0, 0),
    ]
}

fn filter(flags: usize, program: usize) -> Answer {
    let Ok([len, code]) = read::<[usize; 2]>(program) else { return Answer::Pass };
    let len = usize::from(len as u16);
    if len == 0 || len > MOST {
        return Answer::Pass;
    }
    let mut given = [instruction(0, 0, 0, 0); MOST];
    for (index, to) in given.iter_mut().take(len).enumerate() {
        // SAFETY: a fault here is caught (`gate_fault`).
        *to = unsafe { (code as *const Instruction).wrapping_add(index).read_unaligned() };
    }
    let given = given.get_mut(..len).unwrap_or(&mut []);
    if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as usize == 0 {
        without_hearing(given, libc::SECCOMP_RET_USER_NOTIF);
    } else if let Some(number) = asks_about_ours(given) {
        return Answer::Done(refuse(number));
    }
    if !patch::is_traced() {
        without_hearing(given, libc::SECCOMP_RET_TRACE);
    }
    Answer::Done(install(flags, given))
}

/// Answers as the kernel does where nobody hears what a filter has to tell.
fn without_hearing(code: &mut [Instruction], action: u32) {
    for instruction in code {
        if instruction.code == RETURN && bpf::action_of(instruction.k) == action {
            instruction.k = ERRNO | Errno::ENOSYS.0 as u32;
        }
    }
}

/// The first of the gate's calls about which a filter may ask its listener.
#[inline(never)]
fn asks_about_ours(code: &[Instruction]) -> Option<u32> {
    let mut reach = bpf::Reach::new();
    let mut may_ask = |number: u32| reach.may_answer(code, number, libc::SECCOMP_RET_USER_NOTIF);
    trapped().map(|(number, _)| number).find(|number| may_ask(*number))
}

/// As a kernel before Linux 5.0 does, and with the reason.
fn refuse(number: u32) -> Result<usize, Errno> {
    let mut line = Text::<160>::new();
    let words = line
        .push(b"launcher: refused: a seccomp filter whose listener is to be asked about system call ")
        .and_then(|()| line.push_decimal(number))
        .and_then(|()| line.push(b", which the gate answers itself\n"));
    if words.is_ok() {
        // Where standard error is closed there is nobody to tell.
        let _ = kernel::write(2, line.bytes());
    }
    Err(Errno::EINVAL)
}

/// Strict mode is a filter like any other, since ours is there already.
fn strict() -> Answer {
    if FILTERED.load(Ordering::Relaxed) {
        return Answer::fail(Errno::EINVAL);
    }
    let calls = [libc::SYS_read, libc::SYS_write, libc::SYS_exit, libc::SYS_rt_sigreturn];
    let [a, b, c, d] = calls.map(|number| number as u32);
    let code = [
        instruction(LOAD, 0, 0, NUMBER),
        instruction(EQUAL, 4, 0, a),
        instruction(EQUAL, 3, 0, b),
        instruction(EQUAL, 2, 0, c),
        instruction(EQUAL, 1, 0, d),
        instruction(RETURN, 0, 0, TRAP | STRICT as u32),
        instruction(RETURN, 0, 0, ALLOW),
    ];
    Answer::Done(install(0, &code))
}

fn install(flags: usize, code: &[Instruction]) -> Result<usize, Errno> {
    let prelude = prelude();
    let mut whole = [instruction(0, 0, 0, 0); MOST];
    let len = prelude.len() + code.len();
    for (to, from) in whole.get_mut(..len).ok_or(Errno::EINVAL)?.iter_mut().zip(prelude.iter().chain(code)) {
        *to = *from;
    }
    let program = Program { len: len as u16, filter: whole.as_ptr() };
    let args =
        [libc::SECCOMP_SET_MODE_FILTER as usize, flags, core::ptr::from_ref(&program) as usize, 0, 0, 0];
    // Before there is a filter, for threads that get it along (TSYNC). To ask in vain does no harm.
    let before = FILTERED.swap(true, Ordering::Relaxed);
    // SAFETY: the kernel reads the program.
    let done = unsafe { kernel::syscall(libc::SYS_seccomp, args) };
    if done.is_err() {
        FILTERED.store(before, Ordering::Relaxed);
    }
    done
}
