//! Names of hosts and of ports. The oracle is a machine whose files say what the policy says, and whose name
//! server has port 53: a network namespace with the view's own files mounted in their places.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tests::symbols::MUSL;
use tests::{
    World, assert_same, compiled, compiled_by, feed, free_port, is_root, launcher, program, transcript, write,
};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/nameserver.py");

const FILES: &str = "hosts resolv.conf nsswitch.conf services host.conf protocols networks rpc";

/// Asks by Python, and by what it does not have.
const BOTH: &str = "/usr/bin/python3 -c \"$1\" && exec \"$2\"";

/// Asks in every way that Python has. The order of several addresses is another matter.
const ASKING: &str = r#"
import ctypes, socket, sys, threading
def tried(what, call):
    try:
        print(what, call())
    except (OSError, UnicodeError) as error:
        print(what, type(error).__name__, error)
def of(*words, **more):
    return sorted(map(repr, socket.getaddrinfo(*words, **more)))
for name in ["db.old.corp", "DB.old.corp", "erp01", "app", "app.old.corp", "alias", "both", "nobody", "nobody.old.corp", "localhost", "late", "10.9.9.9", "x" * 300, ""]:
    tried(name[:20], lambda: of(name, "shop", type=socket.SOCK_STREAM))
    tried(name[:20] + " by", lambda: socket.gethostbyname_ex(name))
for name in ["large", "broken", "other", "loop", "liar", "short"]:
    tried(name, lambda: len(of(name, 80, socket.AF_INET, socket.SOCK_STREAM)))
for family in [socket.AF_INET, socket.AF_INET6]:
    tried(family, lambda: of("erp01", 80, family, socket.SOCK_DGRAM))
    tried("mapped", lambda: of("db.old.corp", 80, socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_V4MAPPED | socket.AI_ALL))
for flags in [socket.AI_CANONNAME, socket.AI_NUMERICHOST, socket.AI_ADDRCONFIG, socket.AI_PASSIVE, socket.AI_NUMERICSERV]:
    tried(flags, lambda: of("db.old.corp", "shop", 0, 0, 0, flags))
tried("nobody's service", lambda: of("db.old.corp", "nonsense"))
tried("of udp", lambda: of("db.old.corp", "shop", type=socket.SOCK_DGRAM))
tried("one way", lambda: of("db.old.corp", "oneway"))
tried("passive", lambda: of(None, "shop", flags=socket.AI_PASSIVE))
tried("number", lambda: of("10.9.9.9", "ssh"))
tried("back", lambda: socket.gethostbyaddr("10.1.2.3"))
tried("back by dns", lambda: socket.gethostbyaddr("10.7.7.9"))
tried("back to nobody", lambda: socket.gethostbyaddr("10.7.7.8"))
tried("back in six", lambda: socket.gethostbyaddr("fd00::9"))
for flags in [0, socket.NI_NUMERICHOST, socket.NI_NUMERICSERV, socket.NI_DGRAM, socket.NI_NAMEREQD]:
    for end in [("10.1.2.3", 9001), ("10.7.7.9", 9002), ("10.7.7.8", 22)]:
        tried(("name", flags, end), lambda: socket.getnameinfo(end, flags))
tried("in six", lambda: socket.getnameinfo(("fd00::9", 9001), 0))
for name, protocol in [("shop", "tcp"), ("shop", "udp"), ("till", "tcp"), ("http", "tcp"), ("nonsense", "tcp")]:
    tried((name, protocol), lambda: socket.getservbyname(name, protocol))
tried("any", lambda: socket.getservbyname("shop"))
tried("port", lambda: (socket.getservbyport(9001), socket.getservbyport(22, "tcp")))
tried("no port", lambda: socket.getservbyport(9009, "tcp"))
libc = ctypes.CDLL(None)
room = ctypes.create_string_buffer(512)
for name in [b"app", b"app.old.corp", b"nobody.old.corp"]:
    for call in [libc.res_query, libc.res_search]:
        print(name, call(name, 1, 1, room, 512))
