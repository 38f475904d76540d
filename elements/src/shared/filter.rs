//! Which inodes something may be known of: a filter that never says no wrongly.

use core::sync::atomic::{AtomicU64, Ordering};

use super::owners::mixed;

const WORDS: usize = 4096;
/// How many are in a page: a file that holds a filter has room for few.
const IN_PAGE: usize = 512;

/// 256 Kbit. All zeros: none. `PAGED`: what stands for an inode lies in one page.
#[repr(C)]
pub struct Filter<const PAGED: bool = false> {
    words: [AtomicU64; WORDS],
}

impl<const PAGED: bool> Filter<PAGED> {
    /// How many words it has.
    pub(super) const LEN: usize = WORDS;

    fn bits(inode: u64) -> [(usize, u64); 2] {
        let hash = mixed(inode ^ 0x5851_f42d_4c95_7f2d);
        let bit = |hash: u64| ((hash >> 6) as usize, 1 << (hash & 63));
        let ((first, one), (second, other)) = (bit(hash), bit(hash >> 32));
        let first = first % WORDS;
        let second = if PAGED { first - first % IN_PAGE + second % IN_PAGE } else { second % WORDS };
        [(first, one), (second, other)]
    }

    /// Where in it, in bytes, an inode's bits are.
    pub(super) fn places(inode: u64) -> [usize; 2] {
        Self::bits(inode).map(|(word, _)| word * size_of::<u64>())
    }

    /// Which word has the first of an inode's bits.
    #[inline]
    pub(super) fn word(inode: u64) -> usize {
        Self::bits(inode)[0].0
    }

    /// The words that have a bit.
    pub(super) fn words_with_bits(&self) -> impl Iterator<Item = usize> {
        (0..WORDS).filter(|at| self.words[*at].load(Ordering::Acquire) != 0)
    }

    /// Whether an inode may be one of them.
    #[inline]
    pub fn may_have(&self, inode: u64) -> bool {
        Self::bits(inode).iter().all(|(word, bit)| self.words[*word].load(Ordering::Acquire) & bit != 0)
    }

    /// Adds one.
    pub fn add(&self, inode: u64) {
        for (word, bit) in Self::bits(inode) {
            if self.words[word].load(Ordering::Acquire) & bit == 0 {
                self.words[word].fetch_or(bit, Ordering::AcqRel);
            }
        }
    }

    /// Adds all that there may be.
    pub fn fill(&self) {
        self.words.iter().for_each(|word| word.store(u64::MAX, Ordering::Release));
    }

    /// Adds all that another has.
    pub fn add_all(&self, other: &Filter<PAGED>) {
        for (to, from) in self.words.iter().zip(&other.words) {
            to.fetch_or(from.load(Ordering::Acquire), Ordering::AcqRel);
        }
    }
}
