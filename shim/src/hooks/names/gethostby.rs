//! The functions of gethostbyname(3).

use core::ffi::{c_char, c_int, c_void};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use elements::Errno;
use libc::{hostent, size_t, socklen_t};
use view::{MAPPED, Names};

use super::hosts::{Found, Plan};
use super::{Room, resolver, told};
use crate::answer::set_errno;
use crate::hooks::entries::{Buffer, HOST_NOT_FOUND, NETDB_INTERNAL, bytes, libcs, set_host_error};
use crate::start::instance;

const NO_DATA: c_int = 4;

/// What a look gives that libc has no part in.
enum Look {
    /// The struct has been made, or why it could not be.
    Here(Result<hostent, Errno>),
    /// Nobody is called so: `h_errno`.
    Nobody(c_int),
    /// libc is to be asked.
    Ask(Option<Plan>),
}

fn look(
    family: c_int,
    buffer: &mut Buffer,
    name: Option<&[u8]>,
    find: impl Fn(&Plan) -> Option<Found>,
) -> Look {
    let Some(plan) = Plan::of_view() else { return Look::Ask(None) };
    if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
        return Look::Ask(None);
    }
    match find(&plan) {
        Some(found) if found.of_family(family).next().is_some() => Look::Here(found.put(family, buffer)),
        Some(_) if !plan.order.dns => Look::Nobody(NO_DATA),
        // libc has been asked before.
        _ if plan.order.dns_first => Look::Nobody(HOST_NOT_FOUND),
        None if !name.map_or(plan.order.dns || !plan.has_hosts, |name| plan.asks(name)) => {
            Look::Nobody(HOST_NOT_FOUND)
        }
        _ => Look::Ask(Some(plan)),
    }
}

/// The plan, where name servers are to be asked before the files.
fn asks_first(family: c_int) -> Option<Plan> {
    let is_known = [libc::AF_INET, libc::AF_INET6].contains(&family);
    Plan::of_view().filter(|plan| is_known && plan.order.dns_first)
}

/// How much the functions without a buffer keep.
const ROOM: usize = 8192;

fn by_hosts(said: &Names<'_>) -> u32 {
    said.hosts_line
}

fn by_server(said: &Names<'_>) -> u32 {
    said.resolver_line
}

/// A function that keeps its result.
fn kept(
    family: c_int,
    (name, address): (Option<&[u8]>, Option<IpAddr>),
    find: impl Fn(&Plan) -> Option<Found>,
    ask: impl Fn() -> *mut hostent,
) -> *mut hostent {
    // SAFETY: what libc's functions give, or null.
    let told = |found: *mut hostent, line: fn(&Names<'_>) -> u32| unsafe {
        told::host(name, address, found, line(&instance().view.names()));
        found
    };
    static KEPT: Room = Room::new();
    let memory = KEPT.memory(size_of::<hostent>() + ROOM).cast::<hostent>();
    if memory.is_null() {
        return ask();
    }
    if let Some(plan) = asks_first(family) {
        let found = resolver::ask(&plan, &ask);
        if !found.is_null() {
            return told(found, by_server);
        }
    }
    let mut buffer = Buffer::new(memory.wrapping_add(1).cast(), ROOM);
    match look(family, &mut buffer, name, find) {
        Look::Here(Ok(made)) => {
            // SAFETY: our own memory.
            unsafe { memory.write(made) };
            told(memory, by_hosts)
        }
        Look::Here(Err(errno)) => {
            set_errno(errno);
            set_host_error(NETDB_INTERNAL);
            core::ptr::null_mut()
        }
        Look::Nobody(error) => {
            set_host_error(error);
            told(core::ptr::null_mut(), by_hosts)
        }
        Look::Ask(Some(plan)) => told(resolver::ask(&plan, ask), by_server),
        Look::Ask(None) => ask(),
    }
}

/// Where a function with a buffer puts its result.
struct To {
    to: *mut hostent,
    buffer: (*mut c_char, size_t),
    result: *mut *mut hostent,
    error: *mut c_int,
}

