//! The shim: door 1. A library that ld.so loads into each program before the
//! others, so that the program's calls of libc reach the elements first.
//!
//! All code here runs in a stranger's process. The rules (docs/ARCHITECTURE.md):
//!
//! - System calls are made directly, never through libc: its functions are the
//!   ones that we replace.
//! - Nothing allocates, locks, panics or uses thread-local storage, but in
//!   functions whose contract is to allocate (realpath, scandir, fts).
//! - errno changes only on failure.
//! - No semantics live here. A hook takes its arguments apart, calls an
//!   element and hands the answer out.
//!
//! `hooks/src/list.rs` lists what is exported; `hooks/<family>.rs` holds the
//! functions; [`next`] finds the definitions that ours stand in front of;
//! [`start`] attaches the process to its instance.

#![no_std]
#![allow(non_snake_case, reason = "hooks have the names that libc gave them")]

mod allocate;
mod answer;
mod data;
mod export;
mod hooks;
mod late;
mod next;
mod start;

/// Nothing here panics by design; should it, the program must not go on
/// uncovered.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    start::die(b"launcher: the shim met an impossible state\n", b"")
}
