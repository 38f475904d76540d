//! Changes by descriptor, which a read-only mount refuses.

use core::ffi::{c_char, c_int, c_void};

use elements::Errno;
use libc::{gid_t, mode_t, size_t, timespec, timeval, uid_t};

use crate::answer::{finish_int, returned};
use crate::start::instance;

/// Makes the call, unless the descriptor is protected.
///
/// # Safety
///
/// `args` are what the system call `nr` wants, the descriptor first.
unsafe fn change(nr: i64, fd: c_int, words: [usize; 4]) -> c_int {
    let [a, b, c, d] = words;
    // SAFETY: the caller's promise.
    unsafe {
        let args = [fd as usize, a, b, c, d, 0];
        finish_int(instance().modify_by_descriptor(nr, args), nr, args)
    }
}

/// Sets the times of a descriptor's file, by a call that takes a path too, which is none.
///
/// # Safety
///
/// `times` is what the system call `nr` wants.
unsafe fn set_times(nr: i64, fd: c_int, times: usize) -> c_int {
    let answer = instance().set_times_by_descriptor(nr, fd, times);
    // SAFETY: the caller's promise.
    unsafe { finish_int(answer, nr, [fd as usize, 0, times, 0, 0, 0]) }
}

pub unsafe fn fchmod(fd: c_int, mode: mode_t) -> c_int {
    // SAFETY: touches no memory.
    unsafe { change(libc::SYS_fchmod, fd, [mode as usize, 0, 0, 0]) }
}

pub unsafe fn fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: touches no memory.
    unsafe { change(libc::SYS_fchown, fd, [uid as usize, gid as usize, 0, 0]) }
}

pub unsafe fn futimens(fd: c_int, times: *const timespec) -> c_int {
    // Without a path the working directory has no meaning: libc says so too.
    if fd < 0 {
        return returned(Err(Errno(libc::EBADF))) as c_int;
    }
    // SAFETY: the program's own times.
    unsafe { set_times(libc::SYS_utimensat, fd, times as usize) }
}

pub unsafe fn futimes(fd: c_int, times: *const timeval) -> c_int {
    // SAFETY: the program's own times.
    unsafe { set_times(libc::SYS_futimesat, fd, times as usize) }
}

pub unsafe fn fsetxattr(
    fd: c_int,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { change(libc::SYS_fsetxattr, fd, [name as usize, value as usize, size, flags as usize]) }
}

pub unsafe fn fremovexattr(fd: c_int, name: *const c_char) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { change(libc::SYS_fremovexattr, fd, [name as usize, 0, 0, 0]) }
}
