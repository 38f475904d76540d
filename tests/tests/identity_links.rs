//! The names and addresses of network interfaces: every way of asking has the policy's for
//! the one that it names, and the host's for the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::symbols::MUSL;
use tests::{World, assert_same, compiled, compiled_by, feed, program, transcript, write};

const SAID: &str = "00:50:56:aa:bb:cc";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

/// An interface of Ethernet's that is up, and its address.
fn card() -> Option<(String, String)> {
    let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut cards: Vec<(String, String)> = names
        .filter(|entry| fs::read_to_string(entry.path().join("type")).is_ok_and(|kind| kind == "1\n"))
        .filter(|entry| {
            let flags = fs::read_to_string(entry.path().join("flags")).unwrap_or_default();
            let flags = u32::from_str_radix(flags.trim_end().trim_start_matches("0x"), 16);
            flags.is_ok_and(|flags| flags & libc::IFF_UP as u32 != 0)
        })
        .filter_map(|entry| {
            let address = fs::read_to_string(entry.path().join("address")).ok()?;
            Some((entry.file_name().into_string().ok()?, address.trim_end().to_owned()))
        })
        .collect();
    cards.sort();
    let card = cards.pop();
    if card.is_none() {
        eprintln!("there is no network card to ask for");
    }
    card
}

fn machine(name: &str, door: &str, card: &str) -> World {
    World::new(&format!("links-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n[identity]\nmac = {{ {card} = \"{SAID}\" }}\n"))
}

fn same_but_for_the_address(name: &str, probe: &Path, doors: &[&str]) {
    let Some((card, address)) = card() else { return };
    for door in doors {
        let all: &[&str] = if *door == "gate" { &["all"] } else { &[] };
        let natively = transcript(&feed(Command::new(probe).arg(&card).args(all).current_dir("/"), b""));
        let expected: String = natively
            .lines()
            .map(|line| {
                let is_cards = line.contains(&format!(": {card} ")) || line.starts_with("sys: ");
                if is_cards { line.replace(&address, SAID) + "\n" } else { format!("{line}\n") }
            })
            .collect();
        assert!(expected.matches(SAID).count() > 7, "{expected}");
        let world = machine(name, door, &card);
        let mut command = world.in_view(probe);
        let said = transcript(&feed(command.arg(&card).args(all).current_dir("/"), b""));
        assert_same("the policy", &expected, door, &said);
    }
}

#[test]
fn every_way_of_asking_for_an_address_has_the_policys() {
    same_but_for_the_address("glibc", &program("links"), &["shim", "gate"]);
}

#[test]
fn a_static_program_is_told_the_same() {
    same_but_for_the_address("static", &compiled("links", &["-static"], "links-static"), &["gate"]);
}

#[test]
fn a_program_of_musl_is_told_the_same() {
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    let headers = "-I/usr/include/x86_64-linux-gnu";
    let kernels = ["-idirafter", "/usr/include", "-idirafter", headers.trim_start_matches("-I")];
    let probe = |more: &[&str], name: &str| -> PathBuf {
        compiled_by("musl-gcc", "links", &[&kernels[..], more].concat(), name)
    };
    same_but_for_the_address("musl", &probe(&[], "links-musl"), &["shim", "gate"]);
    same_but_for_the_address("musl-static", &probe(&["-static"], "links-musl-static"), &["gate"]);
}

#[test]
fn languages_agree_about_the_address() {
    let Some((card, _)) = card() else { return };
    let java = "public class Card { public static void main(String[] a) throws Exception { \
        System.out.println(java.util.HexFormat.ofDelimiter(\":\").formatHex(java.net.NetworkInterface.getByName(a[0]).getHardwareAddress())); } }";
    let script = r#"
        cat /sys/class/net/$1/address
        python3 -c 'import fcntl, socket, sys; s = socket.socket(); print(fcntl.ioctl(s, 0x8927, sys.argv[1].encode().ljust(40, b"\0"))[18:24].hex(":"))' $1
        echo "$2" > Card.java; java -XX:TieredStopAtLevel=1 Card.java $1
        node -e 'const all = require("os").networkInterfaces()[process.argv[1]]; console.log(all ? all[0].mac : process.argv[2])' $1 $3
        if command -v ip > /dev/null; then ip -o link show $1 | sed 's/.*ether \([^ ]*\).*/\1/'; else echo $3; fi
    "#;
    for door in ["shim", "gate"] {
        let world = machine("languages", door, &card);
        let dir = world.dir.to_string_lossy().into_owned();
        let script = format!("cd {dir}\n{script}");
        let said = world.view_says("/bin/bash", &["-c", &script, "bash", &card, java, SAID]);
        let expected = format!("{SAID}\n").repeat(5) + "--- standard error\n--- exit status: 0\n";
        assert_same("the policy", &expected, door, &said);
    }
}

/// What the probe has said, in words: how wide a column is depends on a name, and so does the order of a listing.
fn in_words(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace(':', " : ");
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.get(2) == Some(&".") {
            words.sort_unstable();
        }
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

/// A text with other names for words.
fn renamed(text: &str, other: &[(&str, &str)]) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut told = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (gap, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        let new = other.iter().find(|(old, _)| *old == word).map_or(word, |(_, new)| new);
        told += gap;
        told += new;
        rest = after;
    }
    told + rest
}

