//! Users and groups, as libc finds them in its files: libc's own opens pass
//! the shim by, and so do the questions that it asks other processes.

mod shown;

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use elements::Errno;
use elements::identity::entries::{Entry as _, list};
use elements::identity::{Database, entries};
use libc::{gid_t, group, passwd, size_t, spwd, uid_t};

pub use shown::Sgrp;
use shown::{Buffer, Shown};

use super::credentials::setgroups;
use crate::allocate::{free, malloc, realloc};
use crate::answer::{returned, set_errno};
use crate::hooks::is_glibc;
use crate::real;
use crate::start::instance;

/// What libc's own function is to be asked.
struct Elsewhere;

/// Writes the first entry that fits, from a position on, into `to` and the
/// buffer. Gives whether there was one, and where the next begins.
fn look<T: Shown>(
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
fn reentrant<T>(found: Result<Option<usize>, Errno>, to: *mut T, result: *mut *mut T) -> c_int {
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

/// A struct that libc's functions without a buffer give, with a buffer that grows.
struct Kept<T> {
    /// A struct and then the buffer, from the program's allocator.
    memory: AtomicPtr<T>,
    room: AtomicUsize,
}

impl<T: Shown> Kept<T> {
    const fn new() -> Kept<T> {
        Kept { memory: AtomicPtr::new(core::ptr::null_mut()), room: AtomicUsize::new(0) }
    }

    /// Looks as [`look`] does. As with libc's, two threads must not at a time.
    fn look(
        &self,
        from: usize,
        fits: impl Fn(&T::Entry<'_>) -> bool,
    ) -> Result<(*mut T, Option<usize>), Elsewhere> {
        const FIRST: usize = 1024;
        loop {
            let (memory, room) = (self.memory.load(Ordering::Relaxed), self.room.load(Ordering::Relaxed));
            let found = if memory.is_null() {
                // Nothing is allocated where libc is to answer.
                if instance().database(T::DATABASE, from).is_none() {
                    return Err(Elsewhere);
                }
                Err(Errno::ERANGE)
            } else {
                let buffer = memory.wrapping_add(1).cast::<c_char>();
                look(from, &fits, memory, (buffer, room))?
            };
            match found {
                Ok(Some(next)) => return Ok((memory, Some(next))),
                Ok(None) | Err(Errno::ENOENT) => return Ok((core::ptr::null_mut(), None)),
                Err(Errno::ERANGE) => {
                    let room = if memory.is_null() { FIRST } else { room * 2 };
                    // SAFETY: libc's own function allocates; the memory is ours alone.
                    let grown = unsafe { realloc(memory.cast(), size_of::<T>() + room) };
                    if grown.is_null() {
                        return Ok((core::ptr::null_mut(), None));
                    }
                    self.memory.store(grown.cast(), Ordering::Relaxed);
                    self.room.store(room, Ordering::Relaxed);
                }
                Err(errno) => {
                    set_errno(errno);
                    return Ok((core::ptr::null_mut(), None));
                }
            }
        }
    }

    /// The entry after the last one.
    fn walk(&self, at: &AtomicUsize) -> Result<*mut T, Elsewhere> {
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

/// The bytes of a string of the program's.
///
/// # Safety
///
/// It is one.
unsafe fn bytes<'s>(string: *const c_char) -> &'s [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::ffi::CStr::from_ptr(string) }.to_bytes()
}

/// Whether libc has its own words for a name, and looks at no file: musl, which makes a path of
/// a user's name where it looks for a password.
fn is_odd(which: Database, name: &[u8]) -> bool {
    which == Database::UserShadow
        && (name.is_empty() || name.starts_with(b".") || name.contains(&b'/'))
        && !is_glibc()
}

/// The functions of one database that look for a name.
macro_rules! by_name {
    ($plain:ident, $reentrant:ident: $type:ty) => {
        pub unsafe fn $plain(name: *const c_char) -> *mut $type {
            static KEPT: Kept<$type> = Kept::new();
            // SAFETY: the caller's contract: a string.
            let wanted = unsafe { bytes(name) };
            match KEPT.look(0, |entry| entry.name() == wanted) {
                Ok((found, _)) => found,
                Err(Elsewhere) => match real!($plain as fn(*const c_char) -> *mut $type) {
                    // SAFETY: the program's own arguments.
                    Some(next) => unsafe { next(name) },
                    None => core::ptr::null_mut(),
                },
            }
        }

        pub unsafe fn $reentrant(
            name: *const c_char,
            to: *mut $type,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut $type,
        ) -> c_int {
            // SAFETY: the caller's contract: a string.
            let wanted = unsafe { bytes(name) };
            let fits = |entry: &<$type as Shown>::Entry<'_>| entry.name() == wanted;
            let found = match is_odd(<$type>::DATABASE, wanted) {
                true => Err(Elsewhere),
                false => look(0, fits, to, (buf, size)),
            };
            match found {
                Ok(found) => reentrant(found, to, result),
                Err(Elsewhere) => match real!(
                    $reentrant
                        as fn(*const c_char, *mut $type, *mut c_char, size_t, *mut *mut $type) -> c_int
                ) {
                    // SAFETY: the program's own arguments.
                    Some(next) => unsafe { next(name, to, buf, size, result) },
                    None => Errno::ENOSYS.0,
                },
            }
        }
    };
}

/// Those that look for a number.
macro_rules! by_number {
    ($plain:ident, $reentrant:ident: $type:ty, $id:ty, $field:ident) => {
        pub unsafe fn $plain(id: $id) -> *mut $type {
            static KEPT: Kept<$type> = Kept::new();
            match KEPT.look(0, |entry| entry.$field == id) {
                Ok((found, _)) => found,
                Err(Elsewhere) => match real!($plain as fn($id) -> *mut $type) {
                    // SAFETY: takes a number.
                    Some(next) => unsafe { next(id) },
                    None => core::ptr::null_mut(),
                },
            }
        }

        pub unsafe fn $reentrant(
            id: $id,
            to: *mut $type,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut $type,
        ) -> c_int {
            match look(0, |entry: &<$type as Shown>::Entry<'_>| entry.$field == id, to, (buf, size)) {
                Ok(found) => reentrant(found, to, result),
                Err(Elsewhere) => match real!(
                    $reentrant as fn($id, *mut $type, *mut c_char, size_t, *mut *mut $type) -> c_int
                ) {
                    // SAFETY: the program's own arguments.
                    Some(next) => unsafe { next(id, to, buf, size, result) },
                    None => Errno::ENOSYS.0,
                },
            }
        }
    };
}

/// Those that go through all entries.
macro_rules! one_by_one {
    ($set:ident, $get:ident, $reentrant:ident, $end:ident, $at:ident: $type:ty) => {
        static $at: AtomicUsize = AtomicUsize::new(0);

        pub unsafe fn $set() {
            $at.store(0, Ordering::Relaxed);
            if instance().database(<$type>::DATABASE, 0).is_some() {
                return;
            }
            if let Some(next) = real!($set as fn()) {
                // SAFETY: takes nothing.
                unsafe { next() };
            }
        }

        pub unsafe fn $end() {
            $at.store(0, Ordering::Relaxed);
            if instance().database(<$type>::DATABASE, 0).is_some() {
                return;
            }
            if let Some(next) = real!($end as fn()) {
                // SAFETY: takes nothing.
                unsafe { next() };
            }
        }

        pub unsafe fn $get() -> *mut $type {
            static KEPT: Kept<$type> = Kept::new();
            match KEPT.walk(&$at) {
                Ok(found) => found,
                Err(Elsewhere) => match real!($get as fn() -> *mut $type) {
                    // SAFETY: takes nothing.
                    Some(next) => unsafe { next() },
                    None => core::ptr::null_mut(),
                },
            }
        }

        pub unsafe fn $reentrant(
            to: *mut $type,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut $type,
        ) -> c_int {
            match look($at.load(Ordering::Relaxed), |_: &<$type as Shown>::Entry<'_>| true, to, (buf, size)) {
                Ok(found) => {
                    if let Ok(Some(next)) = found {
                        $at.store(next, Ordering::Relaxed);
                    }
                    let status = reentrant(found, to, result);
                    // After the last one there is "no entry".
                    if matches!(found, Ok(None)) { Errno::ENOENT.0 } else { status }
                }
                Err(Elsewhere) => {
                    match real!($reentrant as fn(*mut $type, *mut c_char, size_t, *mut *mut $type) -> c_int) {
                        // SAFETY: the program's own arguments.
                        Some(next) => unsafe { next(to, buf, size, result) },
                        None => Errno::ENOSYS.0,
                    }
                }
            }
        }
    };
}

by_name!(getpwnam, getpwnam_r: passwd);
by_number!(getpwuid, getpwuid_r: passwd, uid_t, uid);
one_by_one!(setpwent, getpwent, getpwent_r, endpwent, USERS_AT: passwd);
by_name!(getgrnam, getgrnam_r: group);
by_number!(getgrgid, getgrgid_r: group, gid_t, gid);
one_by_one!(setgrent, getgrent, getgrent_r, endgrent, GROUPS_AT: group);
by_name!(getspnam, getspnam_r: spwd);
one_by_one!(setspent, getspent, getspent_r, endspent, SHADOW_AT: spwd);
by_name!(getsgnam, getsgnam_r: Sgrp);
one_by_one!(setsgent, getsgent, getsgent_r, endsgent, GROUP_SHADOW_AT: Sgrp);

/// The groups of a user, the first of which is given: each is shown to `add` once
/// or more often. None where libc is to be asked.
fn groups_of(user: &[u8], mut add: impl FnMut(gid_t)) -> Option<()> {
    let lines = instance().database(Database::Groups, 0)?;
    // Without such a file nobody is in another group.
    let Ok(mut lines) = lines else { return Some(()) };
    while let Some((line, _)) = lines.next_line() {
        let entry = entries::Group::of(line).filter(|entry| list(entry.members).any(|name| name == user));
        if let Some(entry) = entry {
            add(entry.gid);
        }
    }
    Some(())
}

pub unsafe fn getgrouplist(
    user: *const c_char,
    first: gid_t,
    groups: *mut gid_t,
    count: *mut c_int,
) -> c_int {
    // SAFETY: the caller's contract: a string, and room for so many.
    let (name, room) = unsafe { (bytes(user), usize::try_from(*count).unwrap_or(0)) };
    let mut found = 0_usize;
    let mut add = |gid: gid_t| {
        // SAFETY: written below, and within the room.
        let has = (0..found.min(room)).any(|index| unsafe { groups.add(index).read() } == gid);
        if has {
            return;
        }
        if found < room {
            // SAFETY: within the room.
            unsafe { groups.add(found).write(gid) };
        }
        found += 1;
    };
    add(first);
    if groups_of(name, add).is_none() {
        return match real!(getgrouplist as fn(*const c_char, gid_t, *mut gid_t, *mut c_int) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(user, first, groups, count) },
            None => returned(Err(Errno::ENOSYS)) as c_int,
        };
    }
    // SAFETY: the caller's pointer.
    unsafe { *count = found as c_int };
    if found > room { -1 } else { found as c_int }
}

pub unsafe fn initgroups(user: *const c_char, first: gid_t) -> c_int {
    let is_ours = instance().database(Database::Groups, 0).is_some() || instance().plays();
    if !is_ours {
        return match real!(initgroups as fn(*const c_char, gid_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(user, first) },
            None => returned(Err(Errno::ENOSYS)) as c_int,
        };
    }
    let mut room: c_int = 64;
    loop {
        // SAFETY: libc's own function allocates.
        let groups = unsafe { malloc(room as usize * size_of::<gid_t>()) }.cast::<gid_t>();
        if groups.is_null() {
            return returned(Err(Errno(libc::ENOMEM))) as c_int;
        }
        let mut count = room;
        // SAFETY: the memory has so much room, and is ours alone.
        let done = unsafe {
            let found = getgrouplist(user, first, groups, &raw mut count);
            let done = if found >= 0 { setgroups(found as size_t, groups) } else { 0 };
            free(groups.cast::<c_void>());
            (found >= 0).then_some(done)
        };
        match done {
            Some(done) => return done,
            None => room = count.max(room + 1),
        }
    }
}

pub unsafe fn cuserid(buf: *mut c_char) -> *mut c_char {
    /// L_cuserid
    const ROOM: usize = 9;
    static OWN: AtomicPtr<c_char> = AtomicPtr::new(core::ptr::null_mut());
    let uid = elements::kernel::geteuid();
    let Some(lines) = instance().database(Database::Users, 0) else {
        return match real!(cuserid as fn(*mut c_char) -> *mut c_char) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(buf) },
            None => core::ptr::null_mut(),
        };
    };
    let mut to = buf;
    if to.is_null() {
        to = OWN.load(Ordering::Relaxed);
        if to.is_null() {
            // SAFETY: a function for the program's own use, which may allocate.
            to = unsafe { malloc(ROOM) }.cast();
            OWN.store(to, Ordering::Relaxed);
        }
        if to.is_null() {
            return to;
        }
    }
    if let Ok(mut lines) = lines {
        while let Some((line, _)) = lines.next_line() {
            if let Some(entry) = entries::Passwd::of(line).filter(|entry| entry.uid == uid) {
                let len = entry.name.len().min(ROOM - 1);
                // SAFETY: there is room for so many bytes and a NUL, by the function's contract.
                unsafe {
                    core::ptr::copy_nonoverlapping(entry.name.as_ptr(), to.cast(), len);
                    *to.add(len) = 0;
                }
                return to;
            }
        }
    }
    // SAFETY: as above.
    unsafe { *to = 0 };
    buf
}
