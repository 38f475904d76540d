//! Names in other letters than ASCII's, as `AI_IDN` of getaddrinfo(3) takes them and `NI_IDN` of getnameinfo(3) gives them.
//!
//! libc has functions for both, of its own, over libidn2. A libc before glibc 2.28 has none: then a name stays as it is.

use core::ffi::{c_char, c_int};

use crate::allocate::free;
use crate::hooks::entries::bytes;
use crate::real;

pub const AI_IDN: c_int = 0x40;
pub const AI_CANONIDN: c_int = 0x80;
pub const NI_IDN: c_int = 32;
/// The name cannot be written so.
const EAI_IDN_ENCODE: c_int = -105;

type Convert = unsafe extern "C" fn(*const c_char, *mut *mut c_char) -> c_int;

/// A string of libc's.
pub struct Name(*mut c_char);

impl Name {
    pub fn pointer(&self) -> *const c_char {
        self.0
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: libc has made it.
        unsafe { bytes(self.0) }.unwrap_or(&[])
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: libc has allocated it for the caller.
        unsafe { free(self.0.cast()) };
    }
}

/// # Safety
///
/// A string.
unsafe fn converted(convert: Option<Convert>, name: *const c_char) -> Result<Option<Name>, c_int> {
    let Some(convert) = convert else { return Ok(None) };
    let mut to = core::ptr::null_mut();
    // SAFETY: a string, and a place for another.
    match unsafe { convert(name, &raw mut to) } {
        0 => Ok(Some(Name(to))),
        error => Err(error),
    }
}

/// The name as name servers know it; none where it is already. Else what getaddrinfo(3) returns.
///
/// # Safety
///
/// A string.
pub unsafe fn encoded(name: *const c_char) -> Result<Option<Name>, c_int> {
    // SAFETY: the caller's promise.
    if unsafe { bytes(name) }.is_none_or(<[u8]>::is_ascii) {
        return Ok(None);
    }
    let convert = real!(__idna_to_dns_encoding as fn(*const c_char, *mut *mut c_char) -> c_int);
    // SAFETY: as above.
    unsafe { converted(convert, name) }
}

/// The name as people write it; none where it stays as it is. Else what getnameinfo(3) returns.
///
/// # Safety
///
/// A string.
pub unsafe fn decoded(name: *const c_char) -> Result<Option<Name>, c_int> {
    let convert = real!(__idna_from_dns_encoding as fn(*const c_char, *mut *mut c_char) -> c_int);
    // SAFETY: the caller's promise.
    match unsafe { converted(convert, name) } {
        Err(EAI_IDN_ENCODE) => Ok(None),
        done => done,
    }
}
