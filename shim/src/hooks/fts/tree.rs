//! A walk as a whole: glibc's `FTS`.
//!
//! It knows by what ways to go about in the tree without being led astray by
//! somebody who moves directories meanwhile: each that is entered must still
//! be the one that was looked at.

use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use elements::files::MAX_PATH;
use elements::{Errno, kernel};
use libc::{dev_t, stat};

use super::entry::{self, Entry, ROOT_LEVEL};
use crate::allocate::{free, malloc, realloc};
use crate::answer::{errno, set_errno};
use crate::hooks::{cwd, open, stat as stats};
use crate::late;

pub const FTS_COMFOLLOW: c_int = 0x1;
pub const FTS_LOGICAL: c_int = 0x2;
pub const FTS_NOCHDIR: c_int = 0x4;
pub const FTS_NOSTAT: c_int = 0x8;
pub const FTS_PHYSICAL: c_int = 0x10;
pub const FTS_SEEDOT: c_int = 0x20;
pub const FTS_XDEV: c_int = 0x40;
pub const FTS_OPTIONMASK: c_int = 0xff;
pub const FTS_NAMEONLY: c_int = 0x100;
pub const FTS_STOP: c_int = 0x200;

/// The program's order. It is called with pointers to two [`Entry`]s.
pub type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

/// `FTS`
#[repr(C)]
pub struct Fts {
    /// Where the walk is; none after its end.
    pub cur: Cell<Option<Entry>>,
    /// What is in that, where the program has asked for it.
    pub child: Cell<Option<Entry>>,
    array: Cell<*mut Entry>,
    /// The device of the root that the walk is below.
    pub dev: Cell<dev_t>,
    pub(super) path: Cell<*mut c_char>,
    /// The working directory at the start, unless the walk keeps to it.
    rfd: Cell<c_int>,
    /// The room of the path.
    pub(super) pathlen: Cell<c_int>,
    /// The room of the array.
    nitems: Cell<c_int>,
    pub compare: Option<Compare>,
    options: Cell<c_int>,
}

/// The working directory, as a descriptor, or a negative number.
pub fn here() -> c_int {
    // SAFETY: a string of ours.
    unsafe { open::open(c".".as_ptr(), libc::O_RDONLY, 0) }
}

fn done(returned: c_int) -> Result<(), Errno> {
    if returned < 0 { Err(Errno(errno())) } else { Ok(()) }
}

impl Fts {
    /// A tree without entries, for roots with paths that are no longer than said.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENAMETOOLONG`
    pub fn new(options: c_int, compare: Option<Compare>, longest: usize) -> Result<*mut Fts, Errno> {
        let logical = options & FTS_LOGICAL != 0;
        let options = if logical { options | FTS_NOCHDIR } else { options };
        // SAFETY: fresh memory.
        unsafe {
            let tree = malloc(size_of::<Fts>()).cast::<Fts>();
            if tree.is_null() {
                return Err(Errno(libc::ENOMEM));
            }
            tree.write(Fts {
                cur: Cell::new(None),
                child: Cell::new(None),
                array: Cell::new(null_mut()),
                dev: Cell::new(0),
                path: Cell::new(null_mut()),
                rfd: Cell::new(-1),
                pathlen: Cell::new(0),
                nitems: Cell::new(0),
                compare,
                options: Cell::new(options),
            });
            let grown = (*tree).grow((longest + 1).max(MAX_PATH), None);
            if grown.is_err() {
                Fts::free(tree);
            }
            grown.map(|()| tree)
        }
    }

