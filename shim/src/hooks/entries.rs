//! Files that libc looks things up in, an entry a line: users and groups, services, protocols, networks and hosts.
//!
//! libc's own opens pass the shim by, and so do the questions that it asks other processes. So the
//! view's file is read here, where it has such, and libc is asked where it has none ([`Elsewhere`]). A kind of
//! entry is a struct of libc's that is made of a line ([`Shown`]). `finds!` makes the functions that look for
//! the first entry that fits, `walks!` those that go through all of them.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use elements::Errno;
use elements::identity::Database;
use elements::identity::entries::Entry;
use libc::size_t;

use crate::allocate::{free, malloc};
use crate::answer::set_errno;
use crate::hooks::is_glibc;
use crate::real;
use crate::start::instance;

pub const HOST_NOT_FOUND: c_int = 1;
pub const NETDB_INTERNAL: c_int = -1;

/// What libc's own function is to be asked.
pub struct Elsewhere;

/// A struct of libc's, and the line that it is made of.
pub trait Shown: Sized {
    /// The line.
    type Entry<'l>: Entry<'l>;
    /// The file that it is in.
    const DATABASE: Database;
    /// Whether its functions leave their errors in `h_errno`.
    const HAS_HOST_ERROR: bool = false;
    /// Makes the struct, with its strings in the buffer: `ERANGE` where there is no room.
    fn of(entry: &Self::Entry<'_>, buffer: &mut Buffer) -> Result<Self, Errno>;
}

/// The caller's buffer, from which strings are cut.
pub struct Buffer {
    next: *mut u8,
    left: usize,
}

impl Buffer {
    /// So many bytes.
    pub fn new(next: *mut u8, left: usize) -> Buffer {
        Buffer { next, left }
    }

    /// Cuts bytes off it, so aligned: `ERANGE` where there is no room.
    pub fn take(&mut self, size: usize, align: usize) -> Result<*mut u8, Errno> {
        let skip = self.next.align_offset(align);
        let needed = size.checked_add(skip).ok_or(Errno::ERANGE)?;
        if needed > self.left {
            return Err(Errno::ERANGE);
        }
        let start = self.next.wrapping_add(skip);
        self.next = start.wrapping_add(size);
        self.left -= needed;
        Ok(start)
    }

    /// A string in it.
    pub fn string(&mut self, text: &[u8]) -> Result<*mut c_char, Errno> {
        let to = self.take(text.len() + 1, 1)?;
        // SAFETY: the room was just taken.
        unsafe {
            core::ptr::copy_nonoverlapping(text.as_ptr(), to, text.len());
            *to.add(text.len()) = 0;
        }
        Ok(to.cast())
    }

    /// A list of strings, with a null pointer after the last.
    pub fn strings<'s>(
        &mut self,
        names: impl Iterator<Item = &'s [u8]> + Clone,
    ) -> Result<*mut *mut c_char, Errno> {
        let count = names.clone().count();
        let size = size_of::<*mut c_char>();
        let start = self.take((count + 1) * size, align_of::<*mut c_char>())?.cast::<*mut c_char>();
        for (index, name) in names.enumerate() {
            let string = self.string(name)?;
            // SAFETY: the room was just taken.
            unsafe { start.add(index).write(string) };
        }
        // SAFETY: as above.
        unsafe { start.add(count).write(core::ptr::null_mut()) };
        Ok(start)
    }
}

/// The bytes of a string of the program's; none of a null pointer.
///
/// # Safety
///
/// It is a string, or null.
pub unsafe fn bytes<'s>(string: *const c_char) -> Option<&'s [u8]> {
    // SAFETY: the caller's promise.
    (!string.is_null()).then(|| unsafe { core::ffi::CStr::from_ptr(string) }.to_bytes())
}

pub fn set_host_error(error: c_int) {
    if let Some(place) = real!(__h_errno_location as fn() -> *mut c_int) {
        // SAFETY: the calling thread's own.
        unsafe { *place() = error };
    }
}

/// What a look leaves in `h_errno`.
pub fn host_error(found: &Result<Option<usize>, Errno>) -> c_int {
    match found {
        Ok(Some(_)) => 0,
        Ok(None) | Err(Errno::ENOENT) => HOST_NOT_FOUND,
        Err(_) => NETDB_INTERNAL,
    }
}

