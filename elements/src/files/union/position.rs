//! Where a walk stands in a union, and the step from a directory to a name in it.

use super::super::MAX_PATH;
use super::super::owners::Reached;
use super::super::plain::PlainScratch;
use super::super::text::Text;
use super::{Settled, Told, Union, is_whiteout, xattr};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::{Directories, Layers, directory_hash};

/// A place in a union: a directory, another file, or a name that nothing has.
pub(in crate::files) struct Position {
    /// The layers that have what is here: of a directory, all of its sides; of
    /// another file, the one whose it is; none where nothing is here.
    pub sides: Layers,
    /// The sides of the directory that it is in.
    pub above: Layers,
    /// What kind of file is here (`S_IFMT`).
    pub kind: u32,
    /// Whether the write layer says that the name is gone.
    pub is_gone: bool,
    /// When the walk began, if no directory was being moved then ([`crate::shared::Directories::quiet`]).
    pub moment: Option<u32>,
    /// Whether layers below know the directory under another name than the app.
    pub is_moved: bool,
    /// The path below the layers' roots, in all but the write layer.
    pub lower: Text<MAX_PATH>,
    /// The same of the directory's sides below, where it has been renamed; or nothing.
    pub redirect: Text<MAX_PATH>,
}

impl Position {
    /// Nowhere.
    pub fn new() -> Position {
        Position {
            sides: Layers::NONE,
            above: Layers::NONE,
            kind: 0,
            is_gone: false,
            moment: None,
            is_moved: false,
            lower: Text::new(),
            redirect: Text::new(),
        }
    }

    /// Whether a directory is here.
    pub fn is_dir(&self) -> bool {
        !self.sides.is_empty() && self.kind == libc::S_IFDIR
    }

    /// Whether a directory is here that all layers know under the name that the app knows.
    pub(in crate::files) fn is_in_its_place(&self) -> bool {
        self.is_dir() && !self.has_own_name()
    }

    /// Forgets where it was, before the table is asked where it is to be.
    pub(in crate::files) fn begin(&mut self, union: &Union<'_>) {
        self.redirect.truncate(0);
        self.is_moved = false;
        self.moment = union.quiet();
    }

    /// Goes from such a directory to one below it, of which the table has the sides.
    pub(in crate::files) fn stand(&mut self, below: &[u8], sides: Layers) -> Result<(), Errno> {
        self.lower.truncate(0);
        self.lower.push(below)?;
        (self.sides, self.above, self.kind, self.is_gone) = (sides, Layers::NONE, libc::S_IFDIR, false);
        Ok(())
    }

    /// Whether a directory has its name in the write layer alone, because it has been
    /// renamed, or one above it.
    pub(in crate::files) fn has_own_name(&self) -> bool {
        self.is_moved || !self.redirect.is_empty()
    }

    /// The layer whose inode a directory with several sides has.
    pub fn identity(&self) -> Option<usize> {
        let is_merged = self.is_dir() && self.sides.count() > 1;
        if is_merged && !self.has_own_name() { self.sides.lowest() } else { None }
    }

    /// The same position once more.
    pub(super) fn again(&self) -> Result<Position, Errno> {
        let mut copy = Position::new();
        copy.lower.push(self.lower.bytes())?;
        copy.redirect.push(self.redirect.bytes())?;
        (copy.sides, copy.above, copy.kind) = (self.sides, self.above, self.kind);
        (copy.is_gone, copy.is_moved, copy.moment) = (self.is_gone, self.is_moved, self.moment);
        Ok(copy)
    }

    /// The path of the directory's sides in the layers below.
    pub(super) fn sides_below(&self) -> &[u8] {
        if self.redirect.is_empty() { self.lower.bytes() } else { self.redirect.bytes() }
    }

    /// The path of what is here, in a layer. `below` is the one in the write layer.
    pub(super) fn path_in<'p>(&'p self, union: &Union<'_>, layer: usize, below: &'p [u8]) -> &'p [u8] {
        if Some(layer) == union.top() {
            below
        } else if self.kind == libc::S_IFDIR {
            self.sides_below()
        } else {
            self.lower.bytes()
        }
    }
}

/// What lower layers have under a name, which stays the same: that they have nothing to be hidden, or something.
#[derive(Clone, Copy)]
struct Cover {
    is_missing: Settled,
    is_there: Settled,
}

