//! Which of several addresses comes first: the destination address selection of RFC 6724, as glibc makes
//! it of RFC 3484's words and of gai.conf(5).
//!
//! Of the RFC's rules, those are left out that ask the kernel for more than a socket's own address: about addresses that are
//! deprecated (which the kernel does not choose where it has others), home addresses and tunnels.

#![forbid(unsafe_code)]

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use view::Endpoint;

use super::names::{address, words};

/// As many lines of a kind are kept of gai.conf(5).
const MOST: usize = 32;

/// What addresses that begin so are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    prefix: u128,
    bits: u8,
    value: i32,
}

const fn row(prefix: u128, bits: u8, value: i32) -> Row {
    Row { prefix, bits, value }
}

const LOOPBACK: u128 = 1;
const SIX_TO_FOUR: u128 = 0x2002 << 112;
const MAPPED: u128 = 0xffff_0000_0000;
const ALL: Row = row(0, 0, 0);

/// A table of prefixes, those of most bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    rows: [Row; MOST],
    len: usize,
}

impl Rows {
    fn of(known: &[Row]) -> Rows {
        let mut rows = Rows { rows: [ALL; MOST], len: 0 };
        known.iter().for_each(|row| rows.add(*row));
        rows
    }

    /// Puts a row behind those of as many bits or more. One that finds no room is left out.
    fn add(&mut self, new: Row) {
        let at = self.rows.iter().take(self.len).position(|row| row.bits < new.bits).unwrap_or(self.len);
        if let Some(moved) = self.rows.get_mut(at..=self.len) {
            moved.rotate_right(1);
            if let Some(to) = moved.first_mut() {
                *to = new;
            }
            self.len += 1;
        }
    }

    fn value(&self, address: u128) -> i32 {
        let fits = |row: &&Row| u32::from(row.bits) <= (address ^ row.prefix).leading_zeros();
        self.rows.iter().take(self.len).find(fits).map_or(0, |row| row.value)
    }

    /// What lines of gai.conf(5) have said, instead of what is usual; with `all` where they do not say it of all addresses.
    fn or(mut self, usual: &[Row], all: i32) -> Rows {
        if self.len == 0 {
            return Rows::of(usual);
        }
        if self.rows.iter().take(self.len).all(|row| row.bits > 0) {
            self.add(Row { value: all, ..ALL });
        }
        self
    }
}

/// What gai.conf(5) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences {
    labels: Rows,
    precedences: Rows,
    scopes: Rows,
}

