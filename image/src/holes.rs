//! Which parts of a file are worth storing: runs of whole pages that are not all zeros.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use rustix::fs::{SeekFrom, seek};

use crate::header::{BLOCK, Pieces};

/// What is looked at at once.
const PAGE: u64 = 4096;
/// Files of fewer zeros are stored whole.
const WORTH: u64 = 64 << 10;
/// A file of more pieces is stored whole.
const MANY: usize = 10_000;

/// The pieces of a file that hold something; none where it is stored whole.
///
/// # Errors
///
/// What the file system says.
pub fn pieces(file: &File, size: u64) -> Result<Option<Pieces>> {
    if size < WORTH {
        return Ok(None);
    }
    let mut pieces: Pieces = Vec::new();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < size {
        // What the file system knows to be a hole need not be read.
        at = match seek(file, SeekFrom::Data(at)) {
            Ok(data) => at.max(data / PAGE * PAGE),
            Err(rustix::io::Errno::NXIO) => break,
            Err(_) => at,
        };
        let most = buffer.len().min(usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX));
        if most == 0 {
            break;
        }
        let mut count = 0;
        while count < most {
            match file.read_at(&mut buffer[count..most], at + count as u64).context("cannot read it")? {
                0 => break,
                more => count += more,
            }
        }
        if count < most {
            anyhow::bail!("it became shorter while it was read")
        }
        for page in buffer[..count].chunks(usize::try_from(PAGE)?) {
            let length = page.len() as u64;
            if page.iter().any(|byte| *byte != 0) {
                match pieces.last_mut() {
                    Some((start, before)) if *start + *before == at => *before += length,
                    _ => pieces.push((at, length)),
                }
            }
            at += length;
        }
        if pieces.len() > MANY {
            return Ok(None);
        }
    }
    let stored: u64 = pieces.iter().map(|(_, length)| length).sum();
    if size - stored < WORTH {
        return Ok(None);
    }
    // The size is that of the last piece's end: an empty one says it where zeros are last.
    if pieces.last().is_none_or(|(start, length)| start + length < size) {
        pieces.push((size, 0));
    }
    Ok(Some(pieces))
}

/// The map of GNU's sparse format 1.0, which stands before the pieces.
pub fn map(pieces: &[(u64, u64)]) -> Vec<u8> {
    let mut text = format!("{}\n", pieces.len());
    for (start, length) in pieces {
        text += &format!("{start}\n{length}\n");
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}
