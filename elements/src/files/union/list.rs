//! Listing a directory with several sides.
//!
//! The descriptor is of one side, which gives its names first, by the kernel's own
//! positions. The other sides follow, from the lowest: of each, the names that
//! no side before it has given. A position in one of those says which side it is and
//! after which name to go on. Nothing is kept between calls, but for
//! the kernel's own positions of the last few of them, which save a search.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::list::{self, Record};
use super::super::place::Scratch;
use super::super::text::Text;
use super::{Position, Union, bit, highest, is_whiteout};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::{directory_hash, path_hash};

/// The upper half of a position in another side than the descriptor's: a number
/// that no file system uses for its own. The lower half holds the side's turn
/// and a part of a name's hash.
const TAG: u64 = 0x4c41_5545 << 32;
const TURN: u32 = 26;
const HASH: u64 = (1 << TURN) - 1;

/// How much of a side is read at once to learn its names.
const ROOM: usize = 4096;
/// More names than this, and a filter would let too many through.
const MANY: u32 = 10_000;

/// A directory that is being listed.
pub(in crate::files) struct Listing<'l, 'i> {
    union: Union<'i>,
    at: &'l Position,
    below: &'l [u8],
    /// The layers, in the order of their turns.
    turns: [u8; view::MAX_LAYERS],
    count: usize,
}

impl<'l, 'i> Listing<'l, 'i> {
    /// `below` is the directory's path below the union's root.
    pub fn new(union: Union<'i>, at: &'l Position, below: &'l [u8]) -> Listing<'l, 'i> {
        let mut listing = Listing { union, at, below, turns: [0; view::MAX_LAYERS], count: 0 };
        // The descriptor's own side is the first.
        let first = if at.has_own_name() { union.top_bit() & at.sides } else { 0 };
        let others = (0..view::MAX_LAYERS).filter(|layer| at.sides & !first & bit(*layer) != 0);
        for layer in highest(first).into_iter().chain(others) {
            if let Some(turn) = listing.turns.get_mut(listing.count) {
                *turn = layer as u8;
                listing.count += 1;
            }
        }
        listing
    }

    /// Whether the kernel's own listing of the descriptor is right.
    pub fn is_native(&self) -> bool {
        self.at.sides == 1
    }

