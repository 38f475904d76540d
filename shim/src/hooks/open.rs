//! open(2) and its spellings.
//!
//! What passes goes to the next definition, since open is a cancellation
//! point (pthreads(7)) and only libc knows how to be one.

use core::ffi::{c_char, c_int, c_void};

use elements::files::{Glance, Start, is_worth_knowing};
use elements::instance::plain;
use elements::kernel::{AT_FDCWD, OpenHow};
use elements::{Answer, Errno, Instance, user};
use libc::{mode_t, size_t};

use crate::answer::{errno, finish_int, returned};
use crate::real;
use crate::start::{die, glance, instance};

/// open(2) where this process may play somebody.
#[cold]
#[inline(never)]
fn open_closer(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    if !instance().plays() {
        return open_by(instance(), dirfd, path, flags, mode, Start::ANEW);
    }
    let call = |mode| match open_by(instance(), dirfd, path, flags, mode, Start::ANEW) {
        -1 => Err(Errno(errno())),
        fd => Ok(fd as usize),
    };
    returned(instance().open_played((dirfd, path.cast()), flags, mode, call)) as c_int
}

pub unsafe fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    match glance(AT_FDCWD, path) {
        Glance::Elsewhere => match next_open::known() {
            // SAFETY: the program's own arguments.
            Some(next) => opened_elsewhere(AT_FDCWD, path, flags, unsafe { next(path, flags, mode) }),
            None => open_from(path, flags, mode, Start::ANEW),
        },
        Glance::Closer(start) => open_from(path, flags, mode, start),
    }
}

#[inline(never)]
fn open_from(path: *const c_char, flags: c_int, mode: mode_t, start: Start) -> c_int {
    let Some(instance) = plain() else { return open_closer(AT_FDCWD, path, flags, mode) };
    match instance.openat_from(AT_FDCWD, path.cast(), flags, mode, start) {
        Answer::Done(result) => returned(result) as c_int,
        Answer::Pass => {
            let fd = match next_open::look() {
                // SAFETY: the program's own arguments.
                Some(next) => unsafe { next(path, flags, mode) },
                None => raw_openat(AT_FDCWD, path, flags, mode),
            };
            noted(AT_FDCWD, path, flags, fd)
        }
    }
}

mod next_open {
    use super::{c_char, c_int, mode_t};
    crate::next_functions!(look, known: open as fn(*const c_char, c_int, mode_t) -> c_int);
}

pub unsafe fn openat(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    match glance(dirfd, path) {
        Glance::Elsewhere => match next_openat::known() {
            // SAFETY: the program's own arguments.
            Some(next) => opened_elsewhere(dirfd, path, flags, unsafe { next(dirfd, path, flags, mode) }),
            None => openat_from(dirfd, path, flags, mode, Start::ANEW),
        },
        Glance::Closer(start) => openat_from(dirfd, path, flags, mode, start),
    }
}

#[inline(never)]
fn openat_from(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t, start: Start) -> c_int {
    match plain() {
        Some(instance) => open_by(instance, dirfd, path, flags, mode, start),
        None => open_closer(dirfd, path, flags, mode),
    }
}

#[inline(always)]
fn open_by(
    instance: &Instance<'_>,
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
    start: Start,
) -> c_int {
    match instance.openat_from(dirfd, path.cast(), flags, mode, start) {
        Answer::Done(result) => returned(result) as c_int,
        Answer::Pass => {
            let fd = match next_openat::look() {
                // SAFETY: the program's own arguments.
                Some(next) => unsafe { next(dirfd, path, flags, mode) },
                None => raw_openat(dirfd, path, flags, mode),
            };
            noted(dirfd, path, flags, fd)
        }
    }
}

mod next_openat {
    use super::{c_char, c_int, mode_t};
    crate::next_functions!(look, known: openat as fn(c_int, *const c_char, c_int, mode_t) -> c_int);
}

/// Notes what has been opened where no mount is.
#[inline(always)]
fn opened_elsewhere(dirfd: c_int, path: *const c_char, flags: c_int, fd: c_int) -> c_int {
    if is_worth_knowing(flags) {
        return noted(dirfd, path, flags, fd);
    }
    elements::files::note_open(fd);
    fd
}

fn raw_openat(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let args = [dirfd as usize, path as usize, flags as usize, mode as usize, 0, 0];
    // SAFETY: the program's own arguments, for the kernel to judge.
    unsafe { finish_int(Answer::Pass, libc::SYS_openat, args) }
}

/// Notes what a call that passed has opened.
fn noted(dirfd: c_int, path: *const c_char, flags: c_int, fd: c_int) -> c_int {
    if fd >= 0 {
        instance().opened(dirfd, path.cast(), flags, fd);
    }
    fd
}

pub unsafe fn creat(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { open(path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
}

/// The fortified open that is called where the mode is missing: it must not be needed.
pub unsafe fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    refuse_without_mode(flags);
    // SAFETY: the caller's contract.
    unsafe { open(path, flags, 0) }
}

pub unsafe fn __openat_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    refuse_without_mode(flags);
    // SAFETY: the caller's contract.
    unsafe { openat(dirfd, path, flags, 0) }
}

fn refuse_without_mode(flags: c_int) {
    if flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE {
        match real!(abort as fn()) {
            // SAFETY: abort(3) takes nothing.
            Some(abort) => unsafe { abort() },
            None => die(b"launcher: invalid open call: O_CREAT or O_TMPFILE without mode\n", b""),
        }
    }
}

pub unsafe fn openat2(dirfd: c_int, path: *const c_char, how: *const c_void, size: size_t) -> c_int {
    let args = [dirfd as usize, path as usize, how as usize, size, 0, 0];
    let answer = match (size == size_of::<OpenHow>(), user::is_readable(how.cast(), size_of::<OpenHow>())) {
        // A struct of a later kernel or a bad one: the kernel says what it thinks of it.
        (false, _) | (_, false) => Answer::Pass,
        // SAFETY: the struct can be read.
        _ => instance().openat2(dirfd, path.cast(), unsafe { &*how.cast::<OpenHow>() }),
    };
    // SAFETY: the program's own arguments.
    let fd = unsafe { finish_int(answer, libc::SYS_openat2, args) };
    if fd >= 0 && answer == Answer::Pass {
        elements::files::note_open(fd);
    }
    fd
}
