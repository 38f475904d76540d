//! Ways down from a directory: whether a link lies on one, for paths that begin at a
//! descriptor or the working directory and not at a mount point.
//!
//! What has been confirmed once is in the table of directories, like what is known of
//! absolute paths, under a key of where the way begins.

use super::base::{note_origin, origin};
use super::place::{Scratch, confirm, is_no_link};
use crate::Instance;
use crate::shared::key_below;

impl Instance<'_> {
    /// Whether no symbolic link lies on a way down from a descriptor. Known ways are kept in
    /// the table of directories, by where they begin. A way that climbs does not come here.
    pub(super) fn is_way_plain(&self, dirfd: i32, way: &[u8]) -> bool {
        let Some(shared) = self.shared else { return is_no_link(confirm(dirfd, way)) };
        let epoch = shared.epoch();
        let key = self.way_key(dirfd, epoch).map(|key| key_below(key, way));
        if key.is_some_and(|key| shared.is_plain(key)) {
            return true;
        }
        let confirmed = confirm(dirfd, way);
        if let (Some(key), Ok(())) = (key, confirmed) {
            shared.set_plain(key, epoch);
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
