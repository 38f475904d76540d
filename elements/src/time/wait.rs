//! Calls that wait until a moment of the application's clock. The kernel is told the
//! same moment by its own. What waits for so long, and not until then, is none of them.

use libc::{clockid_t, itimerspec, timespec};

use super::{SECOND, is_date, nanoseconds, now, split, timers};
use crate::calls::Args;
use crate::files::Text;
use crate::kernel;
use crate::{Answer, Errno, Instance, user};

/// futex(2): what waits until a moment of the date.
const CLOCK_REALTIME: u32 = 256;
const PRIVATE: u32 = 128;
const LOCK_PI: u32 = 6;
const WAIT_BITSET: u32 = 9;
const WAIT_REQUEUE_PI: u32 = 11;
const LOCK_PI2: u32 = 13;

/// The operations of futex(2) that take such a moment. Of `FUTEX_LOCK_PI` it always is one.
pub const FUTEX: &[u32] = &[
    LOCK_PI,
    LOCK_PI | PRIVATE,
    WAIT_BITSET | CLOCK_REALTIME,
    WAIT_BITSET | CLOCK_REALTIME | PRIVATE,
    WAIT_REQUEUE_PI | CLOCK_REALTIME,
    WAIT_REQUEUE_PI | CLOCK_REALTIME | PRIVATE,
    LOCK_PI2 | CLOCK_REALTIME,
    LOCK_PI2 | CLOCK_REALTIME | PRIVATE,
];

/// `TIMER_ABSTIME`: clock_nanosleep(2), timer_settime(2).
pub const ABSOLUTE: &[u32] = &[libc::TIMER_ABSTIME as u32];
/// `TFD_TIMER_ABSTIME`: timerfd_settime(2).
pub const ABSOLUTE_TIMERFD: &[u32] =
    &[libc::TFD_TIMER_ABSTIME as u32, (libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET) as u32];

impl Instance<'_> {
    /// When one of the host's clocks shows a moment that the application's is to show. None where
    /// it is the same clock, or no moment, which the kernel is to say.
    pub fn host_moment(&self, clock: clockid_t, moment: &timespec) -> Option<timespec> {
        let own = self.clock().filter(|_| is_date(clock))?;
        if moment.tv_sec < 0 || !(0..SECOND).contains(&moment.tv_nsec) {
            return None;
        }
        let shown = nanoseconds(moment);
        if own.is_shift() {
            return Some(split(own.host(shown, 0)));
        }
        let now_by = now(clock);
        // Atomic time is ahead by whole seconds, at whatever rate.
        let ahead = match clock {
            libc::CLOCK_TAI => (now_by - now(libc::CLOCK_REALTIME) + SECOND / 2).div_euclid(SECOND) * SECOND,
            _ => 0,
        };
        let host = own.host(shown.saturating_sub(ahead), now_by.saturating_sub(ahead));
        Some(split(host.saturating_add(ahead)))
    }

    /// The same for a program's pointer: the moment to hand on in its place.
    fn host_moment_at(&self, clock: clockid_t, moment: usize) -> Option<timespec> {
        let moment = moment as *const timespec;
        if moment.is_null() || !user::is_readable(moment.cast(), size_of::<timespec>()) {
            return None;
        }
        // SAFETY: found readable.
        self.host_moment(clock, &unsafe { moment.read_unaligned() })
    }

    /// A call that waits until the moment that the argument with this number points to.
    pub fn wait_until(&self, number: i64, mut args: Args, clock: clockid_t, index: usize) -> Answer {
        let pointer = args.get(index).copied().unwrap_or(0);
        let Some(host) = self.host_moment_at(clock, pointer) else { return Answer::Pass };
        if let Some(argument) = args.get_mut(index) {
            *argument = &raw const host as usize;
        }
        // SAFETY: the program's own arguments, but for a timespec of ours.
        Answer::Done(unsafe { kernel::waiting_syscall(number, args) })
    }

    /// timer_create(2): takes note of what clock a timer is of.
    pub fn timer_create(&self, args: Args) -> Answer {
        let [clock, _, timer, ..] = args;
        // SAFETY: the program's own arguments, for the kernel to judge.
        let done = unsafe { kernel::syscall(libc::SYS_timer_create, args) };
        if done.is_ok() {
            // SAFETY: the kernel has just written it.
            let timer = unsafe { (timer as *const i32).read_unaligned() };
            timers::note(timer as usize, is_date(clock as clockid_t));
        }
        Answer::Done(done)
    }

    /// timer_settime(2), of a moment.
    pub fn timer_settime(&self, args: Args) -> Answer {
        if !timers::is_of_date(args[0] as u32 as usize) {
            return Answer::Pass;
        }
        self.set_timer(libc::SYS_timer_settime, args)
    }

    /// timerfd_settime(2), of a moment.
    pub fn timerfd_settime(&self, args: Args) -> Answer {
        match timerfd_clock(args[0] as i32) {
            Ok(clock) if is_date(clock) => self.set_timer(libc::SYS_timerfd_settime, args),
            _ => Answer::Pass,
        }
    }

    fn set_timer(&self, number: i64, mut args: Args) -> Answer {
        let Some(host) = self.host_timer(args[2] as *const itimerspec) else { return Answer::Pass };
        args[2] = &raw const host as usize;
        // SAFETY: the program's own arguments, but for an itimerspec of ours.
        Answer::Done(unsafe { kernel::syscall(number, args) })
    }

    /// What a timer of the date is set to, by the host's clock. None where it is not to run.
    pub fn host_timer(&self, timer: *const itimerspec) -> Option<itimerspec> {
        if timer.is_null() || !user::is_readable(timer.cast(), size_of::<itimerspec>()) {
            return None;
        }
        // SAFETY: found readable.
        let mut timer = unsafe { timer.read_unaligned() };
        if timer.it_value.tv_sec == 0 && timer.it_value.tv_nsec == 0 {
            return None;
        }
        timer.it_value = self.host_moment(libc::CLOCK_REALTIME, &timer.it_value)?;
        if timer.it_value.tv_sec == 0 && timer.it_value.tv_nsec == 0 {
            // Long over, and not "never".
            timer.it_value.tv_nsec = 1;
        }
        Some(timer)
    }
}

/// The clock of a timer's descriptor, as the kernel tells it in proc(5).
pub fn timerfd_clock(fd: i32) -> Result<clockid_t, Errno> {
    const KEY: &[u8] = b"clockid: ";
    let mut path = Text::<64>::new();
    // A thread may have descriptors of its own.
    path.push(b"/proc/thread-self/fdinfo/")?;
    path.push_decimal(fd.unsigned_abs())?;
    let file = kernel::open_at_once(path.as_ptr())?;
    let mut text = [0; 512];
    let len = kernel::pread(file, &mut text, 0);
    kernel::close(file);
    let text = text.get(..len?).unwrap_or(&[]);
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(KEY));
    let digits = line.unwrap_or(&[]).trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Errno::EINVAL);
    }
    Ok(digits
        .iter()
        .fold(0, |sum: i32, digit| sum.saturating_mul(10).saturating_add(i32::from(digit - b'0'))))
}
