//! Tracers in the instance, and a child that asks to be traced (`PTRACE_TRACEME`).
//!
//! gdb starts programs so, from a vfork child. From then on each of the gate's
//! traps would stop the child for its parent to look at, and the parent waits in
//! vfork(2) until the child has called execve(2). So what is asked for in such a
//! child is done at its execve(2): in between natively nothing stops it either.

use core::sync::atomic::{AtomicI32, Ordering};

use elements::instance::attached;
use elements::{Answer, kernel, process};

/// The vfork child that has asked; 0 for none.
#[unsafe(link_section = ".data.start")]
static ASKED: AtomicI32 = AtomicI32::new(0);

/// ptrace(2), where it begins to trace.
pub fn ptrace(request: u32) -> Answer {
    if let Some(directories) = attached().and_then(|instance| instance.directories) {
        directories.notices().expect_tracer();
    }
    if request != libc::PTRACE_TRACEME || !process::is_borrower() {
        return Answer::Pass;
    }
    ASKED.store(kernel::getpid(), Ordering::Relaxed);
    Answer::Done(Ok(0))
}

/// Comes before a call that may wait: does at execve(2) what was asked for.
pub fn before(number: i64) {
    if !matches!(number, libc::SYS_execve | libc::SYS_execveat) {
        return;
    }
    let asked = ASKED.load(Ordering::Relaxed);
    if asked != 0 && asked == kernel::getpid() {
        ASKED.store(0, Ordering::Relaxed);
        // SAFETY: numbers only.
        let _ = unsafe { kernel::syscall(libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0, 0, 0, 0]) };
    }
}
