//! Listing a directory with several sides.
//!
//! The descriptor is of one side, which gives its names first, by the kernel's own
//! positions. The other sides follow, from the lowest: of each, the names that
//! no side before it has given. A position in one of those says which side it is and
//! after which name to go on. Nothing is kept between calls that one would need: the kernel's own
//! positions of the last few of them save a search, and the names of a long side ([`super::names`]),
//! which hold until it is changed, another reading.
//!
//! Most directories are short: if all sides fit into the program's buffer, one call reads and gives
//! them all, and the position after that says so.

use super::super::entries::{self, Buffer, Entry, Record};
use super::super::owners::Reached;
use super::super::place::Scratch;
use super::super::text::Text;
use super::names::{FEW, Names, USUAL_ENTRY, WORDS};
use super::spot::LookedInto;
use super::{Position, Union, is_whiteout};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::{Layers, path_hash};

/// The upper half of a position in another side than the descriptor's: a number
/// that no file system uses for its own. The lower half holds the side's turn
/// and a part of a name's hash.
const TAG: u64 = 0x4c41_5545 << 32;
const TURN: u32 = 24;
const HASH: u64 = (1 << TURN) - 1;

/// How much of a side is read at once to learn its names.
pub(super) const ROOM: usize = 4096;
/// How many sides are read in one go.
const MANY: usize = 16;
/// How many bytes of entries are merged with a small filter.
const SHORT: usize = 4096;
/// The position at the end: no name follows, whatever the sides are by then.
pub(in crate::files) const ALL_GIVEN: u64 = TAG | HASH;

/// A directory that is being listed.
pub(in crate::files) struct Listing<'l, 'i> {
    pub(super) union: Union<'i>,
    at: &'l Position,
    pub(super) below: &'l [u8],
    /// The layers, in the order of their turns.
    turns: [u8; view::MAX_LAYERS],
    pub(super) count: usize,
}

impl<'l, 'i> Listing<'l, 'i> {
    /// `below` is the directory's path below the union's root.
    fn new(union: Union<'i>, at: &'l Position, below: &'l [u8]) -> Listing<'l, 'i> {
        Listing::of_side(union, at, below, None)
    }

    /// The same for a descriptor, which is of a side of it: the lowest, unless that is said.
    pub fn of_side(
        union: Union<'i>,
        at: &'l Position,
        below: &'l [u8],
        side: Option<usize>,
    ) -> Listing<'l, 'i> {
        let mut listing = Listing { union, at, below, turns: [0; view::MAX_LAYERS], count: 0 };
        // The descriptor's own side is the first.
        let first = side.map_or(Layers::NONE, Layers::of) & at.sides;
        let others = (at.sides & !first).upwards();
        for layer in first.highest().into_iter().chain(others) {
            if let Some(turn) = listing.turns.get_mut(listing.count) {
                *turn = layer as u8;
                listing.count += 1;
            }
        }
        listing
    }

    /// Whether the kernel's own listing of the descriptor is right.
    pub fn is_native(&self) -> bool {
        self.at.sides == Layers::LOWEST
    }

