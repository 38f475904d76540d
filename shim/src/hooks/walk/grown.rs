//! Bytes that grow, in memory of the program's allocator.

use core::ffi::c_char;
use core::ptr::null_mut;

use elements::Errno;

use crate::allocate::{free, realloc};

/// A text that grows as it must. A NUL follows it at any time.
pub struct Grown {
    start: *mut u8,
    len: usize,
    room: usize,
}

impl Grown {
    /// Nothing yet, and no memory.
    pub const fn new() -> Grown {
        Grown { start: null_mut(), len: 0, room: 0 }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        if self.start.is_null() {
            return &[];
        }
        // SAFETY: that many have been written.
        unsafe { core::slice::from_raw_parts(self.start, self.len) }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The text from its byte `from` on, as libc takes it.
    pub fn string(&self, from: usize) -> *const c_char {
        if self.start.is_null() {
            return c"".as_ptr();
        }
        self.start.wrapping_add(from.min(self.len)).cast()
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing is added then.
    pub fn push(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.len + more.len();
        // SAFETY: memory of ours, of which there is enough when it is written;
        // `more` is not in it.
        unsafe {
            if end >= self.room {
                let room = (end + 1).next_power_of_two().max(256);
                let grown = realloc(self.start.cast(), room).cast::<u8>();
                if grown.is_null() {
                    return Err(Errno(libc::ENOMEM));
                }
                self.start = grown;
                self.room = room;
            }
            core::ptr::copy_nonoverlapping(more.as_ptr(), self.start.add(self.len), more.len());
            *self.start.add(end) = 0;
        }
        self.len = end;
        Ok(())
    }

    /// Cuts off all after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            // SAFETY: within what has been written.
            unsafe { *self.start.add(len) = 0 };
        }
    }
}

impl Drop for Grown {
    fn drop(&mut self) {
        // SAFETY: memory of realloc's, or null.
        unsafe { free(self.start.cast()) };
    }
}
