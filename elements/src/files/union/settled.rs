//! What is known of files of the layers that never change: that they are no links, or that there are none.
//!
//! A call that follows a link in the last place must not be let loose on one: the kernel would follow it into the
//! host's tree. What a layer has that takes no changes is the same for ever, so it is asked once in an epoch. Each
//! process keeps what it has asked, for the files that it asks about again.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};

use super::super::place::{Place, is_link_of};
use super::super::plain::PlainScratch;
use crate::shared::path_hash;
use crate::{Errno, Instance, kernel};

/// How many are kept.
const FILES: usize = 512;

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

impl Instance<'_> {
    /// The file with this hash. To be asked for before the kernel is.
    pub(in crate::files) fn settled(&self, hash: u64) -> Option<Settled> {
        Some(Settled(self.directories?.in_present_epoch(hash)))
    }

    /// Whether a link is at a plain place.
    #[inline(never)]
    pub(in crate::files) fn is_link_at(&self, place: &Place, host: &PlainScratch) -> bool {
        let ends_in_slash = host.ends_in_slash();
        if ends_in_slash || !self.is_layered(place) {
            return is_link_of(place, ends_in_slash);
        }
        self.is_link_in_base(place, path_hash(host.bytes()))
    }

    /// Whether a link is at a place in a directory that the lowest layer alone has.
    #[inline]
    pub(in crate::files) fn is_link_in_base(&self, place: &Place, hash: u64) -> bool {
        let settled = self.settled(hash);
        if settled.is_some_and(Settled::is_known) {
            return false;
        }
        let found = kernel::readlinkat(place.dirfd, place.path, &mut [MaybeUninit::uninit()]).map(|_| ());
        // What is missing there now comes with another epoch.
        if matches!(found, Err(Errno::EINVAL | Errno::ENOENT))
            && let Some(settled) = settled
        {
            settled.note();
        }
        found.is_ok()
    }
}
