//! The kernel's tables of sockets: /proc/net/tcp and its kin, and the messages of
//! sock_diag(7). Each row has the addresses that the program would find without us.
//!
//! A table has the sockets of the whole host. Only rows that the policy's rules
//! lead to say another address, so other applications' stay as they are.

#![forbid(unsafe_code)]

use view::{Endpoint, MAPPED, Protocol};

use crate::Errno;

/// What a row's two addresses become, where they are others.
pub type Told = (Option<Endpoint>, Option<Endpoint>);

/// A table of /proc/net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// What its sockets speak.
    pub protocol: Protocol,
    is_v6: bool,
}

impl Table {
    /// Which one a path's last component may be.
    pub fn named(path: &[u8]) -> Option<Table> {
        let (protocol, is_v6) = match path.rsplit(|byte| *byte == b'/').next()? {
            b"tcp" => (Protocol::Tcp, false),
            b"tcp6" => (Protocol::Tcp, true),
            b"udp" => (Protocol::Udp, false),
            b"udp6" => (Protocol::Udp, true),
            _ => return None,
        };
        Some(Table { protocol, is_v6 })
    }

    /// Which one a canonical path is.
    pub fn at(path: &[u8]) -> Option<Table> {
        let is_proc = path.starts_with(b"/proc/");
        let directory = path.rsplit(|byte| *byte == b'/').nth(1);
        if is_proc && directory == Some(b"net") { Table::named(path) } else { None }
    }
}

fn digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Bytes that are written in words of four, each as the processor has it.
fn word_bytes(digits: &[u8], to: &mut [u8]) -> Option<()> {
    for (word, to) in digits.chunks(8).zip(to.chunks_mut(4)) {
        let value = word.iter().try_fold(0_u32, |sum, byte| Some(sum << 4 | u32::from(digit(*byte)?)))?;
        to.copy_from_slice(&value.to_ne_bytes());
    }
    Some(())
}

/// A number's digits, in capitals.
fn hex(mut value: u32, to: &mut [u8]) {
    for byte in to.iter_mut().rev() {
        let digit = (value & 0xf) as u8;
        *byte = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        value >>= 4;
    }
}

/// How long an address and its port are, as a table has them.
fn width(is_v6: bool) -> usize {
    if is_v6 { 37 } else { 13 }
}

fn read(field: &[u8], is_v6: bool) -> Option<Endpoint> {
    let (digits, rest) = field.split_at_checked(width(is_v6) - 5)?;
    let mut address = [0; 16];
    if !is_v6 {
        address.get_mut(..MAPPED.len())?.copy_from_slice(&MAPPED);
    }
    word_bytes(digits, address.get_mut(if is_v6 { 0 } else { MAPPED.len() }..)?)?;
    let port = rest.strip_prefix(b":")?;
    let port = port.iter().try_fold(0_u32, |sum, byte| Some(sum << 4 | u32::from(digit(*byte)?)))?;
    Some(Endpoint { address, port: port as u16, is_v6 })
}

fn write(endpoint: &Endpoint, field: &mut [u8]) {
    let start = if endpoint.is_v6 { 0 } else { MAPPED.len() };
    let words = endpoint.address.get(start..).unwrap_or(&[]).chunks_exact(4);
    let digits = endpoint.address.len().saturating_sub(start) * 2;
    for (word, to) in words.zip(field.chunks_exact_mut(8)) {
        hex(word.try_into().map_or(0, u32::from_ne_bytes), to);
    }
    if let Some(port) = field.get_mut(digits + 1..digits + 5) {
        hex(u32::from(endpoint.port), port);
    }
}

/// Tells a table of /proc/net. `told` says what becomes of a row.
///
/// # Errors
///
/// Those of `put`.
pub fn rewrite(
    table: Table,
    text: &[u8],
    told: impl Fn(&Endpoint, &Endpoint) -> Told,
    put: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let width = width(table.is_v6);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        // "   0: ADDRESS:PORT ADDRESS:PORT 0A …"
        let start = line.windows(2).position(|pair| pair == b": ").map(|at| at + 2);
        let fields = start.and_then(|start| line.get(start..start + 2 * width + 1));
        let ends = fields.and_then(|fields| {
            let (own, peer) = fields.split_at_checked(width)?;
            Some((read(own, table.is_v6)?, read(peer.strip_prefix(b" ")?, table.is_v6)?))
        });
        let (Some(start), Some((own, peer))) = (start, ends) else {
            put(line)?;
            continue;
        };
        let (own_told, peer_told) = told(&own, &peer);
        let mut field = [b' '; 2 * 37 + 1];
        let field = field.get_mut(..2 * width + 1).unwrap_or(&mut []);
        let (head, rest) = line.split_at(start);
        let (old, tail) = rest.split_at(field.len().min(rest.len()));
        for (to, from) in field.iter_mut().zip(old) {
            *to = *from;
        }
        let (first, second) = field.split_at_mut(width);
        // What a table of its family has no room for stays.
        let fits = |told: &Endpoint| told.is_v6 == table.is_v6;
        if let Some(told) = own_told.filter(fits) {
            write(&told, first);
        }
        if let (Some(told), Some(second)) = (peer_told.filter(fits), second.get_mut(1..)) {
            write(&told, second);
        }
        put(head)?;
        put(field)?;
        put(tail)?;
    }
    Ok(())
}

