//! The instance's shared page: what its processes tell each other.
//!
//! The first pages of the view's file, which every process of the instance
//! maps for reading and writing. They hold plain atomics only, so a process may die at any point
//! without leaving it in a state that another trips over. All zeros is the
//! right state to begin with.
//!
//! The table of directories answers "did somebody look already, and was
//! there no symbolic link on the way?" for the host directories behind
//! mounts. An entry is a directory's hash, mixed with the epoch.
//! When a directory goes away the epoch moves on, and with it all entries
//! lose their meaning at once. A program on the host that is not of the
//! instance can replace a directory unseen: docs/limitations.md says so.

pub mod asked;
mod clock;
pub mod copies;
pub mod credentials;
mod filter;
mod hash;
pub mod layers;
mod names;
pub mod notices;
pub mod owners;

use core::array;
use core::hint::cold_path;
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub use clock::Anchor;
pub use hash::{directory_hash, key_below, path_hash};
pub use layers::Layers;
pub use names::Cell;
use notices::Notices;

/// How many bytes it takes; the view's image follows.
pub const LEN: usize = 768 * 1024;

/// Where in it the moment is that the application's clock reckons from: three words of an [`Anchor`].
pub const CLOCK: usize = core::mem::offset_of!(Shared, clock);

const DIRECTORIES: usize = 4096;
const SIDES: usize = 2048;

/// The layout of the file. Every field is zero in a new one.
#[repr(C)]
pub struct Shared {
    checked_in: AtomicU64,
    epoch: AtomicU32,
    said_uncovered: AtomicU32,
    moves_begun: AtomicU32,
    moves_done: AtomicU32,
    rights: AtomicU32,
    /// Whether there is a file of notices.
    has_notices: AtomicU32,
    /// How many of their changes have ended an epoch.
    noticed: AtomicU32,
    reserved: [u32; 7],
    directories: [AtomicU64; DIRECTORIES],
    sides: [Sides; SIDES],
    /// What sethostname(2) has set.
    pub host_name: Cell,
    /// What setdomainname(2) has set.
    pub domain_name: Cell,
    /// The addresses that programs have asked for.
    pub asked: asked::Asked,
    /// When the instance was started, by the host's clock and by its own.
    pub clock: Anchor,
    /// The credentials of the instance's processes.
    pub credentials: credentials::Table,
    /// What is known of files' owners.
    pub owners: owners::Cache,
    /// By which inodes copies are known.
    pub copies: copies::Copies,
    notices: Notices,
}

/// Which layers of a union have a directory. The words are written one by
/// one; the last proves that they belong together.
#[repr(C)]
struct Sides {
    key: AtomicU64,
    layers: [AtomicU64; layers::WORDS],
    proof: AtomicU64,
}

