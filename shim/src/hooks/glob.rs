//! Listings that libc makes by itself: scandir(3) and glob(3).

use core::ffi::{c_char, c_int, c_void};

use elements::Errno;
use libc::{dirent64, size_t};

use super::dir;
use crate::allocate::{free, malloc, realloc};
use crate::answer::returned;
use crate::{late, next, real};

type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;
type Select = Option<unsafe extern "C" fn(*const dirent64) -> c_int>;

pub unsafe fn scandir(
    path: *const c_char,
    list: *mut *mut *mut dirent64,
    select: Select,
    compare: Option<Compare>,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { scan(dir::opendir(path), list, select, compare) }
}

pub unsafe fn scandirat(
    dirfd: c_int,
    path: *const c_char,
    list: *mut *mut *mut dirent64,
    select: Select,
    compare: Option<Compare>,
) -> c_int {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the caller's contract.
    unsafe {
        let fd = super::open::openat(dirfd, path, flags, 0);
        if fd < 0 {
            return -1;
        }
        let stream = dir::fdopendir(fd);
        if stream.is_null() {
            elements::kernel::close(fd);
        }
        scan(stream, list, select, compare)
    }
}

/// Reads a stream to its end and closes it.
unsafe fn scan(
    stream: *mut c_void,
    list: *mut *mut *mut dirent64,
    select: Select,
    compare: Option<Compare>,
) -> c_int {
    if stream.is_null() {
        return -1;
    }
    let before = crate::answer::errno();
    let mut entries: *mut *mut dirent64 = core::ptr::null_mut();
    let (mut count, mut room) = (0, 0);
    // SAFETY: memory of the program's allocator, as scandir(3) gives it; the
    // stream and the functions are the caller's.
    unsafe {
        let failed = loop {
            crate::answer::set_errno(Errno(0));
            let entry = dir::readdir(stream).cast::<dirent64>();
            if entry.is_null() {
                break crate::answer::errno();
            }
            if select.is_some_and(|select| select(entry) == 0) {
                continue;
            }
            if count == room {
                room = (room * 2).max(16);
                let grown = realloc(entries.cast(), room * size_of::<*mut dirent64>());
                if grown.is_null() {
                    break libc::ENOMEM;
                }
                entries = grown.cast();
            }
            let len = usize::from((*entry).d_reclen);
            let copy = malloc(len).cast::<u8>();
            if copy.is_null() {
                break libc::ENOMEM;
            }
            core::ptr::copy_nonoverlapping(entry.cast::<u8>(), copy, len);
            *entries.add(count) = copy.cast();
            count += 1;
        };
        dir::closedir(stream);
        if failed != 0 {
            for index in 0..count {
                free((*entries.add(index)).cast());
            }
            free(entries.cast());
            return returned(Err(Errno(failed))) as c_int;
        }
        if let Some(compare) = compare
            && count > 0
        {
            late::qsort(entries.cast(), count, size_of::<*mut dirent64>(), compare);
        }
        crate::answer::set_errno(Errno(before));
        *list = entries;
        count as c_int
    }
}

/// `glob_t` of glibc, with the functions that `GLOB_ALTDIRFUNC` asks for.
#[repr(C)]
pub struct Glob {
    paths: size_t,
    path: *mut *mut c_char,
    offset: size_t,
    flags: c_int,
    closedir: usize,
    readdir: usize,
    opendir: usize,
    lstat: usize,
    stat: usize,
}

const GLOB_ALTDIRFUNC: c_int = 1 << 9;

unsafe extern "C" fn open_stream(path: *const c_char) -> *mut c_void {
    // SAFETY: glob's own arguments.
    unsafe { dir::opendir(path) }
}

unsafe extern "C" fn read_stream(stream: *mut c_void) -> *mut c_void {
    // SAFETY: glob's own arguments.
    unsafe { dir::readdir(stream) }
}

unsafe extern "C" fn close_stream(stream: *mut c_void) {
    // SAFETY: glob's own arguments.
    unsafe { dir::closedir(stream) };
}

unsafe extern "C" fn stat_path(path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: glob's own arguments.
    unsafe { super::stat::stat(path, buf) }
}

unsafe extern "C" fn lstat_path(path: *const c_char, buf: *mut libc::stat) -> c_int {
    // SAFETY: glob's own arguments.
    unsafe { super::stat::lstat(path, buf) }
}

/// glob(3). glibc's takes the functions that it reads directories by from its
/// caller; musl's does not, and reads what is on the host.
pub unsafe fn glob(pattern: *const c_char, flags: c_int, on_error: *const c_void, found: *mut Glob) -> c_int {
    let Some(next) = real!(glob as fn(*const c_char, c_int, *const c_void, *mut Glob) -> c_int) else {
        return returned(Err(Errno::ENOSYS)) as c_int;
    };
    // SAFETY: the program's own arguments; its struct is glibc's, and the
    // fields that are lent to us are given back.
    unsafe {
        let own_functions = flags & GLOB_ALTDIRFUNC != 0;
        if own_functions || found.is_null() || next::find(b"gnu_get_libc_version").is_none() {
            return next(pattern, flags, on_error, found);
        }
        let Glob { flags: old_flags, closedir, readdir, opendir, lstat, stat, .. } = core::ptr::read(found);
        (*found).flags &= !GLOB_ALTDIRFUNC;
        (*found).opendir = open_stream as *const () as usize;
        (*found).readdir = read_stream as *const () as usize;
        (*found).closedir = close_stream as *const () as usize;
        (*found).stat = stat_path as *const () as usize;
        (*found).lstat = lstat_path as *const () as usize;
        let done = next(pattern, flags | GLOB_ALTDIRFUNC, on_error, found);
        (*found).closedir = closedir;
        (*found).readdir = readdir;
        (*found).opendir = opendir;
        (*found).lstat = lstat;
        (*found).stat = stat;
        // Our flag is in what glob has written; where it has not, nothing changes.
        (*found).flags = match (*found).flags & GLOB_ALTDIRFUNC {
            0 => old_flags,
            _ => (*found).flags & !GLOB_ALTDIRFUNC,
        };
        done
    }
}
