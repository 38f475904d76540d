//! The addresses of network interfaces: every way of asking has the policy's for
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
