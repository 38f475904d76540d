//! The addresses that the application binds and connects to, and where they lead.
//!
//! A rule says of some addresses and ports where the kernel is led instead, or
//! how it is refused. The rules of a direction are in order: the first that
//! matches decides. An IPv4 address is written as an IPv6 one that is mapped
//! (`::ffff:a.b.c.d`), so that there is one kind of address and one look-up.
//!
//! A rule can be read backwards: from where it led, to what was asked. What
//! was asked of it in truth may be another address, if it takes many; whoever leads the kernel knows,
//! and remembers what [`View::asked`] does not guess.

mod rule;
#[cfg(feature = "build")]
mod write;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{Malformed, Span, Str, View};

pub(crate) use rule::RawRule;
pub use rule::Rule;
use rule::mask;
#[cfg(feature = "build")]
pub use write::{NamesFacts, NetworkFacts, RuleFacts};

/// An IPv4 address's place among IPv6 ones: `::ffff:0:0/96`.
pub const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// An address and a port, as the family of the socket has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The address; of IPv4, mapped.
    pub address: [u8; 16],
    /// The port, or 0.
    pub port: u16,
    /// Whether it is said in an address of IPv6.
    pub is_v6: bool,
}

impl Endpoint {
    /// Whether the address is one of IPv4, also where it is mapped.
    pub fn is_v4(&self) -> bool {
        self.address.starts_with(&MAPPED)
    }

    /// Whether it stands for all addresses of the machine: `0.0.0.0` or `::`.
    pub fn is_wildcard(&self) -> bool {
        let last = self.address.last_chunk::<4>().copied().unwrap_or_default();
        self.address == [0; 16] || self.is_v4() && last == [0; 4]
    }

    /// Whether it is the machine itself: `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        const ONE: [u8; 16] = 1_u128.to_be_bytes();
        self.address == ONE || self.is_v4() && self.address.get(12) == Some(&127)
    }

    /// The address that stands for all of them, of the endpoint's family.
    fn wildcard(self, port: u16) -> Endpoint {
        let mut address = [0; 16];
        if !self.is_v6
            && let Some(start) = address.first_chunk_mut()
        {
            *start = MAPPED;
        }
        Endpoint { address, port, is_v6: self.is_v6 }
    }
}

/// Which calls a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Direction {
    /// bind(2)
    Bind = 0,
    /// connect(2), and what is sent to an address.
    Connect = 1,
}

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// Either; of a socket: it is not known which, or another.
    Any = 0,
    /// `SOCK_STREAM`
    Tcp = 1,
    /// `SOCK_DGRAM`
    Udp = 2,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// It is led to another address.
    Lead = 0,
    /// It goes where it asks to.
    Allow = 1,
    /// `EACCES`
    Deny = 2,
    /// As if nobody were there: `ECONNREFUSED`; of bind(2), `EADDRINUSE`.
    Refuse = 3,
    /// As if there were no way: `EHOSTUNREACH`; of bind(2), `EADDRNOTAVAIL`.
    Unreachable = 4,
    /// It is led to a Unix socket.
    Unix = 5,
}

/// Which families of addresses a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Families {
    /// Both.
    Both = 0,
    /// IPv4, also mapped.
    V4 = 4,
    /// IPv6, but for mapped ones.
    V6 = 6,
}

/// The tables of the network in the header.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Tables {
    /// Rules of bind(2), then those of connect(2).
    pub rules: Span,
    pub binds: u32,
    pub flags: u32,
    /// The texts of hosts(5), services(5), resolv.conf(5) and nsswitch.conf(5).
    pub texts: [Str; 4],
    /// The lines of the policy that say the first and the third.
    pub lines: [u32; 2],
}

/// Bits of [`Tables::flags`].
mod says {
    /// Some rule is for one protocol alone.
    pub const PROTOCOL: u32 = 1 << 0;
    /// Some rule leads to a Unix socket.
    pub const UNIX: u32 = 1 << 1;
}

/// The files of names, where the policy makes them; else they are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// hosts(5)
    pub hosts: &'a [u8],
    /// services(5)
    pub services: &'a [u8],
    /// resolv.conf(5)
    pub resolver: &'a [u8],
    /// nsswitch.conf(5)
    pub switch: &'a [u8],
    /// The line of the policy that says the hosts, or 0.
    pub hosts_line: u32,
    /// The line that says the name servers, or 0.
    pub resolver_line: u32,
}

