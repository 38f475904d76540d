//! The times of files, by the application's clock: shown so by stat(2) and statx(2), set so by
//! utimensat(2) and its kin. On the host a file has the host's time.
//!
//! What a program writes has the time that its clock showed then. A clock that stands still has written all
//! at the same moment, whenever that was, and nothing later.

use core::cmp::min;

use libc::{timespec, timeval};

use super::{Clock, SECOND, nanoseconds, split};
use crate::calls::Args;
use crate::{Answer, Instance, kernel, user};

impl Clock {
    /// What a file's time is by this clock.
    fn of_file(&self, host: timespec) -> timespec {
        match self.is_shift() {
            true => shifted(host, self.shown.wrapping_sub(self.host)),
            false if self.frozen => split(min(
                self.shown,
                self.shown.saturating_add(nanoseconds(&host).saturating_sub(self.host)),
            )),
            false => split(self.shown(nanoseconds(&host))),
        }
    }

    /// What a time that a file is given is by the host's.
    fn given(&self, shown: timespec) -> timespec {
        match self.is_shift() {
            true => shifted(shown, self.host.wrapping_sub(self.shown)),
            false if self.frozen => {
                split(self.host.saturating_add(nanoseconds(&shown).saturating_sub(self.shown)))
            }
            false => split(self.host(nanoseconds(&shown), 0)),
        }
    }
}

/// A time so many nanoseconds later. Files may have times that nanoseconds alone cannot tell.
fn shifted(time: timespec, by: i64) -> timespec {
    let sum = time.tv_nsec + by.rem_euclid(SECOND);
    let carry = i64::from(sum >= SECOND);
    timespec {
        tv_sec: time.tv_sec.saturating_add(by.div_euclid(SECOND)).saturating_add(carry),
        tv_nsec: sum - carry * SECOND,
    }
}

/// A time that is to be set, as it is by the host's clock; `UTIME_NOW` and what is no time stay.
fn to_set(clock: &Clock, time: timespec) -> timespec {
    if (0..SECOND).contains(&time.tv_nsec) { clock.given(time) } else { time }
}

impl Instance<'_> {
    /// The clock that files have their times by, where it is not the host's.
    #[inline]
    pub fn file_clock(&self) -> Option<Clock> {
        self.view.time().filter(|time| time.files).and_then(|_| self.clock())
    }

    /// Shows the times that newfstatat(2) has told.
    ///
    /// # Safety
    ///
    /// The kernel has filled the struct.
    #[inline(never)]
    pub unsafe fn show_times(&self, clock: &Clock, stat: *mut libc::stat) {
        // SAFETY: the caller's promise.
        let about = unsafe { &mut *stat };
        for (seconds, nanoseconds) in [
            (&mut about.st_atime, &mut about.st_atime_nsec),
            (&mut about.st_mtime, &mut about.st_mtime_nsec),
            (&mut about.st_ctime, &mut about.st_ctime_nsec),
        ] {
            let shown = clock.of_file(timespec { tv_sec: *seconds, tv_nsec: *nanoseconds });
            (*seconds, *nanoseconds) = (shown.tv_sec, shown.tv_nsec);
        }
    }

    /// The same for statx(2).
    ///
    /// # Safety
    ///
    /// As above.
    #[inline(never)]
    pub unsafe fn show_extended_times(&self, clock: &Clock, stat: *mut libc::statx) {
        // SAFETY: the caller's promise.
        let about = unsafe { &mut *stat };
        let told = about.stx_mask;
        for (bit, time) in [
            (libc::STATX_ATIME, &mut about.stx_atime),
            (libc::STATX_MTIME, &mut about.stx_mtime),
            (libc::STATX_CTIME, &mut about.stx_ctime),
            (libc::STATX_BTIME, &mut about.stx_btime),
        ] {
            if told & bit != 0 {
                let shown = clock.of_file(timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec.into() });
                (time.tv_sec, time.tv_nsec) = (shown.tv_sec, shown.tv_nsec as u32);
            }
        }
    }

    /// Shows the times of a file by the application's clock, where a call that a door has made itself has told them.
    ///
    /// # Safety
    ///
    /// A call that has succeeded has filled the struct.
    #[inline]
    pub unsafe fn after_stat(&self, has_succeeded: bool, stat: *mut libc::stat) {
        if let (true, Some(clock)) = (has_succeeded, self.file_clock()) {
            // SAFETY: the caller's promise.
            unsafe { self.show_times(&clock, stat) };
        }
    }

    /// What a call that looks at a file tells the program, where `answer` is what it has told otherwise.
    #[inline]
    pub fn told_of_file(&self, number: i64, args: Args, answer: Answer) -> Answer {
        match self.file_clock() {
            Some(clock) => told_by(&clock, self, number, args, answer),
            None => answer,
        }
    }

    /// The two times that utimensat(2) is to set, by the host's clock. None where they are what the program says.
    pub fn host_times(&self, times: *const timespec) -> Option<[timespec; 2]> {
        let clock = self.file_clock()?;
        if times.is_null() || !user::is_readable(times.cast(), 2 * size_of::<timespec>()) {
            return None;
        }
        // SAFETY: found readable.
        let times = unsafe { times.cast::<[timespec; 2]>().read_unaligned() };
        Some(times.map(|time| to_set(&clock, time)))
    }

    /// The same for utimes(2). What they are by the host's clock is no whole number of microseconds.
    pub fn host_timevals(&self, times: *const timeval) -> Option<[timespec; 2]> {
        let clock = self.file_clock()?;
        if times.is_null() || !user::is_readable(times.cast(), 2 * size_of::<timeval>()) {
            return None;
        }
        // SAFETY: found readable.
        let times = unsafe { times.cast::<[timeval; 2]>().read_unaligned() };
        if !times.iter().all(|time| (0..1_000_000).contains(&time.tv_usec)) {
            return None;
        }
        Some(times.map(|time| to_set(&clock, timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1000 })))
    }

    /// futimens(3) and futimes(3): utimensat(2) and futimesat(2) of a descriptor alone.
    pub fn set_times_by_descriptor(&self, number: i64, fd: i32, times: usize) -> Answer {
        let host = match number {
            libc::SYS_utimensat => self.host_times(times as *const timespec),
            _ => self.host_timevals(times as *const timeval),
        };
        let (number, times) = match &host {
            Some(host) => (libc::SYS_utimensat, host.as_ptr() as usize),
            None => (number, times),
        };
        match self.modify_by_descriptor(number, [fd as usize, times, 0, 0, 0, 0]) {
            Answer::Pass => {
                // SAFETY: the program's own arguments, or times of ours.
                Answer::Done(unsafe { kernel::syscall(number, [fd as usize, 0, times, 0, 0, 0]) })
            }
            done => done,
        }
    }
}

