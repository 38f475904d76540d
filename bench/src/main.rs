//! `cargo xtask bench`: what the launcher costs, in times of native, measured
//! side by side in one run. Times are shown and never asserted; what can be
//! counted is asserted in tests/tests/cost.rs.

mod ground;
mod operations;
mod paired;
mod peers;
mod programs;
mod table;

use std::path::PathBuf;

use clap::Parser;

use ground::Ground;
use operations::{Effort, OPERATIONS};
use paired::Outcome;

/// What the launcher costs, beside native and beside its peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// The preload library written with redhook.
    #[arg(long, hide = true)]
    redhook: PathBuf,
    /// Few rounds: to see that it runs, not to believe the figures.
    #[arg(long)]
    quick: bool,
    /// Print JSON, with times and quartiles of all peers.
    #[arg(long)]
    json: bool,
    /// Only operations whose name holds this.
    #[arg(default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (rounds, effort) = if arguments.quick {
        (3, Effort { times: 1000, batches: 3 })
    } else {
        (15, Effort { times: 5000, batches: 5 })
    };
    let ground = Ground::new(arguments.redhook)?;
    let mut rows = Vec::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.name.contains(&arguments.only)) {
        eprintln!("{}", operation.name);
        let outcomes = paired::measure(operation, &ground, rounds, effort)?;
        for (peer, outcome) in operation.peers.iter().zip(&outcomes) {
            if let Outcome::Failed(reason) = outcome {
                eprintln!("  {} failed: {reason}", peer.name);
            }
        }
        rows.push((operation, outcomes));
    }
    let text = if arguments.json { table::json(&rows)? } else { table::tables(&rows) };
    println!("{text}");
    Ok(())
}
