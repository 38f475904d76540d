//! Who the process is: ids, groups and capabilities, and what is asked by them.

use core::ffi::{c_int, c_uint, c_ulong, c_void};

use elements::identity::credentials::{Info, Scope, UNCHANGED, Whom};
use elements::{Answer, Errno};
use libc::{gid_t, pid_t, sigval, size_t, socklen_t, uid_t};

use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

/// An answer, or what a function of libc's says: it tells the program's other threads.
macro_rules! or_libc {
    ($answer:expr, $name:ident($($argument:ident: $type:ty),*)) => {
        match $answer {
            Answer::Done(done) => returned(done) as c_int,
            Answer::Pass => match real!($name as fn($($type),*) -> c_int) {
                // SAFETY: the program's own arguments.
                Some(next) => unsafe { next($($argument),*) },
                None => returned(Err(Errno::ENOSYS)) as c_int,
            },
        }
    };
}

/// An id that is asked for.
fn id(answer: Answer, nr: i64) -> c_uint {
    // SAFETY: touches no memory, and cannot fail.
    unsafe { finish_int(answer, nr, [0; 6]) as c_uint }
}

pub unsafe fn getuid() -> uid_t {
    id(instance().real_id(Whom::User), libc::SYS_getuid)
}

pub unsafe fn geteuid() -> uid_t {
    id(instance().effective_id(Whom::User), libc::SYS_geteuid)
}

pub unsafe fn getgid() -> gid_t {
    id(instance().real_id(Whom::Group), libc::SYS_getgid)
}

pub unsafe fn getegid() -> gid_t {
    id(instance().effective_id(Whom::Group), libc::SYS_getegid)
}

pub unsafe fn getresuid(real: *mut uid_t, effective: *mut uid_t, saved: *mut uid_t) -> c_int {
    let answer = instance().three_ids(Whom::User, [real, effective, saved]);
    let args = [real as usize, effective as usize, saved as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_getresuid, args) }
}

pub unsafe fn getresgid(real: *mut gid_t, effective: *mut gid_t, saved: *mut gid_t) -> c_int {
    let answer = instance().three_ids(Whom::Group, [real, effective, saved]);
    let args = [real as usize, effective as usize, saved as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_getresgid, args) }
}

pub unsafe fn getgroups(room: c_int, list: *mut gid_t) -> c_int {
    let answer = instance().getgroups(room, list);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_getgroups, [room as usize, list as usize, 0, 0, 0, 0]) }
}

pub unsafe fn __getgroups_chk(room: c_int, list: *mut gid_t, len: size_t) -> c_int {
    if let Ok(room) = usize::try_from(room) {
        super::check_room(room.saturating_mul(size_of::<gid_t>()), len);
    }
    // SAFETY: the caller's contract.
    unsafe { getgroups(room, list) }
}

pub unsafe fn setuid(uid: uid_t) -> c_int {
    or_libc!(instance().set_id(Scope::Process, Whom::User, uid), setuid(uid: uid_t))
}

pub unsafe fn setgid(gid: gid_t) -> c_int {
    or_libc!(instance().set_id(Scope::Process, Whom::Group, gid), setgid(gid: gid_t))
}

/// What libc makes of seteuid(2) and setegid(2).
fn effective(whom: Whom, id: u32) -> Answer {
    if id == UNCHANGED && instance().plays() {
        return Answer::fail(Errno::EINVAL);
    }
    instance().set_three_ids(Scope::Process, whom, [UNCHANGED, id, UNCHANGED])
}

pub unsafe fn seteuid(uid: uid_t) -> c_int {
    or_libc!(effective(Whom::User, uid), seteuid(uid: uid_t))
}

pub unsafe fn setegid(gid: gid_t) -> c_int {
    or_libc!(effective(Whom::Group, gid), setegid(gid: gid_t))
}

pub unsafe fn setreuid(real: uid_t, effective: uid_t) -> c_int {
    let answer = instance().set_two_ids(Scope::Process, Whom::User, real, effective);
    or_libc!(answer, setreuid(real: uid_t, effective: uid_t))
}

