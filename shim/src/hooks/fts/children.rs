//! What is in a directory, as a list of entries.
//!
//! A list is read for one of three [`Purpose`]s. Its entries are looked at
//! from within the directory, unless the walk does without chdir(2); so it
//! is entered first, and left again where the walk is not to go on there.

use core::ffi::{CStr, c_int, c_void};
use core::ptr::null_mut;

use elements::{Errno, kernel};
use libc::dirent64;

use super::entry::{
    self, Entry, FTS_D, FTS_DC, FTS_DNR, FTS_DONTCHDIR, FTS_DOT, FTS_DP, FTS_ERR, FTS_INIT, FTS_NSOK,
    ROOT_LEVEL,
};
use super::tree::{FTS_NAMEONLY, FTS_NOCHDIR, FTS_NOSTAT, FTS_PHYSICAL, FTS_SEEDOT, FTS_STOP, Fts, here};
use crate::answer::{errno, set_errno};
use crate::hooks::{cwd, dir};
use crate::start::instance;

/// What a list is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The walk goes on there.
    Walk,
    /// The program has asked for it.
    Show,
    /// The program has asked for the names alone.
    Names,
}

/// Which entries are looked at.
struct Looks {
    /// At how many directories more; negative for any number.
    left: i64,
    /// Only at what the listing does not say to be no directory.
    by_kind: bool,
}

impl Looks {
    fn at(&self, kind: u8) -> bool {
        self.left != 0 && (!self.by_kind || matches!(kind, libc::DT_DIR | libc::DT_UNKNOWN))
    }

    fn found(&mut self, info: u16) {
        if self.left > 0 && matches!(info, FTS_D | FTS_DC | FTS_DOT) {
            self.left -= 1;
        }
    }
}

/// Entries in the order of their directory.
struct List {
    first: Option<Entry>,
    last: Option<Entry>,
    count: usize,
}

impl List {
    fn push(&mut self, entry: Entry) {
        match self.last.replace(entry) {
            Some(last) => last.link.set(Some(entry)),
            None => self.first = Some(entry),
        }
        self.count += 1;
    }
}

impl Fts {
    /// fts_children(3)
    pub fn children(&self, names: bool) -> Option<Entry> {
        // Nought tells a program that nothing is there from that something is wrong.
        set_errno(Errno(0));
        let entry = self.cur.get().filter(|_| !self.has(FTS_STOP))?;
        match entry.info.get() {
            FTS_INIT => return entry.link.get(),
            FTS_D => self.drop_children(),
            _ => return None,
        }
        let purpose = if names { Purpose::Names } else { Purpose::Show };
        if names {
            self.set(FTS_NAMEONLY, true);
        }
        // SAFETY: a string of the entry's or the tree's.
        let is_relative = unsafe { *entry.accpath.get() } != b'/'.cast_signed();
        if self.has(FTS_NOCHDIR) || entry.level.get() != ROOT_LEVEL || !is_relative {
            self.child.set(self.list(entry, purpose));
            return self.child.get();
        }
        // The walk may be anywhere that the program has gone.
        let back = here();
        if back < 0 {
            return None;
        }
        self.child.set(self.list(entry, purpose));
        // SAFETY: a descriptor of ours.
        let returned = unsafe { cwd::fchdir(back) };
        kernel::close(back);
        self.child.get().filter(|_| returned == 0)
    }

    /// What is in a directory. None where nothing is, and where something has
    /// gone wrong; the directory's `info` and `errno` say so to a walk.
    pub fn list(&self, entry: Entry, purpose: Purpose) -> Option<Entry> {
        // SAFETY: a string of the entry's or the tree's.
        let mut stream = unsafe { dir::opendir(entry.accpath.get()) };
        if stream.is_null() {
            if purpose == Purpose::Walk {
                entry.info.set(FTS_DNR);
                entry.errno.set(errno());
            }
            return None;
        }
        // SAFETY: a stream of ours.
        let fd = unsafe { dir::dirfd(stream) };
        let looks = self.looks(entry, fd, purpose);
        let mut entered = false;
        if looks.left != 0 || purpose == Purpose::Walk {
            if let Err(errno) = self.enter(entry, fd) {
                if looks.left != 0 && purpose == Purpose::Walk {
                    entry.errno.set(errno.0);
                }
                entry.flag(FTS_DONTCHDIR);
                close(&mut stream);
                set_errno(errno);
            } else {
                entered = true;
            }
        }
        let list = self.read_list(entry, stream, looks);
        close(&mut stream);
        let left = list.and_then(|list| {
            let goes_on = purpose != Purpose::Show && list.count != 0;
            let left = if entered && !goes_on { self.leave(entry) } else { Ok(()) };
            // SAFETY: nobody has seen the list.
            left.inspect_err(|_| unsafe { entry::free_list(list.first) }).map(|()| list)
        });
        let list = match left {
            Ok(list) => list,
            Err(errno) => {
                entry.info.set(FTS_ERR);
                return self.stop(errno);
            }
        };
        if list.first.is_none() && purpose == Purpose::Walk {
            entry.info.set(FTS_DP);
        }
        list.first.map(|first| self.sort(first, list.count))
    }

