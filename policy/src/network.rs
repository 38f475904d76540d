//! The network as the application remembers it: rules of addresses, in the
//! order in which they decide, and what follows from them.
//!
//! Of two rules that both match, the more specific decides: the one with the longer
//! prefix, then the one with fewer ports, then the one for one protocol. What
//! the policy binds can be reached by what is inside: for each rule of
//! bind there are rules of connect, which decide after those that the policy spells out.

use std::cmp::Reverse;
use std::net::IpAddr;

use view::build::{NetworkFacts, RuleFacts};
use view::{Action, Direction, Endpoint, Families, MAPPED};

use crate::check::endpoint::{self, Host};
use crate::checked::Mount;
use crate::identity::GeneratedFile;
use crate::names::Names;

/// What the policy says of the network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The rules, with those that follow from others, the one that decides first.
    pub rules: Vec<RuleFacts>,
    /// Names.
    pub names: Names,
}

impl Network {
    /// What the view says of it; `files` are those that the policy makes, `mounts` its own.
    pub fn facts(&self, files: &[GeneratedFile], mounts: &[Mount]) -> NetworkFacts {
        NetworkFacts { rules: self.rules.clone(), names: self.names.texts(files, mounts) }
    }
}

/// How specific a rule is: the lower, the more.
pub fn rank(rule: &RuleFacts) -> impl Ord + use<> {
    let [low, high] = rule.from_ports;
    (
        Reverse(rule.from.1),
        rule.families == Families::Both,
        high - low,
        rule.protocol == view::Protocol::Any,
        rule.direction as u8,
    )
}

/// Whether an endpoint can match both.
pub fn overlap(a: &RuleFacts, b: &RuleFacts) -> bool {
    let bits = u32::from(a.from.1.min(b.from.1));
    let differs = u128::from_be_bytes(a.from.0) ^ u128::from_be_bytes(b.from.0);
    let families = a.families == b.families || a.families == Families::Both || b.families == Families::Both;
    let protocols = a.protocol == b.protocol || [a.protocol, b.protocol].contains(&view::Protocol::Any);
    a.direction == b.direction
        && differs.checked_shr(128 - bits).unwrap_or(0) == 0
        && families
        && protocols
        && a.from_ports[0] <= b.from_ports[1]
        && b.from_ports[0] <= a.from_ports[1]
}

/// An IPv4 address as the view has it.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The rules by which what is inside reaches, by addresses of IPv6, what a rule of bind
/// for `0.0.0.0` has led elsewhere: a socket of both families takes that rule as well.
pub fn reaching_by_v6(bind: &RuleFacts) -> Vec<RuleFacts> {
    let zero = mapped(std::net::Ipv4Addr::UNSPECIFIED.into());
    if bind.from != (zero, 128) {
        return Vec::new();
    }
    let any = RuleFacts { from: ([0; 16], 0), families: Families::V6, ..bind.clone() };
    reaching(&any).into_iter().filter(|rule| rule.families == Families::V6).collect()
}

/// The rules by which what is inside reaches what a rule of bind has led elsewhere.
pub fn reaching(bind: &RuleFacts) -> Vec<RuleFacts> {
    if bind.action != Action::Lead {
        return Vec::new();
    }
    let here = |from: ([u8; 16], u8), families, is_local| RuleFacts {
        direction: Direction::Connect,
        from,
        families,
        is_local,
        ..bind.clone()
    };
    let v4 = |address: [u8; 4]| mapped(std::net::Ipv4Addr::from(address).into());
    let zero = v4([0; 4]);
    let leads_to_v4 = bind.to.0.starts_with(&MAPPED);
    let any_v6 = bind.from.0 == [0; 16];
    // A socket of IPv6 serves IPv4 too, unless it says otherwise.
    let serves_v4 = bind.from == (zero, 128) || any_v6 && leads_to_v4;
    let serves_v6 = any_v6 && bind.families != Families::V4;
    if !serves_v4 && !serves_v6 {
        return vec![here(bind.from, bind.families, false)];
    }
    let mut rules = Vec::new();
    if serves_v4 {
        rules.push(here((zero, 128), Families::V4, false));
        rules.push(here((v4([127, 0, 0, 0]), 104), Families::V4, false));
        rules.push(here((zero, 96), Families::V4, true));
    }
    if serves_v6 {
        rules.push(here(([0; 16], 128), Families::V6, false));
        rules.push(here((1_u128.to_be_bytes(), 128), Families::V6, false));
        rules.push(here(([0; 16], 0), Families::V6, true));
    }
    rules
}

/// The endpoints that a text names, as a person would ask for them: `10.1.2.3:80`, `[fd00::1]:80`, `NAME:80` with a
/// name of the policy's, or `:80`, which is `0.0.0.0:80`.
///
/// # Errors
///
/// What was expected instead.
pub fn endpoints(names: &Names, text: &str) -> Result<Vec<Endpoint>, String> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let written = endpoint::read(&whole).map_err(|expected| format!("expected {expected}"))?;
    let port = match written.ports {
        Some([low, high]) if low == high => low,
        _ => return Err("expected one port after the address, such as :80".into()),
    };
    let addresses = match written.host {
        Host::Network(address, 128) => vec![address],
        Host::Name(name) => match names.addresses(&name) {
            found if found.is_empty() => {
                return Err(format!("`hosts` of the policy has no `{name}`: ask for its address"));
            }
            found => found,
        },
        Host::Any | Host::Network(..) => return Err("expected one address".into()),
    };
    let of = |address: IpAddr| Endpoint { address: mapped(address), port, is_v6: address.is_ipv6() };
    Ok(addresses.into_iter().map(of).collect())
}
