//! What can be counted of a call: instructions of the program, system calls of the
//! kernel. They do not depend on how busy the machine is, or on which it is.

use tests::Count;

use crate::ground::Ground;
use crate::operations::Operation;
use crate::peers::Peer;

/// So many calls, that the gate has rewritten every call site before.
const WARM: u32 = 20;

/// Of one call.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Instructions of the program, where a system call is one.
    pub instructions: f64,
    /// System calls that the kernel is asked.
    pub calls: f64,
}

/// An operation and the counts under native, the shim and the gate: those of its peers that come first, and
/// that could be counted.
pub type Row = (&'static Operation, Vec<Option<Counts>>);

/// Counts an operation; none if it is a program, or so long that stepping through it takes minutes.
pub fn count(operation: &'static Operation, ground: &Ground, measured: &[bool], quick: bool) -> Option<Row> {
    // Of each of the ten paths twice, or once; what takes long by itself is the same each time.
    let times = if operation.is_heavy() { 4 } else { 20 } / if quick { 2 } else { 1 };
    let counted = |peer: &Peer| {
        let each = |what: Count| {
            let count = tests::counted(&mut operation.counted(peer, ground, (WARM, times))?, what).ok()?;
            Some(count as f64 / f64::from(times))
        };
        Some(Counts { instructions: each(Count::Instructions)?, calls: each(Count::SystemCalls)? })
    };
    let peers = operation.among.peers();
    // The launcher is next to native, by one door or two.
    let ours = peers.iter().take_while(|peer| peer.is_native() || peer.is_ours());
    let row: Vec<Option<Counts>> =
        ours.zip(measured).map(|(peer, measured)| if *measured { counted(peer) } else { None }).collect();
    row.iter().any(Option::is_some).then_some((operation, row))
}