    /// With `FTS_NOSTAT` only directories are looked at, and no more of them
    /// than the directory has links. A directory above a mount point of the
    /// view has fewer.
    fn looks(&self, entry: Entry, fd: c_int, purpose: Purpose) -> Looks {
        if purpose == Purpose::Names {
            return Looks { left: 0, by_kind: false };
        }
        let by_kind = self.has(FTS_NOSTAT) && self.has(FTS_PHYSICAL);
        let dots = if self.has(FTS_SEEDOT) { 0 } else { 2 };
        let counts = by_kind && instance().boundary(fd).is_none();
        Looks { left: if counts { entry.nlink.get() as i64 - dots } else { -1 }, by_kind }
    }

    fn read_list(&self, entry: Entry, stream: *mut c_void, mut looks: Looks) -> Result<List, Errno> {
        let end = self.end_of(entry);
        if self.has(FTS_NOCHDIR) {
            self.write_path(end, b"/");
        }
        let mut list = List { first: None, last: None, count: 0 };
        while let Some((name, kind)) = next(stream) {
            let is_dot = matches!(name, b"." | b"..");
            if is_dot && !self.has(FTS_SEEDOT) {
                continue;
            }
            if let Err(errno) = self.add(entry, &mut list, name, looks.at(kind), end + 1) {
                // SAFETY: nobody has seen the list.
                unsafe { entry::free_list(list.first) };
                return Err(errno);
            }
            if let Some(last) = list.last {
                looks.found(last.info.get());
            }
        }
        if self.has(FTS_NOCHDIR) {
            // As glibc leaves it: with the slash, unless nothing is there.
            self.write_path(end + usize::from(list.count != 0), b"\0");
        }
        Ok(list)
    }

    /// Adds a name, which in a path begins at `start`.
    fn add(
        &self,
        parent: Entry,
        list: &mut List,
        name: &[u8],
        looked_at: bool,
        start: usize,
    ) -> Result<(), Errno> {
        let entry = self.entry(name)?;
        list.push(entry);
        self.make_room(start, name.len(), list.first)?;
        entry.level.set(parent.level.get().wrapping_add(1));
        entry.parent.set(Some(parent));
        entry.pathlen.set((start + name.len()) as u16);
        let by_path = self.has(FTS_NOCHDIR);
        entry.accpath.set(if by_path { entry.path.get() } else { entry.name() });
        if !looked_at {
            entry.info.set(FTS_NSOK);
            return Ok(());
        }
        if by_path {
            self.write_path(start, entry.name_bytes());
        }
        entry.info.set(self.look(entry, false));
        Ok(())
    }
}

/// A stream's next name, and what kind of file it says to have it. The name
/// lasts until the one after.
fn next<'a>(stream: *mut c_void) -> Option<(&'a [u8], u8)> {
    if stream.is_null() {
        return None;
    }
    // SAFETY: a stream of ours, whose names end with a NUL.
    unsafe {
        let entry = dir::readdir(stream).cast::<dirent64>();
        let name = (!entry.is_null()).then(|| CStr::from_ptr((*entry).d_name.as_ptr()))?;
        Some((name.to_bytes(), (*entry).d_type))
    }
}

fn close(stream: &mut *mut c_void) {
    let stream = core::mem::replace(stream, null_mut());
    if !stream.is_null() {
        // SAFETY: a stream of ours, which nobody uses any more.
        unsafe { dir::closedir(stream) };
    }
}
