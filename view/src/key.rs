//! Names as a few words, so that most are compared at once.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a name begins and ends with, and how long it is. Up to sixteen bytes
/// that is all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Key {
    /// The first eight bytes, as the first of a little-endian word; zeros before
    /// a shorter name.
    first: u64,
    /// The last eight bytes; 0 where there are fewer.
    last: u64,
    len: u64,
}

impl Key {
    /// A key of these words: see the fields of the same names.
    #[inline]
    pub fn new(first: u64, last: u64, len: usize) -> Key {
        Key { first, last, len: len as u64 }
    }

    /// The key of a name.
    #[inline]
    pub fn of(name: &[u8]) -> Key {
        match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                Key::new(u64::from_le_bytes(*first), u64::from_le_bytes(*last), name.len())
            }
            _ => {
                let first = name.iter().fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56);
                Key::new(first, 0, name.len())
            }
        }
    }

    /// Whether two names with this key are the same.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.len <= 16
    }

    /// Where in a table to look first.
    #[inline]
    pub(crate) fn hash(self) -> u32 {
        let mixed = (self.first.rotate_left(19) ^ self.last).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }
}