#[test]
fn every_way_of_asking_has_the_applications_name() {
    let Some((card, _)) = card() else { return };
    let probe = program("interfaces");
    let natively = transcript(&feed(Command::new(&probe).args([&card, "none7"]).current_dir("/"), b""));
    assert!(natively.matches(&card).count() > 40, "{natively}");
    for door in ["shim", "gate"] {
        for name in ["old-network7", "x0"] {
            let other = [(card.as_str(), name), ("none7", card.as_str())];
            let world = World::new(&format!("links-{name}-{door}"), &[], fill).saying(&format!(
                "coverage.door = \"{door}\"\n[identity]\ninterfaces = {{ {name} = \"{card}\" }}\n"
            ));
            let mut command = world.in_view(&probe);
            let said = transcript(&feed(command.args([name, &card]).current_dir("/"), b""));
            let expected = in_words(&renamed(&natively, &other));
            assert_same("the kernel, under other names", &expected, door, &in_words(&said));
        }
    }
}

#[test]
fn programs_find_an_interface_by_the_applications_name() {
    let Some((card, _)) = card() else { return };
    let script = r#"
        ls /sys/class/net | grep -cx "$1"; ls -d /sys/class/net/$2 2>&1 | grep -c 'No such'
        cat /sys/class/net/$1/address; grep -c "^ *$1:" /proc/net/dev; grep -c "$2" /proc/net/dev /proc/net/route
        python3 -c 'import socket, sys; names = [name for _, name in socket.if_nameindex()]; print(sys.argv[1] in names, sys.argv[2] in names)' $1 $2
        perl -MSocket -e 'socket(my $s, AF_INET, SOCK_DGRAM, 0); my $r = pack("a16x24", $ARGV[0]); print ioctl($s, 0x8933, $r) ? "found" : "none", "\n"' $1
        node -e 'const all = require("os").networkInterfaces(); console.log(process.argv[1] in all, all[process.argv[1]][0].mac)' $1
        if command -v ip > /dev/null; then
            ip -o link show $1 | sed 's/.*: \(.*\): <.*ether \([^ ]*\).*/\1 \2/'; ip -o -4 addr show $1 | awk '{ print $2, $NF }' | grep -c "$2"
            ip link show $2 2>&1; ip -o route show dev $1 | grep -c "$2"
        fi
    "#;
    for door in ["shim", "gate"] {
        let (name, address) = ("eno16777736", "00:50:56:aa:bb:cc");
        let world = World::new(&format!("links-programs-{door}"), &[], fill).saying(&format!(
            "coverage.door = \"{door}\"\n[identity]\ninterfaces = {{ {name} = \"{card}\" }}\nmac = {{ {name} = \"{address}\" }}\n"
        ));
        let said = world.view_says("/bin/bash", &["-c", script, "bash", name, &card]);
        let ip = if Path::new("/usr/sbin/ip").exists() || Path::new("/sbin/ip").exists() {
            format!("{name} {address}\n0\nDevice \"{card}\" does not exist.\n0\n")
        } else {
            String::new()
        };
        let expected = format!(
            "1\n1\n{address}\n1\n/proc/net/dev:0\n/proc/net/route:0\nTrue False\nfound\ntrue {address}\n{ip}\
             --- standard error\n--- exit status: {}\n",
            i32::from(!ip.is_empty())
        );
        assert_same("the policy", &expected, door, &said);
    }
}

#[test]
fn interfaces_may_change_names_with_each_other() {
    let world = World::new("links-swap", &[], fill);
    let names = ["one", "two", "three"];
    if !tests::is_root() {
        eprintln!("not root, so there are no interfaces to be made");
        return;
    }
    // In a namespace of its own the host has three more; what is told of them is their index.
    let make: String =
        names
        .iter()
        .map(|name| format!("for kind in dummy bridge ifb 0; do ip link add {name} type $kind 2> /dev/null && break; done || exit 77; "))
        .collect();
    let policy = world.dir.join("swap.toml");
    for (said, expected) in [
        ("one = \"two\"", "3 2 4"),
        ("one = \"two\", two = \"three\"", "3 4 2"),
        ("one = \"two\", two = \"one\"", "3 2 4"),
    ] {
        for door in ["shim", "gate"] {
            write(&policy, &format!("coverage.door = \"{door}\"\n[identity]\ninterfaces = {{ {said} }}\n"));
            let inside = "cat /sys/class/net/one/ifindex /sys/class/net/two/ifindex /sys/class/net/three/ifindex; \
                          python3 -c 'import socket; print(*[socket.if_nametoindex(name) for name in (\"one\", \"two\", \"three\")])'";
            let script = format!(
                "{make} mount -t sysfs none /sys; {} run --policy {} /bin/bash -c '{}'",
                tests::launcher().display(),
                policy.display(),
                inside.replace('\'', "'\\''"),
            );
            let said = transcript(&feed(Command::new("unshare").args(["-nm", "bash", "-c", &script]), b""));
            if said.contains("exit status: 77") {
                eprintln!("the kernel makes no interfaces");
                return;
            }
            let lines = expected.replace(' ', "\n");
            assert_same(
                "the policy",
                &format!("{lines}\n{expected}\n--- standard error\n--- exit status: 0\n"),
                door,
                &said,
            );
        }
    }
}
