//! The order of several addresses of one name, as glibc's getaddrinfo(3) sorts them.

use core::ffi::{c_int, c_void};
use core::net::Ipv4Addr;

use elements::identity::Database;
use elements::network::address::read;
use elements::network::selection::{Candidate, Preferences, bits_of};
use libc::{addrinfo, ifaddrs, sockaddr_in};
use view::Endpoint;

use crate::real;
use crate::start::instance;

/// As many entries are sorted: all that a name can have in hosts(5), for three kinds of sockets.
const MOST: usize = 144;

/// Sorts a list of entries, and gives the first. Those that have one address are beside each other.
///
/// # Safety
///
/// It ends in null, and each entry has an address.
pub unsafe fn sort(first: *mut addrinfo) -> *mut addrinfo {
    let nobody = Endpoint { address: [0; 16], port: 0, is_v6: false };
    let mut entries = [core::ptr::null_mut(); MOST];
    let mut candidates = [Candidate { to: nobody, from: None, network: 32, index: 0 }; MOST];
    let (mut count, mut different) = (0, 0);
    let mut next = first;
    // SAFETY: the caller's promise.
    while let Some(entry) = unsafe { next.as_ref() } {
        let (address, len) = (entry.ai_addr.cast::<u8>(), entry.ai_addrlen as usize);
        // SAFETY: as above.
        let to = read(unsafe { core::slice::from_raw_parts(address, len) });
        let (Some(to), Some(place)) = (to, entries.get_mut(count)) else { return first };
        *place = next;
        let last =
            count.checked_sub(1).and_then(|last| candidates.get(last)).filter(|last| last.to == to).copied();
        if last.is_none() {
            different += 1;
        }
        if let Some(candidate) = candidates.get_mut(count) {
            *candidate = Candidate {
                index: count,
                ..last.unwrap_or(Candidate { to, from: None, network: 32, index: 0 })
            };
        }
        count += 1;
        next = entry.ai_next;
    }
    let (Some(candidates), Some(entries)) = (candidates.get_mut(..count), entries.get(..count)) else {
        return first;
    };
    if different < 2 {
        return first;
    }
    let mut known: Option<Candidate> = None;
    for (candidate, entry) in candidates.iter_mut().zip(entries) {
        candidate.from = match known.filter(|known| known.to == candidate.to) {
            Some(known) => known.from,
            // SAFETY: as above.
            None => unsafe {
                instance().source_to(
                    (**entry).ai_family,
                    (**entry).ai_addr.cast(),
                    (**entry).ai_addrlen as usize,
                )
            },
        };
        known = Some(*candidate);
    }
    find_networks(candidates);
    let mut lines = instance().lines_of(Database::Preferences);
    let preferences = Preferences::of(|read| {
        lines.as_mut().and_then(|lines| lines.next_line()).map(|(line, _)| read(line)).is_some()
    });
    preferences.sort(candidates);
    let entry =
        |candidate: &Candidate| entries.get(candidate.index).copied().unwrap_or(core::ptr::null_mut());
    let mut next = core::ptr::null_mut();
    for candidate in candidates.iter().rev() {
        // SAFETY: an entry of the list.
        unsafe { (*entry(candidate)).ai_next = next };
        next = entry(candidate);
    }
    next
}

/// Looks at the interfaces for how large the networks are from which addresses of IPv4 are reached.
fn find_networks(candidates: &mut [Candidate]) {
    let fours = candidates.iter().filter(|one| !one.to.is_v6 && one.from.is_some()).count();
    let list = real!(getifaddrs as fn(*mut *mut c_void) -> c_int);
    let drop = real!(freeifaddrs as fn(*mut c_void));
    let (Some(list), Some(drop), true) = (list, drop, fours > 1) else { return };
    let mut all: *mut c_void = core::ptr::null_mut();
    // SAFETY: libc makes a list.
    if unsafe { list(&raw mut all) } != 0 {
        return;
    }
    let mut next = all.cast::<ifaddrs>();
    // SAFETY: libc's list, which ends in null.
    while let Some(interface) = unsafe { next.as_ref() } {
        next = interface.ifa_next;
        let (address, mask) =
            (interface.ifa_addr.cast::<sockaddr_in>(), interface.ifa_netmask.cast::<sockaddr_in>());
        // SAFETY: addresses of IPv4, where the family says so.
        let (address, mask) = unsafe {
            if address.is_null() || mask.is_null() || c_int::from((*address).sin_family) != libc::AF_INET {
                continue;
            }
            ((*address).sin_addr.s_addr, Ipv4Addr::from((*mask).sin_addr.s_addr.to_ne_bytes()))
        };
        for candidate in candidates.iter_mut().filter(|one| !one.to.is_v6) {
            let from = candidate.from.as_ref().and_then(|from| from.address.last_chunk::<4>().copied());
            if from == Some(address.to_ne_bytes()) {
                candidate.network = bits_of(mask);
            }
        }
    }
    // SAFETY: libc's list.
    unsafe { drop(all) };
}
