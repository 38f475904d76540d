//! The addresses of network interfaces: ioctl(2), and messages of rtnetlink(7).
//!
//! The kernel answers, and the address of an interface that the policy names is
//! put in its place. /sys/class/net/NAME/address is a file of the view.

use libc::{c_ulong, ifreq};

use crate::{Answer, Instance, kernel, user};

/// The requests of ioctl(2) that tell such an address.
pub const REQUESTS: &[u32] = &[libc::SIOCGIFHWADDR as u32, SIOCETHTOOL];

const SIOCETHTOOL: u32 = 0x8946;
/// ethtool(8): the address that the device was made with.
const GPERMADDR: u32 = 0x20;

/// How long an address is that is one of Ethernet's.
const LEN: usize = 6;

/// A message's header, and that of a link in it.
const HEADER: usize = 16;
const LINK: usize = 16;

const IFLA_PERM_ADDRESS: u16 = 54;

/// The name of an interface, up to its NUL or to the colon before a label.
fn name(field: &[u8]) -> &[u8] {
    field.split(|byte| matches!(byte, 0 | b':')).next().unwrap_or(&[])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The attributes from a position on: their kinds, and where what they hold is.
fn attributes(message: &[u8], mut at: usize) -> impl Iterator<Item = (u16, core::ops::Range<usize>)> {
    core::iter::from_fn(move || {
        let len = usize::from(u16_at(message, at)?);
        let kind = u16_at(message, at + 2)?;
        if len < 4 || at + len > message.len() {
            return None;
        }
        let value = at + 4..at + len;
        at += len.next_multiple_of(4);
        Some((kind, value))
    })
}

/// Puts the addresses into messages of rtnetlink(7).
pub fn rewrite(mut messages: &mut [u8], address_of: impl Fn(&[u8]) -> Option<[u8; LEN]>) {
    while let Some(len) = u32_at(messages, 0).map(|len| len as usize).filter(|len| *len >= HEADER) {
        let kind = u16_at(messages, 4);
        let (message, rest) = messages.split_at_mut(len.next_multiple_of(4).min(messages.len()));
        messages = rest;
        let Some(message) = message.get_mut(..len).filter(|_| kind == Some(libc::RTM_NEWLINK)) else {
            continue;
        };
        let find = |wanted: u16| {
            attributes(message, HEADER + LINK).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
        };
        let named = find(libc::IFLA_IFNAME).and_then(|value| address_of(name(message.get(value)?)));
        let Some(address) = named else { continue };
        for place in [find(libc::IFLA_ADDRESS), find(IFLA_PERM_ADDRESS)].into_iter().flatten() {
            if let Some(old) = message.get_mut(place).filter(|old| old.len() == LEN) {
                old.copy_from_slice(&address);
            }
        }
    }
}

impl Instance<'_> {
    /// The address that the policy gives an interface.
    pub fn link_address(&self, wanted: &[u8]) -> Option<[u8; LEN]> {
        self.view.links().find(|(known, _)| *known == wanted).map(|(_, address)| address)
    }

    /// ioctl(2), where the request is one of [`REQUESTS`].
    pub fn ioctl(&self, file: i32, request: c_ulong, argument: usize) -> Answer {
        if !self.view.has_links() || !REQUESTS.contains(&(request as u32)) {
            return Answer::Pass;
        }
        let args = [file as usize, request as usize, argument, 0, 0, 0];
        // SAFETY: the program's own arguments.
        let done = unsafe { kernel::syscall(libc::SYS_ioctl, args) };
        if done.is_ok() && user::is_readable(argument as *const u8, size_of::<ifreq>()) {
            // SAFETY: found readable, and the kernel has just used it.
            unsafe { self.show_address(request as u32, argument as *mut u8) };
        }
        Answer::Done(done)
    }

    /// # Safety
    ///
    /// The request has succeeded with an `ifreq` there.
    unsafe fn show_address(&self, request: u32, ifreq: *mut u8) {
        /// Where the union is that follows the name.
        const VALUE: usize = libc::IFNAMSIZ;
        // SAFETY: the caller's promise.
        let field = unsafe { core::slice::from_raw_parts(ifreq, libc::IFNAMSIZ) };
        let Some(address) = self.link_address(name(field)) else { return };
        let value = ifreq.wrapping_add(VALUE);
        let to = if request == SIOCETHTOOL {
            // SAFETY: the caller's promise: the union holds a pointer.
            let data = unsafe { value.cast::<*mut u8>().read_unaligned() };
            if !user::is_readable(data, 8 + LEN) {
                return;
            }
            // SAFETY: found readable.
            let (command, len) =
                unsafe { (data.cast::<u32>().read_unaligned(), data.add(4).cast::<u32>().read_unaligned()) };
            if (command, len as usize) != (GPERMADDR, LEN) {
                return;
            }
            // SAFETY: found readable.
            let made: [u8; LEN] = unsafe { data.add(8).cast::<[u8; LEN]>().read_unaligned() };
            if made == [0; LEN] {
                // A device that was made with none.
                return;
            }
            data.wrapping_add(8)
        } else {
            // SAFETY: the caller's promise: the union holds a socket's address.
            let family = unsafe { value.cast::<u16>().read_unaligned() };
            if family != libc::ARPHRD_ETHER {
                return;
            }
            value.wrapping_add(2)
        };
        // SAFETY: where the kernel has just written as much.
        unsafe { core::ptr::copy_nonoverlapping(address.as_ptr(), to, LEN) };
    }

    /// Puts the addresses into what a socket has given, if it is one of rtnetlink(7).
    ///
    /// # Safety
    ///
    /// The kernel has just written `len` bytes to `data`.
    #[inline]
    pub unsafe fn show_links(&self, socket: i32, data: *mut u8, len: usize) {
        if self.view.has_links() && len >= HEADER {
            // SAFETY: the caller's promise.
            self.show_links_in(socket, unsafe { core::slice::from_raw_parts_mut(data, len) });
        }
    }

    #[inline(never)]
    fn show_links_in(&self, socket: i32, messages: &mut [u8]) {
        let is_link = u16_at(messages, 4) == Some(libc::RTM_NEWLINK);
        let is = |option, value| kernel::socket_option(socket, option) == Ok(value);
        if is_link && is(libc::SO_DOMAIN, libc::AF_NETLINK) && is(libc::SO_PROTOCOL, libc::NETLINK_ROUTE) {
            rewrite(messages, |name| self.link_address(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(name: &[u8], address: &[u8]) -> Vec<u8> {
        let body = [attribute(libc::IFLA_ADDRESS, address), attribute(libc::IFLA_IFNAME, name)].concat();
        let mut message = ((HEADER + LINK + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(libc::RTM_NEWLINK.to_ne_bytes());
        message.resize(HEADER + LINK, 0);
        message.extend(body);
        message
    }

    fn address_of(name: &[u8]) -> Option<[u8; LEN]> {
        (name == b"eth0").then_some([2, 0, 0, 0, 0, 9])
    }

    #[test]
    fn the_address_of_a_named_link_alone_is_changed() {
        let mut messages = [
            link(b"lo\0", &[0; 6]),
            link(b"eth0\0", &[1; 6]),
            link(b"eth0\0", &[1; 4]),
            link(b"eth01\0", &[1; 6]),
        ]
        .concat();
        let expected = [
            link(b"lo\0", &[0; 6]),
            link(b"eth0\0", &[2, 0, 0, 0, 0, 9]),
            link(b"eth0\0", &[1; 4]),
            link(b"eth01\0", &[1; 6]),
        ]
        .concat();
        rewrite(&mut messages, address_of);
        assert_eq!(messages, expected);
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_left_alone() {
        let whole = link(b"eth0\0", &[1; 6]);
        for len in 0..whole.len() {
            let mut cut = whole.get(..len).expect("shorter").to_vec();
            rewrite(&mut cut, address_of);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 3, 0x7f, 0xff] {
                let mut wrong = whole.clone();
                *wrong.get_mut(at).expect("in it") = byte;
                rewrite(&mut wrong, address_of);
            }
        }
    }
}
