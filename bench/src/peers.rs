//! Who is measured: four tables of names and command prefixes.
//!
//! To add a peer is to add a line. In its words `{launcher}`, `{policy}`, `{layers}`, `{overlays}`, `{owners}`, `{own}`,
//! `{filter}`, `{empty}`, `{redhook}` and `{etc}` stand for files of this run, and leading words of
//! the form `NAME=value` go into the environment. `{mounts}` stands for `bind`,
//! once for each mount, with the mount's `{source}` and `{at}`. A peer whose
//! words have no `{mounts}` and no `{policy}` cannot mount: where an operation
//! is on a mount, it is measured on the tree that native has there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ground::{Ground, Rules};

/// A way to run a program.
pub struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    prefix: &'static str,
    bind: &'static str,
}

const fn peer(name: &'static str, prefix: &'static str, bind: &'static str) -> Peer {
    Peer { name, prefix, bind }
}

/// Which of the tables below is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those that serve mounts, or could.
    Mounts,
    /// Those that say who the machine is.
    Fakes,
    /// Those that serve layers.
    Unions,
    /// Those that play root for an ordinary user.
    Owners,
}

impl Among {
    /// All of them, in the order of the result.
    pub const ALL: [Among; 4] = [Among::Mounts, Among::Fakes, Among::Owners, Among::Unions];

    /// The table. Native is first.
    pub fn peers(self) -> &'static [Peer] {
        match self {
            Among::Mounts => PEERS,
            Among::Fakes => FAKES,
            Among::Unions => UNION_PEERS,
            Among::Owners => OWNER_PEERS,
        }
    }
}

/// All of them. Native is first; the launcher comes next, by the shim and by the gate.
static PEERS: &[Peer] = &[
    peer("native", "", ""),
    peer("shim", "{launcher} --door shim --policy {policy}", ""),
    peer("gate", "{launcher} --door gate --policy {policy}", ""),
    peer("any filter", "{filter} any", ""),
    // What a door on system calls cannot be quicker than.
    peer("filter by caller", "{filter} caller", ""),
    peer("empty preload", "LD_PRELOAD={empty}", ""),
    peer("redhook", "LD_PRELOAD={redhook}", ""),
    peer("fakechroot", "fakechroot", ""),
    peer("proot", "proot {mounts}", "-b {source}:{at}"),
    peer("bubblewrap", "bwrap --dev-bind / / {mounts}", "--bind {source} {at}"),
];

/// Words that begin as an ordinary user's.
macro_rules! as_user {
    ($words:literal) => {
        concat!(
            "XDG_RUNTIME_DIR={own} STATE_DIRECTORY={own} setpriv --reuid 65534 --regid 65534 --clear-groups ",
            $words
        )
    };
}

/// Where the mounts are unions of layers. Native has the lowest layer.
static UNION_PEERS: &[Peer] = &[
    peer("native", "", ""),
    peer("shim", "{launcher} --door shim --policy {layers}", ""),
    peer("gate", "{launcher} --door gate --policy {layers}", ""),
    peer("overlayfs", "unshare --mount sh {overlays} overlay", ""),
    // What serves the mounts would outlive the program, but for a namespace that ends with it.
    peer("fuse-overlayfs", "unshare --mount --pid --kill-child sh {overlays} fuse-overlayfs", ""),
];

/// Where the policy says who the machine and its users are, what day it is, and where names lead.
static FAKES: &[Peer] = &[
    peer("native", "", ""),
    peer("shim", "{launcher} --door shim --policy {policy}", ""),
    peer("gate", "{launcher} --door gate --policy {policy}", ""),
    peer(
        "nss_wrapper",
        "LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD={etc}/passwd NSS_WRAPPER_GROUP={etc}/group NSS_WRAPPER_HOSTS={etc}/hosts",
        "",
    ),
    peer("socket_wrapper", "LD_PRELOAD=libsocket_wrapper.so SOCKET_WRAPPER_DIR={etc}", ""),
    peer("faketime", "faketime -f -400d", ""),
    peer("proxychains4", "proxychains4 -q -f {etc}/proxychains.conf", ""),
];

