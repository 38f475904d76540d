//! Names of hosts, ports, protocols and networks, as the files that say them: hosts(5),
//! resolv.conf(5), nsswitch.conf(5), host.conf(5), services(5), protocols(5) and networks(5).
//!
//! resolv.conf knows no ports. A name server that has another than 53 is
//! written by its address, and a rule leads port 53 of it to the right one. Of
//! several on one address the others are written by addresses that nobody has.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use view::build::{NamesFacts, RuleFacts};
use view::{Action, Direction, Families, Protocol};

use crate::checked::{Mount, What};
use crate::identity::{GeneratedFile, Said, Writer};
use crate::network::mapped;

/// The port of name servers.
pub const DNS: u16 = 53;

/// Where names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `files`
    Hosts,
    /// `dns`
    Dns,
}

/// What resolv.conf(5) says.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Addresses and ports of the name servers.
    pub nameservers: Vec<(IpAddr, u16)>,
    /// Domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// A name and its addresses.
pub type Host = (String, Vec<IpAddr>);

/// Names of numbers, as a file has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// services(5): a port with its protocol.
    Services,
    /// protocols(5): the number of a protocol of IP.
    Protocols,
    /// networks(5): the address of a network.
    Networks,
}

impl Kind {
    /// The key of the policy, which is what nsswitch.conf(5) calls it.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Services => "services",
            Kind::Protocols => "protocols",
            Kind::Networks => "networks",
        }
    }

    /// The file.
    pub fn path(self) -> &'static str {
        match self {
            Kind::Services => "/etc/services",
            Kind::Protocols => "/etc/protocols",
            Kind::Networks => "/etc/networks",
        }
    }
}

/// Names, and the text after each.
pub type Numbers = Said<Vec<(String, String)>>;

/// Names, as the policy says them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Names and their addresses.
    pub hosts: Option<Said<Vec<Host>>>,
    /// resolv.conf(5)
    pub resolver: Option<Said<Resolver>>,
    /// Names of numbers.
    pub numbers: Vec<(Kind, Numbers)>,
    /// Where names are looked up.
    pub order: Option<Said<Vec<Source>>>,
    /// Whether the application's own lines follow.
    pub merges: bool,
    /// Rules that lead to name servers.
    pub rules: Vec<RuleFacts>,
    /// The policy files of other instances, by the names that `[names]` gives them.
    pub peers: Vec<(String, PathBuf)>,
}

/// The files that were there before, for what the policy does not say.
pub struct Before {
    /// hosts(5)
    pub hosts: Option<String>,
    /// The files of [`Names::numbers`].
    pub numbers: Vec<Option<String>>,
    /// nsswitch.conf(5)
    pub switch: Option<String>,
}

