//! Timers that run at a moment of the date.

use core::ffi::{c_int, c_void};

use elements::Errno;
use elements::time::{is_date, timers, wait};
use libc::{clockid_t, itimerspec};

use crate::answer::returned;
use crate::real;
use crate::start::instance;

fn missing() -> c_int {
    returned(Err(Errno::ENOSYS)) as c_int
}

/// What to hand on in a timer's place: it, or what it is by the host's clock.
fn handed(own: &mut Option<itimerspec>, new: *const itimerspec) -> *const itimerspec {
    *own = instance().host_timer(new);
    own.as_ref().map_or(new, core::ptr::from_ref)
}

pub unsafe fn timer_create(clock: clockid_t, event: *mut c_void, timer: *mut usize) -> c_int {
    let Some(next) = real!(timer_create as fn(clockid_t, *mut c_void, *mut usize) -> c_int) else {
        return missing();
    };
    // SAFETY: the program's own arguments.
    let done = unsafe { next(clock, event, timer) };
    if done == 0 && instance().view.has_time() {
        // SAFETY: libc has just written it.
        timers::note(unsafe { timer.read() }, is_date(clock));
    }
    done
}

pub unsafe fn timer_settime(
    timer: usize,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    let Some(next) = real!(timer_settime as fn(usize, c_int, *const itimerspec, *mut itimerspec) -> c_int)
    else {
        return missing();
    };
    let mut own = None;
    let is_moment = wait::ABSOLUTE.contains(&(flags as u32)) && timers::is_of_date(timer);
    let new = if is_moment { handed(&mut own, new) } else { new };
    // SAFETY: the program's own arguments, but for a struct of ours.
    unsafe { next(timer, flags, new, old) }
}

pub unsafe fn timerfd_settime(
    fd: c_int,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    let Some(next) = real!(timerfd_settime as fn(c_int, c_int, *const itimerspec, *mut itimerspec) -> c_int)
    else {
        return missing();
    };
    let mut own = None;
    let is_moment = instance().view.has_time()
        && wait::ABSOLUTE_TIMERFD.contains(&(flags as u32))
        && wait::timerfd_clock(fd).is_ok_and(is_date);
    let new = if is_moment { handed(&mut own, new) } else { new };
    // SAFETY: the program's own arguments, but for a struct of ours.
    unsafe { next(fd, flags, new, old) }
}
