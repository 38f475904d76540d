//! The table of what works: every row asked of every peer, by a program that runs.
//!
//! Think of it as a witness stand. A row is a question with a promise: what the policy says, and so what a
//! machine on which that is real would answer. Each peer is configured for it as well as it can
//! be; the program runs; what it prints decides the cell. No cell is written by a person.

mod peers;
mod rows;
mod servers;
mod verdict;
mod world;

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

pub use peers::{PEERS, Peer};
pub use rows::{Group, ROWS, Row};
pub use verdict::{Answer, Verdict};

use crate::namespaces;
use rows::How;
use world::World;

/// How long a start may take, in seconds: in all, and in a quick run.
const PATIENCE: (&str, &str) = ("6", "3");

/// What became of a row under each peer, in the order of the peers.
pub type Cells = Vec<Cell>;

/// What became of a row under a peer.
pub struct Cell {
    /// In a word.
    pub verdict: Verdict,
    /// What was answered.
    pub answer: Option<Answer>,
    /// What the promise was.
    pub promise: String,
    /// Whether the peer is made for this.
    pub claimed: bool,
}

/// Asks all that is asked, of the rows whose name holds `only`.
///
/// A quick run asks a peer only what it is made for. Answers are not timed, and many are waited for: so there
/// are several worlds with a row each at a time, where each can have a network of its own.
pub fn run(only: &str, quick: bool, bar: &ProgressBar) -> Result<Vec<(&'static Row, Cells)>> {
    let rows: Vec<&'static Row> = ROWS.iter().filter(|row| row.name.contains(only)).collect();
    bar.set_length((rows.len() * PEERS.len()) as u64);
    let next = AtomicUsize::new(0);
    let work = |number: usize| -> Result<Vec<(usize, Cells)>> {
        if number > 0 && !namespaces::enter_own_network() {
            return Ok(Vec::new());
        }
        let patience = if quick { PATIENCE.1 } else { PATIENCE.0 };
        let world = World::new(number, patience).context("cannot make the world of the probes")?;
        let mut answered = Vec::new();
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            let Some(asked) = rows.get(row) else { return Ok(answered) };
            answered.push((row, ask_all(&world, asked, quick, bar)?));
        }
    };
    // Built once, and not by each worker.
    world::probes();
    let worlds =
        if tests::is_root() { thread::available_parallelism().map_or(1, |cores| cores.get() + 1) } else { 1 };
    let answered: Result<Vec<_>> = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..worlds).map(|number| scope.spawn(move || work(number))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    let mut answered: Vec<(usize, Cells)> = answered?.into_iter().flatten().collect();
    answered.sort_by_key(|(row, _)| *row);
    Ok(answered.into_iter().map(|(row, cells)| (rows[row], cells)).collect())
}

/// A row of the table.
fn ask_all(world: &World, row: &'static Row, quick: bool, bar: &ProgressBar) -> Result<Cells> {
    crate::tell(bar, row.name);
    let mut cells = Cells::new();
    for peer in PEERS {
        let native = cells.first().and_then(|native| native.answer.as_ref());
        let claimed = peer.claims.contains(&row.group);
        if quick && !claimed && native.is_some() {
            cells.push(Cell { verdict: Verdict::Unasked, answer: None, promise: String::new(), claimed });
        } else {
            cells.push(ask(world, row, peer, native)?);
        }
        bar.inc(1);
    }
    Ok(cells)
}

fn ask(world: &World, row: &'static Row, peer: &Peer, native: Option<&Answer>) -> Result<Cell> {
    let claimed = peer.claims.contains(&row.group);
    let promise = peer.promise(world, row.promise, row.group, "a");
    if !peer.is_present() {
        return Ok(Cell { verdict: Verdict::Absent, answer: None, promise, claimed });
    }
    world.renew().context("cannot renew the world of the probes")?;
    let answers: Result<Vec<Answer>> = match row.how {
        How::InTurn => {
            row.steps.iter().map(|step| answered(&mut step_of(world, row, peer, "a", step))).collect()
        }
        How::TwoAtOnce => at_once(world, row, peer),
    };
    let answer = verdict::joined(answers?);
    // Each peer has a question of its own where it is asked how far it reaches: native's answer to that is another.
    let native = if row.group == Group::Starts { None } else { native };
    let verdict = if row.group == Group::Starts {
        reach(world, row, peer, &answer, &promise)?
    } else {
        verdict::verdict(&answer, &promise, native)
    };
    Ok(Cell { verdict, answer: Some(answer), promise, claimed })
}

/// Two instances at the same time.
fn at_once(world: &World, row: &Row, peer: &Peer) -> Result<Vec<Answer>> {
    let mut running = Vec::new();
    for instance in ["a", "b"] {
        let mut command = step_of(world, row, peer, instance, row.steps[0]);
        running.push(command.spawn().with_context(|| format!("{command:?}"))?);
    }
    running.into_iter().map(|child| Ok(verdict::answer(&child.wait_with_output()?))).collect()
}

/// The cell of a row that asks how far a peer reaches: the host's answer to the same question is asked for too.
fn reach(world: &World, row: &Row, peer: &Peer, answer: &Answer, promise: &str) -> Result<Verdict> {
    let host = peer.on_the_host();
    let natively: Result<Vec<Answer>> =
        row.steps.iter().map(|step| answered(&mut step_of(world, row, &host, "a", step))).collect();
    Ok(verdict::verdict(answer, promise, Some(&verdict::joined(natively?))))
}

fn answered(command: &mut Command) -> Result<Answer> {
    let output: Output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("{command:?}"))?;
    Ok(verdict::answer(&output))
}

/// The command of a step.
fn step_of(world: &World, row: &Row, peer: &Peer, instance: &str, step: &str) -> Command {
    let outside = step.strip_prefix("outside ");
    let words = match outside {
        Some(step) => Peer::native().words(world, row, instance, step),
        None => peer.words(world, row, instance, step),
    };
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", world.patience]);
    if let (Some(user), false) = (world.user, peer.by_root && outside.is_none()) {
        let user = user.to_string();
        command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    }
    // The program's own environment: what leads it, and nothing of who runs this.
    command.arg("env").args(words).env_clear().current_dir("/");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("HOME", world.dir.join("run")).env("TMPDIR", world.dir.join("scratch"));
    command.env("XDG_RUNTIME_DIR", world.dir.join("run")).env("STATE_DIRECTORY", world.dir.join("state"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
