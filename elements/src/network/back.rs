//! On the way back: what the program is told of an address of the kernel's.

use view::{Direction, Endpoint, Protocol};

use super::address;
use super::lead::{BOUND, bound_key, connected_key};
use super::rows::{DIAGNOSIS, Told, rewrite_messages};
use crate::shared::asked::key;
use crate::{Answer, Errno, Instance, kernel};

/// Whose address a call gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// The socket's own: getsockname(2).
    Own,
    /// That of what it is connected to: getpeername(2).
    Peer,
    /// That of who connects to it: accept(2).
    Accepted,
    /// That of who has sent something: recvfrom(2).
    Source,
}

impl Instance<'_> {
    /// Puts what the program is told in the place of an address of the network that the kernel has
    /// given. False where it is none such.
    pub(crate) fn network_back(&self, name: Name, socket: i32, bytes: &mut [u8]) -> bool {
        let Some(kernel) = address::read(bytes) else { return false };
        if let Some(told) = self.told_of(name, socket, &kernel) {
            // It has just been read in the same form.
            let _ = address::write(&told, bytes);
        }
        true
    }

    /// What the program is told of where the kernel is, where that is another address.
    pub fn told_of(&self, name: Name, socket: i32, kernel: &Endpoint) -> Option<Endpoint> {
        match name {
            Name::Own => {
                let told = self.bound_as(socket, kernel)?;
                if told.is_wildcard() && is_connected(socket) {
                    Some(at(kernel, told.port))
                } else {
                    Some(told)
                }
            }
            Name::Peer | Name::Source => {
                self.connected_as(socket, kernel).or_else(|| self.peer_as(socket, kernel))
            }
            Name::Accepted => self.peer_as(socket, kernel),
        }
    }

    /// getsockopt(2) with `SO_PEERNAME`: what getpeername(2) gives, or as much of it as is asked for.
    pub(crate) fn peer_name(&self, args: [usize; 6]) -> Answer {
        // SAFETY: the program's own arguments, for the kernel to judge.
        let done = unsafe { kernel::syscall(libc::SYS_getsockopt, args) };
        let [socket, _, _, value, len, _] = args;
        let mut name = [0; 128];
        let found = kernel::name_of_socket(libc::SYS_getpeername, socket as i32, &mut name);
        let (Ok(_), Ok(kernel)) = (done, found) else { return Answer::Done(done) };
        // SAFETY: our own room, which the kernel has filled so far; the call has succeeded, so it has written both.
        let (told, given) = unsafe {
            let told = self.address_back((Name::Peer, socket as i32), name.as_mut_ptr(), name.len(), kernel);
            let given = (len as *const u32).read_unaligned() as usize;
            (told, core::slice::from_raw_parts_mut(value as *mut u8, given))
        };
        if told < given.len() {
            return Answer::fail(Errno::EINVAL);
        }
        given.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        Answer::Done(done)
    }

    /// What a socket asked to be bound to that is bound there.
    fn bound_as(&self, socket: i32, kernel: &Endpoint) -> Option<Endpoint> {
        if !self.view.is_target(Direction::Bind, kernel) {
            return None;
        }
        let kept = || {
            let told = self.told.filter(|told| told.asked.is_used())?;
            told.asked.look(bound_key(socket, kernel))
        };
        let (protocol, is_v6) = (self.protocol(socket), kernel.is_v6);
        match kept() {
            Some((address, port)) => Some(fitting(Endpoint { address, port, is_v6 }, kernel)),
            None => self.view.asked(Direction::Bind, *kernel, protocol),
        }
    }

    /// The same of a peer. What it was bound to is told as it is reached.
    fn peer_as(&self, socket: i32, kernel: &Endpoint) -> Option<Endpoint> {
        let told = self.bound_as(socket, kernel)?;
        Some(if told.is_wildcard() { at(kernel, told.port) } else { told })
    }

    /// What a socket asked to reach that reaches this.
    fn connected_as(&self, socket: i32, kernel: &Endpoint) -> Option<Endpoint> {
        if !self.view.is_target(Direction::Connect, kernel) {
            return None;
        }
        let kept = || {
            let told = self.told.filter(|told| told.asked.is_used())?;
            told.asked.look(connected_key(socket, kernel)?)
        };
        match kept() {
            Some((address, port)) => Some(fitting(Endpoint { address, port, is_v6: kernel.is_v6 }, kernel)),
            None => self.view.asked(Direction::Connect, *kernel, self.protocol(socket)),
        }
    }

    /// What a row of the kernel's tables of sockets tells: the socket's own address and its
    /// peer's, where they are others.
    pub(crate) fn row_as(
        &self,
        protocol: Protocol,
        own: &Endpoint,
        peer: &Endpoint,
        cookie: Option<u64>,
    ) -> Told {
        let kept = |key: u64, kernel: &Endpoint| {
            let (address, port) = self.told.filter(|told| told.asked.is_used())?.asked.look(key)?;
            Some(fitting(Endpoint { address, port, is_v6: kernel.is_v6 }, kernel))
        };
        let bound = |kernel: &Endpoint| {
            if !self.view.is_target(Direction::Bind, kernel) {
                return None;
            }
            let of = |protocol: Protocol| key(0, kernel.address, kernel.port, BOUND | protocol as u16);
            let all =
                if protocol == Protocol::Any { &[Protocol::Tcp, Protocol::Udp][..] } else { &[protocol] };
            all.iter()
                .find_map(|protocol| kept(of(*protocol), kernel))
                .or_else(|| self.view.asked(Direction::Bind, *kernel, protocol))
        };
        let reached =
            |told: Endpoint, kernel: &Endpoint| if told.is_wildcard() { at(kernel, told.port) } else { told };
        let is_free = peer.is_wildcard() && peer.port == 0;
        let own_told = bound(own).map(|told| if is_free { told } else { reached(told, own) });
        let peer_told = if is_free {
            None
        } else if self.view.is_target(Direction::Connect, peer) {
            let key = cookie.map(|cookie| key(cookie, peer.address, peer.port, 0));
            key.and_then(|key| kept(key, peer))
                .or_else(|| self.view.asked(Direction::Connect, *peer, protocol))
        } else {
            bound(peer).map(|told| reached(told, peer))
        };
        (own_told, peer_told)
    }

    /// Puts what the program is told into what a socket has given, if it is one of sock_diag(7).
    ///
    /// # Safety
    ///
    /// The kernel has just written `len` bytes to `data`.
    #[inline]
    pub unsafe fn show_rows(&self, socket: i32, data: *mut u8, len: usize) {
        if self.view.has_network() && len > 6 {
            // SAFETY: the caller's promise.
            self.show_rows_in(socket, unsafe { core::slice::from_raw_parts_mut(data, len) });
        }
    }

    #[inline(never)]
    fn show_rows_in(&self, socket: i32, messages: &mut [u8]) {
        let is_row = messages.get(4..6) == Some(&DIAGNOSIS.to_ne_bytes()[..]);
        let is = |option, value| kernel::socket_option(socket, option) == Ok(value);
        if is_row && is(libc::SO_DOMAIN, libc::AF_NETLINK) && is(libc::SO_PROTOCOL, libc::NETLINK_SOCK_DIAG) {
            rewrite_messages(messages, |own, peer, cookie| {
                self.row_as(Protocol::Any, own, peer, Some(cookie))
            });
        }
    }
}

/// The kernel's address, with another port.
fn at(kernel: &Endpoint, port: u16) -> Endpoint {
    Endpoint { port, ..*kernel }
}

/// What an address of the kernel's family can say of an endpoint.
fn fitting(told: Endpoint, kernel: &Endpoint) -> Endpoint {
    if told.is_v6 || told.is_v4() { told } else { at(kernel, told.port) }
}

fn is_connected(socket: i32) -> bool {
    kernel::name_of_socket(libc::SYS_getpeername, socket, &mut [0; 128]).is_ok()
}
