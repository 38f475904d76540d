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

    /// Where in a table to look first. All bytes count for the lowest bits, as
    /// names often differ in a few only: 10 to 1,000 numbered ones of various
    /// shapes take 1.2 looks on average, and never 2.
    #[inline]
    pub(crate) fn hash(self) -> u32 {
        let mixed = self.first.rotate_left(13) ^ self.last;
        let folded = mixed as u32 ^ (mixed >> 32) as u32;
        // A factor that fits into an instruction.
        (u64::from(folded).wrapping_mul(0x5bd1_e995) >> 24) as u32
    }
}

#[cfg(all(test, feature = "build"))]
mod tests {
    use super::*;

    /// How many looks a name takes on average, in a table at most half full.
    fn looks(names: &[String]) -> f64 {
        let size = (names.len() * 2).next_power_of_two();
        let mut taken = vec![false; size];
        let mut looks = 0;
        for name in names {
            let mut at = Key::of(name.as_bytes()).hash() as usize % size;
            looks += 1;
            while std::mem::replace(&mut taken[at], true) {
                at = (at + 1) % size;
                looks += 1;
            }
        }
        f64::from(looks) / names.len() as f64
    }

    #[test]
    fn names_that_differ_in_a_number_are_found_at_once() {
        let shapes = [
            "#",
            "m#",
            "#abc",
            "aa#bb",
            "dir-#",
            "12#45678x",
            "directory-#",
            "lib#.so.6",
            "#-x-suffix-long",
            "site#.example.com",
            "a-name-of-more-than-sixteen-bytes-#",
            "#-of-more-than-sixteen-bytes",
        ];
        for shape in shapes {
            for count in [10, 100, 1000] {
                let names: Vec<String> =
                    (0..count).map(|number: u32| shape.replace('#', &number.to_string())).collect();
                let looks = looks(&names);
                assert!(looks < 2.0, "{shape}, {count}: {looks}");
            }
        }
    }
}