    /// Whether the directory has a name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.child(name).is_ok_and(|(child, _)| child.sides != 0)
    }

    /// Whether it has none at all.
    fn is_empty(&self) -> Result<bool, Errno> {
        let mut room = [0; ROOM];
        for turn in 0..self.count {
            let side = self.open(turn)?;
            let found = loop {
                match kernel::getdents64(side, &mut room) {
                    Ok(0) => break Ok(false),
                    Ok(len) => {
                        let entries = room.get_mut(..len).unwrap_or(&mut []);
                        let kept = self.keep(turn, entries, &Names::unknown());
                        let dots = |entry: Record<'_>| matches!(entry.name, b"." | b"..");
                        if list::records(entries.get(..kept).unwrap_or(&[])).any(|entry| !dots(entry)) {
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

    /// Fills the program's buffer with what comes next, as getdents64(2).
    pub fn read(&self, dirfd: i32, room: &mut [u8]) -> Result<usize, Errno> {
        let (mut turn, mut after) = split(kernel::lseek(dirfd, 0, libc::SEEK_CUR)? as u64);
        if turn == 0 {
            let names = Names::of(self, 0);
            loop {
                let len = kernel::getdents64(dirfd, room)?;
                let kept = self.keep(0, room.get_mut(..len).unwrap_or(&mut []), &names);
                if kept > 0 {
                    return Ok(kept);
                }
                if len == 0 {
                    break;
                }
            }
            turn = 1;
        }
        while turn < self.count {
            let (len, position) = self.read_side(turn, after, room)?;
            if len > 0 {
                list::seek(dirfd, position)?;
                return Ok(len);
            }
            turn += 1;
            after = 0;
        }
        list::seek(dirfd, TAG | (self.count as u64) << TURN)?;
        Ok(0)
    }

    /// What comes after a name in another side than the descriptor's, and the
    /// position after that.
    fn read_side(&self, turn: usize, after: u64, room: &mut [u8]) -> Result<(usize, u64), Errno> {
        let side = self.open(turn)?;
        let done = self.go_on(side, turn, after, room).and_then(|()| self.read_open(side, turn, room));
        kernel::close(side);
        done
    }

    fn read_open(&self, side: i32, turn: usize, room: &mut [u8]) -> Result<(usize, u64), Errno> {
        let names = Names::of(self, turn);
        loop {
            let len = kernel::getdents64(side, room)?;
            let kept = self.keep(turn, room.get_mut(..len).unwrap_or(&mut []), &names);
            if len == 0 || kept == 0 {
                if len == 0 {
                    return Ok((0, 0));
                }
                continue;
            }
            let mut position = 0;
            let mut at = 0;
            while let Some((len, native, name)) = list::record_at(room.get(..kept).unwrap_or(&[]), at) {
                position = TAG | (turn as u64) << TURN | part_of_hash(name);
                if at + len >= kept {
                    self.remember(position, native);
                }
                list::set_offset(room, at, position);
                at += len;
            }
            return Ok((kept, position));
        }
    }

    /// Goes to what comes after a name: where that was the last time, or to where
    /// it is found. Where it is gone, to the beginning.
    fn go_on(&self, side: i32, turn: usize, after: u64, room: &mut [u8]) -> Result<(), Errno> {
        if after == 0 {
            return Ok(());
        }
        let position = TAG | (turn as u64) << TURN | after;
        if let Some(native) = self.remembered(position) {
            return list::seek(side, native).map(|_| ());
        }
        loop {
            let len = kernel::getdents64(side, room)?;
            let entries = room.get(..len).unwrap_or(&[]);
            if let Some(entry) = list::records(entries).find(|entry| part_of_hash(entry.name) == after) {
                return list::seek(side, entry.offset).map(|_| ());
            }
            if len == 0 {
                return list::seek(side, 0).map(|_| ());
            }
        }
    }

    /// Leaves of a side's entries those that are to be seen in its turn.
    fn keep(&self, turn: usize, entries: &mut [u8], names: &Names) -> usize {
        list::retain(entries, |entry| {
            if matches!(entry.name(), b"." | b"..") {
                return turn == 0;
            }
            let others = if names.may_have(entry.name()) { self.sides_with(entry.name(), turn) } else { 0 };
            if others & self.before(turn) != 0 {
                return false;
            }
            let may_be_whiteout = matches!(entry.kind(), libc::DT_CHR | libc::DT_UNKNOWN);
            if others == 0 && !may_be_whiteout {
                return true;
            }
            let Ok((child, below)) = self.child(entry.name()) else { return true };
            if child.sides == 0 {
                return false;
            }
            let Ok(stat) = self.union.stat(&child, below.bytes()) else { return true };
            entry.set(stat.st_ino, (child.kind >> 12) as u8);
            true
        })
    }

    /// The layers whose turn comes before one.
    fn before(&self, turn: usize) -> u64 {
        self.turns.iter().take(turn).fold(0, |layers, layer| layers | bit(usize::from(*layer)))
    }

    /// The sides, but for one, that have a name, be it a whiteout.
    fn sides_with(&self, name: &[u8], but: usize) -> u64 {
        let mut found = 0;
        for turn in (0..self.count).filter(|turn| *turn != but) {
            let mut path = Scratch::new();
            let is_there = self
                .write_path(turn, &mut path)
                .and_then(|()| path.push(b"/"))
                .and_then(|()| path.push(name))
                .and_then(|()| kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW));
            if is_there.is_ok() {
                found |= self.layer(turn).map_or(0, bit);
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

    fn write_path(&self, turn: usize, path: &mut Scratch) -> Result<(), Errno> {
        let layer = self.layer(turn).ok_or(Errno::ENOENT)?;
        self.union.host_path(layer, self.at.path_in(&self.union, layer, self.below), path).map(|_| ())
    }

    fn open(&self, turn: usize) -> Result<i32, Errno> {
        let mut path = Scratch::new();
        self.write_path(turn, &mut path)?;
        kernel::openat(AT_FDCWD, path.as_ptr(), DIRECTORY, 0)
    }

    fn slot(&self, position: u64) -> (&'static Slot, u64) {
        let key =
            (directory_hash(self.union.id, self.below) ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        // The index is below the table's length.
        (&SLOTS[(key >> 32) as usize % SLOTS.len()], key)
    }

    fn remember(&self, position: u64, native: u64) {
        let (slot, key) = self.slot(position);
        slot.proof.store(0, Ordering::Release);
        slot.native.store(native, Ordering::Release);
        slot.proof.store(key ^ native.rotate_left(17), Ordering::Release);
    }

    fn remembered(&self, position: u64) -> Option<u64> {
        let (slot, key) = self.slot(position);
        let native = slot.native.load(Ordering::Acquire);
        (slot.proof.load(Ordering::Acquire) == key ^ native.rotate_left(17)).then_some(native)
    }
}

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// Where a side's own listing goes on after a name.
struct Slot {
    native: AtomicU64,
    proof: AtomicU64,
}

static SLOTS: [Slot; 64] = [const { Slot { native: AtomicU64::new(0), proof: AtomicU64::new(0) } }; 64];

fn part_of_hash(name: &[u8]) -> u64 {
    (path_hash(name) & HASH).max(1)
}

/// Whose turn it is at a position, and after which name.
fn split(position: u64) -> (usize, u64) {
    if position & !0xffff_ffff == TAG {
        ((position as u32 >> TURN) as usize, position & HASH)
    } else {
        (0, 0)
    }
}

/// How large the filter is: for so many names, one in seven or less gets through in vain.
const WORDS: usize = 1024;

/// A filter for the names of all sides but one: most names have one side alone.
struct Names {
    bits: [u64; WORDS],
    /// Whether it holds for nothing.
    is_full: bool,
}

impl Names {
    fn unknown() -> Names {
        Names { bits: [0; WORDS], is_full: true }
    }

    fn of(listing: &Listing<'_, '_>, but: usize) -> Names {
        let mut names = Names { bits: [0; WORDS], is_full: false };
        let mut room = [0; ROOM];
        let mut count = 0;
        for turn in (0..listing.count).filter(|turn| *turn != but) {
            let Ok(side) = listing.open(turn) else { return Names::unknown() };
            while let Ok(len @ 1..) = kernel::getdents64(side, &mut room) {
                for entry in list::records(room.get(..len).unwrap_or(&[])) {
                    names.add(entry.name);
                    count += 1;
                }
                if count > MANY {
                    names.is_full = true;
                    break;
                }
            }
            kernel::close(side);
        }
        names
    }

    fn bit(&self, name: &[u8]) -> (usize, u64) {
        let hash = path_hash(name);
        ((hash >> 6) as usize % self.bits.len(), 1 << (hash & 63))
    }

    fn add(&mut self, name: &[u8]) {
        let (word, bit) = self.bit(name);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_have(&self, name: &[u8]) -> bool {
        let (word, bit) = self.bit(name);
        self.is_full || self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Union<'_> {
    /// Whether a directory has no names in it.
    pub(super) fn is_empty(&self, at: &Position, below: &[u8]) -> Result<bool, Errno> {
        Listing::new(*self, at, below).is_empty()
    }

    /// Takes the whiteouts in a directory of the write layer's away.
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY` where something else is in it.
    pub(super) fn clear_whiteouts(&self, directory: &mut Scratch) -> Result<(), Errno> {
        let opened = kernel::openat(AT_FDCWD, directory.as_ptr(), DIRECTORY, 0)?;
        let mut room = [0; ROOM];
        let done = loop {
            match kernel::getdents64(opened, &mut room) {
                Ok(0) => break Ok(()),
                Ok(len) => {
                    let entries = list::records(room.get(..len).unwrap_or(&[]));
                    let mut names = entries.filter(|entry| !matches!(entry.name, b"." | b".."));
                    if let Err(errno) = names.try_for_each(|entry| unlink_whiteout(opened, entry.name)) {
                        break Err(errno);
                    }
                }
                Err(errno) => break Err(errno),
            }
        };
        kernel::close(opened);
        done
    }
}

fn unlink_whiteout(dirfd: i32, name: &[u8]) -> Result<(), Errno> {
    let mut path = Text::<256>::new();
    path.push(name)?;
    let stat = kernel::fstatat(dirfd, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
    if !is_whiteout(&stat) {
        return Err(Errno::ENOTEMPTY);
    }
    kernel::unlinkat(dirfd, path.as_ptr(), 0)
}
