//! The files of names, line by line: hosts(5), services(5), resolv.conf(5) and
//! the line `hosts` of nsswitch.conf(5), read as libc reads them.

#![forbid(unsafe_code)]

use core::net::IpAddr;

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

/// A line of services(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'l> {
    /// The name.
    pub name: &'l [u8],
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: &'l [u8],
    /// Other names, with spaces between them.
    pub aliases: &'l [u8],
}

impl<'l> Service<'l> {
    /// What a line says; none where it is a comment, or none of such lines.
    pub fn of(line: &'l [u8]) -> Option<Service<'l>> {
        let line = line.split(|byte| *byte == b'#').next()?.trim_ascii();
        let mut rest = line;
        let mut word = || {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_ascii_start();
            (!word.is_empty()).then_some(word)
        };
        let (name, end) = (word()?, word()?);
        let mut parts = end.splitn(2, |byte| *byte == b'/');
        let port = core::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        Some(Service { name, port, protocol: parts.next()?, aliases: rest })
    }

    /// Its other names.
    pub fn other_names(&self) -> impl Iterator<Item = &'l [u8]> + use<'l> {
        self.aliases.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    }

    /// Whether it is called so, and speaks the protocol, if that is asked for.
    pub fn is(&self, name: &[u8], protocol: Option<&[u8]>) -> bool {
        protocol.is_none_or(|protocol| protocol == self.protocol)
            && (self.name == name || self.other_names().any(|other| other == name))
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
        let service = Service::of(b"http\t80/tcp www # WWW").expect("a service");
        assert_eq!((service.name, service.port, service.protocol), (&b"http"[..], 80, &b"tcp"[..]));
        assert!(
            service.is(b"www", Some(b"tcp")) && !service.is(b"www", Some(b"udp")) && !service.is(b"w", None)
        );
        for none in [&b"http"[..], b"http 80", b"http x/tcp", b"http 80000/tcp", b"#http 80/tcp", b""] {
            assert_eq!(Service::of(none), None, "{none:?}");
        }
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
