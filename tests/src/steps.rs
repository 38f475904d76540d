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
    // Each step is two changes from one to the other, which take ten times as long from processor to processor.
    let _together = Together::with(pid);
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

/// This thread on the one processor on which it runs already, until it is dropped.
struct Together {
    before: libc::cpu_set_t,
}

impl Together {
    /// With a process, which stays there. Where the kernel refuses, both are only slower.
    fn with(pid: i32) -> Together {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: sets of bits, for which all zeros are the empty one; the kernel reads and writes them, and gives the
        // number of a processor.
        unsafe {
            let mut before: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size, &raw mut before);
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap_or(0), &mut one);
            for process in [0, pid] {
                libc::sched_setaffinity(process, size, &raw const one);
            }
            Together { before }
        }
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        // SAFETY: the kernel reads the set.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.before) };
    }
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
