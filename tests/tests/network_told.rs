//! What a person is told of addresses and names: by `explain`, and by `trace`.

use std::path::Path;
use std::process::Command;

use tests::{World, feed, launcher, transcript, write};

const POLICY: &str = "[network]
hosts = { \"db.old.corp\" = [\"10.1.2.3\"], erp01 = [\"10.1.2.9\", \"fd00::9\"] }
resolver = { nameservers = [\"127.0.0.1:5353\"] }
merge = false
[[network.bind]]
from = \"0.0.0.0:80\"
to = \"127.0.0.1:45080\"
[[network.connect]]
from = \"db.old.corp:5432\"
to = \"127.0.0.1:1\"
[[network.connect]]
from = \"10.1.2.3:53\"
to = \"127.0.0.1:45053\"
protocol = \"udp\"
[[network.connect]]
from = \"*\"
action = \"unreachable\"
";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn told(policy: &Path, words: &[&str]) -> String {
    let mut command = Command::new(launcher());
    command.arg("explain").arg("--policy").arg(policy.file_name().expect("a name")).args(words);
    transcript(&feed(command.current_dir(policy.parent().expect("a parent")), b""))
}

#[test]
fn an_address_and_a_name_are_explained_with_the_line_that_decides() {
    let world = World::new("network-explained", &[], fill);
    let policy = world.dir.join("app.toml");
    write(&policy, POLICY);
    let asked = [
        "connect:10.1.2.3:5432",
        "connect:db.old.corp:53",
        "bind::80",
        "bind:[::1]:80",
        "connect:127.0.0.1:80",
        "host:db.old.corp",
        "host:nobody.old.corp",
    ];
    let expected = "\
connect:10.1.2.3:5432
  becomes   127.0.0.1:1
  decided   app.toml:9
connect:db.old.corp:53
  becomes   tcp: refused: EHOSTUNREACH
  decided   app.toml:16
  becomes   udp: 127.0.0.1:45053
  decided   app.toml:12
bind::80
  becomes   127.0.0.1:45080
  decided   app.toml:6
bind:[::1]:80
  becomes   [::1]:80, as it is asked for
  decided   no rule
connect:127.0.0.1:80
  becomes   127.0.0.1:45080
  decided   app.toml:6
host:db.old.corp
  becomes   10.1.2.3
  decided   app.toml:2
host:nobody.old.corp
  becomes   what the name servers say: 127.0.0.1:5353
  decided   app.toml:3
--- standard error
--- exit status: 0
";
    assert_eq!(told(&policy, &asked), expected);
    let json = told(&policy, &["--json", "connect:10.1.2.3:5432"]);
    for part in ["\"asked\": \"connect:10.1.2.3:5432\"", "\"outcome\": \"127.0.0.1:1\"", "\"line\": 9"] {
        assert!(json.contains(part), "{json}");
    }
    for wrong in ["connect:10.1.2.3", "connect:nobody.old.corp:80", "bind:10.0.0.0/8:80", "connect:"] {
        let said = told(&policy, &[wrong]);
        assert!(said.contains(&format!("launcher: {wrong}: ")) && !said.ends_with(" 0\n"), "{said}");
    }
}

const ASKING: &str = r#"
import socket
def tried(call):
    try:
        call()
    except OSError:
        pass
tried(lambda: socket.create_connection(("10.1.2.3", 5432)))
tried(lambda: socket.create_connection(("10.9.9.9", 80)))
tried(lambda: socket.socket().bind(("0.0.0.0", 80)))
tried(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("10.1.2.3", 53)))
tried(lambda: socket.getaddrinfo("erp01", 80))
tried(lambda: socket.gethostbyname_ex("erp01"))
tried(lambda: socket.gethostbyaddr("10.1.2.3"))
tried(lambda: socket.getnameinfo(("fd00::9", 80), 0))
"#;

#[test]
fn a_trace_shows_what_was_asked_for_what_was_used_and_the_rule() {
    for door in ["shim", "gate"] {
        let world = World::new(&format!("network-traced-{door}"), &[], fill);
        let policy = world.dir.join("app.toml");
        write(&policy, POLICY);
        let mut command = Command::new(launcher());
        command.args([
            "trace",
            "--policy",
            "app.toml",
            "--door",
            door,
            "--",
            "/usr/bin/python3",
            "-c",
            ASKING,
        ]);
        let said = transcript(&feed(command.current_dir(&world.dir), b""));
        let lines = [
            " connect 10.1.2.3:5432 -> 127.0.0.1:1 [app.toml:9] = ECONNREFUSED\n",
            " connect 10.9.9.9:80 [app.toml:16] = EHOSTUNREACH\n",
            " bind 0.0.0.0:80 -> 127.0.0.1:45080 [app.toml:6] = 0\n",
            " sendto 10.1.2.3:53 -> 127.0.0.1:45053 [app.toml:12] = 0\n",
            " getaddrinfo erp01 -> fd00::9 10.1.2.9 [app.toml:2] = 0\n",
            " gethostbyname erp01 -> 10.1.2.9 [app.toml:2] = 0\n",
            " gethostbyaddr 10.1.2.3 -> db.old.corp [app.toml:2] = 0\n",
            " getnameinfo fd00::9 -> erp01 [app.toml:2] = 0\n",
        ];
        // Through the gate a name is what libc reads of the file.
        let shown = if door == "shim" { &lines[..] } else { &lines[..4] };
        for line in shown {
            assert!(said.contains(line), "{door}: {line}{said}");
        }
        assert!(door == "shim" || said.contains(" /etc/hosts -> "), "{said}");
    }
}
