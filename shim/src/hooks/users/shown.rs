//! Lines of the files of users and groups, as libc's structs.

use core::ffi::c_char;

use elements::Errno;
use elements::identity::Database;
use elements::identity::entries::{self, Entry, list};
use libc::{group, passwd, spwd};

/// `struct sgrp` of gshadow.h
#[repr(C)]
pub struct Sgrp {
    name: *mut c_char,
    password: *mut c_char,
    administrators: *mut *mut c_char,
    members: *mut *mut c_char,
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
    fn strings(&mut self, names: &[u8]) -> Result<*mut *mut c_char, Errno> {
        let count = list(names).count();
        let size = size_of::<*mut c_char>();
        let start = self.take((count + 1) * size, align_of::<*mut c_char>())?.cast::<*mut c_char>();
        for (index, name) in list(names).enumerate() {
            let string = self.string(name)?;
            // SAFETY: the room was just taken.
            unsafe { start.add(index).write(string) };
        }
        // SAFETY: as above.
        unsafe { start.add(count).write(core::ptr::null_mut()) };
        Ok(start)
    }
}

/// A struct of libc's, and the line that it is made of.
pub trait Shown: Sized {
    /// The line.
    type Entry<'l>: Entry<'l>;
    /// The file that it is in.
    const DATABASE: Database;
    /// Makes the struct, with its strings in the buffer: `ERANGE` where there is no room.
    fn of(entry: &Self::Entry<'_>, buffer: &mut Buffer) -> Result<Self, Errno>;
}

impl Shown for passwd {
    type Entry<'l> = entries::Passwd<'l>;
    const DATABASE: Database = Database::Users;
    fn of(entry: &entries::Passwd<'_>, buffer: &mut Buffer) -> Result<passwd, Errno> {
        Ok(passwd {
            pw_name: buffer.string(entry.name)?,
            pw_passwd: buffer.string(entry.password)?,
            pw_uid: entry.uid,
            pw_gid: entry.gid,
            pw_gecos: buffer.string(entry.comment)?,
            pw_dir: buffer.string(entry.home)?,
            pw_shell: buffer.string(entry.shell)?,
        })
    }
}

impl Shown for group {
    type Entry<'l> = entries::Group<'l>;
    const DATABASE: Database = Database::Groups;
    fn of(entry: &entries::Group<'_>, buffer: &mut Buffer) -> Result<group, Errno> {
        Ok(group {
            gr_name: buffer.string(entry.name)?,
            gr_passwd: buffer.string(entry.password)?,
            gr_gid: entry.gid,
            gr_mem: buffer.strings(entry.members)?,
        })
    }
}

impl Shown for spwd {
    type Entry<'l> = entries::Shadow<'l>;
    const DATABASE: Database = Database::UserShadow;
    fn of(entry: &entries::Shadow<'_>, buffer: &mut Buffer) -> Result<spwd, Errno> {
        let [change, least, most, warning, inactive, expiry] = entry.days;
        Ok(spwd {
            sp_namp: buffer.string(entry.name)?,
            sp_pwdp: buffer.string(entry.password)?,
            sp_lstchg: change,
            sp_min: least,
            sp_max: most,
            sp_warn: warning,
            sp_inact: inactive,
            sp_expire: expiry,
            sp_flag: entry.flag,
        })
    }
}

impl Shown for Sgrp {
    type Entry<'l> = entries::GroupShadow<'l>;
    const DATABASE: Database = Database::GroupShadow;
    fn of(entry: &entries::GroupShadow<'_>, buffer: &mut Buffer) -> Result<Sgrp, Errno> {
        Ok(Sgrp {
            name: buffer.string(entry.name)?,
            password: buffer.string(entry.password)?,
            administrators: buffer.strings(entry.administrators)?,
            members: buffer.strings(entry.members)?,
        })
    }
}
