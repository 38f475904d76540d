//! What it costs, as tables.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::operations::Operation;
use crate::paired::{Outcome, Quartiles};
use crate::peers::{PEERS, Peer, UNION_PEERS};

/// An operation and what became of each peer in it, in the order of its peers.
pub type Row = (&'static Operation, Vec<Outcome>);

/// A Markdown table for each table of peers.
pub fn tables(rows: &[Row]) -> String {
    let tables = [PEERS, UNION_PEERS].map(|peers| markdown(rows, peers));
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    tables.join("\n\n")
        + "\n\nRatios to native: the median over paired rounds. \\* without the mounts, which it cannot make."
}

/// Native and the launcher in full, the others' ratios.
fn markdown(rows: &[Row], peers: &'static [Peer]) -> Option<String> {
    let mut rows = rows.iter().filter(|(operation, _)| std::ptr::eq(operation.peers, peers)).peekable();
    rows.peek()?;
    let mut text = format!("| operation | native | {} | ratio | spread | bar |", peers[1].name);
    for peer in &peers[2..] {
        // Writing to a string does not fail.
        let _ = write!(text, " {} |", peer.name);
    }
    let _ = write!(text, "\n|---|--:|--:|--:|--:|--:|{}", "--:|".repeat(peers.len() - 2));
    for (operation, outcomes) in rows {
        let bar = operation.bar.map_or("–".into(), |bar| format!("{bar:.2}"));
        let _ = write!(text, "\n| {} | {}", operation.name, time(&outcomes[0]));
        let _ = write!(text, " | {} | {}", time(&outcomes[1]), ratio(&outcomes[1]));
        let _ = write!(text, " | {} | {bar} |", spread(&outcomes[1]));
        for (peer, outcome) in peers.iter().zip(outcomes).skip(2) {
            let mark = if operation.is_served_by(peer) { "" } else { "\\*" };
            let mark = if matches!(outcome, Outcome::Measured { .. }) { mark } else { "" };
            let _ = write!(text, " {}{mark} |", ratio(outcome));
        }
    }
    Some(text)
}

/// All that was measured, in nanoseconds and in times of native.
pub fn json(rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|(operation, outcomes)| {
            let peers: serde_json::Map<String, Value> =
                operation.peers.iter().zip(outcomes).map(|(peer, outcome)| (peer.name.into(), value(outcome))).collect();
            json!({ "operation": operation.name, "bar": operation.bar, "mounts": operation.mounts, "peers": peers })
        })
        .collect();
    json!(rows)
}

fn value(outcome: &Outcome) -> Value {
    let quartiles = |of: &Quartiles| json!({ "low": of.low, "median": of.median, "high": of.high });
    match outcome {
        Outcome::Absent => json!("absent"),
        Outcome::Failed(reason) => json!({ "failed": reason }),
        Outcome::Measured { time, ratio } => json!({ "ns": quartiles(time), "ratio": quartiles(ratio) }),
    }
}

fn time(outcome: &Outcome) -> String {
    let Outcome::Measured { time, .. } = outcome else { return ratio(outcome) };
    match time.median {
        ns if ns < 1e4 => format!("{ns:.0} ns"),
        ns if ns < 1e7 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.0} ms", ns / 1e6),
    }
}

fn ratio(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Absent => "absent".into(),
        Outcome::Failed(_) => "failed".into(),
        Outcome::Measured { ratio, .. } => format!("{:.2}", ratio.median),
    }
}

fn spread(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured { ratio, .. } => format!("{:.2}–{:.2}", ratio.low, ratio.high),
        _ => "–".into(),
    }
}
