//! Names of hosts and of ports.
//!
//! libc reads hosts(5), services(5), nsswitch.conf(5) and resolv.conf(5) by calls of its own,
//! which pass the shim by. So names are looked up here in the view's files, where it
//! has such. What name servers are to be asked, libc asks: it is told which ones
//! ([`resolver`]). A result of getaddrinfo(3) is made of what libc's own function makes of the
//! addresses as numbers, so that the program's freeaddrinfo(3) frees it.

mod gethostby;
mod hosts;
mod idn;
mod later;
mod numbers;
mod plain;
mod resolver;
mod services;
mod sorted;
mod told;

use core::ffi::{c_char, c_int, c_void};
use core::net::IpAddr;

use elements::network::names::address;
use libc::{addrinfo, size_t, socklen_t};

use crate::allocate::{free, malloc};
use crate::hooks::entries::bytes;
use crate::hooks::is_glibc;
use crate::real;
use crate::start::instance;

pub use gethostby::{
    gethostbyaddr, gethostbyaddr_r, gethostbyname, gethostbyname_r, gethostbyname2, gethostbyname2_r,
};
pub use later::{Event, Request, gai_cancel, gai_suspend, getaddrinfo_a};
pub use numbers::{
    Netent, Rpcent, endhostent, endnetent, endprotoent, endrpcent, gethostent, gethostent_r, getnetbyaddr,
    getnetbyaddr_r, getnetbyname, getnetbyname_r, getnetent, getnetent_r, getprotobyname, getprotobyname_r,
    getprotobynumber, getprotobynumber_r, getprotoent, getprotoent_r, getrpcbyname, getrpcbyname_r,
    getrpcbynumber, getrpcbynumber_r, getrpcent, getrpcent_r, sethostent, setnetent, setprotoent, setrpcent,
};
pub use resolver::{__res_init, __res_ninit, res_mkquery, res_query, res_querydomain, res_search, res_send};
pub use services::{
    endservent, getservbyname, getservbyname_r, getservbyport, getservbyport_r, getservent, getservent_r,
    setservent,
};

use hosts::Plan;
use plain::Plain;

type GetAddrInfo =
    unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;

/// A number in decimal digits, which end in NUL.
fn digits(mut number: u16, room: &mut [u8; 8]) -> *const c_char {
    let mut at = room.len() - 1;
    room[at] = 0;
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            return room[at..].as_ptr().cast();
        }
    }
}

/// What getaddrinfo(3) takes where it is given no hints.
fn usual_hints() -> addrinfo {
    addrinfo {
        ai_flags: if is_glibc() { libc::AI_V4MAPPED | libc::AI_ADDRCONFIG } else { 0 },
        ai_family: libc::AF_UNSPEC,
        ai_socktype: 0,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: core::ptr::null_mut(),
        ai_canonname: core::ptr::null_mut(),
        ai_next: core::ptr::null_mut(),
    }
}

pub unsafe fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    let Some(next) =
        real!(getaddrinfo as fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int)
    else {
        return libc::EAI_SYSTEM;
    };
    let mut room = [0; 8];
    let mut service = service;
    // SAFETY: the program's own arguments: strings, and hints, or null.
    let mut hinted = if hints.is_null() { usual_hints() } else { unsafe { hints.read() } };
    let mut hints = hints;
    let encoded = match hinted.ai_flags & idn::AI_IDN {
        0 => Ok(None),
        // SAFETY: as above.
        _ => unsafe { idn::encoded(node) },
    };
    let encoded = match encoded {
        Ok(encoded) => encoded,
        Err(error) => return error,
    };
    let node = encoded.as_ref().map_or(node, idn::Name::pointer);
    // SAFETY: as above.
    let (name, wanted) = unsafe { (bytes(node), bytes(service)) };
    match services::port_of(wanted, &hinted) {
        services::Port::Elsewhere => {}
        services::Port::Unknown => return libc::EAI_SERVICE,
        services::Port::Known(port, kind) => {
            service = digits(port, &mut room);
            if hinted.ai_socktype == 0 && kind != 0 {
                hinted.ai_socktype = kind;
            }
            hints = &raw const hinted;
        }
    }
    // SAFETY: the program's own arguments, but for what has been looked up.
    let ask = || unsafe { next(node, service, hints, result) };
    // An address is not looked up.
    let is_name = |name: &&[u8]| hinted.ai_flags & libc::AI_NUMERICHOST == 0 && address(name).is_none();
    let Some(name) = name.filter(is_name) else { return ask() };
    let Some(plan) = Plan::of_view() else { return ask() };
    // SAFETY: where the caller wants the result.
    let by_files = || unsafe { from_hosts(&plan, name, service, &hinted, next, result) };
    let said = instance().view.names();
    if plan.order.dns_first {
        let done = resolver::ask(&plan, ask);
        if done == 0 {
            return told::addresses(name, done, result, said.resolver_line);
        }
        return told::addresses(name, by_files().unwrap_or(done), result, said.hosts_line);
    }
    match by_files() {
        Some(done) => told::addresses(name, done, result, said.hosts_line),
        None if plan.asks(name) => {
            told::addresses(name, resolver::ask(&plan, ask), result, said.resolver_line)
        }
        None => told::addresses(name, libc::EAI_NONAME, result, said.hosts_line),
    }
}

