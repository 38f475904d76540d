//! The directories that a walk is in, from the root down to where it is.
//!
//! Each holds a stream, from which its names come one by one. Where a program
//! allows fewer descriptors than the tree is deep, the uppermost streams are
//! read to their ends and closed, and their names come from memory.

use core::cell::Cell;
use core::ffi::{CStr, c_int, c_void};
use core::ptr::null_mut;

use elements::Errno;
use libc::dirent64;

use super::grown::Grown;
use crate::answer::{errno, set_errno};
use crate::hooks::dir;

/// A directory whose entries are being visited.
pub struct Level<'a> {
    above: Option<&'a Level<'a>>,
    /// How many directories lie above it.
    pub depth: c_int,
    /// Null once it has been closed.
    stream: Cell<*mut c_void>,
    /// The names that were left when it was closed, each with its NUL.
    rest: Cell<Grown>,
}

impl<'a> Level<'a> {
    /// A directory below `above`, by its stream, which is given away.
    pub fn new(above: Option<&'a Level<'a>>, stream: *mut c_void) -> Level<'a> {
        let depth = above.map_or(0, |above| above.depth + 1);
        Level { above, depth, stream: Cell::new(stream), rest: Cell::new(Grown::new()) }
    }

    /// The stream's descriptor, where it is still open.
    pub fn descriptor(&self) -> Option<c_int> {
        let stream = self.stream.get();
        // SAFETY: a stream of ours.
        (!stream.is_null()).then(|| unsafe { dir::dirfd(stream) })
    }

    /// Calls `visit` with each name but `.` and `..` until it answers other
    /// than 0, and closes the stream.
    pub fn each(&self, mut visit: impl FnMut(&[u8]) -> c_int) -> c_int {
        let mut visit = |name: &[u8]| if matches!(name, b"." | b"..") { 0 } else { visit(name) };
        let mut done = 0;
        while done == 0
            && let Some(name) = next_name(self.stream.get())
        {
            done = visit(name.to_bytes());
        }
        self.close();
        let rest = self.rest.replace(Grown::new());
        for name in rest.bytes().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if done != 0 {
                break;
            }
            done = visit(name);
        }
        done
    }

    /// Closes the uppermost stream that is open, this one's or one above, and
    /// keeps its names.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub fn close_uppermost(&self) -> Result<(), Errno> {
        let mut found = None;
        let mut level = Some(self);
        while let Some(here) = level {
            if !here.stream.get().is_null() {
                found = Some(here);
            }
            level = here.above;
        }
        let Some(uppermost) = found else { return Ok(()) };
        let mut names = Grown::new();
        while let Some(name) = next_name(uppermost.stream.get()) {
            names.push(name.to_bytes_with_nul())?;
        }
        uppermost.close();
        uppermost.rest.set(names);
        Ok(())
    }

    /// How many streams are open, this one's and those above.
    pub fn open_streams(&self) -> c_int {
        let mut count = 0;
        let mut level = Some(self);
        while let Some(here) = level {
            count += c_int::from(!here.stream.get().is_null());
            level = here.above;
        }
        count
    }

    /// Closes the stream and leaves errno as it is.
    pub fn close(&self) {
        let stream = self.stream.replace(null_mut());
        if !stream.is_null() {
            let before = errno();
            // SAFETY: a stream of ours, which nobody uses any more.
            unsafe { dir::closedir(stream) };
            set_errno(Errno(before));
        }
    }
}

/// The name of a stream's next entry. It lasts until the one after.
fn next_name<'a>(stream: *mut c_void) -> Option<&'a CStr> {
    if stream.is_null() {
        return None;
    }
    // SAFETY: a stream of ours, whose entries end in NUL.
    unsafe {
        let entry = dir::readdir(stream).cast::<dirent64>();
        if entry.is_null() { None } else { Some(CStr::from_ptr((*entry).d_name.as_ptr())) }
    }
}
