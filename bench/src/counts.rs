//! What can be counted: instructions of the program, system calls of the
//! kernel. They do not depend on how busy the machine is, or on which it is. A call is stepped through; of a whole
//! program perf(1) counts the system calls, those of what leads it too.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use tests::Count;

use crate::ground::Ground;
use crate::operations::{Operation, before};
use crate::peers::Peer;

/// So many calls, that the gate has rewritten every call site before.
const WARM: u32 = 20;

/// Of one call.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Instructions of the program, where a system call is one; none of a whole program.
    pub instructions: Option<f64>,
    /// System calls that the kernel is asked.
    pub calls: f64,
}

/// An operation and the counts under native, the shim and the gate: those of its peers that come first, and
/// that could be counted.
pub type Row = (&'static Operation, Vec<Option<Counts>>);

/// Counts an operation; none if it changes what the next one finds, or is so long that stepping through it takes minutes.
pub fn count(operation: &'static Operation, ground: &Ground, measured: &[bool], quick: bool) -> Option<Row> {
    // Of each of the ten paths twice, or once; what takes long by itself is the same each time.
    let times = if operation.is_heavy() { 4 } else { 20 } / if quick { 2 } else { 1 };
    let counted = |peer: &Peer| {
        let each = |what: Count| {
            let count = tests::counted(&mut operation.counted(peer, ground, (WARM, times))?, what).ok()?;
            Some(count as f64 / f64::from(times))
        };
        if let Some(command) = operation.whole(peer, ground) {
            return Some(Counts { instructions: None, calls: calls_of(&command, ground)? });
        }
        Some(Counts { instructions: Some(each(Count::Instructions)?), calls: each(Count::SystemCalls)? })
    };
    let peers = operation.among.peers();
    // The launcher is next to native, by one door or two.
    let ours = peers.iter().take_while(|peer| peer.is_native() || peer.is_ours());
    let row: Vec<Option<Counts>> =
        ours.zip(measured).map(|(peer, measured)| if *measured { counted(peer) } else { None }).collect();
    row.iter().any(Option::is_some).then_some((operation, row))
}

/// The system calls of a command and all that it starts; none where perf(1) is not there, or may not count.
fn calls_of(command: &Command, ground: &Ground) -> Option<f64> {
    let counted = ground.dir.join("calls");
    let words = ["perf", "stat", "--field-separator=,", "--event=raw_syscalls:sys_enter", "--output"];
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).chain([counted.as_os_str()]).collect();
    let output = before(&words, command).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let text = std::fs::read_to_string(&counted).ok()?;
    let line = text.lines().find(|line| line.contains("sys_enter"))?;
    line.split(',').next()?.parse().ok().filter(|_| output.success())
}
