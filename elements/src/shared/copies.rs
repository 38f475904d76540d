//! By which inode a copy in a write layer is known: by that of the file that it is a copy of,
//! so that a file keeps its number when it is first written to.
//!
//! A copy says itself what it was made of, in an attribute. Here is kept which inodes
//! may be copies, so that no other file is asked; what has been found, by the file and the
//! time of its last change; and what copies were made of that carry no attributes. The
//! last and the first are kept with the instance too ([`Record`]).

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use super::filter::Filter;
use super::owners::{Bare, Row, Version};

const ROWS: usize = 2048;
const RECORDS: usize = 8192;
/// What a record says that has copies: which bits of its filter stand for an inode. Those of an earlier version say 1.
const PAGED: u64 = 2;
/// How many words the summary has: a bit for each word of the filter.
const SUMMARY: usize = Filter::<true>::LEN / u64::BITS as usize;
/// How many rows of the record a file may have its place in.
const REACH: usize = 64;

/// What a file is known by: its file system and its inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The file system's device, as in `st_dev`.
    pub device: u64,
    /// The inode's number.
    pub inode: u64,
}

impl Identity {
    /// What newfstatat(2) has said.
    pub fn of(stat: &libc::stat) -> Identity {
        Identity { device: stat.st_dev, inode: stat.st_ino }
    }

    fn words(self) -> [u64; 2] {
        [self.device, self.inode]
    }

    fn from_words([device, inode]: [u64; 2]) -> Option<Identity> {
        (inode != 0).then_some(Identity { device, inode })
    }
}

/// What an instance's processes share. All zeros: there are no copies.
#[repr(C)]
pub struct Copies {
    any: AtomicU64,
    reserved: [u64; 7],
    /// Which words of the filter have a bit: most files are known not to be copies by that, and the filter's pages,
    /// which the processor hardly ever has at hand, are not looked at.
    summary: [AtomicU64; SUMMARY],
    filter: Filter<true>,
    rows: [Row; ROWS],
}

impl Copies {
    /// Whether there may be any.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire) != 0
    }

    /// Whether an inode may be a copy's.
    #[inline]
    pub fn may_have(&self, inode: u64) -> bool {
        let (at, bit) = summarized(Filter::<true>::word(inode));
        self.summary[at].load(Ordering::Acquire) & bit != 0 && self.filter.may_have(inode)
    }

    /// Says that one is about to be.
    pub fn expect(&self, inode: u64) {
        self.filter.add(inode);
        self.summarize(Filter::<true>::word(inode));
        self.any.store(1, Ordering::Release);
    }

    fn summarize(&self, word: usize) {
        let (at, bit) = summarized(word);
        self.summary[at].fetch_or(bit, Ordering::AcqRel);
    }

    /// Takes over what is kept of the instance.
    pub fn take_over(&self, record: &Record) {
        match record.any.load(Ordering::Acquire) {
            0 => return,
            PAGED => self.filter.add_all(&record.filter),
            // Each file is asked: it is not known any more which were meant.
            _ => self.filter.fill(),
        }
        self.filter.words_with_bits().for_each(|word| self.summarize(word));
        self.any.store(1, Ordering::Release);
    }

    fn row(&self, key: u64) -> &Row {
        // The count of rows is a power of two, so the index is in range.
        &self.rows[(key >> 20) as usize % ROWS]
    }

    /// What has been found of a file: whether it is a copy, and of what.
    pub fn get(&self, version: &Version) -> Option<Option<Identity>> {
        let key = version.key();
        self.row(key).get(key).map(Identity::from_words)
    }

    /// Keeps what has been found.
    pub fn set(&self, version: &Version, of: Option<Identity>) {
        let key = version.key();
        self.row(key).set(key, of.map_or([0; 2], Identity::words));
    }
}

/// Which bit of the summary tells of a word of the filter.
fn summarized(word: usize) -> (usize, u64) {
    (word / u64::BITS as usize % SUMMARY, 1 << (word % u64::BITS as usize))
}

/// What is kept of an instance from one start to the next. All zeros: there are no copies.
#[repr(C)]
pub struct Record {
    any: AtomicU64,
    reserved: [u64; 7],
    filter: Filter<true>,
    records: [Row; RECORDS],
}

impl Record {
    /// How long the file is.
    pub const LEN: usize = size_of::<Record>();