    /// Ends a tree and all that is left of its entries.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub unsafe fn free(tree: *mut Fts) {
        // SAFETY: the caller's promise.
        unsafe {
            (*tree).drop_children();
            let mut next = (*tree).cur.get();
            while let Some(entry) = next {
                next = entry.link.get().or(entry.parent.get());
                entry.free();
            }
            free((*tree).array.get().cast());
            free((*tree).path.get().cast());
            if (*tree).rfd.get() >= 0 {
                kernel::close((*tree).rfd.get());
            }
            free(tree.cast());
        }
    }

    pub fn has(&self, option: c_int) -> bool {
        self.options.get() & option != 0
    }

    pub fn set(&self, option: c_int, on: bool) {
        let without = self.options.get() & !option;
        self.options.set(if on { without | option } else { without });
    }

    /// Ends the walk for good.
    pub fn stop(&self, errno: Errno) -> Option<Entry> {
        self.set(FTS_STOP, true);
        set_errno(errno);
        None
    }

    /// A new entry of this tree.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub fn entry(&self, name: &[u8]) -> Result<Entry, Errno> {
        Entry::new(name, self.path.get(), !self.has(FTS_NOSTAT))
    }

    /// Forgets what was found in the directory that the walk is at.
    pub fn drop_children(&self) {
        // SAFETY: the program has been told not to use them any more.
        unsafe { entry::free_list(self.child.take()) };
    }

    /// Notes the working directory, to which the walk comes back between its
    /// roots. Where that cannot be, it goes without chdir(2).
    pub fn note_home(&self) {
        if !self.has(FTS_NOCHDIR) {
            self.rfd.set(here());
            self.set(FTS_NOCHDIR, self.rfd.get() < 0);
        }
    }

    pub fn go_to(&self, place: c_int) -> Result<(), Errno> {
        // SAFETY: a descriptor of ours.
        if self.has(FTS_NOCHDIR) { Ok(()) } else { done(unsafe { cwd::fchdir(place) }) }
    }

    pub fn go_home(&self) -> Result<(), Errno> {
        self.go_to(self.rfd.get())
    }

    /// Goes from a directory to the one that it is in.
    pub fn leave(&self, entry: Entry) -> Result<(), Errno> {
        match entry.parent.get() {
            Some(parent) if entry.level.get() != ROOT_LEVEL => self.enter_by(parent, c"..".as_ptr()),
            _ => self.go_home(),
        }
    }

    /// Goes into the directory that `fd` is, if that is the entry's.
    pub fn enter(&self, entry: Entry, fd: c_int) -> Result<(), Errno> {
        if self.has(FTS_NOCHDIR) {
            return Ok(());
        }
        let mut about = MaybeUninit::<stat>::zeroed();
        // SAFETY: room for the answer, which noughts are too.
        let about = unsafe {
            done(stats::fstatat(fd, c"".as_ptr(), about.as_mut_ptr(), libc::AT_EMPTY_PATH))?;
            about.assume_init()
        };
        if (about.st_dev, about.st_ino) != (entry.dev.get(), entry.ino.get()) {
            return Err(Errno::ENOENT);
        }
        self.go_to(fd)
    }

    /// Goes into a directory by a path, if it is the entry's.
    pub fn enter_by(&self, entry: Entry, path: *const c_char) -> Result<(), Errno> {
        if self.has(FTS_NOCHDIR) {
            return Ok(());
        }
        // SAFETY: a string of ours, the entry's or the tree's.
        let fd = unsafe { open::open(path, libc::O_RDONLY, 0) };
        done(fd)?;
        let entered = self.enter(entry, fd);
        kernel::close(fd);
        entered
    }

    /// Puts a list into the program's order, if it has one.
    pub fn sort(&self, first: Entry, count: usize) -> Entry {
        let Some(compare) = self.compare.filter(|_| count > 1) else { return first };
        if !self.make_array(count) {
            return first;
        }
        let array = self.array.get();
        let mut sorted = None;
        // SAFETY: there is room for as many as are in the list.
        unsafe {
            for (at, entry) in entry::each(Some(first)).take(count).enumerate() {
                array.add(at).write(entry);
            }
            late::qsort(array.cast(), count, size_of::<Entry>(), compare);
            for at in (0..count).rev() {
                let entry = array.add(at).read();
                entry.link.set(sorted);
                sorted = Some(entry);
            }
        }
        sorted.unwrap_or(first)
    }

    fn make_array(&self, count: usize) -> bool {
        if count <= self.nitems.get() as usize {
            return true;
        }
        let room = count + 40;
        // SAFETY: memory of realloc's, or null.
        let array = unsafe { realloc(self.array.get().cast(), room * size_of::<Entry>()) };
        if !array.is_null() {
            self.array.set(array.cast());
            self.nitems.set(room as c_int);
        }
        !array.is_null()
    }
}
