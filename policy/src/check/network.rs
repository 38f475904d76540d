//! `[network]`: whether addresses can lead where they are said to lead.

use std::net::IpAddr;
use std::ops::Range;

use toml::Spanned;
use view::build::RuleFacts;
use view::{Action, Direction, Families, Protocol};

use super::endpoint::{self, Host, Written};
use super::{Checker, shorten};
use crate::names::Names;
use crate::network::{Network, mapped, overlap, rank, reaching, reaching_by_v6};
use crate::raw::{Raw, RawAction, RawNetwork, RawProtocol, RawRule};

/// More rules are no rules that somebody has written.
const MOST: usize = 4096;
/// The longest path of a Unix socket.
const LONGEST: usize = 107;

/// A rule, and where it stands.
struct Placed {
    facts: RuleFacts,
    span: Range<usize>,
}

/// Where a rule leads.
struct Target {
    to: ([u8; 16], u8),
    ports: [u16; 2],
    unix: Vec<u8>,
}

impl Checker<'_> {
    /// What `[network]` and `[names]` say of addresses and names.
    pub fn network(&mut self, raw: &Raw) -> Network {
        let mut names = self.names(&raw.network);
        let peers = self.peers(raw, &mut names);
        names.rules.extend(peers);
        self.rules(&raw.network, names)
    }

    /// What `[network]` says, of a policy that is another instance's.
    pub(super) fn network_alone(&mut self, raw: &RawNetwork) -> Network {
        let names = self.names(raw);
        self.rules(raw, names)
    }

    fn rules(&mut self, raw: &RawNetwork, mut names: Names) -> Network {
        let mut placed = Vec::new();
        for (direction, rules) in [(Direction::Bind, &raw.bind), (Direction::Connect, &raw.connect)] {
            for rule in rules {
                self.rule(direction, rule.get_ref(), &names, &mut placed);
            }
            if rules.len() > MOST {
                let message = format!("{} rules of addresses", rules.len());
                let expected = format!("{MOST} at the most");
                let help = "say the same with networks and ranges of ports".to_owned();
                self.report.add(rules[MOST].span(), message, expected, Some(help));
            }
        }
        placed.truncate(2 * MOST);
        self.ties(&placed);
        let binds = || placed.iter().map(|rule| &rule.facts).filter(|rule| rule.direction == Direction::Bind);
        let mut followed: Vec<RuleFacts> =
            binds().flat_map(reaching).chain(binds().flat_map(reaching_by_v6)).collect();
        let mut rules: Vec<RuleFacts> = placed.into_iter().map(|rule| rule.facts).collect();
        followed.extend(std::mem::take(&mut names.rules));
        rules.extend(followed);
        // A stable sort: what the policy spells out comes before what follows from it.
        rules.sort_by_key(rank);
        Network { rules, names }
    }

    fn rule(&mut self, direction: Direction, raw: &RawRule, names: &Names, to: &mut Vec<Placed>) {
        let Some(from) = &raw.from else { return };
        let Some((written, span)) = self.endpoint(from, "from") else { return };
        let target = match (&raw.to, &raw.action) {
            (Some(target), None) => {
                let Some(found) = self.target(direction, target, &written, names) else { return };
                Ok(found)
            }
            (None, Some(action)) => Err(match action.get_ref() {
                RawAction::Allow => Action::Allow,
                RawAction::Deny => Action::Deny,
                RawAction::Refuse => Action::Refuse,
                RawAction::Unreachable => Action::Unreachable,
            }),
            (Some(_), Some(action)) => {
                let help = "take one of them away".to_owned();
                self.report.add(
                    action.span(),
                    "a rule with `to` and `action`",
                    "`action` besides `to`",
                    Some(help),
                );
                return;
            }
            (None, None) => {
                let help = "add `to = \"127.0.0.1:8080\"`, or `action = \"deny\"`".to_owned();
                self.report.add(
                    span,
                    "a rule that says nothing",
                    "`to` or `action` is needed here",
                    Some(help),
                );
                return;
            }
        };
        let froms = match &written.host {
            Host::Any => vec![(([0; 16], 0), Families::Both)],
            Host::Network(address, bits) => vec![of_network(*address, *bits)],
            Host::Name(name) => match names.addresses(name) {
                found if !found.is_empty() => {
                    found.into_iter().map(|address| of_network(address, 128)).collect()
                }
                _ => {
                    let message = format!("`{}` has no address here", shorten(name));
                    let help = format!("add it to [network] hosts: `\"{name}\" = [\"10.1.2.3\"]`");
                    self.report.add(span, message, "an address, or a name of `hosts`", Some(help));
                    return;
                }
            },
        };
        let protocol = match raw.protocol {
            None if matches!(&target, Ok(target) if !target.unix.is_empty()) => Protocol::Tcp,
            None => Protocol::Any,
            Some(RawProtocol::Tcp) => Protocol::Tcp,
            Some(RawProtocol::Udp) => Protocol::Udp,
        };
        let (action, target) = match target {
            Ok(target) if target.unix.is_empty() => (Action::Lead, target),
            Ok(target) => (Action::Unix, target),
            Err(action) => (action, Target { to: ([0; 16], 128), ports: [0; 2], unix: Vec::new() }),
        };
        for (from, families) in froms {
            let facts = RuleFacts {
                direction,
                from,
                families,
                // A rule for all ports is for those that the kernel is to choose, too.
                from_ports: written.ports.unwrap_or([0, u16::MAX]),
                protocol,
                action,
                to: target.to,
                to_ports: target.ports,
                unix: target.unix.clone(),
                is_local: false,
                line: self.report.line(span.start),
            };
            to.push(Placed { facts, span: span.clone() });
        }
    }

    /// An endpoint, and where it stands.
    fn endpoint(&mut self, said: &Spanned<String>, key: &str) -> Option<(Written, Range<usize>)> {
        let text = self.expanded(said)?;
        match endpoint::read(&text) {
            Ok(written) => Some((written, said.span())),
            Err(expected) => {
                let message = format!("`{key}` cannot be {:?}", shorten(&text));
                self.report.add(said.span(), message, expected, None);
                None
            }
        }
    }

    fn target(
        &mut self,
        direction: Direction,
        said: &Spanned<String>,
        from: &Written,
        names: &Names,
    ) -> Option<Target> {
        let text = self.expanded(said)?;
        if let Some(path) = text.strip_prefix("unix:") {
            return self.unix_target(direction, said, path);
        }
        let (written, span) = self.endpoint(said, "to")?;
        let wrong = |report: &mut crate::report::Report, expected: &str, help: Option<&str>| {
            let message = format!("`to` cannot be {:?}", shorten(&text));
            report.add(span.clone(), message, expected, help.map(Into::into));
        };
        let (address, bits) = match written.host {
            Host::Network(address, bits) => (address, bits),
            Host::Any => {
                wrong(self.report, "one address", Some("write 127.0.0.1 for this machine"));
                return None;
            }
            Host::Name(name) => match names.addresses(&name).first() {
                Some(address) => (*address, 128),
                None if name == "localhost" => (IpAddr::from([127, 0, 0, 1]), 128),
                None => {
                    let help = "write its address, or add the name to [network] hosts";
                    wrong(self.report, "an address, `localhost`, or a name of `hosts`", Some(help));
                    return None;
                }
            },
        };
        let from_bits = match &from.host {
            Host::Any => 0,
            Host::Network(_, bits) => *bits,
            Host::Name(_) => 128,
        };
        let is_v4_only = matches!(&from.host, Host::Network(IpAddr::V4(_), _));
        if bits != 128 && bits != from_bits {
            wrong(self.report, "one address, or a network as large as that of `from`", None);
            return None;
        }
        if is_v4_only && address.is_ipv6() {
            let help = "a socket of IPv4 knows no other addresses: lead it to one of IPv4";
            wrong(self.report, "an address of IPv4, as `from` is one", Some(help));
            return None;
        }
        let ports = match (written.ports, from.ports) {
            (None, _) => [0; 2],
            (Some([low, high]), _) if low == high => [low, high],
            (Some([low, high]), Some([first, last])) if high - low == last - first => [low, high],
            (Some(_), _) => {
                wrong(self.report, "one port, or as many as `from` has", None);
                return None;
            }
        };
        Some(Target { to: (mapped(address), bits), ports, unix: Vec::new() })
    }

    fn unix_target(&mut self, direction: Direction, said: &Spanned<String>, path: &str) -> Option<Target> {
        let path = self.base.join(path);
        let path = std::path::absolute(&path).unwrap_or(path).into_os_string().into_encoded_bytes();
        let wrong = if direction == Direction::Bind {
            Some("an address: only what connects can be led to a Unix socket")
        } else if path.len() > LONGEST || path.contains(&0) || path.ends_with(b"/") {
            Some("the host path of a socket, of at most 107 bytes")
        } else {
            None
        };
        if let Some(expected) = wrong {
            let message = format!("`to` cannot be {:?}", shorten(said.get_ref()));
            self.report.add(said.span(), message, expected, None);
            return None;
        }
        Some(Target { to: ([0; 16], 128), ports: [0; 2], unix: path })
    }

    /// Tells of rules that both match, and of which neither is the more specific.
    fn ties(&mut self, placed: &[Placed]) {
        let mut order: Vec<&Placed> = placed.iter().collect();
        order.sort_by_key(|rule| (rule.facts.direction as u8, rank(&rule.facts), rule.span.start));
        let is_peer = |a: &Placed, b: &Placed| {
            a.facts.direction == b.facts.direction && rank(&a.facts) == rank(&b.facts)
        };
        for peers in order.chunk_by(|a, b| is_peer(a, b)) {
            // Those that overlap begin one after another.
            let mut peers = peers.to_vec();
            peers.sort_by_key(|Placed { facts, span }| {
                (facts.protocol as u8, facts.from.0, facts.from_ports, span.start)
            });
            for pair in peers.windows(2) {
                let (first, second) = (pair[0], pair[1]);
                if !overlap(&first.facts, &second.facts) || first.span == second.span {
                    continue;
                }
                let (first, second) =
                    if first.span.start < second.span.start { (first, second) } else { (second, first) };
                let line = first.facts.line;
                let message =
                    format!("two rules for the same addresses: lines {line} and {}", second.facts.line);
                let expected = format!("line {line} is as specific, and one of them must decide");
                let help = "make one of them more specific, or take it away".to_owned();
                self.report.add(second.span.clone(), message, expected, Some(help));
            }
        }
    }
}

fn of_network(address: IpAddr, bits: u8) -> (([u8; 16], u8), Families) {
    let families = if address.is_ipv4() { Families::V4 } else { Families::V6 };
    ((mapped(address), bits), families)
}
