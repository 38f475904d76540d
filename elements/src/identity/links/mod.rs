//! Network interfaces: the names that the application knows them by, and their addresses.
//!
//! The kernel is asked by the host's name, and tells of the application's. [`request`] is ioctl(2), [`message`] are
//! the messages of rtnetlink(7), [`table`] the files of /proc/net. What lies in /sys and /proc/sys are
//! mounts of the view.
//!
//! A name that the application has given to another interface, or that its own has on the host
//! alone, is nobody's.

mod message;
mod request;
pub mod table;

use crate::{Instance, kernel};

pub use message::Outgoing;
pub use request::{NAMED, REQUESTS};

/// How long an address is that is one of Ethernet's.
const LEN: usize = 6;

/// The longest name, with its NUL (`IFNAMSIZ`).
const ROOM: usize = libc::IFNAMSIZ;

/// An interface's name, or that of one of its addresses, which has a label after a colon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name {
    bytes: [u8; ROOM],
    len: usize,
}

impl Name {
    /// A name with a label, cut to what there is room for.
    fn labelled(name: &[u8], label: &[u8]) -> Name {
        let mut made = Name { bytes: [0; ROOM], len: 0 };
        for (to, from) in made.bytes.iter_mut().zip(name.iter().chain(label)).take(ROOM - 1) {
            *to = *from;
            made.len += 1;
        }
        made
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Its bytes, and as many NULs as fill a field.
    pub fn field(&self) -> &[u8; ROOM] {
        &self.bytes
    }
}

/// A field's name, up to its NUL, without a label, and the label with its colon.
fn split(field: &[u8]) -> (&[u8], &[u8]) {
    let name = field.split(|byte| *byte == 0).next().unwrap_or(&[]);
    name.split_at(name.iter().position(|byte| *byte == b':').unwrap_or(name.len()))
}

impl Instance<'_> {
    /// The address that the policy gives an interface, by the application's name for it.
    pub fn link_address(&self, name: &[u8]) -> Option<[u8; LEN]> {
        let (name, _) = split(name);
        self.view.links().find(|link| link.name == name)?.address
    }

    /// The application's name for an interface of the host's, where it is another.
    pub fn shown_link(&self, host: &[u8]) -> Option<Name> {
        if !self.view.has_link_names() {
            return None;
        }
        let (host, label) = split(host);
        let link = self.view.links().find(|link| link.host == host && link.name != host)?;
        Some(Name::labelled(link.name, label))
    }

    /// The host's name for an interface of the application's, where it is another: empty, where
    /// the application has no interface of that name.
    pub fn host_link(&self, name: &[u8]) -> Option<Name> {
        if !self.view.has_link_names() {
            return None;
        }
        let (name, label) = split(name);
        if let Some(link) = self.view.links().find(|link| link.name == name) {
            return (link.host != name).then(|| Name::labelled(link.host, label));
        }
        self.view.links().any(|link| link.host == name).then(|| Name::labelled(&[], &[]))
    }
}

/// Whether a socket is one of rtnetlink(7).
fn is_rtnetlink(socket: i32) -> bool {
    let is = |option, value| kernel::socket_option(socket, option) == Ok(value);
    is(libc::SO_DOMAIN, libc::AF_NETLINK) && is(libc::SO_PROTOCOL, libc::NETLINK_ROUTE)
}
