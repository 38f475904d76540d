//! Which name servers libc asks, and how: resolv.conf(5) of the view, put into
//! libc's own state, `_res` of resolver(3).
//!
//! libc leaves a state alone that a program has changed: glibc's
//! `__resolv_context_get` says so, for the sake of old programs. So its
//! resolver, with all that it knows of retries, truncation, EDNS and search
//! lists, asks the policy's name servers, at the ports that they have.

use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use elements::network::address::{fresh, of};
use elements::network::names::{DNS, Setting, words};
use libc::{sockaddr_in, sockaddr_in6};
use view::{Direction, Protocol};

use super::hosts::{Plan, settings};
use super::told;
use crate::allocate::malloc;
use crate::real;
use crate::start::instance;

const SERVERS: usize = 3;
const SEARCHES: usize = 6;
const NAMES: usize = 256;

/// `struct __res_state` of resolv.h, as glibc has had it since 2.1.
#[repr(C)]
struct State {
    /// Seconds until the first try again.
    retrans: c_int,
    /// How often.
    retry: c_int,
    options: c_ulong,
    nscount: c_int,
    nsaddr_list: [sockaddr_in; SERVERS],
    id: u16,
    dnsrch: [*mut c_char; SEARCHES + 1],
    defdname: [u8; NAMES],
    pfcode: c_ulong,
    /// `ndots` in the lowest four bits, and other fields.
    bits: u32,
    sort_list: [[u32; 2]; 10],
    hooks: [*mut c_void; 2],
    res_h_errno: c_int,
    vcsock: c_int,
    flags: u32,
    extension: Extension,
}

/// `_u._ext`
#[repr(C)]
struct Extension {
    nscount: u16,
    nsmap: [u16; SERVERS],
    nssocks: [c_int; SERVERS],
    nscount6: u16,
    nsinit: u16,
    nsaddrs: [*mut sockaddr_in6; SERVERS],
    index: [u32; 2],
}

const _: () = assert!(size_of::<State>() == 568 && core::mem::offset_of!(State, bits) == 392);

const RES_INIT: c_ulong = 1;

/// Options of resolv.conf(5), and their bits.
const OPTIONS: &[(&[u8], c_ulong)] = &[
    (b"debug", 2),
    (b"use-vc", 8),
    (b"rotate", 0x4000),
    (b"no-check-names", 0x8000),
    (b"edns0", 0x10_0000),
    (b"single-request", 0x20_0000),
    (b"single-request-reopen", 0x40_0000),
    (b"no-tld-query", 0x100_0000),
    (b"no-reload", 0x200_0000),
    (b"trust-ad", 0x400_0000),
    (b"no-aaaa", 0x800_0000),
];

/// Has libc look a name up, in the way of the plan.
pub fn ask<T>(plan: &Plan, ask: impl FnOnce() -> T) -> T {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        // What the view has of files has been looked at.
        let words = match (plan.has_hosts, plan.order.files, plan.order.dns, plan.order.dns_first) {
            (true, ..) | (_, false, true, _) => c"dns",
            (false, true, true, false) => c"files dns",
            (false, true, true, true) => c"dns files",
            _ => c"files",
        };
        if let Some(configure) = real!(__nss_configure_lookup as fn(*const c_char, *const c_char) -> c_int) {
            // SAFETY: strings.
            unsafe { configure(c"hosts".as_ptr(), words.as_ptr()) };
        }
    }
    prepare();
    ask()
}

/// Puts the view's settings into the calling thread's state.
fn prepare() {
    let Some(place) = real!(__res_state as fn() -> *mut State) else { return };
    // SAFETY: takes nothing.
    let state = unsafe { place() };
    if state.is_null() {
        return;
    }
    // SAFETY: libc's state of the calling thread.
    let is_ready = unsafe { (*state).options & RES_INIT != 0 };
    if !is_ready && let Some(init) = real!(__res_init as fn() -> c_int) {
        // SAFETY: takes nothing.
        unsafe { init() };
    }
    // SAFETY: as above; libc has made it.
    fill(unsafe { &mut *state });
}

