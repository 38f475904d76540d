//! A path that climbs by `..` in a union, read by its letters.
//!
//! Where the lowest layer alone has a directory, as the table knows, no link leads to it, and it has not been renamed: so the
//! directory above it is the one that comes before it in the path. `.` and `..` are names in a directory that the process may
//! search; the kernel is asked about that once in an epoch. Whatever is not known takes a walk ([`super::spelling`]).

use super::super::glance::Start;
use super::super::place::parent_end;
use super::super::plain::PlainScratch;
use super::super::scan;
use super::{Told, Union, WholePath};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Spells an absolute path without the dots on the way to its last name, which does not climb; or tells what it comes to. None:
    /// that is not known by its letters.
    pub(super) fn spell_by_letters(
        &self,
        given: &[u8],
        start: Start,
        whole: &mut WholePath,
    ) -> Option<Result<(), Errno>> {
        let node = self.view.node(start.node)?;
        if !node.is_layered() || !node.is_mount_point() || self.view.has_children(start.node) {
            return None;
        }
        let union = self.union(node.region())?;
        let (mount, _) = given.split_at_checked(start.after as usize)?;
        let (above, name) = given.split_at_checked(parent_end(given)?)?;
        let above = above.get(mount.len()..)?;
        let climbs = matches!(name, b"/.." | b"/./" | b"/../");
        if climbs || name.windows(2).any(|two| two == b"//") {
            return None;
        }
        whole.truncate(0);
        whole.push(mount).ok()?;
        for name in scan::components(above) {
            if !matches!(name, b"." | b"..") {
                whole.push(b"/").ok()?;
                whole.push(name).ok()?;
                continue;
            }
            let below = whole.bytes().get(mount.len()..)?;
            match union.may_leave(below) {
                Some(Ok(())) => {}
                other => return other,
            }
            if name == b".." {
                // None above the mount's own.
                let end = below.iter().rposition(|byte| *byte == b'/')?;
                whole.truncate(mount.len() + end);
            }
        }
        Some(whole.push(name))
    }

    /// Whether a plain path leads to a directory that the lowest layer alone has, and this process may ask for `.` in it: then
    /// that is the directory itself.
    pub(super) fn may_search_plainly(&self, path: *const u8, start: Start) -> bool {
        let found =
            self.plain_in_union(path, start).and_then(|(mount, below)| Some((self.union(mount)?, below)));
        found.is_some_and(|(union, below)| union.may_leave(below) == Some(Ok(())))
    }
}

impl Union<'_> {
    /// Whether this process may ask for `.` and `..` in a directory that the lowest layer alone has.
    fn may_leave(&self, below: &[u8]) -> Option<Result<(), Errno>> {
        if !self.instance.is_known_plain(self.id, below) {
            return self.is_known_absent(below).then_some(Err(Errno::ENOENT));
        }
        let mut host = PlainScratch::new();
        host.push(self.layer(0)).and_then(|()| host.push(below)).ok()?;
        let search = self.instance.search(host.bytes())?;
        if !search.is_known() {
            host.push(b"/.").ok()?;
            kernel::fstatat(AT_FDCWD, host.as_ptr(), 0).ok()?;
            Told::note(search);
        }
        Some(Ok(()))
    }
}
