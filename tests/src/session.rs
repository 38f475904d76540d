//! Shell sessions, run among the kernel's mounts and in the view.
//!
//! Where calls.c makes one call, a session runs whole programs. The session
//! finds the app directory in `$APP`, and what it leaves behind is compared
//! too: the trees under the mounts' sources must be the same afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{World, assert_same, feed, is_root, transcript};

/// What every session begins with: `run` shows a command, what it prints, and
/// its exit status, in the order in which it happens.
const PROLOGUE: &str = r#"
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME="$APP" TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset CDPATH BASH_ENV
run() { echo "\$ $*"; "$@" 2>&1; echo "= $?"; }
"#;

/// For sessions with servers: waits for a file with something in it, for a
/// process to go, for a port to be listened on.
pub const WAITING: &str = r#"
appears() { for _ in $(seq 400); do [ -s "$1" ] && return; sleep 0.05; done; echo "$1 did not appear"; }
goes() { for _ in $(seq 400); do kill -0 "$1" 2>/dev/null || return; sleep 0.05; done; echo "$1 did not go"; kill -9 "$1"; }
listens() { for _ in $(seq 400); do (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nobody listens"; }
"#;

impl World {
    /// Runs a session of a shell in both, and holds what it prints, its
    /// status and what it leaves behind against each other.
    pub fn same_session(&self, shell: &str, script: &str) {
        if !is_root() {
            eprintln!("not root, so there are no mounts to compare with");
            return;
        }
        let script = format!("{PROLOGUE}{script}");
        let shell = Path::new(shell);
        let run = |mut command: Command| {
            command.arg("-c").arg(&script).env("APP", self.dir.join("app")).current_dir("/");
            transcript(&feed(&mut command, b"")) + "--- left behind\n" + &self.left_behind()
        };
        self.make();
        let expected = run(self.among_mounts(shell));
        self.make();
        let found = run(self.in_view(shell));
        assert_same("the kernel", &expected, "the view", &found);
        if std::env::var_os("SHOW_SESSIONS").is_some() {
            eprintln!("{found}");
        }
    }

    /// Every name below the sources with its kind, permissions and link
    /// target, one a line, sorted. Contents are what the session itself shows.
    /// What is hidden is left out: the kernel's side has it not at all.
    fn left_behind(&self) -> String {
        let top = self.dir.join("host");
        let listed = Command::new("find").arg(".").args(["-printf", "%M %p %l\n"]).current_dir(top).output();
        let listed = listed.expect("find is installed");
        let hidden: Vec<String> = self
            .mounts
            .iter()
            .filter(|mount| mount.source.is_none())
            .filter_map(|mount| mount.at.rsplit('/').next().map(|name| format!("/{name}")))
            .collect();
        let mut lines: Vec<_> = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter(|line| !hidden.iter().any(|name| line.contains(name)))
            .map(|line| format!("{line}\n"))
            .collect();
        lines.sort();
        lines.concat()
    }
}

/// A port of the loopback interface that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Where a program of the host is, as `PATH` finds it.
pub fn which(name: &str) -> PathBuf {
    let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = dirs.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is installed: `cargo xtask packages`"))
}
