//! Streams of stdio that are opened by a path.

use core::ffi::{CStr, c_char, c_int, c_void};

use elements::Errno;
use elements::files::Text;
use elements::kernel::{self, AT_FDCWD};

use crate::answer::returned;
use crate::start::instance;
use crate::{late, real};

fn failed(errno: Errno) -> *mut c_void {
    returned(Err(errno));
    core::ptr::null_mut()
}

/// The flags of open(2) that a mode of fopen(3) stands for.
fn flags(mode: &[u8]) -> Option<c_int> {
    let (first, rest) = mode.split_first()?;
    // What follows a comma is for the conversion of characters.
    let letters = rest.split(|byte| *byte == b',').next().unwrap_or(&[]);
    let plus = letters.contains(&b'+');
    let access = match (first, plus) {
        (_, true) => libc::O_RDWR,
        (b'r', false) => libc::O_RDONLY,
        _ => libc::O_WRONLY,
    };
    let makes = match first {
        b'r' => 0,
        b'w' => libc::O_CREAT | libc::O_TRUNC,
        b'a' => libc::O_CREAT | libc::O_APPEND,
        _ => return None,
    };
    let exclusive = if letters.contains(&b'x') { libc::O_EXCL } else { 0 };
    let on_exec = if letters.contains(&b'e') { libc::O_CLOEXEC } else { 0 };
    Some(access | makes | exclusive | on_exec)
}

/// Opens the file as the stream would. None where no mount is touched.
fn open(path: *const c_char, mode: &[u8]) -> Option<Result<c_int, Errno>> {
    let is_ours = instance().is_touched(AT_FDCWD, path.cast())
        || instance().may_tell_otherwise(path.cast(), libc::O_RDONLY);
    if !is_ours {
        return None;
    }
    let Some(flags) = flags(mode) else { return Some(Err(Errno::EINVAL)) };
    // SAFETY: the caller's contract.
    let fd = unsafe { super::open::open(path, flags, 0o666) };
    Some(if fd < 0 { Err(Errno(crate::answer::errno())) } else { Ok(fd) })
}

pub unsafe fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: fopen's contract: the mode is a string.
    let letters = unsafe { CStr::from_ptr(mode) }.to_bytes();
    match open(path, letters) {
        None => match real!(fopen as fn(*const c_char, *const c_char) -> *mut c_void) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(path, mode) },
            None => failed(Errno::ENOSYS),
        },
        Some(Err(errno)) => failed(errno),
        // A stream that converts characters is not made from a descriptor.
        Some(Ok(fd)) if letters.contains(&b',') => by_descriptor(fd, letters, |path, mode| {
            match real!(fopen as fn(*const c_char, *const c_char) -> *mut c_void) {
                // SAFETY: two strings of ours.
                Some(next) => unsafe { next(path, mode) },
                None => failed(Errno::ENOSYS),
            }
        }),
        Some(Ok(fd)) => {
            // SAFETY: a descriptor of ours, and the program's mode.
            let stream = unsafe { late::fdopen(fd, mode) };
            if stream.is_null() {
                kernel::close(fd);
            }
            stream.cast()
        }
    }
}

/// fopen(3) of a file that is closed on exec.
pub unsafe fn setmntent(path: *const c_char, mode: *const c_char) -> *mut c_void {
    if !instance().is_touched(AT_FDCWD, path.cast()) {
        return match real!(setmntent as fn(*const c_char, *const c_char) -> *mut c_void) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(path, mode) },
            None => failed(Errno::ENOSYS),
        };
    }
    // SAFETY: setmntent's contract: the mode is a string.
    let letters = unsafe { CStr::from_ptr(mode) }.to_bytes();
    let mut closed_on_exec = Text::<32>::new();
    match closed_on_exec.push(letters).and_then(|()| closed_on_exec.push(b"e")) {
        // SAFETY: the program's path, and a string of ours.
        Ok(()) => unsafe { fopen(path, closed_on_exec.as_ptr().cast()) },
        Err(_) => failed(Errno::EINVAL),
    }
}

pub unsafe fn freopen(path: *const c_char, mode: *const c_char, stream: *mut c_void) -> *mut c_void {
    let Some(next) = real!(freopen as fn(*const c_char, *const c_char, *mut c_void) -> *mut c_void) else {
        return failed(Errno::ENOSYS);
    };
    // SAFETY: freopen's contract: the mode is a string.
    let letters = unsafe { CStr::from_ptr(mode) }.to_bytes();
    let opened = if path.is_null() { None } else { open(path, letters) };
    match opened {
        // SAFETY: the program's own arguments.
        None => unsafe { next(path, mode, stream) },
        // SAFETY: two strings of ours, and the program's stream.
        Some(Ok(fd)) => by_descriptor(fd, letters, |path, mode| unsafe { next(path, mode, stream) }),
        Some(Err(errno)) => {
            // freopen(3) closes the old stream whatever becomes of the new one.
            // SAFETY: the program gave the stream up.
            unsafe { late::fclose(stream.cast()) };
            failed(errno)
        }
    }
}

/// Calls a function that opens by path with the name of an open descriptor.
/// The file is there by now, so the mode must not ask for a new one.
fn by_descriptor(
    fd: c_int,
    mode: &[u8],
    call: impl FnOnce(*const c_char, *const c_char) -> *mut c_void,
) -> *mut c_void {
    let mut path = Text::<32>::new();
    let mut letters = Text::<256>::new();
    let made = path
        .push(b"/proc/self/fd/")
        .and_then(|()| path.push_decimal(fd.unsigned_abs()))
        .and_then(|()| mode.iter().filter(|byte| **byte != b'x').try_for_each(|byte| letters.push(&[*byte])));
    let stream = match made {
        Ok(()) => call(path.as_ptr().cast(), letters.as_ptr().cast()),
        Err(_) => failed(Errno::EINVAL),
    };
    kernel::close(fd);
    stream
}
