//! The link count of a directory: two, and one for each directory in it.
//!
//! fts(3) and find(1) take it for that, so it must agree with the listing
//! ([`super::list`]): directories that are mounted where the host has none count,
//! hidden ones do not.

use view::Kind;

use super::place::{Place, Scratch};
use super::scan;
use crate::kernel;
use crate::{Errno, Instance};

impl Instance<'_> {
    /// What the count of the directory at a place is in the view. The host says `host`.
    #[inline(never)]
    pub(super) fn count_links(&self, place: &Place, host: u64) -> u64 {
        let Some(node) = place.node.or_else(|| self.boundary_of(place)) else { return host };
        // Some file systems do not count: they always say 1.
        if host < 2 || !self.view.has_children(node) {
            return host;
        }
        let mut count = host;
        for child in self.view.children(node).filter(|child| self.view.is_mount_point(*child)) {
            let mount = self.view.mount(self.view.region(child));
            let on_host = || stat_in(place, self.view.name_of(child)).map(|mode| mode & libc::S_IFMT);
            match mount.kind {
                Kind::Link => {}
                Kind::Hidden => count -= u64::from(on_host() == Ok(libc::S_IFDIR)),
                _ => count += u64::from(mount.is_dir && on_host().is_err()),
            }
        }
        count
    }

    /// The same node of a descriptor's directory.
    fn boundary_of(&self, place: &Place) -> Option<view::NodeId> {
        // SAFETY: the kernel has taken it for a string.
        (unsafe { *place.path } == 0).then(|| self.boundary(place.dirfd)).flatten()
    }
}

/// The mode of what the host has under a name in the directory at a place.
fn stat_in(place: &Place, name: &[u8]) -> Result<u32, Errno> {
    let mut path = Scratch::new();
    // SAFETY: a place's path is a string that ends in NUL.
    path.push(unsafe { core::slice::from_raw_parts(place.path, scan::length(place.path)) })?;
    if !path.is_empty() {
        path.push(b"/")?;
    }
    path.push(name)?;
    kernel::fstatat(place.dirfd, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).map(|found| found.st_mode)
}
