//! What it costs, as tables.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::counts;
use crate::operations::Operation;
use crate::paired::{Outcome, Quartiles};
use crate::peers::Among;

/// An operation and what became of each peer in it, in the order of its peers.
pub type Row = (&'static Operation, Vec<Outcome>);

/// A Markdown table for each table of peers.
pub fn tables(rows: &[Row]) -> String {
    let tables = Among::ALL.map(|among| markdown(rows, among));
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    tables.join("\n\n")
        + "\n\nRatios to native: the median over paired rounds. \\* without the mounts, which it cannot make. *failed*: it did not run; results.json says why."
}

/// Native and the launcher in full, the others' ratios.
fn markdown(rows: &[Row], among: Among) -> Option<String> {
    let mut rows = rows.iter().filter(|(operation, _)| operation.among == among).peekable();
    let peers = among.peers();
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
                operation.among.peers().iter().zip(outcomes).map(|(peer, outcome)| (peer.name.into(), value(outcome))).collect();
            json!({ "operation": operation.name, "bar": operation.bar, "mounts": operation.rules.mounts(), "peers": peers })
        })
        .collect();
    json!(rows)
}

/// Instructions and system calls of one operation, natively and how many more in a view.
pub fn counts(rows: &[counts::Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "\nCounted, not timed: instructions of one operation (a system call is one) and system calls that the kernel is asked; of a whole \
                    program those of all that it takes, with its start.\n\n\
                    | operation | native | shim | gate |\n|---|--:|--:|--:|\n"
        .to_owned();
    for (operation, counts) in rows {
        let native = counts[0];
        // Writing to a string does not fail.
        let _ = write!(text, "| {} |", operation.name);
        for (index, found) in counts.iter().enumerate() {
            let Some(found) = found else {
                text.push_str(" – |");
                continue;
            };
            let less = native.filter(|_| index > 0);
            let calls = found.calls - less.map_or(0.0, |native| native.calls);
            let instructions = found
                .instructions
                .map(|all| all - less.and_then(|native| native.instructions).unwrap_or(0.0));
            let _ = match (instructions, less.is_some()) {
                (Some(instructions), true) => {
                    write!(text, " {instructions:+.0} instructions, {calls:+.1} calls |")
                }
                (Some(instructions), false) => {
                    write!(text, " {instructions:.0} instructions, {calls:.1} calls |")
                }
                (None, true) => write!(text, " {calls:+.0} calls |"),
                (None, false) => write!(text, " {calls:.0} calls |"),
            };
        }
        text.push_str(if counts.len() < 3 { " – |\n" } else { "\n" });
    }
    text
}

/// The same for programs.
pub fn counts_json(rows: &[counts::Row]) -> Value {
    let rows = rows.iter().map(|(operation, counts)| {
        let peers: serde_json::Map<String, Value> = operation
            .among
            .peers()
            .iter()
            .zip(counts)
            .filter_map(|(peer, counts)| {
                let counts = counts.as_ref()?;
                let value = json!({ "instructions": counts.instructions, "calls": counts.calls });
                Some((peer.name.to_owned(), value))
            })
            .collect();
        json!({ "operation": operation.name, "peers": peers })
    });
    json!(rows.collect::<Vec<Value>>())
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
        // What is near to native is told from other peers by less than a hundredth.
        Outcome::Measured { ratio, .. } if (0.9..1.1).contains(&ratio.median) => {
            format!("{:.3}", ratio.median)
        }
        Outcome::Measured { ratio, .. } => format!("{:.2}", ratio.median),
    }
}

fn spread(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured { ratio, .. } => format!("{:.2}–{:.2}", ratio.low, ratio.high),
        _ => "–".into(),
    }
}