/// Puts the view's settings into a state that libc has made.
fn fill(state: &mut State) {
    let mut servers = 0;
    let mut searched = false;
    let (mut tries, mut seconds, mut dots, mut bits) = (2, 5, 1, 0);
    let mut domains = [0_u8; NAMES];
    let has_any = settings(|setting| match setting {
        Setting::Server(address) => {
            servers += usize::from(add_server(state, servers, address));
        }
        Setting::Search(names) => {
            domains = [0; NAMES];
            let mut at = 0;
            for name in words(names).take(SEARCHES) {
                // With a NUL after each.
                if let Some(to) = domains.get_mut(at..at + name.len()).filter(|_| at + name.len() < NAMES) {
                    to.copy_from_slice(name);
                    at += name.len() + 1;
                }
            }
            searched = true;
        }
        Setting::Options(options) => {
            for option in words(options) {
                let mut parts = option.splitn(2, |byte| *byte == b':');
                let (key, value) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
                let number = core::str::from_utf8(value).ok().and_then(|value| value.parse::<u8>().ok());
                match (key, number) {
                    (b"ndots", Some(number)) => dots = u32::from(number.min(15)),
                    (b"timeout", Some(number)) => seconds = c_int::from(number.clamp(1, 30)),
                    (b"attempts", Some(number)) => tries = c_int::from(number.clamp(1, 5)),
                    _ => bits |= OPTIONS.iter().find(|(name, _)| *name == key).map_or(0, |(_, bit)| *bit),
                }
            }
        }
    });
    if !has_any {
        return;
    }
    if servers == 0 {
        servers = usize::from(add_server(state, 0, IpAddr::from([127, 0, 0, 1])));
    }
    state.nscount = servers as c_int;
    (state.retry, state.retrans) = (tries, seconds);
    let known = OPTIONS.iter().fold(0, |all, (_, bit)| all | bit);
    state.options = state.options & !known | bits;
    state.bits = state.bits & !0xf | dots;
    if searched {
        state.defdname = domains;
        let mut names = 0;
        let mut at = 0;
        while names < SEARCHES && state.defdname.get(at).is_some_and(|byte| *byte != 0) {
            let rest = state.defdname.get_mut(at..).unwrap_or(&mut []);
            let len = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            if let Some(to) = state.dnsrch.get_mut(names) {
                *to = rest.as_mut_ptr().cast();
            }
            names += 1;
            at += len + 1;
        }
        if let Some(to) = state.dnsrch.get_mut(names) {
            *to = core::ptr::null_mut();
        }
    }
}

/// Adds a name server, where the rules of the network lead to it. False where there is no room.
fn add_server(state: &mut State, number: usize, address: IpAddr) -> bool {
    let asked = of(address, DNS);
    let rule = instance().first_rule(Direction::Connect, &asked, Protocol::Udp);
    let led = rule.map_or(asked, |rule| rule.target(&asked));
    let (bytes, _) = fresh(&led);
    let (Some(v4), Some(v6)) = (state.nsaddr_list.get_mut(number), state.extension.nsaddrs.get_mut(number))
    else {
        return false;
    };
    if !led.is_v6 {
        // SAFETY: an address of IPv4 is the first part of the room.
        *v4 = unsafe { bytes.as_ptr().cast::<sockaddr_in>().read_unaligned() };
        return true;
    }
    // An address of IPv6 is kept apart, in memory that libc frees with the state.
    if v6.is_null() {
        // SAFETY: libc's own function allocates as well.
        *v6 = unsafe { malloc(size_of::<sockaddr_in6>()) }.cast();
        if v6.is_null() {
            return false;
        }
    }
    // SAFETY: as large as an address of IPv6.
    unsafe { v6.write(bytes.as_ptr().cast::<sockaddr_in6>().read_unaligned()) };
    v4.sin_family = 0;
    true
}

pub unsafe fn __res_init() -> c_int {
    let Some(next) = real!(__res_init as fn() -> c_int) else { return -1 };
    // SAFETY: takes nothing.
    let done = unsafe { next() };
    if done == 0 {
        prepare();
    }
    done
}

pub unsafe fn __res_ninit(state: *mut c_void) -> c_int {
    let Some(next) = real!(__res_ninit as fn(*mut c_void) -> c_int) else { return -1 };
    // SAFETY: the program's own state.
    let done = unsafe { next(state) };
    if done == 0 {
        // SAFETY: libc has just made it.
        fill(unsafe { &mut *state.cast::<State>() });
    }
    done
}

/// Functions that ask by the calling thread's state.
macro_rules! asking {
    ($($name:ident, $other:ident($($arg:ident: $ty:ty),*) $(tells $key:ident, $found:ident, $room:ident)?;)*) => {$(
        #[allow(clippy::too_many_arguments, reason = "as libc declares it")]
        pub unsafe fn $name($($arg: $ty),*) -> c_int {
            let next = real!($name as fn($($ty),*) -> c_int).or_else(|| real!($other as fn($($ty),*) -> c_int));
            let Some(next) = next else { return -1 };
            prepare();
            // SAFETY: the program's own arguments.
            let done = unsafe { next($($arg),*) };
            $(
                // SAFETY: as above; the answer is there, as much of it as has room.
                unsafe { told::answer($key, $found, done.min($room)) };
            )?
            done
        }
    )*};
}

asking! {
    res_query, __res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) tells name, answer, size;
    res_search, __res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) tells name, answer, size;
    res_querydomain, __res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) tells name, answer, size;
    res_send, __res_send(message: *const u8, len: c_int, answer: *mut u8, size: c_int);
    res_mkquery, __res_mkquery(operation: c_int, name: *const c_char, class: c_int, kind: c_int, data: *const u8, len: c_int, record: *const u8, to: *mut u8, size: c_int);
}
