//! hosts(5): by name and by address, and the functions of gethostbyname(3).

use core::ffi::{c_char, c_int, c_void};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use elements::identity::{Database, Lines};
use elements::network::address::{self, SHOWN};
use elements::network::names::{Order, Setting, host, words};
use elements::{Errno, Instance};
use libc::{hostent, size_t, socklen_t};
use view::{Endpoint, MAPPED};

use super::{Kept, bytes, resolver};
use crate::answer::set_errno;
use crate::hooks::users::Buffer;
use crate::real;
use crate::start::instance;

/// As many addresses of a name as libc keeps (`MAX_NR_ADDRS`).
const MOST: usize = 48;
const LONGEST: usize = 256;
/// Room for the other names of a line.
const ALIASES: usize = 512;

/// How the names of hosts are looked up.
pub struct Plan {
    /// Where.
    pub order: Order,
    /// Whether the view has a hosts(5) of its own: else libc reads the host's.
    pub has_hosts: bool,
}

impl Plan {
    /// None where the view leaves it all to the host.
    pub fn of_view() -> Option<Plan> {
        let instance = instance();
        let file = |which| instance.database(which, 0);
        let has_hosts = has(instance, Database::Hosts);
        let switch = file(Database::Switch);
        if !has_hosts && switch.is_none() && !has(instance, Database::Resolver) {
            return None;
        }
        let mut order = Order::USUAL;
        if let Some(Ok(mut lines)) = switch {
            while let Some((line, _)) = lines.next_line() {
                if let Some(said) = Order::of(line) {
                    order = said;
                    break;
                }
            }
        }
        Some(Plan { order, has_hosts })
    }

    /// Whether libc is asked for a name that the view's hosts(5) does not have.
    pub fn asks(&self, name: &[u8]) -> bool {
        self.order.dns || !self.has_hosts || address_of(name)
    }
}

fn has(instance: &Instance<'_>, which: Database) -> bool {
    instance.database(which, 0).is_some()
}

/// Whether a name is an address, in any of the ways of inet_aton(3).
fn address_of(name: &[u8]) -> bool {
    name.contains(&b':') || name.first().is_some_and(u8::is_ascii_digit)
}

/// What hosts(5) says of a name or an address.
pub struct Found {
    addresses: [Option<IpAddr>; MOST],
    count: usize,
    name: [u8; LONGEST],
    name_len: usize,
    aliases: [u8; ALIASES],
    aliases_len: usize,
}

impl Found {
    fn look(fits: impl Fn(&IpAddr, &[u8]) -> bool) -> Option<Found> {
        let mut lines: Lines<'_> = instance().database(Database::Hosts, 0)?.ok()?;
        let mut found = Found {
            addresses: [None; MOST],
            count: 0,
            name: [0; LONGEST],
            name_len: 0,
            aliases: [0; ALIASES],
            aliases_len: 0,
        };
        while let Some((line, _)) = lines.next_line() {
            let Some((address, _, mut names)) = host(line) else { continue };
            if !names.clone().any(|name| fits(&address, name)) {
                continue;
            }
            if found.count == 0 {
                let first = names.next().unwrap_or(&[]);
                found.name_len = copy(first, &mut found.name);
                for other in names {
                    let room = found.aliases.get_mut(found.aliases_len..).unwrap_or(&mut []);
                    // With a NUL after each.
                    if other.len() + 1 < room.len() {
                        found.aliases_len += copy(other, room) + 1;
                    }
                }
            }
            if let Some(to) = found.addresses.get_mut(found.count) {
                *to = Some(address);
                found.count += 1;
            }
        }
        (found.count > 0).then_some(found)
    }

    /// By a name.
    pub fn by_name(wanted: &[u8]) -> Option<Found> {
        Found::look(|_, name| name.eq_ignore_ascii_case(wanted))
    }

    /// By an address.
    pub fn by_address(wanted: &IpAddr) -> Option<Found> {
        Found::look(|address, _| address == wanted)
    }

