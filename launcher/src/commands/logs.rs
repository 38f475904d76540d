//! `launcher logs`: what an instance that was started in the background has printed.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::Logs;
use crate::output::standard_output;
use crate::{background, instances};

/// How often it is looked whether there is more.
const PERIOD: Duration = Duration::from_millis(200);
const BLOCK: usize = 1 << 16;

/// Prints the log, and what comes, as long as the instance runs.
pub fn logs(asked: &Logs) -> Result<u8> {
    let name = &asked.name;
    let kept = instances::find(name)?;
    let [log, before] = background::logs(&kept.dir);
    let Some(mut file) = opened(&log)? else {
        bail!(
            "the instance `{name}` has no log: it has not been started with --detach, so its output went to where it \
             was started; of a unit of systemd's, `journalctl -u UNIT` has it"
        )
    };
    let mut out = standard_output()?;
    let printed = (|| -> io::Result<()> {
        match asked.lines {
            Some(lines) => {
                let begin = begin_of_last(&file, lines)?;
                file.seek(SeekFrom::Start(begin))?;
            }
            None => {
                if let Some(mut before) = opened(&before).map_err(io::Error::other)? {
                    io::copy(&mut before, &mut out)?;
                }
            }
        }
        if !asked.follow {
            // What a program adds meanwhile may be more than its reader takes.
            let rest = file.metadata()?.len().saturating_sub(file.stream_position()?);
            io::copy(&mut file.take(rest), &mut out)?;
            return Ok(());
        }
        loop {
            // Asked before it is read: what ends has printed all.
            let runs = kept.runs().is_some();
            let more = io::copy(&mut file, &mut out)?;
            let at = file.stream_position()?;
            let own = file.metadata()?;
            match std::fs::metadata(&log) {
                // Cut short by somebody, or moved aside by another start.
                Ok(_) if own.len() < at => drop(file.seek(SeekFrom::Start(0))?),
                Ok(there) if there.ino() != own.ino() => {
                    // What came before it was moved.
                    io::copy(&mut file, &mut out)?;
                    file = File::open(&log)?;
                }
                _ if !runs && more == 0 => return Ok(()),
                _ => {}
            }
            sleep(PERIOD);
        }
    })();
    match printed {
        // A reader that has gone away has seen what it wanted to see.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot print the log"),
        _ => Ok(0),
    }
}

fn opened(log: &Path) -> Result<Option<File>> {
    match File::open(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).with_context(|| format!("cannot read {}", log.display())),
    }
}

/// Where the last lines of a file begin.
fn begin_of_last(file: &File, lines: usize) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut missing = lines;
    let mut is_last = true;
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let begin = end.saturating_sub(BLOCK as u64);
        let part = block.get_mut(..usize::try_from(end - begin).unwrap_or(BLOCK)).unwrap_or_default();
        file.read_exact_at(part, begin)?;
        for (index, byte) in part.iter().enumerate().rev() {
            // The newline that ends the last line begins none.
            if *byte == b'\n' && !std::mem::take(&mut is_last) {
                missing = missing.saturating_sub(1);
            }
            is_last = false;
            if missing == 0 {
                return Ok(begin + index as u64 + 1);
            }
        }
        end = begin;
    }
    Ok(0)
}
