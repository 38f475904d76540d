//! The program's allocator, for the functions whose contract is to allocate:
//! what they give, the program frees.

use core::ffi::c_void;

use libc::size_t;

unsafe extern "C" {
    /// malloc(3)
    pub fn malloc(size: size_t) -> *mut c_void;
    /// realloc(3)
    pub fn realloc(old: *mut c_void, size: size_t) -> *mut c_void;
    /// free(3)
    pub fn free(memory: *mut c_void);
}
