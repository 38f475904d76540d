//! What sockets tell of the processes at their ends: `SO_PEERCRED`, and messages of
//! `SCM_CREDENTIALS` (unix(7)). The kernel knows the process; who that is, is known here.

use libc::{c_int, cmsghdr, msghdr, socklen_t, ucred};

use super::other::Shown;
use super::rules::{Credentials, capability};
use crate::{Answer, Errno, Instance, kernel, user};

/// The longest control data of a message that holds credentials.
const CONTROL: usize = 2048;

/// Room for a copy of a message's control data.
#[repr(C, align(8))]
pub struct Control([u8; CONTROL]);

impl Control {
    /// Room that nothing is in.
    pub const fn new() -> Control {
        Control([0; CONTROL])
    }
}

impl Default for Control {
    fn default() -> Control {
        Control::new()
    }
}

/// The messages of credentials in control data.
///
/// # Safety
///
/// The control data can be read.
unsafe fn each_credentials(message: &msghdr, mut with: impl FnMut(*mut ucred)) {
    // SAFETY: the macros of cmsg(3) keep within the control data.
    unsafe {
        let mut header: *mut cmsghdr = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let is_whole = (*header).cmsg_len as usize >= libc::CMSG_LEN(size_of::<ucred>() as u32) as usize;
            if (*header).cmsg_level == libc::SOL_SOCKET
                && (*header).cmsg_type == libc::SCM_CREDENTIALS
                && is_whole
            {
                with(libc::CMSG_DATA(header).cast());
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

impl Instance<'_> {
    /// Who a process of the host's is to the programs, by its effective ids or by its real ones.
    fn peer(&self, peer: ucred, real: bool) -> ucred {
        let mut shown = peer;
        let known = if peer.pid > 0 { self.credentials_of(peer.pid as u32).ok() } else { None };
        let Shown { uid, gid } = match known {
            Some(own) if real => Shown { uid: own.user.real, gid: own.group.real },
            Some(own) => Shown { uid: own.user.effective, gid: own.group.effective },
            None => self.shown(Shown { uid: peer.uid, gid: peer.gid }),
        };
        (shown.uid, shown.gid) = (uid, gid);
        shown
    }

    /// getsockopt(2): `SO_PEERCRED`, `SO_PEERNAME`, and what a stream is asked that has been led to a Unix socket.
    pub fn getsockopt(&self, args: [usize; 6]) -> Answer {
        let [_, level, option, value, len, _] = args;
        if level as c_int == libc::SOL_SOCKET && option as c_int == libc::SO_PEERNAME {
            return self.peer_name(args);
        }
        if !self.plays() || level as c_int != libc::SOL_SOCKET || option as c_int != libc::SO_PEERCRED {
            return self.option_of_led(args);
        }
        // SAFETY: the program's own arguments, for the kernel to judge.
        let done = unsafe { kernel::syscall(libc::SYS_getsockopt, args) };
        let given = || {
            // SAFETY: a call that succeeds has written the length.
            unsafe { (len as *const socklen_t).read_unaligned() }
        };
        if done.is_ok() && given() as usize == size_of::<ucred>() {
            // SAFETY: and so much of the value.
            unsafe {
                let told = (value as *const ucred).read_unaligned();
                (value as *mut ucred).write_unaligned(self.peer(told, false));
            }
        }
        Answer::Done(done)
    }

    /// Puts the host's ids into the credentials of a message that is to be sent. None: it holds none.
    ///
    /// # Errors
    ///
    /// `EPERM` for ids that the process does not have.
    pub fn credentials_to_send(
        &self,
        message: &msghdr,
        control: &mut Control,
    ) -> Result<Option<msghdr>, Errno> {
        #[allow(clippy::unnecessary_cast, reason = "libcs do not agree on the type")]
        let len = message.msg_controllen as usize;
        if !self.plays() || len == 0 || len > CONTROL || message.msg_control.is_null() {
            return Ok(None);
        }
        let from = message.msg_control.cast::<u8>();
        let is_there =
            (0..len).step_by(1024).chain([len - 1]).all(|at| user::is_readable(from.wrapping_add(at), 1));
        if !is_there {
            return Ok(None);
        }
        // SAFETY: found readable.
        unsafe { core::ptr::copy_nonoverlapping(from, control.0.as_mut_ptr(), len) };
        let mut copy = *message;
        copy.msg_control = control.0.as_mut_ptr().cast();
        let starter = self.starter().ok_or(Errno::EPERM)?;
        let own = self.credentials();
        let mut found = Ok(false);
        // SAFETY: the copy can be read and written.
        unsafe {
            each_credentials(&copy, |at| {
                let mut said = at.read_unaligned();
                if !may_say(&own, &said) {
                    found = Err(Errno::EPERM);
                }
                (said.uid, said.gid) = (starter.host_uid, starter.host_gid);
                at.write_unaligned(said);
                found = found.map(|_| true);
            });
        }
        Ok(found?.then_some(copy))
    }

    /// Puts the program's ids into the credentials of a message that has come.
    ///
    /// # Safety
    ///
    /// The kernel has filled the message.
    pub unsafe fn credentials_that_came(&self, message: &msghdr) {
        if self.plays() && message.msg_controllen > 0 {
            // SAFETY: the caller's promise.
            unsafe {
                each_credentials(message, |at| at.write_unaligned(self.peer(at.read_unaligned(), true)));
            }
        }
    }
}

fn may_say(own: &Credentials, said: &ucred) -> bool {
    let has = |ids: super::rules::Ids, id: u32| [ids.real, ids.effective, ids.saved].contains(&id);
    (has(own.user, said.uid) || own.can(capability::SETUID))
        && (has(own.group, said.gid) || own.can(capability::SETGID))
}
