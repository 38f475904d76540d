//! Names of numbers, line by line: services(5), protocols(5), rpc(5) and networks(5), read as libc reads them.
//!
//! A line is a name, the number, other names, and a comment after `#`.

#![forbid(unsafe_code)]

use crate::identity::entries::Entry;

/// A line of services(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'l> {
    /// The name.
    pub name: &'l [u8],
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: &'l [u8],
    /// Other names, with spaces between them: [`others`].
    pub aliases: &'l [u8],
}

/// A line of protocols(5), or of rpc(5), which is written likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol<'l> {
    /// The name.
    pub name: &'l [u8],
    /// The number: as packets of IP have it, or calls of Sun RPC.
    pub number: i32,
    /// Other names, with spaces between them.
    pub aliases: &'l [u8],
}

/// A line of networks(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network<'l> {
    /// The name.
    pub name: &'l [u8],
    /// Its address, as a number: that of 10.0.0.0 is `0x0a00_0000`.
    pub address: u32,
    /// Other names, with spaces between them.
    pub aliases: &'l [u8],
}

/// The names in a list of other names.
pub fn others(aliases: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    aliases.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A line's first word, its second, and the rest.
pub(super) fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut rest = line.split(|byte| *byte == b'#').next()?.trim_ascii();
    let mut word = || {
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        (!word.is_empty()).then_some(word)
    };
    Some((word()?, word()?, rest))
}

fn number<T: core::str::FromStr>(digits: &[u8]) -> Option<T> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number of a network: up to four parts, of which the last may be left out, as inet_network(3) reads them.
fn network(text: &[u8]) -> Option<u32> {
    let mut bytes = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for (to, part) in bytes.iter_mut().zip(parts.by_ref()) {
        let part = core::str::from_utf8(part).ok()?;
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (part, 8),
            None => (part, 10),
        };
        *to = u8::from_str_radix(digits, radix).ok()?;
    }
    parts.next().is_none().then_some(u32::from_be_bytes(bytes))
}

impl<'l> Entry<'l> for Service<'l> {
    fn of(line: &'l [u8]) -> Option<Service<'l>> {
        let (name, end, aliases) = parts(line)?;
        let mut halves = end.splitn(2, |byte| *byte == b'/');
        Some(Service { name, port: number(halves.next()?)?, protocol: halves.next()?, aliases })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl<'l> Entry<'l> for Protocol<'l> {
    fn of(line: &'l [u8]) -> Option<Protocol<'l>> {
        let (name, digits, aliases) = parts(line)?;
        Some(Protocol { name, number: number(digits)?, aliases })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl<'l> Entry<'l> for Network<'l> {
    fn of(line: &'l [u8]) -> Option<Network<'l>> {
        let (name, text, aliases) = parts(line)?;
        Some(Network { name, address: network(text)?, aliases })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl Service<'_> {
    /// Whether it is called so, and speaks the protocol, if that is asked for.
    pub fn is(&self, name: &[u8], protocol: Option<&[u8]>) -> bool {
        protocol.is_none_or(|protocol| protocol == self.protocol)
            && (self.name == name || others(self.aliases).any(|other| other == name))
    }
}

impl Protocol<'_> {
    /// Whether it is called so.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name == name || others(self.aliases).any(|other| other == name)
    }
}

impl Network<'_> {
    /// Whether it is called so; of networks, capital letters do not count.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || others(self.aliases).any(|other| other.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_libc_reads_them() {
        let service = Service::of(b"http\t80/tcp www # WWW").expect("a service");
        assert_eq!((service.name, service.port, service.protocol), (&b"http"[..], 80, &b"tcp"[..]));
        assert!(
            service.is(b"www", Some(b"tcp")) && !service.is(b"www", Some(b"udp")) && !service.is(b"w", None)
        );
        for none in [&b"http"[..], b"http 80", b"http x/tcp", b"http 80000/tcp", b"#http 80/tcp", b""] {
            assert_eq!(Service::of(none), None, "{none:?}");
        }
        let protocol = Protocol::of(b" ospf  89 OSPFIGP\t# routing").expect("a protocol");
        assert_eq!((protocol.name, protocol.number), (&b"ospf"[..], 89));
        assert!(protocol.is(b"OSPFIGP") && !protocol.is(b"OSPF"));
        for none in [&b"ospf"[..], b"ospf x", b"# ospf 89", b""] {
            assert_eq!(Protocol::of(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_number_of_a_network_may_be_short() {
        for (text, address) in [("10", 0x0a00_0000), ("10.1", 0x0a01_0000), ("0x7f.010.1.0", 0x7f08_0100)] {
            let line = format!("net {text} other");
            let network = Network::of(line.as_bytes()).map(|network| network.address);
            assert_eq!(network, Some(address), "{text}");
        }
        let network = Network::of(b"corp 10.0.0.0 old").expect("a network");
        assert!(network.is(b"CORP") && network.is(b"Old") && !network.is(b"cor"));
        for none in [&b"net 256"[..], b"net 1.2.3.4.5", b"net x", b"net 10..1", b"net"] {
            assert_eq!(Network::of(none), None, "{none:?}");
        }
    }
}
