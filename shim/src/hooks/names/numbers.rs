//! The functions of getprotoent(3), getrpcent(3) and getnetent(3), and those of gethostent(3).

use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicUsize, Ordering};

use elements::Errno;
use elements::identity::Database;
use elements::network::names::HostLine;
use elements::network::numbers::{Network, Protocol, others};
use libc::{hostent, protoent, size_t};

use crate::hooks::entries::{
    Buffer, Elsewhere, Kept, Shown, bytes, finds, host_error, libcs, look, reentrant, walks,
};
use crate::start::instance;

/// `struct netent` of netdb.h
#[repr(C)]
pub struct Netent {
    name: *mut c_char,
    aliases: *mut *mut c_char,
    family: c_int,
    address: u32,
}

impl Shown for protoent {
    type Entry<'l> = Protocol<'l>;
    const DATABASE: Database = Database::Protocols;
    fn of(entry: &Protocol<'_>, buffer: &mut Buffer) -> Result<protoent, Errno> {
        Ok(protoent {
            p_name: buffer.string(entry.name)?,
            p_aliases: buffer.strings(others(entry.aliases))?,
            p_proto: entry.number,
        })
    }
}

/// `struct rpcent` of rpc/netdb.h
#[repr(C)]
pub struct Rpcent {
    name: *mut c_char,
    aliases: *mut *mut c_char,
    number: c_int,
}

impl Shown for Rpcent {
    type Entry<'l> = Protocol<'l>;
    const DATABASE: Database = Database::Programs;
    fn of(entry: &Protocol<'_>, buffer: &mut Buffer) -> Result<Rpcent, Errno> {
        Ok(Rpcent {
            name: buffer.string(entry.name)?,
            aliases: buffer.strings(others(entry.aliases))?,
            number: entry.number,
        })
    }
}

impl Shown for Netent {
    type Entry<'l> = Network<'l>;
    const DATABASE: Database = Database::Networks;
    const HAS_HOST_ERROR: bool = true;
    fn of(entry: &Network<'_>, buffer: &mut Buffer) -> Result<Netent, Errno> {
        Ok(Netent {
            name: buffer.string(entry.name)?,
            aliases: buffer.strings(others(entry.aliases))?,
            family: libc::AF_INET,
            address: entry.address,
        })
    }
}

impl Shown for hostent {
    type Entry<'l> = HostLine<'l>;
    const DATABASE: Database = Database::Hosts;
    const HAS_HOST_ERROR: bool = true;
    fn of(entry: &HostLine<'_>, buffer: &mut Buffer) -> Result<hostent, Errno> {
        let pointer = size_of::<*mut c_char>();
        let list = buffer.take(2 * pointer, pointer)?.cast::<*mut c_char>();
        let address = buffer.take(4, 4)?;
        // SAFETY: the room was just taken.
        unsafe {
            address.cast::<[u8; 4]>().write(entry.address.octets());
            list.write(address.cast());
            list.add(1).write(core::ptr::null_mut());
        }
        Ok(hostent {
            h_name: buffer.string(entry.name)?,
            h_aliases: buffer.strings(others(entry.aliases))?,
            h_addrtype: libc::AF_INET,
            h_length: 4,
            h_addr_list: list,
        })
    }
}

finds!(getprotobyname, getprotobyname_r: protoent, (name: *const c_char)
    let wanted = bytes(name); |entry| wanted.is_some_and(|wanted| entry.is(wanted)));
finds!(getprotobynumber, getprotobynumber_r: protoent, (number: c_int) |entry| entry.number == number);
walks!(setprotoent(stays), getprotoent, getprotoent_r, endprotoent, PROTOCOLS_AT: protoent);

finds!(getrpcbyname, getrpcbyname_r: Rpcent, (name: *const c_char)
    let wanted = bytes(name); |entry| wanted.is_some_and(|wanted| entry.is(wanted)));
finds!(getrpcbynumber, getrpcbynumber_r: Rpcent, (number: c_int) |entry| entry.number == number);
walks!(setrpcent(stays), getrpcent, getrpcent_r, endrpcent, PROGRAMS_AT: Rpcent);

finds!(getnetbyname, getnetbyname_r(error): Netent, (name: *const c_char)
    let wanted = bytes(name); |entry| wanted.is_some_and(|wanted| entry.is(wanted)));
finds!(getnetbyaddr, getnetbyaddr_r(error): Netent, (address: u32, family: c_int)
    |entry| entry.address == address && [libc::AF_UNSPEC, libc::AF_INET].contains(&family));
walks!(setnetent(stays), getnetent, getnetent_r(error), endnetent, NETWORKS_AT: Netent);

walks!(sethostent(stays), gethostent, gethostent_r(error), endhostent, HOSTS_AT: hostent);
