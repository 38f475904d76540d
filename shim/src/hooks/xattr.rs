//! Extended attributes.

use core::ffi::{c_char, c_int, c_void};

use elements::Answer;
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

pub unsafe fn fgetxattr(fd: c_int, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t {
    by_descriptor(libc::SYS_fgetxattr, [fd as usize, name as usize, value as usize, size, 0, 0])
}

pub unsafe fn flistxattr(fd: c_int, list: *mut c_char, size: size_t) -> ssize_t {
    by_descriptor(libc::SYS_flistxattr, [fd as usize, list as usize, size, 0, 0, 0])
}

fn by_descriptor(nr: i64, args: [usize; 6]) -> ssize_t {
    let instance = instance();
    let answer =
        if instance.plays() { instance.look_at_attributes_by_descriptor(nr, args) } else { Answer::Pass };
    // SAFETY: the program's own arguments.
    unsafe { finish(answer, nr, args) }
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
