//! Keys of System V interprocess communication, and message queues of POSIX.

use core::ffi::{c_char, c_int, c_void};

use elements::ipc::Kind;
use elements::{Answer, Errno, user};
use libc::{key_t, mode_t, size_t};

use crate::answer::{finish_int, returned};
use crate::start::instance;

/// Makes a call that the elements have had their say in.
unsafe fn finished(answer: Answer, number: i64, args: [usize; 6]) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { finish_int(answer, number, args) }
}

unsafe fn get(kind: Kind, number: i64, args: [usize; 6], flags: c_int) -> c_int {
    let answer = instance().get_by_key(kind, number, args, flags as usize);
    // SAFETY: the program's own arguments.
    unsafe { finished(answer, number, args) }
}

unsafe fn control(kind: Kind, number: i64, args: [usize; 6], command: c_int, buffer: usize) -> c_int {
    let answer = instance().control(kind, number, args, command as usize, buffer);
    // SAFETY: the program's own arguments.
    unsafe { finished(answer, number, args) }
}

pub unsafe fn shmget(key: key_t, size: size_t, flags: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { get(Kind::Memory, libc::SYS_shmget, [key as usize, size, flags as usize, 0, 0, 0], flags) }
}

pub unsafe fn semget(key: key_t, count: c_int, flags: c_int) -> c_int {
    let args = [key as usize, count as usize, flags as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { get(Kind::Semaphores, libc::SYS_semget, args, flags) }
}

pub unsafe fn msgget(key: key_t, flags: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { get(Kind::Queue, libc::SYS_msgget, [key as usize, flags as usize, 0, 0, 0, 0], flags) }
}

pub unsafe fn shmctl(id: c_int, command: c_int, buffer: *mut c_void) -> c_int {
    let args = [id as usize, command as usize, buffer as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { control(Kind::Memory, libc::SYS_shmctl, args, command, buffer as usize) }
}

/// The fourth argument is passed on whether or not the caller gave one: on this
/// architecture it comes in a register either way.
pub unsafe fn semctl(id: c_int, number: c_int, command: c_int, argument: usize) -> c_int {
    let args = [id as usize, number as usize, command as usize, argument, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { control(Kind::Semaphores, libc::SYS_semctl, args, command, argument) }
}

pub unsafe fn msgctl(id: c_int, command: c_int, buffer: *mut c_void) -> c_int {
    let args = [id as usize, command as usize, buffer as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { control(Kind::Queue, libc::SYS_msgctl, args, command, buffer as usize) }
}

/// The kernel's name of a queue: libc's without the slash that it begins with.
fn without_slash(name: *const c_char) -> Result<*const c_char, Errno> {
    if !user::is_readable(name.cast(), 1) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable.
    if unsafe { *name } == b'/' as c_char { Ok(name.wrapping_add(1)) } else { Err(Errno::EINVAL) }
}

pub unsafe fn mq_open(name: *const c_char, flags: c_int, mode: mode_t, attributes: *mut c_void) -> c_int {
    let name = match without_slash(name) {
        Ok(name) => name,
        Err(errno) => return returned(Err(errno)) as c_int,
    };
    let (mode, attributes) =
        if flags & libc::O_CREAT == 0 { (0, 0) } else { (mode as usize, attributes as usize) };
    let answer = instance().mq_open(name.cast(), flags, mode, attributes);
    // SAFETY: the program's own arguments.
    unsafe { finished(answer, libc::SYS_mq_open, [name as usize, flags as usize, mode, attributes, 0, 0]) }
}

pub unsafe fn __mq_open_2(name: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { mq_open(name, flags, 0, core::ptr::null_mut()) }
}

pub unsafe fn mq_unlink(name: *const c_char) -> c_int {
    let name = match without_slash(name) {
        Ok(name) => name,
        Err(errno) => return returned(Err(errno)) as c_int,
    };
    let answer = instance().mq_unlink(name.cast());
    // SAFETY: the program's own argument.
    let done = unsafe { finished(answer, libc::SYS_mq_unlink, [name as usize, 0, 0, 0, 0, 0]) };
    // As libc has it: only who owns a queue may take it away.
    if done < 0 && crate::answer::errno() == libc::EPERM {
        crate::answer::set_errno(Errno::EACCES);
    }
    done
}
