//! What is known of files' owners: a cache that an instance's processes share, and the *book*,
//! a file that all instances of one user share and that outlives them.
//!
//! An owner that the kernel knows nothing of is written down with the file, in an extended
//! attribute. The book says which files may have such a record, so that no other file's
//! attributes are asked for, and holds the records of files that carry none. The
//! cache keeps what was found, by the file and the time of its last change.

use core::sync::atomic::{AtomicU64, Ordering};

use super::filter::Filter;

const ROWS: usize = 4096;
const RECORDS: usize = 64 * 1024;
/// How many rows of the book an inode may have its place in.
const REACH: usize = 64;

/// What a program is told of a file instead of what the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// What is shown in the place of a regular file: `S_IFCHR`, `S_IFBLK`; 0 elsewhere.
    pub device: u32,
    /// That device's number, as the kernel writes it in `st_rdev`; majors of 12 bits and minors of 20.
    pub number: u32,
}

/// Which file, and as it was when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// The file system.
    pub device: u64,
    /// The file.
    pub inode: u64,
    /// The time of its last change, in seconds and nanoseconds.
    pub changed: (i64, i64),
}

pub(super) fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ word >> 32
}

impl Version {
    pub(super) fn key(&self) -> u64 {
        let Version { device, inode, changed } = *self;
        let words = [device, inode, changed.0 as u64, changed.1 as u64];
        words.iter().fold(0, |key: u64, word| mixed(key.rotate_left(17) ^ *word)) | 1
    }
}

impl Record {
    fn words(&self) -> [u64; 2] {
        let rest =
            u64::from(self.number) << 32 | u64::from(self.device & 0xf000) << 12 | u64::from(self.mode);
        [u64::from(self.uid) << 32 | u64::from(self.gid), rest]
    }

    fn from_words([ids, rest]: [u64; 2]) -> Record {
        Record {
            uid: (ids >> 32) as u32,
            gid: ids as u32,
            mode: rest as u32 & 0o7777,
            device: (rest >> 12) as u32 & 0xf000,
            number: (rest >> 32) as u32,
        }
    }
}

/// Says that there is none, in the place of a record's second word.
const NONE: u64 = 1 << 31;

/// A row of the cache. Its words are written one by one; the last proves that they belong together.
#[repr(C)]
pub(super) struct Row {
    key: AtomicU64,
    words: [AtomicU64; 2],
    proof: AtomicU64,
}

fn proof(key: u64, [ids, rest]: [u64; 2]) -> u64 {
    mixed(key ^ mixed(ids ^ mixed(rest))) | 1
}

impl Row {
    pub(super) fn get(&self, key: u64) -> Option<[u64; 2]> {
        if self.key.load(Ordering::Acquire) != key {
            return None;
        }
        let words = [self.words[0].load(Ordering::Acquire), self.words[1].load(Ordering::Acquire)];
        (self.proof.load(Ordering::Acquire) == proof(key, words)).then_some(words)
    }

    /// Takes the row for a key, if it is nobody else's.
    pub(super) fn claim(&self, key: u64) -> bool {
        let known = self.key.load(Ordering::Acquire);
        known == key
            || known == 0 && self.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn set(&self, key: u64, words: [u64; 2]) {
        self.proof.store(0, Ordering::Release);
        self.key.store(key, Ordering::Release);
        for (to, word) in self.words.iter().zip(words) {
            to.store(word, Ordering::Release);
        }
        self.proof.store(proof(key, words), Ordering::Release);
    }
}

/// The cache. All zeros: nothing is known.
#[repr(C)]
pub struct Cache {
    rows: [Row; ROWS],
}

impl Cache {
    fn row(&self, key: u64) -> &Row {
        // The count of rows is a power of two, so the index is in range.
        &self.rows[(key >> 20) as usize % ROWS]
    }

    /// What is known of a file: whether it has a record, and which.
    #[inline]
    pub fn get(&self, version: &Version) -> Option<Option<Record>> {
        let key = version.key();
        let words = self.row(key).get(key)?;
        Some((words[1] & NONE == 0).then(|| Record::from_words(words)))
    }

    /// Keeps what has been found.
    pub fn set(&self, version: &Version, record: Option<Record>) {
        let key = version.key();
        self.row(key).set(key, record.map_or([0, NONE], |record| record.words()));
    }
}

/// The book's own layout. All zeros: nothing is written in it.
#[repr(C)]
pub struct Book {
    version: AtomicU64,
    /// How many records it has had.
    records_made: AtomicU64,
    /// Whether any directory hands on its group.
    hands_on: AtomicU64,
    /// Whether any file has a record.
    has_any: AtomicU64,
    reserved: [u64; 4],
    filter: Filter,
    records: [Row; RECORDS],
}

/// A file that carries no attributes: its inode, and when it was made, which tells it from
/// another that has got the inode since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bare {
    /// The inode.
    pub inode: u64,
    /// When it was made, in seconds and nanoseconds; zeros where the file system does not say.
    pub made: (i64, u32),
}

