//! The lock that programs which change the files of users hold: `/etc/.pwd.lock`, which libc would open by itself.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};

use elements::Errno;
use elements::kernel;
use libc::flock;

use super::open::open;
use crate::answer::{returned, set_errno};

/// The descriptor that holds it; -1: nobody does.
static HELD: AtomicI32 = AtomicI32::new(-1);

/// For as long it is waited for, as libc does, and how often it is tried.
const ATTEMPTS: u32 = 150;
static BETWEEN: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };

pub unsafe fn lckpwdf() -> c_int {
    if HELD.load(Ordering::Acquire) != -1 {
        return -1;
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: a string of ours.
    let file = unsafe { open(c"/etc/.pwd.lock".as_ptr(), flags, 0o600) };
    if file < 0 {
        return -1;
    }
    // SAFETY: all zeros is a valid one: the whole file.
    let mut lock: flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as i16;
    for _ in 0..ATTEMPTS {
        let args = [file as usize, libc::F_SETLK as usize, &raw const lock as usize, 0, 0, 0];
        // SAFETY: the kernel reads the struct.
        match unsafe { kernel::syscall(libc::SYS_fcntl, args) } {
            Ok(_) => {
                HELD.store(file, Ordering::Release);
                return 0;
            }
            Err(Errno(libc::EAGAIN | libc::EACCES | libc::EINTR)) => {}
            Err(errno) => {
                kernel::close(file);
                return returned(Err(errno)) as c_int;
            }
        }
        let args = [&raw const BETWEEN as usize, 0, 0, 0, 0, 0];
        // SAFETY: the kernel reads the struct.
        let _ = unsafe { kernel::syscall(libc::SYS_nanosleep, args) };
    }
    kernel::close(file);
    set_errno(Errno(libc::EINTR));
    -1
}

pub unsafe fn ulckpwdf() -> c_int {
    match HELD.swap(-1, Ordering::AcqRel) {
        -1 => -1,
        file => {
            kernel::close(file);
            0
        }
    }
}
