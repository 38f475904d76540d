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

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{Malformed, Span, Str, View};

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

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawRule {
    from: [u8; 16],
    to: [u8; 16],
    unix: Str,
    line: u32,
    from_ports: [u16; 2],
    to_ports: [u16; 2],
    from_prefix: u8,
    to_prefix: u8,
    protocol: u8,
    action: u8,
    direction: u8,
    families: u8,
    is_local: u8,
    reserved: u8,
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

/// A rule of the view.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    raw: &'a RawRule,
    /// What becomes of a call.
    pub action: Action,
    /// The host path of the Unix socket that it leads to.
    pub unix: &'a [u8],
    /// The line of the policy that says it.
    pub line: u32,
    /// Whether it is only for addresses that the host has.
    pub is_local: bool,
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

impl RawRule {
    fn action(&self) -> Option<Action> {
        Some(match self.action {
            0 => Action::Lead,
            1 => Action::Allow,
            2 => Action::Deny,
            3 => Action::Refuse,
            4 => Action::Unreachable,
            5 => Action::Unix,
            _ => return None,
        })
    }

    fn takes_port(&self, port: u16) -> bool {
        let [low, high] = self.from_ports;
        low <= port && port <= high
    }

    fn takes_address(&self, endpoint: &Endpoint) -> bool {
        let differs = u128::from_be_bytes(self.from) ^ u128::from_be_bytes(endpoint.address);
        differs & mask(self.from_prefix) == 0
            && match self.families {
                4 => endpoint.is_v4(),
                6 => !endpoint.is_v4(),
                _ => true,
            }
    }

    fn takes_protocol(&self, protocol: Protocol) -> bool {
        self.protocol == 0 || protocol == Protocol::Any || self.protocol == protocol as u8
    }

    /// Whether an address of IPv6 that no IPv4 socket can have is where it leads.
    fn leads_to_v6(&self) -> bool {
        !self.to.starts_with(&MAPPED)
    }

    fn target(&self, asked: &Endpoint) -> Endpoint {
        let keep = mask(self.to_prefix);
        let address = u128::from_be_bytes(self.to) & keep | u128::from_be_bytes(asked.address) & !keep;
        let [first, last] = self.to_ports;
        let port = match (first, last) {
            (0, _) => asked.port,
            (first, last) if first == last => first,
            (first, _) => first.wrapping_add(asked.port.wrapping_sub(self.from_ports[0])),
        };
        Endpoint { address: address.to_be_bytes(), port, is_v6: asked.is_v6 }
    }

    /// What was asked, if the kernel was led to `kernel` by this rule, as far as it can be known.
    fn asked(&self, kernel: &Endpoint, direction: Direction) -> Option<Endpoint> {
        if self.action != Action::Lead as u8 {
            return None;
        }
        let keep = mask(self.to_prefix);
        if (u128::from_be_bytes(self.to) ^ u128::from_be_bytes(kernel.address)) & keep != 0 {
            return None;
        }
        let ([low, high], [first, _]) = (self.from_ports, self.to_ports);
        // Of a rule for many ports it is not known whether the kernel is there by it: any
        // socket that the kernel has chosen a port for may be.
        if low != high || kernel.port != if first == 0 { low } else { first } {
            return None;
        }
        let port = low;
        let there = Endpoint { port, ..*kernel };
        if self.from_prefix == 128 {
            let mut asked = Endpoint { address: self.from, ..there };
            // Of a socket that serves both families, it is the wildcard of IPv6.
            if asked.is_v6 && asked.is_wildcard() {
                asked = there.wildcard(port);
            }
            // What no address of IPv4 can hold was asked of another socket.
            return (asked.is_v6 || asked.is_v4()).then_some(asked);
        }
        if direction == Direction::Bind && self.from_prefix == 0 {
            return Some(there.wildcard(port));
        }
        if self.to_prefix < 128 {
            let from = u128::from_be_bytes(self.from) & keep | u128::from_be_bytes(kernel.address) & !keep;
            return Some(Endpoint { address: from.to_be_bytes(), ..there });
        }
        self.takes_address(&there).then_some(there)
    }
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

impl Rule<'_> {
    /// Where the rule leads what was asked.
    pub fn target(&self, asked: &Endpoint) -> Endpoint {
        match self.action {
            Action::Lead => self.raw.target(asked),
            _ => *asked,
        }
    }

    /// The endpoint that a rule with one address and one port is for.
    pub fn only(&self, is_v6: bool) -> Endpoint {
        Endpoint { address: self.raw.from, port: self.raw.from_ports[0], is_v6 }
    }

    /// Whether it is for one address and one port alone.
    pub fn is_exact(&self) -> bool {
        self.raw.from_prefix == 128 && self.raw.from_ports[0] == self.raw.from_ports[1]
    }
}

#[cfg(feature = "build")]
pub use write::{NamesFacts, NetworkFacts, RuleFacts};

#[cfg(feature = "build")]
mod write {
    use super::{Action, Direction, Families, Protocol, RawRule, Tables, says};
    use crate::layout::Str;

    /// A rule to be written.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RuleFacts {
        /// Which calls it is for.
        pub direction: Direction,
        /// The addresses that it is for, and how many bits of them count.
        pub from: ([u8; 16], u8),
        /// Their families.
        pub families: Families,
        /// The ports that it is for, the first and the last.
        pub from_ports: [u16; 2],
        /// What it speaks.
        pub protocol: Protocol,
        /// What becomes of a call.
        pub action: Action,
        /// Where it leads, and how many bits of that count: the others are those of what is asked.
        pub to: ([u8; 16], u8),
        /// The ports there; 0 where what is asked is kept.
        pub to_ports: [u16; 2],
        /// The host path of the Unix socket where it leads.
        pub unix: Vec<u8>,
        /// Whether it is only for addresses that the host has.
        pub is_local: bool,
        /// The line of the policy that says it.
        pub line: u32,
    }

    /// What the policy says of addresses: in each direction, the rule that decides comes first.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct NetworkFacts {
        /// The rules.
        pub rules: Vec<RuleFacts>,
        /// The files of names.
        pub names: NamesFacts,
    }

    /// The files of names that the policy makes: as in [`super::Names`].
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct NamesFacts {
        /// hosts(5)
        pub hosts: Vec<u8>,
        /// services(5)
        pub services: Vec<u8>,
        /// resolv.conf(5)
        pub resolver: Vec<u8>,
        /// nsswitch.conf(5)
        pub switch: Vec<u8>,
        /// The line that says the hosts, or 0.
        pub hosts_line: u32,
        /// The line that says the name servers, or 0.
        pub resolver_line: u32,
    }

    impl NetworkFacts {
        pub(crate) fn write(&self, mut add: impl FnMut(&[u8]) -> Str) -> (Vec<RawRule>, Tables) {
            let of = |direction| self.rules.iter().filter(move |rule| rule.direction == direction);
            let rules: Vec<RawRule> = of(Direction::Bind)
                .chain(of(Direction::Connect))
                .map(|rule| RawRule {
                    from: rule.from.0,
                    to: rule.to.0,
                    unix: add(&rule.unix),
                    line: rule.line,
                    from_ports: rule.from_ports,
                    to_ports: rule.to_ports,
                    from_prefix: rule.from.1,
                    to_prefix: rule.to.1,
                    protocol: rule.protocol as u8,
                    action: rule.action as u8,
                    direction: rule.direction as u8,
                    families: rule.families as u8,
                    is_local: u8::from(rule.is_local),
                    reserved: 0,
                })
                .collect();
            let any = |bit: u32, holds: &dyn Fn(&RuleFacts) -> bool| {
                if self.rules.iter().any(holds) { bit } else { 0 }
            };
            let NamesFacts { hosts, services, resolver, switch, hosts_line, resolver_line } = &self.names;
            let tables = Tables {
                lines: [*hosts_line, *resolver_line],
                texts: [hosts, services, resolver, switch].map(|text| add(text)),
                binds: of(Direction::Bind).count() as u32,
                flags: any(says::PROTOCOL, &|rule| rule.protocol != Protocol::Any)
                    | any(says::UNIX, &|rule| rule.action == Action::Unix),
                ..Tables::default()
            };
            (rules, tables)
        }
    }
}
