//! Reading the program's strings.
//!
//! A path comes as a bare pointer, and the kernel would answer `EFAULT` for a
//! bad one. We read it before the kernel does, so [`survey`] asks of each page
//! that it comes to. The scans go by aligned words and chunks: such a one never
//! crosses into a page that the string does not touch.

use view::Key;

use super::{MAX_PATH, chunk};
use crate::user;

const PAGE: usize = 4096;

/// What one pass over a path tells.
#[derive(Clone, Copy)]
pub struct Survey {
    /// How long it is; [`MAX_PATH`] where it is longer than the kernel takes.
    pub len: usize,
    /// Whether a component is `..`.
    pub climbs: bool,
}

/// Whether the rest of a string ends before `limit` and has no two dots in a
/// row: what is not plain is for [`survey`].
///
/// # Safety
///
/// A chunk and one byte more can be read from each address below `limit` on
/// that the string reaches.
#[inline(always)]
pub unsafe fn is_plain(start: *const u8, limit: *const u8) -> bool {
    let mut at = start;
    while at < limit {
        // SAFETY: the caller's promise.
        unsafe {
            let found = chunk::ends_or_dots(at);
            if found == 0 {
                at = at.add(chunk::SIZE);
                continue;
            }
            let here = at.add(found.trailing_zeros() as usize);
            if *here == 0 {
                return true;
            }
            at = here.add(1);
            if *at == b'.' {
                return false;
            }
        }
    }
    false
}

/// The end of a path.
pub struct Tail {
    /// Where it ends.
    pub end: *const u8,
    /// Its last slash.
    pub slash: *const u8,
}

/// Reads the end of a path, which begins with a slash. None where it has a
/// component that is dots, or that ends in one, or does not end before `limit`.
///
/// # Safety
///
/// As for [`is_plain`].
#[inline(always)]
pub unsafe fn tail(start: *const u8, limit: *const u8) -> Option<Tail> {
    let mut at = start;
    let mut slash = start;
    loop {
        // SAFETY: the caller's promise.
        unsafe {
            let found = chunk::ends_or_dots(at);
            let up_to_found = found ^ found.wrapping_sub(1);
            let slashes = chunk::slashes(at) & up_to_found;
            if slashes != 0 {
                slash = at.add(31 - slashes.leading_zeros() as usize);
            }
            if found == 0 {
                at = at.add(chunk::SIZE);
                if at >= limit {
                    return None;
                }
                continue;
            }
            let here = at.add(found.trailing_zeros() as usize);
            if *here == 0 {
                return Some(Tail { end: here, slash });
            }
            at = here.add(1);
            if is_end(*at) || *at == b'.' || at >= limit {
                return None;
            }
        }
    }
}

/// How long a path's first name is. None where it does not end near `limit`.
///
/// # Safety
///
/// `name` points to a string; a chunk can be read from each of its addresses
/// below `limit` on.
#[inline(always)]
pub unsafe fn name_length(name: *const u8, limit: *const u8) -> Option<usize> {
    if name >= limit {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let ends = chunk::slashes_or_ends(name);
        if ends != 0 { Some(ends.trailing_zeros() as usize) } else { long_name_length(name, limit) }
    }
}

/// The same for a name that is longer than a chunk.
///
/// # Safety
///
/// As for [`name_length`].
#[cold]
#[inline(never)]
unsafe fn long_name_length(name: *const u8, limit: *const u8) -> Option<usize> {
    let mut at = name.wrapping_add(chunk::SIZE);
    while at < limit {
        // SAFETY: the caller's promise.
        let ends = unsafe { chunk::slashes_or_ends(at) };
        if ends != 0 {
            return Some(at as usize - name as usize + ends.trailing_zeros() as usize);
        }
        at = at.wrapping_add(chunk::SIZE);
    }
    None
}

/// Whether a path is one name, and none that is dots, which ends before `limit`.
///
/// # Safety
///
/// A chunk can be read from each address below `limit` on that the string reaches.
#[inline(always)]
pub unsafe fn is_name(path: *const u8, limit: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let is_dots = *path == b'.' && (*path.add(1) == 0 || *path.add(1) == b'.' && *path.add(2) == 0);
        name_length(path, limit).is_some_and(|len| len > 0 && *path.add(len) == 0) && !is_dots
    }
}

/// Whether a string begins with some bytes.
///
/// # Safety
///
/// `start` points to a string that ends in NUL.
#[inline]
pub unsafe fn begins_with(start: *const u8, bytes: &[u8]) -> bool {
    // SAFETY: a byte is looked at only where those before it are no NUL.
    bytes.iter().enumerate().all(|(at, byte)| unsafe { *start.add(at) } == *byte)
}

/// The key of a name, as [`Key::of`] gives it.
///
/// # Safety
///
/// A word more than the name can be read.
#[inline(always)]
pub unsafe fn key(name: &[u8]) -> Key {
    let (len, start) = (name.len(), name.as_ptr());
    // SAFETY: the caller's promise.
    let word = |at: usize| unsafe { u64::from_le(start.add(at).cast::<u64>().read_unaligned()) };
    match len {
        0..8 => Key::new(word(0).wrapping_shl(64 - 8 * len as u32), 0, len),
        _ => Key::new(word(0), word(len - 8), len),
    }
}

/// Reads a path to its end. The first `known` bytes have been read already,
/// and hold no dots. None: it cannot be read.
#[inline]
pub fn survey(start: *const u8, known: usize) -> Option<Survey> {
    let unread = start.wrapping_add(known);
    if !user::is_page(unread as usize / PAGE) {
        return None;
    }
    let lead = unread as usize % chunk::SIZE;
    let mut at = unread.wrapping_sub(lead);
    // SAFETY: the chunk lies in the page that has been found readable.
    let (mut ends, mut dots) = chunk::split(unsafe { chunk::load(at) });
    ends &= !0 << lead;
    dots &= !0 << lead;
    let mut last_is_dot = 0;
    let mut pairs = 0;
    loop {
        let before_end = ends.wrapping_sub(1) & !ends;
        pairs |= dots & (dots << 1 | last_is_dot) & before_end;
        if ends != 0 {
            let len = (at as usize + ends.trailing_zeros() as usize).wrapping_sub(start as usize);
            // SAFETY: just read up to its NUL.
            return Some(Survey { len, climbs: pairs != 0 && unsafe { climbs(unread) } });
        }
        last_is_dot = dots >> (chunk::SIZE - 1);
        at = at.wrapping_add(chunk::SIZE);
        if (at as usize).is_multiple_of(PAGE) && !user::is_page(at as usize / PAGE) {
            return None;
        }
        if at as usize - start as usize > MAX_PATH {
            return Some(Survey { len: MAX_PATH, climbs: false });
        }
        // SAFETY: as above.
        (ends, dots) = chunk::split(unsafe { chunk::load(at) });
    }
}

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

/// How many components the end of a path has, which begins with a slash. None
/// of them is `.`.
///
/// # Safety
///
/// A chunk more than the string can be read.
pub unsafe fn count_names(start: *const u8, end: *const u8) -> u32 {
    let mut names = 0;
    let mut at = start;
    while at < end {
        // SAFETY: the caller's promise; what comes after a slash is at most the NUL.
        unsafe {
            let mut slashes = chunk::slashes(at);
            while slashes != 0 {
                let slash = at.add(slashes.trailing_zeros() as usize);
                names += u32::from(slash < end && !is_end(*slash.add(1)));
                slashes &= slashes - 1;
            }
        }
        at = at.wrapping_add(chunk::SIZE);
    }
    names
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