impl Preferences {
    /// What `lines` says line by line: none after the last.
    pub fn of<'l>(mut lines: impl FnMut(&mut dyn FnMut(&[u8])) -> bool + 'l) -> Preferences {
        let none = Rows { rows: [ALL; MOST], len: 0 };
        let mut said = Preferences { labels: none, precedences: none, scopes: none };
        while lines(&mut |line| said.read(line)) {}
        let labels = [
            row(LOOPBACK, 128, 0),
            row(MAPPED, 96, 4),
            row(0, 96, 3),
            row(0x2001 << 112, 32, 7),
            row(SIX_TO_FOUR, 16, 2),
            row(0xfec0 << 112, 10, 5),
            row(0xfc00 << 112, 7, 6),
            row(0, 0, 1),
        ];
        let precedences = [
            row(LOOPBACK, 128, 50),
            row(MAPPED, 96, 10),
            row(0, 96, 20),
            row(SIX_TO_FOUR, 16, 30),
            row(0, 0, 40),
        ];
        let scopes = [
            row(MAPPED | 0xa9fe_0000, 112, LINK),
            row(MAPPED | 0x7f00_0000, 104, LINK),
            row(MAPPED, 96, GLOBAL),
        ];
        Preferences {
            labels: said.labels.or(&labels, 1),
            precedences: said.precedences.or(&precedences, 40),
            scopes: said.scopes.or(&scopes, GLOBAL),
        }
    }

    fn read(&mut self, line: &[u8]) {
        let mut words = words(line);
        let (Some(key), Some(prefix), Some(value)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let number = |text: &[u8]| core::str::from_utf8(text).ok()?.parse::<i32>().ok();
        let mut halves = prefix.splitn(2, |byte| *byte == b'/');
        let (Some(Some(address)), Some(value)) = (halves.next().map(address), number(value)) else { return };
        let (prefix, most) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        };
        let bits = halves.next().map_or(Some(most), number).filter(|bits| (0..=most).contains(bits));
        let Some(bits) = bits.map(|bits| bits + 128 - most) else { return };
        let said = row(prefix, bits as u8, value);
        match key {
            b"label" if most == 128 => self.labels.add(said),
            b"precedence" if most == 128 => self.precedences.add(said),
            // Addresses of IPv4 are said as such, or mapped.
            b"scopev4" if bits >= 96 && prefix & !u128::from(u32::MAX) == MAPPED => self.scopes.add(said),
            _ => {}
        }
    }

    /// RFC 4007's scope of an address, by its number in addresses of groups.
    fn scope(&self, endpoint: &Endpoint) -> i32 {
        if !endpoint.is_v6 {
            return self.scopes.value(number(endpoint));
        }
        let v6 = Ipv6Addr::from(endpoint.address);
        if v6.is_multicast() {
            return i32::from(endpoint.address[1] & 0xf);
        }
        match u128::from(v6) >> 118 {
            _ if v6.is_loopback() => LINK,
            0x3fa => LINK,
            0x3fb => SITE,
            _ => GLOBAL,
        }
    }

    /// Which of two comes first, as glibc says it (`rfc3484_sort`).
    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let scopes = (self.scope(&a.to), self.scope(&b.to));
        // Where there is no source for one, there is none for the other: that comes first.
        let by_source = || {
            let (from_a, from_b) = (a.from.as_ref()?, b.from.as_ref()?);
            let reaches = |from: &Endpoint, scope: i32| self.scope(from) == scope;
            let is_like = |one: &Endpoint, other: &Endpoint| {
                self.labels.value(number(one)) == self.labels.value(number(other))
            };
            Some(
                reaches(from_b, scopes.1)
                    .cmp(&reaches(from_a, scopes.0))
                    .then_with(|| is_like(from_b, &b.to).cmp(&is_like(from_a, &a.to))),
            )
        };
        let precedence = |candidate: &Candidate| self.precedences.value(number(&candidate.to));
        b.from
            .is_some()
            .cmp(&a.from.is_some())
            .then_with(|| by_source().unwrap_or(Ordering::Equal))
            .then_with(|| precedence(b).cmp(&precedence(a)))
            .then_with(|| scopes.0.cmp(&scopes.1))
            .then_with(|| differences(a, b))
    }

    /// Sorts them; those that are alike stay as they are.
    pub fn sort(&self, candidates: &mut [Candidate]) {
        for end in 1..candidates.len() {
            for at in (1..=end).rev() {
                let Some([before, after]) = candidates.get_mut(at - 1..=at) else { break };
                if self.compare(before, after) != Ordering::Greater {
                    break;
                }
                core::mem::swap(before, after);
            }
        }
    }
}

const LINK: i32 = 2;
const SITE: i32 = 5;
const GLOBAL: i32 = 14;

/// An address that a name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub to: Endpoint,
    /// From where it is reached; none where it is not.
    pub from: Option<Endpoint>,
    /// How many bits of that are its network's, where it is one of IPv4.
    pub network: u32,
    /// Where the address was before.
    pub index: usize,
}

fn number(endpoint: &Endpoint) -> u128 {
    u128::from_be_bytes(endpoint.address)
}

/// Which of two addresses has more of its first bits in common with where it is reached from.
fn differences(a: &Candidate, b: &Candidate) -> Ordering {
    let (Some(from_a), Some(from_b)) = (&a.from, &b.from) else { return Ordering::Equal };
    if a.to.is_v6 != b.to.is_v6 {
        return Ordering::Equal;
    }
    let differs = (number(&a.to) ^ number(from_a), number(&b.to) ^ number(from_b));
    if a.to.is_v6 {
        // Of the first word of 32 bits in which either differs.
        let words = (differs.0 | differs.1).leading_zeros() / 32;
        let word = |all: u128| (all >> (96 - 32 * words.min(3))) as u32;
        return word(differs.0).leading_zeros().cmp(&word(differs.1).leading_zeros()).reverse();
    }
    // Where it is not in the network, that does not count.
    let alike = |differs: u128, network: u32| {
        let bits = (differs as u32).leading_zeros();
        if bits >= network { bits } else { 0 }
    };
    alike(differs.1, b.network).cmp(&alike(differs.0, a.network))
}

