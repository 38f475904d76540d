//! The exported symbols, made from the hook table.
//!
//! Each symbol and each alias becomes an `extern "C"` function of its own
//! that goes straight to the hook. They have no symbol version: a versioned
//! export is silently not interposed.

use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

use crate::hooks::clock::Timeb;
use crate::hooks::fts::{Fts, Ftsent};
use crate::hooks::glob::Glob;
use crate::hooks::names::{Event, Netent, Request, Rpcent};
use crate::hooks::set_clock::{Ntp, Ntpx};
use crate::hooks::users::Sgrp;
use crate::hooks::walk::Ftw;
use libc::{
    addrinfo, clockid_t, dev_t, dirent64, gid_t, group, hostent, itimerspec, key_t, mmsghdr, mode_t, msghdr,
    off_t, passwd, pid_t, protoent, servent, sigval, size_t, socklen_t, spwd, ssize_t, stat, statfs, statvfs,
    statx, sysinfo, timespec, timeval, timex, uid_t, utimbuf, utsname,
};

macro_rules! export {
    ($($family:ident $page:literal fn $name:ident [$($alias:ident)*] $args:tt $(-> $ret:ty)?;)*) => {
        $(export!(@all $family $name [$name $($alias)*] $args ($($ret)?));)*
    };
    (@all $family:ident $name:ident [$($symbol:ident)*] $args:tt $ret:tt) => {
        $(export!(@one $family $name $symbol $args $ret);)*
    };
    (@one $family:ident $name:ident $symbol:ident ($($arg:ident: $ty:ty),*) ($($ret:ty)?)) => {
        const _: () = {
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $symbol($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller keeps the contract of the libc function.
                unsafe { crate::hooks::$family::$name($($arg),*) }
            }
        };
    };
}

::hooks::for_each_hook!(export);
