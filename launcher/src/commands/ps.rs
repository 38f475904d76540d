//! `launcher ps`: what runs in views.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use policy::Door;
use serde_json::{Value, json};

use super::print;
use crate::instances;
use crate::processes::{self, Process};

/// The words that a process was started with, as they can be shown on a terminal.
fn command(process: &Process) -> String {
    let words = std::fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word)).collect();
    let text = words.join(" ");
    shown(text.trim_end())
}

fn shown(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// What is said of an instance that has never been made whole.
const CUT_OFF: &str = "(its making was cut off)";

/// A line of the list.
struct Row {
    name: String,
    policy: String,
    /// None for an instance that does not run.
    id: Option<i32>,
    /// How its calls reach the view; none where they do not, or it does not run.
    door: Option<&'static str>,
    command: String,
}

fn door_of(process: &Process) -> Option<&'static str> {
    process.door().map(|door| if door == Door::Gate { "gate" } else { "shim" })
}

/// Lists the processes that run in views, by application, and the instances that do not run.
pub fn ps(all: bool, as_json: bool) -> Result<u8> {
    let mut rows: Vec<Row> = Vec::new();
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_string_lossy().into_owned();
    for process in processes::all() {
        // One that ends meanwhile is not there.
        let Some(of) = process.application() else { continue };
        let (name, policy, id) = (text(&of.name), text(&of.policy), Some(process.id));
        rows.push(Row { name, policy, id, door: door_of(&process), command: command(&process) });
    }
    for kept in if all { instances::all()? } else { Vec::new() } {
        let Some(record) = kept.record()? else {
            // A launcher that was killed, or a full disk; or one is at it.
            let (policy, command) = (String::new(), CUT_OFF.to_owned());
            rows.push(Row { name: kept.name, policy, id: None, door: None, command });
            continue;
        };
        let runs = kept.runs();
        if runs.is_none() || !rows.iter().any(|row| row.name == kept.name && row.id.is_some()) {
            let words = record.program.iter().map(|word| OsString::from(word).to_string_lossy().into_owned());
            let command = words.collect::<Vec<_>>().join(" ");
            let policy = record.policy.to_string_lossy().into_owned();
            rows.push(Row { name: kept.name, policy, id: runs, door: None, command: shown(&command) });
        }
    }
    rows.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    if as_json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|Row { name, policy, id, door, command }| {
                json!({ "name": name, "pid": id, "door": door, "policy": policy, "command": command })
            })
            .collect();
        return print(&format!("{:#}\n", Value::from(rows)));
    }
    let mut text = format!("{:24} {:>8} {:4} {}\n", "NAME", "PID", "DOOR", "COMMAND");
    for Row { name, id, door, command, .. } in &rows {
        // A record without words has the image say what is run.
        let command = if id.is_none() && command.is_empty() { "(its image's own)" } else { command };
        let id = id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        writeln!(text, "{name:24} {id:>8} {:4} {command}", door.unwrap_or("-"))?;
    }
    print(&text)
}
