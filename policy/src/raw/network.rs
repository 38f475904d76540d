//! The words of `[network]`: names, addresses and ports.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// `[network]`: the names, addresses and ports that the application remembers.
/// What is not said is the host's.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawNetwork {
    /// Names and their addresses: lines of /etc/hosts.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub hosts: BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>,
    /// Whether the application's own /etc/hosts, /etc/services, /etc/protocols and /etc/networks
    /// are what follows the policy's lines (default: true).
    pub merge: Option<bool>,
    /// What /etc/resolv.conf says.
    #[schemars(with = "Option<RawResolver>")]
    pub resolver: Option<Spanned<RawResolver>>,
    /// Names of ports, such as "9001/tcp": lines of /etc/services.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub services: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Numbers of protocols of IP: lines of /etc/protocols.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, u8>")]
    pub protocols: BTreeMap<Spanned<String>, Spanned<u8>>,
    /// Addresses of networks, such as "10.0.0.0": lines of /etc/networks.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub networks: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Where names are looked up, in this order (default: hosts, then dns).
    #[schemars(with = "Option<Vec<RawSource>>")]
    pub order: Option<Spanned<Vec<RawSource>>>,
    /// Addresses that the application binds, and where the kernel is led instead.
    #[serde(default)]
    #[schemars(with = "Vec<RawRule>")]
    pub bind: Vec<Spanned<RawRule>>,
    /// Addresses that it connects or sends to, and where the kernel is led instead.
    #[serde(default)]
    #[schemars(with = "Vec<RawRule>")]
    pub connect: Vec<Spanned<RawRule>>,
}

/// Where names are looked up.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum RawSource {
    /// In /etc/hosts.
    Hosts,
    /// By the name servers.
    Dns,
}

/// `[network.resolver]`: resolv.conf(5).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawResolver {
    /// Addresses of name servers, three at most, with a port where it is not 53.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub nameservers: Vec<Spanned<String>>,
    /// Domains that a short name is looked up in.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub search: Vec<Spanned<String>>,
    /// Options, as resolv.conf(5) has them, such as "ndots:2".
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub options: Vec<Spanned<String>>,
}

/// `[[network.bind]]` and `[[network.connect]]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// What the application asks for: an address, a network such as 10.0.0.0/8, a name of
    /// `hosts`, or `*`; and after `:` a port, a range such as 5000-5009, or `*`.
    #[schemars(with = "String")]
    pub from: Option<Spanned<String>>,
    /// Where the kernel is led instead: an address, and a port where it is another, or
    /// unix:PATH.
    #[schemars(with = "Option<String>")]
    pub to: Option<Spanned<String>>,
    /// What becomes of it, where it is led nowhere else.
    #[schemars(with = "Option<RawAction>")]
    pub action: Option<Spanned<RawAction>>,
    /// What the socket speaks (default: either).
    pub protocol: Option<RawProtocol>,
}

/// What becomes of a call.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum RawAction {
    /// It goes where it asks to.
    Allow,
    /// EACCES
    Deny,
    /// ECONNREFUSED; of bind, EADDRINUSE.
    Refuse,
    /// EHOSTUNREACH; of bind, EADDRNOTAVAIL.
    Unreachable,
}

/// What a socket speaks.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum RawProtocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl RawNetwork {
    /// Whether nothing is missing that the schema asks for.
    pub fn is_whole(&self) -> bool {
        self.bind.iter().chain(&self.connect).all(|rule| rule.get_ref().from.is_some())
    }
}
