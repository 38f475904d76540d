//! Where a run was made: machine, kernel, libc, and the versions of all that was asked.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// The Debian packages that the peers are from.
const PACKAGES: &[&str] = &[
    "bubblewrap",
    "fakechroot",
    "fakeroot",
    "faketime",
    "fuse-overlayfs",
    "libnss-wrapper",
    "libresolv-wrapper",
    "libsocket-wrapper",
    "libuid-wrapper",
    "proot",
    "proxychains4",
];

/// Names and what they were.
pub struct Head(Vec<(String, String)>);

impl Head {
    /// Asks the machine.
    pub fn ask(quick: bool) -> Head {
        let line = |program: &str, words: &[&str]| {
            let said = Command::new(program).args(words).output().ok();
            let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
            said.and_then(|said| said.lines().next().map(str::to_owned)).unwrap_or_else(|| "not known".into())
        };
        let field = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
            line.map_or("not known".into(), |line| line.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let launcher = tests::launcher().to_string_lossy().into_owned();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut head = vec![
            ("date".into(), line("date", &["-u", "+%F"])),
            ("launcher".into(), line(&launcher, &["--version"])),
            ("processor".into(), format!("{processors} of {}", field("/proc/cpuinfo", "model name"))),
            ("memory".into(), field("/proc/meminfo", "MemTotal")),
            ("kernel".into(), line("uname", &["-srm"])),
            ("libc".into(), line("getconf", &["GNU_LIBC_VERSION"])),
            ("system".into(), field("/etc/os-release", "PRETTY_NAME=").trim_matches('"').to_owned()),
            (
                "file system".into(),
                line("stat", &["-f", "-c", "%T", &std::env::temp_dir().to_string_lossy()]),
            ),
        ];
        if quick {
            head.push(("effort".into(), "--quick: the times are not to be believed".into()));
        }
        for package in PACKAGES {
            let version = line("dpkg-query", &["--show", "--showformat=${Version}\n", package]);
            head.push(((*package).into(), version));
        }
        Head(head)
    }

    /// The head of the page.
    pub fn markdown(&self) -> String {
        let mut text = "# Results\n\nWritten by `cargo xtask bench --write`. \
                        [README.md](README.md) says how to read it.\n\n| where | what |\n|---|---|\n"
            .to_owned();
        for (name, what) in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {name} | {what} |");
        }
        text
    }

    /// What one of its names was.
    pub fn of(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("not known", |(_, what)| what)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!(self.0.iter().cloned().collect::<std::collections::BTreeMap<String, String>>())
    }
}
