//! The working directory, and canonical paths.

use core::ffi::{c_char, c_int};

use elements::Errno;
use elements::files::{MAX_PATH, Scratch};
use libc::size_t;

use crate::allocate::malloc;
use crate::answer::{finish, finish_int, returned};
use crate::late;
use crate::real;
use crate::start::instance;

pub unsafe fn chdir(path: *const c_char) -> c_int {
    let answer = instance().chdir(path.cast());
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_chdir, [path as usize, 0, 0, 0, 0, 0]) }
}

pub unsafe fn fchdir(fd: c_int) -> c_int {
    let answer = instance().fchdir(fd);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_fchdir, [fd as usize, 0, 0, 0, 0, 0]) }
}

/// libc's own chdir would pass the element by, which remembers where we are.
pub unsafe fn daemon(keeps_directory: c_int, keeps_streams: c_int) -> c_int {
    let Some(next) = real!(daemon as fn(c_int, c_int) -> c_int) else {
        return returned(Err(Errno::ENOSYS)) as c_int;
    };
    // SAFETY: takes two numbers; the path is a constant.
    unsafe {
        let done = next(1, keeps_streams);
        if done == 0 && keeps_directory == 0 { chdir(c"/".as_ptr()) } else { done }
    }
}

fn failed(errno: Errno) -> *mut c_char {
    returned(Err(errno));
    core::ptr::null_mut()
}

/// Copies a path and its NUL to memory of the program's allocator, or to
/// `buf` where it gave one.
fn give(path: &[u8], buf: *mut c_char) -> *mut c_char {
    // SAFETY: malloc may be called where the function we stand for would.
    let to = if buf.is_null() { unsafe { malloc(path.len() + 1) }.cast() } else { buf.cast::<u8>() };
    if to.is_null() {
        return failed(Errno(libc::ENOMEM));
    }
    // SAFETY: malloc's room, or the caller's, which its contract makes large enough.
    unsafe {
        core::ptr::copy_nonoverlapping(path.as_ptr(), to, path.len());
        *to.add(path.len()) = 0;
    }
    to.cast()
}

pub unsafe fn getcwd(buf: *mut c_char, size: size_t) -> *mut c_char {
    if !buf.is_null() && size == 0 {
        return failed(Errno::EINVAL);
    }
    let mut here = [0_u8; MAX_PATH];
    let (to, room) = if buf.is_null() { (here.as_mut_ptr(), MAX_PATH) } else { (buf.cast::<u8>(), size) };
    let answer = instance().getcwd(to, room);
    // SAFETY: the program's buffer, or ours.
    let len = unsafe { finish(answer, libc::SYS_getcwd, [to as usize, room, 0, 0, 0, 0]) };
    if len < 0 {
        return core::ptr::null_mut();
    }
    // A directory outside the root has no name; glibc looks on and finds none.
    // SAFETY: the kernel has written at least one byte.
    if unsafe { *to } != b'/' {
        return failed(Errno::ENOENT);
    }
    if !buf.is_null() {
        return buf;
    }
    let path = here.get(..len as usize - 1).unwrap_or(&[]);
    if size != 0 && size <= path.len() {
        return failed(Errno::ERANGE);
    }
    if size == 0 {
        return give(path, buf);
    }
    // SAFETY: malloc may be called where the function we stand for would.
    let room = unsafe { malloc(size) };
    if room.is_null() { failed(Errno(libc::ENOMEM)) } else { give(path, room.cast()) }
}

pub unsafe fn __getcwd_chk(buf: *mut c_char, size: size_t, room: size_t) -> *mut c_char {
    super::check_room(size, room);
    // SAFETY: the caller's contract.
    unsafe { getcwd(buf, size) }
}

pub unsafe fn getwd(buf: *mut c_char) -> *mut c_char {
    if buf.is_null() {
        return failed(Errno::EINVAL);
    }
    // SAFETY: the caller's contract: getwd's buffer has PATH_MAX bytes.
    unsafe { getcwd(buf, MAX_PATH) }
}

pub unsafe fn __getwd_chk(buf: *mut c_char, room: size_t) -> *mut c_char {
    // SAFETY: the caller's contract, with the room that the compiler saw.
    unsafe { getcwd(buf, room) }
}

pub unsafe fn get_current_dir_name() -> *mut c_char {
    let mut here = core::mem::MaybeUninit::<libc::stat>::uninit();
    let mut there = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: PWD is believed where it names the directory that "." names.
    unsafe {
        let pwd = late::getenv(c"PWD".as_ptr());
        if !pwd.is_null()
            && *pwd != 0
            && super::stat::stat(c".".as_ptr(), here.as_mut_ptr()) == 0
            && super::stat::stat(pwd, there.as_mut_ptr()) == 0
        {
            let (here, there) = (here.assume_init(), there.assume_init());
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) {
                return give(core::ffi::CStr::from_ptr(pwd).to_bytes(), core::ptr::null_mut());
            }
        }
        getcwd(core::ptr::null_mut(), 0)
    }
}

pub unsafe fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    if path.is_null() {
        return failed(Errno::EINVAL);
    }
    let mut app = Scratch::new();
    match instance().canonicalize(path.cast(), &mut app) {
        Ok(()) => give(app.bytes(), resolved),
        Err(errno) => failed(errno),
    }
}

pub unsafe fn __realpath_chk(path: *const c_char, resolved: *mut c_char, room: size_t) -> *mut c_char {
    super::check_room(MAX_PATH, room);
    // SAFETY: the caller's contract.
    unsafe { realpath(path, resolved) }
}

pub unsafe fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
    // SAFETY: the caller's contract.
    unsafe { realpath(path, core::ptr::null_mut()) }
}
