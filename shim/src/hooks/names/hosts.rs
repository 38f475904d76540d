//! hosts(5), by name and by address, and where names are looked up.

use core::ffi::{c_char, c_int};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use elements::identity::{Database, Lines};
use elements::network::address::{self, SHOWN};
use elements::network::names::{Order, Setting, host, words};
use elements::{Errno, Instance};
use libc::hostent;
use view::Endpoint;

use crate::hooks::entries::Buffer;
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

    /// What hosts(5) says of a name, if that is looked at.
    pub fn by_name(&self, wanted: &[u8]) -> Option<Found> {
        if self.order.files { Found::look(|_, name| name.eq_ignore_ascii_case(wanted)) } else { None }
    }

    /// The same of an address.
    pub fn by_address(&self, wanted: &IpAddr) -> Option<Found> {
        if self.order.files { Found::look(|address, _| address == wanted) } else { None }
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

    /// Its addresses, in the order of the file.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().take(self.count).flatten().copied()
    }

    /// Those of a family, or all of any. As one of IPv4, libc takes an address that is mapped, and `::1` for 127.0.0.1.
    pub fn of_family(&self, family: c_int) -> impl Iterator<Item = IpAddr> {
        self.addresses().filter_map(move |address| match (family, address) {
            (libc::AF_INET, IpAddr::V6(Ipv6Addr::LOCALHOST)) => Some(Ipv4Addr::LOCALHOST.into()),
            (libc::AF_INET, IpAddr::V6(v6)) => v6.to_ipv4_mapped().map(IpAddr::V4),
            (libc::AF_INET6, IpAddr::V4(_)) => None,
            _ => Some(address),
        })
    }

    /// The first name.
    pub fn canonical(&self) -> &[u8] {
        self.name.get(..self.name_len).unwrap_or(&[])
    }

    /// The same, with a NUL after it.
    pub fn canonical_string(&self) -> *const c_char {
        self.name.as_ptr().cast()
    }

    fn aliases(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let all = self.aliases.get(..self.aliases_len).unwrap_or(&[]);
        all.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// The struct, with all that it points to in the buffer.
    pub fn put(&self, family: c_int, buffer: &mut Buffer) -> Result<hostent, Errno> {
        let count = self.of_family(family).count();
        let pointer = size_of::<*mut c_char>();
        let list = buffer.take((count + 1) * pointer, pointer)?.cast::<*mut c_char>();
        let length = if family == libc::AF_INET { 4 } else { 16 };
        for (index, address) in self.of_family(family).enumerate() {
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
        let aliases = buffer.strings(self.aliases())?;
        // SAFETY: as above.
        unsafe { list.add(count).write(core::ptr::null_mut()) };
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

/// An address as libc reads it, with a NUL after it.
pub fn text_of(address: IpAddr, text: &mut [u8; SHOWN]) {
    let mut shown = [0; SHOWN];
    let alone = address::show_alone(address, &mut shown);
    text.iter_mut().zip(alone).for_each(|(to, from)| *to = *from);
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
