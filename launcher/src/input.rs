//! The files that a person names, which may be anything.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use policy::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::output::say;

/// Whoever writes to a FIFO is there by then, mostly.
const SHORT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Opens a file to be read once, from its beginning to its end. For the writer of a FIFO it waits, as
/// open(2) does, but says so.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        let mut asked = [PollFd::new(&file, PollFlags::IN)];
        if poll(&mut asked, Some(&SHORT))? == 0 {
            say!("launcher: {} is a FIFO: waiting for what is written to it", path.display());
            poll(&mut asked, None)?;
        }
    }
    let flags = fcntl_getfl(file.as_fd())?;
    fcntl_setfl(file.as_fd(), flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Reads a policy.
pub fn read_policy(file: &Path) -> Result<Vec<u8>, Report> {
    let mut bytes = Vec::new();
    let read = open(file).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| Report::unreadable(file, &error))
}
