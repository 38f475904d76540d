//! What becomes of an address or a name: `connect:10.1.2.3:5432`, `bind::80`, `host:db.old.corp`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use elements::Instance;
use policy::{Policy, Source, endpoints};
use serde_json::{Value, json};
use view::{Action, Direction, Endpoint, Protocol};

/// What is said of one word: its outcomes, each with the rule that decided.
pub struct Answer {
    asked: String,
    lines: Vec<Line>,
}

struct Line {
    /// What it is said of, where there are several.
    of: String,
    outcome: String,
    rule: String,
    line: u32,
}

/// Explains a word that names an address or a host. None where it is an app path.
pub fn explain(policy: &Policy, instance: &Instance<'_>, word: &Path) -> Option<Result<Answer, String>> {
    let word = word.to_str()?;
    let (kind, rest) = word.split_once(':')?;
    let lines = match kind {
        "connect" => addresses(policy, instance, Direction::Connect, rest),
        "bind" => addresses(policy, instance, Direction::Bind, rest),
        "host" => Ok(host(policy, instance, rest)),
        _ => return None,
    };
    Some(lines.map(|lines| Answer { asked: word.to_owned(), lines }))
}

fn shown(endpoint: &Endpoint) -> String {
    let v6 = Ipv6Addr::from(endpoint.address);
    let address = v6.to_ipv4_mapped().filter(|_| !endpoint.is_v6).map_or(IpAddr::V6(v6), IpAddr::V4);
    SocketAddr::new(address, endpoint.port).to_string()
}

fn addresses(
    policy: &Policy,
    instance: &Instance<'_>,
    direction: Direction,
    text: &str,
) -> Result<Vec<Line>, String> {
    let all = endpoints(&policy.network.names, text)?;
    let several = all.len() > 1;
    let mut lines = Vec::new();
    for endpoint in &all {
        let of = |protocol| one(policy, instance, direction, endpoint, protocol);
        let (tcp, udp) = (of(Protocol::Tcp), of(Protocol::Udp));
        let address = if several { shown(endpoint) + " " } else { String::new() };
        if (&tcp.outcome, tcp.line) == (&udp.outcome, udp.line) {
            lines.push(Line { of: address.trim_end().to_owned(), ..tcp });
        } else {
            lines.push(Line { of: format!("{address}tcp"), ..tcp });
            lines.push(Line { of: format!("{address}udp"), ..udp });
        }
    }
    Ok(lines)
}

fn one(
    policy: &Policy,
    instance: &Instance<'_>,
    direction: Direction,
    asked: &Endpoint,
    protocol: Protocol,
) -> Line {
    let rule = instance.first_rule(direction, asked, protocol);
    let errno = |of_bind: &str, of_connect: &str| {
        format!("refused: {}", if direction == Direction::Bind { of_bind } else { of_connect })
    };
    let outcome = match rule.map(|rule| (rule, rule.action)) {
        Some((rule, Action::Lead)) => shown(&rule.target(asked)),
        Some((rule, Action::Unix)) => format!("the Unix socket {}", String::from_utf8_lossy(rule.unix)),
        Some((_, Action::Deny)) => errno("EACCES", "EACCES"),
        Some((_, Action::Refuse)) => errno("EADDRINUSE", "ECONNREFUSED"),
        Some((_, Action::Unreachable)) => errno("EADDRNOTAVAIL", "EHOSTUNREACH"),
        Some((_, Action::Allow)) | None => format!("{}, as it is asked for", shown(asked)),
    };
    let line = rule.map_or(0, |rule| rule.line);
    let rule = match line {
        0 => "no rule".to_owned(),
        line => format!("{}:{line}", policy.file.display()),
    };
    Line { of: String::new(), outcome, rule, line }
}

/// Where a name is looked up, in order, until somebody knows it for certain.
fn host(policy: &Policy, instance: &Instance<'_>, name: &str) -> Vec<Line> {
    let names = &policy.network.names;
    let wanted = name.to_ascii_lowercase();
    let place = |line: u32| format!("{}:{line}", policy.file.display());
    let hosts_line = names.hosts.as_ref().map_or(0, |said| said.line);
    let order = match &names.order {
        Some(order) => order.value.clone(),
        None => vec![Source::Hosts, Source::Dns],
    };
    let mut lines = Vec::new();
    for source in order {
        let (outcome, rule, line) = match source {
            Source::Hosts => {
                let text = hosts_file(instance);
                let addresses = in_hosts(&text, &wanted);
                if addresses.is_empty() {
                    continue;
                }
                let own = names.addresses(&wanted);
                let (rule, line) = match own.is_empty() {
                    true => ("the application's own /etc/hosts".to_owned(), 0),
                    false => (place(hosts_line), hosts_line),
                };
                (addresses.join(", "), rule, line)
            }
            Source::Dns => match &names.resolver {
                Some(said) => {
                    let servers: Vec<String> = said
                        .value
                        .nameservers
                        .iter()
                        .map(|(address, port)| SocketAddr::new(*address, *port).to_string())
                        .collect();
                    (
                        format!("what the name servers say: {}", servers.join(", ")),
                        place(said.line),
                        said.line,
                    )
                }
                None => ("what the name servers of /etc/resolv.conf say".to_owned(), "no rule".to_owned(), 0),
            },
        };
        lines.push(Line { of: String::new(), outcome, rule, line });
        if source == Source::Hosts {
            break;
        }
    }
    if lines.is_empty() {
        let line = names.order.as_ref().map_or(0, |said| said.line);
        let rule = if line == 0 { "no rule".to_owned() } else { place(line) };
        let outcome = "nothing: no host is called so".to_owned();
        lines.push(Line { of: String::new(), outcome, rule, line });
    }
    lines
}

/// The text of the view's /etc/hosts.
fn hosts_file(instance: &Instance<'_>) -> String {
    let explained = instance.explain(c"/etc/hosts", true);
    let bytes = std::fs::read(std::ffi::OsStr::from_bytes(explained.host.bytes())).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn in_hosts(text: &str, wanted: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    let mut found = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(wanted)) {
            found.push(address.to_owned());
        }
    }
    found
}

impl Answer {
    /// As a person reads it.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.asked);
        for Line { of, outcome, rule, .. } in &self.lines {
            let of = if of.is_empty() { String::new() } else { format!("{of}: ") };
            out += &format!("  becomes   {of}{outcome}\n  decided   {rule}\n");
        }
        out
    }

    /// As a program reads it.
    pub fn to_json(&self) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|Line { of, outcome, rule, line }| {
                json!({ "of": of, "outcome": outcome, "rule": rule, "line": line })
            })
            .collect();
        json!({ "asked": self.asked, "answers": lines })
    }
}
