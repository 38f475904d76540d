//! The names of `[network]`: whether files can say them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::endpoint::{self, Host, is_host_name};
use super::{Checker, shorten};
use crate::host::Found;
use crate::identity::{Said, Writer};
use crate::names::{self, Before, Kind, Names, Resolver, Source};
use crate::raw::{RawNetwork, RawResolver, RawSource};

/// As many name servers as resolv.conf(5) takes.
const MOST_SERVERS: usize = 3;

impl Checker<'_> {
    /// The names; what is wrong is left out.
    pub(super) fn names(&mut self, raw: &RawNetwork) -> Names {
        let first = raw.hosts.keys().next().map(Spanned::span);
        let hosts = first.map(|span| {
            let all = raw.hosts.iter().filter_map(|(name, said)| {
                let known = self.host(name)?;
                let addresses: Vec<IpAddr> =
                    said.get_ref().iter().filter_map(|address| self.address(address)).collect();
                if said.get_ref().is_empty() {
                    let message = format!("`{}` has no address", shorten(name.get_ref()));
                    self.report.add(said.span(), message, "an address or several", None);
                }
                Some((known, addresses))
            });
            let all = all.collect();
            self.said(span, all)
        });
        let resolver = raw.resolver.as_ref().map(|said| {
            let resolver = self.resolver(said.get_ref());
            self.said(said.span(), resolver)
        });
        let mut numbers = Vec::new();
        if let Some(span) = raw.services.keys().next().map(Spanned::span) {
            let all = raw.services.iter().filter_map(|(name, port)| self.service(name, port)).collect();
            numbers.push((Kind::Services, self.said(span, all)));
        }
        if let Some(span) = raw.protocols.keys().next().map(Spanned::span) {
            let all = raw.protocols.iter().filter_map(|(name, number)| {
                Some((self.word("protocol", name)?, number.get_ref().to_string()))
            });
            let all = all.collect();
            numbers.push((Kind::Protocols, self.said(span, all)));
        }
        if let Some(span) = raw.networks.keys().next().map(Spanned::span) {
            let all =
                raw.networks.iter().filter_map(|(name, address)| self.network_name(name, address)).collect();
            numbers.push((Kind::Networks, self.said(span, all)));
        }
        let order = raw.order.as_ref().map(|said| {
            let mut all = Vec::new();
            for word in said.get_ref() {
                let source = match word {
                    RawSource::Hosts => Source::Hosts,
                    RawSource::Dns => Source::Dns,
                };
                if !all.contains(&source) {
                    all.push(source);
                }
            }
            if all.is_empty() {
                self.report.add(said.span(), "`order` is empty", "\"hosts\", \"dns\" or both", None);
            }
            self.said(said.span(), all)
        });
        let rules = resolver
            .as_ref()
            .map_or(Vec::new(), |said: &Said<Resolver>| names::rules(&said.value.nameservers, said.line));
        Names { hosts, resolver, numbers, order, merges: raw.merge.unwrap_or(true), rules, peers: Vec::new() }
    }

    fn host(&mut self, said: &Spanned<String>) -> Option<String> {
        let name = said.get_ref();
        if is_host_name(name) {
            return Some(name.to_ascii_lowercase());
        }
        let expected = "the name of a host: letters, digits, `-`, `_` and `.`, 253 at most";
        let help = (!name.is_ascii()).then(|| "write it as it is looked up: xn--…".to_owned());
        self.report.add(said.span(), format!("a host cannot be called {:?}", shorten(name)), expected, help);
        None
    }

    fn address(&mut self, said: &Spanned<String>) -> Option<IpAddr> {
        let text = self.expanded(said)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("{:?} is no address", shorten(&text));
                self.report.add(said.span(), message, "an address, such as 10.1.2.3 or fd00::1", None);
                None
            }
        }
    }

    fn resolver(&mut self, raw: &RawResolver) -> Resolver {
        let mut nameservers: Vec<(IpAddr, u16)> = Vec::new();
        for said in &raw.nameservers {
            let Some(text) = self.expanded(said) else { continue };
            let read = endpoint::read(&text);
            match read.map(|written| (written.host, written.ports)) {
                Ok((Host::Network(address, 128), ports)) if ports.is_none_or(|[low, high]| low == high) => {
                    let server = (address, ports.map_or(names::DNS, |[port, _]| port));
                    if !nameservers.contains(&server) {
                        nameservers.push(server);
                    }
                }
                _ => {
                    let message = format!("a name server cannot be {:?}", shorten(&text));
                    let expected =
                        "an address, with a port where it is not 53: 10.1.2.3, 127.0.0.1:5353, [fd00::1]:53";
                    self.report.add(said.span(), message, expected, None);
                }
            }
        }
        if let Some(fourth) = raw.nameservers.get(MOST_SERVERS) {
            let help = "take the others away".to_owned();
            let expected = "libc asks three at the most";
            self.report.add(fourth.span(), "too many name servers", expected, Some(help));
        }
        for said in &raw.search {
            if !is_host_name(said.get_ref()) {
                let message = format!("a domain cannot be called {:?}", shorten(said.get_ref()));
                self.report.add(said.span(), message, "letters, digits, `-`, `_` and `.`", None);
            }
        }
        for said in &raw.options {
            if !is_resolver_option(said.get_ref()) {
                let message = format!("an option of the resolver cannot be {:?}", shorten(said.get_ref()));
                let expected = format!(
                    "a word of resolv.conf(5): {}, with a number, or {}",
                    NUMBERED.join(", "),
                    FLAGS.join(", ")
                );
                self.report.add(said.span(), message, &expected, None);
            }
        }
        let words = |list: &[Spanned<String>]| list.iter().map(|said| said.get_ref().clone()).collect();
        Resolver { nameservers, search: words(&raw.search), options: words(&raw.options) }
    }

    fn service(&mut self, name: &Spanned<String>, said: &Spanned<String>) -> Option<(String, String)> {
        let known = self.word("service", name)?;
        let text = self.expanded(said)?;
        let port = text.split_once('/').filter(|(port, protocol)| {
            let letters = protocol.bytes().all(|byte| byte.is_ascii_lowercase());
            port.parse::<u16>().is_ok_and(|port| port != 0) && !protocol.is_empty() && letters
        });
        if port.is_none() {
            let message = format!("`{}` cannot be {:?}", name.get_ref(), shorten(&text));
            self.report.add(said.span(), message, "a port and a protocol, such as \"9001/tcp\"", None);
            return None;
        }
        Some((known, text))
    }

    fn network_name(&mut self, name: &Spanned<String>, said: &Spanned<String>) -> Option<(String, String)> {
        let known = self.word("network", name)?;
        let text = self.expanded(said)?;
        if text.parse::<Ipv4Addr>().is_err() {
            let message = format!("`{}` cannot be {:?}", name.get_ref(), shorten(&text));
            self.report.add(said.span(), message, "an address of IPv4, such as \"10.0.0.0\"", None);
            return None;
        }
        Some((known, text))
    }

    /// A name that is the first word of a line.
    fn word(&mut self, what: &str, name: &Spanned<String>) -> Option<String> {
        let letters = |c: char| c.is_ascii_graphic() && c != '#' && c != '/';
        if !name.get_ref().is_empty() && name.get_ref().chars().all(letters) {
            return Some(name.get_ref().clone());
        }
        let message = format!("a {what} cannot be called {:?}", shorten(name.get_ref()));
        self.report.add(name.span(), message, "a word without `#` and `/`", None);
        None
    }

    /// Adds the files that say the names. `layers` are those of a root, lowest first.
    pub(super) fn write_names(
        &mut self,
        names: &Names,
        switch: Option<&str>,
        layers: Option<&[PathBuf]>,
        to: &mut Writer,
    ) {
        let mut read = |wanted: bool, at: &str| wanted.then(|| self.text_at(at, layers)).flatten();
        let before = Before {
            hosts: read(names.hosts.is_some() && names.merges, "/etc/hosts"),
            numbers: names.numbers.iter().map(|(kind, _)| read(names.merges, kind.path())).collect(),
            switch: match switch {
                Some(switch) => Some(switch.to_owned()),
                None => read(names.first().is_some() || !names.numbers.is_empty(), "/etc/nsswitch.conf"),
            },
        };
        names.write(to, &before);
        let numbers = names.numbers.first();
        let numbers = numbers.map(|(_, said)| Said { line: said.line, span: said.span.clone(), value: () });
        if let Some(said) = names.first().or(numbers)
            && let Some(text) = names.switch(before.switch.as_deref().unwrap_or(SWITCH))
        {
            let what = crate::checked::What::Content { bytes: text.into(), mode: 0o644 };
            to.derived(&said, "order", "/etc/nsswitch.conf", what);
        }
    }

    /// The text of a file as the application has it without the policy's files: the
    /// host's, or that of the highest layer that has it.
    fn text_at(&mut self, at: &str, layers: Option<&[PathBuf]>) -> Option<String> {
        let Some(layers) = layers else { return self.host.text(Path::new(at)) };
        let below = at.trim_start_matches('/');
        let found = layers
            .iter()
            .rev()
            .map(|layer| layer.join(below))
            .find(|path| self.host.look(path) == Found::File)?;
        self.host.text(&found)
    }
}

/// What a system has that has no nsswitch.conf.
const SWITCH: &str = "passwd:     files\ngroup:      files\nshadow:     files\nhosts:      files dns\n\
    networks:   files\nprotocols:  files\nservices:   files\n";

/// Options of resolv.conf(5) that have a number: `ndots:2`. The last two are those of c-ares.
const NUMBERED: [&str; 5] = ["ndots", "timeout", "attempts", "retrans", "retry"];

/// Options that are a word: libc's, and Go's for what libc calls `use-vc`.
const FLAGS: [&str; 17] = [
    "debug",
    "rotate",
    "no-aaaa",
    "no-check-names",
    "inet6",
    "ip6-bytestring",
    "ip6-dotint",
    "no-ip6-dotint",
    "edns0",
    "single-request",
    "single-request-reopen",
    "no-tld-query",
    "use-vc",
    "usevc",
    "tcp",
    "no-reload",
    "trust-ad",
];

/// Whether a resolver heeds the word. One that is misspelt would be passed over without a word.
fn is_resolver_option(word: &str) -> bool {
    match word.split_once(':') {
        Some((name, number)) => NUMBERED.contains(&name) && number.parse::<u16>().is_ok(),
        None => FLAGS.contains(&word),
    }
}
