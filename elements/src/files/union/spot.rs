//! A name in a directory of the write layer, held by a descriptor of the directory.
//!
//! Other processes rename directories at any time, so a path that has been walked
//! may lead elsewhere by the time of the call that makes or takes away a name. A
//! descriptor goes with its directory. What a directory of the write layer is merged with
//! never changes from the moment on that it is made: as long as it has no redirect it
//! keeps its place, and it gets one before it is moved. So it is enough to know
//! once, when the descriptor is opened, that it is of the directory that was walked to.

use super::super::MAX_PATH;
use super::super::namei::Walk;
use super::super::place::Scratch;
use super::super::text::Text;
use super::upper::Times;
use super::{LOST, Position, Union, is_whiteout, parent, xattr};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD, OpenHow, RESOLVE_NO_SYMLINKS};

/// Where a name is, or will be, in the write layer.
pub(super) struct Spot {
    /// The directory (`O_PATH`); `AT_FDCWD` for the root of the layer.
    dir: i32,
    /// Whether the descriptor is another spot's.
    is_lent: bool,
    /// The name; the root's whole path.
    name: Text<MAX_PATH>,
}

impl Drop for Spot {
    fn drop(&mut self) {
        if self.dir != AT_FDCWD && !self.is_lent {
            kernel::close(self.dir);
        }
    }
}

impl Spot {
    /// Nowhere yet. In place: what has not been written to is not to be copied either.
    #[inline(always)]
    pub(super) fn new() -> Spot {
        Spot { dir: AT_FDCWD, is_lent: false, name: Text::new() }
    }

    /// What calls with a descriptor and a path take.
    pub(super) fn end(&mut self) -> (i32, *const u8) {
        (self.dir, self.name.as_ptr())
    }

    /// The same with a slash after the name.
    pub(super) fn end_with_slash(&mut self) -> Result<(i32, *const u8), Errno> {
        self.name.push(b"/")?;
        let end = self.end();
        self.name.truncate(self.name.len() - 1);
        Ok(end)
    }

