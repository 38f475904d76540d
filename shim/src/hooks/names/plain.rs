//! Results of getaddrinfo(3) that need no libc.

use core::ffi::{c_char, c_int};
use core::net::IpAddr;

use elements::network::address::{fresh, of};
use libc::{addrinfo, socklen_t};

use crate::allocate::malloc;
use crate::hooks::entries::bytes;
use crate::hooks::is_glibc;

/// What is asked for so plainly that libc need not be asked what it means: entries of glibc's own kind,
/// each a block that its freeaddrinfo(3) frees.
pub struct Plain {
    port: u16,
}

/// The kinds of sockets that an address is given for, where the caller wants any.
const KINDS: [(c_int, c_int); 3] = [
    (libc::SOCK_STREAM, libc::IPPROTO_TCP),
    (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    (libc::SOCK_RAW, libc::IPPROTO_IP),
];

impl Plain {
    /// None where it is not so plain.
    ///
    /// # Safety
    ///
    /// The service is a string, or null.
    pub unsafe fn of(service: *const c_char, hints: &addrinfo) -> Option<Plain> {
        const KNOWN: c_int = libc::AI_CANONNAME | libc::AI_PASSIVE | libc::AI_NUMERICSERV;
        let kind = (hints.ai_socktype, hints.ai_protocol);
        let is_known = kind == (0, 0)
            || KINDS
                .iter()
                .take(2)
                .any(|known| *known == kind || (known.0, 0) == kind || (0, known.1) == kind);
        let is_mapped = hints.ai_flags & libc::AI_V4MAPPED != 0 && hints.ai_family == libc::AF_INET6;
        if hints.ai_flags & !(KNOWN | libc::AI_V4MAPPED) != 0 || !is_known || is_mapped || !is_glibc() {
            return None;
        }
        // SAFETY: the caller's promise.
        let port = match unsafe { bytes(service) } {
            None => 0,
            Some(digits) => core::str::from_utf8(digits).ok()?.parse().ok()?,
        };
        Some(Plain { port })
    }

    /// Makes the entries of an address: what getaddrinfo(3) returns.
    pub fn make(&self, address: IpAddr, hints: &addrinfo, first: &mut *mut addrinfo) -> c_int {
        let wants = |kind: &&(c_int, c_int)| {
            (hints.ai_socktype == 0 || hints.ai_socktype == kind.0)
                && (hints.ai_protocol == 0 || hints.ai_protocol == kind.1)
        };
        let endpoint = of(address, self.port);
        let (bytes, len) = fresh(&endpoint);
        let mut to = first;
        for (kind, protocol) in KINDS.iter().filter(wants) {
            // SAFETY: libc's own function allocates as well.
            let memory = unsafe { malloc(size_of::<addrinfo>() + len) }.cast::<addrinfo>();
            if memory.is_null() {
                return libc::EAI_MEMORY;
            }
            let room = memory.wrapping_add(1);
            // SAFETY: the memory is fresh, and as large as both.
            unsafe {
                memory.write(addrinfo {
                    ai_flags: hints.ai_flags,
                    ai_family: if endpoint.is_v6 { libc::AF_INET6 } else { libc::AF_INET },
                    ai_socktype: *kind,
                    ai_protocol: *protocol,
                    ai_addrlen: len as socklen_t,
                    ai_addr: room.cast(),
                    ai_canonname: core::ptr::null_mut(),
                    ai_next: core::ptr::null_mut(),
                });
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), room.cast::<u8>(), len);
                *to = memory;
                to = &mut (*memory).ai_next;
            }
        }
        0
    }
}