found = []
threads = [threading.Thread(target=lambda: found.append(of("app", 80, type=socket.SOCK_STREAM))) for _ in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(len(found), all(one == found[0] for one in found))
"#;

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(port: u16) -> Server {
    let mut child = Command::new("python3")
        .args([SERVER, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says so");
    assert_eq!(line, "ready\n");
    Server(child)
}

fn world(name: &str, door: &str, port: u16, more: &str) -> World {
    World::new(&format!("names-{name}-{door}"), &[], fill).saying(&format!(
        r#"coverage.door = "{door}"
[network]
hosts = {{ "db.old.corp" = ["10.1.2.3"], "erp01" = ["10.1.2.9", "fd00::9"], "xn--bcher-kva.old.corp" = ["10.1.2.33"] }}
protocols = {{ tunnel = 253 }}
networks = {{ oldnet = "10.0.0.0" }}
services = {{ shop = "9001/tcp", till = "9002/udp", oneway = "9003/udp" }}
resolver = {{ nameservers = ["127.0.0.1:{port}"], search = ["old.corp"], options = ["timeout:1", "attempts:2", "ndots:2", "edns0"] }}
[[mount]]
at = "/etc/rpc"
content = """
# Sun RPC
portmapper 100000 portmap sunrpc
till 300019 cash # the old one
broken x
"""
{more}
"#
    ))
}

/// What the program prints where the machine itself has the files, and its name server port 53.
fn natively(world: &World) -> String {
    let files = world.dir.join("files");
    std::fs::create_dir_all(&files).expect("the world is writable");
    let script = format!("for f in {FILES}; do cat /etc/$f > {}/$f; done", files.display());
    let said = world.view_says("/bin/sh", &["-c", &script]);
    assert_eq!(said, "--- standard error\n--- exit status: 0\n");
    let script = format!(
        "set -e; mount --make-rprivate /; ip link set lo up; cd {}; for f in {FILES}; do mount --bind $f /etc/$f; done
        cd /; exec 3< <(exec python3 {SERVER} 53); trap \"kill $!\" EXIT; read -r ready <&3; {}",
        files.display(),
        BOTH.replace("exec ", "")
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--", "bash", "-c", &script, "bash", ASKING]).arg(program("databases"));
    command.current_dir("/");
    transcript(&feed(&mut command, b""))
}

#[test]
fn every_way_of_asking_for_a_name_has_libcs_answer() {
    if !is_root() {
        eprintln!("not root, so libc cannot be given the files");
        return;
    }
    // What is slow waits for answers that do not come: side by side.
    std::thread::scope(|scope| {
        let native = scope.spawn(|| natively(&world("native", "gate", free_port(), "")));
        let doors = ["shim", "gate"].map(|door| (door, scope.spawn(move || in_view(door))));
        let expected = native.join().expect("the oracle runs");
        assert!(expected.ends_with("exit status: 0\n"), "{expected}");
        for (door, said) in doors {
            assert_same("libc", &expected, door, &said.join().expect("the view runs"));
        }
    });
}

fn in_view(door: &str) -> String {
    let port = free_port();
    let _server = server(port);
    let world = world("glibc", door, port, "");
    let mut command = world.in_view(Path::new("/bin/sh"));
    command.args(["-c", BOTH, "sh", ASKING]).arg(program("databases"));
    transcript(&feed(command.current_dir("/"), b""))
}

const RESOLVED: &str = "\
db.old.corp: 10.1.2.3
erp01: 10.1.2.9 fd00::9
app.old.corp: 10.7.7.7
both.old.corp: 10.7.7.7 fd00::7
app: 10.7.7.7
nobody.old.corp: nobody
--- standard error
--- exit status: 0
";

const ASKED: [&str; 6] = ["db.old.corp", "erp01", "app.old.corp", "both.old.corp", "app", "nobody.old.corp"];

const GO: &str = r#"package main
import ("fmt"; "net"; "os"; "sort"; "strings")
func main() {
	for _, name := range os.Args[1:] {
		all, err := net.LookupHost(name)
		sort.Strings(all)
		if err != nil { all = []string{"nobody"} }
		fmt.Printf("%s: %s\n", name, strings.Join(all, " "))
	}
}
"#;

/// A program of Go without libc, whose resolver is its own.
fn of_go(dir: &Path) -> PathBuf {
    write(dir.join("resolve.go"), GO);
    let mut go = Command::new("go");
    go.args(["build", "-o", "resolve", "resolve.go"]).current_dir(dir).env("CGO_ENABLED", "0");
    go.env("GOCACHE", std::env::temp_dir().join("launcher-test-go-cache")).env("GOFLAGS", "-mod=mod");
    assert!(go.status().expect("go is installed").success());
    dir.join("resolve")
}

#[test]
fn resolvers_of_other_makes_have_the_same_answers_through_the_gate() {
    let port = free_port();
    let _server = server(port);
    let world = world("others", "gate", port, "");
    let mut probes = vec![compiled("resolve", &["-static"], "resolve-static"), of_go(&world.dir.join("app"))];
    if Path::new(MUSL).exists() {
        probes.push(compiled_by("musl-gcc", "resolve", &["-static"], "resolve-musl"));
    }
    for probe in probes {
        let mut command = world.in_view(&probe);
        let said = transcript(&feed(command.args(ASKED).current_dir("/"), b""));
        assert_same("the policy", RESOLVED, &probe.display().to_string(), &said);
    }
    what_they_ask_is_told(&world, &world.dir.join("app/resolve"));
    // One that has no other resolver is told apart.
    let mut doctor = Command::new(launcher());
    doctor.args(["doctor", "--policy"]).arg(world.policy_file()).arg(world.dir.join("app/resolve"));
    let said = transcript(&feed(&mut doctor, b""));
    assert!(
        said.contains("names: Go's own resolver, which is in the program, reads the policy's files"),
        "{said}"
    );
    // c-ares reads resolv.conf itself, and asks from sockets that are not connected.
    let script = "require('dns').resolve4('app.old.corp', (e, a) => { console.log(e, a); require('dns').reverse('10.7.7.9', (e, n) => console.log(e, n)); })";
    let said = world.view_says("/usr/bin/node", &["-e", script]);
    assert_eq!(
        said,
        "null [ '10.7.7.7' ]\nnull [ 'nine.old.corp' ]\n--- standard error\n--- exit status: 0\n"
    );
}

/// Whatever the resolver, a trace through the gate shows what was asked for, whom, and what came back.
fn what_they_ask_is_told(world: &World, of_go: &Path) {
    let script = "getent ahosts app.old.corp; getent ahosts db.old.corp; dig +tcp +short both.old.corp AAAA; \
                  dig +short nobody.old.corp; dig +short -x 10.7.7.9; curl -s -m 2 http://alias.old.corp:1/; \
                  dig +ignore +short large.old.corp; $1 app.old.corp";
    let traced = |options: &[&str]| {
        let mut command = Command::new(launcher());
        command.arg("trace").args(options).arg("--policy").arg(world.policy_file());
        command.args(["--", "sh", "-c", script, "sh"]).arg(of_go).current_dir("/");
        transcript(&feed(&mut command, b""))
    };
    let said = traced(&[]);
    let line = |end: &str| format!("[{}:7]{end}\n", world.policy_file().display());
    let server = "127.0.0.1:53";
    for (count, wanted) in [
        (2, format!(" query app.old.corp A to {server} {}", line(""))),
        (2, format!(" reply app.old.corp A from {server} -> 10.7.7.7 {}", line(" = NOERROR"))),
        (1, format!(" reply both.old.corp AAAA from {server} -> fd00::7 {}", line(" = NOERROR"))),
        (1, format!(" reply nobody.old.corp A from {server} {}", line(" = NXDOMAIN"))),
        (
            1,
            format!(" reply 9.7.7.10.in-addr.arpa PTR from {server} -> nine.old.corp {}", line(" = NOERROR")),
        ),
        (1, format!(" reply alias.old.corp A from {server} -> app.old.corp 10.7.7.7 {}", line(" = NOERROR"))),
        (1, format!(" reply large.old.corp A from {server} {}", line(" = NOERROR, truncated"))),
    ] {
        assert_eq!(said.matches(&wanted).count(), count, "{wanted}{said}");
    }
    assert!(said.contains(" openat /etc/hosts -> "), "{said}");
    // What is on no name server's socket is not looked at: the words that go through the pipes here.
    assert!(!said.contains(" query db.old.corp"), "{said}");
    let said = traced(&["--json"]);
    let json = "\"answers\":[\"app.old.corp\",\"10.7.7.7\"],\"app\":\"alias.old.corp\",\"call\":\"reply\"";
    let (_, rest) = said.split_once(json).unwrap_or_else(|| panic!("{said}"));
    let rest = rest.split('\n').next().unwrap_or_default();
    for part in [
        "\"line\":7,",
        "\"nameserver\":\"127.0.0.1:53\"",
        "\"status\":\"NOERROR\"",
        "\"truncated\":false",
        "\"type\":\"A\"",
    ] {
        assert!(rest.contains(part), "{part} {rest}");
    }
}

/// Addresses that are reached by the loopback interface, by another, or not at all.
const SEVERAL: [(&str, &str); 6] = [
    ("far", "\"10.1.2.9\", \"fd00::9\", \"127.0.0.1\", \"::1\", \"169.254.1.1\""),
    ("near", "\"127.0.0.1\", \"::1\", \"127.9.9.9\", \"127.0.0.2\""),
    ("others", "\"192.0.2.1\", \"198.51.100.1\", \"127.255.0.1\", \"203.0.113.1\""),
    (
        "six",
        "\"fe80::1\", \"2002:c000:201::1\", \"2001:db8::1\", \"fc00::1\", \"::1\", \"2001::1\", \"::ffff:192.0.2.7\"",
    ),
    ("twice", "\"10.1.2.9\", \"127.0.0.1\", \"10.1.2.9\""),
    ("one", "\"10.1.2.9\""),
];

#[test]
fn several_addresses_of_a_name_come_in_libcs_order() {
    if !is_root() {
        eprintln!("not root, so libc cannot be given the files");
        return;
    }
    let script = "import socket
for name in 'far near others six twice one'.split():
    for kind in [0, socket.SOCK_STREAM]:
        for family in [0, socket.AF_INET, socket.AF_INET6]:
            try:
                found = socket.getaddrinfo(name, 80, family, kind, flags=socket.AI_CANONNAME)
                print(name, kind, family, found[0][3], [(end[0], kind) for _, kind, _, _, end in found])
            except OSError as error:
                print(name, kind, family, error)";
    let hosts: Vec<String> = SEVERAL.iter().map(|(name, all)| format!("{name} = [{all}]")).collect();
    let gai = "scopev4 ::ffff:127.0.0.0/104 14\nprecedence ::1/128 50\nprecedence ::/0 40\nprecedence ::ffff:0:0/96 100\n";
    for (kind, preferences) in [("usual", None), ("own", Some(gai))] {
        let world = |door: &str| {
            let mount = preferences.map_or(String::new(), |text| {
                format!("[[mount]]\nat = \"/etc/gai.conf\"\ncontent = \"\"\"{text}\"\"\"\n")
            });
            World::new(&format!("names-several-{kind}-{door}"), &[], fill).saying(&format!(
                "coverage.door = \"{door}\"\n[network]\nhosts = {{ {} }}\nmerge = false\norder = [\"hosts\"]\n{mount}",
                hosts.join(", ")
            ))
        };
        let said = |door: &str| world(door).view_says("/usr/bin/python3", &["-c", script]);
        let own = world("gate");
        let files = own.dir.join("files");
        std::fs::create_dir_all(&files).expect("the world is writable");
        for file in ["hosts", "gai.conf", "host.conf", "nsswitch.conf"] {
            let text = own.view_says("/bin/cat", &[&format!("/etc/{file}")]);
            write(files.join(file), text.split("--- standard error").next().unwrap_or_default());
        }
        let mounts = "set -e; mount --make-rprivate /; for f in hosts gai.conf host.conf nsswitch.conf; do mount --bind $1/$f /etc/$f; done; exec python3 -c \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", mounts, "sh"]).arg(&files).arg(script);
        let expected = transcript(&feed(command.current_dir("/"), b""));
        assert!(
            expected.contains("far 0 0 far [('::1', ") || expected.contains("far 0 0 far [('127.0.0.1', "),
            "{expected}"
        );
        for door in ["shim", "gate"] {
            assert_same("libc", &expected, door, &said(door));
        }
    }
}

#[test]
fn ten_thousand_hosts_and_a_name_server_that_is_down_are_no_trouble() {
    let hosts: Vec<String> =
        (0..10_000).map(|n| format!("\"h{n}\" = [\"10.{}.{}.1\"]", n / 250, n % 250)).collect();
    for door in ["shim", "gate"] {
        let head = format!(
            "coverage.door = \"{door}\"\n[network]\nhosts = {{ {} }}\n\
             resolver = {{ nameservers = [\"127.0.0.1:{}\"], options = [\"timeout:1\", \"attempts:1\"] }}\n",
            hosts.join(", "),
            free_port()
        );
        let world = World::new(&format!("names-many-{door}"), &[], fill).saying(&head);
        let mut command = world.in_view(&program("resolve"));
        let begun = Instant::now();
        let asked = ["h0", "h9999", "h10000"];
        let said = transcript(&feed(command.args(asked).current_dir("/"), b""));
        let expected =
            "h0: 10.0.0.1\nh9999: 10.39.249.1\nh10000: nobody\n--- standard error\n--- exit status: 0\n";
        assert_eq!(said, expected, "{door}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{door} takes {:?}", begun.elapsed());
    }
}

#[test]
fn names_are_looked_up_in_the_order_of_the_policy() {
    let port = free_port();
    let _server = server(port);
    let asked = ["app.old.corp", "own.corp", "both.old.corp"];
    for door in ["shim", "gate"] {
        for (order, expected, back) in [
            ("", ["10.1.2.99", "10.1.2.98", "10.7.7.7 fd00::7"], "own.nine.corp"),
            ("order = [\"dns\", \"hosts\"]", ["10.7.7.7", "10.1.2.98", "10.7.7.7 fd00::7"], "nine.old.corp"),
            ("order = [\"hosts\"]", ["10.1.2.99", "10.1.2.98", "nobody"], "own.nine.corp"),
            ("order = [\"dns\"]", ["10.7.7.7", "nobody", "10.7.7.7 fd00::7"], "nine.old.corp"),
        ] {
            let world = World::new(&format!("names-order-{door}"), &[], fill).saying(&format!(
                "coverage.door = \"{door}\"\n[network]\n{order}\n\
                 hosts = {{ \"app.old.corp\" = [\"10.1.2.99\"], \"own.corp\" = [\"10.1.2.98\"], \"own.nine.corp\" = [\"10.7.7.9\"] }}\n\
                 resolver = {{ nameservers = [\"127.0.0.1:{port}\"] }}\n"
            ));
            let mut command = world.in_view(&program("resolve"));
            let said = transcript(&feed(command.args(asked).current_dir("/"), b""));
            let lines: String =
                asked.iter().zip(expected).map(|(name, all)| format!("{name}: {all}\n")).collect();
            assert_eq!(said, lines + "--- standard error\n--- exit status: 0\n", "{door} {order}");
            // perl has gethostbyname(3) and gethostbyaddr(3), which go the same way.
            let script = "use Socket; while ($_ = shift) { my $a = gethostbyname($_); print \"$_: \", $a ? inet_ntoa($a) : 'nobody', \"\\n\" }
                print scalar gethostbyaddr(inet_aton('10.7.7.9'), AF_INET), \"\\n\"";
            let said = world.view_says("/usr/bin/perl", &[&["-e", script][..], &asked].concat());
            let first = |all: &str| all.split(' ').next().unwrap_or_default().to_owned();
            let lines = asked.iter().zip(expected).map(|(name, all)| format!("{name}: {}\n", first(all)));
            let lines: String = lines.collect();
            assert_eq!(
                said,
                format!("{lines}{back}\n--- standard error\n--- exit status: 0\n"),
                "{door} {order}"
            );
        }
    }
}

#[test]
fn what_the_policy_says_comes_before_what_was_there_or_instead_of_it() {
    let keys = "hosts = { db = [\"10.1.2.3\"] }\nservices = { shop = \"9001/tcp\" }\nprotocols = { tunnel = 253 }\n\
                networks = { oldnet = \"10.0.0.0\" }\n";
    let own = [
        ("hosts", "10.1.2.3 db\n", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
        ("services", "shop 9001/tcp\n", ""),
        ("protocols", "tunnel 253\n", ""),
        ("networks", "oldnet 10.0.0.0\n", ""),
    ];
    for merge in [true, false] {
        let world =
            World::new("names-merged", &[], fill).saying(&format!("[network]\nmerge = {merge}\n{keys}"));
        for (file, first, least) in own {
            let said = world.view_says("/bin/cat", &[&format!("/etc/{file}")]);
            let before = std::fs::read_to_string(format!("/etc/{file}")).unwrap_or_else(|_| least.into());
            let after = if merge { before.as_str() } else { least };
            assert_eq!(
                said,
                format!("{first}{after}--- standard error\n--- exit status: 0\n"),
                "{file} {merge}"
            );
        }
        assert_eq!(
            world.view_says("/bin/cat", &["/etc/host.conf"]),
            "multi on\n--- standard error\n--- exit status: 0\n"
        );
    }
}
