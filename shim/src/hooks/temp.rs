//! Temporary files and directories: names that nobody else has.
//!
//! libc makes them by calls that no symbol stands before. What they come to is
//! a template whose six `X` are filled with random letters until open, mkdir
//! or lstat finds the name free, so that is written out over those hooks.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};

use elements::files::{MAX_PATH, Text};
use elements::{Errno, kernel};

use crate::allocate::{free, malloc};
use crate::answer::{errno, returned, set_errno};
use crate::{late, real};

/// How often a taken name is followed by another try: as often as in glibc.
const TRIES: u32 = 62 * 62 * 62;
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

/// Fills the six `X` that stand `suffix` bytes before the template's end, until
/// `make` succeeds or fails for another reason than that the name is taken.
pub fn fill(template: *mut c_char, suffix: c_int, make: &mut dyn FnMut(*const c_char) -> c_int) -> c_int {
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
    let before = errno();
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
            set_errno(Errno(before));
        }
        let stream = late::fdopen(fd, c"w+".as_ptr());
        if stream.is_null() {
            kernel::close(fd);
        }
        stream.cast()
    }
}

/// `L_tmpnam`: the room that a caller of tmpnam(3) must have.
const NAME: usize = 20;
const TEMPLATE: &[u8; 16] = b"/tmp/fileXXXXXX\0";

/// Where tmpnam(3) without a buffer leaves its name.
struct OwnName(UnsafeCell<[u8; NAME]>);

// SAFETY: tmpnam(3) is not for more than one thread when it is given no buffer.
unsafe impl Sync for OwnName {}

static OWN_NAME: OwnName = OwnName(UnsafeCell::new([0; NAME]));

pub unsafe fn tmpnam(buffer: *mut c_char) -> *mut c_char {
    let mut name = *TEMPLATE;
    if !is_directory(c"/tmp") || fill(name.as_mut_ptr().cast(), 0, &mut is_free) < 0 {
        return core::ptr::null_mut();
    }
    let to = if buffer.is_null() { OWN_NAME.0.get().cast() } else { buffer };
    // SAFETY: either buffer has room for `L_tmpnam` bytes, which are more.
    unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), to.cast(), name.len()) };
    to
}

pub unsafe fn tmpnam_r(buffer: *mut c_char) -> *mut c_char {
    if buffer.is_null() {
        return buffer;
    }
    // SAFETY: the caller's contract.
    unsafe { tmpnam(buffer) }
}

pub unsafe fn tempnam(dir: *const c_char, prefix: *const c_char) -> *mut c_char {
    let mut template = Text::<MAX_PATH>::new();
    // SAFETY: the caller's strings, or null.
    let made = unsafe { push_template(dir, prefix, &mut template) };
    if let Err(errno) = made {
        returned(Err(errno));
        return core::ptr::null_mut();
    }
    let (name, len) = (template.as_ptr(), template.len() + 1);
    // SAFETY: as many bytes as the text and its NUL take; the caller frees them.
    unsafe {
        let copy = malloc(len).cast::<c_char>();
        if copy.is_null() {
            return copy;
        }
        core::ptr::copy_nonoverlapping(name.cast(), copy, len);
        if fill(copy, 0, &mut is_free) < 0 {
            free(copy.cast());
            return core::ptr::null_mut();
        }
        copy
    }
}

/// The first directory that exists of `$TMPDIR`, `dir` and /tmp, then up to
/// five letters of the prefix, and six `X`.
unsafe fn push_template(
    dir: *const c_char,
    prefix: *const c_char,
    to: &mut Text<MAX_PATH>,
) -> Result<(), Errno> {
    let from_environment = match real!(secure_getenv as fn(*const c_char) -> *const c_char) {
        // SAFETY: a string of ours.
        Some(next) => unsafe { next(c"TMPDIR".as_ptr()) },
        None => core::ptr::null(),
    };
    let chosen = [from_environment, dir, c"/tmp".as_ptr()]
        .into_iter()
        .filter(|dir| !dir.is_null())
        // SAFETY: strings of the environment, of the caller and of ours.
        .map(|dir| unsafe { CStr::from_ptr(dir) })
        .find(|dir| is_directory(dir))
        .ok_or(Errno::ENOENT)?
        .to_bytes();
    let end = chosen.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    // SAFETY: the caller's string.
    let prefix = if prefix.is_null() { &[] } else { unsafe { CStr::from_ptr(prefix) }.to_bytes() };
    let prefix = if prefix.is_empty() { b"file" } else { prefix.get(..5).unwrap_or(prefix) };
    for part in [chosen.get(..end).unwrap_or(chosen), b"/", prefix, b"XXXXXX"] {
        to.push(part).map_err(|_| Errno::EINVAL)?;
    }
    Ok(())
}

fn is_directory(path: &CStr) -> bool {
    let mut about = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a string, and room for the answer, which is read if it was given.
    unsafe {
        super::stat::stat(path.as_ptr(), about.as_mut_ptr()) == 0
            && about.assume_init().st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}
