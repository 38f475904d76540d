//! Lines of the files of users and groups, as libc's structs.

use core::ffi::c_char;

use elements::Errno;
use elements::identity::Database;
use elements::identity::entries::{self, list};
use libc::{group, passwd, spwd};

use crate::hooks::entries::{Buffer, Shown};

/// `struct sgrp` of gshadow.h
#[repr(C)]
pub struct Sgrp {
    name: *mut c_char,
    password: *mut c_char,
    administrators: *mut *mut c_char,
    members: *mut *mut c_char,
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
            gr_mem: buffer.strings(list(entry.members))?,
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
            administrators: buffer.strings(list(entry.administrators))?,
            members: buffer.strings(list(entry.members))?,
        })
    }
}
