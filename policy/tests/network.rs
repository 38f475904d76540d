//! `[network]`: what is refused, and which rule decides.

use std::net::SocketAddr;
use std::path::Path;

use launcher_policy::{Places, endpoints, parse, plan};
use view::{Action, Direction, Endpoint, Protocol, View};

/// The messages, with their lines.
fn told(text: &str) -> Vec<String> {
    match parse(Path::new("/p/app.toml"), text, &|_| None).and_then(|policy| plan(&policy, false)) {
        Ok(_) => panic!("this policy is taken:\n{text}"),
        Err(report) => report.diagnostics().iter().map(|d| format!("{} {}", d.line, d.message)).collect(),
    }
}

fn image(text: &str) -> (launcher_policy::Policy, Vec<u8>) {
    let policy = parse(Path::new("/p/app.toml"), text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let here = Path::new("/i");
    let plan = plan(&policy, false).unwrap_or_else(|report| panic!("{report}"));
    let image = plan.image(&Places { instance: here, kept: here, volumes: here });
    (policy, image)
}

/// What becomes of an endpoint: where it leads, and the line that says so.
fn decided(text: &str, direction: Direction, protocol: Protocol, asked: &[&str]) -> Vec<String> {
    let (policy, image) = image(text);
    let view = View::from_bytes(&image).expect("our own image");
    let one = |text: &&str| {
        let asked = endpoints(&policy.network.names, text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let rule = view.rules_for(direction, asked[0], protocol).find(|rule| !rule.is_local);
        rule.map_or("its own".to_owned(), |rule| match rule.action {
            Action::Lead => format!("{} by {}", shown(&rule.target(&asked[0])), rule.line),
            Action::Unix => format!("{} by {}", String::from_utf8_lossy(rule.unix), rule.line),
            action => format!("{action:?} by {}", rule.line),
        })
    };
    asked.iter().map(one).collect()
}

fn shown(endpoint: &Endpoint) -> SocketAddr {
    let v6 = std::net::Ipv6Addr::from(endpoint.address);
    let address = v6.to_ipv4_mapped().filter(|_| !endpoint.is_v6).map_or(v6.into(), std::net::IpAddr::from);
    SocketAddr::new(address, endpoint.port)
}

#[test]
fn an_address_that_is_none_is_refused() {
    for wrong in [
        "",
        ":80",
        "10.1.2",
        "10.1.2.300:80",
        "10.1.2.3:0",
        "10.1.2.3:80000",
        "10.1.2.3:90-80",
        "10.1.2.3:80-",
        "10.1.2.3:http",
        "10.1.2.3/8:80",
        "10.0.0.0/33",
        "[::1",
        "[::1]80",
        "fd00::/8",
        "x[::1]:80",
        "[10.1.2.3]:80",
        "-x:80",
        "nowhere.corp:80",
        "10.1.2.3:+80",
    ] {
        let told = told(&format!("[[network.connect]]\nfrom = \"{wrong}\"\naction = \"deny\"\n"));
        assert_eq!(told.len(), 1, "{wrong}: {told:?}");
        assert!(told[0].starts_with("2 "), "{wrong}: {told:?}");
    }
    for right in
        ["*", "*:80", "*:1-1023", "10.1.2.3", "10.0.0.0/8:*", "::1", "[fd00::]/8:80", "[fd00::/8]:80"]
    {
        image(&format!("[[network.connect]]\nfrom = \"{right}\"\naction = \"deny\"\n"));
    }
}

#[test]
fn a_rule_that_cannot_lead_is_refused() {
    let rule = |from: &str, more: &str| told(&format!("[[network.bind]]\nfrom = \"{from}\"\n{more}\n"));
    let cannot = |to: &str| vec![format!("3 `to` cannot be \"{to}\"")];
    assert_eq!(rule("10.1.2.3:80", "to = \"[::1]:80\""), cannot("[::1]:80"));
    assert_eq!(rule("10.1.2.3:80", "to = \"*:80\""), cannot("*:80"));
    assert_eq!(rule("10.1.2.3:80", "to = \"127.0.0.0/8:80\""), cannot("127.0.0.0/8:80"));
    assert_eq!(rule("10.1.2.3:80-89", "to = \"127.0.0.1:80-88\""), cannot("127.0.0.1:80-88"));
    assert_eq!(rule("10.1.2.3:80", "to = \"unix:/run/s\""), cannot("unix:/run/s"));
    assert_eq!(rule("10.1.2.3:80", "to = \"elsewhere:80\""), cannot("elsewhere:80"));
    assert_eq!(rule("10.1.2.3:80", ""), ["2 a rule that says nothing"]);
    assert_eq!(
        rule("10.1.2.3:80", "to = \"127.0.0.1:80\"\naction = \"deny\""),
        ["4 a rule with `to` and `action`"]
    );
    assert_eq!(told("[[network.bind]]\nto = \"127.0.0.1:80\"\n"), ["1 `bind` has no `from`"]);
    let long = format!("unix:/{}", "x".repeat(107));
    let told = told(&format!("[[network.connect]]\nfrom = \"*:80\"\nto = \"{long}\"\n"));
    assert!(told.len() == 1 && told[0].starts_with("3 `to` cannot be "), "{told:?}");
}

#[test]
fn two_rules_that_are_as_specific_are_refused_with_both_lines() {
    let two = |a: &str, b: &str| {
        format!(
            "[[network.connect]]\nfrom = {a}\naction = \"deny\"\n[[network.connect]]\nfrom = {b}\naction = \"deny\"\n"
        )
    };
    for (a, b) in [
        ("\"10.1.2.3:80\"", "\"10.1.2.3:80\""),
        ("\"10.0.0.0/8\"", "\"10.0.0.0/8:*\""),
        ("\"*:10-20\"", "\"*:15-25\""),
    ] {
        assert_eq!(told(&two(a, b)), ["5 two rules for the same addresses: lines 2 and 5"], "{a} {b}");
    }
    image(&two("\"10.1.2.3:80\"\nprotocol = \"tcp\"", "\"10.1.2.3:80\"\nprotocol = \"udp\""));
    image(&two("\"10.1.2.3:80\"", "\"10.1.2.3\""));
    // Without brackets it is an address.
    image(&two("\"[::1]:80\"", "\"::1:80\""));
    image(&two("\"*:10-20\"", "\"*:21-31\""));
}

const RULES: &str = "[network]
hosts = { db = [\"10.1.2.3\"] }
[[network.connect]]
from = \"*\"
action = \"deny\"
[[network.connect]]
from = \"10.0.0.0/8\"
action = \"unreachable\"
[[network.connect]]
from = \"10.1.0.0/16:5000-5009\"
to = \"127.0.0.1:6000-6009\"
[[network.connect]]
from = \"10.1.0.0/16:5005\"
action = \"refuse\"
[[network.connect]]
from = \"db:5432\"
to = \"unix:sock\"
[[network.connect]]
from = \"192.168.7.0/24\"
to = \"127.0.7.0/24\"
[[network.connect]]
from = \"10.1.2.3:53\"
to = \"127.0.0.1:5353\"
protocol = \"udp\"
[[network.bind]]
from = \"0.0.0.0:80\"
to = \"127.0.0.1:8080\"
[[network.connect]]
from = \"127.0.0.1:80\"
to = \"127.0.0.1:9090\"
";

#[test]
fn the_more_specific_rule_decides() {
    let asked = [
        "10.9.9.9:5000",
        "10.1.9.9:5003",
        "10.1.9.9:5005",
        "10.1.9.9:6000",
        "db:5432",
        "192.168.7.33:22",
        "10.1.2.3:53",
        "8.8.8.8:53",
        "[::1]:22",
        "[::ffff:10.9.9.9]:22",
        "127.0.0.1:80",
        "127.0.0.2:80",
    ];
    let of = |protocol| decided(RULES, Direction::Connect, protocol, &asked);
    let mut expected = [
        "Unreachable by 7",
        "127.0.0.1:6003 by 10",
        "Refuse by 13",
        "Unreachable by 7",
        "/p/sock by 16",
        "127.0.7.33:22 by 19",
        "Unreachable by 7",
        "Deny by 4",
        "Deny by 4",
        "Unreachable by 7",
        // What is spelled out goes before what follows from a rule of bind.
        "127.0.0.1:9090 by 29",
        "127.0.0.1:8080 by 26",
    ];
    assert_eq!(of(Protocol::Tcp), expected);
    expected[4] = "Unreachable by 7";
    expected[6] = "127.0.0.1:5353 by 22";
    assert_eq!(of(Protocol::Udp), expected);
    let bound = decided(RULES, Direction::Bind, Protocol::Tcp, &[":80", "127.0.0.1:80", ":81"]);
    assert_eq!(bound, ["127.0.0.1:8080 by 26", "its own", "its own"]);
}

#[test]
fn all_that_is_wrong_with_names_is_told_at_once() {
    let text = "[network]
hosts = { \"a b\" = [\"10.1.2.3\"], ok = [\"10.1.2\"], none = [] }
services = { shop = \"9001\", \"a#b\" = \"9001/tcp\", till = \"0/tcp\" }
order = []
[network.resolver]
nameservers = [\"10.0.0.0/8\", \"ns.old.corp\", \"10.1.1.1:53-54\", \"10.1.1.1\"]
search = [\"a..b\"]
options = [\"ndots 2\", \"ndots:x\", \"rotat\", \"rotate\", \"timeout:1\"]
";
    assert_eq!(
        told(text),
        [
            "2 a host cannot be called \"a b\"",
            "2 \"10.1.2\" is no address",
            "2 `none` has no address",
            "3 `shop` cannot be \"9001\"",
            "3 a service cannot be called \"a#b\"",
            "3 `till` cannot be \"0/tcp\"",
            "4 `order` is empty",
            "6 a name server cannot be \"10.0.0.0/8\"",
            "6 a name server cannot be \"ns.old.corp\"",
            "6 a name server cannot be \"10.1.1.1:53-54\"",
            "6 too many name servers",
            "7 a domain cannot be called \"a..b\"",
            "8 an option of the resolver cannot be \"ndots 2\"",
            "8 an option of the resolver cannot be \"ndots:x\"",
            "8 an option of the resolver cannot be \"rotat\"",
        ]
    );
}

#[test]
fn name_servers_that_share_an_address_are_told_apart() {
    let text = "[network.resolver]
nameservers = [\"127.0.0.1:5353\", \"127.0.0.1\", \"127.0.0.1:5354\"]
";
    let (policy, _) = image(text);
    let file = policy.generated.iter().find(|file| file.mount.at == Path::new("/etc/resolv.conf"));
    let Some(launcher_policy::What::Content { bytes, .. }) = file.map(|file| &file.mount.what) else {
        panic!("no resolv.conf");
    };
    let text_of_file = String::from_utf8_lossy(bytes);
    assert_eq!(text_of_file, "nameserver 127.53.0.1\nnameserver 127.0.0.1\nnameserver 127.53.0.3\n");
    let asked = ["127.53.0.1:53", "127.0.0.1:53", "127.53.0.3:53"];
    let led = decided(text, Direction::Connect, Protocol::Udp, &asked);
    assert_eq!(led, ["127.0.0.1:5353 by 1", "its own", "127.0.0.1:5354 by 1"]);
}

#[test]
fn ten_thousand_hosts_are_no_trouble() {
    let hosts: Vec<String> =
        (0..10_000).map(|n| format!("\"h{n}\" = [\"10.{}.{}.1\"]", n / 250, n % 250)).collect();
    let (policy, _) = image(&format!("[network]\nhosts = {{ {} }}\n", hosts.join(", ")));
    assert_eq!(policy.network.names.addresses("h9999").len(), 1);
}

#[test]
fn other_instances_are_reached_at_what_their_policies_bind() {
    let dir = std::env::temp_dir().join(format!("launcher-test-peers-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary directory is writable");
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("it is writable");
    write(
        "web.toml",
        "[[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:8080\"\n[[network.bind]]\nfrom = \"[::]:80\"\nto = \"[::1]:8080\"\n",
    );
    write(
        "db.toml",
        "[[network.bind]]\nfrom = \"10.1.2.3:5432\"\nto = \"127.0.0.1:15432\"\n[names]\nweb = \"web.toml\"\n",
    );
    write("none.toml", "");
    write("wrong.toml", "[[network.bind]]\nfrom = \"10.1.2.300\"\nto = \"127.0.0.1\"\n");
    let told = |text: &str| match parse(&dir.join("app.toml"), text, &|_| None) {
        Ok(policy) => panic!("this policy is taken: {:?}", policy.network.names.hosts),
        Err(report) => report.diagnostics().iter().map(|d| d.message.clone()).collect::<Vec<_>>(),
    };
    assert_eq!(
        told("[names]\nx = \"none.toml\"\n"),
        ["the policy of `x` leads nothing that is bound elsewhere"]
    );
    assert_eq!(told("[names]\nx = \"wrong.toml\"\n"), ["the policy of `x` is wrong"]);
    assert_eq!(told("[names]\nx = \"missing.toml\"\n"), ["the policy of `x` cannot be read: missing.toml"]);
    assert_eq!(told("[names]\n\"a b\" = \"web.toml\"\n"), ["an instance cannot be called \"a b\""]);
    let text = "[names]\ndb = \"db.toml\"\nweb = \"web.toml\"\n";
    let policy = parse(&dir.join("app.toml"), text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let led = |asked: &str| {
        let asked = endpoints(&policy.network.names, asked).unwrap_or_else(|why| panic!("{asked}: {why}"));
        let here = Path::new("/i");
        let plan = plan(&policy, false).unwrap_or_else(|report| panic!("{report}"));
        let image = plan.image(&Places { instance: here, kept: here, volumes: here });
        let view = View::from_bytes(&image).expect("our own image");
        let targets = asked.iter().map(|asked| {
            let rule = view.rules_for(Direction::Connect, *asked, Protocol::Tcp).next();
            rule.map_or("nowhere".into(), |rule| format!("{} by {}", shown(&rule.target(asked)), rule.line))
        });
        targets.collect::<Vec<_>>()
    };
    assert_eq!(led("db.instance:5432"), ["127.0.0.1:15432 by 2"]);
    assert_eq!(led("db.instance:80"), ["nowhere"]);
    assert_eq!(led("web.instance:80"), ["127.0.0.1:8080 by 3", "[::1]:8080 by 3"]);
    std::fs::remove_dir_all(&dir).expect("it is ours");
}