    /// Says that an inode is about to be a copy's.
    pub fn expect(&self, inode: u64) {
        self.filter.add(inode);
        let _ = self.any.compare_exchange(0, PAGED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Where in it, in bytes, that is written down.
    pub fn expected_at(inode: u64) -> [usize; 3] {
        let [first, second] = Filter::<true>::places(inode);
        let filter = offset_of!(Record, filter);
        [offset_of!(Record, any), filter + first, filter + second]
    }

    /// Where in it, in bytes, rows begin that a file may have its place in.
    pub fn rows_at(bare: &Bare) -> impl Iterator<Item = usize> {
        Record::places(bare.key()).map(|at| offset_of!(Record, records) + at * size_of::<Row>())
    }

    fn places(key: u64) -> impl Iterator<Item = usize> {
        let first = (key >> 24) as usize;
        (0..REACH).map(move |step| (first + step) % RECORDS)
    }

    /// What a file was made of that carries no attributes.
    pub fn get(&self, bare: &Bare) -> Option<Identity> {
        let key = bare.key();
        Record::places(key).find_map(|at| self.records[at].get(key)).and_then(Identity::from_words)
    }

    /// Writes that down, if there is room.
    pub fn set(&self, bare: &Bare, of: Identity) {
        let key = bare.key();
        if let Some(at) = Record::places(key).find(|at| self.records[*at].claim(key)) {
            self.records[at].set(key, of.words());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed<T>() -> Box<T> {
        // SAFETY: all zeros is right for both.
        unsafe { Box::new_zeroed().assume_init() }
    }

    #[test]
    fn a_start_takes_over_which_inodes_may_be_copies() {
        let (copies, record) = (zeroed::<Copies>(), zeroed::<Record>());
        copies.take_over(&record);
        assert!(!copies.any() && !copies.may_have(7));
        record.expect(7);
        copies.take_over(&record);
        assert!(copies.may_have(7) && !copies.may_have(8));
    }

    #[test]
    fn a_start_takes_a_record_of_an_earlier_version_to_have_any_file() {
        let (copies, record) = (zeroed::<Copies>(), zeroed::<Record>());
        record.any.store(1, Ordering::Relaxed);
        record.expect(7);
        copies.take_over(&record);
        assert!(copies.may_have(7) && copies.may_have(8));
    }

    #[test]
    fn no_copy_is_denied_and_few_are_asked_of_the_filter() {
        let (own, taken_over, record) = (zeroed::<Copies>(), zeroed::<Copies>(), zeroed::<Record>());
        for inode in (0..500).map(|number| number * 7919) {
            own.expect(inode);
            record.expect(inode);
            assert!(own.may_have(inode));
        }
        taken_over.take_over(&record);
        assert!((0..500).all(|number| taken_over.may_have(number * 7919)));
        let is_asked = |inode: &u64| {
            let (at, bit) = summarized(Filter::<true>::word(*inode));
            own.summary[at].load(Ordering::Relaxed) & bit != 0
        };
        let asked = (1_000_000..1_010_000).filter(is_asked).count();
        assert!(asked < 1500, "{asked} of 10,000");
    }

    #[test]
    fn what_says_that_an_inode_is_a_copys_lies_in_one_page() {
        for inode in 0..10_000 {
            let [first, second] = Filter::<true>::places(inode);
            assert_eq!(first / 4096, second / 4096);
        }
    }

    #[test]
    fn an_inode_that_is_used_anew_is_no_copy() {
        let record = zeroed::<Record>();
        let (link, of) = (Bare { inode: 12, made: (100, 7) }, Identity { device: 1, inode: 5 });
        record.set(&link, of);
        assert_eq!(record.get(&link), Some(of));
        assert_eq!(record.get(&Bare { made: (100, 8), ..link }), None);
    }

    #[test]
    fn what_has_been_found_holds_until_the_file_changes() {
        let copies = zeroed::<Copies>();
        let version = Version { device: 1, inode: 2, changed: (3, 4) };
        assert_eq!(copies.get(&version), None);
        copies.set(&version, None);
        assert_eq!(copies.get(&version), Some(None));
        let of = Identity { device: 1, inode: 9 };
        copies.set(&version, Some(of));
        assert_eq!(copies.get(&version), Some(Some(of)));
        assert_eq!(copies.get(&Version { changed: (3, 5), ..version }), None);
    }
}
