//! `struct sockaddr_in` and `sockaddr_in6`, read and written.

#![forbid(unsafe_code)]

use core::net::IpAddr;

use view::{Endpoint, MAPPED};

/// The longest address of the two.
pub const LONGEST: usize = 28;

/// What the kernel takes for an address of IPv6: without the scope, as RFC 2133 had it.
const LEAST_V6: usize = 24;
const V4: usize = 16;

/// `0.0.0.0`, mapped.
pub(super) const MAPPED_ZERO: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];

/// Reads an address of IPv4 or IPv6. None where the kernel would not take it for one.
pub fn read(bytes: &[u8]) -> Option<Endpoint> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET if bytes.len() >= V4 => {
            let mut address = [0; 16];
            let (start, end) = address.split_at_mut(MAPPED.len());
            start.copy_from_slice(&MAPPED);
            end.copy_from_slice(bytes.get(4..8)?);
            Some(Endpoint { address, port, is_v6: false })
        }
        libc::AF_INET6 if bytes.len() >= LEAST_V6 => {
            Some(Endpoint { address: bytes.get(8..24)?.try_into().ok()?, port, is_v6: true })
        }
        _ => None,
    }
}

/// Puts an endpoint into an address of its family, of which the rest stays as it is.
/// None where it does not fit in.
pub fn write(endpoint: &Endpoint, bytes: &mut [u8]) -> Option<()> {
    let last = endpoint.address.last_chunk::<4>()?;
    let to = if endpoint.is_v6 { bytes.get_mut(8..24)? } else { bytes.get_mut(4..8)? };
    to.copy_from_slice(if endpoint.is_v6 { &endpoint.address } else { last });
    bytes.get_mut(2..4)?.copy_from_slice(&endpoint.port.to_be_bytes());
    Some(())
}

/// A whole address for an endpoint, and how long it is.
pub fn fresh(endpoint: &Endpoint) -> ([u8; LONGEST], usize) {
    let mut bytes = [0; LONGEST];
    let (family, len) = if endpoint.is_v6 { (libc::AF_INET6, LONGEST) } else { (libc::AF_INET, V4) };
    if let Some(to) = bytes.first_chunk_mut() {
        *to = (family as u16).to_ne_bytes();
    }
    // It fits.
    let _ = write(endpoint, &mut bytes);
    (bytes, len)
}

/// An endpoint of an address.
pub fn of(address: IpAddr, port: u16) -> Endpoint {
    match address {
        IpAddr::V4(v4) => Endpoint { address: v4.to_ipv6_mapped().octets(), port, is_v6: false },
        IpAddr::V6(v6) => Endpoint { address: v6.octets(), port, is_v6: true },
    }
}

/// Room for an endpoint as people write it.
pub const SHOWN: usize = 64;

/// An endpoint as people write it: `10.1.2.3:80`, `[fd00::1]:80`.
pub fn show(endpoint: &Endpoint, out: &mut [u8; SHOWN]) -> usize {
    let mut to = Shown { out, len: 0 };
    if endpoint.is_v4() && !endpoint.is_v6 {
        for (number, byte) in endpoint.address.iter().skip(MAPPED.len()).enumerate() {
            if number > 0 {
                to.put(b'.');
            }
            to.number(u32::from(*byte), 10);
        }
    } else {
        to.v6(endpoint);
    }
    to.put(b':');
    to.number(u32::from(endpoint.port), 10);
    to.len
}

/// An address alone, without brackets: `10.1.2.3`, `fd00::1`.
pub fn show_alone(address: IpAddr, out: &mut [u8; SHOWN]) -> &[u8] {
    let shown = show(&of(address, 0), out);
    // Without the port.
    let alone = out.get(..shown.saturating_sub(2)).unwrap_or(&[]);
    alone.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(alone)
}

struct Shown<'a> {
    out: &'a mut [u8; SHOWN],
    len: usize,
}

impl Shown<'_> {
    fn put(&mut self, byte: u8) {
        if let Some(to) = self.out.get_mut(self.len) {
            *to = byte;
            self.len += 1;
        }
    }

    fn number(&mut self, number: u32, base: u32) {
        if number >= base {
            self.number(number / base, base);
        }
        let digit = (number % base) as u8;
        self.put(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }

    fn v6(&mut self, endpoint: &Endpoint) {
        let mut groups = [0_u16; 8];
        for (group, pair) in groups.iter_mut().zip(endpoint.address.chunks_exact(2)) {
            *group = pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
        }
        // The first of the longest runs of zeros is left out (RFC 5952).
        let (mut start, mut longest) = (usize::MAX, 1);
        for at in 0..groups.len() {
            let run = groups.iter().skip(at).take_while(|group| **group == 0).count();
            if run > longest {
                (start, longest) = (at, run);
            }
        }
        self.put(b'[');
        let mut at = 0;
        while let Some(group) = groups.get(at) {
            if at == start {
                self.put(b':');
                self.put(b':');
                at += longest;
                continue;
            }
            if at > 0 && at != start.wrapping_add(longest) {
                self.put(b':');
            }
            self.number(u32::from(*group), 16);
            at += 1;
        }
        self.put(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

    #[test]
    fn an_endpoint_is_shown_as_rust_shows_it() {
        for text in
            ["[::]:0", "[::1]:80", "[fd00::1:0:0:5]:65535", "[1:2:3:4:5:6:7:8]:9", "[1::]:1", "[1:0:2::3]:4"]
        {
            let address: SocketAddrV6 = text.parse().expect("an address");
            let endpoint = Endpoint { address: address.ip().octets(), port: address.port(), is_v6: true };
            let mut out = [0; SHOWN];
            let len = show(&endpoint, &mut out);
            assert_eq!(core::str::from_utf8(&out[..len]), Ok(text));
        }
        let endpoint =
            Endpoint { address: Ipv6Addr::from(0xffff_0a01_0203).octets(), port: 5432, is_v6: false };
        let mut out = [0; SHOWN];
        let len = show(&endpoint, &mut out);
        assert_eq!(
            core::str::from_utf8(&out[..len]).map(str::parse::<SocketAddr>),
            Ok("10.1.2.3:5432".parse())
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for is_v6 in [false, true] {
            let address = Ipv6Addr::from(0xffff_7f00_0001).octets();
            let endpoint = Endpoint { address, port: 80, is_v6 };
            let (bytes, len) = fresh(&endpoint);
            assert_eq!(read(&bytes[..len]), Some(endpoint));
            assert_eq!(read(&bytes[..len - 5]), None);
        }
    }
}