impl Names {
    /// The addresses of a name.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let hosts = self.hosts.iter().flat_map(|said| &said.value);
        hosts.filter(|(known, _)| known == name).flat_map(|(_, all)| all.iter().copied()).collect()
    }

    /// The line of the first key that has to do with the names of hosts.
    pub fn first(&self) -> Option<Said<()>> {
        let hosts = self.hosts.as_ref().map(|said| (said.line, said.span.clone()));
        let resolver = self.resolver.as_ref().map(|said| (said.line, said.span.clone()));
        let order = self.order.as_ref().map(|said| (said.line, said.span.clone()));
        let (line, span) = order.or(hosts).or(resolver)?;
        Some(Said { line, span, value: () })
    }

    /// The `hosts` line of nsswitch.conf(5).
    fn hosts_line(&self) -> String {
        let words = match &self.order {
            None => "files dns".to_owned(),
            Some(order) => {
                let word = |source: &Source| match source {
                    Source::Hosts => "files",
                    Source::Dns => "dns",
                };
                order.value.iter().map(word).collect::<Vec<_>>().join(" ")
            }
        };
        format!("hosts:      {words}\n")
    }

    /// The text of nsswitch.conf(5): what was there before, with lines of the policy's
    /// own. None where the policy leaves it alone.
    pub fn switch(&self, before: &str) -> Option<String> {
        let says_hosts = self.first().is_some();
        if !says_hosts && self.numbers.is_empty() {
            return None;
        }
        let is_ours = |line: &str| {
            let database = line.split(':').next().unwrap_or("").trim();
            says_hosts && database == "hosts" || self.numbers.iter().any(|(kind, _)| kind.key() == database)
        };
        let mut text: String =
            before.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect();
        if says_hosts {
            text += &self.hosts_line();
        }
        for (kind, _) in &self.numbers {
            text += &format!("{:<12}files\n", format!("{}:", kind.key()));
        }
        Some(text)
    }

    /// Writes the files, but for nsswitch.conf(5), which has to do with users as well.
    pub fn write(&self, to: &mut Writer, before: &Before) {
        let after = |own: String, before: &Option<String>| match before {
            Some(before) if self.merges => own + before,
            _ => own,
        };
        if let Some(hosts) = &self.hosts {
            let mut text = String::new();
            for (name, addresses) in &hosts.value {
                for address in addresses {
                    text += &format!("{address} {name}\n");
                }
            }
            if !self.merges || before.hosts.is_none() {
                text += "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
            }
            let before = before.hosts.as_deref().map(|before| self.others(before));
            to.file(hosts, "hosts", "/etc/hosts", 0o644, after(text, &before));
            // Without it glibc gives one address of a name that has several.
            let what = What::Content { bytes: b"multi on\n".into(), mode: 0o644 };
            to.derived(hosts, "hosts", "/etc/host.conf", what);
        }
        if let Some(said) = &self.resolver {
            to.file(said, "resolver", "/etc/resolv.conf", 0o644, self.resolv_conf(&said.value));
        }
        for ((kind, said), before) in self.numbers.iter().zip(&before.numbers) {
            let lines = said.value.iter().map(|(name, number)| format!("{name} {number}\n"));
            to.file(said, kind.key(), kind.path(), 0o644, after(lines.collect(), before));
        }
        if let Some(said) = self.first() {
            // The host's cache of names, which libc would ask before all else.
            to.derived(&said, "hosts", "/var/run/nscd", What::Hidden);
        }
    }

    /// The lines of a hosts(5) without the names that the policy says.
    fn others(&self, before: &str) -> String {
        let own: HashSet<&str> =
            self.hosts.iter().flat_map(|said| &said.value).map(|(name, _)| name.as_str()).collect();
        let is_own = |name: &&str| own.contains(name.to_ascii_lowercase().as_str());
        let mut text = String::new();
        for line in before.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let address = words.next();
            let names: Vec<&str> = words.collect();
            let left: Vec<&str> = names.iter().copied().filter(|name| !is_own(name)).collect();
            match address {
                Some(address) if left.len() < names.len() => {
                    if !left.is_empty() {
                        text += &format!("{address} {}\n", left.join(" "));
                    }
                }
                _ => text += &format!("{line}\n"),
            }
        }
        text
    }

    /// The files, as the view has them in itself. `mounts` are the policy's own, which some give way to.
    pub fn texts(&self, files: &[GeneratedFile], mounts: &[Mount]) -> NamesFacts {
        let text = |at: &str| {
            if mounts.iter().any(|mount| mount.at == Path::new(at)) {
                return Vec::new();
            }
            let found = files.iter().map(|file| &file.mount).find(|mount| mount.at == Path::new(at));
            match found.map(|mount| &mount.what) {
                Some(What::Content { bytes, .. }) => bytes.clone(),
                _ => Vec::new(),
            }
        };
        NamesFacts {
            hosts: text("/etc/hosts"),
            services: text("/etc/services"),
            resolver: text("/etc/resolv.conf"),
            switch: text("/etc/nsswitch.conf"),
            hosts_line: self.hosts.as_ref().map_or(0, |said| said.line),
            resolver_line: self.resolver.as_ref().map_or(0, |said| said.line),
        }
    }

    fn resolv_conf(&self, resolver: &Resolver) -> String {
        let mut text = String::new();
        for address in written(&resolver.nameservers) {
            text += &format!("nameserver {address}\n");
        }
        if !resolver.search.is_empty() {
            text += &format!("search {}\n", resolver.search.join(" "));
        }
        if !resolver.options.is_empty() {
            text += &format!("options {}\n", resolver.options.join(" "));
        }
        text
    }
}

/// By which address resolv.conf(5) names each name server.
fn written(nameservers: &[(IpAddr, u16)]) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for (number, (address, port)) in nameservers.iter().enumerate() {
        // One that has the usual port is what it is.
        let is_taken = all.contains(address)
            || *port != DNS && nameservers.iter().any(|other| other == &(*address, DNS));
        all.push(match (is_taken, address) {
            (false, address) => *address,
            (true, IpAddr::V4(_)) => Ipv4Addr::new(127, 53, 0, number as u8 + 1).into(),
            // The prefix of what is thrown away (RFC 6666).
            (true, IpAddr::V6(_)) => Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 53, number as u16 + 1).into(),
        });
    }
    all
}

/// The rules that lead to name servers.
pub fn rules(nameservers: &[(IpAddr, u16)], line: u32) -> Vec<RuleFacts> {
    let all = nameservers.iter().zip(written(nameservers));
    all.filter(|((address, port), written)| *port != DNS || written != address)
        .map(|((address, port), written)| RuleFacts {
            direction: Direction::Connect,
            from: (mapped(written), 128),
            families: if written.is_ipv4() { Families::V4 } else { Families::V6 },
            from_ports: [DNS, DNS],
            protocol: Protocol::Any,
            action: Action::Lead,
            to: (mapped(*address), 128),
            to_ports: [*port, *port],
            unix: Vec::new(),
            is_local: false,
            line,
        })
        .collect()
}
