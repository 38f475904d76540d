//! A filter for names: which of a side's entries may be in another side as well.
//!
//! Most names have one side alone, so most entries need not be looked for in the others. What the filter
//! lets through is looked for.
//!
//! The last long one is kept for the next call, with the state of the directories that its names were
//! read from. A directory's time of change tells whether it still holds: the kernel alone sets that,
//! and any change after a second in which there was none makes it another.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::entries;
use super::super::place::Scratch;
use super::list::{Listing, ROOM};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::{directory_hash, path_hash};

/// How large the filter of a long side is: for 4000 names, one of a hundred others gets through in vain.
pub(super) const WORDS: usize = 1024;
/// That of sides which are read all at once: most are short.
pub(super) const FEW: usize = 32;

/// How many names are read in the time in which one is looked for.
const WORTH: usize = 4;
/// How many names make a side long: to read it once more costs more than to see that it has not changed.
const LONG: usize = 256;
/// What an entry with a name of usual length takes.
pub(super) const USUAL_ENTRY: usize = 32;

static KEPT: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
/// Which directory's, and of all its sides but which.
static WHOSE: AtomicU64 = AtomicU64::new(0);
/// Proves that the words belong together and to a state; 0 while they do not.
static PROOF: AtomicU64 = AtomicU64::new(0);

/// Some names.
#[derive(Clone)]
pub(super) struct Names<const SIZE: usize = WORDS> {
    bits: [u64; SIZE],
    /// Whether it holds for nothing.
    is_full: bool,
}

impl<const SIZE: usize> Names<SIZE> {
    /// None yet.
    pub fn none() -> Names<SIZE> {
        Names { bits: [0; SIZE], is_full: false }
    }

    /// Any that there may be.
    pub fn unknown() -> Names<SIZE> {
        Names { is_full: true, ..Names::none() }
    }

    /// Adds the names of entries, and tells how many they are.
    pub fn add_all(&mut self, listed: &[u8]) -> usize {
        entries::records(listed).map(|entry| self.add(entry.name)).count()
    }

    fn add(&mut self, name: &[u8]) {
        let (word, bits) = place(name);
        if let Some(word) = self.bits.get_mut(word % SIZE) {
            *word |= bits;
        }
    }

    /// False: the name is not among them.
    pub fn may_have(&self, name: &[u8]) -> bool {
        let (word, bits) = place(name);
        self.is_full || self.bits.get(word % SIZE).is_some_and(|word| word & bits == bits)
    }
}

impl Names {
    /// What has been kept, if it is of `whose` names and their state is as it was.
    pub fn kept(whose: u64, state: impl FnOnce() -> Option<u64>) -> Option<Names> {
        if WHOSE.load(Ordering::Relaxed) != whose || PROOF.load(Ordering::Acquire) == 0 {
            return None;
        }
        let state = state()?;
        let proof = PROOF.load(Ordering::Acquire);
        let mut names = Names::none();
        for (word, kept) in names.bits.iter_mut().zip(&KEPT) {
            *word = kept.load(Ordering::Relaxed);
        }
        (names.proof(whose, state) == proof).then_some(names)
    }

    /// Keeps them. Another thread may do so at the same time: the proof says what belongs together.
    pub fn keep(&self, whose: u64, state: u64) {
        PROOF.store(0, Ordering::Release);
        WHOSE.store(whose, Ordering::Relaxed);
        for (word, kept) in self.bits.iter().zip(&KEPT) {
            kept.store(*word, Ordering::Relaxed);
        }
        PROOF.store(self.proof(whose, state), Ordering::Release);
    }

    fn proof(&self, whose: u64, state: u64) -> u64 {
        let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.bits.iter().fold(mix(whose, state), |hash, word| mix(hash, *word)) | 1
    }
}

/// The word of a name in the filter, and its two bits there.
fn place(name: &[u8]) -> (usize, u64) {
    let hash = path_hash(name);
    ((hash >> 12) as usize % WORDS, 1 << (hash & 63) | 1 << (hash >> 6 & 63))
}

impl Listing<'_, '_> {
    /// The names of all sides but one. Reading them is worth it if they are not many more than the
    /// `count` that are looked for: else each of those is looked for by itself.
    pub(super) fn names_but(&self, but: usize, count: usize) -> Names {
        let whose = directory_hash(self.union.id, self.below).rotate_left(9) ^ but as u64;
        if let Some(names) = Names::kept(whose, || self.state_but(but).map(|(state, _)| state)) {
            return names;
        }
        let now = if count >= LONG { kernel::seconds() } else { None };
        let state = now.zip(now.and_then(|_| self.state_but(but)));
        // Whatever changes from then on gets another time.
        let settled = state.filter(|(now, (_, changed))| changed + 1 < *now);
        let mut names = Names::none();
        let mut room = [0; ROOM];
        let limit = count.saturating_mul(WORTH);
        let mut left = limit;
        for turn in (0..self.count).filter(|turn| *turn != but) {
            let Ok(side) = self.open(turn) else { return Names::unknown() };
            let read = loop {
                match kernel::getdents64(side, &mut room) {
                    Ok(0) => break true,
                    Ok(len) => match left.checked_sub(names.add_all(room.get(..len).unwrap_or(&[]))) {
                        Some(rest) => left = rest,
                        None => break false,
                    },
                    Err(_) => break false,
                }
            };
            kernel::close(side);
            if !read {
                return Names::unknown();
            }
        }
        if let Some((_, (state, _))) = settled.filter(|_| limit - left >= LONG) {
            names.keep(whose, state);
        }
        names
    }

    /// A hash of which directories all sides but one are, and of when they were last changed, and
    /// the latest of those times in seconds.
    fn state_but(&self, but: usize) -> Option<(u64, i64)> {
        let (mut state, mut latest) = (0_u64, 0);
        for turn in (0..self.count).filter(|turn| *turn != but) {
            let mut path = Scratch::new();
            self.write_path(turn, &mut path).ok()?;
            let stat = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).ok()?;
            for part in [stat.st_dev, stat.st_ino, stat.st_ctime as u64, stat.st_ctime_nsec as u64] {
                state = (state.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
            latest = latest.max(stat.st_ctime);
        }
        Some((state, latest))
    }
}