    /// What is there.
    pub(super) fn stat(&mut self) -> Result<Option<libc::stat>, Errno> {
        let (dir, name) = self.end();
        match kernel::fstatat(dir, name, libc::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a whiteout is there.
    pub(super) fn is_gone(&mut self) -> Result<bool, Errno> {
        Ok(self.stat()?.is_some_and(|stat| is_whiteout(&stat)))
    }

    /// What the directory itself says.
    pub(super) fn stat_directory(&self) -> Result<libc::stat, Errno> {
        kernel::fstatat(self.dir, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)
    }

    /// A path of the directory, for calls that take no descriptor of this kind.
    pub(super) fn directory_path(&self) -> Result<Text<64>, Errno> {
        by_number(self.dir)
    }

    /// Whether the directory is opaque.
    pub(super) fn is_in_opaque(&self) -> bool {
        let path = self.directory_path().and_then(|mut path| path.push(b"/.").map(|()| path));
        self.dir != AT_FDCWD && path.is_ok_and(|mut path| xattr::is_opaque(path.as_ptr()))
    }

    /// The directory's times, before something is copied up into it: that a program
    /// has not changed it, they must show.
    pub(super) fn keep_times(&self) -> Result<Option<Times>, Errno> {
        if self.dir == AT_FDCWD { Ok(None) } else { self.stat_directory().map(|stat| Some(Times::of(&stat))) }
    }

    /// Sets them back.
    pub(super) fn restore_times(&self, times: &Times) {
        if let Ok(mut path) = self.directory_path() {
            let _ = kernel::utimensat(AT_FDCWD, path.as_ptr(), times.as_array(), 0);
        }
    }
}

/// A directory that its owner may do all with meanwhile. It gets its mode back, if it stays.
pub(super) struct LookedInto {
    dir: i32,
    mode: u32,
}

impl LookedInto {
    fn set(&self, mode: u32) -> Result<(), Errno> {
        kernel::chmod(by_number(self.dir)?.as_ptr(), mode)
    }
}

impl Drop for LookedInto {
    fn drop(&mut self) {
        let _ = self.set(self.mode);
        kernel::close(self.dir);
    }
}

/// The name that a descriptor's file has in /proc.
pub(super) fn by_number(fd: i32) -> Result<Text<64>, Errno> {
    let mut path = Text::new();
    path.push(b"/proc/self/fd/")?;
    path.push_decimal(fd.unsigned_abs())?;
    Ok(path)
}

impl Union<'_> {
    /// Lets the owner of a directory of the write layer look into it.
    pub(super) fn look_into(&self, at: &Position, below: &[u8]) -> Result<LookedInto, Errno> {
        let mut spot = Spot::new();
        self.hold(&mut spot, at, below)?;
        let (dir, name) = spot.end();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let dir = kernel::openat(dir, name, flags, 0).map_err(|_| LOST)?;
        let looked_into = match kernel::fstatat(dir, c"".as_ptr().cast(), libc::AT_EMPTY_PATH) {
            Ok(stat) => LookedInto { dir, mode: stat.st_mode & 0o7777 },
            Err(errno) => {
                kernel::close(dir);
                return Err(errno);
            }
        };
        looked_into.set(looked_into.mode | 0o700).map_err(|_| Errno::EACCES)?;
        Ok(looked_into)
    }

    /// Makes a new spot that of a name that a walk has come to. Its directory gets its side in
    /// the write layer first, if need be.
    ///
    /// # Errors
    ///
    /// [`LOST`] where something has moved meanwhile, `EROFS` where there is no write
    /// layer, and what stands in the way of the directory's copy.
    #[inline(never)]
    pub(super) fn hold(&self, spot: &mut Spot, at: &Position, below: &[u8]) -> Result<(), Errno> {
        if below.is_empty() {
            return spot.name.push(self.layer(self.writable()?));
        }
        let above = parent(below);
        spot.name.push(below.get(above.len() + 1..).unwrap_or(&[]))?;
        spot.dir = match self.open_upper(above) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                self.ensure_upper(above)?;
                self.open_upper(above).map_err(|_| LOST)
            }
            opened => opened,
        }?;
        if self.is_quiet_since(at) || self.is_directory_of(spot, at, above)? { Ok(()) } else { Err(LOST) }
    }

    /// The same of a name in a directory that stands in its place, with a side in the write layer. False: nothing is
    /// held, since something has moved meanwhile.
    pub(super) fn hold_in(&self, spot: &mut Spot, at: &Position, below: &[u8]) -> Result<bool, Errno> {
        let above = parent(below);
        let Ok(dir) = self.open_upper(above) else { return Ok(false) };
        spot.dir = dir;
        spot.name.push(below.get(above.len() + 1..).unwrap_or(&[]))?;
        Ok(self.is_quiet_since(at))
    }

    /// The same of a name in the directory of another spot, which was opened after the walk to this one.
    /// False: nothing is held, since directories have been moved meanwhile.
    pub(super) fn hold_beside(
        &self,
        spot: &mut Spot,
        other: &Spot,
        at: &Position,
        below: &[u8],
    ) -> Result<bool, Errno> {
        if !self.is_quiet_since(at) {
            return Ok(false);
        }
        spot.name.push(below.get(parent(below).len() + 1..).unwrap_or(&[]))?;
        (spot.dir, spot.is_lent) = (other.dir, true);
        Ok(true)
    }

    /// Opens a directory's side in the write layer.
    fn open_upper(&self, below: &[u8]) -> Result<i32, Errno> {
        let mut path = Scratch::new();
        let path = self.upper_path(below, &mut path)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let how = OpenHow { flags: flags as u64, mode: 0, resolve: RESOLVE_NO_SYMLINKS };
        match kernel::openat2_at_once(AT_FDCWD, path.as_ptr(), &how) {
            // A link has taken a directory's place.
            Err(Errno::ELOOP) => Err(Errno::ENOTDIR),
            opened => opened,
        }
    }

    /// Whether a second walk, made after the descriptor was opened, comes to the
    /// same: for when directories are being moved.
    #[cold]
    fn is_directory_of(&self, spot: &Spot, at: &Position, above: &[u8]) -> Result<bool, Errno> {
        let mut walk = Walk::new();
        self.instance.walk_union(&mut walk, self.id, above)?;
        let again = &walk.position;
        let is_merged = !(at.above & self.lower()).is_empty();
        let same_below = again.sides & self.lower() == at.above & self.lower()
            && (!is_merged || again.sides_below() == parent(at.lower.bytes()));
        let mut path = Scratch::new();
        let path = self.upper_path(above, &mut path)?;
        let there = kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW);
        let held = spot.stat_directory()?;
        Ok(again.is_dir()
            && same_below
            && there.is_ok_and(|there| (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)))
    }
}
