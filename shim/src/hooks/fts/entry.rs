//! What a program is shown: glibc's `FTSENT`.
//!
//! The program keeps pointers to entries and may read and write them at any
//! time, so an entry stays where it is from when it is made until the walk
//! has passed it. An [`Entry`] is such a pointer. Its fields are cells, for
//! many hold the same one.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ops::Deref;
use core::ptr::NonNull;

use elements::{Errno, kernel};
use libc::{dev_t, ino_t, nlink_t, stat};

use crate::allocate::{free, malloc};

pub const FTS_D: u16 = 1;
pub const FTS_DC: u16 = 2;
pub const FTS_DEFAULT: u16 = 3;
pub const FTS_DNR: u16 = 4;
pub const FTS_DOT: u16 = 5;
pub const FTS_DP: u16 = 6;
pub const FTS_ERR: u16 = 7;
pub const FTS_F: u16 = 8;
pub const FTS_INIT: u16 = 9;
pub const FTS_NS: u16 = 10;
pub const FTS_NSOK: u16 = 11;
pub const FTS_SL: u16 = 12;
pub const FTS_SLNONE: u16 = 13;

pub const FTS_DONTCHDIR: u16 = 1;
pub const FTS_SYMFOLLOW: u16 = 2;

pub const FTS_AGAIN: c_int = 1;
pub const FTS_FOLLOW: c_int = 2;
pub const FTS_NOINSTR: c_int = 3;
pub const FTS_SKIP: c_int = 4;

pub const ROOT_PARENT_LEVEL: i16 = -1;
pub const ROOT_LEVEL: i16 = 0;

/// `FTSENT`. The rest of the name and the struct stat come after it.
#[repr(C)]
pub struct Ftsent {
    pub cycle: Cell<Option<Entry>>,
    pub parent: Cell<Option<Entry>>,
    pub link: Cell<Option<Entry>>,
    number: Cell<c_long>,
    pointer: Cell<*mut c_void>,
    /// What the file is to be called by from where the walk is: the path, or
    /// the name.
    pub accpath: Cell<*mut c_char>,
    /// The one path of the tree, whose end changes as the walk goes on.
    pub path: Cell<*mut c_char>,
    pub errno: Cell<c_int>,
    /// Where the walk was when it went through this link.
    symfd: Cell<c_int>,
    pub pathlen: Cell<u16>,
    namelen: Cell<u16>,
    pub ino: Cell<ino_t>,
    pub dev: Cell<dev_t>,
    pub nlink: Cell<nlink_t>,
    pub level: Cell<i16>,
    pub info: Cell<u16>,
    pub flags: Cell<u16>,
    pub instr: Cell<u16>,
    /// Null with `FTS_NOSTAT`.
    pub statp: Cell<*mut stat>,
    name: [Cell<c_char>; 1],
}

/// The alignment of malloc's memory, and of a struct stat in it.
const ALIGNMENT: usize = 16;

/// An entry that has not been freed. It is a pointer, null where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Entry(NonNull<Ftsent>);

impl Deref for Entry {
    type Target = Ftsent;

    fn deref(&self) -> &Ftsent {
        // SAFETY: `free` takes care that no entry outlives its memory.
        unsafe { self.0.as_ref() }
    }
}

impl Entry {
    /// An entry of which all is nought but the name and the path.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub fn new(name: &[u8], path: *mut c_char, with_stat: bool) -> Result<Entry, Errno> {
        let plain = size_of::<Ftsent>() + name.len();
        let room = if with_stat { plain + size_of::<stat>() + ALIGNMENT } else { plain };
        // SAFETY: fresh memory; the struct has room for the name's NUL.
        let entry = unsafe {
            let start = malloc(room).cast::<u8>();
            let entry = Entry(NonNull::new(start.cast()).ok_or(Errno(libc::ENOMEM))?);
            start.write_bytes(0, room);
            core::ptr::copy_nonoverlapping(name.as_ptr(), entry.name().cast(), name.len());
            if with_stat {
                entry.statp.set(start.add(plain.next_multiple_of(ALIGNMENT)).cast());
            }
            entry
        };
        entry.path.set(path);
        entry.namelen.set(name.len() as u16);
        entry.instr.set(FTS_NOINSTR as u16);
        Ok(entry)
    }

    /// As the program is given it.
    pub fn as_ptr(self) -> *mut Ftsent {
        self.0.as_ptr()
    }

    /// Where its name is.
    pub fn name(self) -> *mut c_char {
        // SAFETY: a field of the struct; what follows it is the name's too.
        unsafe { (&raw mut (*self.0.as_ptr()).name).cast() }
    }

    /// Its name and the NUL after it.
    pub fn name_bytes(&self) -> &[u8] {
        // SAFETY: a name ends with a NUL.
        unsafe { CStr::from_ptr(self.name()) }.to_bytes_with_nul()
    }

    /// Cuts off what of the name comes before its byte `from`.
    pub fn cut_name(self, from: usize) {
        let len = self.name_bytes().len().saturating_sub(from);
        // SAFETY: within the name, and a NUL is its last byte.
        unsafe { core::ptr::copy(self.name().add(from), self.name(), len) };
        self.namelen.set(len.saturating_sub(1) as u16);
    }

    pub fn flag(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }

    pub fn is_flagged(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    /// Notes where the walk is to go back to when it comes out of this link.
    pub fn came_from(&self, place: c_int) {
        self.forget_place();
        self.symfd.set(place);
        self.flag(FTS_SYMFOLLOW);
    }

    /// Where the walk is to go back to, if it has come through a link.
    pub fn place(&self) -> Option<c_int> {
        self.is_flagged(FTS_SYMFOLLOW).then(|| self.symfd.get())
    }

    /// Closes that.
    pub fn forget_place(&self) {
        if let Some(place) = self.place() {
            kernel::close(place);
            self.flags.set(self.flags.get() & !FTS_SYMFOLLOW);
        }
    }

    /// Ends an entry.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub unsafe fn free(self) {
        self.forget_place();
        // SAFETY: memory of malloc's.
        unsafe { free(self.0.as_ptr().cast()) };
    }
}

/// The entries of a list.
pub fn each(first: Option<Entry>) -> impl Iterator<Item = Entry> {
    core::iter::successors(first, |entry| entry.link.get())
}

/// Ends the entries of a list.
///
/// # Safety
///
/// Nobody uses them any more.
pub unsafe fn free_list(mut first: Option<Entry>) {
    while let Some(entry) = first {
        first = entry.link.get();
        // SAFETY: the caller's promise.
        unsafe { entry.free() };
    }
}
