//! Where the instance's programs make system calls that trap.
//!
//! A trap costs a signal, so a door rewrites a call site that traps often. Most processes are short, and trap at the same few
//! sites of the same libraries as the one before. What they have in common is counted here; each process then rewrites in
//! one go what has been counted often enough. A program is known for the libraries that it traps in, too: in the next process
//! of its, their code is rewritten as it is mapped.
//!
//! Nothing here is believed: a process looks at the bytes of a site before it touches them. So entries are written word
//! by word, and one that two processes have mixed up is of no use until it is counted anew.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many are kept.
const SITES: usize = 160;
/// How many places a site may have.
const PLACES: usize = 4;
/// How many traps of all processes together make it worth to be rewritten.
const OFTEN: u32 = 8;

/// A site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// What its file is known by ([`crate::process::maps::Code::file`]).
    pub file: u32,
    /// Where in the file its call ends.
    pub offset: u32,
    /// The number of its call.
    pub number: u32,
    /// A hash of its bytes.
    pub code: u32,
}

/// The number of what is no call: a [habit](CallSite::habit).
const HABIT: u32 = u32::MAX;

impl CallSite {
    /// What stands for programs of one file trapping in another file's code again and again.
    pub fn habit(program: u32, library: u32) -> CallSite {
        CallSite { file: program, offset: library, number: HABIT, code: 0 }
    }

    fn place(self) -> u64 {
        u64::from(self.file) << 32 | u64::from(self.offset)
    }

    fn proof(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.code)
    }
}

/// All zeros where there is none.
#[repr(C)]
struct Entry {
    place: AtomicU64,
    proof: AtomicU64,
    count: AtomicU32,
}

/// The sites. What is written beside them at every change stays out of their cache lines.
#[repr(C, align(64))]
pub struct Sites {
    entries: [Entry; SITES],
}

impl Sites {
    /// The entries that a site may have.
    fn entries(&self, site: CallSite) -> impl Iterator<Item = &Entry> {
        let first = (site.place().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        (first..first + PLACES).map(|index| &self.entries[index % SITES])
    }

    /// The entry that a site has.
    fn known(&self, site: CallSite) -> Option<&Entry> {
        self.entries(site).find(|entry| entry.place.load(Ordering::Relaxed) == site.place())
    }

    /// Whether a site is one that traps often.
    pub fn is_often(&self, site: CallSite) -> bool {
        self.known(site).is_some_and(|entry| {
            entry.proof.load(Ordering::Relaxed) == site.proof()
                && entry.count.load(Ordering::Relaxed) >= OFTEN
        })
    }

    /// Counts a site as one that traps often, where there is room.
    pub fn expect(&self, site: CallSite) {
        self.count(site);
        if let Some(entry) = self.known(site) {
            entry.count.fetch_max(OFTEN, Ordering::Relaxed);
        }
    }

    /// Counts a trap.
    pub fn count(&self, site: CallSite) {
        let known = self.known(site);
        if let Some(entry) = known.filter(|entry| entry.proof.load(Ordering::Relaxed) == site.proof()) {
            entry.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // One that is not counted any more makes room in the end.
        let Some(entry) = known.or_else(|| {
            let seldom = self.entries(site).min_by_key(|entry| entry.count.load(Ordering::Relaxed))?;
            let count = seldom.count.load(Ordering::Relaxed);
            if count != 0 && count < OFTEN {
                seldom.count.store(count - 1, Ordering::Relaxed);
            }
            (count == 0).then_some(seldom)
        }) else {
            return;
        };
        entry.count.store(1, Ordering::Relaxed);
        entry.place.store(site.place(), Ordering::Relaxed);
        entry.proof.store(site.proof(), Ordering::Relaxed);
    }

    /// The sites in a file that trap often.
    pub fn often(&self, file: u32) -> impl Iterator<Item = CallSite> {
        self.entries.iter().filter_map(move |entry| {
            let place = entry.place.load(Ordering::Relaxed);
            let proof = entry.proof.load(Ordering::Relaxed);
            let is_often = entry.count.load(Ordering::Relaxed) >= OFTEN;
            let number = (proof >> 32) as u32;
            (is_often && (place >> 32) as u32 == file && number != HABIT).then_some(CallSite {
                file,
                offset: place as u32,
                number,
                code: proof as u32,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Sites {
        let entry = || Entry { place: 0.into(), proof: 0.into(), count: 0.into() };
        Sites { entries: core::array::from_fn(|_| entry()) }
    }

    fn site(file: u32, offset: u32) -> CallSite {
        CallSite { file, offset, number: 257, code: file ^ offset }
    }

    #[test]
    fn a_site_is_told_of_once_it_has_trapped_often() {
        let sites = none();
        for _ in 1..OFTEN {
            sites.count(site(1, 0x1000));
        }
        assert_eq!(sites.often(1).next(), None);
        sites.count(site(1, 0x1000));
        assert_eq!(sites.often(1).next(), Some(site(1, 0x1000)));
        assert_eq!(sites.often(2).next(), None);
    }

    #[test]
    fn other_bytes_at_the_same_place_are_counted_from_the_beginning() {
        let sites = none();
        for _ in 0..OFTEN {
            sites.count(site(1, 0x1000));
        }
        let other = CallSite { code: 7, ..site(1, 0x1000) };
        sites.count(other);
        assert_eq!(sites.often(1).next(), None);
        for _ in 1..OFTEN {
            sites.count(other);
        }
        assert_eq!(sites.often(1).next(), Some(other));
    }

    #[test]
    fn what_is_expected_is_told_of_at_once_and_a_habit_is_no_site() {
        let sites = none();
        sites.expect(site(1, 0x1000));
        assert_eq!(sites.often(1).next(), Some(site(1, 0x1000)));
        assert!(sites.is_often(site(1, 0x1000)) && !sites.is_often(CallSite { code: 7, ..site(1, 0x1000) }));
        sites.expect(CallSite::habit(2, 1));
        assert!(sites.is_often(CallSite::habit(2, 1)) && !sites.is_often(CallSite::habit(1, 2)));
        assert_eq!(sites.often(2).next(), None);
    }

    #[test]
    fn what_traps_often_keeps_its_place_among_many_that_trap_once() {
        let sites = none();
        for _ in 0..OFTEN {
            sites.count(site(1, 0x1000));
        }
        for offset in 0..100_000 {
            sites.count(site(2, offset));
        }
        assert_eq!(sites.often(1).next(), Some(site(1, 0x1000)));
        // And there is room for another one.
        for _ in 0..2 * OFTEN {
            sites.count(site(3, 0x2000));
        }
        assert_eq!(sites.often(3).next(), Some(site(3, 0x2000)));
    }
}
