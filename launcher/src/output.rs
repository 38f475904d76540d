//! What the launcher itself prints and says.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};

/// Whether a write to a pipe that nobody reads ended this process before [`ignore_closed_pipes`].
static CLOSED_PIPES_END: AtomicBool = AtomicBool::new(false);

/// Says a line on standard error, as `eprintln!` does, but in one write, which may fail: that nobody
/// hears of it changes nothing else.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::output::tell(&format!("{}\n", format_args!($($words)*)))
    };
}
pub(crate) use say;

/// The same of a text that has its newlines.
pub fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output. A reader that has gone away is no error.
pub fn print(text: &str) -> Result<u8> {
    match standard_output().and_then(|mut out| out.write_all(text.as_bytes())) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the answer"),
        _ => Ok(0),
    }
}

/// Standard output. That of the standard library takes one that is closed for one that takes all.
pub fn standard_output() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Has no file that is opened here become a standard stream, where one is closed: what is said would get into
/// it. They are as good as closed, and closed for the program that this process becomes.
pub fn keep_standard_streams_apart() {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for _ in streams.iter().filter(|stream| rustix::io::fcntl_getfd(stream).is_err()) {
        // It gets the lowest number, which is that of the stream.
        if let Ok(nothing) = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            let _ = nothing.into_raw_fd();
        }
    }
}

/// Has a write to a pipe that nobody reads fail, and not end this process: threads
/// of its own are at both ends of some. It must not become a program any more.
pub fn ignore_closed_pipes() {
    // SAFETY: no handler is set, only the default taken away.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    CLOSED_PIPES_END.store(before == libc::SIG_DFL, Ordering::Relaxed);
}

/// Ends this process as a write to a pipe that nobody reads ends others, if it is that which failed and
/// the process was started to be ended so.
pub fn end_by_closed_pipe(error: &anyhow::Error) {
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    if CLOSED_PIPES_END.load(Ordering::Relaxed) && error.chain().any(is_closed) {
        // SAFETY: no handler is set, only the default; the signal is for this process.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::raise(libc::SIGPIPE);
        }
    }
}
