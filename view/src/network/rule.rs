//! A rule: which addresses it is for, where it leads, and what it says backwards.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Action, Direction, Endpoint, MAPPED, Protocol};
use crate::layout::Str;

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawRule {
    pub(super) from: [u8; 16],
    pub(super) to: [u8; 16],
    pub(super) unix: Str,
    pub(super) line: u32,
    pub(super) from_ports: [u16; 2],
    pub(super) to_ports: [u16; 2],
    pub(super) from_prefix: u8,
    pub(super) to_prefix: u8,
    pub(super) protocol: u8,
    pub(super) action: u8,
    pub(super) direction: u8,
    pub(super) families: u8,
    pub(super) is_local: u8,
    pub(super) reserved: u8,
}

/// A rule of the view.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    pub(super) raw: &'a RawRule,
    /// What becomes of a call.
    pub action: Action,
    /// The host path of the Unix socket that it leads to.
    pub unix: &'a [u8],
    /// The line of the policy that says it.
    pub line: u32,
    /// Whether it is only for addresses that the host has.
    pub is_local: bool,
}

pub(super) fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

impl RawRule {
    pub(super) fn action(&self) -> Option<Action> {
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

    pub(super) fn takes_port(&self, port: u16) -> bool {
        let [low, high] = self.from_ports;
        low <= port && port <= high
    }

    pub(super) fn takes_address(&self, endpoint: &Endpoint) -> bool {
        let differs = u128::from_be_bytes(self.from) ^ u128::from_be_bytes(endpoint.address);
        differs & mask(self.from_prefix) == 0
            && match self.families {
                4 => endpoint.is_v4(),
                6 => !endpoint.is_v4(),
                _ => true,
            }
    }

    pub(super) fn takes_protocol(&self, protocol: Protocol) -> bool {
        self.protocol == 0 || protocol == Protocol::Any || self.protocol == protocol as u8
    }

    /// Whether an address of IPv6 that no IPv4 socket can have is where it leads.
    pub(super) fn leads_to_v6(&self) -> bool {
        !self.to.starts_with(&MAPPED)
    }

    pub(super) fn target(&self, asked: &Endpoint) -> Endpoint {
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
    pub(super) fn asked(&self, kernel: &Endpoint, direction: Direction) -> Option<Endpoint> {
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
