//! Whole programs in turns.
//!
//! What a program takes differs by some percent from one minute to the next, and a peer's own start by more than the peers differ. So
//! each peer is started once, with a shell that runs the script for each line that it is given, and all are asked in turn,
//! each time in another order. A ratio is of two turns of one round, which lie parts of a second apart. All run on one
//! processor, since it matters more which of them a program is moved to than what the peers differ by. The clock is ours and not
//! the script's: a start of date(1) in each turn would be counted.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::ground::Ground;
use crate::operations::{Effort, Operation, before};
use crate::paired::{Outcome, Quartiles};
use crate::programs::{self, Clock};

/// How many rounds there are for one of [`crate::paired`], which sample more at a time.
const MORE: u32 = 4;
/// How much longer that may take.
const LONGER: u32 = 30;
/// Peers whose ratios are no further apart are asked until they are known this well, as one standard error of the median.
const CLOSE: f64 = 0.02;
/// See [`CLOSE`].
const PRECISE: f64 = 0.0015;
/// How much longer than otherwise they are asked for that at the most.
const AT_MOST: u32 = 5;

/// A peer's shell.
struct Shell {
    child: Child,
    /// None when it has been told to end.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Shell {
    fn begin(command: &Command, patience: Duration) -> Result<Shell> {
        let seconds = patience.as_secs().to_string();
        let processors = processors().context("/proc/self/status names no processor")?;
        let words = ["timeout", "--kill-after=1", &seconds, "taskset", "--cpu-list", last(&processors)];
        let mut command = before(&words.map(OsStr::new), command);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().with_context(|| format!("{command:?}"))?;
        let from = BufReader::new(child.stdout.take().context("no output")?);
        let to = child.stdin.take();
        Ok(Shell { child, to, from })
    }

    /// Nanoseconds of one operation.
    fn turn(&mut self) -> Result<f64> {
        let asked = self.to.as_ref().context("it has been told to end")?.write_all(b"\n");
        if asked.is_err() {
            bail!("it has ended: {}", self.child.wait()?);
        }
        self.line()?;
        let begun = Instant::now();
        let line = self.line()?;
        let taken = begun.elapsed().as_nanos() as f64;
        let operations: f64 = line.trim().parse().with_context(|| format!("it says {line:?}"))?;
        Ok(taken / operations)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("it has ended: {}", self.child.wait()?);
        }
        Ok(line)
    }
}

/// The processors that we may run on, as /proc lists them.
fn processors() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(allowed.trim().to_owned())
}

/// The one for the peers: the first has more to do for others.
fn last(processors: &str) -> &str {
    processors.rsplit([',', '-']).next().unwrap_or(processors)
}

/// We read what the peers print, on the first processor while this lives, so that nobody waits for us.
struct Aside {
    processors: String,
}

impl Aside {
    fn step(processors: String) -> Result<Aside> {
        let first = processors.split([',', '-']).next().unwrap_or(&processors);
        run_on(first)?;
        Ok(Aside { processors })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What is measured next would be slower, and not wrong.
        let _ = run_on(&self.processors);
    }
}

fn run_on(processors: &str) -> Result<()> {
    let own = std::process::id().to_string();
    let set = Command::new("taskset")
        .args(["--pid", "--cpu-list", processors, &own])
        .stdout(Stdio::null())
        .status()?;
    if set.success() { Ok(()) } else { bail!("taskset --pid --cpu-list {processors}: {set}") }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.to = None;
        // One that is stuck ends by `timeout`.
        let _ = self.child.wait();
    }
}

/// A peer while it is measured.
enum Running {
    Absent,
    Failed(String),
    At(Shell, Vec<f64>),
}

impl Running {
    fn ask(&mut self) {
        if let Running::At(shell, times) = self {
            match shell.turn() {
                Ok(time) => times.push(time),
                Err(error) => *self = Running::Failed(format!("{error:#}")),
            }
        }
    }
}

