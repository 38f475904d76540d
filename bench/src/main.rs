//! `cargo xtask bench`: what works and what it costs, beside native and the
//! peers, in one run.
//!
//! What works is asked by programs that run (`conformance`). Costs are in times of native, measured
//! side by side; they are shown and never asserted. What can be
//! counted is asserted in tests/tests/cost.rs.

mod clones;
mod conformance;
mod counts;
mod ground;
mod growth;
mod material;
mod namespaces;
mod operations;
mod paired;
mod peers;
mod programs;
mod report;
mod turns;
mod unions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use clones::Clones;
use ground::Ground;
use growth::Growth;
use operations::{Effort, OPERATIONS, Operation};
use paired::Outcome;
use report::{Head, Measured, Report};

/// What works and what it costs, beside native and beside the peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// The preload library written with redhook.
    #[arg(long, hide = true)]
    redhook: PathBuf,
    /// One round, whole programs only where named, peers asked only what they are made for: to see that it
    /// runs, not to believe the figures.
    #[arg(long)]
    quick: bool,
    /// Only the table of what works.
    #[arg(long)]
    conformance: bool,
    /// Only what it costs.
    #[arg(long, conflicts_with = "conformance")]
    speed: bool,
    /// Print JSON, with answers, times and quartiles of all peers.
    #[arg(long)]
    json: bool,
    /// Write docs/benchmarks and the README's figures, of what was run, and print nothing.
    #[arg(long, conflicts_with_all = ["json", "only"])]
    write: bool,
    /// Only rows and operations whose name holds this.
    #[arg(default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    namespaces::enter_own_mounts();
    namespaces::enter_own_network();
    let mut report =
        Report { head: Head::ask(arguments.quick), conformance: Vec::new(), measured: Measured::default() };
    if !arguments.speed {
        report.conformance = watched(|bar| conformance::run(&arguments.only, arguments.quick, bar))?;
    }
    if !arguments.conformance {
        report.measured = watched(|bar| speed(&arguments, bar))?;
    }
    if arguments.write {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        return report.write(&root);
    }
    print!("{}", if arguments.json { report.json()? } else { report.markdown() });
    Ok(())
}

/// Has somebody see how far it is.
fn watched<T>(work: impl FnOnce(&ProgressBar) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let bar = ProgressBar::new(0);
    let style = "{wide_bar} {pos}/{len} {elapsed} {msg:40!}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let done = work(&bar);
    bar.finish_and_clear();
    done
}

/// Says what is being done: by the bar, or a line where there is no terminal.
fn tell(bar: &ProgressBar, what: &'static str) {
    bar.set_message(what);
    if bar.is_hidden() {
        eprintln!("{what}");
    }
}

fn speed(arguments: &Arguments, bar: &ProgressBar) -> anyhow::Result<Measured> {
    let (rounds, effort) = if arguments.quick {
        (1, Effort { times: 500, batches: 2, budget: Duration::ZERO, patience: Duration::from_secs(6) })
    } else {
        let (budget, patience) = (Duration::from_secs(2), Duration::from_secs(20));
        (15, Effort { times: 2000, batches: 5, budget, patience })
    };
    tell(bar, "making the ground");
    let is_wanted = |operation: &&Operation| {
        let is_short = !arguments.quick || !arguments.only.is_empty() || !operation.is_whole();
        is_short && operation.name.contains(&arguments.only)
    };
    let operations: Vec<_> = OPERATIONS.iter().filter(is_wanted).collect();
    bar.set_length(operations.len() as u64);
    let whole = operations.iter().any(|operation| operation.is_whole());
    let ground = Ground::new(arguments.redhook.clone(), whole)?;
    let clones = if operations.iter().any(|operation| operation.wants_clones()) {
        Clones::new(&ground)
            .inspect_err(|error| bar.suspend(|| eprintln!("no file system that can clone: {error}")))
            .ok()
    } else {
        None
    };
    let mut measured = Measured::default();
    for operation in operations {
        tell(bar, operation.name);
        bar.inc(1);
        let ground = match &clones {
            Some(clones) if operation.wants_clones() => &clones.ground,
            None if operation.wants_clones() => continue,
            _ => &ground,
        };
        let outcomes = match paired::measure(operation, ground, rounds, effort) {
            Ok(outcomes) => outcomes,
            // The others are not to be lost.
            Err(error) => {
                bar.suspend(|| eprintln!("{}: native failed: {error:#}", operation.name));
                continue;
            }
        };
        for (peer, outcome) in operation.among.peers().iter().zip(&outcomes) {
            if let Outcome::Failed(reason) = outcome {
                bar.suspend(|| eprintln!("{}: {} failed: {reason}", operation.name, peer.name));
            }
        }
        let ran: Vec<bool> =
            outcomes.iter().map(|outcome| matches!(outcome, Outcome::Measured { .. })).collect();
        measured.counts.extend(counts::count(operation, ground, &ran, arguments.quick));
        measured.speed.push((operation, outcomes));
    }
    if "growth".contains(&arguments.only) {
        let (trees, instances): (&[usize], &[usize]) = if arguments.quick {
            (&[1000, 10_000], &[1, 10])
        } else {
            (&[1000, 10_000, 100_000, 1_000_000], &[1, 10, 100])
        };
        type Grows<'a> = (&'static str, &'a dyn Fn() -> anyhow::Result<Vec<Growth>>);
        let kinds: [Grows; 3] = [
            ("growth with rules", &|| growth::rules(&ground, effort)),
            ("growth with files", &|| growth::trees(&ground, trees)),
            ("growth with instances", &|| growth::instances(&ground, instances)),
        ];
        for (name, kind) in kinds {
            tell(bar, name);
            match kind() {
                Ok(grown) => measured.growth.extend(grown),
                Err(error) => bar.suspend(|| eprintln!("{name}: {error:#}")),
            }
        }
    }
    Ok(measured)
}
