//! Who the machine is. libc makes of uname(2) all that has to do with names.

use core::ffi::{c_char, c_int, c_long};

use elements::{Answer, Errno};
use libc::{size_t, utsname};

use super::{check_room, is_glibc};
use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

pub unsafe fn uname(buf: *mut utsname) -> c_int {
    let answer = instance().uname(buf);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_uname, [buf as usize, 0, 0, 0, 0, 0]) }
}

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

/// The machine's names, if they are the view's.
fn names() -> Option<utsname> {
    // SAFETY: all zeros is a valid one.
    let mut names = unsafe { core::mem::zeroed::<utsname>() };
    matches!(instance().uname(&raw mut names), Answer::Done(Ok(_))).then_some(names)
}

/// The bytes of a name up to its NUL.
fn len(name: &[c_char]) -> usize {
    name.iter().position(|byte| *byte == 0).unwrap_or(name.len())
}

pub unsafe fn gethostname(buf: *mut c_char, size: size_t) -> c_int {
    let Some(names) = names() else {
        return match real!(gethostname as fn(*mut c_char, size_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(buf, size) },
            None => failed(Errno::ENOSYS),
        };
    };
    let needed = len(&names.nodename) + 1;
    // SAFETY: no more than the caller's room, and within the name's.
    unsafe { core::ptr::copy_nonoverlapping(names.nodename.as_ptr(), buf, needed.min(size)) };
    if needed <= size {
        return 0;
    }
    if is_glibc() {
        return failed(Errno::ENAMETOOLONG);
    }
    // musl gives what there is room for.
    if size > 0 {
        // SAFETY: the last byte of the caller's room.
        unsafe { *buf.add(size - 1) = 0 };
    }
    0
}

pub unsafe fn __gethostname_chk(buf: *mut c_char, size: size_t, room: size_t) -> c_int {
    check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { gethostname(buf, size) }
}

pub unsafe fn getdomainname(buf: *mut c_char, size: size_t) -> c_int {
    let Some(names) = names() else {
        return match real!(getdomainname as fn(*mut c_char, size_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(buf, size) },
            None => failed(Errno::ENOSYS),
        };
    };
    let needed = len(&names.domainname) + 1;
    if needed > size && !is_glibc() {
        return failed(Errno::EINVAL);
    }
    // SAFETY: no more than the caller's room, and within the name's.
    unsafe { core::ptr::copy_nonoverlapping(names.domainname.as_ptr(), buf, needed.min(size)) };
    0
}

pub unsafe fn __getdomainname_chk(buf: *mut c_char, size: size_t, room: size_t) -> c_int {
    check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { getdomainname(buf, size) }
}

pub unsafe fn sethostname(name: *const c_char, len: size_t) -> c_int {
    let answer = instance().sethostname(name.cast(), len);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_sethostname, [name as usize, len, 0, 0, 0, 0]) }
}

pub unsafe fn setdomainname(name: *const c_char, len: size_t) -> c_int {
    let answer = instance().setdomainname(name.cast(), len);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_setdomainname, [name as usize, len, 0, 0, 0, 0]) }
}

pub unsafe fn gethostid() -> c_long {
    // libc reads a number of 32 bits with a sign from /etc/hostid.
    match instance().view.identity().and_then(|identity| identity.host_id) {
        Some(id) if is_glibc() => c_long::from(id as i32),
        _ => match real!(gethostid as fn() -> c_long) {
            // SAFETY: takes nothing.
            Some(next) => unsafe { next() },
            None => 0,
        },
    }
}

pub unsafe fn sethostid(id: c_long) -> c_int {
    match real!(sethostid as fn(c_long) -> c_int) {
        None => failed(Errno::ENOSYS),
        // Its file is one of the view's, which is the policy's to change.
        Some(_) if instance().view.identity().is_some_and(|identity| identity.host_id.is_some()) => {
            failed(Errno::EROFS)
        }
        // SAFETY: takes a number.
        Some(next) => unsafe { next(id) },
    }
}
