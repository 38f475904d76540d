//! From one entry to the next: fts_read(3).

use core::ffi::c_int;

use elements::Errno;

use super::children::Purpose;
use super::entry::{
    self, Entry, FTS_AGAIN, FTS_D, FTS_DONTCHDIR, FTS_DP, FTS_ERR, FTS_FOLLOW, FTS_NOINSTR, FTS_SKIP, FTS_SL,
    FTS_SLNONE, ROOT_LEVEL,
};
use super::tree::{FTS_NAMEONLY, FTS_NOCHDIR, FTS_STOP, FTS_XDEV, Fts, here};
use crate::answer::{errno, set_errno};

impl Fts {
    /// The next entry. None at the end, with errno nought, or when the walk
    /// cannot go on.
    pub fn read(&self) -> Option<Entry> {
        let entry = self.cur.get().filter(|_| !self.has(FTS_STOP))?;
        let instruction = c_int::from(entry.instr.replace(FTS_NOINSTR as u16));
        match entry.info.get() {
            _ if instruction == FTS_AGAIN => {
                entry.info.set(self.look(entry, false));
                Some(entry)
            }
            FTS_SL | FTS_SLNONE if instruction == FTS_FOLLOW => {
                self.follow(entry);
                Some(entry)
            }
            FTS_D => {
                let elsewhere = self.has(FTS_XDEV) && entry.dev.get() != self.dev.get();
                if instruction == FTS_SKIP || elsewhere { self.pass_by(entry) } else { self.descend(entry) }
            }
            _ => self.go_on(entry),
        }
    }

    /// Looks through a link. The walk will not come back from there by `..`.
    fn follow(&self, entry: Entry) {
        entry.info.set(self.look(entry, true));
        if entry.info.get() == FTS_D && !self.has(FTS_NOCHDIR) {
            match here() {
                place @ 0.. => entry.came_from(place),
                _ => {
                    entry.errno.set(errno());
                    entry.info.set(FTS_ERR);
                }
            }
        }
    }

    fn pass_by(&self, entry: Entry) -> Option<Entry> {
        entry.forget_place();
        self.drop_children();
        entry.info.set(FTS_DP);
        Some(entry)
    }

    /// Goes into a directory, to the first entry in it.
    fn descend(&self, entry: Entry) -> Option<Entry> {
        if self.child.get().is_some() && self.has(FTS_NAMEONLY) {
            self.set(FTS_NAMEONLY, false);
            self.drop_children();
        }
        let known = self.child.take();
        if known.is_some()
            && let Err(errno) = self.enter_by(entry, entry.accpath.get())
        {
            entry.errno.set(errno.0);
            entry.flag(FTS_DONTCHDIR);
            for child in entry::each(known) {
                child.accpath.set(entry.accpath.get());
            }
        }
        match known.or_else(|| self.list(entry, Purpose::Walk)) {
            Some(first) => {
                self.cur.set(Some(first));
                Some(self.named(first))
            }
            None => Some(entry).filter(|_| !self.has(FTS_STOP)),
        }
    }

    /// Goes to the entry after this one, or up.
    fn go_on(&self, entry: Entry) -> Option<Entry> {
        let mut passed = entry;
        while let Some(next) = passed.link.get() {
            self.cur.set(Some(next));
            // SAFETY: the walk has passed it, and nothing leads there any more.
            unsafe { passed.free() };
            if next.level.get() == ROOT_LEVEL {
                return match self.go_home() {
                    Ok(()) => Some(self.load(next)),
                    Err(errno) => self.stop(errno),
                };
            }
            match c_int::from(next.instr.get()) {
                FTS_SKIP => passed = next,
                FTS_FOLLOW => {
                    self.follow(next);
                    next.instr.set(FTS_NOINSTR as u16);
                    return Some(self.named(next));
                }
                _ => return Some(self.named(next)),
            }
        }
        let parent = passed.parent.get();
        self.cur.set(parent);
        // SAFETY: as above.
        unsafe { passed.free() };
        self.go_up(parent?)
    }

    /// Comes back to a directory from the last entry in it.
    fn go_up(&self, entry: Entry) -> Option<Entry> {
        if entry.level.get() < ROOT_LEVEL {
            self.cur.set(None);
            // SAFETY: all below it have been passed.
            unsafe { entry.free() };
            set_errno(Errno(0));
            return None;
        }
        self.write_path(entry.pathlen.get().into(), b"\0");
        let back = match entry.place() {
            Some(place) if entry.level.get() != ROOT_LEVEL => {
                let back = self.go_to(place);
                entry.forget_place();
                back
            }
            None if entry.is_flagged(FTS_DONTCHDIR) && entry.level.get() != ROOT_LEVEL => Ok(()),
            _ => self.leave(entry),
        };
        if let Err(errno) = back {
            return self.stop(errno);
        }
        entry.info.set(if entry.errno.get() == 0 { FTS_DP } else { FTS_ERR });
        Some(entry)
    }
}
