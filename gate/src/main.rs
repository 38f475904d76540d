//! The gate: door 2. A static program that every execve(2) of an instance
//! runs instead of the program that was asked for.
//!
//! It maps the view, installs a handler for SIGSYS, maps the program and its
//! interpreter as the kernel would, and jumps. From then on a seccomp filter
//! (installed once, inherited for ever) answers each system call that an
//! element replicates with SIGSYS, unless the call comes from the gate's own
//! code. The handler only redirects the thread: the work is done outside of
//! signal context, on a stack of the gate's own.
//!
//! - [`place`]: the addresses that are the gate's in every process.
//! - [`loader`]: from the start of a process to the program's first instruction.
//! - [`filter`]: which system calls trap.
//! - [`trap`]: from a trapped call to its answer, by way of [`arch::entry`].
//! - [`calls`]: the table of calls, each a line that names its element.
//! - [`patch`]: call sites that trap often come by a jump instead, to one of [`stubs`]; [`common`]: those of all programs.
//! - [`vdso`]: the program's clock, without a system call.
//! - [`arch`]: registers and instructions.
//! - [`seccomp`] and [`bpf`]: filters that the program installs; [`ptrace`]: debuggers.
//! - [`signals`], [`sigsys`], [`deliver`] and [`alternate`]: what keeps the program's signals its own.
//!
//! The rules for code in a stranger's process hold here as in the shim: no
//! allocation, no lock, no panic, no thread-local storage. No libc either.

#![no_std]
#![no_main]

mod alternate;
mod arch;
mod bpf;
mod calls;
mod common;
mod deliver;
mod filter;
mod loader;
mod mapped;
mod patch;
mod peek;
mod place;
mod ptrace;
mod seccomp;
mod signals;
mod sigsys;
mod stubs;
mod trap;
mod vdso;

use elements::kernel;

/// Nothing here panics by design; should it, the program must not go on
/// uncovered.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    die(&[b"the gate met an impossible state"])
}

/// Ends the process as env(1) does when it cannot start a program.
fn die(words: &[&[u8]]) -> ! {
    // Where standard error is closed there is nobody to tell.
    let _ = kernel::write(2, b"launcher: ");
    for word in words {
        let _ = kernel::write(2, word);
    }
    let _ = kernel::write(2, b"\n");
    kernel::exit(126)
}