impl Union<'_> {
    /// Stands at the union's root.
    pub fn enter_root(&self, at: &mut Position) -> Result<(), Errno> {
        at.begin(self);
        at.lower.truncate(0);
        at.is_gone = false;
        at.above = Layers::NONE;
        at.kind = libc::S_IFDIR;
        if let Some(sides) = self.known(&[]) {
            at.sides = sides;
            return Ok(());
        }
        let epoch = self.epoch();
        at.sides = self.lower();
        if let Some(top) = self.top() {
            let mut path = Text::<MAX_PATH>::new();
            path.push(self.layer(top))?;
            match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
                Ok(_) => at.sides |= Layers::of(top),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.remember(&[], at.sides, epoch);
        Ok(())
    }

    /// Goes from a directory to a name in it. `below` is the name's path below
    /// the union's root.
    ///
    /// # Errors
    ///
    /// `ENOENT` or `ENOTDIR` where no directory is here, and the kernel's own.
    pub fn enter(&self, at: &mut Position, below: &[u8], name: &[u8]) -> Result<(), Errno> {
        if at.sides.is_empty() {
            return Err(Errno::ENOENT);
        }
        if at.kind != libc::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        if !at.redirect.is_empty() {
            at.lower.truncate(0);
            at.lower.push(at.redirect.bytes())?;
            at.redirect.truncate(0);
            at.is_moved = true;
        }
        at.lower.push(b"/")?;
        at.lower.push(name)?;
        at.above = at.sides;
        at.is_gone = false;
        if !at.is_moved
            && let Some(sides) = self.known(below)
        {
            at.sides = sides;
            return Ok(());
        }
        let epoch = self.epoch();
        self.find(at, below)?;
        if at.is_dir() && !at.is_moved && at.redirect.is_empty() {
            self.remember(below, at.sides, epoch);
        }
        Ok(())
    }

    /// Writes the host path of what is here: of a directory, its highest side's,
    /// and where nothing is, the one that it would get.
    pub fn write_host(&self, at: &Position, below: &[u8], host: &mut Text<MAX_PATH>) -> Result<(), Errno> {
        let layer = at.sides.highest().or(self.top()).unwrap_or(0);
        host.truncate(0);
        host.push(self.layer(layer))?;
        host.push(at.path_in(self, layer, below))
    }

    /// What the program is told of what is here: of a directory with several sides, what the
    /// highest says, but for its inode.
    pub(super) fn stat(&self, at: &Position, below: &[u8]) -> Result<libc::stat, Errno> {
        let mut path = Text::<MAX_PATH>::new();
        self.write_host(at, below, &mut path)?;
        let mut stat = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        if let Some(layer) = at.identity() {
            path.truncate(0);
            path.push(self.layer(layer))?;
            path.push(at.path_in(self, layer, below))?;
            let known_by = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
            (stat.st_dev, stat.st_ino) = (known_by.st_dev, known_by.st_ino);
            stat.st_nlink = 1;
        } else {
            let reached = Reached::Place(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW);
            self.instance.show_origin(&raw mut stat, reached);
        }
        Ok(stat)
    }

    /// Finds out what is at the position, in the sides of the directory above.
    fn find(&self, at: &mut Position, below: &[u8]) -> Result<(), Errno> {
        let among = at.above;
        at.sides = Layers::NONE;
        at.kind = 0;
        let mut path = Text::<MAX_PATH>::new();
        let mut missing = None;
        for layer in among.downwards() {
            let is_top = Some(layer) == self.top();
            if !is_top && missing.is_none() {
                missing = self.missing(among & self.lower(), at.lower.bytes());
                if missing.is_some_and(Told::is_known) {
                    return Ok(());
                }
            }
            path.truncate(0);
            path.push(self.layer(layer))?;
            path.push(if is_top { below } else { at.lower.bytes() })?;
            let stat = match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                Err(errno) => return Err(errno),
            };
            if is_whiteout(&stat) {
                at.is_gone = is_top;
                return Ok(());
            }
            let kind = stat.st_mode & libc::S_IFMT;
            if !at.sides.is_empty() && kind != libc::S_IFDIR {
                return Ok(());
            }
            at.kind = kind;
            at.sides |= Layers::of(layer);
            let is_last = among.lowest() == Some(layer);
            if kind != libc::S_IFDIR || (is_last && !is_top) || xattr::is_opaque(path.as_ptr()) {
                return Ok(());
            }
            if is_top && self.read_redirect(at, path.as_ptr())? {
                let mut redirect = Text::<MAX_PATH>::new();
                redirect.push(at.redirect.bytes())?;
                at.sides |= self.sides_of_lower(redirect.bytes())?;
                return Ok(());
            }
        }
        if let Some(missing) = missing.filter(|_| (at.sides & self.lower()).is_empty()) {
            missing.note();
        }
        Ok(())
    }

    /// Reads the redirect of the write layer's directory at a host path.
    fn read_redirect(&self, at: &mut Position, host: *const u8) -> Result<bool, Errno> {
        let mut said = Text::<MAX_PATH>::new();
        if !xattr::redirect(host, &mut said) {
            return Ok(false);
        }
        at.redirect.truncate(0);
        if said.bytes().first() != Some(&b'/') {
            // A name beside its own.
            at.redirect.push(super::parent(at.lower.bytes()))?;
            at.redirect.push(b"/")?;
        }
        at.redirect.push(said.bytes())?;
        Ok(true)
    }

    /// The sides that a directory has in the layers that never change.
    fn sides_of_lower(&self, below: &[u8]) -> Result<Layers, Errno> {
        let mut among = self.lower();
        let mut walked = Text::<MAX_PATH>::new();
        let mut path = Text::<MAX_PATH>::new();
        for name in super::super::scan::components(below) {
            walked.push(b"/")?;
            walked.push(name)?;
            let mut sides = Layers::NONE;
            for layer in among.downwards() {
                path.truncate(0);
                path.push(self.layer(layer))?;
                path.push(walked.bytes())?;
                match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
                    Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                        sides |= Layers::of(layer);
                        if Some(layer) != among.lowest() && xattr::is_opaque(path.as_ptr()) {
                            break;
                        }
                    }
                    Ok(_) => break,
                    Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            among = sides;
        }
        Ok(among)
    }

    /// Whether the layers that never change have something at the position
    /// which the write layer must hide where it has nothing of its own there.
    pub(super) fn is_covered(&self, at: &Position) -> Result<bool, Errno> {
        self.has_below(at.above & self.lower(), at.lower.bytes())
    }

    /// The same of the name at the end of a path in layers that never change.
    pub(super) fn has_below(&self, layers: Layers, lower: &[u8]) -> Result<bool, Errno> {
        let cover = self.cover(layers, lower);
        if let Some(cover) = cover {
            if cover.is_missing.is_known() {
                return Ok(false);
            }
            if cover.is_there.is_known() {
                return Ok(true);
            }
        }
        let mut is_there = false;
        let mut path = Text::<MAX_PATH>::new();
        for layer in layers.downwards() {
            path.truncate(0);
            path.push(self.layer(layer))?;
            path.push(lower)?;
            match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    is_there = !is_whiteout(&stat);
                    break;
                }
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if let Some(cover) = cover {
            if is_there { cover.is_there } else { cover.is_missing }.note();
        }
        Ok(is_there)
    }

    /// Whether nothing is at a path below the union's root, of which the table has no sides, since a directory on the way, or what is
    /// there, is missing: as far as is known, and the write layer's directory tells.
    pub(in crate::files) fn is_known_absent(&self, below: &[u8]) -> bool {
        let Some(mut sides) = self.known(&[]) else { return false };
        let ends = (1..=below.len()).filter(|end| below.get(*end).is_none_or(|byte| *byte == b'/'));
        for name in ends.filter_map(|end| below.get(..end)) {
            if let Some(known) = self.known(name) {
                sides = known;
                continue;
            }
            let Some(missing) = self.missing(sides & self.lower(), name) else { return false };
            if !missing.is_known()
                && (sides & self.lower() != Layers::LOWEST || !self.lowest_is_without(name, missing))
            {
                return false;
            }
            let Some(top) = self.top().filter(|top| sides.has(*top)) else { return true };
            let mut path = Text::<MAX_PATH>::new();
            let written = path.push(self.layer(top)).and_then(|()| path.push(name));
            return written.is_ok()
                && kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).err()
                    == Some(Errno::ENOENT);
        }
        false
    }

    /// Asks the lowest layer whether a name is missing in a directory of which the table knows that no other layer below has it.
    #[inline(never)]
    fn lowest_is_without(&self, below: &[u8], missing: Told) -> bool {
        let mut path = PlainScratch::new();
        let written = path.push(self.layer(0)).and_then(|()| path.push(below));
        let is_missing = written.is_ok()
            && kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW).err()
                == Some(Errno::ENOENT);
        if is_missing {
            missing.note();
        }
        is_missing
    }

    /// What this process may know of layers that never change, under the name at the end of a path.
    fn cover(&self, layers: Layers, lower: &[u8]) -> Option<Cover> {
        let hash = self.hash_in(layers, lower);
        let settled = |salt: u64| self.instance.settled(hash ^ salt);
        Some(Cover { is_missing: settled(0x6d69_7373_696e_6700)?, is_there: settled(0x636f_7665_7265_6400)? })
    }

    /// That they have nothing there, as the kernel has told it, who knows whether this process may search the directories above.
    fn missing(&self, layers: Layers, lower: &[u8]) -> Option<Told> {
        self.instance.told(self.hash_in(layers, lower) ^ 0x746f_6c64_206e_6f20)
    }

    fn hash_in(&self, layers: Layers, lower: &[u8]) -> u64 {
        let mix = |hash: u64, word: &u64| hash.rotate_left(13) ^ word;
        layers.0.iter().fold(directory_hash(self.id, lower), mix)
    }

    /// The sides of a directory that the table knows.
    pub(in crate::files) fn known(&self, below: &[u8]) -> Option<Layers> {
        let sides = self.directories()?.sides(directory_hash(self.id, below))?;
        Some(sides & self.all())
    }

    fn epoch(&self) -> u32 {
        self.directories().map_or(0, Directories::epoch)
    }

    /// Tells the table of a directory's sides, as they were found in an epoch.
    fn remember(&self, below: &[u8], sides: Layers, epoch: u32) {
        let Some(directories) = self.directories() else { return };
        let hash = directory_hash(self.id, below);
        directories.set_sides(hash, &sides, epoch);
        if sides == Layers::LOWEST {
            directories.set_plain(hash, epoch);
        }
    }
}