/// Measures a script with every peer of an operation, in the order of its peers.
pub fn measure(
    operation: &Operation,
    script: &str,
    ground: &Ground,
    rounds: u32,
    effort: Effort,
) -> Result<Vec<Outcome>> {
    // What several would write to at once each has for itself.
    let begin = |number: usize| {
        let own = script.replace("DIR", &format!("DIR/{number}"));
        let peer = &operation.among.peers()[number];
        if !peer.is_present() {
            return Ok(Running::Absent);
        }
        let text = format!("mkdir -p DIR/{number}; while read -r line; do {own}; done");
        let words = ["-ec".to_owned(), programs::script(&text, ground, Clock::Outside)];
        let mut command = peer.command(ground, operation.rules, Path::new("/bin/dash"), &words);
        if peer.is_ours() {
            // An instance runs once at a time, so each door has one of its own.
            command.env("STATE_DIRECTORY", ground.state_of(peer.name)?);
        }
        Ok(Shell::begin(&command, effort.patience * LONGER).map_or_else(
            |error| Running::Failed(format!("{error:#}")),
            |shell| Running::At(shell, Vec::new()),
        ))
    };
    let count = operation.among.peers().len();
    let mut running = (0..count).map(begin).collect::<Result<Vec<_>>>()?;
    let aside = Aside::step(processors().context("/proc/self/status names no processor")?)?;
    // The first time costs more, and is not counted.
    for peer in &mut running {
        peer.ask();
        if let Running::At(_, times) = peer {
            times.clear();
        }
    }
    let begun = Instant::now();
    let everybody: Vec<usize> = (0..count).collect();
    for round in 0..(rounds * MORE) as usize {
        if round >= 4 && begun.elapsed() > effort.budget * LONGER {
            break;
        }
        ask(&mut running, &everybody, round);
    }
    let close = close(&running, |number| operation.among.peers()[number].is_ours());
    let is_known = |running: &[Running]| close.iter().all(|number| error(running, *number) < PRECISE);
    let mut round = 0;
    while close.len() > 1 && begun.elapsed() < effort.budget * LONGER * AT_MOST && !is_known(&running) {
        // Native is asked with each of them.
        let some: Vec<usize> = [0].into_iter().chain(close.iter().copied()).collect();
        ask(&mut running, &some, round);
        round += 1;
    }
    drop(aside);
    if let Running::Failed(reason) = &running[0] {
        bail!("{reason}");
    }
    let outcomes = (0..count).map(|number| match &running[number] {
        Running::Absent => Outcome::Absent,
        Running::Failed(reason) => Outcome::Failed(reason.clone()),
        Running::At(_, times) => Outcome::Measured {
            time: Quartiles::of(times.iter().copied()),
            ratio: Quartiles::of(ratios(&running, number)),
        },
    });
    Ok(outcomes.collect())
}

/// Asks some peers in turn, in another order than in the round before.
fn ask(running: &mut [Running], some: &[usize], round: usize) {
    let count = some.len();
    let mut order: Vec<usize> = (0..count).map(|place| some[(place + round) % count]).collect();
    if !(round / count).is_multiple_of(2) {
        order.reverse();
    }
    for number in order {
        running[number].ask();
    }
}

/// A peer's times by native's, each of one round.
fn ratios(running: &[Running], number: usize) -> Vec<f64> {
    match (&running[0], &running[number]) {
        (Running::At(_, native), Running::At(_, times)) => {
            times.iter().zip(native).map(|(time, native)| time / native).collect()
        }
        _ => Vec::new(),
    }
}

/// The peers that are so close to each other that it takes more to tell them apart: ours and others.
fn close(running: &[Running], is_ours: impl Fn(usize) -> bool) -> Vec<usize> {
    let median = |number: &usize| Quartiles::of(ratios(running, *number)).median;
    let measured: Vec<usize> = (1..running.len()).filter(|peer| !ratios(running, *peer).is_empty()).collect();
    let has_close = |peer: &usize| {
        let mut others = measured.iter().filter(|other| is_ours(**other) != is_ours(*peer));
        others.any(|other| (median(other) - median(peer)).abs() < CLOSE)
    };
    measured.iter().copied().filter(has_close).collect()
}

/// The standard error of the median of a peer's ratios, as if they were spread as a bell is. None of one that has failed.
fn error(running: &[Running], number: usize) -> f64 {
    let ratios = ratios(running, number);
    if !matches!(running[number], Running::At(..)) || ratios.is_empty() {
        return 0.0;
    }
    let (quartiles, count) = (Quartiles::of(ratios.iter().copied()), ratios.len() as f64);
    0.93 * (quartiles.high - quartiles.low) / count.sqrt()
}