    /// Whether the directory has a name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.child(name).is_ok_and(|(child, _)| !child.sides.is_empty())
    }

    /// Whether it has none at all.
    fn is_empty(&self) -> Result<bool, Errno> {
        let mut room = [0; ROOM];
        for turn in 0..self.count {
            let side = self.open_unseen(turn)?;
            let found = loop {
                match kernel::getdents64(side, &mut room) {
                    Ok(0) => break Ok(false),
                    Ok(len) => {
                        let entries = room.get_mut(..len).unwrap_or(&mut []);
                        let kept = self.keep(turn, entries, &Names::unknown());
                        let dots = |entry: Record<'_>| matches!(entry.name, b"." | b"..");
                        if entries::records(entries.get(..kept).unwrap_or(&[])).any(|entry| !dots(entry)) {
                            break Ok(true);
                        }
                    }
                    Err(errno) => break Err(errno),
                }
            };
            kernel::close(side);
            if found? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fills what is left of the program's buffer with what comes next, as getdents64(2).
    pub fn read(&self, (dirfd, position): (i32, u64), buf: &mut Buffer, used: usize) -> Result<usize, Errno> {
        let (mut turn, mut after) = split(position);
        if position == ALL_GIVEN {
            return Ok(0);
        }
        while turn == 0 {
            let len = buf.fill(dirfd, used)?;
            if len == 0 {
                turn = 1;
            } else if position == 0
                && let Some(kept) = self.read_all(dirfd, buf, used, len)
            {
                entries::seek(dirfd, ALL_GIVEN)?;
                return Ok(kept);
            } else {
                let kept = self.keep_known(0, buf.bytes(used, used + len));
                if kept > 0 {
                    return Ok(kept);
                }
            }
        }
        while turn < self.count {
            let (len, position) = self.read_side((turn, after), buf, used)?;
            if len > 0 {
                entries::seek(dirfd, position)?;
                return Ok(len);
            }
            turn += 1;
            after = 0;
        }
        entries::seek(dirfd, ALL_GIVEN)?;
        Ok(0)
    }

    /// Reads all sides in one go, after the descriptor's first `len` bytes. None: they do
    /// not fit in, or are too many, and the first `len` bytes are as they were.
    fn read_all(&self, dirfd: i32, buf: &mut Buffer, used: usize, len: usize) -> Option<usize> {
        let mut ends = [0; MANY];
        let mut end = fill_up(buf, dirfd, used + len)?;
        *ends.first_mut()? = end;
        for turn in 1..self.count {
            let side = self.open(turn).ok()?;
            let filled = fill_up(buf, side, end);
            kernel::close(side);
            end = filled?;
            *ends.get_mut(turn)? = end;
        }
        Some(if end - used <= SHORT {
            self.merge_all::<FEW>(buf, (used, end), &ends)?
        } else {
            self.merge_all::<WORDS>(buf, (used, end), &ends)?
        })
    }

    /// Leaves of all sides' entries, from `used` to `end`, those that are to be seen.
    #[inline(never)]
    fn merge_all<const SIZE: usize>(
        &self,
        buf: &mut Buffer,
        (used, end): (usize, usize),
        ends: &[usize; MANY],
    ) -> Option<usize> {
        let (mut from, mut to) = (used, used);
        let mut before = Names::<SIZE>::none();
        for (turn, side_end) in ends.iter().copied().enumerate().take(self.count) {
            let mut names = before.clone();
            names.add_all(buf.bytes(side_end, end));
            // With the whiteouts, which are not left in it.
            before.add_all(buf.bytes(from, side_end));
            let (front, rest) = buf.bytes(used, end).split_at_mut_checked(from - used)?;
            let (side, later) = rest.split_at_mut_checked(side_end - from)?;
            let given = front.get(..to - used)?;
            let kept = entries::retain(side, |entry| {
                let settled =
                    if names.may_have(entry.name()) { self.settle(turn, entry, given, later) } else { None };
                settled.unwrap_or_else(|| self.keeps(turn, entry, &names))
            });
            if turn > 0 {
                self.set_positions(turn, side.get_mut(..kept)?);
            }
            buf.bytes(used, end).copy_within(from - used..from - used + kept, to - used);
            (from, to) = (side_end, to + kept);
        }
        Some(to - used)
    }

    /// What comes after a name in another side than the descriptor's, and the
    /// position after that.
    fn read_side(&self, at: (usize, u64), buf: &mut Buffer, used: usize) -> Result<(usize, u64), Errno> {
        let side = self.open(at.0)?;
        let done = self.go_on(side, at, buf, used).and_then(|()| self.read_open(side, at.0, buf, used));
        kernel::close(side);
        done
    }

    fn read_open(
        &self,
        side: i32,
        turn: usize,
        buf: &mut Buffer,
        used: usize,
    ) -> Result<(usize, u64), Errno> {
        loop {
            let len = buf.fill(side, used)?;
            if len == 0 {
                return Ok((0, 0));
            }
            let kept = self.keep_known(turn, buf.bytes(used, used + len));
            if let Some((position, native)) = self.set_positions(turn, buf.bytes(used, used + kept)) {
                self.remember(position, native);
                return Ok((kept, position));
            }
        }
    }

    /// Tells the program the positions of a side's entries. Gives the last one, and what
    /// it is in the side's own listing.
    fn set_positions(&self, turn: usize, side: &mut [u8]) -> Option<(u64, u64)> {
        let (mut at, mut last) = (0, None);
        while let Some((len, native, name)) = entries::record_at(side, at) {
            let position = TAG | (turn as u64) << TURN | part_of_hash(name);
            entries::set_offset(side, at, position);
            last = Some((position, native));
            at += len;
        }
        last
    }

    /// Goes to what comes after a name: where that was the last time, or to where
    /// it is found. Where it is gone, to the beginning.
    fn go_on(
        &self,
        side: i32,
        (turn, after): (usize, u64),
        buf: &mut Buffer,
        used: usize,
    ) -> Result<(), Errno> {
        if after == 0 {
            return Ok(());
        }
        let position = TAG | (turn as u64) << TURN | after;
        if let Some(native) = self.remembered(position) {
            return entries::seek(side, native).map(|_| ());
        }
        loop {
            let len = buf.fill(side, used)?;
            let found =
                entries::records(buf.bytes(used, used + len)).find(|entry| part_of_hash(entry.name) == after);
            if let Some(entry) = found {
                return entries::seek(side, entry.offset).map(|_| ());
            }
            if len == 0 {
                return entries::seek(side, 0).map(|_| ());
            }
        }
    }

    /// Leaves of a side's entries those that are to be seen, by what the other sides have now.
    fn keep_known(&self, turn: usize, side: &mut [u8]) -> usize {
        let names = self.names_but(turn, side.len() / USUAL_ENTRY);
        self.keep(turn, side, &names)
    }

    /// Leaves of a side's entries those that are to be seen in its turn.
    fn keep(&self, turn: usize, entries: &mut [u8], names: &Names) -> usize {
        entries::retain(entries, |entry| self.keeps(turn, entry, names))
    }

    /// Whether an entry of a side is to be seen in its turn; what it says is made right.
    fn keeps<const SIZE: usize>(&self, turn: usize, entry: &mut Entry<'_>, names: &Names<SIZE>) -> bool {
        if matches!(entry.name(), b"." | b"..") {
            return turn == 0;
        }
        let others =
            if names.may_have(entry.name()) { self.sides_with(entry.name(), turn) } else { Layers::NONE };
        if !(others & self.before(turn)).is_empty() {
            return false;
        }
        let may_be_whiteout = matches!(entry.kind(), libc::DT_CHR | libc::DT_UNKNOWN);
        if others.is_empty() && !may_be_whiteout {
            let inode = self.known_inode(turn, entry.name(), entry.inode());
            entry.set(inode, entry.kind());
            return true;
        }
        let Ok((child, below)) = self.child(entry.name()) else { return true };
        if child.sides.is_empty() {
            return false;
        }
        let Ok(stat) = self.union.stat(&child, below.bytes()) else { return true };
        entry.set(stat.st_ino, (child.kind >> 12) as u8);
        true
    }

    /// The same, where what has been given before it and what the sides after it have tell.
    fn settle(&self, turn: usize, entry: &mut Entry<'_>, given: &[u8], later: &[u8]) -> Option<bool> {
        if turn > 0 {
            return entries::records(given).any(|other| other.name == entry.name()).then_some(false);
        }
        if self.count != 2 {
            return None;
        }
        let other = entries::records(later).find(|other| other.name == entry.name())?;
        let is_others = self.turns.first() < self.turns.get(1);
        let kind = if is_others { other.kind } else { entry.kind() };
        if matches!(kind, libc::DT_DIR | libc::DT_CHR | libc::DT_UNKNOWN) {
            return None;
        }
        let (whose, inode) = if is_others { (1, other.inode) } else { (0, entry.inode()) };
        let inode = self.known_inode(whose, entry.name(), inode);
        entry.set(inode, kind);
        Some(true)
    }

    /// The inode by which the program knows what a side has under a name.
    fn known_inode(&self, turn: usize, name: &[u8], inode: u64) -> u64 {
        if !self.union.may_be_copy(inode) {
            return inode;
        }
        let mut path = Scratch::new();
        let written = self.write_path(turn, &mut path).and_then(|()| path.push(b"/"));
        if written.and_then(|()| path.push(name)).is_err() {
            return inode;
        }
        const LINK: i32 = libc::AT_SYMLINK_NOFOLLOW;
        let Ok(mut stat) = kernel::fstatat(AT_FDCWD, path.as_ptr(), LINK) else { return inode };
        let reached = Reached::Place(AT_FDCWD, path.as_ptr(), LINK);
        self.union.instance.show_origin(&raw mut stat, reached);
        stat.st_ino
    }

    /// The layers whose turn comes before one.
    fn before(&self, turn: usize) -> Layers {
        self.turns
            .iter()
            .take(turn)
            .fold(Layers::NONE, |layers, layer| layers | Layers::of(usize::from(*layer)))
    }

    /// The sides, but for one, that have a name, be it a whiteout.
    fn sides_with(&self, name: &[u8], but: usize) -> Layers {
        let mut found = Layers::NONE;
        for turn in (0..self.count).filter(|turn| *turn != but) {
            let mut path = Scratch::new();
            let is_there = self
                .write_path(turn, &mut path)
                .and_then(|()| path.push(b"/"))
                .and_then(|()| path.push(name))
                .and_then(|()| kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW));
            if is_there.is_ok() {
                found |= self.layer(turn).map_or(Layers::NONE, Layers::of);
            }
        }
        found
    }

    /// What the union has under a name here, and the path of that below its root.
    fn child(&self, name: &[u8]) -> Result<(Position, Scratch), Errno> {
        let mut below = Scratch::new();
        for part in [self.below, b"/", name] {
            below.push(part)?;
        }
        let mut child = self.at.again()?;
        self.union.enter(&mut child, below.bytes(), name)?;
        Ok((child, below))
    }

    fn layer(&self, turn: usize) -> Option<usize> {
        self.turns.get(turn).map(|layer| usize::from(*layer)).filter(|_| turn < self.count)
    }

    pub(super) fn write_path(&self, turn: usize, path: &mut Scratch) -> Result<(), Errno> {
        let layer = self.layer(turn).ok_or(Errno::ENOENT)?;
        self.union.host_path(layer, self.at.path_in(&self.union, layer, self.below), path).map(|_| ())
    }

    pub(super) fn open(&self, turn: usize) -> Result<i32, Errno> {
        let mut path = Scratch::new();
        self.write_path(turn, &mut path)?;
        kernel::openat(AT_FDCWD, path.as_ptr(), DIRECTORY, 0)
    }

    /// The same for a look that the program has not asked for: it leaves the time of access, if it may.
    fn open_unseen(&self, turn: usize) -> Result<i32, Errno> {
        let mut path = Scratch::new();
        self.write_path(turn, &mut path)?;
        match kernel::openat(AT_FDCWD, path.as_ptr(), DIRECTORY | libc::O_NOATIME, 0) {
            Err(Errno::EPERM) => kernel::openat(AT_FDCWD, path.as_ptr(), DIRECTORY, 0),
            opened => opened,
        }
    }
}

