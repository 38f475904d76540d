//! Relative paths in a union, from a directory that the lowest layer alone has.
//!
//! The descriptor is of that layer's directory, so what the kernel finds in it by a name is
//! what the union has there, for as long as no other layer gets the directory too. Which
//! directory it is takes a call to find out, and is noted beside where it is
//! ([`super::super::base`]): a hash of the way to it, under which the table of directories
//! ([`crate::shared`]) says whether that still holds. A name below gets a hash of its own
//! from that, so that no path need be known.

use super::super::base::{Cursor, note_origin, note_own_origin, origin};
use super::super::glance::{REACH, is_in_reach};
use super::super::namei::Walk;
use super::super::place::Scratch;
use super::super::scan;
use super::Union;
use crate::Instance;
use crate::kernel;
use crate::shared::{Layers, directory_hash, key_below};

/// A name in a directory that the lowest layer alone has, at the end of a path.
#[derive(Clone, Copy)]
pub(in crate::files) struct InBase {
    /// Where the path begins.
    directory: Cursor,
    /// The table's key for the directory.
    key: u64,
    /// How many bytes of the path lead to the directory.
    way: usize,
    /// Where the name begins in the path, and how long it is.
    name: (usize, usize),
}

impl InBase {
    /// The mount that governs the name.
    pub(in crate::files) fn mount(&self, instance: &Instance<'_>) -> u32 {
        instance.view.region(self.directory.node)
    }

    /// A hash of what has the name.
    pub(in crate::files) fn hash(&self, path: *const u8) -> u64 {
        let (start, len) = self.name;
        // SAFETY: the path that has been read.
        key_below(self.key, unsafe { core::slice::from_raw_parts(path.add(start), len) })
    }
}

/// What notes that a directory is not the lowest layer's, in an epoch. Others are odd.
fn not_in(epoch: u32) -> u64 {
    u64::from(epoch) << 1 | 1 << 63
}

/// The key under which the table knows that a directory has other sides than the lowest layer's.
fn other_sides(key: u64) -> u64 {
    key.rotate_left(32) ^ 0x6f74_6865_7273_6964
}

/// The key of a directory that layers below know by another name, of which no path tells.
fn under_own_name(key: u64) -> u64 {
    key.rotate_left(17) ^ 0x6f77_6e20_6e61_6d65 | 1
}

/// Whether a walk has come to a directory that the lowest layer alone has.
pub(super) fn is_in_base(walk: &Walk) -> bool {
    walk.in_union() && walk.position.is_dir() && walk.position.sides == Layers::LOWEST
}

