//! Reading the clock: clock_gettime(2), gettimeofday(2) and time(2).
//!
//! Each comes in two ways: as a function, which a door's own functions call and which
//! asks the vDSO; and as the answer to a system call.

use core::ffi::{c_int, c_void};

use libc::{clockid_t, timespec, timeval};

use super::{Clock, SECOND, is_date, nanoseconds, now, split, vdso};
use crate::{Answer, Errno, Instance, user};

impl Clock {
    /// What it shows when one of the host's clocks that tell the date shows a moment.
    #[inline]
    pub fn shown_by(&self, clock: clockid_t, host: i64) -> i64 {
        if clock == libc::CLOCK_TAI && !self.is_shift() {
            // Atomic time is ahead by whole seconds, at whatever rate.
            let ahead = (host - now(libc::CLOCK_REALTIME) + SECOND / 2).div_euclid(SECOND) * SECOND;
            return self.shown(host - ahead).saturating_add(ahead);
        }
        self.shown(host)
    }
}

impl Instance<'_> {
    /// clock_gettime(2) by the vDSO: 0, or a negative errno.
    ///
    /// # Safety
    ///
    /// There is room for a timespec.
    #[inline(always)]
    pub unsafe fn read_clock(&self, clock: clockid_t, to: *mut timespec) -> c_int {
        // SAFETY: the caller's promise.
        let failed = unsafe { vdso::clock_gettime(clock, to) };
        if failed == 0 && is_date(clock) {
            // SAFETY: the kernel has just written it.
            let time = unsafe { &mut *to };
            match self.shift() {
                Some(shift) => {
                    let host = time.tv_sec.wrapping_mul(SECOND).wrapping_add(time.tv_nsec);
                    *time = split(host.wrapping_add(shift));
                }
                None => self.show_apart(clock, time),
            }
        }
        failed
    }

    #[cold]
    #[inline(never)]
    fn show_apart(&self, clock: clockid_t, time: &mut timespec) {
        if let Some(own) = self.clock() {
            *time = split(own.shown_by(clock, nanoseconds(time)));
        }
    }

    /// gettimeofday(2), likewise.
    ///
    /// # Safety
    ///
    /// There is room for each that is not null.
    #[inline]
    pub unsafe fn read_time_of_day(&self, to: *mut timeval, zone: *mut c_void) -> c_int {
        // SAFETY: the caller's promise.
        let failed = unsafe { vdso::gettimeofday(to, zone) };
        if failed == 0
            && !to.is_null()
            && let Some(own) = self.clock()
        {
            // SAFETY: the kernel has just written it.
            unsafe { to.write(own.shown_in_microseconds(&to.read())) };
        }
        failed
    }

    /// time(2), likewise.
    ///
    /// # Safety
    ///
    /// There is room for the time, or the pointer is null.
    #[inline]
    pub unsafe fn read_seconds(&self, to: *mut i64) -> i64 {
        let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: room of our own. The kernel's own time(2) looks at this clock.
        unsafe { self.read_clock(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
        if !to.is_null() {
            // SAFETY: the caller's promise.
            unsafe { to.write(time.tv_sec) };
        }
        time.tv_sec
    }

    /// clock_gettime(2)
    pub fn clock_gettime(&self, clock: clockid_t, to: *mut timespec) -> Answer {
        match self.clock() {
            Some(own) if is_date(clock) => {
                if !user::is_writable(to.cast(), size_of::<timespec>()) {
                    return Answer::fail(Errno::EFAULT);
                }
                // SAFETY: found writable.
                unsafe { to.write_unaligned(split(own.shown_by(clock, now(clock)))) };
                Answer::Done(Ok(0))
            }
            _ => Answer::Pass,
        }
    }

    /// gettimeofday(2)
    pub fn gettimeofday(&self, to: *mut timeval, zone: *mut c_void) -> Answer {
        let Some(own) = self.clock() else { return Answer::Pass };
        let args = [to as usize, zone as usize, 0, 0, 0, 0];
        // SAFETY: the program's own arguments, for the kernel to judge.
        let done = unsafe { crate::kernel::syscall(libc::SYS_gettimeofday, args) };
        if done.is_ok() && !to.is_null() {
            // SAFETY: the kernel has just written it.
            unsafe { to.write_unaligned(own.shown_in_microseconds(&to.read_unaligned())) };
        }
        Answer::Done(done)
    }

    /// time(2)
    pub fn time(&self, to: *mut i64) -> Answer {
        let Some(own) = self.clock() else { return Answer::Pass };
        if !to.is_null() && !user::is_writable(to.cast(), size_of::<i64>()) {
            return Answer::fail(Errno::EFAULT);
        }
        let seconds = own.shown(now(libc::CLOCK_REALTIME_COARSE)).div_euclid(SECOND);
        if !to.is_null() {
            // SAFETY: found writable.
            unsafe { to.write_unaligned(seconds) };
        }
        Answer::Done(Ok(seconds as usize))
    }
}

impl Clock {
    #[inline]
    fn shown_in_microseconds(&self, host: &timeval) -> timeval {
        let host = timespec { tv_sec: host.tv_sec, tv_nsec: host.tv_usec * 1000 };
        let shown = split(self.shown(nanoseconds(&host)));
        timeval { tv_sec: shown.tv_sec, tv_usec: shown.tv_nsec / 1000 }
    }
}
