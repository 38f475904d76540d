//! The rules and the files of names, as they are written.

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
