//! Descriptors that come to stand for something else, and `syscall` itself.

use core::ffi::{c_int, c_long};

use elements::process::exec::Door;
use elements::{Answer, files};

use crate::answer::{finish, finish_int};
use crate::next;
use crate::real;
use crate::start::instance;

fn duplicated(old: c_int, new: c_int) -> c_int {
    if new >= 0 {
        files::note_duplicate(old, new);
    }
    new
}

pub unsafe fn dup(old: c_int) -> c_int {
    // SAFETY: touches no memory.
    duplicated(old, unsafe { finish_int(Answer::Pass, libc::SYS_dup, [old as usize, 0, 0, 0, 0, 0]) })
}

pub unsafe fn dup2(old: c_int, new: c_int) -> c_int {
    // SAFETY: touches no memory.
    let done = unsafe { finish_int(Answer::Pass, libc::SYS_dup2, [old as usize, new as usize, 0, 0, 0, 0]) };
    duplicated(old, done)
}

pub unsafe fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    let args = [old as usize, new as usize, flags as usize, 0, 0, 0];
    // SAFETY: touches no memory.
    duplicated(old, unsafe { finish_int(Answer::Pass, libc::SYS_dup3, args) })
}

/// The third argument is passed on whether or not the caller gave one: on
/// this architecture it comes in a register either way.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // The next one: waiting for a lock is a cancellation point.
    let done = match real!(fcntl as fn(c_int, c_int, usize) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(fd, command, argument) },
        None => {
            let args = [fd as usize, command as usize, argument, 0, 0, 0];
            // SAFETY: the program's own arguments.
            unsafe { finish_int(Answer::Pass, libc::SYS_fcntl, args) }
        }
    };
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) { duplicated(fd, done) } else { done }
}

pub unsafe fn unshare(flags: c_int) -> c_int {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_unshare, flags as usize, 0, 0, 0, 0, 0) as c_int }
}

pub unsafe fn setns(fd: c_int, kind: c_int) -> c_int {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_setns, fd as usize, kind as usize, 0, 0, 0, 0) as c_int }
}

/// syscall(2)
pub unsafe fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    let args = [a, b, c, d, e, f];
    let answer = instance().call(&Door::Shim(next::own_path()), number, &args);
    // SAFETY: the program's own arguments.
    unsafe { finish(answer, number, args) as c_long }
}
