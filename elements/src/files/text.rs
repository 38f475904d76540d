//! A path in the making: bytes on the stack that end in NUL.

use core::mem::MaybeUninit;

use super::chunk;
use crate::errno::Errno;

/// Up to `N - 1` bytes and the NUL that the kernel wants after them. Nothing
/// is cleared when one is made: a fresh one costs a stack pointer's move.
pub struct Text<const N: usize> {
    bytes: [MaybeUninit<u8>; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Nothing yet.
    #[inline]
    #[expect(clippy::new_without_default, reason = "a default would promise cleared bytes")]
    pub const fn new() -> Text<N> {
        Text { bytes: [MaybeUninit::uninit(); N], len: 0 }
    }

    /// The bytes so far.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the first `len` bytes have been written.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the last byte is a slash.
    #[inline]
    pub(super) fn ends_in_slash(&self) -> bool {
        self.bytes().last() == Some(&b'/')
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG` where they and a NUL do not fit; nothing is added then.
    #[inline]
    pub fn push(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.len + more.len();
        if end >= N {
            return Err(Errno::ENAMETOOLONG);
        }
        // SAFETY: the range lies within the array, which `more` cannot overlap.
        unsafe {
            let to = self.bytes.as_mut_ptr().cast::<u8>().add(self.len);
            core::ptr::copy_nonoverlapping(more.as_ptr(), to, more.len());
        }
        self.len = end;
        Ok(())
    }

    /// [`push`](Text::push) for the start of a process, which calls no function
    /// of libc's: a page of libc that nothing has touched yet costs more than the
    /// copy does.
    ///
    /// # Errors
    ///
    /// As [`push`](Text::push).
    pub(crate) fn push_at_start(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.len + more.len();
        if end >= N {
            return Err(Errno::ENAMETOOLONG);
        }
        let room = self.bytes.iter_mut().skip(self.len);
        for (to, byte) in room.zip(more) {
            // SAFETY: a byte of the array. Written so that the compiler makes no
            // call of memcpy of the loop.
            unsafe { to.as_mut_ptr().write_volatile(*byte) };
        }
        self.len = end;
        Ok(())
    }

    /// Becomes two runs of bytes, one after the other, and gives what the kernel
    /// takes. None where they do not fit with room to spare.
    ///
    /// # Safety
    ///
    /// After each run two chunks more can be read.
    #[inline(always)]
    pub(super) unsafe fn set_padded(&mut self, first: &[u8], second: &[u8]) -> Option<*const u8> {
        let len = first.len() + second.len();
        if len + 2 * chunk::SIZE > N {
            return None;
        }
        let to = self.bytes.as_mut_ptr().cast::<u8>();
        // SAFETY: all lies within the array, which neither run can overlap.
        unsafe {
            chunk::copy(first.as_ptr(), to, first.len());
            chunk::copy(second.as_ptr(), to.add(first.len()), second.len());
            to.add(len).write(0);
        }
        self.len = len;
        Some(to)
    }

    /// Adds a number, in decimal.
    ///
    /// # Errors
    ///
    /// As [`Text::push`].
    pub fn push_decimal(&mut self, number: u32) -> Result<(), Errno> {
        let mut digits = [0; 10];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                return self.push(digits.get(at..).unwrap_or(&[]));
            }
        }
    }

    /// Makes zeros of the room that is left, so that a glance may read beyond the end.
    pub(super) fn clear_rest(&mut self) {
        const { assert!(N.is_multiple_of(32)) };
        let whole = self.len.next_multiple_of(32);
        if let Some(part) = self.bytes.get_mut(self.len..whole) {
            part.fill(MaybeUninit::new(0));
        }
        for part in self.bytes.get_mut(whole..).unwrap_or(&mut []).chunks_exact_mut(32) {
            part.fill(MaybeUninit::new(0));
            // SAFETY: does nothing, but keeps the compiler from making a call of memset of
            // the loop, which for so little costs more than the loop.
            unsafe {
                core::arch::asm!("/* {0} */", in(reg) part.as_mut_ptr(), options(nostack, preserves_flags));
            }
        }
    }

    /// Cuts off all after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Writes the NUL and gives what the kernel takes.
    #[inline]
    pub fn as_ptr(&mut self) -> *const u8 {
        if let Some(end) = self.bytes.get_mut(self.len) {
            end.write(0);
        }
        self.bytes.as_ptr().cast()
    }

    /// Lets `read` write into the room that is left, which nobody has cleared, and keeps what it has written.
    ///
    /// # Errors
    ///
    /// What `read` answers; nothing is added then. `EFAULT` where what it gives is not there.
    pub fn read<R>(&mut self, read: R) -> Result<usize, Errno>
    where
        R: for<'r> FnOnce(&'r mut [MaybeUninit<u8>]) -> Result<&'r [u8], Errno>,
    {
        let room = self.bytes.get_mut(self.len..N - 1).unwrap_or(&mut []);
        let (start, limit) = (room.as_ptr().cast::<u8>(), room.len());
        let written = read(room)?;
        if written.as_ptr() != start || written.len() > limit {
            return Err(Errno::EFAULT);
        }
        let added = written.len();
        self.len += added;
        Ok(added)
    }

    /// Lets `fill` write into the room that is left, and keeps as many bytes as it says.
    ///
    /// # Errors
    ///
    /// What `fill` answers; nothing is added then.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<usize, Errno> {
        let room = self.bytes.get_mut(self.len..N - 1).unwrap_or(&mut []);
        room.fill(MaybeUninit::new(0));
        // SAFETY: all of it has just been written.
        let room = unsafe { core::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), room.len()) };
        let limit = room.len();
        let added = fill(room)?.min(limit);
        self.len += added;
        Ok(added)
    }
}
