//! Ways down from a directory: whether a link lies on one, for paths that begin at a
//! descriptor or the working directory and not at a mount point.
//!
//! What has been confirmed once is in the table of directories, like what is known of
//! absolute paths, under a key of where the way begins.

use super::base::{is_behind, is_free, note_origin, origin};
use super::glance::{REACH, is_in_reach};
use super::place::{Scratch, confirm, is_no_link};
use super::scan;
use crate::Instance;
use crate::shared::key_below;

/// Whether a path is a name in a directory about which the kernel is right, unless it finds
/// a link that is to be followed: no mount of several layers, and none in it.
#[inline(always)]
pub(super) fn is_name_behind(dirfd: i32, path: *const u8) -> bool {
    // SAFETY: what is in reach can be read.
    is_behind(dirfd) && is_in_reach(path) && unsafe { scan::is_name(path, path.add(REACH)) }
}

/// Whether a path is a name in a directory that no mount has to do with.
pub(super) fn is_name_in_free(dirfd: i32, path: *const u8) -> bool {
    // SAFETY: what is in reach can be read.
    is_free(dirfd) && is_in_reach(path) && unsafe { scan::is_name(path, path.add(REACH)) }
}

impl Instance<'_> {
    /// The same of a path of several names, where it is known that no link lies on the way
    /// to the last of them.
    #[inline]
    pub(super) fn is_path_behind(&self, dirfd: i32, path: *const u8) -> bool {
        if is_name_behind(dirfd, path) {
            return true;
        }
        if !is_behind(dirfd) || !is_in_reach(path) {
            return false;
        }
        // SAFETY: what is in reach can be read.
        let Some(tail) = (unsafe { scan::tail(path, path.add(REACH)) }) else { return false };
        let way = tail.slash as usize - path as usize;
        // Not absolute, and no slash at the end.
        if way == 0 || tail.end as usize == tail.slash as usize + 1 {
            return false;
        }
        let known = origin(dirfd).filter(|(_, word)| *word != 0).zip(self.directories);
        // SAFETY: just read.
        let way = unsafe { core::slice::from_raw_parts(path, way) };
        known.is_some_and(|((_, word), directories)| directories.is_plain(key_below(word, way)))
    }

    /// Whether no symbolic link lies on a way down from a descriptor. Known ways are kept in
    /// the table of directories, by where they begin. A way that climbs does not come here.
    pub(super) fn is_way_plain(&self, dirfd: i32, way: &[u8]) -> bool {
        let Some(directories) = self.directories else { return is_no_link(confirm(dirfd, way)) };
        let epoch = directories.epoch();
        let key = self.way_key(dirfd, epoch).map(|key| key_below(key, way));
        if key.is_some_and(|key| directories.is_plain(key)) {
            return true;
        }
        let confirmed = confirm(dirfd, way);
        if let (Some(key), Ok(())) = (key, confirmed) {
            directories.set_plain(key, epoch);
        }
        is_no_link(confirmed)
    }

    /// What the table knows a descriptor's directory by: one that has been renamed
    /// since, which ends an epoch, is not taken for what has its name now.
    fn way_key(&self, dirfd: i32, epoch: u32) -> Option<u64> {
        let (_, word) = origin(dirfd)?;
        if word != 0 {
            return Some(word);
        }
        let (mut host, mut app) = (Scratch::new(), Scratch::new());
        self.base_paths(dirfd, &mut host, &mut app).ok()?;
        let key = key_below(u64::from(epoch) | 1 << 62, host.bytes());
        note_origin(dirfd, key);
        Some(key)
    }
}
