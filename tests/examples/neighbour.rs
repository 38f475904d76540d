//! A user's own preload library, written with redhook: the neighbour that must
//! go on working beside the shim. It turns one name into another and leaves
//! all else alone.
#![expect(missing_docs, reason = "redhook's macro writes items that bear none")]

use std::ffi::CStr;

redhook::hook! {
    unsafe fn open64(path: *const libc::c_char, flags: libc::c_int, mode: libc::mode_t) -> libc::c_int => neighbour_open64 {
        // SAFETY: the caller's own string and flags, passed on as they came.
        unsafe {
            let own = CStr::from_ptr(path).to_bytes().ends_with(b"neighbours-own");
            let path = if own { c"/proc/version".as_ptr() } else { path };
            redhook::real!(open64)(path, flags, mode)
        }
    }
}