/// Makes a result of the addresses that hosts(5) has for a name. None where it has none of the
/// family that is asked for.
///
/// # Safety
///
/// As for getaddrinfo(3).
unsafe fn from_hosts(
    plan: &Plan,
    name: &[u8],
    service: *const c_char,
    hints: &addrinfo,
    next: GetAddrInfo,
    result: *mut *mut addrinfo,
) -> Option<c_int> {
    let found = plan.by_name(name)?;
    let has_v6 = found.addresses().any(|address| address.is_ipv6());
    let maps = hints.ai_family == libc::AF_INET6 && hints.ai_flags & libc::AI_V4MAPPED != 0;
    let all = if hints.ai_family == libc::AF_INET { libc::AF_INET } else { libc::AF_UNSPEC };
    let takes = |address: &IpAddr| match hints.ai_family {
        libc::AF_INET6 => address.is_ipv6() || maps && (!has_v6 || hints.ai_flags & libc::AI_ALL != 0),
        _ => true,
    };
    // SAFETY: a string, or null.
    let plain = unsafe { Plain::of(service, hints) };
    let one = addrinfo { ai_flags: hints.ai_flags & !libc::AI_CANONNAME | libc::AI_NUMERICHOST, ..*hints };
    let mut first: *mut addrinfo = core::ptr::null_mut();
    let mut last: *mut addrinfo = core::ptr::null_mut();
    for address in found.of_family(all).filter(takes) {
        let mut part = core::ptr::null_mut();
        let done = match &plain {
            Some(plain) => plain.make(address, hints, &mut part),
            None => {
                let mut text = [0; 64];
                hosts::text_of(address, &mut text);
                // SAFETY: strings, and a place for the result.
                unsafe { next(text.as_ptr().cast(), service, &raw const one, &raw mut part) }
            }
        };
        if done != 0 {
            // SAFETY: made by libc's own function, or null.
            unsafe { drop_all(first) };
            return Some(done);
        }
        if first.is_null() {
            first = part;
        } else {
            // SAFETY: the last of a list of ours.
            unsafe { (*last).ai_next = part };
        }
        last = part;
        // SAFETY: a list that ends in null.
        while unsafe { !last.is_null() && !(*last).ai_next.is_null() } {
            // SAFETY: not null.
            last = unsafe { (*last).ai_next };
        }
        // musl makes one block of a list, and frees it as one.
        if !is_glibc() {
            break;
        }
    }
    if first.is_null() {
        return None;
    }
    if is_glibc() {
        // SAFETY: a list that ends in null.
        first = unsafe { sorted::sort(first) };
    }
    if hints.ai_flags & libc::AI_CANONNAME != 0 && is_glibc() {
        let name = copy_of(found.canonical());
        // SAFETY: freeaddrinfo(3) frees the name apart.
        unsafe { (*first).ai_canonname = name };
        if hints.ai_flags & idn::AI_CANONIDN != 0
            // SAFETY: a string of ours.
            && let Ok(Some(decoded)) = unsafe { idn::decoded(name) }
        {
            // SAFETY: as above.
            unsafe {
                (*first).ai_canonname = copy_of(decoded.bytes());
                free(name.cast());
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { result.write(first) };
    Some(0)
}

/// # Safety
///
/// The list was made by libc's getaddrinfo(3), or is null.
unsafe fn drop_all(list: *mut addrinfo) {
    if !list.is_null()
        && let Some(drop) = real!(freeaddrinfo as fn(*mut addrinfo))
    {
        // SAFETY: the caller's promise.
        unsafe { drop(list) };
    }
}

/// A string from the program's allocator.
fn copy_of(text: &[u8]) -> *mut c_char {
    // SAFETY: the memory is fresh, and as large as said.
    unsafe {
        let to = malloc(text.len() + 1).cast::<u8>();
        if !to.is_null() {
            core::ptr::copy_nonoverlapping(text.as_ptr(), to, text.len());
            *to.add(text.len()) = 0;
        }
        to.cast()
    }
}

pub unsafe fn getnameinfo(
    address: *const c_void,
    len: socklen_t,
    host: *mut c_char,
    host_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    let Some(next) = real!(
        getnameinfo
            as fn(*const c_void, socklen_t, *mut c_char, socklen_t, *mut c_char, socklen_t, c_int) -> c_int
    ) else {
        return libc::EAI_SYSTEM;
    };
    // SAFETY: the program's own arguments, but for flags.
    let ask = |flags| unsafe { next(address, len, host, host_len, service, service_len, flags) };
    // SAFETY: an address of that length, by the function's contract.
    let given = unsafe { core::slice::from_raw_parts(address.cast::<u8>(), (len as usize).min(28)) };
    let Some(endpoint) = elements::network::address::read(given) else { return ask(flags) };
    let wants_host = !host.is_null() && host_len > 0 && flags & libc::NI_NUMERICHOST == 0;
    let wants_service = !service.is_null() && service_len > 0 && flags & libc::NI_NUMERICSERV == 0;
    let plan = if wants_host { Plan::of_view() } else { None };
    let named =
        if wants_service { services::name_of(endpoint.port, flags & libc::NI_DGRAM != 0) } else { None };
    let mut with = flags;
    if named.is_some() {
        with |= libc::NI_NUMERICSERV;
    }
    let is_known = plan.as_ref().is_some_and(|plan| {
        plan.order.dns_first && resolver::ask(plan, || ask(with | libc::NI_NAMEREQD)) == 0
    });
    let by_files = plan.as_ref().filter(|_| !is_known);
    let found = by_files.and_then(|plan| plan.by_address(&hosts::ip_of(&endpoint)));
    let by_hosts = found.is_some();
    if by_hosts {
        with |= libc::NI_NUMERICHOST;
    }
    let done = match &plan {
        _ if is_known => 0,
        Some(plan) if found.is_none() && plan.order.dns => resolver::ask(plan, || ask(with)),
        Some(_) if found.is_none() && flags & libc::NI_NAMEREQD != 0 => {
            // SAFETY: null.
            unsafe {
                told::name(hosts::ip_of(&endpoint), core::ptr::null(), instance().view.names().hosts_line)
            };
            return libc::EAI_NONAME;
        }
        Some(_) if found.is_none() => ask(with | libc::NI_NUMERICHOST),
        _ => ask(with & !libc::NI_NAMEREQD),
    };
    if done != 0 {
        return done;
    }
    // SAFETY: buffers as long as said.
    unsafe {
        if let Some(found) = found {
            let decoded = match flags & idn::NI_IDN {
                0 => Ok(None),
                _ => idn::decoded(found.canonical_string()),
            };
            let name = match &decoded {
                Ok(decoded) => decoded.as_ref().map_or(found.canonical(), idn::Name::bytes),
                Err(error) => return *error,
            };
            if !put(name, host, host_len as size_t) {
                return libc::EAI_OVERFLOW;
            }
        }
        if let Some(services::Named { name, len }) = named
            && len > 0
            && !put(name.get(..len).unwrap_or(&[]), service, service_len as size_t)
        {
            return libc::EAI_OVERFLOW;
        }
        if plan.is_some() {
            let said = instance().view.names();
            let line = if by_hosts { said.hosts_line } else { said.resolver_line };
            told::name(hosts::ip_of(&endpoint), host, line);
        }
    }
    0
}

/// Puts a string into a buffer, if it fits.
///
/// # Safety
///
/// There is so much room.
unsafe fn put(text: &[u8], to: *mut c_char, room: size_t) -> bool {
    if text.len() >= room {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe {
        core::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), text.len());
        *to.add(text.len()) = 0;
    }
    true
}

/// Memory of a function that keeps its result, as libc's does: made once, and the process's own.
struct Room(core::sync::atomic::AtomicPtr<c_void>);

impl Room {
    const fn new() -> Room {
        Room(core::sync::atomic::AtomicPtr::new(core::ptr::null_mut()))
    }

    /// As many bytes as this function always asks for; null where there are none.
    fn memory(&self, size: usize) -> *mut c_void {
        use core::sync::atomic::Ordering;
        let known = self.0.load(Ordering::Acquire);
        if !known.is_null() {
            return known;
        }
        // SAFETY: libc's own function allocates as well.
        let fresh = unsafe { malloc(size) };
        match self.0.compare_exchange(core::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: ours alone.
                unsafe { free(fresh) };
                other
            }
        }
    }
}