/// Writes the first entry that fits, from a position on, into `to` and the
/// buffer. Gives whether there was one, and where the next begins.
pub fn look<T: Shown>(
    from: usize,
    fits: impl Fn(&T::Entry<'_>) -> bool,
    to: *mut T,
    buffer: (*mut c_char, size_t),
) -> Result<Result<Option<usize>, Errno>, Elsewhere> {
    let mut lines = match instance().database(T::DATABASE, from) {
        None => return Err(Elsewhere),
        Some(Err(errno)) => return Ok(Err(errno)),
        Some(Ok(lines)) => lines,
    };
    while let Some((line, after)) = lines.next_line() {
        let Some(entry) = T::Entry::of(line).filter(&fits) else { continue };
        let mut room = Buffer::new(buffer.0.cast(), buffer.1);
        return Ok(T::of(&entry, &mut room).map(|shown| {
            // SAFETY: the caller's struct, by the function's contract.
            unsafe { to.write(shown) };
            Some(after)
        }));
    }
    Ok(Ok(None))
}

/// What the reentrant functions return: an error number, and where the result is.
pub fn reentrant<T>(found: Result<Option<usize>, Errno>, to: *mut T, result: *mut *mut T) -> c_int {
    let is_found = matches!(found, Ok(Some(_)));
    // SAFETY: the caller's pointer, by the function's contract.
    unsafe { result.write(if is_found { to } else { core::ptr::null_mut() }) };
    match found {
        Ok(_) => 0,
        // libc has no such database, and so nobody in it.
        Err(Errno::ENOENT) => 0,
        Err(errno) => {
            set_errno(errno);
            errno.0
        }
    }
}

/// A struct that libc's functions without a buffer give, with a buffer that grows. As with libc's,
/// a call writes over what the last one gave.
pub struct Kept<T> {
    /// From the program's allocator.
    block: AtomicPtr<Block<T>>,
}

/// What is kept; the buffer follows.
#[repr(C)]
struct Block<T> {
    room: usize,
    shown: T,
}

impl<T: Shown> Kept<T> {
    pub const fn new() -> Kept<T> {
        Kept { block: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Looks as [`look`] does.
    pub fn look(
        &self,
        from: usize,
        fits: impl Fn(&T::Entry<'_>) -> bool,
    ) -> Result<(*mut T, Option<usize>), Elsewhere> {
        loop {
            let block = self.block.load(Ordering::Acquire);
            let found = if block.is_null() {
                // Nothing is allocated where libc is to answer.
                if instance().database(T::DATABASE, from).is_none() {
                    return Err(Elsewhere);
                }
                Err(Errno::ERANGE)
            } else {
                // SAFETY: blocks are never freed once they are shown.
                let (to, room) = unsafe { (&raw mut (*block).shown, (*block).room) };
                look(from, &fits, to, (block.wrapping_add(1).cast(), room))?
            };
            if found == Err(Errno::ERANGE) && self.grow(block) {
                continue;
            }
            if T::HAS_HOST_ERROR {
                set_host_error(host_error(&found));
            }
            return Ok(match found {
                // SAFETY: as above; where there is one there is a block.
                Ok(Some(next)) => (unsafe { &raw mut (*block).shown }, Some(next)),
                Ok(None) | Err(Errno::ENOENT) => (core::ptr::null_mut(), None),
                Err(errno) => {
                    set_errno(errno);
                    (core::ptr::null_mut(), None)
                }
            });
        }
    }

    /// Makes twice the room. What was there is left: another thread may be reading it.
    fn grow(&self, old: *mut Block<T>) -> bool {
        const FIRST: usize = 1024;
        // SAFETY: as in `look`.
        let room = if old.is_null() { FIRST } else { unsafe { (*old).room * 2 } };
        // SAFETY: libc's own function allocates.
        let fresh = unsafe { malloc(size_of::<Block<T>>() + room) }.cast::<Block<T>>();
        if fresh.is_null() {
            return false;
        }
        // SAFETY: the memory is fresh, and large enough.
        unsafe { (*fresh).room = room };
        if self.block.compare_exchange(old, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: nobody else has seen it.
            unsafe { free(fresh.cast::<c_void>()) };
        }
        true
    }

    /// The entry after the last one.
    pub fn walk(&self, at: &AtomicUsize) -> Result<*mut T, Elsewhere> {
        // musl finds passwords by name alone.
        if T::DATABASE == Database::UserShadow && !is_glibc() {
            return Err(Elsewhere);
        }
        let (found, next) = self.look(at.load(Ordering::Relaxed), |_| true)?;
        if let Some(next) = next {
            at.store(next, Ordering::Relaxed);
        }
        Ok(found)
    }
}

/// What libc's own function answers: `libcs!(getprotobynumber(number: c_int) -> *mut protoent, null_mut())`, with the
/// answer of a libc that has none.
macro_rules! libcs {
    ($name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty, $none:expr) => {
        match $crate::real!($name as fn($($ty),*) -> $ret) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next($($arg),*) },
            None => $none,
        }
    };
    ($name:ident($($arg:ident: $ty:ty),*)) => {
        if let Some(next) = $crate::real!($name as fn($($ty),*)) {
            // SAFETY: the program's own arguments.
            unsafe { next($($arg),*) }
        }
    };
}

/// Two functions that look for the first entry that fits: one that keeps its result, and one with a buffer, where
/// `errors` names its last argument, if that is the place of `h_errno`. `unless` says when the second leaves it to libc.
macro_rules! finds {
    ($plain:ident, $reentrant:ident $(($error:ident))?: $type:ty, ($($arg:ident: $ty:ty),*)
        $(let $key:ident = $value:expr;)* $(unless $odd:expr;)? |$entry:ident| $fits:expr) => {
        pub unsafe fn $plain($($arg: $ty),*) -> *mut $type {
            static KEPT: Kept<$type> = Kept::new();
            $(
                // SAFETY: the caller's contract: a string, or null.
                let $key = unsafe { $value };
            )*
            match KEPT.look(0, |$entry| $fits) {
                Ok((found, _)) => found,
                Err(Elsewhere) => libcs!($plain($($arg: $ty),*) -> *mut $type, core::ptr::null_mut()),
            }
        }

        pub unsafe fn $reentrant(
            $($arg: $ty,)*
            to: *mut $type,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut $type
            $(, $error: *mut c_int)?
        ) -> c_int {
            $(
                // SAFETY: as above.
                let $key = unsafe { $value };
            )*
            let is_odd = false $(|| $odd)?;
            let fits = |$entry: &<$type as Shown>::Entry<'_>| $fits;
            let found = if is_odd { Err(Elsewhere) } else { look(0, fits, to, (buf, size)) };
            match found {
                Ok(found) => {
                    $(
                        // SAFETY: the caller's pointer.
                        unsafe { $error.write(host_error(&found)) };
                    )?
                    reentrant(found, to, result)
                }
                Err(Elsewhere) => libcs!(
                    $reentrant(
                        $($arg: $ty,)*
                        to: *mut $type,
                        buf: *mut c_char,
                        size: size_t,
                        result: *mut *mut $type
                        $(, $error: *mut c_int)?
                    ) -> c_int,
                    Errno::ENOSYS.0
                ),
            }
        }
    };
}

/// The functions that go through all entries, from a position that they share.
macro_rules! walks {
    ($set:ident($($stays:ident)?), $get:ident, $reentrant:ident $(($error:ident))?, $end:ident, $at:ident: $type:ty) => {
        static $at: AtomicUsize = AtomicUsize::new(0);

        pub unsafe fn $set($($stays: c_int)?) {
            $at.store(0, Ordering::Relaxed);
            if instance().database(<$type>::DATABASE, 0).is_none() {
                libcs!($set($($stays: c_int)?));
            }
        }

        pub unsafe fn $end() {
            $at.store(0, Ordering::Relaxed);
            if instance().database(<$type>::DATABASE, 0).is_none() {
                libcs!($end());
            }
        }

        pub unsafe fn $get() -> *mut $type {
            static KEPT: Kept<$type> = Kept::new();
            match KEPT.walk(&$at) {
                Ok(found) => found,
                Err(Elsewhere) => libcs!($get() -> *mut $type, core::ptr::null_mut()),
            }
        }

        pub unsafe fn $reentrant(
            to: *mut $type,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut $type
            $(, $error: *mut c_int)?
        ) -> c_int {
            match look($at.load(Ordering::Relaxed), |_: &<$type as Shown>::Entry<'_>| true, to, (buf, size)) {
                Ok(found) => {
                    if let Ok(Some(next)) = found {
                        $at.store(next, Ordering::Relaxed);
                    }
                    $(
                        // SAFETY: the caller's pointer.
                        unsafe { $error.write(host_error(&found)) };
                    )?
                    let status = reentrant(found, to, result);
                    // After the last one there is "no entry".
                    if matches!(found, Ok(None)) { Errno::ENOENT.0 } else { status }
                }
                Err(Elsewhere) => libcs!(
                    $reentrant(
                        to: *mut $type,
                        buf: *mut c_char,
                        size: size_t,
                        result: *mut *mut $type
                        $(, $error: *mut c_int)?
                    ) -> c_int,
                    Errno::ENOSYS.0
                ),
            }
        }
    };
}

pub(crate) use {finds, libcs, walks};