    /// Its addresses, in the order of the file.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().take(self.count).flatten().copied()
    }

    /// The first name.
    pub fn canonical(&self) -> &[u8] {
        self.name.get(..self.name_len).unwrap_or(&[])
    }

    fn aliases(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let all = self.aliases.get(..self.aliases_len).unwrap_or(&[]);
        all.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// The struct, with all that it points to in the buffer.
    fn put(&self, family: c_int, buffer: &mut Buffer) -> Result<hostent, Errno> {
        let fits = |address: &IpAddr| address.is_ipv4() == (family == libc::AF_INET);
        let count = self.addresses().filter(fits).count();
        let pointer = size_of::<*mut c_char>();
        let list = buffer.take((count + 1) * pointer, pointer)?.cast::<*mut c_char>();
        let length = if family == libc::AF_INET { 4 } else { 16 };
        for (index, address) in self.addresses().filter(fits).enumerate() {
            let to = buffer.take(length, 4)?;
            // SAFETY: the room was just taken.
            unsafe {
                match address {
                    IpAddr::V4(v4) => to.cast::<[u8; 4]>().write_unaligned(v4.octets()),
                    IpAddr::V6(v6) => to.cast::<[u8; 16]>().write_unaligned(v6.octets()),
                }
                list.add(index).write(to.cast());
            }
        }
        let names = self.aliases().count();
        let aliases = buffer.take((names + 1) * pointer, pointer)?.cast::<*mut c_char>();
        for (index, name) in self.aliases().enumerate() {
            let string = buffer.string(name)?;
            // SAFETY: as above.
            unsafe { aliases.add(index).write(string) };
        }
        // SAFETY: as above.
        unsafe {
            list.add(count).write(core::ptr::null_mut());
            aliases.add(names).write(core::ptr::null_mut());
        }
        Ok(hostent {
            h_name: buffer.string(self.canonical())?,
            h_aliases: aliases,
            h_addrtype: family,
            h_length: length as c_int,
            h_addr_list: list,
        })
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    from.len().min(to.len().saturating_sub(1))
}

/// An endpoint of an address.
pub fn endpoint_of(address: IpAddr, port: u16) -> Endpoint {
    match address {
        IpAddr::V4(v4) => Endpoint { address: v4.to_ipv6_mapped().octets(), port, is_v6: false },
        IpAddr::V6(v6) => Endpoint { address: v6.octets(), port, is_v6: true },
    }
}

/// An address as libc reads it, with a NUL after it.
pub fn text_of(address: IpAddr, text: &mut [u8; SHOWN]) {
    let endpoint = endpoint_of(address, 0);
    let mut shown = [0; SHOWN];
    // Without the port, and without the brackets.
    let len = address::show(&endpoint, &mut shown).saturating_sub(2);
    let inner = shown.get(..len).unwrap_or(&[]);
    let inner = inner.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(inner);
    text.iter_mut().zip(inner).for_each(|(to, from)| *to = *from);
}

/// The address of an endpoint.
pub fn ip_of(endpoint: &Endpoint) -> IpAddr {
    let v6 = Ipv6Addr::from(endpoint.address);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

/// The settings of the view's resolv.conf(5), if it has one.
pub fn settings(mut each: impl FnMut(Setting<'_>)) -> bool {
    let Some(Ok(mut lines)) = instance().database(Database::Resolver, 0) else { return false };
    while let Some((line, _)) = lines.next_line() {
        // Comments begin with either.
        if words(line).next().is_some_and(|word| !word.starts_with(b";"))
            && let Some(setting) = Setting::of(line)
        {
            each(setting);
        }
    }
    true
}

const HOST_NOT_FOUND: c_int = 1;
const NO_DATA: c_int = 4;
const NETDB_INTERNAL: c_int = -1;

/// What a look gives that libc has no part in.
enum Look {
    /// The struct has been made, or why it could not be.
    Here(Result<hostent, Errno>),
    /// Nobody is called so: `h_errno`.
    Nobody(c_int),
    /// libc is to be asked.
    Ask(Option<Plan>),
}

fn look(family: c_int, buffer: &mut Buffer, name: Option<&[u8]>, find: impl Fn() -> Option<Found>) -> Look {
    let Some(plan) = Plan::of_view() else { return Look::Ask(None) };
    if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
        return Look::Ask(None);
    }
    match find() {
        Some(found) if found.addresses().any(|one| one.is_ipv4() == (family == libc::AF_INET)) => {
            Look::Here(found.put(family, buffer))
        }
        Some(_) if !plan.order.dns => Look::Nobody(NO_DATA),
        None if !name.map_or(plan.order.dns || !plan.has_hosts, |name| plan.asks(name)) => {
            Look::Nobody(HOST_NOT_FOUND)
        }
        _ => Look::Ask(Some(plan)),
    }
}

fn set_host_error(error: c_int) {
    if let Some(place) = real!(__h_errno_location as fn() -> *mut c_int) {
        // SAFETY: the calling thread's own.
        unsafe { *place() = error };
    }
}

/// How much the functions without a buffer keep.
const ROOM: usize = 8192;

/// A function that keeps its result.
fn kept(
    kept: &Kept,
    family: c_int,
    name: Option<&[u8]>,
    find: impl Fn() -> Option<Found>,
    ask: impl FnOnce() -> *mut hostent,
) -> *mut hostent {
    let memory = kept.memory(size_of::<hostent>() + ROOM).cast::<hostent>();
    if memory.is_null() {
        return ask();
    }
    let mut buffer = Buffer::new(memory.wrapping_add(1).cast(), ROOM);
    match look(family, &mut buffer, name, find) {
        Look::Here(Ok(made)) => {
            // SAFETY: our own memory.
            unsafe { memory.write(made) };
            memory
        }
        Look::Here(Err(errno)) => {
            set_errno(errno);
            set_host_error(NETDB_INTERNAL);
            core::ptr::null_mut()
        }
        Look::Nobody(error) => {
            set_host_error(error);
            core::ptr::null_mut()
        }
        Look::Ask(Some(plan)) => resolver::ask(&plan, ask),
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
    name: Option<&[u8]>,
    find: impl Fn() -> Option<Found>,
    ask: impl FnOnce() -> c_int,
) -> c_int {
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
        Look::Here(Ok(made)) => finish(Some(made), 0, 0),
        Look::Here(Err(errno)) => {
            set_errno(errno);
            finish(None, NETDB_INTERNAL, errno.0)
        }
        Look::Nobody(error) => finish(None, error, 0),
        Look::Ask(Some(plan)) => resolver::ask(&plan, ask),
        Look::Ask(None) => ask(),
    }
}

static KEPT: Kept = Kept::new();

pub unsafe fn gethostbyname(name: *const c_char) -> *mut hostent {
    // SAFETY: a string, by the function's contract.
    let wanted = unsafe { bytes(name) }.unwrap_or(&[]);
    kept(
        &KEPT,
        libc::AF_INET,
        Some(wanted),
        || Found::by_name(wanted),
        || {
            match real!(gethostbyname as fn(*const c_char) -> *mut hostent) {
                // SAFETY: the program's own arguments.
                Some(next) => unsafe { next(name) },
                None => core::ptr::null_mut(),
            }
        },
    )
}

pub unsafe fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    // SAFETY: a string, by the function's contract.
    let wanted = unsafe { bytes(name) }.unwrap_or(&[]);
    kept(
        &KEPT,
        family,
        Some(wanted),
        || Found::by_name(wanted),
        || {
            match real!(gethostbyname2 as fn(*const c_char, c_int) -> *mut hostent) {
                // SAFETY: the program's own arguments.
                Some(next) => unsafe { next(name, family) },
                None => core::ptr::null_mut(),
            }
        },
    )
}

pub unsafe fn gethostbyname_r(
    name: *const c_char,
    to: *mut hostent,
    buf: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let next = real!(
        gethostbyname_r
            as fn(*const c_char, *mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int
    );
    // SAFETY: the caller's pointers.
    unsafe {
        let wanted = bytes(name).unwrap_or(&[]);
        let place = To { to, buffer: (buf, size), result, error };
        reentrant(
            &place,
            libc::AF_INET,
            Some(wanted),
            || Found::by_name(wanted),
            || match next {
                Some(next) => next(name, to, buf, size, result, error),
                None => Errno::ENOSYS.0,
            },
        )
    }
}

pub unsafe fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    to: *mut hostent,
    buf: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let next = real!(
        gethostbyname2_r
            as fn(
                *const c_char,
                c_int,
                *mut hostent,
                *mut c_char,
                size_t,
                *mut *mut hostent,
                *mut c_int,
            ) -> c_int
    );
    // SAFETY: the caller's pointers.
    unsafe {
        let wanted = bytes(name).unwrap_or(&[]);
        let place = To { to, buffer: (buf, size), result, error };
        reentrant(
            &place,
            family,
            Some(wanted),
            || Found::by_name(wanted),
            || match next {
                Some(next) => next(name, family, to, buf, size, result, error),
                None => Errno::ENOSYS.0,
            },
        )
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

pub unsafe fn gethostbyaddr(address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent {
    // SAFETY: the program's own arguments.
    let wanted = unsafe { given(address, len, family) };
    kept(
        &KEPT,
        family,
        None,
        || Found::by_address(&wanted?),
        || {
            match real!(gethostbyaddr as fn(*const c_void, socklen_t, c_int) -> *mut hostent) {
                // SAFETY: as above.
                Some(next) => unsafe { next(address, len, family) },
                None => core::ptr::null_mut(),
            }
        },
    )
}

#[expect(clippy::too_many_arguments, reason = "as libc declares it")]
pub unsafe fn gethostbyaddr_r(
    address: *const c_void,
    len: socklen_t,
    family: c_int,
    to: *mut hostent,
    buf: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let next = real!(
        gethostbyaddr_r
            as fn(
                *const c_void,
                socklen_t,
                c_int,
                *mut hostent,
                *mut c_char,
                size_t,
                *mut *mut hostent,
                *mut c_int,
            ) -> c_int
    );
    // SAFETY: the caller's pointers.
    unsafe {
        let wanted = given(address, len, family);
        let place = To { to, buffer: (buf, size), result, error };
        reentrant(
            &place,
            family,
            None,
            || Found::by_address(&wanted?),
            || match next {
                Some(next) => next(address, len, family, to, buf, size, result, error),
                None => Errno::ENOSYS.0,
            },
        )
    }
}
