//! Setting the clock, and asking how well it goes.

use core::ffi::{c_int, c_long, c_void};

use elements::{Answer, Errno};
use libc::{clockid_t, timespec, timeval, timex};

use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

/// `struct ntptimeval` as ntp_gettime(3) fills it.
#[repr(C)]
pub struct Ntp {
    time: timeval,
    most: c_long,
    expected: c_long,
}

/// The same as ntp_gettimex(3) fills it.
#[repr(C)]
pub struct Ntpx {
    time: timeval,
    most: c_long,
    expected: c_long,
    tai: c_long,
    reserved: [c_long; 4],
}

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

pub unsafe fn clock_settime(clock: clockid_t, to: *const timespec) -> c_int {
    let answer = if clock == libc::CLOCK_REALTIME { instance().clock_settime(to) } else { Answer::Pass };
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_clock_settime, [clock as usize, to as usize, 0, 0, 0, 0]) }
}

pub unsafe fn settimeofday(to: *const timeval, zone: *const c_void) -> c_int {
    let answer = instance().settimeofday(to, zone as usize);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_settimeofday, [to as usize, zone as usize, 0, 0, 0, 0]) }
}

pub unsafe fn stime(to: *const i64) -> c_int {
    // SAFETY: the caller's contract.
    let to = timespec { tv_sec: unsafe { *to }, tv_nsec: 0 };
    // SAFETY: a struct of ours.
    unsafe { clock_settime(libc::CLOCK_REALTIME, &raw const to) }
}

/// A clock whose rate is the policy's takes no adjustment, so none is left.
pub unsafe fn adjtime(by: *const timeval, left: *mut timeval) -> c_int {
    if instance().view.has_time() {
        if !by.is_null() {
            return failed(Errno::EPERM);
        }
        if !left.is_null() {
            // SAFETY: the caller's contract.
            unsafe { left.write(timeval { tv_sec: 0, tv_usec: 0 }) };
        }
        return 0;
    }
    match real!(adjtime as fn(*const timeval, *mut timeval) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(by, left) },
        None => failed(Errno::ENOSYS),
    }
}

pub unsafe fn adjtimex(about: *mut timex) -> c_int {
    let answer = instance().adjtimex(about);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_adjtimex, [about as usize, 0, 0, 0, 0, 0]) }
}

pub unsafe fn clock_adjtime(clock: clockid_t, about: *mut timex) -> c_int {
    let answer = if clock == libc::CLOCK_REALTIME { instance().adjtimex(about) } else { Answer::Pass };
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_clock_adjtime, [clock as usize, about as usize, 0, 0, 0, 0]) }
}

/// What the clock's own account of itself says, if the clock is the policy's.
fn told() -> Option<(c_int, timex)> {
    // SAFETY: all zeros only asks.
    let mut about = unsafe { core::mem::zeroed::<timex>() };
    match instance().adjtimex(&raw mut about) {
        Answer::Done(done) => Some((returned(done) as c_int, about)),
        Answer::Pass => None,
    }
}

pub unsafe fn ntp_gettime(to: *mut Ntp) -> c_int {
    match (told(), real!(ntp_gettime as fn(*mut Ntp) -> c_int)) {
        (Some((done, about)), _) => {
            if done >= 0 {
                // SAFETY: the caller's contract.
                unsafe { to.write(Ntp { time: about.time, most: about.maxerror, expected: about.esterror }) };
            }
            done
        }
        // SAFETY: the program's own argument.
        (None, Some(next)) => unsafe { next(to) },
        (None, None) => failed(Errno::ENOSYS),
    }
}

pub unsafe fn ntp_gettimex(to: *mut Ntpx) -> c_int {
    match (told(), real!(ntp_gettimex as fn(*mut Ntpx) -> c_int)) {
        (Some((done, about)), _) => {
            if done >= 0 {
                let told = Ntpx {
                    time: about.time,
                    most: about.maxerror,
                    expected: about.esterror,
                    tai: c_long::from(about.tai),
                    reserved: [0; 4],
                };
                // SAFETY: the caller's contract.
                unsafe { to.write(told) };
            }
            done
        }
        // SAFETY: the program's own argument.
        (None, Some(next)) => unsafe { next(to) },
        (None, None) => failed(Errno::ENOSYS),
    }
}