fn proof(key: u64, layers: &Layers) -> u64 {
    let mix = |hash: u64, word: &u64| (hash.rotate_left(32) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    layers.0.iter().fold(key, mix) | 1
}

const _: () = assert!(size_of::<Shared>() <= LEN);

impl Shared {
    /// Where in the file it is kept whether an uncovered program has been told
    /// of; a start takes that back.
    pub const SAID_UNCOVERED: u64 = core::mem::offset_of!(Shared, said_uncovered) as u64;

    /// Where in the file the number of processes is kept that have checked in.
    pub const CHECKED_IN: u64 = core::mem::offset_of!(Shared, checked_in) as u64;

    /// The parts of the file that processes of a view with these flags write to, in bytes. They need
    /// room on the disk before one runs: what is written to memory cannot be told of a full one.
    pub fn parts(flags: u32) -> impl Iterator<Item = Range<usize>> {
        let (asked, clock) = (offset_of!(Shared, asked), offset_of!(Shared, clock));
        let (credentials, copies) = (offset_of!(Shared, credentials), offset_of!(Shared, copies));
        let parts = [
            (true, 0..asked),
            (flags & view::flags::NETWORK != 0, asked..clock),
            (true, clock..credentials),
            (flags & view::flags::CREDENTIALS != 0, credentials..copies),
            (flags & view::flags::LAYERS != 0, copies..size_of::<Shared>()),
        ];
        parts.into_iter().filter(|(is_used, _)| *is_used).map(|(_, part)| part)
    }

    /// Says that one more process runs covered.
    pub fn check_in(&self) {
        self.checked_in.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is the first time that a program goes uncovered.
    pub fn first_uncovered(&self) -> bool {
        self.said_uncovered.swap(1, Ordering::Relaxed) == 0
    }

    /// The present epoch. What is remembered must have been found out in one
    /// that has not ended since: it is asked for first.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.take_notice();
        self.epoch.load(Ordering::Acquire)
    }

    /// Ends an epoch for what processes of other users have changed.
    #[inline]
    fn take_notice(&self) {
        let changes = self.notices.changes();
        if changes != self.noticed.load(Ordering::Acquire) {
            cold_path();
            // In this order: who finds it noticed is in the next epoch.
            self.forget_directories();
            self.noticed.store(changes, Ordering::Release);
        }
    }

    /// Says that there is a file of notices, which a process that attaches is to map.
    pub fn expect_notices(&self) {
        self.has_notices.store(1, Ordering::Release);
    }

    /// Where in what the processes share the file of notices belongs, if there is one.
    pub fn place_of_notices(&self) -> Option<usize> {
        let is_there = self.has_notices.load(Ordering::Acquire) != 0;
        is_there.then_some(offset_of!(Shared, notices))
    }

    /// The notices, where the file of them has been mapped for writing.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// A hash as it is kept in the present epoch; never 0.
    pub fn in_present_epoch(&self, hash: u64) -> u64 {
        in_epoch(hash, self.epoch())
    }

    fn directory(&self, hash: u64, epoch: u32) -> (&AtomicU64, u64) {
        // The table's size is a power of two, so the index is in range.
        (&self.directories[(hash >> 20) as usize % DIRECTORIES], in_epoch(hash, epoch))
    }

    /// Whether the directory with this hash is known to be reached without a symbolic
    /// link; in a union, by way of its lowest layer alone.
    pub fn is_plain(&self, hash: u64) -> bool {
        let (entry, value) = self.directory(hash, self.epoch());
        entry.load(Ordering::Acquire) == value
    }

    /// Remembers that it is, as was found in an epoch.
    pub fn set_plain(&self, hash: u64, epoch: u32) {
        let (entry, value) = self.directory(hash, epoch);
        entry.store(value, Ordering::Release);
    }

    /// The layers that have the directory with this hash, if that is known.
    pub fn sides(&self, hash: u64) -> Option<Layers> {
        let entry = &self.sides[(hash >> 20) as usize % SIDES];
        let key = entry.key.load(Ordering::Acquire);
        if key != in_epoch(hash, self.epoch()) {
            return None;
        }
        let word = |index: usize| entry.layers.get(index).map_or(0, |word| word.load(Ordering::Acquire));
        let layers = Layers(array::from_fn(word));
        (entry.proof.load(Ordering::Acquire) == proof(key, &layers)).then_some(layers)
    }

    /// Remembers which layers have it, as was found in an epoch.
    pub fn set_sides(&self, hash: u64, layers: &Layers, epoch: u32) {
        let entry = &self.sides[(hash >> 20) as usize % SIDES];
        let key = in_epoch(hash, epoch);
        entry.proof.store(0, Ordering::Release);
        entry.key.store(key, Ordering::Release);
        for (word, layers) in entry.layers.iter().zip(layers.0) {
            word.store(layers, Ordering::Release);
        }
        entry.proof.store(proof(key, layers), Ordering::Release);
    }

    /// Makes a change that gives directories of a union other names, or takes them away.
    /// A program that is killed in it leaves it under way for the others, which
    /// costs them a second look at each change.
    pub fn move_directories<T>(&self, change: impl FnOnce() -> T) -> T {
        self.moves_begun.fetch_add(1, Ordering::AcqRel);
        self.forget_directories();
        let done = change();
        self.forget_directories();
        self.moves_done.fetch_add(1, Ordering::AcqRel);
        done
    }

    /// A moment at which no such change is under way, if this is one.
    pub fn quiet(&self) -> Option<u32> {
        // In this order: none has begun between the two that is not counted as begun.
        let done = self.moves_done.load(Ordering::Acquire).wrapping_add(self.notices.moves_done());
        let begun = self.all_moves_begun();
        (begun == done).then_some(begun)
    }

    /// Whether none has begun since a quiet moment.
    pub fn is_quiet_since(&self, moment: u32) -> bool {
        self.all_moves_begun() == moment
    }

    fn all_moves_begun(&self) -> u32 {
        self.moves_begun.load(Ordering::Acquire).wrapping_add(self.notices.moves_begun())
    }

    /// In which epoch of names and rights of directories this is.
    pub fn rights_epoch(&self) -> u32 {
        self.take_notice();
        self.rights.load(Ordering::Acquire)
    }

    /// Begins another one.
    pub fn change_rights(&self) {
        self.rights.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets all: a directory is about to go, or has gone, and a link may take its name.
    pub fn forget_directories(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.change_rights();
    }
}

/// A directory's hash, as it is kept in an epoch; never 0.
fn in_epoch(hash: u64, epoch: u32) -> u64 {
    (hash ^ u64::from(epoch).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}
