//! Where something in a layer is now, if it has been renamed, or a directory above it.
//!
//! A descriptor or a working directory in a layer that never changes says by which name that layer knows it, for ever.
//! A rename leaves a *redirect* on the directory's side in the write layer, which leads from the new name to the
//! layer's. Here it is read backwards: the write layer is searched for a redirect that leads to the name, or to a
//! directory above it, and what follows is walked to from there. What counts is what the walk comes to: a directory that
//! has taken the name since is another one.
//!
//! That takes a few calls for each directory of the write layer. It is done where a name does not lead to what
//! has it in the layer, and what is found, or that there is nothing, holds until a directory moves again.

use super::super::entries::{self, Record};
use super::super::namei::Walk;
use super::super::place::Scratch;
use super::super::scan;
use super::list::DIRECTORY;
use super::{Union, xattr};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::path_hash;
use crate::{Errno, Instance};

/// How many directories deep the write layer is searched.
const DEPTH: usize = 256;
/// How much of a directory is read at once: it is read on after each directory in it.
const ROOM: usize = 1024;
/// File systems that count in a directory's links what directories it has: ext2, ext3 and ext4, XFS, tmpfs.
const COUNTING: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];
/// How often it is searched while directories are being renamed.
const TRIES: u32 = 4;

/// A search through the directories of a write layer.
struct Search {
    /// The host path of where it is, and how much of that is the layer's own.
    path: Scratch,
    root: usize,
    /// Where the listings of the directories on the way go on.
    positions: [u64; DEPTH],
    depth: usize,
    /// Whether a directory's links count the directories in it, and two more.
    counts: bool,
    /// Whether there was something that could not be looked into.
    has_missed: bool,
}

impl Search {
    /// Goes on to the next directory. False: there is none.
    fn go_on(&mut self) -> bool {
        loop {
            match self.go_down() {
                Ok(true) => return true,
                Ok(false) => {}
                // It has gone meanwhile, or is none.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(_) => self.has_missed = true,
            }
            if self.depth == 0 {
                return false;
            }
            self.depth -= 1;
            let above = self.path.bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            self.path.truncate(above);
        }
    }

    /// Goes to the next directory in this one.
    fn go_down(&mut self) -> Result<bool, Errno> {
        let Some(position) = self.positions.get(self.depth).copied() else { return Err(Errno::ENAMETOOLONG) };
        if self.counts
            && position == 0
            && kernel::fstatat(AT_FDCWD, self.path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?.st_nlink == 2
        {
            return Ok(false);
        }
        let directory = match kernel::openat(AT_FDCWD, self.path.as_ptr(), DIRECTORY | libc::O_NOATIME, 0) {
            Err(Errno::EPERM) => kernel::openat(AT_FDCWD, self.path.as_ptr(), DIRECTORY, 0),
            opened => opened,
        }?;
        let found = entries::seek(directory, position).and_then(|_| self.find_directory(directory));
        kernel::close(directory);
        found
    }

    fn find_directory(&mut self, directory: i32) -> Result<bool, Errno> {
        let mut room = [0; ROOM];
        let is_directory = |entry: &Record<'_>| {
            matches!(entry.kind, libc::DT_DIR | libc::DT_UNKNOWN) && !matches!(entry.name, b"." | b"..")
        };
        loop {
            let len = kernel::getdents64(directory, &mut room)?;
            if len == 0 {
                return Ok(false);
            }
            for entry in entries::records(room.get(..len).unwrap_or(&[])).filter(is_directory) {
                let end = self.path.len();
                if self.path.push(b"/").and_then(|()| self.path.push(entry.name)).is_err() {
                    self.path.truncate(end);
                    self.has_missed = true;
                    continue;
                }
                if let Some(position) = self.positions.get_mut(self.depth) {
                    *position = entry.offset;
                }
                self.depth += 1;
                if let Some(position) = self.positions.get_mut(self.depth) {
                    *position = 0;
                }
                return Ok(true);
            }
        }
    }
}