pub unsafe fn setregid(real: gid_t, effective: gid_t) -> c_int {
    let answer = instance().set_two_ids(Scope::Process, Whom::Group, real, effective);
    or_libc!(answer, setregid(real: gid_t, effective: gid_t))
}

pub unsafe fn setresuid(real: uid_t, effective: uid_t, saved: uid_t) -> c_int {
    let answer = instance().set_three_ids(Scope::Process, Whom::User, [real, effective, saved]);
    or_libc!(answer, setresuid(real: uid_t, effective: uid_t, saved: uid_t))
}

pub unsafe fn setresgid(real: gid_t, effective: gid_t, saved: gid_t) -> c_int {
    let answer = instance().set_three_ids(Scope::Process, Whom::Group, [real, effective, saved]);
    or_libc!(answer, setresgid(real: gid_t, effective: gid_t, saved: gid_t))
}

pub unsafe fn setfsuid(uid: uid_t) -> c_int {
    or_libc!(instance().set_files_id(Whom::User, uid), setfsuid(uid: uid_t))
}

pub unsafe fn setfsgid(gid: gid_t) -> c_int {
    or_libc!(instance().set_files_id(Whom::Group, gid), setfsgid(gid: gid_t))
}

pub unsafe fn setgroups(count: size_t, list: *const gid_t) -> c_int {
    let number = c_int::try_from(count).unwrap_or(c_int::MAX);
    let answer = instance().setgroups(Scope::Process, number, list);
    or_libc!(answer, setgroups(count: size_t, list: *const gid_t))
}

pub unsafe fn capget(header: *mut c_void, data: *mut c_void) -> c_int {
    let answer = instance().capget(header.cast(), data.cast());
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_capget, [header as usize, data as usize, 0, 0, 0, 0]) }
}

pub unsafe fn capset(header: *mut c_void, data: *const c_void) -> c_int {
    let answer = instance().capset(header.cast(), data.cast());
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_capset, [header as usize, data as usize, 0, 0, 0, 0]) }
}

pub unsafe fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
    let [a, b, c, d] = [a, b, c, d].map(|word| word as usize);
    let answer = instance().prctl(option, a, b, [c, d]);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_prctl, [option as usize, a, b, c, d, 0]) }
}

pub unsafe fn kill(process: pid_t, signal: c_int) -> c_int {
    let answer = instance().kill(process, signal);
    // SAFETY: numbers only.
    unsafe { finish_int(answer, libc::SYS_kill, [process as usize, signal as usize, 0, 0, 0, 0]) }
}

pub unsafe fn killpg(group: pid_t, signal: c_int) -> c_int {
    if group < 0 {
        return returned(Err(Errno::EINVAL)) as c_int;
    }
    // SAFETY: numbers only.
    unsafe { kill(-group, signal) }
}

pub unsafe fn sigqueue(process: pid_t, signal: c_int, value: sigval) -> c_int {
    // The user is the one that the program is.
    // SAFETY: takes nothing.
    let (own, user) = unsafe { (elements::kernel::getpid(), getuid()) };
    let [low, high] = [value.sival_ptr as usize as i32, (value.sival_ptr as usize >> 32) as i32];
    let mut info: Info = [0; 32];
    for (to, word) in info.iter_mut().zip([signal, 0, libc::SI_QUEUE, 0, own, user as i32, low, high]) {
        *to = word;
    }
    let answer = instance().may_signal(process, signal);
    let args = [process as usize, signal as usize, info.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the kernel reads the struct.
    unsafe { finish_int(answer, libc::SYS_rt_sigqueueinfo, args) }
}

pub unsafe fn pidfd_send_signal(file: c_int, signal: c_int, info: *mut c_void, flags: c_uint) -> c_int {
    let answer = instance().pidfd_send_signal(file, signal);
    let args = [file as usize, signal as usize, info as usize, flags as usize, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_pidfd_send_signal, args) }
}

pub unsafe fn getsockopt(
    socket: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let args = [socket as usize, level as usize, option as usize, value as usize, len as usize, 0];
    let answer = instance().getsockopt(args);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_getsockopt, args) }
}
