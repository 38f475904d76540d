//! Which directories this process may search: that is asked on each path, and seldom has another answer than a moment ago.
//!
//! What was found is kept in the process's memory, by the directory's path, for as long as the process is who it was, no
//! process of the instance has changed what directories are called or who may search them, and about a second has not
//! passed: so late is what somebody else changes noticed. Only that all may be searched is kept.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::Instance;
use crate::kernel::arch::ticks;
use crate::shared::path_hash;

const ROWS: usize = 128;

/// How long an answer holds, in ticks of the processor's clock: some tenths of a second, or a second.
const HOLDS: u64 = 2_000_000_000;

struct Row {
    key: AtomicU64,
    since: AtomicU64,
}

static KNOWN: [Row; ROWS] = [const { Row { key: AtomicU64::new(0), since: AtomicU64::new(0) } }; ROWS];

/// By what an answer is known: never 0.
#[derive(Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    fn row(self) -> &'static Row {
        // The count of rows is a power of two, so the index is in range.
        &KNOWN[(self.0 >> 20) as usize % ROWS]
    }

    /// Whether it was found, not long ago, that the directory can be reached.
    pub(super) fn is_known(self) -> bool {
        let row = self.row();
        row.key.load(Ordering::Acquire) == self.0
            && ticks().wrapping_sub(row.since.load(Ordering::Acquire)) < HOLDS
    }

    /// Keeps that it can.
    pub(super) fn remember(self) {
        let row = self.row();
        row.key.store(0, Ordering::Release);
        row.since.store(ticks(), Ordering::Release);
        row.key.store(self.0, Ordering::Release);
    }
}

impl Instance<'_> {
    /// By what it is known whether this process may search a directory at an absolute app path. None: it is not
    /// kept.
    #[inline]
    pub(super) fn search_key(&self, directory: &[u8]) -> Option<Key> {
        let version = self.credentials_version()?;
        let epoch = self.shared?.directories.rights_epoch();
        let who = (u64::from(version) << 32 | u64::from(epoch)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(Key(path_hash(directory) ^ who | 1))
    }

    /// Says that directories are about to have other names, or others who may search them, or have them now.
    pub(in crate::files) fn forget_rights(&self) {
        if let (true, Some(shared)) = (self.plays(), self.shared) {
            shared.directories.change_rights();
        }
    }
}

/// The directory that the last name of a path is in, without slashes at its end: empty for the root's.
pub(super) fn directory_of(path: &[u8]) -> &[u8] {
    let trimmed = |path: &[u8]| path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let name_ends = trimmed(path);
    let above = path.get(..name_ends).unwrap_or(&[]);
    let slash = above.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let above = above.get(..slash).unwrap_or(&[]);
    above.get(..trimmed(above)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lies_in_the_directory_before_it() {
        for (path, directory) in [
            ("/a/b/c", "/a/b"),
            ("/a//b///", "/a"),
            ("/a", ""),
            ("//a/", ""),
            ("/", ""),
            ("", ""),
            ("/a/../b", "/a/.."),
        ] {
            assert_eq!(directory_of(path.as_bytes()), directory.as_bytes(), "{path}");
        }
    }

    #[test]
    fn what_was_found_is_known_until_it_is_old() {
        let key = Key(path_hash(b"/a/b") | 1);
        assert!(!key.is_known());
        key.remember();
        assert!(key.is_known() && !Key(key.0 ^ 2).is_known());
        key.row().since.store(ticks().wrapping_sub(HOLDS), Ordering::Relaxed);
        assert!(!key.is_known());
    }
}