impl Instance<'_> {
    /// Reads a relative path from such a directory. What the kernel answers there is right,
    /// unless it finds a link that is to be followed. None: it may not be.
    #[inline]
    pub(in crate::files) fn in_base(&self, dirfd: i32, path: *const u8) -> Option<InBase> {
        self.name_in_base(dirfd, path, false)
    }

    /// The same of a path that may have a slash at its end, for a call that follows no link there either.
    #[inline(never)]
    fn name_in_base(&self, dirfd: i32, path: *const u8, may_end_in_slash: bool) -> Option<InBase> {
        if !self.has_unions() || self.traces() {
            return None;
        }
        let known = self.known_in_base(dirfd, path);
        if known.is_some() {
            return known;
        }
        let (cursor, word) = origin(dirfd)?;
        if word != 0 && word == not_in(self.directories?.epoch()) || !self.may_be_base(cursor) {
            return None;
        }
        if word & 1 != 0 && is_in_reach(path) {
            // SAFETY: as for the look that is known.
            let way =
                unsafe { scan::tail(path, path.add(REACH)) }.map(|tail| tail.slash as usize - path as usize);
            // SAFETY: just read.
            let key = way.map(|way| key_below(word, unsafe { core::slice::from_raw_parts(path, way) }));
            if key.zip(self.directories).is_some_and(|(key, known)| known.is_plain(other_sides(key))) {
                return None;
            }
        }
        let survey = scan::survey(path, 0)?;
        Self::prepare_glance(path);
        // SAFETY: just read.
        let mut bytes = unsafe { core::slice::from_raw_parts(path, survey.len) };
        if may_end_in_slash {
            bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
        }
        if survey.climbs || matches!(bytes, [] | [b'/', ..] | [.., b'/']) {
            return None;
        }
        let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let above = bytes.get(..start.saturating_sub(1)).unwrap_or(&[]);
        let (directory, word) = self.origin_with(dirfd, above)?;
        let found = InBase {
            directory,
            way: above.len(),
            key: key_below(word, above),
            name: (start, bytes.len() - start),
        };
        Some(found)
    }

    /// The same, as far as a glance and the table tell.
    #[inline(always)]
    pub(in crate::files) fn known_in_base(&self, dirfd: i32, path: *const u8) -> Option<InBase> {
        let directories = self.directories?;
        let (directory, word) = origin(dirfd)?;
        if word & 1 == 0 || !self.may_be_base(directory) || !is_in_reach(path) {
            return None;
        }
        // SAFETY: what is in reach can be read, and a path that ends is read no further.
        let (tail, first) = unsafe { (scan::tail(path, path.add(REACH))?, *path) };
        let (way, len) = (tail.slash as usize - path as usize, tail.end as usize - path as usize);
        let start = if way == 0 { 0 } else { way + 1 };
        if matches!(first, 0 | b'/') || start == len {
            return None;
        }
        // SAFETY: just read.
        let above = unsafe { core::slice::from_raw_parts(path, way) };
        let key = key_below(word, above);
        directories.is_plain(key).then_some(InBase { directory, way, key, name: (start, len - start) })
    }

    /// Whether the kernel is right about a relative path, unless it finds a link that is to be followed, since the
    /// lowest layer of a union alone has the directory: as far as a glance and the table tell.
    #[inline(always)]
    pub(crate) fn is_of_base(&self, dirfd: i32, path: *const u8) -> bool {
        self.has_unions() && !self.traces() && self.known_in_base(dirfd, path).is_some()
    }

    /// Whether a directory is in a union and has nothing mounted in it.
    #[inline(always)]
    pub(super) fn may_be_base(&self, directory: Cursor) -> bool {
        self.view.node(directory.node).is_some_and(view::Node::is_layered)
            && !(directory.below == 0 && self.view.has_children(directory.node))
    }

    /// Where a directory is and what is noted of it, if the lowest layer alone has what is
    /// at a path below it.
    fn origin_with(&self, dirfd: i32, above: &[u8]) -> Option<(Cursor, u64)> {
        let (cursor, word) = origin(dirfd)?;
        let directories = self.directories?;
        let holds = |word: u64| word & 1 != 0 && directories.is_plain(key_below(word, above));
        let is_other = word == not_in(directories.epoch())
            || word & 1 != 0 && directories.is_plain(other_sides(key_below(word, above)));
        let is_known = holds(word) || is_other || word & 1 != 0 && self.confirm_below(dirfd, above, word);
        let word = if is_known { word } else { self.find_origin(dirfd, above)? };
        holds(word).then_some((cursor, word))
    }

    /// Confirms that the lowest layer alone has a directory, where it is known of one above it, from a descriptor on: then
    /// it is that layer's for as long as it is reached without a link.
    #[inline(never)]
    fn confirm_below(&self, dirfd: i32, above: &[u8], word: u64) -> bool {
        let Some(directories) = self.directories else { return false };
        let epoch = directories.epoch();
        let ends = || (0..=above.len()).rev().filter(|end| above.get(*end).is_none_or(|byte| *byte == b'/'));
        let key = |end: usize| key_below(word, above.get(..end).unwrap_or(above));
        let known = ends().find(|end| directories.is_plain(key(*end)));
        let known = known.or_else(|| directories.is_plain(word).then_some(0));
        let Some(known) = known else { return false };
        let mut path = Scratch::new();
        for end in (known + 1..=above.len()).filter(|end| above.get(*end).is_none_or(|byte| *byte == b'/')) {
            path.truncate(0);
            if path.push(above.get(..end).unwrap_or(above)).is_err() {
                return false;
            }
            let found = kernel::fstatat(dirfd, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW);
            if !found.is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR) {
                return false;
            }
            directories.set_plain(key(end), epoch);
        }
        true
    }

    /// Finds out what is to be noted of a directory, and of one below it.
    #[inline(never)]
    fn find_origin(&self, dirfd: i32, above: &[u8]) -> Option<u64> {
        let directories = self.directories?;
        let epoch = directories.epoch();
        let mut walk = Walk::new();
        self.walk_descriptor(&mut walk, dirfd).ok()?;
        let word = self.note_walked(dirfd, &walk, epoch)?;
        if word == not_in(epoch) {
            return Some(word);
        }
        let mut is_straight = true;
        for name in scan::components(above) {
            if name != b"." {
                walk.enter(self, name).ok()?;
                // What is below a redirect has other names in the layer.
                is_straight &= walk.position.redirect.is_empty();
            }
        }
        if !above.is_empty() {
            let key = key_below(word, above);
            let is_base = is_straight && is_in_base(&walk);
            directories.set_plain(if is_base { key } else { other_sides(key) }, epoch);
        }
        Some(word)
    }

    /// Notes of a directory what a walk to it has found in an epoch.
    pub(in crate::files) fn note_walked(&self, dirfd: i32, walk: &Walk, epoch: u32) -> Option<u64> {
        if !self.may_be_base(walk.cursor) {
            return None;
        }
        let union = self.union(self.view.region(walk.cursor.node))?;
        let below = union.below(walk.app.bytes());
        let mut key = directory_hash(union.id, below) | 1;
        if walk.position.has_own_name() {
            key = under_own_name(key);
        }
        let word = if is_in_base(walk) {
            self.directories?.set_plain(key, epoch);
            key
        } else if walk.in_union()
            && walk.position.is_dir()
            && walk.position.identity() == Some(0)
            && (self.is_noted_lowest(dirfd, key) || self.is_lowest_side(dirfd, &union, below))
        {
            // What is in it may be the lowest layer's alone.
            self.directories?.set_plain(other_sides(key), epoch);
            key
        } else {
            not_in(epoch)
        };
        note_origin(dirfd, word);
        Some(word)
    }

    /// Whether that has been found of a directory with a key before: a descriptor's directory stays the same.
    fn is_noted_lowest(&self, dirfd: i32, key: u64) -> bool {
        origin(dirfd).is_some_and(|(_, word)| word == key)
    }

    /// Whether a descriptor is of the lowest layer's side of a directory.
    fn is_lowest_side(&self, dirfd: i32, union: &Union<'_>, below: &[u8]) -> bool {
        let (mut host, mut app) = (Scratch::new(), Scratch::new());
        self.base_paths(dirfd, &mut host, &mut app).is_ok()
            && host.bytes().strip_prefix(union.layer(0)) == Some(below)
    }

    /// The same of a directory that a walk has come to.
    pub(in crate::files) fn note_walked_lowest(&self, fd: i32, walk: &Walk, epoch: u32) {
        let mount = self.view.region(walk.cursor.node);
        if let Some(union) = self.union(mount).filter(|_| walk.position.identity() == Some(0)) {
            self.note_lowest(fd, mount, union.below(walk.app.bytes()), epoch);
        }
    }

    /// Notes what has been opened as the lowest layer's side of a directory with several, as that was found in an
    /// epoch, in a process that is no borrower.
    pub(in crate::files) fn note_lowest(&self, fd: i32, mount: u32, below: &[u8], epoch: u32) {
        let known = origin(fd).filter(|(cursor, _)| self.may_be_base(*cursor)).zip(self.directories);
        if let Some((_, directories)) = known {
            let key = directory_hash(mount, below) | 1;
            directories.set_plain(other_sides(key), epoch);
            note_own_origin(fd, key);
        }
    }

    /// Whether a descriptor is known to be of the lowest layer's side of a directory of a union.
    pub(in crate::files) fn is_lowest(&self, dirfd: i32) -> bool {
        origin(dirfd).is_some_and(|(cursor, word)| word & 1 != 0 && self.may_be_base(cursor))
    }

    /// Notes what has been opened by such a name, without a link.
    fn opened_in_base(&self, fd: i32, path: *const u8, found: &InBase, flags: i32) {
        let (start, len) = found.name;
        // SAFETY: the path that has been read.
        let name = unsafe { core::slice::from_raw_parts(path.add(start), len) };
        let Some(directories) = self.directories else { return };
        let epoch = directories.epoch();
        let is_dot = name == b".";
        let cursor = found.directory;
        // SAFETY: as above.
        let way = unsafe { core::slice::from_raw_parts(path, found.way) };
        let names = scan::components(way).count() as u32 + u32::from(!is_dot);
        let below = (cursor.below + names).min(Cursor::DEEP);
        self.note_directory(fd, Some(Cursor { below, ..cursor }));
        // Most of what a walk through a tree opens otherwise are files, which would take the directories' places in the table.
        if flags & (libc::O_DIRECTORY | libc::O_PATH) == 0 {
            return;
        }
        let key = if is_dot { found.key } else { key_below(found.key, name) };
        // As long as the directory above is in the lowest layer alone, so is what is in it.
        if directories.is_plain(found.key) {
            directories.set_plain(key, epoch);
            note_origin(fd, key);
        }
    }

    /// Notes what has been opened by its host path, in a directory that the lowest layer alone has.
    #[inline(never)]
    pub(in crate::files) fn opened_base(&self, fd: i32, mount: u32, host: &[u8]) {
        let Some(directories) = self.directories else { return };
        let below = self.union(mount).and_then(|union| host.strip_prefix(union.layer(0)));
        // A directory may have been named with a slash behind it.
        let Some(below) = below.map(|below| below.strip_suffix(b"/").unwrap_or(below)) else { return };
        if below.last() == Some(&b'/') {
            return;
        }
        let epoch = directories.epoch();
        let above = super::parent(below);
        let key = directory_hash(mount, below) | 1;
        if directories.is_plain(directory_hash(mount, above)) {
            directories.set_plain(key, epoch);
            note_origin(fd, key);
        }
    }

    /// Notes what has been opened by its path below a union's root, of which it was found in an epoch that the lowest
    /// layer alone has it.
    pub(in crate::files) fn opened_base_below(&self, fd: i32, mount: u32, below: &[u8], epoch: u32) {
        if let Some(directories) = self.directories {
            let key = directory_hash(mount, below) | 1;
            directories.set_plain(key, epoch);
            note_origin(fd, key);
        }
    }

    /// Whether a directory has been noted as one that the lowest layer alone has, and has
    /// nothing mounted in it: the kernel's own listing is right.
    pub(in crate::files) fn is_noted_base_directory(&self, dirfd: i32) -> bool {
        let noted = origin(dirfd).filter(|(cursor, word)| word & 1 != 0 && self.may_be_base(*cursor));
        noted.zip(self.directories).is_some_and(|((_, word), directories)| directories.is_plain(word))
    }

    /// Opens a name to read it. None: that takes a walk.
    pub(in crate::files) fn open_in_base(
        &self,
        dirfd: i32,
        path: *const u8,
        how: &kernel::OpenHow,
    ) -> Option<Result<i32, crate::Errno>> {
        let follows_none = how.resolve & kernel::RESOLVE_NO_SYMLINKS != 0;
        let found = self.name_in_base(dirfd, path, follows_none)?;
        let opened = kernel::openat2(dirfd, path, how);
        if let Ok(fd) = opened {
            if super::super::is_worth_knowing(how.flags as i32) {
                self.opened_in_base(fd, path, &found, how.flags as i32);
            } else {
                super::super::note_open(fd);
            }
        }
        Some(opened)
    }
}
