//! From an element's answer to what libc returns.

use core::ffi::c_int;

use elements::{Answer, Errno, kernel};

unsafe extern "C" {
    /// Where the thread's errno is. glibc and musl have it under this name.
    fn __errno_location() -> *mut c_int;
}

/// Sets errno.
pub fn set_errno(errno: Errno) {
    // SAFETY: libc gives a valid pointer for the calling thread.
    unsafe { *__errno_location() = errno.0 };
}

/// The thread's errno.
pub fn errno() -> c_int {
    // SAFETY: libc gives a valid pointer for the calling thread.
    unsafe { *__errno_location() }
}

/// A result in libc's way: the value, or -1 with errno set.
#[inline]
pub fn returned(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(value) => value as isize,
        Err(errno) => failed(errno),
    }
}

/// Apart from the rest, so that functions that succeed need no room on the stack.
#[cold]
#[inline(never)]
fn failed(errno: Errno) -> isize {
    set_errno(errno);
    -1
}

/// Hands an answer out. A call that passes is made as it was asked.
///
/// # Safety
///
/// `args` are what the system call `nr` wants; pointers are the program's,
/// for the kernel to judge.
#[inline]
pub unsafe fn finish(answer: Answer, nr: i64, args: [usize; 6]) -> isize {
    returned(match answer {
        // SAFETY: the caller's promise.
        Answer::Pass => unsafe { kernel::syscall(nr, args) },
        Answer::Done(result) => result,
    })
}

/// [`finish`] for functions that return an int.
///
/// # Safety
///
/// As for [`finish`].
#[inline]
pub unsafe fn finish_int(answer: Answer, nr: i64, args: [usize; 6]) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { finish(answer, nr, args) as c_int }
}
