//! What a trace is told of names: which were looked up, and what was found.

use core::ffi::{c_char, c_int};
use core::net::IpAddr;

use elements::Errno;
use elements::files::Text;
use elements::network::address::{SHOWN, show_alone};
use elements::network::dns::{self, ANSWERS, Kind, QUESTION};
use elements::trace::{BY_ADDRESS, BY_NAME, FROM_ADDRESS, NAME, RESOLVED};
use libc::{addrinfo, hostent};

use super::hosts;
use crate::hooks::entries::bytes;
use crate::start::instance;

/// What has been found, in words with spaces between them; what does not fit is left out.
type Shown = Text<ANSWERS>;

fn add(shown: &mut Shown, word: &[u8]) {
    // As said.
    let _ = shown.push(if shown.is_empty() { b"" } else { b" " }).and_then(|()| shown.push(word));
}

fn outcome(is_found: bool) -> Result<usize, Errno> {
    if is_found { Ok(0) } else { Err(Errno::ENOENT) }
}

/// Tells of getaddrinfo(3), and gives what it returns.
pub fn addresses(name: &[u8], done: c_int, result: *mut *mut addrinfo, line: u32) -> c_int {
    if !instance().traces() {
        return done;
    }
    let mut shown = Shown::new();
    // SAFETY: libc's list, where the call has succeeded.
    let mut next = if done == 0 { unsafe { *result } } else { core::ptr::null_mut() };
    let mut last = None;
    // SAFETY: a list that ends in null.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ai_next;
        // SAFETY: as long as the entry says.
        let bytes =
            unsafe { core::slice::from_raw_parts(entry.ai_addr.cast::<u8>(), entry.ai_addrlen as usize) };
        let Some(endpoint) = elements::network::address::read(bytes) else { continue };
        if last.replace(endpoint) != Some(endpoint) {
            add(&mut shown, show_alone(hosts::ip_of(&endpoint), &mut [0; SHOWN]));
        }
    }
    instance().tell_of_name(NAME, name, shown.bytes(), line, outcome(done == 0));
    done
}

/// Tells of what gethostbyname(3) or gethostbyaddr(3) have found, by a name or an address.
///
/// # Safety
///
/// It is libc's struct, or null.
pub unsafe fn host(name: Option<&[u8]>, address: Option<IpAddr>, found: *const hostent, line: u32) {
    if !instance().traces() {
        return;
    }
    let mut shown = Shown::new();
    // SAFETY: the caller's promise.
    let host = unsafe { found.as_ref() };
    if let Some(address) = address {
        // SAFETY: as above: the name is a string.
        if let Some(name) = host.and_then(|host| unsafe { bytes(host.h_name) }) {
            add(&mut shown, name);
        }
        let mut room = [0; SHOWN];
        let asked = show_alone(address, &mut room);
        return instance().tell_of_name(BY_ADDRESS, asked, shown.bytes(), line, outcome(host.is_some()));
    }
    if let Some(host) = host {
        let mut next = host.h_addr_list;
        // SAFETY: a list of addresses of that length, which ends in null.
        while let Some(address) = unsafe { next.as_ref().filter(|address| !address.is_null()) } {
            // SAFETY: as above.
            let address = unsafe {
                match host.h_addrtype {
                    libc::AF_INET => IpAddr::from(address.cast::<[u8; 4]>().read_unaligned()),
                    _ => IpAddr::from(address.cast::<[u8; 16]>().read_unaligned()),
                }
            };
            add(&mut shown, show_alone(address, &mut [0; SHOWN]));
            next = next.wrapping_add(1);
        }
    }
    instance().tell_of_name(BY_NAME, name.unwrap_or(&[]), shown.bytes(), line, outcome(host.is_some()));
}

/// Tells of getnameinfo(3), which has put the name of an address there, if it has found one.
///
/// # Safety
///
/// It is a string, or null.
pub unsafe fn name(address: IpAddr, found: *const c_char, line: u32) {
    if !instance().traces() {
        return;
    }
    // SAFETY: the caller's promise.
    let found = unsafe { bytes(found) };
    let mut room = [0; SHOWN];
    let asked = show_alone(address, &mut room);
    instance().tell_of_name(FROM_ADDRESS, asked, found.unwrap_or(&[]), line, outcome(found.is_some()));
}

/// Tells of res_query(3) and its kin, which have given an answer of so many bytes.
///
/// # Safety
///
/// The name is a string, and there are so many bytes, where that is not negative.
pub unsafe fn answer(asked: *const c_char, answer: *const u8, len: c_int) {
    if !instance().traces() {
        return;
    }
    let line = instance().view.names().resolver_line;
    let (mut question, mut answers) = (Text::<QUESTION>::new(), Text::<ANSWERS>::new());
    let given = usize::try_from(len).ok().filter(|len| (1..=dns::LONGEST).contains(len));
    // SAFETY: the caller's promise.
    let message = given.map(|len| unsafe { core::slice::from_raw_parts(answer, len) });
    let read = message.and_then(|message| dns::read(message, &mut question, &mut answers));
    let is_found = matches!(read, Some(Kind::Reply { .. }));
    // SAFETY: as above.
    let name = if is_found { question.bytes() } else { unsafe { bytes(asked) }.unwrap_or(&[]) };
    let found = answers.bytes().strip_prefix(b" ").unwrap_or(&[]);
    instance().tell_of_name(RESOLVED, name, found, line, outcome(is_found));
}
