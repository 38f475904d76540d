//! A stream that asks for an address and is led to a Unix socket.
//!
//! The program's socket is one of IPv4 or IPv6, and cannot reach a Unix socket. So one that can
//! takes the place of its descriptor. What it is told of addresses is what it would
//! be told of the socket that it had, and options of TCP are taken as said.

use view::Endpoint;

use super::lead::protocol_of;
use super::watched::{Watched, carry_timeouts};
use crate::files::SUN_PATH_LEN;
use crate::shared::asked::key;
use crate::{Answer, Errno, Instance, kernel, user};

/// What tells the keys of such sockets from others.
const LED: u16 = 0x200;
const FAMILY: usize = 2;

/// Levels of options that a Unix socket does not have.
pub(crate) const LEVELS: &[u32] =
    &[libc::IPPROTO_IP as u32, libc::IPPROTO_TCP as u32, libc::IPPROTO_IPV6 as u32];

/// Ports that the kernel gives to who asks for none, as it does by default.
const FIRST_PORT: u64 = 32768;
const PORTS: u64 = 28232;

impl Instance<'_> {
    /// Connects to a Unix socket in the place of an address.
    pub(super) fn connect_to_unix(&self, socket: i32, path: &[u8], asked: &Endpoint) -> Result<usize, Errno> {
        if protocol_of(socket) != view::Protocol::Tcp {
            return Err(Errno(libc::EPROTONOSUPPORT));
        }
        let mut address = [0; FAMILY + SUN_PATH_LEN];
        let family = (libc::AF_UNIX as u16).to_ne_bytes();
        for (to, from) in address.iter_mut().zip(family.iter().chain(path)) {
            *to = *from;
        }
        let flags = kernel::status_flags(socket)?;
        let stays = !kernel::closes_on_exec(socket);
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags & libc::O_NONBLOCK;
        let new = kernel::socket(libc::AF_UNIX, kind)?;
        let len = FAMILY + path.len() + 1;
        let args = [new as usize, address.as_ptr() as usize, len.min(address.len()), 0, 0, 0];
        // SAFETY: the kernel only reads the address.
        let done = unsafe { kernel::waiting_syscall(libc::SYS_connect, args) }.and_then(|_| {
            if let (Some(shared), Ok(cookie)) = (self.shared, kernel::socket_cookie(new)) {
                shared.asked.keep(key(cookie, [0; 16], 0, LED), asked.address, asked.port);
            }
            carry_timeouts(socket, new);
            let watched = Watched::of(socket);
            kernel::dup3(new, socket, if stays { 0 } else { libc::O_CLOEXEC })?;
            watched.watch(socket);
            Ok(())
        });
        kernel::close(new);
        match done {
            Ok(()) => Ok(0),
            // Nobody is there: by TCP it would be said so.
            Err(Errno::ENOENT | Errno(libc::EAGAIN)) => Err(Errno(libc::ECONNREFUSED)),
            Err(errno) => Err(errno),
        }
    }

    /// What a socket asked for that has been led to a Unix socket, and a number of its own.
    fn led_to_unix(&self, socket: i32) -> Option<(Endpoint, u64)> {
        let mut peer = [0; 128];
        let len = kernel::name_of_socket(libc::SYS_getpeername, socket, &mut peer).ok()?;
        let path = peer.get(FAMILY..len)?.split(|byte| *byte == 0).next()?;
        let rule = self.view.rule_to_unix(path)?;
        let cookie = kernel::socket_cookie(socket).ok()?;
        let kept = self.told.and_then(|told| told.asked.look(key(cookie, [0; 16], 0, LED)));
        let mut asked = match kept {
            Some((address, port)) => Endpoint { address, port, is_v6: false },
            None if rule.is_exact() => rule.only(false),
            None => return None,
        };
        asked.is_v6 = !asked.is_v4();
        Some((asked, cookie))
    }

    /// What the program is told of the address of such a socket, or of its peer's.
    pub(crate) fn unix_as_network(&self, is_peer: bool, socket: i32) -> Option<Endpoint> {
        let (asked, cookie) = self.led_to_unix(socket)?;
        if is_peer {
            return Some(asked);
        }
        let address = if asked.is_v6 { 1_u128 } else { 0xffff_7f00_0001 };
        let port = FIRST_PORT + cookie % PORTS;
        Some(Endpoint { address: address.to_be_bytes(), port: port as u16, ..asked })
    }

    /// setsockopt(2) at a level that a Unix socket does not have.
    pub fn setsockopt(&self, args: [usize; 6]) -> Answer {
        // SAFETY: the program's own arguments.
        let done = unsafe { kernel::syscall(libc::SYS_setsockopt, args) };
        let socket = args[0] as i32;
        Answer::Done(match done {
            Err(Errno(libc::EOPNOTSUPP)) if self.led_to_unix(socket).is_some() => Ok(0),
            done => done,
        })
    }

    /// getsockopt(2), likewise: every number is 0.
    pub fn option_of_led(&self, args: [usize; 6]) -> Answer {
        if !self.view.leads_to_unix() || !LEVELS.contains(&(args[1] as u32)) {
            return Answer::Pass;
        }
        // SAFETY: the program's own arguments.
        let done = unsafe { kernel::syscall(libc::SYS_getsockopt, args) };
        let [socket, _, _, value, len, _] = args;
        let (value, len) = (value as *mut u8, len as *mut u32);
        if done != Err(Errno(libc::EOPNOTSUPP)) || self.led_to_unix(socket as i32).is_none() {
            return Answer::Done(done);
        }
        if !user::is_readable(len.cast(), 4) || !user::is_writable(len.cast(), 4) {
            return Answer::fail(Errno(libc::EFAULT));
        }
        // SAFETY: found readable and writable.
        let size = unsafe { len.read_unaligned() }.min(4) as usize;
        if !user::is_writable(value, size) {
            return Answer::fail(Errno(libc::EFAULT));
        }
        // SAFETY: found writable.
        unsafe {
            core::ptr::write_bytes(value, 0, size);
            len.write_unaligned(size as u32);
        }
        Answer::Done(Ok(0))
    }
}
