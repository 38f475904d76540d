//! The one path of a tree.
//!
//! All entries share it. Its beginning is that of the root which the walk is
//! below; its end changes with every step, so an entry's path can be read
//! only while the walk is there. It grows as it must, and then all entries
//! are told its new place.

use core::ffi::{c_char, c_int};

use elements::Errno;

use super::entry::{self, Entry};
use super::tree::Fts;
use crate::allocate::realloc;

/// What the path grows by at least.
const SPARE: usize = 256;

impl Fts {
    /// Begins with a root: its path is the tree's, its name only the last of it.
    pub fn load(&self, root: Entry) -> Entry {
        let name = root.name_bytes();
        let len = name.len() - 1;
        self.write_path(0, name);
        let slash = name.iter().rposition(|byte| *byte == b'/');
        let base = slash.filter(|_| len != 1).map_or(0, |slash| slash + 1);
        root.pathlen.set(len as u16);
        root.cut_name(base);
        root.accpath.set(self.path.get());
        root.path.set(self.path.get());
        self.dev.set(root.dev.get());
        root
    }

    /// Where the slash goes that follows a directory's path.
    pub fn end_of(&self, entry: Entry) -> usize {
        let len = usize::from(entry.pathlen.get());
        // SAFETY: within the path.
        let last = unsafe { *self.path.get().add(len.saturating_sub(1)) };
        if last == b'/'.cast_signed() { len.saturating_sub(1) } else { len }
    }

    /// Makes the path that of an entry below another.
    pub fn named(&self, entry: Entry) -> Entry {
        let end = entry.parent.get().map_or(0, |parent| self.end_of(parent));
        self.write_path(end, b"/");
        self.write_path(end + 1, entry.name_bytes());
        entry
    }

    /// Writes to the path. All of its entries' paths have been made room for.
    pub fn write_path(&self, at: usize, bytes: &[u8]) {
        if at + bytes.len() <= self.pathlen.get() as usize {
            // SAFETY: there is that much room, and a name is not in the path.
            unsafe {
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.path.get().add(at).cast(), bytes.len());
            }
        }
    }

    /// Sees to it that a name that begins at `start` has room in the path.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENAMETOOLONG`
    pub fn make_room(&self, start: usize, len: usize, unseen: Option<Entry>) -> Result<(), Errno> {
        let enough = start + len < self.pathlen.get() as usize;
        if enough { Ok(()) } else { self.grow(start + len + 1, unseen) }
    }

    /// Grows the path, and puts its new place into all entries: those above
    /// and after the one that the walk is at, and `unseen` ones.
    pub(super) fn grow(&self, more: usize, unseen: Option<Entry>) -> Result<(), Errno> {
        let room = self.pathlen.get() as usize + more + SPARE;
        // The lengths in an entry have sixteen bits.
        if room >= usize::from(u16::MAX) {
            return Err(Errno::ENAMETOOLONG);
        }
        let old = self.path.get();
        // SAFETY: memory of realloc's, or null.
        let new = unsafe { realloc(old.cast(), room) }.cast::<c_char>();
        if new.is_null() {
            return Err(Errno(libc::ENOMEM));
        }
        self.path.set(new);
        self.pathlen.set(room as c_int);
        if new != old {
            let about =
                core::iter::successors(self.cur.get(), |entry| entry.link.get().or(entry.parent.get()));
            for entry in entry::each(unseen).chain(about) {
                if entry.accpath.get() == entry.path.get() {
                    entry.accpath.set(new);
                }
                entry.path.set(new);
            }
        }
        Ok(())
    }
}
