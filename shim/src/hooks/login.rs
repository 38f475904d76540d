//! Who has logged in: getlogin(3). glibc asks the kernel for the number of whoever has, and the database
//! of users for the name; where the kernel does not know, the record of logins, which is the host's.

use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU8, Ordering};

use elements::Errno;
use elements::identity::Database;
use elements::identity::entries::{Entry as _, Passwd};
use elements::kernel;
use libc::size_t;

use super::{check_room, is_glibc};
use crate::answer::set_errno;
use crate::real;
use crate::start::instance;

/// The longest name, with its NUL, as glibc has it.
const ROOM: usize = 33;

/// The number of who has logged in; none where the kernel does not know.
fn login_uid() -> Option<u32> {
    let path = c"/proc/self/loginuid".as_ptr().cast();
    let file = kernel::open_at_once(path).ok()?;
    let mut text = [0; 16];
    let len = kernel::pread(file, &mut text, 0);
    kernel::close(file);
    let text = text.get(..len.ok()?)?.trim_ascii();
    let number = text.iter().try_fold(0_u32, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    });
    // All ones: nobody has.
    number.filter(|number| !text.is_empty() && *number != u32::MAX)
}

/// Calls `give` with the name of who has logged in, if it is the view's to say. The answer is
/// none where it is libc's.
fn name<T>(give: impl FnOnce(Option<&[u8]>) -> T) -> Option<T> {
    if !is_glibc() {
        return None;
    }
    let mut lines = instance().database(Database::Users, 0)?.ok()?;
    let uid = login_uid()?;
    while let Some((line, _)) = lines.next_line() {
        if let Some(entry) = Passwd::of(line).filter(|entry| entry.uid == uid) {
            return Some(give(Some(entry.name)));
        }
    }
    Some(give(None))
}

/// # Safety
///
/// There is so much room.
unsafe fn put(name: Option<&[u8]>, buf: *mut c_char, size: usize) -> Result<(), Errno> {
    // Without a name libc looks whose the terminal is, and there is mostly none.
    let name = name.ok_or(Errno(libc::ENOTTY))?;
    if name.len() >= size {
        return Err(Errno::ERANGE);
    }
    // SAFETY: the caller's promise, and a NUL fits behind the name.
    unsafe {
        core::ptr::copy_nonoverlapping(name.as_ptr(), buf.cast(), name.len());
        *buf.add(name.len()) = 0;
    }
    Ok(())
}

pub unsafe fn getlogin() -> *mut c_char {
    // As libc's own, it is for one thread at a time.
    static NAME: [AtomicU8; ROOM] = [const { AtomicU8::new(0) }; ROOM];
    let to = NAME.as_ptr().cast_mut().cast::<c_char>();
    // SAFETY: room of our own, whose bytes may be written to.
    match name(|name| unsafe { put(name, to, ROOM) }) {
        Some(Ok(())) => {
            core::sync::atomic::fence(Ordering::Release);
            to
        }
        Some(Err(errno)) => {
            set_errno(errno);
            core::ptr::null_mut()
        }
        None => match real!(getlogin as fn() -> *mut c_char) {
            // SAFETY: takes nothing.
            Some(next) => unsafe { next() },
            None => core::ptr::null_mut(),
        },
    }
}

pub unsafe fn getlogin_r(buf: *mut c_char, size: size_t) -> c_int {
    // SAFETY: the caller's contract.
    match name(|name| unsafe { put(name, buf, size) }) {
        Some(Ok(())) => 0,
        Some(Err(errno)) => {
            set_errno(errno);
            errno.0
        }
        None => match real!(getlogin_r as fn(*mut c_char, size_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(buf, size) },
            None => Errno::ENOSYS.0,
        },
    }
}

pub unsafe fn __getlogin_r_chk(buf: *mut c_char, size: size_t, room: size_t) -> c_int {
    check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { getlogin_r(buf, size) }
}
