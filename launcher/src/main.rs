//! `launcher --policy app.toml PROGRAM`: runs a program in its own view.
//!
//! The launcher reads the policy, puts the view and the shim where the
//! program's processes find them, and becomes the program: same process,
//! same descriptors, same signals. Nothing of it stays behind.

#![no_main]

mod admission;
mod archiving;
mod background;
mod cli;
mod clock;
mod commands;
mod copies;
mod copying;
mod door;
mod environment;
mod input;
mod instance;
mod instances;
mod names;
mod output;
mod own_names;
mod owners;
mod places;
mod portable;
mod prepare;
mod processes;
mod remembered;
mod removal;
mod room;
mod root_image;
mod side;
mod skeleton;
mod stale;
mod state;
mod user;
mod volumes;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// musl's allocator maps and unmaps pages one by one, which costs a start more
/// than all else that the launcher does.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The exit status for a failure of the launcher itself, as env(1) has it.
pub const FAILED: u8 = 125;
/// The program was found but cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;

/// The C entry point. Rust's own would ignore SIGPIPE and open what is closed
/// of the standard descriptors, and the program would inherit both.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the C runtime gives `argc` strings.
    let arguments = (0..count)
        .map(|index| unsafe { OsStr::from_bytes(CStr::from_ptr(*argv.add(index)).to_bytes()).to_owned() });
    output::keep_standard_streams_apart();
    c_int::from(cli::main(arguments.collect()))
}
