//! Setting the clock: settimeofday(2), clock_settime(2), adjtimex(2). It changes what this
//! instance's processes see, and no more. Root alone may, as on a machine of its own.
//!
//! How fast the clock goes is the policy's to say, so it cannot be disciplined: `EPERM`, as for whoever
//! has not the right.

use libc::{timespec, timeval, timex};

use super::{SECOND, nanoseconds, now};
use crate::identity::credentials::capability;
use crate::{Answer, Errno, Instance, kernel, user};

/// Thirty years before the end of what the kernel's clock can show, as it has it itself.
const LAST: i64 = i64::MAX - 30 * 365 * 24 * 3600 * SECOND;

/// adjtimex(2)'s mode that only reads the adjustment that is left.
const ADJ_OFFSET_SS_READ: u32 = 0xa001;

impl Instance<'_> {
    /// Has the clock show a moment.
    fn set_clock(&self, moment: i64) -> Result<usize, Errno> {
        let may = self.may_change_machine(capability::SYS_TIME);
        let (Some(own), Some(shared), true) = (self.clock(), self.shared, may) else {
            return Err(Errno::EPERM);
        };
        if !(0..LAST).contains(&moment) {
            return Err(Errno::EINVAL);
        }
        shared.clock.step(moment.wrapping_sub(own.shown(now(libc::CLOCK_REALTIME))));
        Ok(0)
    }

    /// clock_settime(2), of the date.
    pub fn clock_settime(&self, to: *const timespec) -> Answer {
        if !self.view.has_time() {
            return Answer::Pass;
        }
        if to.is_null() || !user::is_readable(to.cast(), size_of::<timespec>()) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let to = unsafe { to.read_unaligned() };
        if to.tv_sec < 0 || !(0..SECOND).contains(&to.tv_nsec) {
            return Answer::fail(Errno::EINVAL);
        }
        Answer::Done(self.set_clock(nanoseconds(&to)))
    }

    /// settimeofday(2). The zone that the kernel keeps is left alone: it is the host's.
    pub fn settimeofday(&self, to: *const timeval, zone: usize) -> Answer {
        if !self.view.has_time() {
            return Answer::Pass;
        }
        if to.is_null() {
            let may = self.may_change_machine(capability::SYS_TIME);
            return Answer::Done(if may || zone == 0 { Ok(0) } else { Err(Errno::EPERM) });
        }
        if !user::is_readable(to.cast(), size_of::<timeval>()) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let to = unsafe { to.read_unaligned() };
        if to.tv_sec < 0 || !(0..1_000_000).contains(&to.tv_usec) {
            return Answer::fail(Errno::EINVAL);
        }
        Answer::Done(self.set_clock(nanoseconds(&timespec { tv_sec: to.tv_sec, tv_nsec: to.tv_usec * 1000 })))
    }

    /// adjtimex(2), and clock_adjtime(2) of the date.
    pub fn adjtimex(&self, about: *mut timex) -> Answer {
        let Some(own) = self.clock() else { return Answer::Pass };
        if !user::is_readable(about.cast(), size_of::<timex>()) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let asked = unsafe { about.read_unaligned() };
        let step = match asked.modes {
            0 | ADJ_OFFSET_SS_READ => None,
            modes if modes & !libc::ADJ_NANO == libc::ADJ_SETOFFSET => Some(&asked.time),
            _ => return Answer::fail(Errno::EPERM),
        };
        if let Some(step) = step {
            let unit = if asked.modes & libc::ADJ_NANO != 0 { 1 } else { 1000 };
            if !(0..SECOND / unit).contains(&step.tv_usec) {
                return Answer::fail(Errno::EINVAL);
            }
            let by = step.tv_sec.saturating_mul(SECOND).saturating_add(step.tv_usec * unit);
            if let Err(errno) = self.set_clock(own.shown(now(libc::CLOCK_REALTIME)).saturating_add(by)) {
                return Answer::fail(errno);
            }
        }
        let mut told = asked;
        told.modes = if step.is_some() { 0 } else { asked.modes };
        let args = [&raw mut told as usize, 0, 0, 0, 0, 0];
        // SAFETY: a struct of ours; the modes change nothing.
        let done = unsafe { kernel::syscall(libc::SYS_adjtimex, args) };
        if done.is_ok() {
            let unit = if told.status & libc::STA_NANO != 0 { 1 } else { 1000 };
            let host = told.time.tv_sec.saturating_mul(SECOND).saturating_add(told.time.tv_usec * unit);
            let shown = super::split(self.clock().unwrap_or(own).shown(host));
            told.time = timeval { tv_sec: shown.tv_sec, tv_usec: shown.tv_nsec / unit };
            told.modes = asked.modes;
            // The kernel writes what it has been given to read.
            if !user::is_writable(about.cast(), size_of::<timex>()) {
                return Answer::fail(Errno::EFAULT);
            }
            // SAFETY: found writable.
            unsafe { about.write_unaligned(told) };
        }
        Answer::Done(done)
    }
}
