//! What is kept of which files of an instance's write layers are copies: its directory leads
//! to it, and what its processes share begins with it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use elements::files::COPIES;
use elements::shared::copies::Record;

use crate::instance;

/// Has an instance's directory in the making lead to what is kept in another directory, and its processes
/// begin with that.
///
/// # Errors
///
/// What the file system says.
pub fn lead_to_record(dir: &Path, kept: &Path) -> Result<()> {
    let record = kept.join(COPIES);
    let said = || format!("cannot use the record of copies {}", record.display());
    symlink(&record, dir.join(COPIES)).with_context(said)?;
    let file = match OpenOptions::new().read(true).open(&record) {
        // Its first process to make a copy makes it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.with_context(said)?,
    };
    if file.metadata().with_context(said)?.len() < Record::LEN as u64 {
        return Ok(());
    }
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    // SAFETY: a fresh mapping of a whole record, which holds atomics, for which any bytes will do. It is
    // taken away when nothing refers to it any more.
    let taken = unsafe {
        mmap(std::ptr::null_mut(), Record::LEN, ProtFlags::READ, MapFlags::SHARED, &file, 0).and_then(|at| {
            let taken = instance::with_shared(dir, |shared| shared.copies.take_over(&*at.cast::<Record>()));
            munmap(at, Record::LEN)?;
            Ok(taken)
        })
    };
    taken.with_context(said)?.with_context(said)
}
