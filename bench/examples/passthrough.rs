//! The baseline: a preload library that passes open on, written with redhook.
#![expect(missing_docs, reason = "redhook's macro writes items that bear none")]

redhook::hook! {
    unsafe fn open(path: *const libc::c_char, flags: libc::c_int, mode: libc::mode_t) -> libc::c_int => passed_open {
        // SAFETY: the caller's own arguments, passed on as they came.
        unsafe { redhook::real!(open)(path, flags, mode) }
    }
}

redhook::hook! {
    unsafe fn open64(path: *const libc::c_char, flags: libc::c_int, mode: libc::mode_t) -> libc::c_int => passed_open64 {
        // SAFETY: the caller's own arguments, passed on as they came.
        unsafe { redhook::real!(open64)(path, flags, mode) }
    }
}