impl Bare {
    pub(super) fn key(&self) -> u64 {
        mixed(mixed(self.inode) ^ mixed(self.made.0 as u64).rotate_left(7) ^ u64::from(self.made.1)) | 1
    }
}

impl Book {
    /// How long the file is.
    pub const LEN: usize = size_of::<Book>();

    /// Whether a file may have a record.
    #[inline]
    pub fn may_have(&self, inode: u64) -> bool {
        self.filter.may_have(inode)
    }

    /// Whether any file may have one.
    #[inline]
    pub fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire) != 0
    }

    /// Says that a file gets a record.
    pub fn expect(&self, inode: u64) {
        self.has_any.store(1, Ordering::Release);
        self.filter.add(inode);
    }

    /// Whether any directory hands on its group to what is made in it.
    pub fn hands_on(&self) -> bool {
        self.hands_on.load(Ordering::Acquire) != 0
    }

    /// Says that one does.
    pub fn set_hands_on(&self) {
        self.hands_on.store(1, Ordering::Release);
    }

    /// Whether it has had records of files that carry none.
    pub fn has_records(&self) -> bool {
        self.records_made.load(Ordering::Acquire) != 0
    }

    fn places(key: u64) -> impl Iterator<Item = usize> {
        let first = (key >> 24) as usize;
        (0..REACH).map(move |step| (first + step) % RECORDS)
    }

    /// The record of a file that carries none.
    pub fn get(&self, bare: &Bare) -> Option<Record> {
        let key = bare.key();
        Book::places(key).find_map(|at| self.records[at].get(key)).map(Record::from_words)
    }

    /// Writes one down. False: there is no room.
    pub fn set(&self, bare: &Bare, record: &Record) -> bool {
        let key = bare.key();
        let free = |at: &usize| self.records[*at].claim(key);
        let own = Book::places(key).find(|at| self.records[*at].key.load(Ordering::Acquire) == key);
        let Some(at) = own.or_else(|| Book::places(key).find(free)) else { return false };
        self.records_made.fetch_add(1, Ordering::AcqRel);
        self.records[at].set(key, record.words());
        true
    }

    /// Takes one away.
    pub fn remove(&self, bare: &Bare) {
        let key = bare.key();
        for at in Book::places(key) {
            let row = &self.records[at];
            if row.key.load(Ordering::Acquire) == key {
                row.proof.store(0, Ordering::Release);
                row.key.store(0, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Record =
        Record { uid: 33, gid: u32::MAX - 1, mode: 0o4755, device: libc::S_IFBLK, number: 0x801 };

    fn zeroed<T>() -> Box<T> {
        // SAFETY: all zeros is right for both.
        unsafe { Box::new_zeroed().assume_init() }
    }

    #[test]
    fn a_file_that_has_changed_is_not_known() {
        let cache = zeroed::<Cache>();
        let version = Version { device: 1, inode: 2, changed: (3, 4) };
        assert_eq!(cache.get(&version), None);
        cache.set(&version, Some(SOME));
        assert_eq!(cache.get(&version), Some(Some(SOME)));
        assert_eq!(cache.get(&Version { changed: (3, 5), ..version }), None);
        cache.set(&version, None);
        assert_eq!(cache.get(&version), Some(None));
    }

    #[test]
    fn an_inode_that_is_used_anew_has_no_record() {
        let book = zeroed::<Book>();
        let link = Bare { inode: 12, made: (100, 7) };
        assert!(!book.may_have(12) && !book.has_records());
        book.expect(12);
        assert!(book.set(&link, &SOME) && book.may_have(12) && book.has_records());
        assert_eq!(book.get(&link), Some(SOME));
        assert_eq!(book.get(&Bare { made: (100, 8), ..link }), None);
        book.remove(&link);
        assert_eq!(book.get(&link), None);
    }

    #[test]
    fn few_files_are_asked_about_in_vain() {
        let book = zeroed::<Book>();
        (0..10_000).for_each(|inode| book.expect(inode));
        assert!((0..10_000).all(|inode| book.may_have(inode)));
        let in_vain = (10_000..110_000).filter(|inode| book.may_have(*inode)).count();
        assert!(in_vain < 2_000, "{in_vain} of 100,000");
    }
}