pub(super) const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

fn part_of_hash(name: &[u8]) -> u64 {
    (path_hash(name) & HASH).max(1)
}

/// Fills a buffer with all that a directory has left, behind `used` bytes, and gives where that
/// ends. None: it does not fit in, or cannot be read.
fn fill_up(buf: &mut Buffer, dirfd: i32, mut used: usize) -> Option<usize> {
    while buf.has_room(used) {
        match buf.fill(dirfd, used) {
            Ok(0) => return Some(used),
            Ok(len) => used += len,
            Err(_) => return None,
        }
    }
    None
}

/// Whose turn it is at a position, and after which name.
fn split(position: u64) -> (usize, u64) {
    if position & !0xffff_ffff == TAG {
        ((position as u32 >> TURN) as usize, position & HASH)
    } else {
        (0, 0)
    }
}

impl Union<'_> {
    /// Whether a directory has no names in it. Of one that the program may not look into, rmdir(2) and rename(2)
    /// know that too: if it is the write layer's alone, its owner may, for as long as what is given lasts.
    pub(super) fn is_empty(&self, at: &Position, below: &[u8]) -> Result<(bool, Option<LookedInto>), Errno> {
        match Listing::new(*self, at, below).is_empty() {
            Err(Errno::EACCES) if at.sides == self.top_bit() => {
                let looked_into = self.look_into(at, below)?;
                Ok((Listing::new(*self, at, below).is_empty()?, Some(looked_into)))
            }
            known => Ok((known?, None)),
        }
    }

    /// Takes all whiteouts in a directory of the write layer's away.
    ///
    /// # Errors
    ///
    /// `others` where something else is in it as well.
    pub(super) fn clear_whiteouts(
        &self,
        directory: &mut Scratch,
        others: Result<(), Errno>,
    ) -> Result<(), Errno> {
        let opened = kernel::openat(AT_FDCWD, directory.as_ptr(), DIRECTORY, 0)?;
        let mut room = [0; ROOM];
        let mut cleared = Ok(());
        let done = loop {
            match kernel::getdents64(opened, &mut room) {
                Ok(0) => break cleared,
                Ok(len) => {
                    let entries = entries::records(room.get(..len).unwrap_or(&[]));
                    for entry in entries.filter(|entry| !matches!(entry.name, b"." | b"..")) {
                        cleared = cleared.and(unlink_whiteout(opened, entry.name, others));
                    }
                }
                Err(errno) => break Err(errno),
            }
        };
        kernel::close(opened);
        done
    }
}

fn unlink_whiteout(dirfd: i32, name: &[u8], others: Result<(), Errno>) -> Result<(), Errno> {
    let mut path = Text::<256>::new();
    path.push(name)?;
    match kernel::fstatat(dirfd, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if is_whiteout(&stat) => kernel::unlinkat(dirfd, path.as_ptr(), 0),
        Ok(_) => others,
        Err(errno) => Err(errno),
    }
    // Its maker may have taken it away.
    .or_else(|errno| if errno == Errno::ENOENT { Ok(()) } else { Err(errno) })
}
