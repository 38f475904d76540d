//! Room on the disk, before programs need it: what they write to memory that is a file's cannot be
//! told of a full disk but by SIGBUS.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Has room for a part of a file, in bytes, which holds zeros where it was a hole. Where the file
/// system does not know how, it is left as it is.
///
/// # Errors
///
/// What the file system says: that it is full.
pub fn reserve(file: &File, part: Range<usize>) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), part.start as u64, part.len() as u64) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