/// Who runs as an ordinary user, and plays root: `{owners}` is the policy, `{own}` that user's directory.
static OWNER_PEERS: &[Peer] = &[
    peer("native", "setpriv --reuid 65534 --regid 65534 --clear-groups", ""),
    peer("shim, run_as", as_user!("{launcher} --door shim --policy {owners}"), ""),
    peer("gate, run_as", as_user!("{launcher} --door gate --policy {owners}"), ""),
    peer("fakeroot", as_user!("fakeroot"), ""),
    peer("uid_wrapper", as_user!("env LD_PRELOAD=libuid_wrapper.so UID_WRAPPER=1 UID_WRAPPER_ROOT=1"), ""),
];

impl Peer {
    /// Whether it is installed.
    pub fn is_present(&self) -> bool {
        let (_, words) = self.words();
        let is_there = |program: &str| program.starts_with('{') || on_path(program).is_some();
        let library = self.prefix.split_whitespace().find_map(|word| word.strip_prefix("LD_PRELOAD=lib"));
        let libraries = Path::new("/usr/lib/x86_64-linux-gnu");
        words.first().is_none_or(|program| is_there(program))
            && library.is_none_or(|name| libraries.join(format!("lib{name}")).exists())
            && (self.name != "fuse-overlayfs" || is_there(self.name))
    }

    /// Whether it is the program as it is.
    pub fn is_native(&self) -> bool {
        self.name == "native"
    }

    /// Whether it is the launcher.
    pub fn is_ours(&self) -> bool {
        self.prefix.contains("{launcher}")
    }

    /// Whether it can serve mounts, as native does where they are real.
    pub fn mounts(&self) -> bool {
        self.prefix.contains("{policy}") || self.prefix.contains("{mounts}")
    }

    /// A command that runs `program` under a policy, or among its mounts.
    pub fn command(&self, ground: &Ground, rules: Rules, program: &Path, arguments: &[String]) -> Command {
        let fill = |text: &str| {
            text.replace("{launcher}", &tests::launcher().to_string_lossy())
                .replace("{policy}", &ground.policy(rules).to_string_lossy())
                .replace("{layers}", &ground.layers().to_string_lossy())
                .replace("{overlays}", &ground.overlays().to_string_lossy())
                .replace("{owners}", &ground.owners().to_string_lossy())
                .replace("{own}", &ground.own().to_string_lossy())
                .replace("{filter}", &ground.filter.to_string_lossy())
                .replace("{empty}", &ground.empty.to_string_lossy())
                .replace("{redhook}", &ground.redhook.to_string_lossy())
                .replace("{etc}", &ground.etc())
        };
        let (environment, prefix) = self.words();
        let mut words = Vec::new();
        for word in prefix {
            if word == "{mounts}" {
                words.extend((0..rules.mounts()).flat_map(|mount| self.binds(ground, mount)));
            } else {
                words.push(fill(word));
            }
        }
        words.push(program.to_string_lossy().into_owned());
        words.extend_from_slice(arguments);
        // Found once: what is measured is the program, not the search for it.
        let first = on_path(&words[0]).unwrap_or_else(|| PathBuf::from(&words[0]));
        let mut command = Command::new(first);
        command
            .args(&words[1..])
            .env("XDG_RUNTIME_DIR", &ground.runtime)
            .env("STATE_DIRECTORY", ground.state())
            .current_dir("/")
            .stdin(Stdio::inherit());
        for (name, value) in environment {
            command.env(name, fill(value));
        }
        command
    }

    /// The prefix as variables and words.
    fn words(&self) -> (Vec<(&str, &str)>, Vec<&'static str>) {
        let words: Vec<&'static str> = self.prefix.split_whitespace().collect();
        let first = words.iter().position(|word| !word.contains('=')).unwrap_or(words.len());
        let environment = words.iter().take(first).filter_map(|word| word.split_once('=')).collect();
        (environment, words[first..].to_vec())
    }

    fn binds(&self, ground: &Ground, mount: usize) -> Vec<String> {
        let (source, at) = (ground.source(mount), ground.at(mount));
        let fill = |word: &str| {
            word.replace("{source}", &source.to_string_lossy()).replace("{at}", &at.to_string_lossy())
        };
        self.bind.split_whitespace().map(fill).collect()
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