/// `SOCK_DIAG_BY_FAMILY`
pub const DIAGNOSIS: u16 = 20;
const HEADER: usize = 16;
/// Where in `struct inet_diag_msg` its parts are.
const PORTS: usize = 4;
const OWN: usize = 8;
const PEER: usize = 24;
const COOKIE: usize = 44;

/// Tells messages of sock_diag(7). `told` says what becomes of a row; it is given the socket's cookie.
pub fn rewrite_messages(mut messages: &mut [u8], told: impl Fn(&Endpoint, &Endpoint, u64) -> Told) {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes)
    };
    while let Some(len) = word(messages, 0).map(|len| len as usize).filter(|len| *len >= HEADER) {
        let kind = messages.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        let (message, rest) = messages.split_at_mut(len.next_multiple_of(4).min(messages.len()));
        messages = rest;
        if kind == Some(DIAGNOSIS)
            && let Some(body) = message.get_mut(HEADER..)
        {
            // What is too short for a row is none.
            let _ = rewrite_message(body, &told);
        }
    }
}

fn rewrite_message(body: &mut [u8], told: impl Fn(&Endpoint, &Endpoint, u64) -> Told) -> Option<()> {
    let is_v6 = match i32::from(*body.first()?) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let read = |at: usize, port_at: usize| {
        let port = u16::from_be_bytes(body.get(port_at..port_at + 2)?.try_into().ok()?);
        let mut address = [0; 16];
        if is_v6 {
            address.copy_from_slice(body.get(at..at + 16)?);
        } else {
            let (start, end) = address.split_at_mut(MAPPED.len());
            start.copy_from_slice(&MAPPED);
            end.copy_from_slice(body.get(at..at + 4)?);
        }
        Some(Endpoint { address, port, is_v6 })
    };
    let cookie = u64::from_ne_bytes(body.get(COOKIE..COOKIE + 8)?.try_into().ok()?);
    let (own_told, peer_told) = told(&read(OWN, PORTS)?, &read(PEER, PORTS + 2)?, cookie);
    for (told, at, port_at) in [(own_told, OWN, PORTS), (peer_told, PEER, PORTS + 2)] {
        let Some(told) = told.filter(|told| told.is_v6 == is_v6) else { continue };
        body.get_mut(port_at..port_at + 2)?.copy_from_slice(&told.port.to_be_bytes());
        let start = if is_v6 { 0 } else { MAPPED.len() };
        let address = told.address.get(start..)?;
        body.get_mut(at..at + address.len())?.copy_from_slice(address);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    fn endpoint(text: &str) -> Endpoint {
        let address: SocketAddr = text.parse().expect("an address");
        match address {
            SocketAddr::V4(v4) => {
                Endpoint { address: v4.ip().to_ipv6_mapped().octets(), port: v4.port(), is_v6: false }
            }
            SocketAddr::V6(v6) => Endpoint { address: v6.ip().octets(), port: v6.port(), is_v6: true },
        }
    }

    fn told(own: &Endpoint, peer: &Endpoint) -> Told {
        let of = |end: &Endpoint| {
            let pairs = [
                ("127.0.0.1:8080", "0.0.0.0:80"),
                ("127.0.0.1:15432", "10.1.2.3:5432"),
                ("[::1]:8080", "[fd00::2]:80"),
            ];
            pairs.iter().find(|(kernel, _)| endpoint(kernel) == *end).map(|(_, asked)| endpoint(asked))
        };
        (of(own), of(peer))
    }

    fn table(name: &str, text: &str) -> String {
        let mut out = Vec::new();
        let table = Table::at(format!("/proc/7/net/{name}").as_bytes()).expect("a table");
        let put = &mut |part: &[u8]| {
            out.extend_from_slice(part);
            Ok(())
        };
        rewrite(table, text.as_bytes(), told, put).expect("nothing fails");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn rows_of_proc_have_the_addresses_that_were_asked_for() {
        let text = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n   \
            1: 0100007F:C001 0100007F:3C48 01 rest\n   2: 0100007F:1F91 00000000:0000 0A\nnonsense: 0\n";
        let expected =
            text.replace("0100007F:1F90", "00000000:0050").replace("0100007F:3C48", "0302010A:1538");
        assert_eq!(table("tcp", text), expected);
        let v6 = "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A\n";
        let expected =
            v6.replace("00000000000000000000000001000000:1F90", "000000FD000000000000000002000000:0050");
        assert_eq!(table("tcp6", v6), expected);
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_left_alone() {
        let text = "   0: 0100007F:1F90 0100007F:3C48 0A rest\n";
        for len in 0..text.len() {
            let cut = &text[..len];
            assert_eq!(table("tcp", cut).len(), len);
        }
        let mut message = vec![0_u8; HEADER + 72];
        message[0] = (HEADER + 72) as u8;
        message[4] = DIAGNOSIS as u8;
        message[HEADER] = libc::AF_INET as u8;
        message[HEADER + PORTS..][..2].copy_from_slice(&8080_u16.to_be_bytes());
        message[HEADER + OWN..][..4].copy_from_slice(&[127, 0, 0, 1]);
        let whole = message.clone();
        rewrite_messages(&mut message, |own, peer, _| told(own, peer));
        assert_eq!(message[HEADER + PORTS..][..2], 80_u16.to_be_bytes());
        assert_eq!(message[HEADER + OWN..][..4], [0; 4]);
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            rewrite_messages(&mut cut, |own, peer, _| told(own, peer));
        }
    }
}
