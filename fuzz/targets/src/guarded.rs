//! Bytes that end where memory ends: whoever reads past them crashes.

use std::ptr;

const PAGE: usize = 4096;

/// A copy of some bytes, just before a page that cannot be read.
pub struct Guarded {
    map: *mut u8,
    mapped: usize,
    start: *mut u8,
    len: usize,
}

impl Guarded {
    /// Copies the bytes. The copy begins at a multiple of `align`, so up to
    /// `align - 1` bytes may follow it.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    pub fn new(bytes: &[u8], align: usize) -> Guarded {
        let room = bytes.len().next_multiple_of(align).next_multiple_of(PAGE);
        let mapped = room + PAGE;
        // SAFETY: a fresh mapping of anonymous memory; the bytes fit before its last page.
        unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(ptr::null_mut(), mapped, rights, flags, -1, 0).cast::<u8>();
            assert!(!ptr::eq(map, libc::MAP_FAILED.cast()), "no memory");
            assert_eq!(libc::mprotect(map.add(room).cast(), PAGE, libc::PROT_NONE), 0);
            let start = map.add(room - bytes.len().next_multiple_of(align));
            ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            Guarded { map, mapped, start, len: bytes.len() }
        }
    }

    /// The copy.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: written by `new`, and ours for as long as we are.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// Where the copy begins, for what changes it.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.map.cast(), self.mapped) };
    }
}