/// A function with a buffer.
///
/// # Safety
///
/// The caller's pointers are what the function wants.
unsafe fn reentrant(
    to: &To,
    family: c_int,
    (name, address): (Option<&[u8]>, Option<IpAddr>),
    find: impl Fn(&Plan) -> Option<Found>,
    ask: impl Fn() -> c_int,
) -> c_int {
    // SAFETY: the caller's promise: the function has written where its result is.
    let told = |done: c_int, line: fn(&Names<'_>) -> u32| unsafe {
        let found = if done == 0 { to.result.read() } else { core::ptr::null_mut() };
        told::host(name, address, found, line(&instance().view.names()));
        done
    };
    if let Some(plan) = asks_first(family) {
        let done = resolver::ask(&plan, &ask);
        // SAFETY: libc has written it, by the function's contract.
        if done == Errno::ERANGE.0 || done == 0 && unsafe { !to.result.read().is_null() } {
            return told(done, by_server);
        }
    }
    let mut buffer = Buffer::new(to.buffer.0.cast(), to.buffer.1);
    // SAFETY: the caller's promise.
    let finish = |made: Option<hostent>, error: c_int, done: c_int| unsafe {
        let result = match made {
            Some(made) => {
                to.to.write(made);
                to.to
            }
            None => core::ptr::null_mut(),
        };
        to.result.write(result);
        to.error.write(error);
        done
    };
    match look(family, &mut buffer, name, find) {
        Look::Here(Ok(made)) => told(finish(Some(made), 0, 0), by_hosts),
        Look::Here(Err(errno)) => {
            set_errno(errno);
            finish(None, NETDB_INTERNAL, errno.0)
        }
        Look::Nobody(error) => told(finish(None, error, 0), by_hosts),
        Look::Ask(Some(plan)) => told(resolver::ask(&plan, ask), by_server),
        Look::Ask(None) => ask(),
    }
}

/// The address that gethostbyaddr(3) is given.
///
/// # Safety
///
/// There are so many bytes.
unsafe fn given(address: *const c_void, len: socklen_t, family: c_int) -> Option<IpAddr> {
    // SAFETY: the caller's promise.
    unsafe {
        match (family, len) {
            (libc::AF_INET, 4) => Some(Ipv4Addr::from(address.cast::<[u8; 4]>().read_unaligned()).into()),
            (libc::AF_INET6, 16) => {
                let bytes = address.cast::<[u8; 16]>().read_unaligned();
                let is_mapped = bytes.starts_with(&MAPPED);
                let v6 = Ipv6Addr::from(bytes);
                Some(v6.to_ipv4_mapped().filter(|_| is_mapped).map_or(IpAddr::V6(v6), IpAddr::V4))
            }
            _ => None,
        }
    }
}

/// The functions of a key: one that keeps its result, and one with a buffer.
macro_rules! gethostby {
    ($plain:ident, $reentrant:ident: ($($arg:ident: $ty:ty),*), $family:expr, $key:expr, $find:expr) => {
        pub unsafe fn $plain($($arg: $ty),*) -> *mut hostent {
            // SAFETY: the program's own arguments: a string, or so many bytes.
            let (key, find) = unsafe { ($key, $find) };
            kept($family, key, find, || libcs!($plain($($arg: $ty),*) -> *mut hostent, core::ptr::null_mut()))
        }

        #[allow(clippy::too_many_arguments, reason = "as libc declares it")]
        pub unsafe fn $reentrant(
            $($arg: $ty,)*
            to: *mut hostent,
            buf: *mut c_char,
            size: size_t,
            result: *mut *mut hostent,
            error: *mut c_int,
        ) -> c_int {
            let place = To { to, buffer: (buf, size), result, error };
            // SAFETY: as above.
            let (key, find) = unsafe { ($key, $find) };
            let ask = || libcs!(
                $reentrant(
                    $($arg: $ty,)*
                    to: *mut hostent,
                    buf: *mut c_char,
                    size: size_t,
                    result: *mut *mut hostent,
                    error: *mut c_int,
                ) -> c_int,
                Errno::ENOSYS.0
            );
            // SAFETY: the caller's pointers.
            unsafe { reentrant(&place, $family, key, find, ask) }
        }
    };
}

gethostby!(gethostbyname, gethostbyname_r: (name: *const c_char),
    libc::AF_INET, (bytes(name), None), by_name(bytes(name)));
gethostby!(gethostbyname2, gethostbyname2_r: (name: *const c_char, family: c_int),
    family, (bytes(name), None), by_name(bytes(name)));
gethostby!(gethostbyaddr, gethostbyaddr_r: (address: *const c_void, len: socklen_t, family: c_int),
    family, (None, given(address, len, family)), by_address(given(address, len, family)));

fn by_name(name: Option<&[u8]>) -> impl Fn(&Plan) -> Option<Found> {
    move |plan| plan.by_name(name?)
}

fn by_address(address: Option<IpAddr>) -> impl Fn(&Plan) -> Option<Found> {
    move |plan| plan.by_address(&address?)
}
