//! Temporary files and directories: names that nobody else has.

use core::ffi::{CStr, c_char, c_int, c_void};

use elements::{Errno, kernel};

use crate::answer::{errno, returned, set_errno};

/// How often a taken name is followed by another try.
const TRIES: u32 = 10_000;
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

/// Fills the six `X` that stand `suffix` bytes before the template's end, until
/// `make` succeeds or fails for another reason than that the name is taken.
fn fill(template: *mut c_char, suffix: c_int, make: &mut dyn FnMut(*const c_char) -> c_int) -> c_int {
    // SAFETY: the callers' contract: a string, which may be written to.
    let name = unsafe {
        let len = CStr::from_ptr(template).count_bytes();
        core::slice::from_raw_parts_mut(template.cast::<u8>(), len)
    };
    let Some(end) = usize::try_from(suffix).ok().and_then(|suffix| name.len().checked_sub(suffix)) else {
        return failed(Errno::EINVAL);
    };
    let Some(letters) = end.checked_sub(6).and_then(|start| name.get_mut(start..end)) else {
        return failed(Errno::EINVAL);
    };
    if letters != b"XXXXXX" {
        return failed(Errno::EINVAL);
    }
    let before = errno();
    for _ in 0..TRIES {
        let mut random = kernel::random();
        for letter in letters.iter_mut() {
            *letter = LETTERS.get((random % 62) as usize).copied().unwrap_or(b'x');
            random /= 62;
        }
        let made = make(template);
        if made >= 0 {
            set_errno(Errno(before));
            return made;
        }
        if errno() != libc::EEXIST {
            return made;
        }
    }
    failed(Errno::EEXIST)
}

fn make_file(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    let flags = (flags & !libc::O_ACCMODE) | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    // SAFETY: a name in the caller's template.
    fill(template, suffix, &mut |name| unsafe { super::open::open(name, flags, 0o600) })
}

pub unsafe fn mkstemp(template: *mut c_char) -> c_int {
    make_file(template, 0, 0)
}

pub unsafe fn mkostemp(template: *mut c_char, flags: c_int) -> c_int {
    make_file(template, 0, flags)
}

pub unsafe fn mkstemps(template: *mut c_char, suffix: c_int) -> c_int {
    make_file(template, suffix, 0)
}

pub unsafe fn mkostemps(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    make_file(template, suffix, flags)
}

pub unsafe fn mkdtemp(template: *mut c_char) -> *mut c_char {
    // SAFETY: a name in the caller's template.
    let made = fill(template, 0, &mut |name| unsafe { super::change::mkdir(name, 0o700) });
    if made < 0 { core::ptr::null_mut() } else { template }
}

/// mktemp(3): a name that was free a moment ago, or an empty string.
pub unsafe fn mktemp(template: *mut c_char) -> *mut c_char {
    if fill(template, 0, &mut is_free) < 0 {
        // SAFETY: the caller's template, which is at least its NUL.
        unsafe { *template = 0 };
    }
    template
}

fn is_free(name: *const c_char) -> c_int {
    let mut stat = core::mem::MaybeUninit::uninit();
    // SAFETY: a string, and room for the answer.
    let found = unsafe { super::stat::lstat(name, stat.as_mut_ptr()) };
    match (found, errno()) {
        (0, _) => failed(Errno::EEXIST),
        (_, libc::ENOENT) => 0,
        _ => -1,
    }
}

pub unsafe fn tmpfile() -> *mut c_void {
    // SAFETY: strings of ours.
    unsafe {
        let mut fd =
            super::open::open(c"/tmp".as_ptr(), libc::O_RDWR | libc::O_TMPFILE | libc::O_EXCL, 0o600);
        if fd < 0 {
            let mut template = *b"/tmp/tmpfXXXXXX\0";
            fd = mkstemp(template.as_mut_ptr().cast());
            if fd < 0 {
                return core::ptr::null_mut();
            }
            super::change::unlink(template.as_ptr().cast());
        }
        let stream = libc::fdopen(fd, c"w+".as_ptr());
        if stream.is_null() {
            kernel::close(fd);
        }
        stream.cast()
    }
}
