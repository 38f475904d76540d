//! The files of the names of hosts, line by line: hosts(5), resolv.conf(5) and
//! the line `hosts` of nsswitch.conf(5), read as libc reads them.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::numbers::parts;
use crate::identity::entries::Entry;

/// The port of name servers.
pub const DNS: u16 = 53;

/// The words of a line, up to a comment.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or(&[]);
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The address that a text says, and whether it is one.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// A line of hosts(5): the address, its text, and the names after it. None where it is none such.
pub fn host(line: &[u8]) -> Option<(IpAddr, &[u8], impl Iterator<Item = &[u8]> + Clone)> {
    let line = line.split(|byte| *byte == b'#').next()?;
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace)?;
    let (text, names) = line.split_at(end);
    let names = names.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some((address(text)?, text, names))
}

/// A line of hosts(5) as gethostent(3) goes through them: with an address of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLine<'l> {
    /// The first name.
    pub name: &'l [u8],
    /// The address: for `::1` and addresses that are mapped, that of IPv4.
    pub address: Ipv4Addr,
    /// Other names, with spaces between them.
    pub aliases: &'l [u8],
}

impl<'l> Entry<'l> for HostLine<'l> {
    fn of(line: &'l [u8]) -> Option<HostLine<'l>> {
        let (text, name, aliases) = parts(line)?;
        let address = match address(text)? {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv4Addr::LOCALHOST,
            IpAddr::V6(v6) => v6.to_ipv4_mapped()?,
        };
        Some(HostLine { name, address, aliases })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

/// Where the names of hosts are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whether files are looked at.
    pub files: bool,
    /// Whether name servers are asked.
    pub dns: bool,
    /// Whether they are asked first.
    pub dns_first: bool,
}

impl Order {
    /// What libc does where nobody says.
    pub const USUAL: Order = Order { files: true, dns: true, dns_first: false };

    /// What a line of nsswitch.conf(5) says of hosts.
    pub fn of(line: &[u8]) -> Option<Order> {
        let rest = line.trim_ascii_start().strip_prefix(b"hosts")?.trim_ascii_start().strip_prefix(b":")?;
        let at = |wanted: &[u8]| words(rest).position(|word| word == wanted);
        let (files, dns) = (at(b"files"), at(b"dns"));
        Some(Order { files: files.is_some(), dns: dns.is_some(), dns_first: dns < files && dns.is_some() })
    }
}

/// A line of resolv.conf(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'l> {
    /// `nameserver`
    Server(IpAddr),
    /// `search` or `domain`: what follows.
    Search(&'l [u8]),
    /// `options`: what follows.
    Options(&'l [u8]),
}

impl<'l> Setting<'l> {
    /// What a line says; none where it is a comment, or nothing that is known.
    pub fn of(line: &'l [u8]) -> Option<Setting<'l>> {
        let line = line.trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace)?;
        let (key, rest) = line.split_at(end);
        let rest = rest.trim_ascii_start();
        match key {
            b"nameserver" => Some(Setting::Server(address(words(rest).next()?)?)),
            b"search" | b"domain" => Some(Setting::Search(rest)),
            b"options" => Some(Setting::Options(rest)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_libc_reads_them() {
        let (address, text, names) = host(b"  10.1.2.3\tdb.old.corp db # the database").expect("a host");
        assert_eq!((address, text), (IpAddr::from([10, 1, 2, 3]), &b"10.1.2.3"[..]));
        assert_eq!(names.collect::<Vec<_>>(), [&b"db.old.corp"[..], b"db"]);
        for none in [&b"# 10.1.2.3 db"[..], b"10.1.2.3", b"", b"10.1.2.300 db", b"\xff\xff x"] {
            assert!(host(none).is_none(), "{none:?}");
        }
        let of = |line| HostLine::of(line).map(|host| (host.name, host.address.octets()));
        assert_eq!(of(b"::1 localhost ip6-localhost"), Some((&b"localhost"[..], [127, 0, 0, 1])));
        assert_eq!(of(b"::ffff:10.1.2.3 db"), Some((&b"db"[..], [10, 1, 2, 3])));
        assert_eq!(of(b"fd00::1 db"), None);
        assert_eq!(
            Order::of(b"hosts: dns [!UNAVAIL=return] files"),
            Some(Order { dns_first: true, ..Order::USUAL })
        );
        assert_eq!(Order::of(b"hosts:files"), Some(Order { dns: false, ..Order::USUAL }));
        assert_eq!(Order::of(b"passwd: files"), None);
        assert_eq!(
            Setting::of(b"nameserver fd00::1 "),
            Some(Setting::Server("fd00::1".parse().expect("one")))
        );
        assert_eq!(Setting::of(b"search a b"), Some(Setting::Search(b"a b")));
        assert_eq!(Setting::of(b"nameserver nonsense"), None);
    }
}
