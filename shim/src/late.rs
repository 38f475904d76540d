//! Functions of libc that are looked up when they are first needed.
//!
//! ld.so looks up each name that a library imports at every start of a
//! program, through all its objects. What few programs come to need is found
//! by [`real!`] instead. The allocator is no such function: a program may bring
//! its own, and only ld.so's order says which one counts.

use core::ffi::{c_char, c_int, c_short, c_void};

use libc::{FILE, pid_t, posix_spawnattr_t, sched_param, sigaction as Action, sigset_t, size_t};

use crate::real;

macro_rules! late {
    ($($page:literal fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty, else $none:expr)?;)*) => {$(
        #[doc = $page]
        pub unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            match real!($name as fn($($ty),*) $(-> $ret)?) {
                // SAFETY: the caller's contract is that of libc's function.
                Some(next) => unsafe { next($($arg),*) },
                // No libc is without it.
                None => ($($none)?),
            }
        }
    )*};
}

type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

late! {
    "fclose(3)" fn fclose(stream: *mut FILE) -> c_int, else -1;
    "fdopen(3)" fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE, else core::ptr::null_mut();
    "fileno(3)" fn fileno(stream: *mut FILE) -> c_int, else -1;
    "getenv(3)" fn getenv(name: *const c_char) -> *mut c_char, else core::ptr::null_mut();
    "qsort(3)" fn qsort(base: *mut c_void, count: size_t, size: size_t, compare: Compare);
    "sigaction(2)" fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int, else -1;
    "sigprocmask(2)" fn sigprocmask(how: c_int, new: *const sigset_t, old: *mut sigset_t) -> c_int, else -1;
    "sigaddset(3)" fn sigaddset(set: *mut sigset_t, signal: c_int) -> c_int, else -1;
    "posix_spawnattr_init(3)" fn posix_spawnattr_init(attributes: *mut posix_spawnattr_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_destroy(3)" fn posix_spawnattr_destroy(attributes: *mut posix_spawnattr_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getflags(3)" fn posix_spawnattr_getflags(attributes: *const posix_spawnattr_t, flags: *mut c_short) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_setflags(3)" fn posix_spawnattr_setflags(attributes: *mut posix_spawnattr_t, flags: c_short) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getsigdefault(3)" fn posix_spawnattr_getsigdefault(attributes: *const posix_spawnattr_t, set: *mut sigset_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_setsigdefault(3)" fn posix_spawnattr_setsigdefault(attributes: *mut posix_spawnattr_t, set: *const sigset_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getsigmask(3)" fn posix_spawnattr_getsigmask(attributes: *const posix_spawnattr_t, set: *mut sigset_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_setsigmask(3)" fn posix_spawnattr_setsigmask(attributes: *mut posix_spawnattr_t, set: *const sigset_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getpgroup(3)" fn posix_spawnattr_getpgroup(attributes: *const posix_spawnattr_t, group: *mut pid_t) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getschedpolicy(3)" fn posix_spawnattr_getschedpolicy(attributes: *const posix_spawnattr_t, policy: *mut c_int) -> c_int, else libc::ENOSYS;
    "posix_spawnattr_getschedparam(3)" fn posix_spawnattr_getschedparam(attributes: *const posix_spawnattr_t, parameters: *mut sched_param) -> c_int, else libc::ENOSYS;
}
