//! The table of directories: what has been found out about them, for as long as that holds.
//!
//! It answers "did somebody look already, and was there no symbolic link on the way?" for the host
//! directories behind mounts, and "which layers have it?" for those of unions. An entry is a directory's
//! hash, mixed with the epoch. When a directory goes away the epoch moves on, and with it all entries
//! lose their meaning at once. A program on the host that is not of the instance can replace a
//! directory unseen: docs/limitations.md says so.
//!
//! A process that has no part in what is shared has a table of its own. Over its first two pages lie the announcements, to read
//! only, and the notices.

use core::array;
use core::hint::cold_path;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::habits::Habits;
use super::layers::{self, Layers};
use super::notices::Notices;
use super::sites::Sites;

const DIRECTORIES: usize = 4096;
const SIDES: usize = 2048;

/// What all processes hear of, and those write to that share it: the first page.
#[repr(C, align(4096))]
struct Announced {
    checked_in: AtomicU64,
    epoch: AtomicU32,
    said_uncovered: AtomicU32,
    moves_begun: AtomicU32,
    moves_done: AtomicU32,
    hidings_begun: AtomicU32,
    hidings_done: AtomicU32,
    rights: AtomicU32,
    /// Whether there is a file of notices.
    has_notices: AtomicU32,
    /// Where they make calls that trap.
    sites: Sites,
    /// And in which libraries.
    habits: Habits,
}

const _: () = assert!(size_of::<Announced>() == 4096);

/// The announcements, the notices, and the table itself.
#[repr(C)]
pub struct Directories {
    announced: Announced,
    notices: Notices,
    /// How many changes in the notices have ended an epoch.
    noticed: AtomicU32,
    /// How many epochs have ended here alone.
    own_epochs: AtomicU32,
    is_private: AtomicU32,
    directories: [AtomicU64; DIRECTORIES],
    sides: [Sides; SIDES],
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

impl Directories {
    /// Where in it it is kept whether an uncovered program has been told
    /// of; a start takes that back.
    pub const SAID_UNCOVERED: u64 = offset_of!(Announced, said_uncovered) as u64;

    /// Where in it the number of processes is kept that have checked in.
    pub const CHECKED_IN: u64 = offset_of!(Announced, checked_in) as u64;

    /// How many bytes the announcements take, which are first, and where the notices are.
    pub const ANNOUNCED: usize = offset_of!(Directories, notices);

    /// Says that one more process runs covered.
    pub fn check_in(&self) {
        self.announced.checked_in.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is the first time that a program goes uncovered.
    pub fn first_uncovered(&self) -> bool {
        self.announced.said_uncovered.swap(1, Ordering::Relaxed) == 0
    }

    /// The present epoch. What is remembered must have been found out in one
    /// that has not ended since: it is asked for first.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.take_notice();
        // Both only grow, so no sum comes twice.
        self.announced.epoch.load(Ordering::Acquire).wrapping_add(self.own_epochs.load(Ordering::Acquire))
    }

    /// Ends an epoch for what processes of other users have changed.
    #[inline]
    fn take_notice(&self) {
        let changes = self.notices.changes.load(Ordering::Acquire);
        if changes != self.noticed.load(Ordering::Acquire) {
            cold_path();
            // In this order: who finds it noticed is in the next epoch.
            if self.is_private() {
                self.own_epochs.fetch_add(1, Ordering::AcqRel);
            } else {
                self.announce_change();
            }
            self.noticed.store(changes, Ordering::Release);
        }
    }

    /// Where calls are made that trap, and whether this process may count them.
    pub fn sites(&self) -> (&Sites, bool) {
        (&self.announced.sites, !self.is_private())
    }

    /// In which libraries programs do so, and whether this process may take note of it.
    pub fn habits(&self) -> (&Habits, bool) {
        (&self.announced.habits, !self.is_private())
    }

    fn is_private(&self) -> bool {
        self.is_private.load(Ordering::Relaxed) != 0
    }

    /// Makes it the table of one process, which has mapped the parts of others over their places.
    pub fn make_private(&self) {
        self.is_private.store(1, Ordering::Relaxed);
    }

    /// Says that there is a file of notices, which a process that attaches is to map.
    pub fn expect_notices(&self) {
        self.announced.has_notices.store(1, Ordering::Release);
    }

