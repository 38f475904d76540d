//! The kernel, as the elements call it.
//!
//! One short function per system call, named as its man page is. Nothing goes
//! through libc: its functions are the ones that the doors replace. All calls
//! leave through [`arch::syscall`], so that a door which must issue them from
//! one place can.

pub mod arch;
mod fs;
mod process;

pub use fs::*;
pub use process::*;

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
