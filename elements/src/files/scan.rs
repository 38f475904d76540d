//! Reading the program's strings.
//!
//! A path comes as a bare pointer, and the kernel would answer `EFAULT` for a
//! bad one. We read it before the kernel does, so [`is_readable`] looks first,
//! where the pointer is not plainly good. The scans go by aligned words: such
//! a word never crosses into a page that the string does not touch.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Non-zero if a byte of `word` is zero. The lowest marked byte is right.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Loads the aligned word at `at`.
///
/// # Safety
///
/// At least one of the eight bytes is the program's to read.
#[inline]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: the load is aligned, so it stays in the page of the byte that
    // is readable. Volatile, since the compiler may not reason about the rest.
    unsafe { at.cast::<u64>().read_volatile() }
}

/// The length of a string that ends in NUL.
///
/// # Safety
///
/// `start` points to such a string.
#[inline]
pub unsafe fn length(start: *const u8) -> usize {
    // SAFETY: never reads past the word that holds the NUL.
    unsafe {
        let lead = start as usize & 7;
        let mut at = start.sub(lead);
        // Bytes before the start must not look like an end.
        let mut found = zero_bytes(word(at) | !(u64::MAX << (8 * lead)));
        while found == 0 {
            at = at.add(8);
            found = zero_bytes(word(at));
        }
        at as usize + found.trailing_zeros() as usize / 8 - start as usize
    }
}

/// Whether a component of the path is `..`. `start` begins a component.
///
/// # Safety
///
/// `start` points to a string that ends in NUL.
#[inline]
pub unsafe fn climbs(start: *const u8) -> bool {
    const DOTS: u64 = LOW * b'.' as u64;
    // SAFETY: never reads past the word that holds the NUL; single bytes are
    // only read up to the NUL.
    unsafe {
        let lead = start as usize & 7;
        let mut at = start.sub(lead);
        let mut bytes = word(at) | !(u64::MAX << (8 * lead));
        loop {
            let dots = zero_bytes(bytes ^ DOTS);
            let end = zero_bytes(bytes);
            if dots != 0 && climbs_at(start, at, dots) {
                return true;
            }
            if end != 0 {
                return false;
            }
            at = at.add(8);
            bytes = word(at);
        }
    }
}

/// Looks at each dot of a word: does a component `..` begin there?
///
/// # Safety
///
/// As for [`climbs`]; `at` is a word of the string.
unsafe fn climbs_at(start: *const u8, at: *const u8, mut dots: u64) -> bool {
    while dots != 0 {
        // SAFETY: reads from `start` up to the NUL only: a byte is looked at
        // only when the one before it is no NUL.
        unsafe {
            let dot = at.add(dots.trailing_zeros() as usize / 8);
            if dot >= start
                && *dot == b'.'
                && (dot == start || *dot.sub(1) == b'/')
                && *dot.add(1) == b'.'
                && is_end(*dot.add(2))
            {
                return true;
            }
        }
        dots &= dots - 1;
    }
    false
}

/// Whether a byte ends a component.
#[inline]
pub fn is_end(byte: u8) -> bool {
    byte == b'/' || byte == 0
}

/// The components of a path, without empty ones and `.`.
pub fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}
