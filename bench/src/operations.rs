//! What is measured, as a table, and how one sample of it is taken.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::ground::{Ground, MACHINE};
use crate::peers::{PEERS, Peer, UNION_PEERS};
use crate::programs;

/// One line of the result.
pub struct Operation {
    /// What the table calls it.
    pub name: &'static str,
    /// The most that the launcher may take, in times of native.
    pub bar: Option<f64>,
    /// How many mounts there are.
    pub mounts: usize,
    /// Who is measured.
    pub peers: &'static [Peer],
    what: What,
}

enum What {
    /// A call of tests/programs/cost.c on paths.
    Call(&'static str, On),
    /// A program's start and end.
    Start,
    /// A shell that starts a program many times.
    Loop,
    /// A script of `programs.rs`.
    Script(&'static str),
    /// A script of `programs.rs` for native, and one for all others.
    Scripts(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum On {
    /// Files of the host, with no mount in any directory above.
    Host,
    /// A name in each tree beside the mount points, which no mount touches.
    Beside(&'static str),
    /// A name under each of the first mounts.
    Mount(&'static str),
    /// A program that does nothing.
    Program,
}

const fn call(name: &'static str, call: &'static str, mounts: usize, on: On, bar: Option<f64>) -> Operation {
    Operation { name, bar, mounts, peers: PEERS, what: What::Call(call, on) }
}

const fn over(operation: Operation) -> Operation {
    Operation { peers: UNION_PEERS, ..operation }
}

/// All of them.
pub static OPERATIONS: &[Operation] = &[
    call("open+close, untouched", "open", 10, On::Host, Some(1.05)),
    call("open+close, untouched, beside mounts", "open", 10, On::Beside("file"), Some(1.05)),
    call("stat, untouched", "stat", 10, On::Host, Some(1.05)),
    call("stat, untouched, beside mounts", "stat", 10, On::Beside("file"), Some(1.05)),
    call("readdir, untouched, beside mounts", "readdir", 10, On::Beside("a"), Some(1.05)),
    call("open+close, 10 mounts", "open", 10, On::Mount("file"), Some(1.20)),
    call("open+close, 10 mounts, 5 deep", "open", 10, On::Mount("a/b/c/d/file"), Some(1.20)),
    call("open+close, 1,000 mounts", "open", 1000, On::Mount("file"), Some(1.30)),
    call("stat, 10 mounts", "stat", 10, On::Mount("file"), None),
    call("readdir, 10 mounts", "readdir", 10, On::Mount("a"), None),
    call("open+close, 10 mounts, by a call that traps", "trap", 10, On::Mount("file"), None),
    call("a call on no path", "getppid", 10, On::Program, None),
    call("uname", "uname", MACHINE, On::Program, Some(1.05)),
    call("gethostname", "gethostname", MACHINE, On::Program, Some(1.00)),
    call("getpwnam", "getpwnam", MACHINE, On::Program, Some(0.25)),
    call("fork, exec and wait, 20 mounts", "exec", 20, On::Program, Some(1.10)),
    Operation {
        name: "start of /bin/true, 20 mounts",
        bar: Some(1.8),
        mounts: 20,
        peers: PEERS,
        what: What::Start,
    },
    Operation { name: "200 starts by a shell", bar: Some(1.10), mounts: 20, peers: PEERS, what: What::Loop },
    whole("find in 20,000 files", programs::FIND, 1.10),
    whole("tar of 20,000 files", programs::TAR, 1.10),
    whole("git status in 20,000 files", programs::GIT, 1.10),
    whole("100,000 files read by Go", programs::GO, 1.10),
    whole("redis, a request", programs::REDIS, 1.03),
    whole("nginx, a request", programs::NGINX, 1.03),
    over(call("open+close, of the base", "open", 10, On::Mount("a/b/c/d/file"), Some(1.3))),
    over(call("stat, of the base", "stat", 10, On::Mount("a/b/c/d/file"), Some(1.3))),
    over(call("open+close, of the base beside a file written to", "open", 10, On::Mount("a/one"), None)),
    over(call("stat, of the base beside a file written to", "stat", 10, On::Mount("a/one"), None)),
    over(call("open+close, of a file written to", "open", 10, On::Mount("a/two"), None)),
    over(call("readdir, of the base", "readdir", 10, On::Mount("a/b/c"), None)),
    over(call("readdir, merged", "readdir", 10, On::Mount("a"), None)),
    over(whole("find in 20,000 files of the base", programs::FIND, 1.15)),
    over(whole("tar of 20,000 files of the base", programs::TAR, 1.15)),
    over(whole("git status in 20,000 files of the base", programs::GIT, 1.15)),
    over(whole("python start with imports, /usr a union", programs::PYTHON, 1.15)),
    over(whole("gcc of a file, /usr a union", programs::GCC, 1.15)),
    Operation {
        name: "first write of 64 MiB of the base, beside cp",
        bar: Some(1.15),
        mounts: 10,
        peers: UNION_PEERS,
        what: What::Scripts(programs::COPY, programs::FIRST_WRITE),
    },
];

const fn whole(name: &'static str, script: &'static str, bar: f64) -> Operation {
    Operation { name, bar: Some(bar), mounts: 10, peers: PEERS, what: What::Script(script) }
}

const LOOP: &str = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";

/// How much one sample does.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Calls in a batch.
    pub times: u32,
    /// Batches, and starts, of which the fastest counts.
    pub batches: u32,
}

impl Operation {
    /// Whether the paths are under mounts.
    fn is_mapped(&self) -> bool {
        matches!(self.what, What::Call(_, On::Mount(_)) | What::Script(_) | What::Scripts(..))
    }

    /// Whether a peer serves the mounts, if there are any. One that cannot is measured
    /// on native's own tree.
    pub fn is_served_by(&self, peer: &Peer) -> bool {
        !self.is_mapped() || !std::ptr::eq(self.peers, PEERS) || peer.mounts()
    }

    /// Nanoseconds of one operation.
    pub fn sample(&self, peer: &Peer, ground: &Ground, effort: Effort) -> Result<f64> {
        match &self.what {
            What::Call(call, on) => {
                // A start takes as long as many calls.
                let times = if *call == "exec" { effort.times / 50 } else { effort.times };
                let mut arguments: Vec<String> =
                    vec!["time".into(), (*call).into(), "heap".into(), times.to_string()];
                arguments.push(effort.batches.to_string());
                arguments.extend(on.paths(ground).iter().map(|path| path.to_string_lossy().into_owned()));
                said(&mut peer.command(ground, self.mounts, &ground.probe, &arguments))
            }
            What::Start => {
                let mut command = peer.command(ground, self.mounts, Path::new("/bin/true"), &[]);
                let starts = (0..effort.batches).map(|_| ran(&mut command));
                starts.reduce(|best, next| Ok(best?.min(next?))).context("no start at all")?
            }
            What::Script(text) => self.script(peer, ground, text),
            What::Scripts(natively, others) => {
                let is_native = peer.name == self.peers[0].name;
                self.script(peer, ground, if is_native { natively } else { others })
            }
            What::Loop => {
                let words = ["-c".to_owned(), LOOP.to_owned()];
                ran(&mut peer.command(ground, self.mounts, Path::new("/bin/dash"), &words))
            }
        }
    }

    fn script(&self, peer: &Peer, ground: &Ground, text: &str) -> Result<f64> {
        let words = ["-c".to_owned(), programs::script(text, ground)];
        said(&mut peer.command(ground, self.mounts, Path::new("/bin/dash"), &words))
    }
}

impl On {
    /// The paths that are taken in turn: ten, as a program has more than one.
    fn paths(self, ground: &Ground) -> Vec<PathBuf> {
        let host = ["true", "env", "ls", "cat", "cp", "mv", "rm", "ln", "id", "wc"];
        match self {
            On::Host => host.iter().map(|name| Path::new("/usr/bin").join(name)).collect(),
            On::Beside(name) => (0..10).map(|tree| ground.free(tree).join(name)).collect(),
            On::Program => vec!["/usr/bin/true".into()],
            On::Mount(name) => (0..10).map(|mount| ground.at(mount).join(name)).collect(),
        }
    }
}

/// The number that a command prints.
fn said(command: &mut Command) -> Result<f64> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {complaint}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("{command:?} says {text:?}"))
}

/// The nanoseconds that a command takes.
fn ran(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took.as_secs_f64() * 1e9)
}
