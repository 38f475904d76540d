//! Relative paths in a union, from a directory that the lowest layer alone has.
//!
//! The descriptor is of that layer's directory, so what the kernel finds in it by a name is
//! what the union has there, for as long as no other layer gets the directory too. Which
//! directory it is takes a call to find out, and is noted beside where it is
//! ([`super::super::base`]): a hash of the way to it, under which the table of directories
//! ([`crate::shared`]) says whether that still holds. A name below gets a hash of its own
//! from that, so that no path need be known.

use super::super::base::{Cursor, note_origin, origin};
use super::super::namei::Walk;
use super::super::scan;
use crate::Instance;
use crate::kernel;
use crate::shared::{Layers, directory_hash, key_below};

/// A name in a directory that the lowest layer alone has.
#[derive(Clone, Copy)]
pub(in crate::files) struct InBase {
    directory: Cursor,
    /// The table's key for the directory.
    key: u64,
    /// Where the name begins in the path, and how long it is.
    name: (usize, usize),
}

/// A key that notes that a directory has other sides, in an epoch. Others are odd.
fn not_in(epoch: u32) -> u64 {
    u64::from(epoch) << 1 | 1 << 63
}

/// Whether a walk has come to a directory that the lowest layer alone has.
fn is_in_base(walk: &Walk) -> bool {
    walk.in_union() && walk.position.is_dir() && walk.position.sides == Layers::LOWEST
}

impl Instance<'_> {
    /// Reads a relative path from such a directory. What the kernel answers there is right,
    /// unless it finds a link that is to be followed. None: it may not be.
    #[inline(never)]
    pub(in crate::files) fn in_base(&self, dirfd: i32, path: *const u8) -> Option<InBase> {
        if !self.has_unions() || self.traces() {
            return None;
        }
        let (cursor, word) = origin(dirfd)?;
        if word != 0 && word == not_in(self.shared?.epoch()) || !self.may_be_base(cursor) {
            return None;
        }
        let survey = scan::survey(path, 0)?;
        // SAFETY: just read.
        let bytes = unsafe { core::slice::from_raw_parts(path, survey.len) };
        if survey.climbs || matches!(bytes, [] | [b'/', ..] | [.., b'/']) {
            return None;
        }
        let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let above = bytes.get(..start.saturating_sub(1)).unwrap_or(&[]);
        let (cursor, word) = self.origin_with(dirfd, above)?;
        let names = scan::components(above).count() as u32;
        let below = (cursor.below + names).min(Cursor::DEEP);
        let found = InBase {
            directory: Cursor { below, ..cursor },
            key: key_below(word, above),
            name: (start, survey.len - start),
        };
        Some(found)
    }

    /// Whether a directory is in a union and has nothing mounted in it.
    fn may_be_base(&self, directory: Cursor) -> bool {
        self.view.node(directory.node).is_some_and(view::Node::is_layered)
            && !(directory.below == 0 && self.view.has_children(directory.node))
    }

    /// Where a directory is and what is noted of it, if the lowest layer alone has what is
    /// at a path below it.
    fn origin_with(&self, dirfd: i32, above: &[u8]) -> Option<(Cursor, u64)> {
        let (cursor, word) = origin(dirfd)?;
        let shared = self.shared?;
        let holds = |word: u64| word & 1 != 0 && shared.is_plain(key_below(word, above));
        let word = if holds(word) || word == not_in(shared.epoch()) {
            word
        } else {
            self.find_origin(dirfd, above)?
        };
        holds(word).then_some((cursor, word))
    }

    /// Finds out what is to be noted of a directory, and of one below it.
    #[inline(never)]
    fn find_origin(&self, dirfd: i32, above: &[u8]) -> Option<u64> {
        let shared = self.shared?;
        let epoch = shared.epoch();
        let mut walk = Walk::new();
        self.walk_descriptor(&mut walk, dirfd).ok()?;
        let word = self.note_walked(dirfd, &walk, epoch)?;
        if word == not_in(epoch) {
            return Some(word);
        }
        for name in scan::components(above) {
            if name != b"." {
                walk.enter(self, name).ok()?;
            }
        }
        if !above.is_empty() && is_in_base(&walk) {
            shared.set_plain(key_below(word, above), epoch);
        }
        Some(word)
    }

    /// Notes of a directory what a walk to it has found in an epoch.
    pub(in crate::files) fn note_walked(&self, dirfd: i32, walk: &Walk, epoch: u32) -> Option<u64> {
        if !self.may_be_base(walk.cursor) {
            return None;
        }
        let word = if is_in_base(walk) {
            let union = self.union(self.view.region(walk.cursor.node))?;
            let word = directory_hash(union.id, union.below(walk.app.bytes())) | 1;
            self.shared?.set_plain(word, epoch);
            word
        } else {
            not_in(epoch)
        };
        note_origin(dirfd, word);
        Some(word)
    }

    /// Notes what has been opened by such a name, without a link.
    pub(in crate::files) fn opened_in_base(&self, fd: i32, path: *const u8, found: &InBase) {
        let (start, len) = found.name;
        // SAFETY: the path that has been read.
        let name = unsafe { core::slice::from_raw_parts(path.add(start), len) };
        let Some(shared) = self.shared else { return };
        let epoch = shared.epoch();
        let is_dot = name == b".";
        let cursor = found.directory;
        let below = if is_dot { cursor.below } else { (cursor.below + 1).min(Cursor::DEEP) };
        self.note_directory(fd, Some(Cursor { below, ..cursor }));
        let key = if is_dot { found.key } else { key_below(found.key, name) };
        // As long as the directory above is in the lowest layer alone, so is what is in it.
        if shared.is_plain(found.key) {
            shared.set_plain(key, epoch);
            note_origin(fd, key);
        }
    }

    /// Notes what has been opened by its host path, in a directory that the lowest layer alone has.
    #[inline(never)]
    pub(in crate::files) fn opened_base(&self, fd: i32, mount: u32, host: &[u8]) {
        let Some(shared) = self.shared else { return };
        let below = self.union(mount).and_then(|union| host.strip_prefix(union.layer(0)));
        // A directory may have been named with a slash behind it.
        let Some(below) = below.map(|below| below.strip_suffix(b"/").unwrap_or(below)) else { return };
        if below.last() == Some(&b'/') {
            return;
        }
        let epoch = shared.epoch();
        let above = super::parent(below);
        let key = directory_hash(mount, below) | 1;
        if shared.is_plain(directory_hash(mount, above)) {
            shared.set_plain(key, epoch);
            note_origin(fd, key);
        }
    }

    /// Whether a directory has been noted as one that the lowest layer alone has, and has
    /// nothing mounted in it: the kernel's own listing is right.
    pub(in crate::files) fn is_noted_base_directory(&self, dirfd: i32) -> bool {
        let noted = origin(dirfd).filter(|(cursor, word)| word & 1 != 0 && self.may_be_base(*cursor));
        noted.zip(self.shared).is_some_and(|((_, word), shared)| shared.is_plain(word))
    }

    /// Opens a name to read it. None: that takes a walk.
    pub(in crate::files) fn open_in_base(
        &self,
        dirfd: i32,
        path: *const u8,
        how: &kernel::OpenHow,
    ) -> Option<Result<i32, crate::Errno>> {
        let found = self.in_base(dirfd, path)?;
        let opened = kernel::openat2(dirfd, path, how);
        if let Ok(fd) = opened {
            if super::super::is_worth_knowing(how.flags as i32) {
                self.opened_in_base(fd, path, &found);
            } else {
                super::super::note_open(fd);
            }
        }
        Some(opened)
    }
}
