//! Measuring in pairs.
//!
//! A machine is never quiet, and never equally loud for long. So every peer is
//! measured once in each round, right after native, and a ratio is taken
//! within its round; noise that lasts longer than a round falls out. The
//! median over the rounds is what counts, the quartiles are the spread.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::ground::Ground;
use crate::operations::{Effort, Operation};
use crate::peers::Peer;

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

/// Measures an operation with every peer, in the order of its peers.
pub fn measure(operation: &Operation, ground: &Ground, rounds: u32, effort: Effort) -> Result<Vec<Outcome>> {
    let (native, others) = operation.among.peers().split_first().expect("native is always there");
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut samples: Vec<Vec<(f64, f64)>> = others.iter().map(|_| Vec::new()).collect();
    let mut failed: Vec<Option<String>> = others.iter().map(|_| None).collect();
    let sample = |peer: &Peer| operation.sample(peer, ground, effort);
    // What is done for the first time costs more: not counted.
    sample(native)?;
    for (peer, failed) in others.iter().zip(&mut failed).filter(|(peer, _)| peer.is_present()) {
        *failed = sample(peer).err().map(|error| format!("{error:#}"));
    }
    let mut natively = Vec::new();
    let mut spent = vec![Duration::ZERO; others.len()];
    let begun = Instant::now();
    for round in 0..rounds {
        // What takes long is measured less often; three times at the least.
        if round >= rounds.min(3) && begun.elapsed() > effort.budget {
            break;
        }
        for (index, peer) in others.iter().enumerate() {
            // One that is slow by itself is not to hold up the others: once is enough.
            let is_slow = spent[index] > effort.budget / 2 && !samples[index].is_empty();
            if !peer.is_present() || failed[index].is_some() || is_slow {
                continue;
            }
            let begun = Instant::now();
            // Now one is first, now the other.
            let pair = if (round as usize + index).is_multiple_of(2) {
                let one = sample(native)?;
                sample(peer).map(|other| (one, other))
            } else {
                sample(peer).and_then(|other| Ok((sample(native)?, other)))
            };
            spent[index] += begun.elapsed();
            match pair {
                Ok(pair) => {
                    natively.push(pair.0);
                    samples[index].push(pair);
                }
                Err(error) => failed[index] = Some(format!("{error:#}")),
            }
        }
    }
    outcomes.push(Outcome::Measured {
        time: Quartiles::of(natively.iter().copied()),
        ratio: Quartiles { low: 1.0, median: 1.0, high: 1.0 },
    });
    for ((peer, pairs), failed) in others.iter().zip(samples).zip(failed) {
        outcomes.push(match failed {
            _ if !peer.is_present() => Outcome::Absent,
            Some(reason) => Outcome::Failed(reason),
            None => Outcome::Measured {
                time: Quartiles::of(pairs.iter().map(|pair| pair.1)),
                ratio: Quartiles::of(pairs.iter().map(|pair| pair.1 / pair.0)),
            },
        });
    }
    Ok(outcomes)
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
