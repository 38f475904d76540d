//! Addresses and ports as the application remembers them. The oracle is a machine that has them: the
//! same program, natively in a network namespace of its own, prints the same.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tests::{World, assert_same, compiled, feed, is_root, program, transcript, write};

/// Rules that lead to ports nobody has. Of a range ten are free.
fn rules() -> String {
    let free = ports();
    let port = |number: usize| free[number];
    format!(
        r#"
[[network.bind]]
from = "0.0.0.0:80"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.9:8081"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.2.0.0/16:5000-5009"
to = "127.0.0.1:{}-{}"
[[network.bind]]
from = "10.1.2.9"
to = "127.0.0.1"
[[network.bind]]
from = "*:82"
to = "127.0.0.1:{}"
[[network.bind]]
from = "[fd00::1]:80"
to = "[::1]:{}"
[[network.bind]]
from = "0.0.0.0:81"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.9:53"
to = "127.0.0.1:{}"
[[network.bind]]
from = "[fd00::1]:53"
to = "[::1]:{}"
[[network.bind]]
from = "127.0.0.1:9000"
to = "127.0.0.1:{}"
protocol = "udp"
[[network.bind]]
from = "0.0.0.0:83"
to = "127.0.0.1:{}"
[[network.bind]]
from = "[::]:83"
to = "[::1]:{}"
"#,
        port(0),
        port(1),
        port(2),
        port(2) + 9,
        port(12),
        port(13),
        port(14),
        port(15),
        port(16),
        port(17),
        port(18),
        port(18),
    )
}

/// Nineteen ports in a row that are free.
fn ports() -> Vec<u16> {
    // Tests run side by side.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (21_000 + std::process::id() % 5000 * 2) as u16;
    std::iter::repeat_with(|| start + NEXT.fetch_add(19, Ordering::Relaxed))
        .take(100)
        .map(|first| (first..first + 19).collect::<Vec<u16>>())
        .find(|all| all.iter().all(|port| TcpListener::bind(("::", *port)).is_ok()))
        .expect("ports are free")
}

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

/// What the program prints on a machine that has the addresses.
fn natively(probe: &Path) -> String {
    let script =
        "ip link set lo up; for a in 10.1.2.9/32 10.2.3.4/32 10.2.3.5/32; do ip address add $a dev lo; done
        ip address add fd00::1/128 dev lo nodad; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-ec", script, "sh"]).arg(probe).current_dir("/");
    transcript(&feed(&mut command, b""))
}

fn same_as_natively(name: &str, probe: &Path, doors: &[&str]) {
    if !is_root() {
        eprintln!("not root, so there is no machine with the addresses");
        return;
    }
    let expected = natively(probe);
    assert!(expected.ends_with("exit status: 0\n"), "{expected}");
    for door in doors {
        let head = format!("coverage.door = \"{door}\"\n{}", rules());
        let world = World::new(&format!("network-{name}-{door}"), &[], fill).as_user(65534).saying(&head);
        let said = transcript(&feed(world.in_view(probe).current_dir("/"), b""));
        assert_same("a machine that has the addresses", &expected, door, &said);
    }
}

#[test]
fn a_program_is_told_of_the_addresses_that_it_asks_for() {
    same_as_natively("glibc", &program("network"), &["shim", "gate"]);
}

#[test]
fn a_static_program_is_told_the_same() {
    let probe: PathBuf = compiled("network", &["-static"], "network-static");
    same_as_natively("static", &probe, &["gate"]);
}
