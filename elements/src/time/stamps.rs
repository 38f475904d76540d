//! When a packet has come: the stamps that the kernel puts beside a message, see socket(7).

use libc::{msghdr, timespec, timeval};

use super::{Clock, nanoseconds, split};
use crate::Instance;

// By the numbers of `SO_TIMESTAMP_OLD` and its kin, and of their forms for 64 bits, which are the same here.
const IN_MICROSECONDS: [i32; 2] = [29, 63];
const IN_NANOSECONDS: [i32; 4] = [35, 64, 37, 65];

impl Instance<'_> {
    /// Shows the stamps of a message by the application's clock.
    ///
    /// # Safety
    ///
    /// The kernel has filled the message.
    #[inline]
    pub(crate) unsafe fn show_stamps(&self, message: &msghdr) {
        if let Some(clock) = self.clock() {
            // SAFETY: the caller's promise.
            unsafe { show(&clock, message) };
        }
    }
}

unsafe fn show(clock: &Clock, message: &msghdr) {
    // SAFETY: the macros of cmsg(3) keep within the control buffer.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let (level, kind) = ((*header).cmsg_level, (*header).cmsg_type);
            let data = libc::CMSG_DATA(header);
            let len = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            // Of three stamps only the first is the system's clock's; the last is the card's.
            if level == libc::SOL_SOCKET && len >= size_of::<timespec>() {
                let stamp = data.cast::<timespec>();
                let mut time = stamp.read_unaligned();
                let is_micro = IN_MICROSECONDS.contains(&kind);
                if is_micro || IN_NANOSECONDS.contains(&kind) && (time.tv_sec, time.tv_nsec) != (0, 0) {
                    time.tv_nsec *= if is_micro { 1000 } else { 1 };
                    let shown = split(clock.shown(nanoseconds(&time)));
                    match is_micro {
                        true => data
                            .cast::<timeval>()
                            .write_unaligned(timeval { tv_sec: shown.tv_sec, tv_usec: shown.tv_nsec / 1000 }),
                        false => stamp.write_unaligned(shown),
                    }
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}
