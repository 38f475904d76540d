//! Looking at files: stat, access, readlink, statfs.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

use elements::Answer;
use elements::files::{Glance, Scratch, Start, Want};
use elements::instance::plain;
use elements::kernel::AT_FDCWD;
use libc::{key_t, size_t, ssize_t, statfs as Statfs, statvfs as Statvfs, statx as Statx};

use crate::answer::{finish, finish_int, returned};
use crate::real;
use crate::start::{glance, instance};

pub unsafe fn fstatat(dirfd: c_int, path: *const c_char, buf: *mut libc::stat, flags: c_int) -> c_int {
    let args = [dirfd as usize, path as usize, buf as usize, flags as usize, 0, 0];
    let done = match glance(dirfd, path) {
        // SAFETY: the program's own arguments.
        Glance::Elsewhere => unsafe { finish_int(Answer::Pass, libc::SYS_newfstatat, args) },
        Glance::Closer(start) => fstatat_from(dirfd, path, buf, flags, start),
    };
    // SAFETY: a call that succeeds has filled the struct.
    unsafe { instance().after_stat(done == 0, buf) };
    done
}

#[inline(never)]
fn fstatat_from(
    dirfd: c_int,
    path: *const c_char,
    buf: *mut libc::stat,
    flags: c_int,
    start: Start,
) -> c_int {
    let answer = match plain() {
        Some(instance) => instance.fstatat_from(dirfd, path.cast(), buf, flags, start),
        None => instance().stat_shown(dirfd, path.cast(), buf, flags),
    };
    let args = [dirfd as usize, path as usize, buf as usize, flags as usize, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_newfstatat, args) }
}

pub unsafe fn stat(path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fstatat(AT_FDCWD, path, buf, 0) }
}

pub unsafe fn lstat(path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fstatat(AT_FDCWD, path, buf, libc::AT_SYMLINK_NOFOLLOW) }
}

pub unsafe fn fstat(fd: c_int, buf: *mut libc::stat) -> c_int {
    let done = match instance().fstat_shown(fd, buf) {
        Answer::Done(done) => returned(done) as c_int,
        // Which system call that is differs.
        Answer::Pass => match real!(fstat as fn(c_int, *mut libc::stat) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(fd, buf) },
            // Before glibc 2.33 there is no such function.
            None => {
                let args = [fd as usize, buf as usize, 0, 0, 0, 0];
                // SAFETY: the program's own arguments.
                unsafe { finish_int(Answer::Pass, libc::SYS_fstat, args) }
            }
        },
    };
    // SAFETY: a call that succeeds has filled the struct.
    unsafe { instance().after_stat(done == 0, buf) };
    done
}

pub unsafe fn __fxstat(version: c_int, fd: c_int, buf: *mut libc::stat) -> c_int {
    // SAFETY: the caller's contract.
    if knows_version(version) { unsafe { fstat(fd, buf) } } else { -1 }
}

/// The versions of the struct that `__xstat` knows on x86-64 are all the same one.
fn knows_version(version: c_int) -> bool {
    let known = (0..=1).contains(&version);
    if !known {
        crate::answer::set_errno(elements::Errno::EINVAL);
    }
    known
}

pub unsafe fn __xstat(version: c_int, path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: the caller's contract.
    if knows_version(version) { unsafe { stat(path, buf) } } else { -1 }
}

pub unsafe fn __lxstat(version: c_int, path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: the caller's contract.
    if knows_version(version) { unsafe { lstat(path, buf) } } else { -1 }
}

pub unsafe fn __fxstatat(
    version: c_int,
    dirfd: c_int,
    path: *const c_char,
    buf: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    if knows_version(version) { unsafe { fstatat(dirfd, path, buf, flags) } } else { -1 }
}

pub unsafe fn statx(dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, buf: *mut Statx) -> c_int {
    let answer = instance().statx_shown(dirfd, path.cast(), flags, mask, buf);
    let args = [dirfd as usize, path as usize, flags as usize, mask as usize, buf as usize, 0];
    let answer = instance().told_of_file(libc::SYS_statx, args, answer);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_statx, args) }
}

pub unsafe fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { faccessat(AT_FDCWD, path, mode, 0) }
}

pub unsafe fn faccessat(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    match glance(dirfd, path) {
        Glance::Elsewhere => finish_access(Answer::Pass, dirfd, path, mode, flags),
        Glance::Closer(start) => faccessat_from(dirfd, path, mode, flags, start),
    }
}

#[inline(never)]
fn faccessat_from(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int, start: Start) -> c_int {
    let answer = match plain() {
        Some(instance) => instance.faccessat_from(dirfd, path.cast(), mode, flags, start),
        None => instance().access_shown(dirfd, path.cast(), mode, flags),
    };
    finish_access(answer, dirfd, path, mode, flags)
}

#[inline]
fn finish_access(answer: Answer, dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    let nr = if flags == 0 { libc::SYS_faccessat } else { libc::SYS_faccessat2 };
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, nr, [dirfd as usize, path as usize, mode as usize, flags as usize, 0, 0]) }
}

