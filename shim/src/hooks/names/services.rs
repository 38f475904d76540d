//! services(5), and the functions of getservent(3).

use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicUsize, Ordering};

use elements::Errno;
use elements::identity::Database;
use elements::identity::entries::Entry as _;
use elements::network::numbers::{Service, others};
use libc::{addrinfo, servent, size_t};

use crate::hooks::entries::{Buffer, Elsewhere, Kept, Shown, bytes, finds, libcs, look, reentrant, walks};
use crate::start::instance;

/// The longest name that is told of.
const LONGEST: usize = 64;

/// What a service's port is.
pub enum Port {
    /// libc knows.
    Elsewhere,
    /// There is no such service.
    Unknown,
    /// The port, and the type of its sockets, where it has but one.
    Known(u16, c_int),
}

/// A service's name.
pub struct Named {
    /// The name.
    pub name: [u8; LONGEST],
    /// How long it is; 0 where the port has none.
    pub len: usize,
}

/// Calls `each` with the view's services until it gives something. None where the view has none of its own.
fn find<T>(mut each: impl FnMut(&Service<'_>) -> Option<T>) -> Option<Option<T>> {
    let mut lines = instance().database(Database::Services, 0)?.ok()?;
    while let Some((line, _)) = lines.next_line() {
        if let Some(found) = Service::of(line).as_ref().and_then(&mut each) {
            return Some(Some(found));
        }
    }
    Some(None)
}

/// The port of a service for getaddrinfo(3).
pub fn port_of(name: Option<&[u8]>, hints: &addrinfo) -> Port {
    let is_number = |name: &[u8]| name.iter().all(u8::is_ascii_digit);
    let Some(name) = name.filter(|name| !is_number(name) && hints.ai_flags & libc::AI_NUMERICSERV == 0)
    else {
        return Port::Elsewhere;
    };
    let protocol = match (hints.ai_socktype, hints.ai_protocol) {
        (libc::SOCK_STREAM, _) | (_, libc::IPPROTO_TCP) => Some(&b"tcp"[..]),
        (libc::SOCK_DGRAM, _) | (_, libc::IPPROTO_UDP) => Some(&b"udp"[..]),
        _ => None,
    };
    let of = |protocol| find(|service| service.is(name, Some(protocol)).then_some(service.port));
    match protocol {
        Some(protocol) => match of(protocol) {
            None => Port::Elsewhere,
            Some(None) => Port::Unknown,
            Some(Some(port)) => Port::Known(port, 0),
        },
        None => match (of(b"tcp"), of(b"udp")) {
            (None, _) | (_, None) => Port::Elsewhere,
            (Some(None), Some(None)) => Port::Unknown,
            (Some(Some(port)), Some(Some(_))) => Port::Known(port, 0),
            (Some(Some(port)), Some(None)) => Port::Known(port, libc::SOCK_STREAM),
            (Some(None), Some(Some(port))) => Port::Known(port, libc::SOCK_DGRAM),
        },
    }
}

/// The name of a port for getnameinfo(3). None where libc knows.
pub fn name_of(port: u16, is_udp: bool) -> Option<Named> {
    let protocol = if is_udp { &b"udp"[..] } else { b"tcp" };
    let found = find(|service| {
        let is_it = service.port == port && service.protocol == protocol && service.name.len() < LONGEST;
        is_it.then(|| {
            let mut name = [0; LONGEST];
            name.iter_mut().zip(service.name).for_each(|(to, from)| *to = *from);
            Named { name, len: service.name.len() }
        })
    })?;
    Some(found.unwrap_or(Named { name: [0; LONGEST], len: 0 }))
}

impl Shown for servent {
    type Entry<'l> = Service<'l>;
    const DATABASE: Database = Database::Services;
    fn of(service: &Service<'_>, buffer: &mut Buffer) -> Result<servent, Errno> {
        Ok(servent {
            s_name: buffer.string(service.name)?,
            s_aliases: buffer.strings(others(service.aliases))?,
            s_port: c_int::from(service.port.to_be()),
            s_proto: buffer.string(service.protocol)?,
        })
    }
}

fn has_port(service: &Service<'_>, port: c_int, protocol: Option<&[u8]>) -> bool {
    c_int::from(service.port.to_be()) == port && protocol.is_none_or(|protocol| protocol == service.protocol)
}

finds!(getservbyname, getservbyname_r: servent, (name: *const c_char, protocol: *const c_char)
    let wanted = bytes(name); let speaks = bytes(protocol);
    |service| wanted.is_some_and(|wanted| service.is(wanted, speaks)));
finds!(getservbyport, getservbyport_r: servent, (port: c_int, protocol: *const c_char)
    let speaks = bytes(protocol); |service| has_port(service, port, speaks));
walks!(setservent(stays), getservent, getservent_r, endservent, SERVICES_AT: servent);
