//! `launcher stop`: ends an application, daemons that have left their parents too.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cli::Stop;
use crate::processes::{self, Process, Target};

/// How often it is looked whether all have ended.
const PERIOD: Duration = Duration::from_millis(20);
/// How long the kernel may take to end what has been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the processes of an application: by the signal that its image names, and by
/// KILL those that are still there after a while.
pub fn stop(asked: &Stop) -> Result<u8> {
    end(&Target::Named(&asked.name), asked.timeout, asked.signal.as_deref()).map(|()| 0)
}

/// The same of the processes that are meant: `timeout` seconds until they are killed, and the
/// signal that is sent before, where it is not the image's.
///
/// # Errors
///
/// That there are none, or that they do not end.
pub fn end(target: &Target<'_>, timeout: u64, signal: Option<&str>) -> Result<()> {
    let name = target.name();
    let found = of(target);
    let Some((first, _)) = found.first() else {
        bail!("no process of the application `{name}` runs here: `launcher ps` says which do")
    };
    let said = signal.map(ToOwned::to_owned).or_else(|| stop_signal(first));
    let said = said.as_deref().unwrap_or("TERM");
    let signal = number(said).with_context(|| {
        format!("`{said}` is no signal: say --signal with a name such as TERM or RTMIN+3, or a number")
    })?;
    let ids: HashSet<i32> = found.iter().map(|(process, _)| process.id).collect();
    for (process, fd) in &found {
        // Who was started by another process of the application is that one's to end.
        if parent(process.id).is_none_or(|parent| !ids.contains(&parent)) {
            send(fd, signal)?;
        }
    }
    if wait(target, Duration::from_secs(timeout)) {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    // What is being started meanwhile is met at the next turn.
    loop {
        for (_, fd) in of(target) {
            send(&fd, libc::SIGKILL)?;
        }
        if wait(target, PERIOD * 5) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes of `{name}` do not end, though they have been killed: `launcher ps`")
        }
    }
}

/// The processes of an application, each held by a descriptor: an id may be another's soon.
fn of(target: &Target<'_>) -> Vec<(Process, OwnedFd)> {
    let held = |process: Process| {
        let fd = pidfd_open(Pid::from_raw(process.id)?, PidfdFlags::empty()).ok()?;
        // It is what it was, now that it is held.
        process.is_still_there().then_some((process, fd))
    };
    processes::of(target).into_iter().filter_map(held).collect()
}

fn send(fd: &OwnedFd, signal: i32) -> Result<()> {
    // SAFETY: the number is a signal's.
    let signal = unsafe { Signal::from_raw_unchecked(signal) };
    match pidfd_send_signal(fd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("cannot send a signal to a process of the application"),
    }
}

/// Waits until none is left. False where that takes too long.
fn wait(target: &Target<'_>, most: Duration) -> bool {
    let deadline = Instant::now() + most;
    loop {
        if of(target).is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(PERIOD);
    }
}

fn parent(id: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything.
    text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The signal that the image of an application names.
fn stop_signal(process: &Process) -> Option<String> {
    let text = std::fs::read_to_string(process.view.with_file_name(policy::STOP_SIGNAL)).ok()?;
    (!text.is_empty()).then_some(text)
}

/// A signal's number, by its name with or without `SIG`, or by itself.
fn number(said: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 15] = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ABRT", libc::SIGABRT),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("WINCH", libc::SIGWINCH),
        ("PWR", libc::SIGPWR),
        ("IO", libc::SIGIO),
    ];
    /// As the kernel and glibc have them, whatever this program's libc keeps for itself.
    const REAL_TIME: (i32, i32) = (34, 64);
    let upper = said.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let real_time = || {
        let (from, shift) = match name.split_once(['+', '-']) {
            Some((from, shift)) => (from, shift.parse::<i32>().ok()?),
            None => (name, 0),
        };
        match from {
            "RTMIN" => Some(REAL_TIME.0 + shift),
            "RTMAX" => Some(REAL_TIME.1 - shift),
            _ => from.parse().ok().filter(|_| shift == 0),
        }
    };
    known.or_else(real_time).filter(|number| (1..=REAL_TIME.1).contains(number))
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_are_known_by_name_and_number() {
        for (said, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMAX", Some(64)),
            ("RTMIN+40", None),
            ("0", None),
            ("65", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(super::number(said), number, "{said}");
        }
    }
}