pub unsafe fn euidaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { faccessat(AT_FDCWD, path, mode, libc::AT_EACCESS) }
}

pub unsafe fn readlinkat(dirfd: c_int, path: *const c_char, buf: *mut c_char, size: size_t) -> ssize_t {
    // The kernel takes the size for an int, so does everybody above it.
    let size = size.min(c_int::MAX as usize);
    let args = [dirfd as usize, path as usize, buf as usize, size, 0, 0];
    match glance(dirfd, path) {
        // SAFETY: the program's own arguments.
        Glance::Elsewhere => unsafe { finish(Answer::Pass, libc::SYS_readlinkat, args) },
        Glance::Closer(start) => readlinkat_from(dirfd, path, buf, size, start),
    }
}

#[inline(never)]
fn readlinkat_from(
    dirfd: c_int,
    path: *const c_char,
    buf: *mut c_char,
    size: size_t,
    start: Start,
) -> ssize_t {
    let answer = match plain() {
        Some(instance) => instance.readlinkat_from(dirfd, path.cast(), buf.cast(), size, start),
        None => instance().readlinkat(dirfd, path.cast(), buf.cast(), size),
    };
    let args = [dirfd as usize, path as usize, buf as usize, size, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish(answer, libc::SYS_readlinkat, args) }
}

pub unsafe fn readlink(path: *const c_char, buf: *mut c_char, size: size_t) -> ssize_t {
    // SAFETY: the caller's contract.
    unsafe { readlinkat(AT_FDCWD, path, buf, size) }
}

pub unsafe fn __readlink_chk(path: *const c_char, buf: *mut c_char, size: size_t, room: size_t) -> ssize_t {
    super::check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { readlink(path, buf, size) }
}

pub unsafe fn __readlinkat_chk(
    dirfd: c_int,
    path: *const c_char,
    buf: *mut c_char,
    size: size_t,
    room: size_t,
) -> ssize_t {
    super::check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { readlinkat(dirfd, path, buf, size) }
}

pub unsafe fn statfs(path: *const c_char, buf: *mut Statfs) -> c_int {
    let answer = instance().look(libc::SYS_statfs, path.cast(), true, [buf as usize, 0, 0]);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_statfs, [path as usize, buf as usize, 0, 0, 0, 0]) }
}

/// Runs a function of libc on the host path behind `path`.
fn on_host_path<T>(path: *const c_char, failed: T, call: impl FnOnce(*const c_char) -> T) -> T {
    let mut scratch = Scratch::new();
    match instance().host_path(AT_FDCWD, path.cast(), Want::LOOK, &mut scratch) {
        Ok(None) => call(path),
        Ok(Some(host)) => call(host.cast()),
        Err(errno) => {
            returned(Err(errno));
            failed
        }
    }
}

pub unsafe fn statvfs(path: *const c_char, buf: *mut Statvfs) -> c_int {
    on_host_path(path, -1, |path| match real!(statvfs as fn(*const c_char, *mut Statvfs) -> c_int) {
        // SAFETY: the program's buffer, and a path.
        Some(next) => unsafe { next(path, buf) },
        None => missing(),
    })
}

pub unsafe fn pathconf(path: *const c_char, name: c_int) -> c_long {
    let Some(next) = real!(pathconf as fn(*const c_char, c_int) -> c_long) else {
        return missing().into();
    };
    let mut scratch = Scratch::new();
    match instance().host_path(AT_FDCWD, path.cast(), Want::LOOK, &mut scratch) {
        // SAFETY: takes nothing but a path.
        Ok(host) => unsafe { next(host.map_or(path, <*const u8>::cast), name) },
        // Most limits are the same everywhere: libc does not look at the path for them.
        Err(errno) => {
            // SAFETY: takes nothing but a path.
            let limit = unsafe { next(c"/proc/self/fd/-1".as_ptr(), name) };
            if limit < 0 { returned(Err(errno)) as c_long } else { limit }
        }
    }
}

pub unsafe fn ftok(path: *const c_char, project: c_int) -> key_t {
    let mut about = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the caller's contract, and room of ours, all zero at first.
    let (done, about) = unsafe { (stat(path, about.as_mut_ptr()), about.assume_init()) };
    if done < 0 {
        return -1;
    }
    // What ipcs(1) shows, and programs have written down, is libc's formula.
    (about.st_ino & 0xffff) as key_t | ((about.st_dev & 0xff) << 16) as key_t | (project & 0xff) << 24
}

pub unsafe fn name_to_handle_at(
    dirfd: c_int,
    path: *const c_char,
    handle: *mut c_void,
    mount: *mut c_int,
    flags: c_int,
) -> c_int {
    let words = [handle as usize, mount as usize];
    let answer = instance().name_to_handle_at(dirfd, path.cast(), words, flags);
    let args = [dirfd as usize, path as usize, words[0], words[1], flags as usize, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_name_to_handle_at, args) }
}

fn missing() -> c_int {
    // SAFETY: no call is made.
    unsafe { finish_int(Answer::fail(elements::Errno::ENOSYS), 0, [0; 6]) }
}
