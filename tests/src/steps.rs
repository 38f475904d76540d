//! Counting a program's instructions, exactly, on the kernel it really has.
//!
//! The program stops itself twice (tests/programs/cost.c, `steps`); what it
//! executes between the two stops is stepped through one instruction at a
//! time. A system call is one instruction, as it is for callgrind, which
//! counts the same but answers system calls itself, and not all that there are.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The instructions between the program's first two stops.
///
/// # Panics
///
/// The program ended early, or may not be traced.
pub fn instructions(command: &mut Command) -> u64 {
    // SAFETY: ptrace(2) is a plain system call, and the words are numbers.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program can be traced");
    let pid = i32::try_from(child.id()).expect("a process id");
    while stop(pid) != libc::SIGSTOP {
        resume(libc::PTRACE_CONT, pid);
    }
    let mut count = 0;
    loop {
        resume(libc::PTRACE_SINGLESTEP, pid);
        if stop(pid) == libc::SIGSTOP {
            break;
        }
        count += 1;
    }
    resume(libc::PTRACE_CONT, pid);
    assert!(child.wait().expect("our own child").success(), "{command:?} fails");
    count
}

/// Waits for the next stop and gives its signal.
fn stop(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waitpid(2) writes the status.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "the program ended early: status {status:#x}");
    libc::WSTOPSIG(status)
}

fn resume(how: libc::c_uint, pid: i32) {
    // SAFETY: as above; our own child, and it is stopped.
    let done = unsafe { libc::ptrace(how, pid, 0, 0) };
    assert_eq!(done, 0, "a stopped child can go on");
}