    /// What processes of other users tell.
    #[inline]
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Whether there is a file of them.
    pub fn has_notices(&self) -> bool {
        self.announced.has_notices.load(Ordering::Acquire) != 0
    }

    /// A hash as it is kept in the present epoch; never 0.
    pub fn in_present_epoch(&self, hash: u64) -> u64 {
        in_epoch(hash, self.epoch())
    }

    /// The same, for as long as the rights to directories do not change either.
    #[inline]
    pub fn in_present_rights(&self, hash: u64) -> u64 {
        let epoch = self.epoch();
        let rights = u64::from(self.announced.rights.load(Ordering::Acquire));
        in_epoch(hash ^ rights.wrapping_mul(0xd6e8_feb8_6659_fd93), epoch)
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
        // Most processes find again what another one has remembered: leave the page as it is.
        if entry.load(Ordering::Relaxed) != value {
            entry.store(value, Ordering::Release);
        }
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
        let (begun, ended) = if self.is_private() {
            (&self.notices.moves_begun, &self.notices.moves_done)
        } else {
            (&self.announced.moves_begun, &self.announced.moves_done)
        };
        begun.fetch_add(1, Ordering::AcqRel);
        self.forget_directories();
        let done = change();
        self.forget_directories();
        ended.fetch_add(1, Ordering::AcqRel);
        done
    }

    /// Makes a change that may put a whiteout in a file's place. It is given a question that can be asked once it is
    /// made: whether no other change of this kind or of directories has been under way since it began.
    pub fn hide<T>(&self, change: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
        // A private table has no counts of its own that others hear of.
        let (begun, ended) = if self.is_private() {
            (&self.notices.moves_begun, &self.notices.moves_done)
        } else {
            (&self.announced.hidings_begun, &self.announced.hidings_done)
        };
        let all_begun = || {
            let hidings = self.announced.hidings_begun.load(Ordering::Acquire);
            hidings.wrapping_add(self.all_moves_begun())
        };
        begun.fetch_add(1, Ordering::AcqRel);
        // In this order, as for a quiet moment.
        let done = self.announced.hidings_done.load(Ordering::Acquire).wrapping_add(self.all_moves_done());
        let at_first = all_begun();
        let result = change(&|| at_first == done.wrapping_add(1) && all_begun() == at_first);
        ended.fetch_add(1, Ordering::AcqRel);
        result
    }

    /// A moment at which no directory is being moved, if this is one.
    pub fn quiet(&self) -> Option<u32> {
        // In this order: none has begun between the two that is not counted as begun.
        let done = self.all_moves_done();
        let begun = self.all_moves_begun();
        (begun == done).then_some(begun)
    }

    /// Whether none has begun since a quiet moment.
    pub fn is_quiet_since(&self, moment: u32) -> bool {
        self.all_moves_begun() == moment
    }

    fn all_moves_done(&self) -> u32 {
        let announced = self.announced.moves_done.load(Ordering::Acquire);
        announced.wrapping_add(self.notices.moves_done.load(Ordering::Acquire))
    }

    fn all_moves_begun(&self) -> u32 {
        let announced = self.announced.moves_begun.load(Ordering::Acquire);
        announced.wrapping_add(self.notices.moves_begun.load(Ordering::Acquire))
    }

    /// In which epoch of names and rights of directories this is.
    pub fn rights_epoch(&self) -> u32 {
        self.take_notice();
        self.announced.rights.load(Ordering::Acquire)
    }

    /// Begins another one: who may search a directory is about to change, or just has. A process that cannot write to
    /// what others share has a way to end an epoch alone.
    pub fn change_rights(&self) {
        let word = if self.is_private() { &self.notices.changes } else { &self.announced.rights };
        word.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets all: a directory is about to go, or has gone, and a link may take its name.
    pub fn forget_directories(&self) {
        if self.is_private() {
            self.notices.changes.fetch_add(1, Ordering::AcqRel);
        } else {
            self.announce_change();
        }
    }

    fn announce_change(&self) {
        self.announced.epoch.fetch_add(1, Ordering::AcqRel);
        self.change_rights();
    }
}

/// A directory's hash, as it is kept in an epoch; never 0.
fn in_epoch(hash: u64, epoch: u32) -> u64 {
    (hash ^ u64::from(epoch).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}
