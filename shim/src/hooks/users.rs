//! Users and groups, as libc finds them in its files.

mod shown;

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use elements::Errno;
use elements::identity::entries::{Entry as _, list};
use elements::identity::{Database, entries};
use libc::{gid_t, group, passwd, size_t, spwd, uid_t};

pub use shown::Sgrp;

use super::credentials::setgroups;
use super::entries::{Elsewhere, Kept, Shown, bytes, finds, libcs, look, reentrant, walks};
use crate::allocate::{free, malloc};
use crate::answer::returned;
use crate::hooks::is_glibc;
use crate::real;
use crate::start::instance;

/// Whether libc has its own words for a name, and looks at no file: musl, which makes a path of
/// a user's name where it looks for a password.
fn is_odd(name: Option<&[u8]>) -> bool {
    name.is_none_or(|name| name.is_empty() || name.starts_with(b".") || name.contains(&b'/')) && !is_glibc()
}

finds!(getpwnam, getpwnam_r: passwd, (name: *const c_char)
    let wanted = bytes(name); |entry| Some(entry.name()) == wanted);
finds!(getpwuid, getpwuid_r: passwd, (id: uid_t) |entry| entry.uid == id);
walks!(setpwent(), getpwent, getpwent_r, endpwent, USERS_AT: passwd);
finds!(getgrnam, getgrnam_r: group, (name: *const c_char)
    let wanted = bytes(name); |entry| Some(entry.name()) == wanted);
finds!(getgrgid, getgrgid_r: group, (id: gid_t) |entry| entry.gid == id);
walks!(setgrent(), getgrent, getgrent_r, endgrent, GROUPS_AT: group);
finds!(getspnam, getspnam_r: spwd, (name: *const c_char)
    let wanted = bytes(name); unless is_odd(wanted); |entry| Some(entry.name()) == wanted);
walks!(setspent(), getspent, getspent_r, endspent, SHADOW_AT: spwd);
finds!(getsgnam, getsgnam_r: Sgrp, (name: *const c_char)
    let wanted = bytes(name); |entry| Some(entry.name()) == wanted);
walks!(setsgent(), getsgent, getsgent_r, endsgent, GROUP_SHADOW_AT: Sgrp);

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
    let (name, room) = unsafe { (bytes(user).unwrap_or(&[]), usize::try_from(*count).unwrap_or(0)) };
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
