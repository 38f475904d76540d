//! Opening what a union has under a name, or makes under it.

use core::ffi::CStr;

use super::super::glance::Start;
use super::super::namei::Walk;
use super::super::note_open;
use super::super::open::{how, writes};
use super::super::place::{Place, Scratch};
use super::super::plain::PlainScratch;
use super::copy_up::Data;
use super::may::may;
use super::spot::Spot;
use super::{Union, is_whiteout};
use crate::kernel::{self, AT_FDCWD, OpenHow, RESOLVE_NO_SYMLINKS};
use crate::shared::Layers;
use crate::{Errno, Instance, process};

impl Instance<'_> {
    /// Opens what a walk has come to in a union, as openat2(2) would the path.
    /// None: it has changed meanwhile; walk again. `resolve` is of no more use: the
    /// walk has done it.
    #[inline(never)]
    pub(in crate::files) fn open_in_union(
        &self,
        walk: &Walk,
        slash: bool,
        how: &OpenHow,
        scratch: &mut Scratch,
    ) -> Result<Option<i32>, Errno> {
        let union = self.union(self.view.region(walk.cursor.node)).ok_or(Errno::ESTALE)?;
        Open { union, walk, slash, flags: how.flags as i32, mode: how.mode as u32 }.open(scratch)
    }

    /// Opens what has a plain path in a directory of a union with two sides, to read, or what the write layer
    /// has there to write. None: that takes a walk.
    pub(in crate::files) fn open_one_of_two(
        &self,
        start: Start,
        path: *const u8,
        flags: i32,
        mode: u32,
    ) -> Option<Result<i32, Errno>> {
        if flags & (libc::O_PATH | libc::O_CREAT) != 0 {
            return None;
        }
        let writes = writes(flags);
        if flags & libc::O_TMPFILE != 0 {
            return if writes { None } else { self.open_known_directory(start, path, flags).map(Ok) };
        }
        let mut scratch = [PlainScratch::new(), PlainScratch::new()];
        let (higher, lower) = self.two_places(path, start, &mut scratch)?;
        let open =
            |place: &Place| kernel::openat2(place.dirfd, place.path, &how(flags, mode, RESOLVE_NO_SYMLINKS));
        let opened = match (open(&higher), &lower) {
            (Err(Errno::ENOENT), Some(lower)) if !writes => match open(lower) {
                Err(errno) if errno != Errno::ENOENT => return None,
                opened => opened,
            },
            (Err(Errno::ENOENT), None) => Err(Errno::ENOENT),
            (Err(_), _) => return None,
            // No directory, or one with a single side.
            (Ok(fd), lower) if writes || lower.is_none() => Ok(fd),
            (Ok(fd), _) => {
                let stat = kernel::fstatat(fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH);
                // A directory is known by another side.
                if stat.is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR) {
                    kernel::close(fd);
                    return None;
                }
                Ok(fd)
            }
        };
        if let Ok(fd) = opened {
            note_open(fd);
        }
        Some(opened)
    }

    /// Opens a directory of which the table knows the sides, by the lowest. None: that takes a walk.
    #[inline(never)]
    fn open_known_directory(&self, start: Start, path: *const u8, flags: i32) -> Option<i32> {
        let epoch = self.directories?.epoch();
        let (mount, below) = self.plain_in_union(path, start)?;
        let union = self.union(mount)?;
        let sides = union.known(below)?;
        let lowest = sides.lowest().filter(|lowest| Some(*lowest) != union.top())?;
        let mut scratch = Scratch::new();
        let host = union.host_path(lowest, below, &mut scratch).ok()?;
        let fd = kernel::openat2(AT_FDCWD, host.as_ptr(), &how(flags, 0, RESOLVE_NO_SYMLINKS)).ok()?;
        self.opened_without_links(AT_FDCWD, path, flags, fd);
        if sides == Layers::LOWEST {
            self.opened_base_below(fd, mount, below, epoch);
        } else if !process::is_borrower() {
            // SAFETY: the path has been read, and is plain: it is the directory's own.
            let app = unsafe { CStr::from_ptr(path.cast()) }.to_bytes();
            self.keep_path(fd, app.strip_suffix(b"/").unwrap_or(app), epoch);
            if lowest == 0 {
                self.note_lowest(fd, mount, below, epoch);
            }
        }
        Some(fd)
    }

    /// Walks and opens, until nobody interferes.
    pub(in crate::files) fn open_again<T>(
        &self,
        attempt: impl FnMut() -> Result<Option<T>, Errno>,
    ) -> Result<T, Errno> {
        self.again_and_again(attempt)
    }
}

