//! SIGSYS: a system call has been stopped by a filter.
//!
//! The handler does nothing but send the thread to the gate's entry, with its
//! registers as they were, so that the call is answered outside of signal
//! context. What is not ours (another filter's trap, a SIGSYS that somebody
//! has sent) goes to the program's own handler, or ends the program as it
//! would have.

use elements::kernel;

use crate::arch::Context;
use crate::arch::entry::{address, gate_asked, gate_restorer};
use crate::deliver;
use crate::filter::{COOKIE, FOREIGN, STRICT};
use crate::place::is_inside;
use crate::seccomp::TRAPS;

/// The `code` of a SIGSYS that a filter has sent, see sigaction(2).
const SYS_SECCOMP: i32 = 1;

/// `struct sigaction` as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Action {
    /// A function's address, or `SIG_DFL`, or `SIG_IGN`.
    pub handler: usize,
    /// `SA_*`
    pub flags: u64,
    /// What the handler returns to.
    pub restorer: usize,
    /// The signals that are blocked meanwhile.
    pub mask: u64,
}

/// `SA_RESTORER`, which libc's headers do not have.
pub const SA_RESTORER: u64 = 0x0400_0000;

/// The action that the kernel has for SIGSYS, always.
pub fn action() -> Action {
    let flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK | libc::SA_RESTART;
    Action {
        handler: trapped as extern "C" fn(_, _, _) as usize,
        flags: flags as u64 | SA_RESTORER,
        restorer: address(gate_restorer) as usize,
        mask: 0,
    }
}

/// The handler of SIGSYS.
extern "C" fn trapped(signal: i32, info: *mut [i32; 32], context: *mut Context) {
    // SAFETY: the kernel gives a handler both, and they are its own.
    let (about, context) = unsafe { (&*info, &mut *context) };
    // si_signo, si_errno, si_code
    if about[2] == SYS_SECCOMP && about[1] == i32::from(FOREIGN) {
        refuse_foreign();
    }
    if about[2] == SYS_SECCOMP && about[1] == i32::from(STRICT) {
        let args = [kernel::getpid() as usize, libc::SIGKILL as usize, 0, 0, 0, 0];
        // SAFETY: numbers only.
        let _ = unsafe { kernel::syscall(libc::SYS_kill, args) };
    }
    if about[2] == SYS_SECCOMP && context.ip == address(gate_asked) {
        context.set_result(TRAPS as i64);
        return;
    }
    if about[2] != SYS_SECCOMP || about[1] != i32::from(COOKIE) {
        return deliver::foreign(signal, info, context);
    }
    if context.number() == libc::SYS_rt_sigreturn as u64 {
        // The frame of the handler that returns begins with its context.
        // SAFETY: it lies where the kernel looks for it itself.
        unsafe { crate::signals::sanitize_frame(context.sp as *mut Context) };
        context.ip = address(gate_restorer);
        return;
    }
    debug_assert!(!is_inside(context.ip));
    context.go_to_entry();
}

/// Tells why the program is about to be ended.
fn refuse_foreign() {
    let words =
        b"launcher: ended: a 32-bit system call (int 0x80) by a 64-bit program, which no door covers\n";
    // Where standard error is closed there is nobody to tell.
    let _ = kernel::write(2, words);
}

/// rt_sigaction(2), as the kernel takes it.
///
/// # Safety
///
/// `new`'s handler must be fit to run in any of the process's threads.
pub unsafe fn rt_sigaction(
    signal: usize,
    new: *const Action,
    old: *mut Action,
) -> Result<usize, elements::Errno> {
    // SAFETY: the caller's promise; both structs are the caller's.
    unsafe { kernel::syscall(libc::SYS_rt_sigaction, [signal, new as usize, old as usize, 8, 0, 0]) }
}