impl<'a> View<'a> {
    /// The files of names that the policy makes.
    pub fn names(&self) -> Names<'a> {
        let [hosts, services, resolver, switch] = self.header.network.texts.map(|text| self.string(text));
        let [hosts_line, resolver_line] = self.header.network.lines;
        Names { hosts, services, resolver, switch, hosts_line, resolver_line }
    }

    /// Whether the policy says anything of addresses.
    #[inline]
    pub fn has_network(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether a rule is for one protocol alone, so that a socket's must be known.
    pub fn asks_for_protocol(&self) -> bool {
        self.header.network.flags & says::PROTOCOL != 0
    }

    /// Whether a rule leads to a Unix socket.
    #[inline]
    pub fn leads_to_unix(&self) -> bool {
        self.header.network.flags & says::UNIX != 0
    }

    fn raw_rules(&self, direction: Direction) -> &'a [RawRule] {
        let (binds, connects) =
            self.rules.split_at_checked(self.header.network.binds as usize).unwrap_or((self.rules, &[]));
        match direction {
            Direction::Bind => binds,
            Direction::Connect => connects,
        }
    }

    fn rule(&self, raw: &'a RawRule) -> Rule<'a> {
        Rule {
            raw,
            action: raw.action().unwrap_or(Action::Deny),
            unix: self.string(raw.unix),
            line: raw.line,
            is_local: raw.is_local != 0,
        }
    }

    /// The rules that match, the one that decides first. Those that are only for
    /// addresses of the host ([`Rule::is_local`]) are among them.
    pub fn rules_for(
        &self,
        direction: Direction,
        asked: Endpoint,
        protocol: Protocol,
    ) -> impl Iterator<Item = Rule<'a>> + use<'a> {
        let view = *self;
        self.raw_rules(direction)
            .iter()
            .filter(move |raw| {
                raw.takes_port(asked.port)
                    && raw.takes_address(&asked)
                    && raw.takes_protocol(protocol)
                    && (raw.action != Action::Lead as u8 || asked.is_v6 || !raw.leads_to_v6())
            })
            .map(move |raw| view.rule(raw))
    }

    /// What was asked most likely where the kernel is at `kernel`; none where no rule leads there.
    /// Without more knowledge the answer is always the same.
    pub fn asked(&self, direction: Direction, kernel: Endpoint, protocol: Protocol) -> Option<Endpoint> {
        self.raw_rules(direction)
            .iter()
            .filter(|raw| raw.takes_protocol(protocol))
            .find_map(|raw| raw.asked(&kernel, direction))
    }

    /// Whether some rule may have led the kernel to an endpoint.
    pub fn is_target(&self, direction: Direction, kernel: &Endpoint) -> bool {
        self.raw_rules(direction).iter().any(|raw| {
            let differs = u128::from_be_bytes(raw.to) ^ u128::from_be_bytes(kernel.address);
            let [first, last] = raw.to_ports;
            raw.action == Action::Lead as u8
                && differs & mask(raw.to_prefix) == 0
                && (first == 0 || first <= kernel.port && kernel.port <= last)
        })
    }

    /// The first rule that leads to a Unix socket.
    pub fn rule_to_unix(&self, host: &[u8]) -> Option<Rule<'a>> {
        let raw = self.raw_rules(Direction::Connect).iter();
        raw.map(|raw| self.rule(raw)).find(|rule| rule.action == Action::Unix && rule.unix == host)
    }

    pub(crate) fn check_network(
        &self,
        string: impl Fn(Str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for text in self.header.network.texts {
            string(text)?;
        }
        if self.header.network.binds as usize > self.rules.len() {
            return Err(Malformed("more rules of bind than rules"));
        }
        for raw in self.rules {
            string(raw.unix)?;
            if raw.action().is_none() || raw.protocol > 2 || raw.from_prefix > 128 || raw.to_prefix > 128 {
                return Err(Malformed("a rule's action, protocol or prefix is unknown"));
            }
            if raw.from_ports[0] > raw.from_ports[1] || raw.to_ports[0] > raw.to_ports[1] {
                return Err(Malformed("a rule's ports end before they begin"));
            }
        }
        Ok(())
    }
}
