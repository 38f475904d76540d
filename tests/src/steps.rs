//! Counting a program's instructions and system calls, exactly, on the kernel it
//! really has.
//!
//! The program stops itself twice (tests/programs/cost.c, `steps`); what it
//! executes between the two stops is stepped through, one instruction or one
//! system call at a time. A system call is one instruction, as it is for callgrind, which
//! counts the same but answers system calls itself, and not all that there are.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The instructions between the program's first two stops.
///
/// # Panics
///
/// Where they cannot be counted, as [`counted`] says.
pub fn instructions(command: &mut Command) -> u64 {
    counted(command, Count::Instructions).unwrap_or_else(|why| panic!("{command:?}: {why}"))
}

/// The system calls between the program's first two stops.
///
/// # Panics
///
/// As above.
pub fn system_calls(command: &mut Command) -> u64 {
    counted(command, Count::SystemCalls).unwrap_or_else(|why| panic!("{command:?}: {why}"))
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Instructions of the program; a system call is one.
    Instructions,
    /// System calls, but for the one that stops the program.
    SystemCalls,
}

/// Counts what happens between the program's first two stops.
///
/// # Errors
///
/// The program ended early, failed, or may not be traced.
pub fn counted(command: &mut Command, what: Count) -> Result<u64, String> {
    // SAFETY: ptrace(2) is a plain system call, and the words are numbers.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    loop {
        match stop(pid)? {
            libc::SIGSTOP => break,
            // A program has been started.
            libc::SIGTRAP => resume(libc::PTRACE_CONT, pid, 0)?,
            // Its own, or the gate's.
            signal => resume(libc::PTRACE_CONT, pid, signal)?,
        }
    }
    let how = if what == Count::Instructions { libc::PTRACE_SINGLESTEP } else { libc::PTRACE_SYSCALL };
    let mut count = 0;
    let mut signal = 0;
    loop {
        resume(how, pid, signal)?;
        signal = match stop(pid)? {
            libc::SIGSTOP => break,
            libc::SIGTRAP => {
                count += 1;
                0
            }
            signal => signal,
        };
    }
    resume(libc::PTRACE_DETACH, pid, 0)?;
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    // A system call has a stop before and a stop after; the last has one before.
    Ok(if what == Count::Instructions { count } else { count / 2 })
}

/// Waits for the next stop and gives its signal.
fn stop(pid: i32) -> Result<i32, String> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes the status.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if waited == pid && libc::WIFSTOPPED(status) {
        return Ok(libc::WSTOPSIG(status));
    }
    Err(format!("the program ended early: status {status:#x}"))
}

fn resume(how: libc::c_uint, pid: i32, signal: i32) -> Result<(), String> {
    // SAFETY: as above; our own child, and it is stopped.
    let done = unsafe { libc::ptrace(how, pid, 0, signal) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}
