//! What is known of files of the layers that never change: that they are no links, or that there are none.
//!
//! A call that follows a link in the last place must not be let loose on one: the kernel would follow it into the
//! host's tree. What a layer has that takes no changes is the same for ever, so it is asked once in an epoch. Each
//! process keeps what it has asked, for the files that it asks about again.
//!
//! That a directory is no link is an answer of its own, to readlink(2), which programs put for each name of a path. A
//! directory is one for as long as an epoch lasts, whatever layer has it: one that goes, or gets another name, ends it. The
//! answer is also one of who may search what is above it. So it holds for as long as nobody changes the rights to a
//! directory, and this process is who it was when it began, where it began ([`forget_answers`]).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::place::{Place, find_link};
use super::super::plain::PlainScratch;
use crate::shared::{directory_hash, path_hash};
use crate::{Errno, Instance};

/// How many are kept.
const FILES: usize = 512;

#[unsafe(link_section = ".bss.settled")]
static SETTLED: [AtomicU64; FILES] = [const { AtomicU64::new(0) }; FILES];

/// A file, in an epoch.
#[derive(Clone, Copy)]
pub(in crate::files) struct Settled(u64);

impl Settled {
    fn slot(self) -> &'static AtomicU64 {
        // The index is below the table's length.
        &SETTLED[(self.0 >> 20) as usize % FILES]
    }

    /// Whether it is known to be no link.
    pub fn is_known(self) -> bool {
        self.slot().load(Ordering::Relaxed) == self.0
    }

    /// It is none.
    pub fn note(self) {
        self.slot().store(self.0, Ordering::Relaxed);
    }
}

/// Whether this process is, or may be, another than it was, or elsewhere. It stays so up to the next execve(2), since
/// threads, and a vfork child beside its parent, may be different ones with the same memory.
#[unsafe(link_section = ".bss.soon")]
static HAS_CHANGED: AtomicBool = AtomicBool::new(false);

/// This process is about to get other credentials, another root, or other mounts: what the kernel has told it of
/// directories may be wrong from now on.
pub fn forget_answers() {
    HAS_CHANGED.store(true, Ordering::SeqCst);
}

/// What the kernel has told this process, or may tell it, of a name in a union.
#[derive(Clone, Copy)]
pub(in crate::files) struct Told(Settled);

impl Told {
    /// Whether the kernel has said so.
    #[inline(always)]
    pub fn is_known(self) -> bool {
        self.0.is_known() && Told::is_told()
    }

    /// Whether this process is still who it was when the kernel told it.
    #[inline(always)]
    pub fn is_told() -> bool {
        !HAS_CHANGED.load(Ordering::Acquire)
    }

    /// It has just said so, of a directory.
    pub fn note(self) {
        self.0.note();
    }
}

/// That something in a union is no link.
#[derive(Clone, Copy)]
pub(in crate::files) struct NoLink {
    /// The hash by which the table knows it, if it is a directory.
    hash: u64,
    told: Told,
}

impl NoLink {
    /// Whether the kernel has said so.
    #[inline(always)]
    pub fn is_known(self) -> bool {
        self.told.is_known()
    }

    /// It has just said so, of a directory, or of a name in one that the lowest layer alone has: that is the same until an
    /// epoch ends, since the directory gets another side before a name in it can change.
    pub fn note(self) {
        self.told.note();
    }
}

impl Instance<'_> {
    /// What is at a path below a union's root. To be asked for before the kernel is.
    #[inline(always)]
    pub(in crate::files) fn no_link(&self, mount: u32, below: &[u8]) -> Option<NoLink> {
        const SALT: u64 = 0x6e6f_2061_206c_696e;
        // A slash leads through a link.
        if below.last() == Some(&b'/') || self.traces() {
            return None;
        }
        let hash = directory_hash(mount, below);
        Some(NoLink { hash, told: self.told(hash ^ SALT)? })
    }

    /// That this process may search a directory of a union, with this host path: `.` and `..` ask for no more. To be asked for
    /// before the kernel is.
    pub(in crate::files) fn search(&self, host: &[u8]) -> Option<Told> {
        self.told(path_hash(host) ^ 0x7365_6172_6368_2020)
    }

    #[inline(always)]
    pub(super) fn told(&self, hash: u64) -> Option<Told> {
        Some(Told(Settled(self.directories?.in_present_rights(hash))))
    }

    /// The kernel has said that it is no link: that holds if it is a directory that the table knows.
    pub(in crate::files) fn note_known_directory(&self, no_link: NoLink) {
        if self.directories.is_some_and(|directories| directories.sides(no_link.hash).is_some()) {
            no_link.note();
        }
    }

    /// The file with this hash. To be asked for before the kernel is.
    pub(in crate::files) fn settled(&self, hash: u64) -> Option<Settled> {
        Some(Settled(self.directories?.in_present_epoch(hash)))
    }

    /// Whether a link is at a plain place.
    pub(in crate::files) fn is_link_at(&self, place: &Place, host: &PlainScratch) -> bool {
        self.find_link_at(place, host).is_ok()
    }

    /// Whether a link is at a place in a directory that the lowest layer alone has.
    pub(in crate::files) fn is_link_in_base(&self, place: &Place, hash: u64) -> bool {
        self.find_link_in_base(place, hash).is_ok()
    }

    /// Looks for a link at a plain place, as [`find_link`].
    #[inline(never)]
    pub(in crate::files) fn find_link_at(&self, place: &Place, host: &PlainScratch) -> Result<(), Errno> {
        let ends_in_slash = host.ends_in_slash();
        if ends_in_slash || !self.is_layered(place) {
            return find_link(place, ends_in_slash);
        }
        self.find_link_in_base(place, path_hash(host.bytes()))
    }

    /// The same at a place in a directory that the lowest layer alone has: `EINVAL` also where it is only known that there
    /// is none.
    #[inline]
    pub(in crate::files) fn find_link_in_base(&self, place: &Place, hash: u64) -> Result<(), Errno> {
        let settled = self.settled(hash);
        if settled.is_some_and(Settled::is_known) {
            return Err(Errno::EINVAL);
        }
        let found = find_link(place, false);
        // What is missing there now comes with another epoch.
        if matches!(found, Err(Errno::EINVAL | Errno::ENOENT))
            && let Some(settled) = settled
        {
            settled.note();
        }
        found
    }
}