/// How many bits a netmask has.
pub fn bits_of(mask: Ipv4Addr) -> u32 {
    u32::from(mask).leading_ones()
}

#[cfg(test)]
mod tests {
    use super::super::address::of;
    use super::*;

    fn usual() -> Preferences {
        Preferences::of(|_| false)
    }

    fn ends(text: &str) -> Endpoint {
        of(text.parse().expect("an address"), 0)
    }

    /// Sorts pairs of addresses and where they are reached from.
    fn sorted(preferences: &Preferences, pairs: &[(&str, &str)]) -> Vec<String> {
        let mut all: Vec<_> = pairs
            .iter()
            .enumerate()
            .map(|(index, (to, from))| {
                let from = (!from.is_empty()).then(|| ends(from));
                Candidate { to: ends(to), from, network: 24, index }
            })
            .collect();
        preferences.sort(&mut all);
        all.iter().map(|one| pairs[one.index].0.to_owned()).collect()
    }

    #[test]
    fn the_rules_are_those_of_the_rfc() {
        let usual = usual();
        for (pairs, expected) in [
            (
                &[("198.51.100.1", ""), ("2001:db8::1", "2001:db8::2")][..],
                &["2001:db8::1", "198.51.100.1"][..],
            ),
            (&[("2001:db8::1", ""), ("198.51.100.1", "198.51.100.9")], &["198.51.100.1", "2001:db8::1"]),
            (
                &[("198.51.100.1", "169.254.13.78"), ("2001:db8::1", "2001:db8:1::2")],
                &["2001:db8::1", "198.51.100.1"],
            ),
            (
                &[("2001:db8::1", "fe80::1"), ("198.51.100.121", "198.51.100.117")],
                &["198.51.100.121", "2001:db8::1"],
            ),
            (&[("10.1.2.3", "10.1.2.4"), ("2001:db8::1", "2001:db8::2")], &["2001:db8::1", "10.1.2.3"]),
            (&[("2001:db8::1", "2001:db8::2"), ("fe80::1", "fe80::2")], &["fe80::1", "2001:db8::1"]),
            (
                &[("2001:db8:3ffe::1", "2001:db8:1::2"), ("2001:db8:1::1", "2001:db8:1::2")],
                &["2001:db8:1::1", "2001:db8:3ffe::1"],
            ),
            (
                &[("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8::1", "2002:c633:6401::2")],
                &["2002:c633:6401::1", "2001:db8::1"],
            ),
            (&[("10.1.2.77", "10.1.2.4"), ("10.1.2.5", "10.1.2.4")], &["10.1.2.5", "10.1.2.77"]),
            (&[("127.0.0.1", "127.0.0.1"), ("::1", "::1")], &["::1", "127.0.0.1"]),
            (&[("10.9.9.9", "10.1.2.4"), ("10.8.8.8", "10.1.2.4")], &["10.9.9.9", "10.8.8.8"]),
            (&[("10.9.9.9", "10.1.2.4"), ("10.1.2.8", "10.1.2.4")], &["10.1.2.8", "10.9.9.9"]),
        ] {
            assert_eq!(sorted(&usual, pairs), expected);
        }
    }

    #[test]
    fn gai_conf_says_otherwise() {
        let mut lines = [
            &b"# x"[..],
            b"precedence ::ffff:0:0/96 100 # first",
            b"label 300::/x 3",
            b"scopev4 10.0.0.0/8 5",
        ]
        .into_iter();
        let said = Preferences::of(|read| lines.next().map(read).is_some());
        let pairs = [("2001:db8::1", "2001:db8::2"), ("10.1.2.3", "10.1.2.4")];
        assert_eq!(sorted(&said, &pairs), ["10.1.2.3", "2001:db8::1"]);
        assert_eq!(said.labels, usual().labels);
        assert_eq!((said.scope(&ends("10.1.2.3")), said.scope(&ends("11.1.2.3"))), (SITE, GLOBAL));
    }

    #[test]
    fn a_table_keeps_what_has_room() {
        let mut rows = Rows::of(&[]);
        for bits in 0..=128 {
            rows.add(row(0, bits, i32::from(bits)));
        }
        assert_eq!((rows.len, rows.value(u128::MAX)), (MOST, 0));
    }
}