#[inline(never)]
fn told_by(clock: &Clock, instance: &Instance<'_>, number: i64, args: Args, answer: Answer) -> Answer {
    let done = match answer {
        // SAFETY: the program's own arguments, for the kernel to judge.
        Answer::Pass => unsafe { kernel::syscall(number, args) },
        Answer::Done(done) => done,
    };
    if done.is_ok() {
        // SAFETY: a call that succeeds has filled the struct.
        unsafe {
            match number {
                libc::SYS_statx => instance.show_extended_times(clock, args[4] as *mut _),
                libc::SYS_newfstatat => instance.show_times(clock, args[2] as *mut _),
                _ => instance.show_times(clock, args[1] as *mut _),
            }
        }
    }
    Answer::Done(done)
}

#[cfg(test)]
mod tests {
    use view::{Begins, RATE_ONE, Time};

    use super::*;

    fn clock(rate: u64, frozen: bool) -> Clock {
        let time = Time { begins: Begins::After(0), rate, frozen, files: true };
        Clock::new(&time, (1_000 * SECOND, 500 * SECOND + 1))
    }

    #[test]
    fn what_is_set_is_what_is_shown() {
        for clock in [clock(RATE_ONE, false), clock(2 * RATE_ONE, false), clock(RATE_ONE, true)] {
            for (seconds, nanoseconds) in [(400, 0), (499, 999_999_999), (500, 1)] {
                let host = clock.given(timespec { tv_sec: seconds, tv_nsec: nanoseconds });
                let shown = clock.of_file(host);
                assert_eq!((shown.tv_sec, shown.tv_nsec / 2), (seconds, nanoseconds / 2), "{clock:?}");
            }
        }
        // Farther than nanoseconds reach.
        let clock = clock(RATE_ONE, false);
        let far = clock.given(timespec { tv_sec: 1 << 40, tv_nsec: 3 });
        assert_eq!((clock.of_file(far).tv_sec, clock.of_file(far).tv_nsec), (1 << 40, 3));
    }

    #[test]
    fn nothing_is_written_later_than_a_clock_that_stands_still_shows() {
        let clock = clock(RATE_ONE, true);
        let shown = |seconds| clock.of_file(timespec { tv_sec: seconds, tv_nsec: 0 });
        assert_eq!((shown(1_500).tv_sec, shown(1_500).tv_nsec), (500, 1));
        assert_eq!(shown(900).tv_sec, 400);
    }
}