impl Union<'_> {
    /// The layer that a host path lies in, and what follows that layer's own path.
    pub(super) fn side_at<'h>(&self, host: &'h [u8]) -> Option<(usize, &'h [u8])> {
        let is_below = |below: &&[u8]| below.first().is_none_or(|byte| *byte == b'/');
        (0..self.count)
            .find_map(|number| Some((number, host.strip_prefix(self.layer(number)).filter(is_below)?)))
    }

    /// Searches the write layer for what layers below know by a path. Says whether it is found, and whether all has
    /// been searched.
    #[inline(never)]
    fn search(&self, walk: &mut Walk, old: &[u8], is_it: &dyn Fn(&mut Walk) -> bool) -> (bool, bool) {
        let Some(top) = self.top().map(|top| self.layer(top)) else { return (false, true) };
        let mut search = Search {
            path: Scratch::new(),
            root: top.len(),
            positions: [0; DEPTH],
            depth: 0,
            counts: false,
            has_missed: false,
        };
        if search.path.push(top).is_err() {
            return (false, false);
        }
        if let Ok(root) = kernel::openat(AT_FDCWD, search.path.as_ptr(), DIRECTORY | libc::O_PATH, 0) {
            search.counts = kernel::file_system(root).is_ok_and(|kind| COUNTING.contains(&kind));
            kernel::close(root);
        }
        while search.go_on() {
            let mut redirect = Scratch::new();
            let may_lead =
                xattr::redirect(search.path.as_ptr(), &mut redirect) && may_lead_to(redirect.bytes(), old);
            let below = search.path.bytes().get(search.root..).unwrap_or(&[]);
            if may_lead && self.walk_from_redirect(walk, below, old).is_ok() && is_it(walk) {
                return (true, true);
            }
        }
        (false, !search.has_missed)
    }

    /// Stands at what layers below know by a path, where a directory of the write layer is merged with one on it.
    fn walk_from_redirect(&self, walk: &mut Walk, below: &[u8], old: &[u8]) -> Result<(), Errno> {
        self.instance.walk_union(walk, self.id, below)?;
        let rest = rest_after(walk.position.sides_below(), old).ok_or(Errno::ENOENT)?;
        scan::components(rest).try_for_each(|name| walk.enter(self.instance, name))
    }
}

/// What follows a directory's path in another path, by whole names.
fn rest_after<'p>(directory: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    path.strip_prefix(directory).filter(|rest| matches!(rest, [] | [b'/', ..]))
}

/// Whether a redirect may lead to a path, or to a directory above it. One that is a name, as the kernel
/// writes them, lies beside what is known by a walk alone.
fn may_lead_to(redirect: &[u8], path: &[u8]) -> bool {
    redirect.first() != Some(&b'/') || rest_after(redirect, path).is_some()
}

impl Instance<'_> {
    /// Stands at the directory that has a host path, which is `app` unless it has been renamed. Says whether it has.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is in the union no longer.
    pub(in crate::files) fn walk_to_side(
        &self,
        walk: &mut Walk,
        host: &[u8],
        app: &[u8],
    ) -> Result<bool, Errno> {
        let walked = walk.start(self, app);
        if walked.is_ok() && (!walk.in_union() || self.is_side_of(walk, host)) {
            return Ok(false);
        }
        let may_have_moved = matches!(walked, Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR));
        if may_have_moved && self.has_unions() && self.layers_own(host).is_some() {
            return self.walk_to_moved(walk, host, &|walk| self.is_side_of(walk, host)).map(|()| true);
        }
        walked.and(Err(Errno::ENOENT))
    }

    /// Stands at what has a host path in a layer that never changes, where that has been renamed, or a directory above it.
    /// `is_it` says whether a walk has come there.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is not found.
    #[cold]
    #[inline(never)]
    pub(in crate::files) fn walk_to_moved(
        &self,
        walk: &mut Walk,
        host: &[u8],
        is_it: &dyn Fn(&mut Walk) -> bool,
    ) -> Result<(), Errno> {
        let union = self.layers_own(host).and_then(|mount| self.union(mount.id)).ok_or(Errno::ENOENT)?;
        let (_, old) = union.side_at(host).filter(|(_, old)| !old.is_empty()).ok_or(Errno::ENOENT)?;
        for _ in 0..TRIES {
            let moment = self.directories.and_then(|directories| directories.quiet());
            let lost = self.settled(path_hash(host) ^ 0x6c6f_7374_2070_6174);
            if lost.is_some_and(|lost| lost.is_known()) {
                break;
            }
            let (is_found, is_whole) = union.search(walk, old, is_it);
            if is_found {
                return Ok(());
            }
            let is_quiet =
                self.directories.zip(moment).is_none_or(|(known, moment)| known.is_quiet_since(moment));
            if is_quiet {
                if let Some(lost) = lost.filter(|_| is_whole && moment.is_some()) {
                    lost.note();
                }
                break;
            }
        }
        Err(Errno::ENOENT)
    }

    /// Puts the app path of what has a host path right, which has been found by its letters, where that has been renamed since,
    /// or a directory above it.
    pub(in crate::files) fn follow_renames(&self, host: &[u8], app: &mut Scratch) -> Result<(), Errno> {
        if !self.has_unions() || self.layers_own(host).is_none() {
            return Ok(());
        }
        let mut walk = Walk::new();
        let is_there = walk.start(self, app.bytes()).is_ok() && self.is_at(&mut walk, host);
        if !is_there && self.walk_to_moved(&mut walk, host, &|walk| self.is_at(walk, host)).is_ok() {
            app.truncate(0);
            app.push(walk.app.bytes())?;
        }
        Ok(())
    }
}
