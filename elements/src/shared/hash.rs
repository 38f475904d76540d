//! What paths are known by in the table of directories.
//!
//! Two of one hash are taken for one, and what is known of the one is believed of the other: so a hash has all
//! of 64 bits, and no difference between two paths may stay in a few of them, where that of the next word could undo
//! it. With a rotation and a product alone `/d1000x/c` and `/d1000x_a` were alike.

/// The hash of a directory, as [`super::Shared::is_plain`] wants it: of a mount, and
/// the path that leads there from the mount's source.
#[inline]
pub fn directory_hash(mount: u32, below: &[u8]) -> u64 {
    path_hash(below) ^ u64::from(mount).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The hash of a directory at a path below one with a hash; odd.
#[inline]
pub fn key_below(key: u64, path: &[u8]) -> u64 {
    if path.is_empty() { key } else { key.rotate_left(21) ^ path_hash(path) | 1 }
}

/// The last bytes of a path, less than a word, as a number: the first of them counts most.
#[inline(always)]
fn last_bytes(path: &[u8], last: &[u8]) -> u64 {
    let count = last.len();
    if count == 0 {
        return 0;
    }
    if let Some(word) = path.last_chunk::<8>() {
        // With what comes before them.
        return u64::from_be_bytes(*word) & u64::MAX >> (64 - 8 * count);
    }
    match (last.first_chunk::<4>(), last.last_chunk::<4>()) {
        (Some(front), Some(back)) => {
            // What both have is the same in both.
            u64::from(u32::from_be_bytes(*front)) << (8 * count - 32) | u64::from(u32::from_be_bytes(*back))
        }
        _ => last.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// The hash of a path: a word at a time, since it is made on every call below
/// a mount.
#[inline]
pub fn path_hash(path: &[u8]) -> u64 {
    let mut hash = SEED;
    let mut words = path.chunks_exact(8);
    for word in &mut words {
        hash = folded(hash ^ word.try_into().map_or(0, u64::from_le_bytes));
    }
    // Seven bytes at most; the length is in the eighth.
    let tail = last_bytes(path, words.remainder());
    folded(hash ^ tail ^ (path.len() as u64) << 56)
}

const SEED: u64 = 0x243f_6a88_85a3_08d3;

/// Both halves of a product in one word: each bit depends on all.
#[inline(always)]
fn folded(word: u64) -> u64 {
    let product = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::path_hash;

    #[test]
    fn paths_that_differ_in_two_places_differ_in_their_hash() {
        let letters = b"./0189AZ_acfxz";
        for len in 1..=26_usize {
            let mut hashes = Vec::new();
            for (first, second) in
                (0..len).flat_map(|first| (first + 1..len).map(move |second| (first, second)))
            {
                for (one, other) in
                    letters.iter().flat_map(|one| letters.iter().map(move |other| (one, other)))
                {
                    let mut path = vec![b'q'; len];
                    (path[first], path[second]) = (*one, *other);
                    hashes.push(path_hash(&path));
                }
            }
            let count = hashes.len();
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), count, "of {len} bytes");
        }
    }

    #[test]
    fn nor_does_a_path_have_that_of_a_longer_one() {
        let mut hashes: Vec<u64> = (0..200).map(|len| path_hash(&vec![b'a'; len])).collect();
        hashes.extend((1..200).map(|len| path_hash(&[vec![b'a'; len], vec![b'/']].concat())));
        hashes.sort_unstable();
        let count = hashes.len();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
