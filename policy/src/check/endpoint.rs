//! Addresses and ports, as a policy writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands before the ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*`
    Any,
    /// An address, and how many bits of it count.
    Network(IpAddr, u8),
    /// A name.
    Name(String),
}

/// An address or many, and their ports: the first and the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The addresses.
    pub host: Host,
    /// The ports; none where it says nothing of them, or `*`.
    pub ports: Option<[u16; 2]>,
}

/// Reads an endpoint.
///
/// # Errors
///
/// What is wrong with it, as what was expected.
pub fn read(text: &str) -> Result<Written, &'static str> {
    // A bare address of IPv6 has colons of its own.
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Written { host: Host::Network(address.into(), 128), ports: None });
    }
    let (host, ports) = split(text)?;
    let host = match host {
        "*" => Host::Any,
        host => network(host)?,
    };
    Ok(Written { host, ports: ports.map(self::ports).transpose()?.flatten() })
}

/// What stands before the last colon outside of brackets, and after it.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let after = match text.find('[') {
        Some(0) => text.find(']').ok_or("`]` after an address of IPv6")?,
        Some(_) => return Err("`[` as the first, before an address of IPv6"),
        None => 0,
    };
    match text[after..].find(':') {
        Some(at) => Ok((&text[..after + at], Some(&text[after + at + 1..]))),
        None => Ok((text, None)),
    }
}

fn network(text: &str) -> Result<Host, &'static str> {
    let after = text.split_once(']').map_or("", |(_, after)| after);
    if !after.is_empty() && !after.starts_with('/') {
        return Err("`:` and a port after `]`");
    }
    let bare = text.replace(['[', ']'], "");
    let (address, prefix) = match bare.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (bare.as_str(), None),
    };
    let address: IpAddr = match (address.parse(), prefix) {
        (Ok(address), _) => address,
        (Err(_), None) if is_host_name(address) => return Ok(Host::Name(address.to_ascii_lowercase())),
        _ => return Err("an address, such as 10.1.2.3, 10.0.0.0/8, [fd00::1] or `*`, or a name"),
    };
    if address.is_ipv6() != text.starts_with('[') {
        return Err("an address of IPv6 in brackets where a port or a prefix follows, such as [fd00::1]:80");
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match prefix.map(str::parse::<u8>) {
        None => most,
        Some(Ok(bits)) if bits <= most => bits,
        Some(_) => return Err("a prefix of 0 to 32 bits, or of IPv6 to 128"),
    };
    let all = u128::from_be_bytes(crate::network::mapped(address));
    let bits = if address.is_ipv4() { bits + 96 } else { bits };
    if all.checked_shl(bits.into()).unwrap_or(0) != 0 {
        return Err("the first address of the network: the bits after the prefix are 0");
    }
    // What is mapped is an address of IPv4.
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::from),
        IpAddr::V4(_) => address,
    };
    Ok(Host::Network(address, bits))
}

/// The ports that a text says: a number, two with a hyphen between, or `*`.
fn ports(text: &str) -> Result<Option<[u16; 2]>, &'static str> {
    const EXPECTED: &str = "a port from 1 to 65535, a range such as 5000-5009, or `*`";
    if text == "*" {
        return Ok(None);
    }
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(EXPECTED),
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low)?, number(high)?);
    if low > high { Err("a range whose first port is not after its last") } else { Ok(Some([low, high])) }
}

/// Whether a name can be one of a host: RFC 1123, and `_`, which many have.
pub fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(letters) && !label.starts_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(label)
        && name.parse::<Ipv4Addr>().is_err()
        && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
