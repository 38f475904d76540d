//! Loading objects by path: dlopen(3) and dlmopen(3).
//!
//! A name without a slash is looked for along the search path of the object
//! that calls, `$ORIGIN` is that object's directory, and the new object joins
//! that object's namespace. libc tells who calls by the return address. So
//! these functions are not called by ours but entered as if by the program:
//! the path is put in the place of the app's, and what follows is a jump.
//!
//! `RTLD_DEEPBIND` is taken out of the mode. It would have the object's calls
//! bound to its own libc before the shim, and so led past the view.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

use elements::files::{MAX_PATH, Scratch, Text, Want};
use elements::kernel::{self, AT_FDCWD};
use elements::{Errno, user};

use crate::allocate::malloc;
use crate::real;
use crate::start::instance;

const RTLD_DEEPBIND: c_int = 8;

/// dlopen(3)
///
/// # Safety
///
/// As libc's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    naked_asm!(
        "and esi, {kept}",
        "push rsi",
        "call {onward}",
        "pop rsi",
        "mov rdi, rdx",
        "jmp rax",
        kept = const !RTLD_DEEPBIND,
        onward = sym dlopen_onward,
    )
}

/// dlmopen(3)
///
/// # Safety
///
/// As libc's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlmopen(namespace: c_long, file: *const c_char, mode: c_int) -> *mut c_void {
    naked_asm!(
        "and edx, {kept}",
        "push rdi",
        "push rdx",
        "sub rsp, 8",
        "mov rdi, rsi",
        "call {onward}",
        "mov rsi, rdx",
        "add rsp, 8",
        "pop rdx",
        "pop rdi",
        "jmp rax",
        kept = const !RTLD_DEEPBIND,
        onward = sym dlmopen_onward,
    )
}

/// Where a call goes on and with which path. The calling convention returns
/// the two in `rax` and `rdx`.
#[repr(C)]
struct Onward {
    function: usize,
    file: *const c_char,
}

extern "C" fn dlopen_onward(file: *const c_char) -> Onward {
    let next = real!(dlopen as fn(*const c_char, c_int) -> *mut c_void);
    onward(next.map(|next| next as usize), file)
}

extern "C" fn dlmopen_onward(file: *const c_char) -> Onward {
    let next = real!(dlmopen as fn(c_long, *const c_char, c_int) -> *mut c_void);
    onward(next.map(|next| next as usize), file)
}

fn onward(next: Option<usize>, file: *const c_char) -> Onward {
    let nowhere = nothing as *const () as usize;
    match host_file(file) {
        Ok(file) => Onward { function: next.unwrap_or(nowhere), file },
        Err(errno) => {
            crate::answer::set_errno(errno);
            Onward { function: nowhere, file }
        }
    }
}

extern "C" fn nothing() -> *mut c_void {
    core::ptr::null_mut()
}

/// The path to give to libc for the app's. What cannot be found is for libc to
/// say, since it has dlerror(3) for that.
fn host_file(file: *const c_char) -> Result<*const c_char, Errno> {
    if !user::is_string(file.cast()) || !instance().is_touched(AT_FDCWD, file.cast()) {
        return Ok(file);
    }
    // SAFETY: found readable.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    // ld.so knows the origin by its host path already.
    if !name.contains(&b'/') || name.starts_with(b"$ORIGIN") || name.starts_with(b"${ORIGIN}") {
        return Ok(file);
    }
    let mut scratch = Scratch::new();
    match instance().host_path(AT_FDCWD, file.cast(), Want::LOOK, &mut scratch) {
        Ok(None) => Ok(file),
        // SAFETY: a string in the scratch.
        Ok(Some(host)) if exists(host) => keep(unsafe { CStr::from_ptr(host.cast()) }.to_bytes()),
        _ if !exists(file.cast()) => Ok(file),
        // Something on the host has the name of what the app does not see.
        _ => {
            let mut none = Text::<MAX_PATH>::new();
            none.push(b"/proc/self/fd/none")?;
            none.push(name)?;
            keep(none.bytes())
        }
    }
}

fn exists(path: *const u8) -> bool {
    kernel::fstatat(AT_FDCWD, path, 0).is_ok()
}

/// A path that has been given to libc. It must outlive the call, in which no
/// frame of ours is on the stack, so each is kept, once, for good.
#[repr(C)]
struct Kept {
    earlier: *mut Kept,
    len: usize,
}

static KEPT: AtomicPtr<Kept> = AtomicPtr::new(core::ptr::null_mut());

/// The same path where it stays, with its NUL.
fn keep(path: &[u8]) -> Result<*const c_char, Errno> {
    let mut newest = KEPT.load(Ordering::Acquire);
    let mut kept = newest;
    // SAFETY: entries are whole before they are in the list, and never change;
    // the path follows the entry.
    unsafe {
        while !kept.is_null() {
            let text = kept.add(1).cast::<u8>();
            if core::slice::from_raw_parts(text, (*kept).len) == path {
                return Ok(text.cast());
            }
            kept = (*kept).earlier;
        }
        let entry = malloc(size_of::<Kept>() + path.len() + 1).cast::<Kept>();
        if entry.is_null() {
            return Err(Errno(libc::ENOMEM));
        }
        let text = entry.add(1).cast::<u8>();
        core::ptr::copy_nonoverlapping(path.as_ptr(), text, path.len());
        *text.add(path.len()) = 0;
        loop {
            entry.write(Kept { earlier: newest, len: path.len() });
            match KEPT.compare_exchange(newest, entry, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(text.cast()),
                Err(now) => newest = now,
            }
        }
    }
}
