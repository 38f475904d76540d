//! Runs of a program's bytes, compared and copied at once: how the scans get
//! by with few instructions.

#[cfg(target_feature = "sse2")]
pub use vectors::*;
#[cfg(not(target_feature = "sse2"))]
pub use words::*;

/// Sixteen bytes at a time.
#[cfg(target_feature = "sse2")]
mod vectors {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_setzero_si128, _mm_storeu_si128,
    };

    pub const SIZE: usize = 16;

    /// What [`split`] takes apart.
    pub type Chunk = __m128i;

    /// Which bytes are NUL or dots, a bit for each.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline(always)]
    pub unsafe fn ends_or_dots(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = _mm_loadu_si128(at.cast::<__m128i>());
            let ends = _mm_cmpeq_epi8(bytes, _mm_setzero_si128());
            let dots = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'.' as i8));
            _mm_movemask_epi8(_mm_or_si128(ends, dots)) as u32
        }
    }

    /// Which bytes are slashes, a bit for each.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline(always)]
    pub unsafe fn slashes(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = _mm_loadu_si128(at.cast::<__m128i>());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'/' as i8))) as u32
        }
    }

    /// Which bytes are slashes or NUL, a bit for each.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline(always)]
    pub unsafe fn slashes_or_ends(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = _mm_loadu_si128(at.cast::<__m128i>());
            let ends = _mm_cmpeq_epi8(bytes, _mm_setzero_si128());
            let slashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'/' as i8));
            _mm_movemask_epi8(_mm_or_si128(ends, slashes)) as u32
        }
    }

    /// Copies bytes: a chunk, which many paths fit in, and then two at a time.
    ///
    /// # Safety
    ///
    /// Two chunks more than `len` can be read and written, and the two do not overlap.
    #[inline(always)]
    pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller's promise. The empty assembly keeps the compiler
        // from making a call of memcpy of the loop.
        unsafe {
            copy_chunk(from, to);
            let mut done = SIZE;
            while done < len {
                copy_chunk(from.add(done), to.add(done));
                copy_chunk(from.add(done + SIZE), to.add(done + SIZE));
                done += 2 * SIZE;
                core::arch::asm!("/* {0} */", inout(reg) done, options(nomem, nostack, preserves_flags));
            }
        }
    }

    /// # Safety
    ///
    /// The chunk can be read and written.
    #[inline(always)]
    unsafe fn copy_chunk(from: *const u8, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(to.cast::<__m128i>(), _mm_loadu_si128(from.cast::<__m128i>())) }
    }

    /// Which bytes of two chunks differ, a bit for each.
    ///
    /// # Safety
    ///
    /// Both can be read.
    #[inline(always)]
    pub unsafe fn differ(a: *const u8, b: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (_mm_loadu_si128(a.cast::<__m128i>()), _mm_loadu_si128(b.cast::<__m128i>()));
            _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u32 ^ 0xffff
        }
    }

    /// The bytes of a chunk.
    ///
    /// # Safety
    ///
    /// `at` is aligned, and one of the bytes is the program's to read.
    #[inline(always)]
    pub unsafe fn load(at: *const u8) -> Chunk {
        // SAFETY: an aligned load stays in the page of the byte that is readable.
        unsafe { _mm_load_si128(at.cast::<__m128i>()) }
    }

    /// Which bytes are NUL, and which are dots.
    #[inline]
    pub fn split(bytes: Chunk) -> (u32, u32) {
        // SAFETY: the target has these instructions.
        unsafe {
            let which = |byte: u8| _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32;
            (which(0), which(b'.'))
        }
    }
}

/// Eight bytes at a time, where there are no vectors.
#[cfg(not(target_feature = "sse2"))]
mod words {
    pub const SIZE: usize = 8;

    /// What [`split`] takes apart.
    pub type Chunk = u64;

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline]
    pub unsafe fn ends_or_dots(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        let (ends, dots) = split(unsafe { at.cast::<u64>().read_unaligned() });
        ends | dots
    }

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline]
    pub unsafe fn slashes(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        equal(unsafe { at.cast::<u64>().read_unaligned() }, b'/')
    }

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// The chunk can be read.
    #[inline]
    pub unsafe fn slashes_or_ends(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        let bytes = unsafe { at.cast::<u64>().read_unaligned() };
        equal(bytes, b'/') | equal(bytes, 0)
    }

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// Two chunks more than `len` can be read and written, and the two do not overlap.
    #[inline]
    pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        let mut done = 0;
        while done < len {
            // SAFETY: the caller's promise.
            unsafe {
                let bytes = from.add(done).cast::<u64>().read_unaligned();
                to.add(done).cast::<u64>().write_unaligned(bytes);
            }
            done += SIZE;
        }
    }

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// Both can be read.
    #[inline]
    pub unsafe fn differ(a: *const u8, b: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        let (a, b) = unsafe { (a.cast::<u64>().read_unaligned(), b.cast::<u64>().read_unaligned()) };
        equal(a ^ b, 0) ^ 0xff
    }

    /// As with vectors.
    ///
    /// # Safety
    ///
    /// `at` is aligned, and one of the bytes is the program's to read.
    #[inline]
    pub unsafe fn load(at: *const u8) -> Chunk {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<u64>().read_volatile() }
    }

    /// As with vectors.
    #[inline]
    pub fn split(bytes: Chunk) -> (u32, u32) {
        (equal(bytes, 0), equal(bytes, b'.'))
    }

    /// Which bytes are this one. Exact for each, as a carry never leaves one.
    fn equal(bytes: u64, byte: u8) -> u32 {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let differ = bytes ^ LOW * u64::from(byte);
        let equal = !(((differ & LOW7) + LOW7) | differ | LOW7);
        ((equal >> 7).wrapping_mul(GATHER) >> 56) as u32
    }
}
