//! Measuring in pairs.
//!
//! A machine is never quiet, and never equally loud for long. So every peer is
//! measured once in each round, right before or after native, and a ratio is taken
//! of the two; noise that lasts longer falls out. The
//! median over the rounds is what counts, the quartiles are the spread.

use std::time::Instant;

use anyhow::Result;

use crate::ground::Ground;
use crate::operations::{Effort, Operation};
use crate::peers::Peer;
use crate::turns;

/// What became of a peer in one operation.
pub enum Outcome {
    /// It is not installed.
    Absent,
    /// It did not run, and why.
    Failed(String),
    /// Its times, and its ratios to native.
    Measured {
        /// Nanoseconds of one operation.
        time: Quartiles,
        /// In times of native.
        ratio: Quartiles,
    },
}

/// The middle of some numbers.
#[derive(Clone, Copy)]
pub struct Quartiles {
    /// The lower quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub high: f64,
}

impl Quartiles {
    /// Those of `numbers`, of which there is at least one.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Quartiles {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        // Between two neighbours where the place is not a whole number.
        let at = |quarter: usize| {
            let place = (sorted.len() - 1) * quarter;
            let (below, part) = (place / 4, (place % 4) as f64 / 4.0);
            let above = sorted[(below + 1).min(sorted.len() - 1)];
            sorted[below] + (above - sorted[below]) * part
        };
        Quartiles { low: at(1), median: at(2), high: at(3) }
    }
}

/// A peer while it is measured.
struct Running {
    /// Its times, each with native's beside it.
    samples: Vec<(f64, f64)>,
    /// Why it did not run.
    failed: Option<String>,
    /// How much one of its samples does.
    effort: Effort,
    /// Whether no round is to wait for it.
    is_done: bool,
}

/// In times of native: a peer that takes more has done enough with a tenth of the calls.
const SLOW: f64 = 8.0;

/// Measures an operation with every peer, in the order of its peers.
pub fn measure(operation: &Operation, ground: &Ground, rounds: u32, effort: Effort) -> Result<Vec<Outcome>> {
    if let Some(script) = operation.in_turns() {
        return turns::measure(operation, script, ground, rounds, effort);
    }
    let (native, others) = operation.among.peers().split_first().expect("native is always there");
    // What is done for the first time costs more: it is not counted, and shows who is slow.
    operation.sample(native, ground, effort.light())?;
    let first = operation.sample(native, ground, effort.light())?;
    let mut running: Vec<Running> =
        others.iter().map(|peer| Running::try_out(operation, peer, ground, effort, first)).collect();
    let mut natively = vec![first];
    let begun = Instant::now();
    for round in 0..rounds {
        // What takes long is measured less often; four times at the least, so that each is first as often as second.
        if round >= rounds.min(4) && begun.elapsed() > effort.budget {
            break;
        }
        let mut asked: Vec<(&Peer, &mut Running)> = others.iter().zip(&mut running).collect();
        asked.retain(|(peer, running)| peer.is_present() && running.failed.is_none() && !running.is_done);
        for pair in asked.chunks_mut(2) {
            // Now one is first, now the other; native is between them, and so beside each.
            if !round.is_multiple_of(2) {
                pair.reverse();
            }
            let mut beside = None;
            for (peer, running) in pair {
                let before = beside;
                let sampled = operation.sample(peer, ground, running.effort);
                let native = match before {
                    Some(native) => native,
                    None => *beside.insert(operation.sample(native, ground, effort)?),
                };
                match sampled {
                    Ok(time) => running.samples.push((native, time)),
                    Err(error) => running.failed = Some(format!("{error:#}")),
                }
            }
            natively.extend(beside);
        }
    }
    let mut outcomes = vec![Outcome::Measured {
        time: Quartiles::of(natively),
        ratio: Quartiles { low: 1.0, median: 1.0, high: 1.0 },
    }];
    outcomes.extend(others.iter().zip(running).map(|(peer, running)| match running.failed {
        _ if !peer.is_present() => Outcome::Absent,
        Some(reason) => Outcome::Failed(reason),
        None => Outcome::Measured {
            time: Quartiles::of(running.samples.iter().map(|pair| pair.1)),
            ratio: Quartiles::of(running.samples.iter().map(|pair| pair.1 / pair.0)),
        },
    }));
    Ok(outcomes)
}

impl Running {
    /// Has a peer do the operation once. What took long is not done again to be measured.
    fn try_out(operation: &Operation, peer: &Peer, ground: &Ground, effort: Effort, native: f64) -> Running {
        let mut running = Running { samples: Vec::new(), failed: None, effort, is_done: false };
        if !peer.is_present() {
            return running;
        }
        let begun = Instant::now();
        match operation.sample(peer, ground, effort.light()) {
            Ok(time) => {
                if time > SLOW * native {
                    running.effort = effort.light();
                }
                if begun.elapsed() > effort.patience / 20 {
                    running.samples.push((native, time));
                    running.is_done = true;
                }
            }
            Err(error) => running.failed = Some(format!("{error:#}")),
        }
        running
    }
}

#[cfg(test)]
mod tests {
    use super::Quartiles;

    #[test]
    fn quartiles_lie_where_they_should() {
        let one = Quartiles::of([7.0]);
        assert_eq!((one.low, one.median, one.high), (7.0, 7.0, 7.0));
        let five = Quartiles::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.low, five.median, five.high), (2.0, 3.0, 4.0));
        let two = Quartiles::of([1.0, 2.0]);
        assert_eq!((two.low, two.median, two.high), (1.25, 1.5, 1.75));
    }
}
