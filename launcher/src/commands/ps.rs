//! `launcher ps`: what runs in views.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use serde_json::{Value, json};

use super::print;
use crate::processes::{self, Process};

/// The words that a process was started with, as they can be shown on a terminal.
fn command(process: &Process) -> String {
    let words = std::fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word)).collect();
    let text = words.join(" ");
    text.trim_end().chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Lists the processes that run in views, by application.
pub fn ps(as_json: bool) -> Result<u8> {
    let mut rows: Vec<(String, String, Process)> = Vec::new();
    for process in processes::all() {
        // One that ends meanwhile is not there.
        let Some(of) = process.application() else { continue };
        let name = OsStr::from_bytes(&of.name).to_string_lossy().into_owned();
        let policy = OsStr::from_bytes(&of.policy).to_string_lossy().into_owned();
        rows.push((name, policy, process));
    }
    rows.sort_by(|one, other| (&one.0, one.2.id).cmp(&(&other.0, other.2.id)));
    if as_json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, policy, process)| {
                json!({ "name": name, "pid": process.id, "policy": policy, "command": command(process) })
            })
            .collect();
        return print(&format!("{:#}\n", Value::from(rows)));
    }
    let mut text = format!("{:24} {:>8} {}\n", "NAME", "PID", "COMMAND");
    for (name, _, process) in &rows {
        writeln!(text, "{name:24} {:>8} {}", process.id, command(process))?;
    }
    print(&text)
}