/// Whether a path of the write layer leads to something of another kind by now, to a whiteout or to nothing.
pub(super) fn is_other_at(path: &mut Scratch, kind: u32) -> bool {
    match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => is_whiteout(&stat) || stat.st_mode & libc::S_IFMT != kind,
        Err(errno) => errno == Errno::ENOENT,
    }
}

struct Open<'w, 'i> {
    union: Union<'i>,
    walk: &'w Walk,
    slash: bool,
    flags: i32,
    mode: u32,
}

impl Open<'_, '_> {
    fn below(&self) -> &[u8] {
        self.union.below(self.walk.app.bytes())
    }

    fn makes(&self) -> bool {
        self.flags & libc::O_CREAT != 0 && self.flags & libc::O_PATH == 0
    }

    fn is_unnamed(&self) -> bool {
        self.flags & libc::O_TMPFILE == libc::O_TMPFILE && self.flags & libc::O_PATH == 0
    }

    fn writes(&self) -> bool {
        self.flags & libc::O_PATH == 0
            && (matches!(self.flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
                || self.flags & libc::O_TRUNC != 0)
    }

    fn open(&self, scratch: &mut Scratch) -> Result<Option<i32>, Errno> {
        let (at, union) = (&self.walk.position, &self.union);
        if at.sides.is_empty() {
            return if self.makes() { self.make(scratch) } else { Err(Errno::ENOENT) };
        }
        if self.makes() && self.flags & libc::O_EXCL != 0 {
            return Err(Errno::EEXIST);
        }
        if at.is_dir() && self.is_unnamed() {
            union.writable()?;
            self.may_make_in()?;
            union.ensure_upper(self.below())?;
            return self.call(union.top(), scratch).map(Some);
        }
        let here = at.sides.highest();
        if at.is_dir() {
            // A directory is known by its lowest side, which it keeps for ever. One
            // that has been renamed has its own name in the write layer alone.
            let side =
                if at.is_moved || !at.redirect.is_empty() { union.top().or(here) } else { at.sides.lowest() };
            if side == union.top() {
                union.ensure_upper(self.below())?;
            }
            return match self.call(side, scratch) {
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENXIO) if side == union.top() => Ok(None),
                done => done.map(Some),
            };
        }
        if at.kind != libc::S_IFREG || !self.writes() {
            return match self.call(here, scratch) {
                Err(Errno::ENOENT) if here == union.top() => Ok(None),
                // What has no reader, or no driver, or is a whiteout by now.
                Err(Errno::ENXIO) if here == union.top() && is_other_at(scratch, at.kind) => Ok(None),
                done => done.map(Some),
            };
        }
        if self.slash || self.flags & libc::O_DIRECTORY != 0 {
            return Err(Errno::ENOTDIR);
        }
        union.writable()?;
        if here != union.top() {
            self.may_write(here)?;
            let data = if self.flags & libc::O_TRUNC != 0 { Data::None } else { Data::All };
            union.copy_up(at, self.below(), data)?;
        }
        match self.call(union.top(), scratch) {
            // Renamed or taken away meanwhile.
            Err(Errno::ENOENT | Errno::ENXIO) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Whether the program may open a file that has no copy in the write layer yet.
    fn may_write(&self, here: Option<usize>) -> Result<(), Errno> {
        let Some(here) = here else { return Err(Errno::ENOENT) };
        if self.union.is_roots() {
            return Ok(());
        }
        let rights = match self.flags & libc::O_ACCMODE {
            libc::O_RDONLY | libc::O_RDWR => libc::R_OK | libc::W_OK,
            _ => libc::W_OK,
        };
        let mut path = Scratch::new();
        let path = self.union.host_path(here, self.walk.position.lower.bytes(), &mut path)?;
        may(path, rights)
    }

    /// Whether the program may make a file in a directory that has no side in the write layer yet.
    fn may_make_in(&self) -> Result<(), Errno> {
        let (at, union) = (&self.walk.position, &self.union);
        let Some(here) = at.sides.highest().filter(|here| Some(*here) != union.top()) else { return Ok(()) };
        if union.is_roots() {
            return Ok(());
        }
        let mut path = Scratch::new();
        let path = union.host_path(here, at.path_in(union, here, self.below()), &mut path)?;
        may(path, libc::W_OK | libc::X_OK)
    }

    /// The open itself, in a layer. The path has been walked, so a link in the
    /// last place is one that the program wants.
    fn call(&self, layer: Option<usize>, scratch: &mut Scratch) -> Result<i32, Errno> {
        let layer = layer.ok_or(Errno::ENOENT)?;
        let below = self.walk.position.path_in(&self.union, layer, self.below());
        let path = self.union.host_path(layer, below, scratch)?;
        if self.slash {
            path.push(b"/")?;
        }
        self.open_at(AT_FDCWD, path.as_ptr())
    }

    /// The flags that a program is told of (fcntl(2), `F_GETFL`) are its own, so it is not told the kernel by
    /// `O_NOFOLLOW` that no link is to be followed.
    fn open_at(&self, dir: i32, path: *const u8) -> Result<i32, Errno> {
        match kernel::openat2(dir, path, &how(self.flags, self.mode, RESOLVE_NO_SYMLINKS)) {
            // An old kernel, or a filter.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                kernel::openat(dir, path, self.flags | libc::O_NOFOLLOW, self.mode)
            }
            opened => opened,
        }
    }

    fn make(&self, scratch: &mut Scratch) -> Result<Option<i32>, Errno> {
        let (at, union) = (&self.walk.position, &self.union);
        if self.flags & libc::O_DIRECTORY != 0 {
            return Err(Errno::EINVAL);
        }
        union.writable()?;
        union.may_change_names(at, self.below())?;
        let mut spot = Spot::new();
        union.hold(&mut spot, at, self.below())?;
        union.upper_path(self.below(), scratch)?;
        if !at.is_gone {
            let (dir, name) = if self.slash { spot.end_with_slash()? } else { spot.end() };
            return match self.open_at(dir, name) {
                // A whiteout, or a link, has come meanwhile, and may have gone again.
                Err(errno @ (Errno::ENXIO | Errno::EACCES | Errno::EEXIST | Errno::ELOOP)) => {
                    match spot.stat()? {
                        None if errno == Errno::EACCES => return Err(errno),
                        Some(stat) if self.flags & libc::O_EXCL != 0 && !is_whiteout(&stat) => {
                            return Err(Errno::EEXIST);
                        }
                        _ => Ok(None),
                    }
                }
                // The directory has been taken away.
                Err(Errno::ENOENT) => Ok(None),
                done => done.map(Some),
            };
        }
        let mut draft = Scratch::new();
        let drafted = union.draft_for(&spot, &mut draft)?;
        // Nor does this follow a link.
        let flags = self.flags | libc::O_EXCL;
        let placed = kernel::openat(AT_FDCWD, draft.as_ptr(), flags, self.mode).and_then(|file| {
            let placed = union
                .as_if_made_in(&mut draft, &spot)
                .and_then(|_| union.replace_whiteout(&mut draft, &mut spot));
            if placed != Ok(true) {
                kernel::close(file);
                union.discard(&mut draft);
            }
            Ok(placed?.then_some(file))
        });
        union.drafted(drafted, &mut draft);
        placed
    }
}
