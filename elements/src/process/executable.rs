//! Which program a process runs, where the kernel does not know.
//!
//! Through the gate the kernel has started the gate in each process, and so
//! /proc/PID/exe names that. What it should name is known in the process
//! itself; of another process the kernel tells where its program's headers lie
//! in memory, and which file is mapped there.

use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::maps;
use crate::files::{MAX_PATH, Text};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// Where the program headers of this process's program lie, and its host path as it was started.
#[unsafe(link_section = ".data.start")]
static PROGRAM: (AtomicU64, AtomicPtr<u8>) = (AtomicU64::new(0), AtomicPtr::new(core::ptr::null_mut()));

/// Tells of this process's program: where its headers lie in memory, and the
/// host path that it was started by. Its canonical path is found when it is
/// asked for: few programs ask, and every start would pay.
pub fn set_program(headers: u64, path: &'static CStr) {
    PROGRAM.0.store(headers, Ordering::Relaxed);
    PROGRAM.1.store(path.as_ptr().cast_mut().cast(), Ordering::Release);
}

fn is_known() -> bool {
    !PROGRAM.1.load(Ordering::Acquire).is_null()
}

/// Finds this process's program: the file that holds its headers, or, where it
/// has unmapped itself (as packed programs do), what its path leads to.
fn own_program(found: &mut Text<MAX_PATH>) -> Result<(), Errno> {
    let path = PROGRAM.1.load(Ordering::Acquire);
    let headers = PROGRAM.0.load(Ordering::Relaxed);
    let mapped = maps::find(c"/proc/self/maps".as_ptr().cast(), headers, |mapping| {
        if mapping.file.is_empty() {
            return Err(Errno::ESRCH);
        }
        found.truncate(0);
        found.push(mapping.file)
    });
    if mapped.is_ok() {
        return mapped;
    }
    let file = kernel::openat(AT_FDCWD, path, libc::O_PATH | libc::O_CLOEXEC, 0)?;
    let mut link = Text::<32>::new();
    let done = link.push(b"/proc/self/fd/").and_then(|()| {
        link.push_decimal(file.unsigned_abs())?;
        found.truncate(0);
        found.read(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room))
    });
    kernel::close(file);
    done.map(|_| ())
}

/// The process that a path of /proc's `exe` belongs to.
enum Process<'p> {
    Own,
    Other(&'p [u8]),
}

/// Whose program a path names, where it is /proc/PID/exe or one of its kin.
fn process(link: &[u8]) -> Option<Process<'_>> {
    let rest = link.strip_prefix(b"/proc/")?.strip_suffix(b"/exe")?;
    let process = rest.split(|byte| *byte == b'/').next()?;
    let mut own = Text::<16>::new();
    own.push_decimal(kernel::getpid().unsigned_abs()).ok()?;
    Some(if matches!(process, b"self" | b"thread-self") || process == own.bytes() {
        Process::Own
    } else {
        Process::Other(process)
    })
}

impl Instance<'_> {
    /// Whether a path of /proc leads to a program that only we know.
    pub(crate) fn names_program(&self, link: &[u8]) -> bool {
        is_known() && process(link).is_some()
    }

    /// Puts the program in the place of the gate. `link` is the path in /proc
    /// that has led to the host path `found`. Says whether that was the gate's;
    /// of a process that is not ours to look at, it stays so.
    pub(crate) fn correct_program(&self, link: &[u8], found: &mut Text<MAX_PATH>) -> bool {
        if !is_known() || found.bytes().strip_prefix(self.dir()) != Some(b"/gate") {
            return false;
        }
        let done = match process(link) {
            None => return false,
            Some(Process::Own) => own_program(found),
            Some(Process::Other(process)) => program_of(process, found),
        };
        done.is_ok()
    }
}

/// Finds the program of another process: the file that holds its program headers.
fn program_of(process: &[u8], found: &mut Text<MAX_PATH>) -> Result<(), Errno> {
    let mut vector = [0_u8; 1024];
    let len = read(process, b"/auxv", &mut vector)?;
    let words = |at: usize| vector.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    let headers = (0..len / 16).find(|index| words(index * 16) == Some(libc::AT_PHDR));
    let headers = headers.and_then(|index| words(index * 16 + 8)).ok_or(Errno::ESRCH)?;
    let mut path = Text::<64>::new();
    path.push(b"/proc/")?;
    path.push(process)?;
    path.push(b"/maps")?;
    maps::find(path.as_ptr(), headers, |mapping| {
        found.truncate(0);
        found.push(mapping.file)
    })
}

fn read(process: &[u8], name: &[u8], into: &mut [u8]) -> Result<usize, Errno> {
    let mut path = Text::<64>::new();
    path.push(b"/proc/")?;
    path.push(process)?;
    path.push(name)?;
    let file = kernel::open_at_once(path.as_ptr())?;
    let len = kernel::read(file, into);
    kernel::close(file);
    len
}
