//! The link count of a directory: two, and one for each directory in it.
//!
//! fts(3) and find(1) take it for that, so it must agree with the listing
//! ([`super::list`]): directories that are mounted where the host has none count,
//! hidden ones do not.
//!
//! What the host has where something is mounted stays the same for as long as the directory does. So it is kept for some
//! directories by the time of their last change: daemons, and what they start, look at `/` again and again.

use view::{Kind, NodeId};

use super::place::{Place, Scratch};
use super::scan;
use super::text::Text;
use super::union::{Kept, Told};
use crate::kernel;
use crate::shared::key_below;
use crate::shared::owners::Version;
use crate::{Errno, Instance};

/// How many directories more and fewer there are in the view, in a byte each.
#[unsafe(link_section = ".bss.spelled")]
static KEPT: [Kept<1>; 4] = [const { Kept::new() }; 4];

/// A directory that has been changed since so many seconds may be changed once more without another time.
const SETTLED: i64 = 2;

impl Instance<'_> {
    /// What the count of the directory at a place is in the view. The host says `host`, of the directory of this `version`, if that is
    /// known.
    #[inline(never)]
    pub(super) fn count_links(&self, place: &Place, host: u64, version: Option<&Version>) -> u64 {
        let Some(node) = place.node.or_else(|| self.boundary_of(place)) else { return host };
        // Some file systems do not count: they always say 1.
        if host < 2 || !self.view.has_children(node) {
            return host;
        }
        let kept = &KEPT[node.0 as usize % KEPT.len()];
        let key = version.filter(|_| Told::is_told()).and_then(|version| self.links_key(node, version));
        let mut found = Text::<16>::new();
        if let Some(()) = key.and_then(|key| kept.read(key, &mut found))
            && let [more, fewer] = found.bytes()
        {
            return (host + u64::from(*more)).saturating_sub(u64::from(*fewer));
        }
        let since = kept.version();
        let (more, fewer) = self.differs(place, node);
        if let (Some(key), Some(version)) = (key, version)
            && let (Ok(more), Ok(fewer)) = (u8::try_from(more), u8::try_from(fewer))
            && kernel::seconds().is_some_and(|now| now > version.changed.0 + SETTLED)
        {
            kept.keep(key, &[more, fewer], since);
        }
        (host + more).saturating_sub(fewer)
    }

    /// How many directories more and fewer the view has in one than the host.
    fn differs(&self, place: &Place, node: NodeId) -> (u64, u64) {
        let (mut more, mut fewer) = (0, 0);
        for child in self.view.children(node).filter(|child| self.view.is_mount_point(*child)) {
            let mount = self.view.mount(self.view.region(child));
            let on_host = || stat_in(place, self.view.name_of(child)).map(|mode| mode & libc::S_IFMT);
            match mount.kind {
                Kind::Link => {}
                Kind::Hidden => fewer += u64::from(on_host() == Ok(libc::S_IFDIR)),
                _ => more += u64::from(mount.is_dir && on_host().is_err()),
            }
        }
        (more, fewer)
    }

    fn links_key(&self, node: NodeId, version: &Version) -> Option<u64> {
        let Version { device, inode, changed: (seconds, nanoseconds) } = *version;
        let words = [device, inode, seconds as u64, nanoseconds as u64];
        let key = words.iter().fold(u64::from(node.0), |key, word| key_below(key, &word.to_ne_bytes()));
        Some(self.directories?.in_present_rights(key))
    }

    /// The same node of a descriptor's directory.
    fn boundary_of(&self, place: &Place) -> Option<NodeId> {
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
