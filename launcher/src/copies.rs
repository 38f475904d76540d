//! What is kept of which files of an instance's write layers are copies: its directory leads
//! to it, and each start has its processes know of it.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use elements::files::COPIES;
use elements::shared::copies::Record;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Has an instance's directory in the making lead to what is kept in another directory.
///
/// # Errors
///
/// What the file system says.
pub fn lead_to_record(dir: &Path, kept: &Path) -> Result<()> {
    // Its first process to make a copy makes it.
    let record = kept.join(COPIES);
    symlink(&record, dir.join(COPIES)).with_context(|| format!("cannot lead to {}", record.display()))
}

/// A record, as it was read: a hole of the file, looked at in a mapping, may ask for room that the disk does not
/// have (tmpfs).
pub struct Kept(*mut std::ffi::c_void);

impl Kept {
    /// That of the instance with a directory; none where no copy has been made.
    ///
    /// # Errors
    ///
    /// Those of reading a file.
    pub fn of(dir: &Path) -> io::Result<Option<Kept>> {
        let file = match OpenOptions::new().read(true).open(dir.join(COPIES)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() < Record::LEN as u64 {
            return Ok(None);
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: fresh memory, which nothing else knows of.
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), Record::LEN, rights, MapFlags::PRIVATE) }?;
        let kept = Kept(at);
        // SAFETY: it is as long, and zeros.
        file.read_exact_at(unsafe { std::slice::from_raw_parts_mut(at.cast(), Record::LEN) }, 0)?;
        Ok(Some(kept))
    }

    /// The record.
    pub fn get(&self) -> &Record {
        // SAFETY: a mapping of a whole record, which holds atomics, for which any bytes will do. It
        // stays for as long as this value.
        unsafe { &*self.0.cast::<Record>() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        let _ = unsafe { munmap(self.0, Record::LEN) };
    }
}
