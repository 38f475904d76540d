//! The system calls on capabilities: capget(2), capset(2), and what prctl(2) has to do with them.

use super::own::Scope;
use super::rules::{Credentials, capability, secure};
use crate::{Answer, Errno, Instance, files, user};

/// The options of prctl(2) that are answered here.
pub const OPTIONS: &[u32] = &[
    libc::PR_GET_KEEPCAPS as u32,
    libc::PR_SET_KEEPCAPS as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_CAPBSET_DROP as u32,
    libc::PR_GET_SECUREBITS as u32,
    libc::PR_SET_SECUREBITS as u32,
    libc::PR_CAP_AMBIENT as u32,
];

/// `struct __user_cap_header_struct`
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    version: u32,
    process: i32,
}

/// `struct __user_cap_data_struct`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The version with one word for each set, and those with two.
const FIRST: u32 = 0x1998_0330;
const SECOND: u32 = 0x2007_1026;
const THIRD: u32 = 0x2008_0522;

/// Reads a header. Where its version is unknown, the newest is written into it.
fn header(at: *mut u8) -> Result<(Header, usize), Errno> {
    if !user::is_readable(at, size_of::<Header>()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable.
    let mut header = unsafe { at.cast::<Header>().read_unaligned() };
    match header.version {
        FIRST => Ok((header, 1)),
        SECOND | THIRD => Ok((header, 2)),
        _ => {
            if !user::is_writable(at, size_of::<Header>()) {
                return Err(Errno::EFAULT);
            }
            header.version = THIRD;
            // SAFETY: found writable.
            unsafe { at.cast::<Header>().write_unaligned(header) };
            Err(Errno::EINVAL)
        }
    }
}

impl Instance<'_> {
    /// capget(2)
    pub fn capget(&self, at: *mut u8, data: *mut u8) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        let (header, count) = match header(at) {
            Ok(read) => read,
            // So a program asks for the version.
            Err(Errno::EINVAL) if data.is_null() => return Answer::Done(Ok(0)),
            Err(errno) => return Answer::fail(errno),
        };
        if header.process < 0 {
            return Answer::fail(Errno::EINVAL);
        }
        let found = match header.process {
            0 => self.credentials(),
            process => match self.credentials_of(process as u32) {
                Ok(found) => found,
                Err(errno) => return Answer::fail(errno),
            },
        };
        if data.is_null() {
            return Answer::Done(Ok(0));
        }
        if !user::is_writable(data, count * size_of::<Data>()) {
            return Answer::fail(Errno::EFAULT);
        }
        for index in 0..count {
            let half = |set: u64| (set >> (32 * index)) as u32;
            let Credentials { effective, permitted, inheritable, .. } = found;
            let half = Data {
                effective: half(effective),
                permitted: half(permitted),
                inheritable: half(inheritable),
            };
            // SAFETY: found writable.
            unsafe { data.cast::<Data>().add(index).write_unaligned(half) };
        }
        Answer::Done(Ok(0))
    }

    /// capset(2)
    pub fn capset(&self, at: *mut u8, data: *const u8) -> Answer {
        files::forget_answers();
        if !self.plays() {
            return Answer::Pass;
        }
        let (header, count) = match header(at) {
            Ok(read) => read,
            Err(errno) => return Answer::fail(errno),
        };
        if header.process != 0 && header.process != crate::kernel::getpid() {
            return Answer::fail(Errno::EPERM);
        }
        if !user::is_readable(data, count * size_of::<Data>()) {
            return Answer::fail(Errno::EFAULT);
        }
        let (mut effective, mut permitted, mut inheritable) = (0, 0, 0);
        for index in 0..count {
            // SAFETY: found readable.
            let half = unsafe { data.cast::<Data>().add(index).read_unaligned() };
            effective |= u64::from(half.effective) << (32 * index);
            permitted |= u64::from(half.permitted) << (32 * index);
            inheritable |= u64::from(half.inheritable) << (32 * index);
        }
        let done = self
            .change_credentials(Scope::Thread, |old| old.set_capabilities(effective, permitted, inheritable));
        Answer::Done(done.map(|()| 0))
    }

    /// prctl(2) with one of [`OPTIONS`].
    pub fn prctl(&self, option: i32, a: usize, b: usize, rest: [usize; 2]) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        let own = self.credentials();
        let capability = |number: usize| u32::try_from(number).ok().filter(|one| *one <= capability::LAST);
        let change = |change: &dyn Fn(&mut Credentials)| {
            let done = self.change_credentials(Scope::Thread, |old| {
                let mut new = *old;
                change(&mut new);
                Ok(new)
            });
            Answer::Done(done.map(|()| 0))
        };
        match option {
            libc::PR_GET_KEEPCAPS => Answer::Done(Ok(usize::from(own.secure_bits & secure::KEEP_CAPS != 0))),
            libc::PR_SET_KEEPCAPS => match a {
                _ if own.secure_bits & secure::KEEP_CAPS_LOCKED != 0 => Answer::fail(Errno::EPERM),
                0 => change(&|new| new.secure_bits &= !secure::KEEP_CAPS),
                1 => change(&|new| new.secure_bits |= secure::KEEP_CAPS),
                _ => Answer::fail(Errno::EINVAL),
            },
            libc::PR_CAPBSET_READ => match capability(a) {
                Some(one) => Answer::Done(Ok(usize::from(own.bounding & 1 << one != 0))),
                None => Answer::fail(Errno::EINVAL),
            },
            libc::PR_CAPBSET_DROP => match capability(a) {
                _ if !own.can(capability::SETPCAP) => Answer::fail(Errno::EPERM),
                Some(one) => change(&|new| new.bounding &= !(1 << one)),
                None => Answer::fail(Errno::EINVAL),
            },
            libc::PR_GET_SECUREBITS => Answer::Done(Ok((own.secure_bits & secure::ALL) as usize)),
            libc::PR_SET_SECUREBITS => {
                let bits = a as u32;
                let locked = (own.secure_bits & secure::LOCKS) >> 1;
                if a > secure::ALL as usize
                    || !own.can(capability::SETPCAP)
                    || own.secure_bits & secure::LOCKS & !bits != 0
                    || (own.secure_bits ^ bits) & locked != 0
                {
                    return Answer::fail(Errno::EPERM);
                }
                change(&|new| new.secure_bits = new.secure_bits & !secure::ALL | bits)
            }
            libc::PR_CAP_AMBIENT => self.ambient(&own, a, b, rest),
            _ => Answer::Pass,
        }
    }

    fn ambient(&self, own: &Credentials, operation: usize, number: usize, rest: [usize; 2]) -> Answer {
        let change = |ambient: u64| {
            let done = self.change_credentials(Scope::Thread, |old| {
                let mut new = *old;
                new.ambient = ambient;
                Ok(new)
            });
            Answer::Done(done.map(|()| 0))
        };
        if rest != [0; 2] {
            return Answer::fail(Errno::EINVAL);
        }
        if operation == libc::PR_CAP_AMBIENT_CLEAR_ALL as usize {
            return if number == 0 { change(0) } else { Answer::fail(Errno::EINVAL) };
        }
        if number > capability::LAST as usize {
            return Answer::fail(Errno::EINVAL);
        }
        let bit = 1_u64 << number;
        match i32::try_from(operation).unwrap_or(0) {
            libc::PR_CAP_AMBIENT_IS_SET => Answer::Done(Ok(usize::from(own.ambient & bit != 0))),
            libc::PR_CAP_AMBIENT_LOWER => change(own.ambient & !bit),
            libc::PR_CAP_AMBIENT_RAISE => {
                let may = own.permitted & own.inheritable & bit != 0
                    && own.secure_bits & secure::NO_AMBIENT_RAISE == 0;
                if may { change(own.ambient | bit) } else { Answer::fail(Errno::EPERM) }
            }
            _ => Answer::fail(Errno::EINVAL),
        }
    }
}
