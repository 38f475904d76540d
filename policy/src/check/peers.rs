//! `[names]`: other instances on this host, at the ports that their policies lead them to.
//!
//! `db.instance` has an address that nobody has. For each rule by which the policy of `db` leads a
//! bind(2) elsewhere there is one that leads the same port of that address there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use toml::Spanned;
use view::build::RuleFacts;
use view::{Action, Direction, Families, MAPPED};

use super::{Checker, NAME, is_name, shorten};
use crate::names::{Host, Names};
use crate::network::mapped;
use crate::raw::Raw;
use crate::report::Report;

/// As many as there are addresses for.
const MOST: usize = 250;

impl Checker<'_> {
    /// The rules and names of other instances.
    pub(super) fn peers(&mut self, raw: &Raw, names: &mut Names) -> Vec<RuleFacts> {
        let mut rules = Vec::new();
        let mut hosts = Vec::new();
        for (number, (name, file)) in raw.names.iter().enumerate() {
            if !is_name(name.get_ref()) {
                let message = format!("an instance cannot be called {:?}", shorten(name.get_ref()));
                self.report.add(name.span(), message, NAME, None);
            } else if number >= MOST {
                self.report.add(name.span(), "too many instances", format!("{MOST} at the most"), None);
                break;
            } else if let Some((file, binds)) = self.binds_of(name.get_ref(), file) {
                names.peers.push((name.get_ref().clone(), file));
                hosts.push(reached(name.get_ref(), number as u8 + 1, &binds, &mut rules));
            }
        }
        if let Some(first) = raw.names.keys().next()
            && !hosts.is_empty()
        {
            match &mut names.hosts {
                Some(said) => said.value.extend(hosts),
                none => *none = Some(self.said(first.span(), hosts)),
            }
        }
        rules
    }

    /// The file of another policy, and the rules by which it leads what is bound.
    fn binds_of(&mut self, name: &str, said: &Spanned<String>) -> Option<(PathBuf, Vec<RuleFacts>)> {
        let path = self.expanded(said)?;
        let file = self.base.join(&path);
        let Some(text) = self.host.text(&file) else {
            let message = format!("the policy of `{name}` cannot be read: {}", shorten(&path));
            self.report.add(said.span(), message, "the policy file of that instance", None);
            return None;
        };
        let mut other = Report::new(&file, &text);
        let binds = crate::structure::read(&file, &text).map(|(raw, found)| {
            other = found;
            let mut checker = Checker {
                base: file.parent().unwrap_or(&self.base).to_owned(),
                report: &mut other,
                variables: self.variables,
                host: std::mem::take(&mut self.host),
                roots: Vec::new(),
            };
            let network = checker.network_alone(&raw.network);
            self.host = checker.host;
            network.rules
        });
        let line = self.report.line(said.span().start);
        let leads = |rule: &RuleFacts| rule.direction == Direction::Bind && rule.action == Action::Lead;
        let binds: Vec<RuleFacts> = binds
            .unwrap_or_default()
            .into_iter()
            .filter(leads)
            .map(|rule| RuleFacts { line, ..rule })
            .collect();
        let wrong =
            if other.diagnostics().is_empty() { "leads nothing that is bound elsewhere" } else { "is wrong" };
        if binds.is_empty() || !other.diagnostics().is_empty() {
            let help = format!("`launcher check --policy {}` says what it is", file.display());
            let expected = "a policy with [[network.bind]] rules";
            self.report.add(said.span(), format!("the policy of `{name}` {wrong}"), expected, Some(help));
            return None;
        }
        Some((file, binds))
    }
}

/// The name of an instance and its addresses; the rules that lead them are added.
fn reached(name: &str, number: u8, binds: &[RuleFacts], rules: &mut Vec<RuleFacts>) -> Host {
    let v4 = IpAddr::from(Ipv4Addr::new(127, 53, 1, number));
    let v6 = IpAddr::from(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0x5301, number.into()));
    let mut addresses = Vec::new();
    for (address, families) in [(v4, Families::V4), (v6, Families::V6)] {
        let fits = |bind: &&RuleFacts| bind.to.0.starts_with(&MAPPED) == address.is_ipv4();
        for bind in binds.iter().filter(fits) {
            // Of a network that is led to another, the first address stands for all.
            rules.push(RuleFacts {
                direction: Direction::Connect,
                from: (mapped(address), 128),
                families,
                to: (bind.to.0, 128),
                ..bind.clone()
            });
        }
        if binds.iter().any(|bind| fits(&bind)) {
            addresses.push(address);
        }
    }
    (format!("{}.instance", name.to_ascii_lowercase()), addresses)
}
