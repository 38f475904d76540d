//! What time it is: every clock that a person would call the date, and none that
//! measures intervals.
//!
//! The application's clock is reckoned from the host's, by one moment that both have in
//! common ([`crate::shared::Anchor`]) and by how fast it goes. So nothing has to be kept
//! up to date, and all processes agree.
//!
//! A clock is read without a system call, through the kernel's vDSO ([`vdso`]): a door
//! says where that is. [`read`] answers from it, [`set`] is for those who set the clock,
//! [`wait`] for calls that wait until a moment, which is told to the kernel by its own clock.

pub mod files;
pub mod read;
pub mod set;
mod stamps;
pub mod timers;
pub mod vdso;
pub mod wait;

use libc::{clockid_t, timespec};
use view::Time;

use crate::{Instance, kernel};

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

/// The clocks that tell the date, as the kernel numbers them.
pub const DATES: &[u32] = &[
    libc::CLOCK_REALTIME as u32,
    libc::CLOCK_REALTIME_COARSE as u32,
    libc::CLOCK_REALTIME_ALARM as u32,
    libc::CLOCK_TAI as u32,
];

/// The calls that only have to do with a clock of the application's own.
pub const CALLS: &[i64] = &[
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_time,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timerfd_settime,
];

/// Whether a clock tells the date.
#[inline]
pub fn is_date(clock: clockid_t) -> bool {
    matches!(
        clock,
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_REALTIME_ALARM | libc::CLOCK_TAI
    )
}

/// A moment in nanoseconds since 1970; what is out of range is as far as can be told.
#[inline]
pub fn nanoseconds(time: &timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

/// The same, as the kernel has it.
#[inline]
pub fn split(moment: i64) -> timespec {
    if moment >= 0 {
        // Without a sign it takes fewer instructions, and nearly all are so.
        let moment = moment as u64;
        let seconds = moment / SECOND as u64;
        return timespec { tv_sec: seconds as i64, tv_nsec: (moment - seconds * SECOND as u64) as i64 };
    }
    timespec { tv_sec: moment.div_euclid(SECOND), tv_nsec: moment.rem_euclid(SECOND) }
}

/// The application's clock, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    host: i64,
    shown: i64,
    rate: u64,
    frozen: bool,
}

impl Clock {
    /// A clock that shows one moment at another of the host's.
    pub fn new(time: &Time, (host, shown): (i64, i64)) -> Clock {
        Clock { host, shown, rate: time.rate, frozen: time.frozen }
    }

    /// Whether a moment is always as far from the host's.
    #[inline]
    pub fn is_shift(&self) -> bool {
        self.rate == view::RATE_ONE && !self.frozen
    }

    /// What it shows at a moment of the host's.
    #[inline]
    pub fn shown(&self, host: i64) -> i64 {
        if self.is_shift() {
            return host.wrapping_add(self.shown.wrapping_sub(self.host));
        }
        self.shown_apart(host)
    }

    #[inline(never)]
    fn shown_apart(&self, host: i64) -> i64 {
        if self.frozen {
            return self.shown;
        }
        let since = i128::from(host) - i128::from(self.host);
        let shown = i128::from(self.shown) + ((since * i128::from(self.rate)) >> 32);
        shown.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// When it shows a moment, by the host's clock. `now` is what that shows now: where this one
    /// stands still, a moment is as far ahead as it would be if it went on from there.
    pub fn host(&self, shown: i64, now: i64) -> i64 {
        let ahead = i128::from(shown) - i128::from(self.shown);
        let host = if self.frozen {
            i128::from(now) + ahead
        } else if self.rate == view::RATE_ONE {
            i128::from(self.host) + ahead
        } else {
            // Not before: what has been waited for has come.
            let (distance, less) = slower(ahead.unsigned_abs() as u64, self.rate);
            i128::from(self.host)
                + if ahead < 0 { -i128::from(distance) } else { i128::from(distance) + i128::from(less) }
        };
        host.clamp(0, i128::from(i64::MAX)) as i64
    }
}

/// A span of a clock that goes at a rate, by one that goes as fast as the host's; and whether it
/// has been rounded down. By hand: a division of so many bits would be a function that the gate does not have.
fn slower(span: u64, rate: u64) -> (u64, bool) {
    let rate = rate.max(1);
    let (mut quotient, mut rest) = (span / rate, span % rate);
    if quotient >= 1 << 31 {
        return (i64::MAX as u64, false);
    }
    for _ in 0..32 {
        // The fastest rate has 52 bits.
        rest <<= 1;
        quotient <<= 1;
        if rest >= rate {
            rest -= rate;
            quotient |= 1;
        }
    }
    (quotient, rest != 0)
}

impl Instance<'_> {
    /// How far the application's clock is from the host's, where that is always the same.
    #[inline(always)]
    fn shift(&self) -> Option<i64> {
        let told = self.told.filter(|_| self.view.has_shift())?;
        let (host, shown) = told.clock.get();
        Some(shown.wrapping_sub(host))
    }

    /// The application's clock, where it is not the host's.
    #[inline]
    pub fn clock(&self) -> Option<Clock> {
        let time = self.view.time()?;
        Some(Clock::new(&time, self.told?.clock.get()))
    }
}

/// What one of the host's clocks shows now.
pub fn now(clock: clockid_t) -> i64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    let args = [clock as usize, &raw mut time as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes one timespec.
    let _ = unsafe { kernel::syscall(libc::SYS_clock_gettime, args) };
    nanoseconds(&time)
}

#[cfg(test)]
mod tests {
    use view::{Begins, RATE_ONE};

    use super::*;

    fn clock(rate: u64, frozen: bool) -> Clock {
        let time = Time { begins: Begins::After(0), rate, frozen, files: false };
        Clock::new(&time, (1_000 * SECOND, 500 * SECOND))
    }

    #[test]
    fn a_shift_is_the_same_everywhere() {
        let clock = clock(RATE_ONE, false);
        assert_eq!(clock.shown(1_000 * SECOND + 7), 500 * SECOND + 7);
        assert_eq!(clock.shown(0), -500 * SECOND);
        assert_eq!(clock.host(500 * SECOND + 7, 0), 1_000 * SECOND + 7);
        // Nothing is before the host's own beginning.
        assert_eq!(clock.host(-600 * SECOND, 0), 0);
        assert_eq!(clock.host(i64::MAX, 0), i64::MAX);
    }

    #[test]
    fn a_rate_counts_from_the_start() {
        let clock = clock(2 * RATE_ONE, false);
        assert_eq!(clock.shown(1_010 * SECOND), 520 * SECOND);
        assert_eq!(clock.host(520 * SECOND, 0), 1_010 * SECOND);
        assert_eq!(clock.shown(clock.host(520 * SECOND + 1, 0)), 520 * SECOND + 2);
    }

    #[test]
    fn a_clock_that_stands_still_lets_one_wait() {
        let clock = clock(RATE_ONE, true);
        assert_eq!(clock.shown(77 * SECOND), 500 * SECOND);
        assert_eq!(clock.host(503 * SECOND, 2_000 * SECOND), 2_003 * SECOND);
    }

    #[test]
    fn a_moment_is_split_as_the_kernel_does() {
        assert_eq!((split(-1).tv_sec, split(-1).tv_nsec), (-1, SECOND - 1));
        assert_eq!((split(SECOND + 3).tv_sec, split(SECOND + 3).tv_nsec), (1, 3));
    }
}
