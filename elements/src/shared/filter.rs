//! Which inodes something may be known of: a filter that never says no wrongly.

use core::sync::atomic::{AtomicU64, Ordering};

use super::owners::mixed;

const WORDS: usize = 4096;

/// 256 Kbit. All zeros: none.
#[repr(C)]
pub struct Filter {
    words: [AtomicU64; WORDS],
}

impl Filter {
    fn bits(inode: u64) -> [(usize, u64); 2] {
        let hash = mixed(inode ^ 0x5851_f42d_4c95_7f2d);
        let bit = |hash: u64| ((hash >> 6) as usize % WORDS, 1 << (hash & 63));
        [bit(hash), bit(hash >> 32)]
    }

    /// Where in it, in bytes, an inode's bits are.
    pub(super) fn places(inode: u64) -> [usize; 2] {
        Filter::bits(inode).map(|(word, _)| word * size_of::<u64>())
    }

    /// Whether an inode may be one of them.
    #[inline]
    pub fn may_have(&self, inode: u64) -> bool {
        Filter::bits(inode).iter().all(|(word, bit)| self.words[*word].load(Ordering::Acquire) & bit != 0)
    }

    /// Adds one.
    pub fn add(&self, inode: u64) {
        for (word, bit) in Filter::bits(inode) {
            if self.words[word].load(Ordering::Acquire) & bit == 0 {
                self.words[word].fetch_or(bit, Ordering::AcqRel);
            }
        }
    }

    /// Adds all that another has.
    pub fn add_all(&self, other: &Filter) {
        for (to, from) in self.words.iter().zip(&other.words) {
            to.fetch_or(from.load(Ordering::Acquire), Ordering::AcqRel);
        }
    }
}
