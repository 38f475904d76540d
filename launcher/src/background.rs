//! Starting a program in the background: in a session of its own, with a log for
//! what it prints. Who has asked for it waits until the program runs, or hears why not.
//!
//! Nothing watches the log while the program runs. So what is too long is moved
//! aside at the next start, and the log is open to append, so that it may be cut
//! short meanwhile (logrotate's `copytruncate`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use policy::Door;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, setsid, waitpid};

use crate::FAILED;
use crate::commands::{print, run};
use crate::output::say;
use crate::prepare::Ready;

/// A longer log is moved aside at the next start.
const LONG: u64 = 8 << 20;

/// Where the output of an instance goes, in its directory: the log, and the one before it.
pub fn logs(dir: &Path) -> [PathBuf; 2] {
    [dir.join("log"), dir.join("log.1")]
}

/// The standard streams of a program that is about to run in the background.
pub struct Streams {
    log: File,
    null: File,
    /// Standard error as it was.
    said: File,
}

impl Streams {
    /// For an instance whose directory this is.
    fn new(dir: &Path) -> Result<Streams> {
        let [log, before] = logs(dir);
        match fs::metadata(&log) {
            Ok(about) if about.len() > LONG => {
                fs::rename(&log, &before).with_context(|| format!("cannot move {}", log.display()))?;
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot look at {}", log.display()));
            }
            _ => {}
        }
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = File::options();
        let opened = options.append(true).create(true).mode(0o600).open(&log);
        Ok(Streams {
            log: opened.with_context(|| format!("cannot write to {}", log.display()))?,
            null: File::options().read(true).open("/dev/null").context("cannot open /dev/null")?,
            said: File::from(
                std::io::stderr().as_fd().try_clone_to_owned().context("standard error is closed")?,
            ),
        })
    }

    /// From here on they are the program's.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn hand_over(&self) -> Result<()> {
        rustix::stdio::dup2_stdin(&self.null)?;
        rustix::stdio::dup2_stdout(&self.log)?;
        rustix::stdio::dup2_stderr(&self.log)?;
        Ok(())
    }

    /// There is no program: what remains to be said goes to who has asked for it.
    pub fn take_back(&self) {
        // Nobody could be told that this does not work.
        let _ = rustix::stdio::dup2_stderr(&self.said);
    }
}

/// Starts a program in the background, and says its name and its process id.
///
/// # Errors
///
/// What could not be made. That the program cannot be started has been said, and is the status.
pub fn start(ready: &Ready, program: &[OsString], door: Option<Door>, verbose: bool) -> Result<u8> {
    let Some(held) = &ready.held else { bail!("an instance that is not kept cannot run in the background") };
    let streams = Streams::new(held.dir())?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    match fork()? {
        None => {
            // A session of its own, of which it is not the leader: no terminal can become its own.
            let left = setsid().map_err(anyhow::Error::from).and_then(|_| fork());
            if matches!(left, Ok(Some(_))) {
                std::process::exit(0);
            }
            let failed = left.and_then(|_| {
                writer.write_all(&std::process::id().to_ne_bytes()).context("cannot tell of the process")?;
                run::start(&ready.placed, Some(held), program, door, verbose, Some(&streams))
            });
            let status = failed.unwrap_or_else(|error| {
                say!("launcher: {error:#}");
                FAILED
            });
            // Who has asked may have gone away.
            let _ = writer.write_all(&[status]);
            std::process::exit(i32::from(status))
        }
        Some(child) => {
            drop(writer);
            let mut said = Vec::new();
            reader.read_to_end(&mut said).context("cannot hear of the program")?;
            waitpid(Some(child), WaitOptions::empty()).context("cannot wait for the start")?;
            match *said.as_slice() {
                [a, b, c, d] => {
                    print(&format!("{} {}\n", ready.placed.settings.name, u32::from_ne_bytes([a, b, c, d])))
                }
                [_, _, _, _, status] => Ok(status),
                _ => bail!("the program was not started"),
            }
        }
    }
}

/// None in the child.
fn fork() -> Result<Option<Pid>> {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()).context("cannot start a process"),
        id => Ok(Pid::from_raw(id)),
    }
}
