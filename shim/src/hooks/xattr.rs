//! Extended attributes.

use core::ffi::{c_char, c_int, c_void};

use libc::{size_t, ssize_t};

use crate::answer::{finish, finish_int};
use crate::start::instance;

fn get(nr: i64, follow: bool, path: *const c_char, words: [usize; 3]) -> ssize_t {
    let answer = instance().look(nr, path.cast(), follow, words);
    let [a, b, c] = words;
    // SAFETY: the program's own arguments.
    unsafe { finish(answer, nr, [path as usize, a, b, c, 0, 0]) }
}

pub unsafe fn getxattr(
    path: *const c_char,
    name: *const c_char,
    value: *mut c_void,
    size: size_t,
) -> ssize_t {
    get(libc::SYS_getxattr, true, path, [name as usize, value as usize, size])
}

pub unsafe fn lgetxattr(
    path: *const c_char,
    name: *const c_char,
    value: *mut c_void,
    size: size_t,
) -> ssize_t {
    get(libc::SYS_lgetxattr, false, path, [name as usize, value as usize, size])
}

pub unsafe fn listxattr(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t {
    get(libc::SYS_listxattr, true, path, [list as usize, size, 0])
}

pub unsafe fn llistxattr(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t {
    get(libc::SYS_llistxattr, false, path, [list as usize, size, 0])
}

fn set(nr: i64, follow: bool, path: *const c_char, words: [usize; 4]) -> c_int {
    let answer = instance().alter(nr, path.cast(), follow, words);
    let [a, b, c, d] = words;
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, nr, [path as usize, a, b, c, d, 0]) }
}

pub unsafe fn setxattr(
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    set(libc::SYS_setxattr, true, path, [name as usize, value as usize, size, flags as usize])
}

pub unsafe fn lsetxattr(
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    set(libc::SYS_lsetxattr, false, path, [name as usize, value as usize, size, flags as usize])
}

pub unsafe fn removexattr(path: *const c_char, name: *const c_char) -> c_int {
    set(libc::SYS_removexattr, true, path, [name as usize, 0, 0, 0])
}

pub unsafe fn lremovexattr(path: *const c_char, name: *const c_char) -> c_int {
    set(libc::SYS_lremovexattr, false, path, [name as usize, 0, 0, 0])
}
