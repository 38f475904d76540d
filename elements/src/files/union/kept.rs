//! A path that is kept in static memory: threads read it while another one writes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::text::Text;

/// Up to `8 * WORDS` bytes, and what they are kept for.
pub(in crate::files) struct Kept<const WORDS: usize> {
    /// An odd version is one in the making.
    version: AtomicU32,
    len: AtomicU32,
    key: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Kept<WORDS> {
    /// The longest path that fits.
    pub const MOST: usize = 8 * WORDS;

    /// Nothing.
    pub const fn new() -> Kept<WORDS> {
        Kept {
            version: AtomicU32::new(0),
            len: AtomicU32::new(0),
            key: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// What [`Kept::keep`] wants to know: as what it was found when the finding out began.
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// Keeps a path that fits, as it was found out since a version, for a key that is not 0.
    pub fn keep(&self, key: u64, path: &[u8], version: u32) {
        let next = version.wrapping_add(1);
        let free = version.is_multiple_of(2)
            && self.version.compare_exchange(version, next, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !free {
            return;
        }
        for (word, bytes) in self.words.iter().zip(path.chunks(8)) {
            let text = bytes.iter().rev().fold(0, |text, byte| text << 8 | u64::from(*byte));
            word.store(text, Ordering::Relaxed);
        }
        self.key.store(key, Ordering::Relaxed);
        self.len.store(path.len() as u32, Ordering::Relaxed);
        let done = next.wrapping_add(1);
        if self.version.compare_exchange(next, done, Ordering::Release, Ordering::Relaxed).is_err() {
            self.len.store(0, Ordering::Relaxed);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Adds the path that is kept for a key to a text. None: none is, and the text is to be begun anew.
    pub fn read<const N: usize>(&self, key: u64, path: &mut Text<N>) -> Option<()> {
        let version = self.version.load(Ordering::Acquire);
        let mut left = self.len.load(Ordering::Relaxed) as usize;
        if !version.is_multiple_of(2) || left == 0 || self.key.load(Ordering::Relaxed) != key {
            return None;
        }
        // Whole words are quicker than as many bytes; what is too much is cut off.
        let len = path.len() + left;
        for word in &self.words {
            path.push(&word.load(Ordering::Relaxed).to_le_bytes()).ok()?;
            left = left.saturating_sub(8);
            if left == 0 {
                break;
            }
        }
        path.truncate(len);
        core::sync::atomic::fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(())
    }

    /// Keeps nothing any more, also not what is being found out.
    pub fn forget(&self) {
        self.len.store(0, Ordering::Relaxed);
        self.version.fetch_add(2, Ordering::AcqRel);
    }
}
