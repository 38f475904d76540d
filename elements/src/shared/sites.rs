//! Where the instance's programs make system calls that trap.
//!
//! A trap costs a signal, so a door rewrites a call site that traps often. Most processes are short, and trap at the same few
//! sites of the same libraries as the one before. What they have in common is counted here; each process then rewrites in
//! one go what has been counted often enough. In which libraries a program traps is known beside that ([`super::habits`]).
//!
//! Nothing here is believed: a process looks at the bytes of a site before it touches them. So entries are written word
//! by word, and one that two processes have mixed up is of no use until it is counted anew.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How many are kept.
const SITES: usize = 176;
/// How many places a site may have.
const PLACES: usize = 4;
/// How many traps of all processes together make it worth to be rewritten.
const OFTEN: u8 = 8;

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

impl CallSite {
    fn place(self) -> u64 {
        u64::from(self.file) << 32 | u64::from(self.offset)
    }

    fn proof(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.code)
    }
}

/// The sites, each by its number in three lists: most who look for one read no more than the first. All zeros where there is none.
/// What is written beside them at every change stays out of their cache lines.
#[repr(C, align(64))]
pub struct Sites {
    places: [AtomicU64; SITES],
    proofs: [AtomicU64; SITES],
    counts: [AtomicU8; SITES],
}

/// What is kept of one site.
#[derive(Clone, Copy)]
struct Entry<'a> {
    place: &'a AtomicU64,
    proof: &'a AtomicU64,
    count: &'a AtomicU8,
}

impl Entry<'_> {
    fn is_often(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= OFTEN
    }

    fn proves(&self, site: CallSite) -> bool {
        self.proof.load(Ordering::Relaxed) == site.proof()
    }
}

impl Sites {
    fn all(&self) -> impl Iterator<Item = Entry<'_>> {
        let rest = self.proofs.iter().zip(&self.counts);
        self.places.iter().zip(rest).map(|(place, (proof, count))| Entry { place, proof, count })
    }

    /// The entries that a site may have.
    fn entries(&self, site: CallSite) -> impl Iterator<Item = Entry<'_>> {
        let first = (site.place().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        (first..first + PLACES).map(|index| {
            let index = index % SITES;
            Entry { place: &self.places[index], proof: &self.proofs[index], count: &self.counts[index] }
        })
    }

    /// The entry that a site has.
    fn known(&self, site: CallSite) -> Option<Entry<'_>> {
        self.entries(site).find(|entry| entry.place.load(Ordering::Relaxed) == site.place())
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
        if let Some(entry) = known.filter(|entry| entry.proves(site)) {
            if !entry.is_often() {
                entry.count.fetch_add(1, Ordering::Relaxed);
            }
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
        self.all().filter_map(move |entry| {
            let place = entry.place.load(Ordering::Relaxed);
            if (place >> 32) as u32 != file || !entry.is_often() {
                return None;
            }
            let proof = entry.proof.load(Ordering::Relaxed);
            Some(CallSite { file, offset: place as u32, number: (proof >> 32) as u32, code: proof as u32 })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Sites {
        Sites {
            places: [const { AtomicU64::new(0) }; SITES],
            proofs: [const { AtomicU64::new(0) }; SITES],
            counts: [const { AtomicU8::new(0) }; SITES],
        }
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
    fn what_is_expected_is_told_of_at_once() {
        let sites = none();
        sites.expect(site(1, 0x1000));
        assert_eq!(sites.often(1).next(), Some(site(1, 0x1000)));
        assert_eq!(sites.often(2).next(), None);
    }

    #[test]
    fn what_has_trapped_for_long_is_told_of_still() {
        let sites = none();
        for _ in 0..1000 {
            sites.count(site(1, 0x1000));
        }
        assert_eq!(sites.often(1).next(), Some(site(1, 0x1000)));
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
