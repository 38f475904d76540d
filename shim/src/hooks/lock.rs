//! The lock that programs which change the files of users hold: `/etc/.pwd.lock`, which libc would open by itself.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};

use elements::Errno;
use elements::kernel;
use libc::flock;

use super::open::open;
use crate::answer::set_errno;

/// The descriptor that holds it.
static HELD: AtomicI32 = AtomicI32::new(NOBODY);
const NOBODY: c_int = -1;
/// A thread is about to hold it. Another must not try: closing its own descriptor would end this one's lock.
const TAKEN: c_int = -2;

/// For as long it is waited for, as libc does, and how often it is tried.
const ATTEMPTS: u32 = 150;
static BETWEEN: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };

pub unsafe fn lckpwdf() -> c_int {
    if HELD.compare_exchange(NOBODY, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return -1;
    }
    let file = take();
    HELD.store(file.unwrap_or(NOBODY), Ordering::Release);
    if file.is_some() { 0 } else { -1 }
}

/// Opens the file and locks it. None: `errno` says why not.
fn take() -> Option<c_int> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: a string of ours.
    let file = unsafe { open(c"/etc/.pwd.lock".as_ptr(), flags, 0o600) };
    if file < 0 {
        return None;
    }
    // SAFETY: all zeros is a valid one: the whole file.
    let mut lock: flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as i16;
    let mut failed = Errno(libc::EINTR);
    for _ in 0..ATTEMPTS {
        let args = [file as usize, libc::F_SETLK as usize, &raw const lock as usize, 0, 0, 0];
        // SAFETY: the kernel reads the struct.
        match unsafe { kernel::syscall(libc::SYS_fcntl, args) } {
            Ok(_) => return Some(file),
            Err(Errno(libc::EAGAIN | libc::EACCES | libc::EINTR)) => {}
            Err(errno) => {
                failed = errno;
                break;
            }
        }
        let args = [&raw const BETWEEN as usize, 0, 0, 0, 0, 0];
        // SAFETY: the kernel reads the struct.
        let _ = unsafe { kernel::syscall(libc::SYS_nanosleep, args) };
    }
    kernel::close(file);
    set_errno(failed);
    None
}

pub unsafe fn ulckpwdf() -> c_int {
    let file = HELD.load(Ordering::Acquire);
    if file < 0 || HELD.compare_exchange(file, NOBODY, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return -1;
    }
    kernel::close(file);
    0
}
