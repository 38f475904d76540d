//! How many processors and how much memory there are.

use core::ffi::{c_int, c_long, c_ulong};

use elements::identity::Set;
use elements::{Answer, Errno};
use libc::{pid_t, size_t, sysinfo as Sysinfo};

use super::is_glibc;
use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

/// What pages are, as sysconf(3) counts memory.
const PAGE: u64 = 4096;

pub unsafe fn sched_getaffinity(process: pid_t, size: size_t, mask: *mut u8) -> c_int {
    match instance().sched_getaffinity(process, size, mask) {
        Answer::Done(Ok(len)) => {
            // libc gives all of the set.
            // SAFETY: the caller's set, by the function's contract.
            unsafe { core::ptr::write_bytes(mask.add(len), 0, size.saturating_sub(len)) };
            0
        }
        Answer::Done(Err(errno)) => returned(Err(errno)) as c_int,
        Answer::Pass => match real!(sched_getaffinity as fn(pid_t, size_t, *mut u8) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(process, size, mask) },
            None => returned(Err(Errno::ENOSYS)) as c_int,
        },
    }
}

pub unsafe fn sched_setaffinity(process: pid_t, size: size_t, mask: *const u8) -> c_int {
    let answer = instance().sched_setaffinity(process, size, mask);
    let args = [process as usize, size, mask as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_sched_setaffinity, args) }
}

pub unsafe fn pthread_getaffinity_np(thread: c_ulong, size: size_t, mask: *mut u8) -> c_int {
    let Some(next) = real!(pthread_getaffinity_np as fn(c_ulong, size_t, *mut u8) -> c_int) else {
        return Errno::ENOSYS.0;
    };
    // SAFETY: the program's own arguments.
    let failed = unsafe { next(thread, size, mask) };
    if failed == 0 && instance().cpus().is_some() {
        // SAFETY: libc has just filled the set.
        let host = Set::of(unsafe { core::slice::from_raw_parts(mask, size) });
        let shown = instance().shown_cpus(&host);
        // SAFETY: the caller's set, and within ours.
        unsafe {
            core::ptr::copy_nonoverlapping(shown.bytes().as_ptr(), mask, size.min(shown.bytes().len()))
        };
    }
    failed
}

pub unsafe fn pthread_setaffinity_np(thread: c_ulong, size: size_t, mask: *const u8) -> c_int {
    let Some(next) = real!(pthread_setaffinity_np as fn(c_ulong, size_t, *const u8) -> c_int) else {
        return Errno::ENOSYS.0;
    };
    if instance().cpus().is_none() {
        // SAFETY: the program's own arguments.
        return unsafe { next(thread, size, mask) };
    }
    // SAFETY: the caller's set, by the function's contract.
    let shown = Set::of(unsafe { core::slice::from_raw_parts(mask, size) });
    match instance().host_cpus(&shown) {
        // SAFETY: a set of ours.
        Ok(host) => unsafe { next(thread, host.bytes().len(), host.bytes().as_ptr()) },
        Err(errno) => errno.0,
    }
}

pub unsafe fn sysinfo(info: *mut Sysinfo) -> c_int {
    let answer = instance().sysinfo(info);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_sysinfo, [info as usize, 0, 0, 0, 0, 0]) }
}

/// The number of processors, if it is the policy's.
fn cpus() -> Option<c_long> {
    let cpus = instance().cpus()?;
    if is_glibc() {
        return Some(cpus as c_long);
    }
    // musl counts those that the process may run on.
    let mut set = [0_u8; 128];
    match instance().sched_getaffinity(0, set.len(), set.as_mut_ptr()) {
        Answer::Done(Ok(_)) => Some(set.iter().map(|byte| c_long::from(byte.count_ones() as u8)).sum()),
        _ => None,
    }
}

/// Pages of memory in all and to be had, if they are the policy's.
fn pages() -> Option<(c_long, c_long)> {
    // SAFETY: all zeros is a valid one.
    let mut about = unsafe { core::mem::zeroed::<Sysinfo>() };
    let Answer::Done(Ok(_)) = instance().sysinfo(&raw mut about) else { return None };
    let free = about.freeram + if is_glibc() { 0 } else { about.bufferram };
    let pages = |figure: u64| (figure * u64::from(about.mem_unit.max(1)) / PAGE) as c_long;
    Some((pages(about.totalram), pages(free)))
}

pub unsafe fn sysconf(name: c_int) -> c_long {
    let ours = match name {
        libc::_SC_NPROCESSORS_CONF | libc::_SC_NPROCESSORS_ONLN => cpus(),
        libc::_SC_PHYS_PAGES => pages().map(|(all, _)| all),
        libc::_SC_AVPHYS_PAGES => pages().map(|(_, free)| free),
        _ => None,
    };
    match (ours, real!(sysconf as fn(c_int) -> c_long)) {
        (Some(ours), _) => ours,
        // SAFETY: takes a number.
        (None, Some(next)) => unsafe { next(name) },
        (None, None) => returned(Err(Errno::ENOSYS)) as c_long,
    }
}

/// A function of libc's without arguments, where the policy has no answer.
macro_rules! counted {
    ($name:ident: $type:ty, $ours:expr) => {
        pub unsafe fn $name() -> $type {
            match ($ours, real!($name as fn() -> $type)) {
                (Some(ours), _) => ours as $type,
                // SAFETY: takes nothing.
                (None, Some(next)) => unsafe { next() },
                (None, None) => returned(Err(Errno::ENOSYS)) as $type,
            }
        }
    };
}

counted!(get_nprocs: c_int, cpus());
counted!(get_nprocs_conf: c_int, cpus());
counted!(get_phys_pages: c_long, pages().map(|(all, _)| all));
counted!(get_avphys_pages: c_long, pages().map(|(_, free)| free));
