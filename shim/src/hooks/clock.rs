//! Reading the clock. libc reads it through the kernel's vDSO; where the policy has a
//! clock of its own, so do we.

use core::ffi::{c_int, c_ulong, c_void};
use core::sync::atomic::{AtomicBool, Ordering};

use elements::time::vdso;
use elements::{Errno, Instance};
use libc::{clockid_t, timespec, timeval};

use crate::answer::returned;
use crate::real;
use crate::start::instance;

/// `struct timeb` of ftime(3)
#[repr(C)]
pub struct Timeb {
    time: i64,
    milliseconds: u16,
    zone: i16,
    dst: i16,
}

/// Whether it is known where the vDSO is.
static LEARNT: AtomicBool = AtomicBool::new(false);

/// The instance, if the policy has a clock of its own.
#[inline]
pub fn own() -> Option<&'static Instance<'static>> {
    let instance = instance();
    if !instance.view.has_time() {
        return None;
    }
    if !LEARNT.load(Ordering::Relaxed) {
        learn();
    }
    Some(instance)
}

#[cold]
fn learn() {
    if let Some(getauxval) = real!(getauxval as fn(c_ulong) -> c_ulong) {
        // SAFETY: takes a number.
        let base = unsafe { getauxval(libc::AT_SYSINFO_EHDR) };
        if base != 0 {
            // SAFETY: what the kernel says.
            unsafe { vdso::learn(base as usize) };
        }
    }
    LEARNT.store(true, Ordering::Relaxed);
}

/// What the vDSO's functions return, in libc's way.
fn ended(failed: c_int) -> c_int {
    if failed == 0 { 0 } else { returned(Err(Errno(-failed))) as c_int }
}

pub unsafe fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    if let Some(instance) = own() {
        // SAFETY: the caller's contract.
        return ended(unsafe { instance.read_clock(clock, to) });
    }
    match real!(clock_gettime as fn(clockid_t, *mut timespec) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(clock, to) },
        None => returned(Err(Errno::ENOSYS)) as c_int,
    }
}

pub unsafe fn gettimeofday(to: *mut timeval, zone: *mut c_void) -> c_int {
    if let Some(instance) = own() {
        // SAFETY: the caller's contract.
        return ended(unsafe { instance.read_time_of_day(to, zone) });
    }
    match real!(gettimeofday as fn(*mut timeval, *mut c_void) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(to, zone) },
        None => returned(Err(Errno::ENOSYS)) as c_int,
    }
}

pub unsafe fn time(to: *mut i64) -> i64 {
    if let Some(instance) = own() {
        // SAFETY: the caller's contract.
        return unsafe { instance.read_seconds(to) };
    }
    match real!(time as fn(*mut i64) -> i64) {
        // SAFETY: the program's own argument.
        Some(next) => unsafe { next(to) },
        None => returned(Err(Errno::ENOSYS)) as i64,
    }
}

pub unsafe fn timespec_get(to: *mut timespec, base: c_int) -> c_int {
    const TIME_UTC: c_int = 1;
    if base == TIME_UTC
        && let Some(instance) = own()
    {
        // SAFETY: the caller's contract.
        return if unsafe { instance.read_clock(libc::CLOCK_REALTIME, to) } == 0 { base } else { 0 };
    }
    match real!(timespec_get as fn(*mut timespec, c_int) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(to, base) },
        None => 0,
    }
}

pub unsafe fn ftime(to: *mut Timeb) -> c_int {
    if let Some(instance) = own() {
        let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: room of our own, and the caller's.
        unsafe {
            instance.read_clock(libc::CLOCK_REALTIME, &raw mut now);
            let milliseconds = (now.tv_nsec / 1_000_000) as u16;
            to.write(Timeb { time: now.tv_sec, milliseconds, zone: 0, dst: 0 });
        }
        return 0;
    }
    match real!(ftime as fn(*mut Timeb) -> c_int) {
        // SAFETY: the program's own argument.
        Some(next) => unsafe { next(to) },
        None => returned(Err(Errno::ENOSYS)) as c_int,
    }
}
