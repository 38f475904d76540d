//! The kernel, as the elements call it.
//!
//! One short function per system call, named as its man page is. Nothing goes
//! through libc: its functions are the ones that the doors replace. All calls
//! leave through [`arch::syscall`], so that a door which must issue them from
//! one place can.

pub mod arch;
mod change;
mod fs;
mod net;
mod process;

pub use change::*;
pub use fs::*;
pub use net::*;
pub use process::*;

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::errno::Errno;

/// The descriptor that stands for the working directory, see openat(2).
pub const AT_FDCWD: i32 = libc::AT_FDCWD;

/// Makes a system call that takes any number of arguments up to six.
///
/// # Safety
///
/// The arguments must be what the call wants: the kernel reads and writes
/// through those that it takes for pointers.
#[inline]
pub unsafe fn syscall(nr: i64, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: the caller answers for the arguments.
    Errno::result(unsafe { arch::syscall(nr as usize, args) })
}

/// [`syscall`] for a call that takes four arguments at the most, on the way of most paths.
///
/// # Safety
///
/// As for [`syscall`].
#[inline]
pub unsafe fn syscall4(nr: i64, args: [usize; 4]) -> Result<usize, Errno> {
    // SAFETY: the caller answers for the arguments.
    Errno::result(unsafe { arch::syscall4(nr as usize, args) })
}

/// A door's own way to make a call that may wait, see [`set_waiting`].
pub type Waiting = extern "C" fn(nr: usize, args: &[usize; 6]) -> usize;

// What a start writes to lies together: each page is dear.
#[unsafe(link_section = ".data.start")]
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Tells of a way to make calls that may wait. A door that keeps signals back
/// while a call is under way must not begin to wait once one has come.
pub fn set_waiting(make: Waiting) {
    WAITING.store(make as usize, Ordering::Relaxed);
}

/// [`syscall`] for a call that may wait for somebody else (a FIFO's other end,
/// a peer), or that hands on what signals are blocked.
///
/// # Safety
///
/// As for [`syscall`].
#[inline]
pub unsafe fn waiting_syscall(nr: i64, args: [usize; 6]) -> Result<usize, Errno> {
    match WAITING.load(Ordering::Relaxed) {
        // SAFETY: the caller answers for the arguments.
        0 => unsafe { syscall(nr, args) },
        make => {
            // SAFETY: what `set_waiting` was given.
            let make: Waiting = unsafe { core::mem::transmute(make) };
            Errno::result(make(nr as usize, &args))
        }
    }
}
