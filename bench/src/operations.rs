//! What is measured, as a table, and how one sample of it is taken.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ground::{Ground, Rules};
use crate::peers::{Among, Peer};
use crate::programs::{self, Clock};

/// One line of the result.
pub struct Operation {
    /// What the table calls it.
    pub name: &'static str,
    /// The most that the launcher may take, in times of native.
    pub bar: Option<f64>,
    /// What the policy says.
    pub rules: Rules,
    /// Who is measured.
    pub among: Among,
    /// How many times as long as an open it takes, roughly: so much less often it is done.
    weight: u32,
    what: What,
}

#[derive(Clone, Copy)]
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
    /// The same on a file system that can clone.
    Clones(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum On {
    /// Files of the host, with no mount in any directory above.
    Host,
    /// A name in each tree beside the mount points, which no mount touches.
    Beside(&'static str),
    /// A name under each of the first mounts.
    Mount(&'static str),
    /// A name under the first mount.
    First(&'static str),
    /// An ordinary user's files.
    Own(&'static str),
    /// A program that does nothing.
    Program,
}

const fn call(name: &'static str, call: &'static str, mounts: usize, on: On, bar: Option<f64>) -> Operation {
    Operation {
        name,
        bar,
        rules: Rules::Mounts(mounts),
        among: Among::Mounts,
        weight: 1,
        what: What::Call(call, on),
    }
}

const fn fake(name: &'static str, call: &'static str, rules: Rules, on: On, bar: Option<f64>) -> Operation {
    Operation { name, bar, rules, among: Among::Fakes, weight: 1, what: What::Call(call, on) }
}

const fn seldom(weight: u32, operation: Operation) -> Operation {
    Operation { weight, ..operation }
}

const fn over(operation: Operation) -> Operation {
    Operation { among: Among::Unions, ..operation }
}

const fn owners(operation: Operation) -> Operation {
    Operation { among: Among::Owners, ..operation }
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
    call("statx, 10 mounts", "statx", 10, On::Mount("file"), None),
    call("access, 10 mounts", "access", 10, On::Mount("file"), None),
    call("readlink, 10 mounts", "readlink", 10, On::Mount("link"), None),
    call("open+close, 10 mounts, 12 deep", "open", 10, On::Mount(DEEP), Some(1.20)),
    call("open+close, 10 mounts, through a link", "open", 10, On::Mount("way/c/d/file"), None),
    seldom(2, call("readdir of 10, 10 mounts", "readdir", 10, On::Mount("10"), None)),
    seldom(200, call("readdir of 1,000, 10 mounts", "readdir", 10, On::Mount("1000"), None)),
    seldom(5000, call("readdir of 100,000, 10 mounts", "readdir", 10, On::First("100000"), None)),
    seldom(10, call("create and unlink, 10 mounts", "create", 10, On::Mount("made"), None)),
    seldom(10, call("rename and back, 10 mounts", "rename", 10, On::Mount("a/three"), None)),
    call("read of an open file", "read", 10, On::Mount("file"), Some(1.0)),
    call("write of an open file", "write", 10, On::Mount("a/three"), Some(1.0)),
    call("mmap and munmap of an open file", "mmap", 10, On::Mount("file"), None),
    seldom(10, call("dlopen and dlclose, 10 mounts", "dlopen", 10, On::Mount("library.so"), None)),
    seldom(50, call("fork and wait", "fork", 10, On::Program, None)),
    seldom(10, call("start and join of a thread", "thread", 10, On::Program, None)),
    seldom(50, call("vfork, exec and wait, 20 mounts", "vfork", 20, On::Program, Some(1.10))),
    fake("uname", "uname", Rules::Machine, On::Program, Some(1.05)),
    fake("gethostname", "gethostname", Rules::Machine, On::Program, Some(1.00)),
    seldom(10, fake("getpwnam", "getpwnam", Rules::Machine, On::Program, Some(0.25))),
    seldom(10, fake("getpwuid", "getpwuid", Rules::Machine, On::Program, Some(0.25))),
    owners(fake("getuid, played", "getuid", Rules::Machine, On::Program, Some(1.00))),
    owners(fake(
        "stat, owners played, of a file that has not been chowned",
        "stat",
        Rules::Machine,
        On::Own("kept"),
        Some(1.1),
    )),
    owners(fake(
        "stat, owners played, of a file that has been",
        "stat",
        Rules::Machine,
        On::Own("given"),
        Some(1.5),
    )),
    owners(fake("open+close, owners played", "open", Rules::Machine, On::Own("kept"), None)),
    owners(seldom(
        50,
        fake("fork, exec and wait, credentials played", "exec", Rules::Machine, On::Program, None),
    )),
    fake("clock_gettime, another date", "clock", Rules::Date, On::Program, Some(1.50)),
    seldom(
        10,
        fake("getaddrinfo of a name of the policy", "getaddrinfo", Rules::Network, On::Program, Some(0.20)),
    ),
    seldom(10, fake("connect and accept", "connect", Rules::Network, On::Program, Some(1.05))),
    seldom(10, fake("socket, bind and close", "bind", Rules::Network, On::Program, Some(1.10))),
    fake("send and recv of a connected stream", "send", Rules::Network, On::Program, Some(1.01)),
    fake("sendto and recv", "sendto", Rules::Network, On::Program, None),
    seldom(50, call("fork, exec and wait, 20 mounts", "exec", 20, On::Program, Some(1.10))),
    Operation {
        name: "start of /bin/true, 20 mounts",
        bar: Some(1.8),
        rules: Rules::Mounts(20),
        among: Among::Mounts,
        weight: 1,
        what: What::Start,
    },
    Operation {
        name: "start of /bin/true, another date",
        bar: Some(1.8),
        rules: Rules::Date,
        among: Among::Fakes,
        weight: 1,
        what: What::Start,
    },
    Operation {
        name: "200 starts by a shell",
        bar: Some(1.10),
        rules: Rules::Mounts(20),
        among: Among::Mounts,
        weight: 1,
        what: What::Loop,
    },
    whole("find in 20,000 files", programs::FIND, 1.10),
    whole("tar of 20,000 files", programs::TAR, 1.10),
    whole("git status in 20,000 files", programs::GIT, 1.10),
    whole("100,000 files read by Go", programs::GO, 1.10),
    whole("make -j2 of 50 C files", programs::MAKE, 1.10),
    whole("sqlite, a commit", programs::SQLITE, 1.10),
    whole("perl, a fork", programs::PERL, 1.10),
    whole("bash, a fork", programs::BASH, 1.10),
    whole("esbuild of 300 modules", programs::ESBUILD, 1.10),
    whole("java, a start", programs::JAVA, 1.10),
    whole("redis, a request", programs::REDIS, 1.03),
    whole("pgbench, a transaction", programs::PGBENCH, 1.10),
    whole("nginx, a request", programs::NGINX, 1.03),
    over(call("open+close, of the base", "open", 10, On::Mount("a/b/c/d/file"), Some(1.3))),
    over(call("stat, of the base", "stat", 10, On::Mount("a/b/c/d/file"), Some(1.3))),
    over(call("open+close, of the base beside a file written to", "open", 10, On::Mount("a/one"), None)),
    over(call("stat, of the base beside a file written to", "stat", 10, On::Mount("a/one"), None)),
    over(call("open+close, of a file written to", "open", 10, On::Mount("a/two"), None)),
    over(call("readdir, of the base", "readdir", 10, On::Mount("a/b/c"), None)),
    over(seldom(2, call("readdir, merged", "readdir", 10, On::Mount("a"), None))),
    over(seldom(2, call("readdir of 10, merged", "readdir", 10, On::Mount("10"), None))),
    over(seldom(200, call("readdir of 1,000, merged", "readdir", 10, On::Mount("1000"), None))),
    over(seldom(2000, call("readdir of 10,000, merged", "readdir", 10, On::First("10000"), None))),
    over(seldom(5000, call("readdir of 100,000, merged", "readdir", 10, On::First("100000"), Some(2.0)))),
    over(seldom(10, call("create and unlink, in the write layer", "create", 10, On::Mount("made"), None))),
    over(seldom(10, call("rename and back, in the write layer", "rename", 10, On::Mount("a/three"), None))),
    over(whole("find in 20,000 files of the base", programs::FIND, 1.15)),
    over(whole("tar of 20,000 files of the base", programs::TAR, 1.15)),
    over(whole("git status in 20,000 files of the base", programs::GIT, 1.15)),
    over(whole("python start with imports, /usr a union", programs::PYTHON, 1.15)),
    over(whole("gcc of a file, /usr a union", programs::GCC, 1.15)),
    first_write("first write of 4 KiB of the base, beside cp", programs::FIRST_WRITES[0]),
    first_write("first write of 1 MiB of the base, beside cp", programs::FIRST_WRITES[1]),
    first_write("first write of 64 MiB of the base, beside cp", programs::FIRST_WRITES[2]),
    first_write("first write of 1 GiB of the base, beside cp", programs::FIRST_WRITES[3]),
    by_clone("first write of 4 KiB that can be cloned, beside cp", programs::FIRST_WRITES[0]),
    by_clone("first write of 1 MiB that can be cloned, beside cp", programs::FIRST_WRITES[1]),
    by_clone("first write of 1 GiB that can be cloned, beside cp", programs::FIRST_WRITES[3]),
    Operation {
        what: What::Scripts(programs::PGBENCH_APART, programs::PGBENCH_UNION),
        ..over(whole("pgbench, a transaction, data in a union", programs::PGBENCH_UNION, 1.15))
    },
];

const fn first_write(name: &'static str, (natively, others): (&'static str, &'static str)) -> Operation {
    let operation = over(whole(name, others, 1.15));
    Operation { what: What::Scripts(natively, others), ..operation }
}

const fn by_clone(name: &'static str, (natively, others): (&'static str, &'static str)) -> Operation {
    Operation { what: What::Clones(natively, others), ..first_write(name, (natively, others)) }
}

const fn whole(name: &'static str, script: &'static str, bar: f64) -> Operation {
    Operation {
        name,
        bar: Some(bar),
        rules: Rules::Mounts(10),
        among: Among::Mounts,
        weight: 1,
        what: What::Script(script),
    }
}

/// A file in the twelfth directory.
const DEEP: &str = "1/2/3/4/5/6/7/8/9/10/11/file";

const LOOP: &str = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";

/// How much one sample does.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Calls in a batch.
    pub times: u32,
    /// Batches, and starts, of which the fastest counts.
    pub batches: u32,
    /// How long one operation may take with all its peers, where it need not be longer.
    pub budget: Duration,
    /// How long a sample may take: a peer that takes longer is one that failed.
    pub patience: Duration,
}

impl Effort {
    /// A tenth of it, for a peer that takes many times as long.
    pub fn light(self) -> Effort {
        Effort { times: self.times / 10, ..self }
    }
}

impl Operation {
    /// Whether the paths are under mounts.
    fn is_mapped(&self) -> bool {
        matches!(
            self.what,
            What::Call(_, On::Mount(_) | On::First(_))
                | What::Script(_)
                | What::Scripts(..)
                | What::Clones(..)
        )
    }

    /// Whether a peer serves the mounts, if there are any. One that cannot is measured
    /// on native's own tree.
    pub fn is_served_by(&self, peer: &Peer) -> bool {
        !self.is_mapped() || self.among != Among::Mounts || peer.mounts()
    }

    /// The same under another policy.
    pub fn under(&self, rules: Rules) -> Operation {
        Operation { rules, ..*self }
    }

    /// Whether it is a whole program, which wants trees for itself.
    pub fn is_whole(&self) -> bool {
        matches!(self.what, What::Script(_) | What::Scripts(..) | What::Clones(..))
    }

    /// The script that all peers are to run in turns: of whole programs over a union, where they differ by little.
    pub fn in_turns(&self) -> Option<&'static str> {
        match self.what {
            What::Script(text) if self.among == Among::Unions => Some(text),
            _ => None,
        }
    }

    /// Whether it is for a file system that can clone.
    pub fn wants_clones(&self) -> bool {
        matches!(self.what, What::Clones(..))
    }

    /// Whether stepping through it takes minutes.
    fn is_long(&self) -> bool {
        self.weight >= 50
    }

    /// Whether it is more than a few system calls.
    pub fn is_heavy(&self) -> bool {
        self.weight > 1
    }

    /// Nanoseconds of one operation.
    pub fn sample(&self, peer: &Peer, ground: &Ground, effort: Effort) -> Result<f64> {
        match &self.what {
            What::Call(call, on) => {
                let times = (effort.times / self.weight).max(1);
                let mut arguments: Vec<String> =
                    vec!["time".into(), (*call).into(), "heap".into(), times.to_string()];
                arguments.push(effort.batches.to_string());
                arguments.extend(on.paths(ground).iter().map(|path| path.to_string_lossy().into_owned()));
                said(&mut peer.command(ground, self.rules, &ground.probe, &arguments), effort)
            }
            What::Start => {
                let mut command = peer.command(ground, self.rules, Path::new("/bin/true"), &[]);
                let starts = (0..effort.batches).map(|_| ran(&mut command));
                starts.reduce(|best, next| Ok(best?.min(next?))).context("no start at all")?
            }
            What::Script(text) => said(&mut self.script(peer, ground, text), effort),
            What::Scripts(natively, others) | What::Clones(natively, others) => {
                let is_native = peer.name == self.among.peers()[0].name;
                said(&mut self.script(peer, ground, if is_native { natively } else { others }), effort)
            }
            What::Loop => {
                let words = ["-ec".to_owned(), LOOP.to_owned()];
                ran(&mut peer.command(ground, self.rules, Path::new("/bin/dash"), &words))
            }
        }
    }

    /// The command that is stepped through to count what so many calls take after as many as `warm`, if it is
    /// a call that is short, and that one process makes.
    pub fn counted(&self, peer: &Peer, ground: &Ground, (warm, times): (u32, u32)) -> Option<Command> {
        let What::Call(call, on) = &self.what else { return None };
        if self.is_long() || ["thread", "trap"].contains(call) {
            return None;
        }
        let batches = 1 + warm.div_ceil(times);
        let mut words: Vec<String> =
            vec!["steps".into(), (*call).into(), "heap".into(), times.to_string(), batches.to_string()];
        words.extend(on.paths(ground).iter().map(|path| path.to_string_lossy().into_owned()));
        Some(peer.command(ground, self.rules, &ground.probe, &words))
    }

    /// The command of a whole program, if it finds everything as it was the time before.
    pub fn whole(&self, peer: &Peer, ground: &Ground) -> Option<Command> {
        let What::Script(text) = &self.what else { return None };
        Some(self.script(peer, ground, text))
    }

    fn script(&self, peer: &Peer, ground: &Ground, text: &str) -> Command {
        let words = ["-ec".to_owned(), programs::script(text, ground, Clock::Inside)];
        peer.command(ground, self.rules, Path::new("/bin/dash"), &words)
    }
}

impl On {
    /// The paths that are taken in turn: ten, as a program has more than one.
    fn paths(self, ground: &Ground) -> Vec<PathBuf> {
        let host = ["true", "env", "ls", "cat", "cp", "mv", "rm", "ln", "id", "wc"];
        match self {
            On::Host => host.iter().map(|name| Path::new("/usr/bin").join(name)).collect(),
            On::Beside(name) => (0..10).map(|tree| ground.free(tree).join(name)).collect(),
            On::First(name) => vec![ground.at(0).join(name)],
            On::Program => vec!["/usr/bin/true".into()],
            On::Own(name) => (0..10).map(|file| ground.own().join(name).join(file.to_string())).collect(),
            On::Mount(name) => (0..10).map(|mount| ground.at(mount).join(name)).collect(),
        }
    }
}

/// A command with other words in front of it.
pub fn before(words: &[&OsStr], command: &Command) -> Command {
    let mut whole = Command::new(words[0]);
    whole.args(&words[1..]).arg(command.get_program()).args(command.get_args()).current_dir("/");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    whole
}

/// The number that a command prints.
fn said(command: &mut Command, effort: Effort) -> Result<f64> {
    let patience = effort.patience.as_secs().to_string();
    let mut patient = before(&["timeout", "--kill-after=1", &patience].map(OsStr::new), command);
    let command = &mut patient;
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
