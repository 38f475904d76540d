//! `launcher stop`: ends an application, daemons that have left their parents too.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cli::Stop;
use crate::instances::Kept;
use crate::processes::{self, Process, Target};

/// How often it is looked whether all have ended.
const PERIOD: Duration = Duration::from_millis(20);
/// How long the kernel may take to end what has been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the processes of an application: by the signal that its policy or image names, and by
/// KILL those that are still there after a while.
pub fn stop(asked: &Stop) -> Result<u8> {
    let name = asked.name.as_str();
    // Of one that is kept here, and runs, no other of its name is meant: also not when it has ended.
    let kept = Kept::of(name).ok().filter(|kept| !processes::of(&Target::Kept(kept)).is_empty());
    let target = kept.as_ref().map_or(Target::Named(name), Target::Kept);
    if kept.is_none() {
        must_be_one(name, &processes::of(&target))?;
    }
    end(&target, asked.timeout, asked.signal.as_deref()).map(|()| 0)
}

/// Refuses to end several instances that are kept in other state directories and share a name.
fn must_be_one(name: &str, found: &[Process]) -> Result<()> {
    let dirs: BTreeMap<PathBuf, i32> =
        found.iter().filter_map(|process| Some((process.kept()?, process.id))).collect();
    let mut dirs = dirs.into_iter();
    if let (Some((one, first)), Some((other, second))) = (dirs.next(), dirs.next()) {
        bail!(
            "several instances `{name}` run here, and none is kept in {}: process {first} belongs to {}, and \
             {second} to {}; STATE_DIRECTORY says which state directory is meant",
            crate::state::dir()?.display(),
            one.display(),
            other.display()
        )
    }
    Ok(())
}

/// The same of the processes that are meant: `timeout` seconds until they are killed, and the
/// signal that is sent before, where it is not the policy's or the image's.
///
/// # Errors
///
/// That there are none, or that they do not end.
pub fn end(target: &Target<'_>, timeout: u64, signal: Option<&str>) -> Result<()> {
    let name = target.name();
    let found = of(target);
    let Some((first, _)) = found.first() else {
        if let Some(id) = Kept::of(name).ok().and_then(|kept| kept.runs()) {
            bail!(
                "the instance `{name}` runs, as process {id}, and its view has been taken away (a user's runtime \
                 directory goes with the last session, unless `loginctl enable-linger` keeps it): end it by kill {id}"
            )
        }
        bail!("no process of the application `{name}` runs here: `launcher ps` says which do")
    };
    let said = signal.map(ToOwned::to_owned).or_else(|| stop_signal(first));
    let said = said.as_deref().unwrap_or("TERM");
    let signal = policy::signal(said).with_context(|| {
        format!("`{said}` is no signal: say --signal with a name such as TERM or RTMIN+3, or a number")
    })?;
    let ids: HashSet<i32> = found.iter().map(|(process, _)| process.id).collect();
    for (process, fd) in &found {
        // Who was started by another process of the application is that one's to end.
        if parent(process.id).is_none_or(|parent| !ids.contains(&parent)) {
            send(fd, signal)?;
        }
    }
    let start = target.start();
    // Nobody is started while one is left: another start says that all have ended.
    let of = |target: &Target<'_>| if target.start() == start { of(target) } else { Vec::new() };
    // One that has been stopped (SIGSTOP, a terminal) would not hear of it, nor one that is about to
    // be: a signal is met when the process next runs.
    let is_none_left = || {
        let left = of(target);
        for (_, fd) in left.iter().filter(|(process, _)| is_stopped(process.id)) {
            send(fd, libc::SIGCONT)?;
        }
        Ok(left.is_empty())
    };
    let wait = |most| wait(is_none_left, most);
    if wait(Duration::from_secs(timeout))? {
        return ended(&found);
    }
    let deadline = Instant::now() + PATIENCE;
    // What is being started meanwhile is met at the next turn.
    loop {
        for (_, fd) in of(target) {
            send(&fd, libc::SIGKILL)?;
        }
        if wait(PERIOD * 5)? {
            return ended(&found);
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
fn wait(is_none_left: impl Fn() -> Result<bool>, most: Duration) -> Result<bool> {
    // None: for ever.
    let deadline = Instant::now().checked_add(most);
    loop {
        if is_none_left()? {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        sleep(PERIOD);
    }
}

/// Waits until processes that have lost their view have closed their files too: the next
/// start may want the same port.
fn ended(found: &[(Process, OwnedFd)]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for (_, fd) in found {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a process of the application"),
        }
    }
    Ok(())
}

/// A word of what proc(5) tells of a process after its name, from its state on.
fn told(id: i32, number: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything.
    text.rsplit_once(") ")?.1.split(' ').nth(number).map(ToOwned::to_owned)
}

fn parent(id: i32) -> Option<i32> {
    told(id, 1)?.parse().ok()
}

fn is_stopped(id: i32) -> bool {
    told(id, 0).as_deref() == Some("T")
}

/// The signal that an application's policy names, or its image.
fn stop_signal(process: &Process) -> Option<String> {
    let text = std::fs::read_to_string(process.view.with_file_name(policy::STOP_SIGNAL)).ok()?;
    (!text.is_empty()).then_some(text)
}
