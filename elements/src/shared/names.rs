//! A name that any process of the instance may change, and all of them read.
//!
//! Who sets it takes a slot that nobody reads any more, writes there, and then
//! says which slot counts. A reader that has been slow, so that its slot may
//! have been taken again meanwhile, reads anew. Nobody waits for anybody, and
//! a process that dies in the middle has changed nothing.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use view::LONGEST;

const SLOTS: u32 = 16;
const WORDS: usize = LONGEST / 8;

/// A name, as it was when it was read.
pub type Name = [u8; LONGEST];

/// All zeros: nobody has set it.
#[repr(C)]
pub struct Cell {
    /// How many have begun to set it.
    begun: AtomicU32,
    /// The number of the one that counts, from 1.
    counts: AtomicU32,
    slots: [Slot; SLOTS as usize],
}

#[repr(C)]
struct Slot {
    len: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Cell {
    fn slot(&self, number: u32) -> &Slot {
        // The count of slots is a power of two, so the index is in range.
        &self.slots[(number % SLOTS) as usize]
    }

    /// Which setting counts: 0 where nobody has set it.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.counts.load(Ordering::Acquire)
    }

    /// Takes back what has been set.
    pub fn forget(&self) {
        self.counts.store(0, Ordering::Release);
    }

    /// Sets it. What is longer than a name may be is cut off.
    pub fn set(&self, name: &[u8]) {
        let number = self.begun.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        // Who reads what is written now finds that it has begun.
        fence(Ordering::Release);
        let slot = self.slot(number);
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        for (word, bytes) in slot.words.iter().zip(bytes.chunks_exact(8)) {
            word.store(bytes.try_into().map_or(0, u64::from_ne_bytes), Ordering::Relaxed);
        }
        slot.len.store(name.len().min(LONGEST) as u64, Ordering::Relaxed);
        self.counts.store(number, Ordering::Release);
    }

    /// Reads it, with its length. None where nobody has set it.
    pub fn get(&self) -> Option<(Name, usize)> {
        loop {
            let number = self.generation();
            if number == 0 {
                return None;
            }
            let slot = self.slot(number);
            let mut name = [0; LONGEST];
            for (to, from) in name.chunks_exact_mut(8).zip(&slot.words) {
                to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
            }
            let len = slot.len.load(Ordering::Relaxed) as usize;
            fence(Ordering::Acquire);
            if self.begun.load(Ordering::Relaxed).wrapping_sub(number) < SLOTS {
                return Some((name, len.min(LONGEST)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        // SAFETY: all zeros is a cell that nobody has set.
        unsafe { core::mem::zeroed() }
    }

    #[test]
    fn a_name_is_read_as_it_was_set_last() {
        let cell = cell();
        assert!(cell.get().is_none());
        for number in 0..100 {
            let name = format!("host{number}");
            cell.set(name.as_bytes());
            let (found, len) = cell.get().expect("just set");
            assert_eq!(found.get(..len), Some(name.as_bytes()));
        }
        cell.forget();
        assert!(cell.get().is_none());
    }

    #[test]
    fn a_name_is_never_read_half() {
        let cell = cell();
        cell.set(&[b'a'; LONGEST]);
        std::thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                let cell = &cell;
                scope.spawn(move || (0..20_000).for_each(|_| cell.set(&[letter; LONGEST])));
            }
            for _ in 0..20_000 {
                let (name, len) = cell.get().expect("set before");
                let first = name.first().copied().unwrap_or(0);
                assert!(len == LONGEST && matches!(first, b'a' | b'b'));
                assert!(name.iter().all(|letter| *letter == first));
            }
        });
    }
}
