//! Who is asked: a table of names and command prefixes.
//!
//! To add a peer is to add a line. Each has the best configuration that it knows for what
//! the policy says. Leading words of the form `NAME=value` go into the environment.
//! `{binds}` stands for `bind`, or `read_only` where that is said, once for each thing that stands at another
//! path, with its `{source}` and `{at}`; `{who}` for the words that make it an ordinary
//! user or root; `{keep}` for those that have owners kept from one start to the next; the other names in braces are those of `world.rs`.

use std::path::{Path, PathBuf};

use super::rows::Group::{self, Addresses, Credentials, Host, Names, Paths, Starts, Time, Union, Users};
use super::rows::Row;
use super::world::{Bind, World};

/// A way to run a program.
pub struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    prefix: &'static str,
    bind: &'static str,
    read_only: &'static str,
    /// The words for an ordinary user, and for root.
    who: [&'static str; 2],
    /// Whether it is started by root.
    pub by_root: bool,
    /// A program or library that it is, where that is not its first word.
    needs: &'static str,
    /// What it is made for.
    pub claims: &'static [Group],
    /// What it is asked where it is asked how far it reaches: a program, its words and the answer.
    pub ask: (&'static str, &'static str, &'static str),
}

const FILE: (&str, &str, &str) = ("files", "open {data}/file", "mapped");
const IDS: (&str, &str, &str) = ("files", "ids", "0 0 0 0 0 0");
const USER: (&str, &str, &str) = ("host", "getpwnam oracle", "54321 54321 /home/oracle");
const CLOCK: (&str, &str, &str) = ("host", "clock {now}", "-400.0 days");
const QUERY: (&str, &str, &str) = ("host", "res_query mail.old.corp", "127.9.2.4");
const PORT: (&str, &str, &str) = ("host", "getsockname 127.0.0.1 80", "127.0.0.1:80");
const CONNECT: (&str, &str, &str) = ("host", "greet 127.9.2.3 5432", "welcome");

/// One that says all with its prefix alone.
const fn peer(name: &'static str, prefix: &'static str, claims: &'static [Group]) -> Peer {
    Peer {
        name,
        prefix,
        bind: "",
        read_only: "",
        who: ["", ""],
        by_root: false,
        needs: "",
        claims,
        ask: FILE,
    }
}

const BUBBLEWRAP: Peer = Peer {
    bind: "--bind {source} {at}",
    read_only: "--ro-bind {source} {at}",
    who: ["", "--unshare-user --uid 0 --gid 0"],
    ..peer(
        "bubblewrap",
        "bwrap --dev-bind / / --unshare-uts --hostname erp01 {who} {binds}",
        &[Paths, Starts, Host, Users],
    )
};

/// All of them. Native is first; the launcher comes next, by the shim and by the gate.
pub static PEERS: &[Peer] = &[
    Peer::native(),
    peer("shim", "{launcher} --door shim --policy {policy}", &Group::ALL),
    peer("gate", "{launcher} --door gate --policy {policy}", &Group::ALL),
    peer("fakechroot", "FAKECHROOT_EXCLUDE_PATH={exclude} fakechroot chroot {root}", &[Paths, Starts, Users]),
    Peer { ask: IDS, ..peer("fakeroot", "fakeroot {keep}", &[Starts, Credentials]) },
    Peer {
        bind: "-b {source}:{at}",
        read_only: "-b {source}:{at}",
        who: ["", "-0"],
        ..peer("PRoot", "proot {who} {binds}", &[Paths, Starts, Host, Users, Credentials])
    },
    Peer { name: "bubblewrap, root", by_root: true, who: ["", ""], ..BUBBLEWRAP },
    Peer { name: "bubblewrap, user", ..BUBBLEWRAP },
    Peer {
        by_root: true,
        who: ["{user}", ""],
        ..peer(
            "overlayfs + chroot",
            "unshare --mount --uts sh {script} {who}",
            &[Paths, Union, Starts, Host, Users, Credentials],
        )
    },
    Peer {
        needs: "libnss_wrapper.so",
        ask: USER,
        ..peer(
            "nss_wrapper",
            "LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD={etc}/passwd NSS_WRAPPER_GROUP={etc}/group \
             NSS_WRAPPER_HOSTS={etc}/hosts NSS_WRAPPER_HOSTNAME=erp01",
            &[Starts, Users, Names],
        )
    },
    Peer {
        needs: "libuid_wrapper.so",
        ask: IDS,
        ..peer(
            "uid_wrapper",
            "LD_PRELOAD=libuid_wrapper.so UID_WRAPPER=1 UID_WRAPPER_ROOT=1",
            &[Starts, Credentials],
        )
    },
    Peer {
        needs: "libsocket_wrapper.so",
        ask: PORT,
        ..peer(
            "socket_wrapper",
            "LD_PRELOAD=libsocket_wrapper.so SOCKET_WRAPPER_DIR={scratch}",
            &[Starts, Addresses],
        )
    },
    Peer {
        needs: "libresolv_wrapper.so",
        ask: QUERY,
        ..peer(
            "resolv_wrapper",
            "LD_PRELOAD=libresolv_wrapper.so RESOLV_WRAPPER_HOSTS={etc}/dns",
            &[Starts, Names],
        )
    },
    Peer { ask: CLOCK, ..peer("faketime", "faketime -f -400d", &[Starts, Time]) },
    Peer {
        ask: CONNECT,
        ..peer("proxychains4", "proxychains4 -q -f {etc}/proxychains.conf", &[Starts, Addresses])
    },
];

impl Peer {
    /// The program as it is.
    pub const fn native() -> Peer {
        peer("native", "", &[])
    }

    /// Native, asked what this peer is asked.
    pub const fn on_the_host(&self) -> Peer {
        Peer { ask: self.ask, ..Peer::native() }
    }

    /// Whether it is installed, and may be started as it is here.
    pub fn is_present(&self) -> bool {
        let words = self.prefix.split_whitespace().find(|word| !word.contains('='));
        let program = words.is_none_or(|word| word.starts_with('{') || on_path(word).is_some());
        let library = self.needs.is_empty()
            || ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
                .iter()
                .any(|dir| Path::new(dir).join(self.needs).exists());
        program && library && (!self.by_root || tests::is_root())
    }

    /// A command line that runs the words of a step: variables for env(1), then words.
    pub fn words(&self, world: &World, row: &Row, instance: &str, step: &str) -> Vec<String> {
        let kind = if row.group == Starts { self.starts_under() } else { row.group.policy() };
        let fill = |text: &str| world.fill(text, kind, instance);
        let mut words = Vec::new();
        for word in self.prefix.split_whitespace() {
            match word {
                "{binds}" => {
                    words.extend(world.binds(instance, false).iter().flat_map(|bind| self.bind_words(bind)));
                }
                "{who}" => {
                    let root = kind == "root";
                    let who = fill(self.who[usize::from(root)]);
                    // The script of the kernel's column takes one word, be it empty.
                    if self.prefix.ends_with("{script} {who}") {
                        words.push(who)
                    } else {
                        words.extend(who.split_whitespace().map(str::to_owned))
                    }
                }
                // It waits for seconds at its end until that is written.
                "{keep}" if row.steps.len() < 2 => {}
                "{keep}" => words.extend(["-i", "{scratch}/owners", "-s", "{scratch}/owners"].map(fill)),
                word => words.push(fill(word)),
            }
        }
        words.extend(self.asked(step).split_whitespace().map(fill));
        words
    }

    /// The policy under which it is asked how far it reaches.
    fn starts_under(&self) -> &'static str {
        if self.ask.1 == IDS.1 { "root" } else { "plain" }
    }

    /// The answer that a row promises of this peer.
    pub fn promise(&self, world: &World, promise: &str, group: Group, instance: &str) -> String {
        world.fill(&promise.replace("{ask}", self.ask.2), group.policy(), instance)
    }

    /// A step with the peer's own question in it.
    fn asked(&self, step: &str) -> String {
        let (program, words, _) = self.ask;
        ["", "-static", "-musl", "-setuid"].iter().fold(step.to_owned(), |step, kind| {
            step.replace(&format!("{{ask{kind}}}"), &format!("{{{program}{kind}}} {words}"))
        })
    }

    fn bind_words(&self, bind: &Bind) -> Vec<String> {
        let template = if bind.read_write { self.bind } else { self.read_only };
        let fill = |word: &str| {
            word.replace("{source}", &bind.source.to_string_lossy())
                .replace("{at}", &bind.at.to_string_lossy())
        };
        template.split_whitespace().map(fill).collect()
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
