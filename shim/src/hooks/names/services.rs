//! services(5), and the functions of getservbyname(3).

use core::ffi::{c_char, c_int};

use elements::Errno;
use elements::identity::Database;
use elements::network::names::Service;
use libc::{addrinfo, servent, size_t};

use super::{Kept, bytes};
use crate::answer::set_errno;
use crate::hooks::users::Buffer;
use crate::real;
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

fn put(service: &Service<'_>, buffer: &mut Buffer) -> Result<servent, Errno> {
    let pointer = size_of::<*mut c_char>();
    let count = service.other_names().count();
    let aliases = buffer.take((count + 1) * pointer, pointer)?.cast::<*mut c_char>();
    for (index, name) in service.other_names().enumerate() {
        let string = buffer.string(name)?;
        // SAFETY: the room was just taken.
        unsafe { aliases.add(index).write(string) };
    }
    // SAFETY: as above.
    unsafe { aliases.add(count).write(core::ptr::null_mut()) };
    Ok(servent {
        s_name: buffer.string(service.name)?,
        s_aliases: aliases,
        s_port: c_int::from(service.port.to_be()),
        s_proto: buffer.string(service.protocol)?,
    })
}

const ROOM: usize = 2048;

fn kept(fits: impl Fn(&Service<'_>) -> bool, ask: impl FnOnce() -> *mut servent) -> *mut servent {
    static KEPT: Kept = Kept::new();
    let memory = KEPT.memory(size_of::<servent>() + ROOM).cast::<servent>();
    if memory.is_null() {
        return ask();
    }
    let found = find(|service| {
        fits(service).then(|| put(service, &mut Buffer::new(memory.wrapping_add(1).cast(), ROOM)))
    });
    match found {
        None => ask(),
        Some(Some(Ok(made))) => {
            // SAFETY: our own memory.
            unsafe { memory.write(made) };
            memory
        }
        Some(Some(Err(errno))) => {
            set_errno(errno);
            core::ptr::null_mut()
        }
        Some(None) => core::ptr::null_mut(),
    }
}

/// # Safety
///
/// The caller's pointers are what the function wants.
unsafe fn reentrant(
    fits: impl Fn(&Service<'_>) -> bool,
    to: *mut servent,
    buffer: (*mut c_char, size_t),
    result: *mut *mut servent,
    ask: impl FnOnce() -> c_int,
) -> c_int {
    let found =
        find(|service| fits(service).then(|| put(service, &mut Buffer::new(buffer.0.cast(), buffer.1))));
    // SAFETY: the caller's promise.
    unsafe {
        let (made, done) = match found {
            None => return ask(),
            Some(Some(Ok(made))) => {
                to.write(made);
                (to, 0)
            }
            Some(Some(Err(errno))) => (core::ptr::null_mut(), errno.0),
            Some(None) => (core::ptr::null_mut(), 0),
        };
        result.write(made);
        done
    }
}

pub unsafe fn getservbyname(name: *const c_char, protocol: *const c_char) -> *mut servent {
    // SAFETY: strings, or null, by the function's contract.
    let (wanted, speaks) = unsafe { (bytes(name).unwrap_or(&[]), bytes(protocol)) };
    kept(
        |service| service.is(wanted, speaks),
        || match real!(getservbyname as fn(*const c_char, *const c_char) -> *mut servent) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(name, protocol) },
            None => core::ptr::null_mut(),
        },
    )
}

fn has_port(service: &Service<'_>, port: c_int, protocol: Option<&[u8]>) -> bool {
    c_int::from(service.port.to_be()) == port && protocol.is_none_or(|protocol| protocol == service.protocol)
}

pub unsafe fn getservbyport(port: c_int, protocol: *const c_char) -> *mut servent {
    // SAFETY: a string, or null.
    let speaks = unsafe { bytes(protocol) };
    kept(
        |service| has_port(service, port, speaks),
        || match real!(getservbyport as fn(c_int, *const c_char) -> *mut servent) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(port, protocol) },
            None => core::ptr::null_mut(),
        },
    )
}

pub unsafe fn getservbyname_r(
    name: *const c_char,
    protocol: *const c_char,
    to: *mut servent,
    buf: *mut c_char,
    size: size_t,
    result: *mut *mut servent,
) -> c_int {
    let next = real!(
        getservbyname_r
            as fn(
                *const c_char,
                *const c_char,
                *mut servent,
                *mut c_char,
                size_t,
                *mut *mut servent,
            ) -> c_int
    );
    // SAFETY: the caller's pointers.
    unsafe {
        let (wanted, speaks) = (bytes(name).unwrap_or(&[]), bytes(protocol));
        reentrant(
            |service| service.is(wanted, speaks),
            to,
            (buf, size),
            result,
            || match next {
                Some(next) => next(name, protocol, to, buf, size, result),
                None => Errno::ENOSYS.0,
            },
        )
    }
}

pub unsafe fn getservbyport_r(
    port: c_int,
    protocol: *const c_char,
    to: *mut servent,
    buf: *mut c_char,
    size: size_t,
    result: *mut *mut servent,
) -> c_int {
    let next = real!(
        getservbyport_r
            as fn(c_int, *const c_char, *mut servent, *mut c_char, size_t, *mut *mut servent) -> c_int
    );
    // SAFETY: the caller's pointers.
    unsafe {
        let speaks = bytes(protocol);
        reentrant(
            |service| has_port(service, port, speaks),
            to,
            (buf, size),
            result,
            || match next {
                Some(next) => next(port, protocol, to, buf, size, result),
                None => Errno::ENOSYS.0,
            },
        )
    }
}
