//! What kind of program a file is, read from its first page.
//!
//! The question is always the same: will ld.so load the shim into it?

use super::loader::is_loader;
use crate::kernel::{self, arch};
use crate::{Errno, files};

/// How much of a file is looked at: what execve(2) and ld.so look at themselves.
pub const HEAD: usize = 4096;

/// What the first bytes of a file say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A dynamic program of this machine: ld.so will load the shim.
    Dynamic,
    /// A script; the interpreter's line is in the head.
    Script,
    /// ld.so: it will load the shim into the program that it is told to run.
    Loader,
    /// Nothing that the kernel knows by itself: it will say so, or hand it to
    /// an interpreter that an administrator has set (binfmt_misc).
    Unknown,
    /// A program that the shim cannot get into.
    Uncovered(Why),
}

/// Why a program cannot be covered by the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Statically linked: no ld.so runs.
    Static,
    /// Made by Go's compiler: it makes system calls by the instruction.
    Go,
    /// A 32-bit program.
    WrongClass,
    /// A program of another machine.
    WrongMachine,
    /// Runs with another user's rights, so ld.so ignores the shim.
    Setuid,
    /// Runs with capabilities of its file, so ld.so ignores the shim.
    Capabilities,
    /// May be run but not read.
    Unreadable,
    /// Started by a process whose effective user or group is not its real one:
    /// ld.so takes that for a setuid program.
    TwoUsers,
    /// Started by a user who may not read the shim, or after it is gone.
    ShimUnreadable,
}

impl Why {
    /// Whether the gate covers such a program.
    pub fn is_for_gate(self) -> bool {
        matches!(self, Why::Static | Why::Go)
    }

    /// The reason as part of a sentence that begins "it is".
    pub fn words(self) -> &'static [u8] {
        match self {
            Why::Go => b"a Go program, which makes system calls past libc and the shim",
            Why::Static => b"statically linked, so no shim can be loaded into it",
            Why::WrongClass => b"a 32-bit program, and both doors are for 64-bit ones",
            Why::WrongMachine => b"a program of another machine",
            Why::Setuid => b"setuid or setgid, so ld.so would ignore the shim",
            Why::Capabilities => b"a program with file capabilities, so ld.so would ignore the shim",
            Why::Unreadable => b"not readable, so it cannot be told whether the shim can be loaded",
            Why::TwoUsers => b"started with an effective user or group that is not the real one, so ld.so would ignore the shim",
            Why::ShimUnreadable => b"started where the shim cannot be read: the instance's directory is gone, or closed to this user",
        }
    }
}

pub(super) fn word<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Tells from the first bytes of a file what it is.
///
/// A damaged ELF file counts as unknown: the kernel refuses it.
pub fn classify(head: &[u8]) -> Program {
    const PT_INTERP: u32 = 3;
    const PT_NOTE: u32 = 4;
    const CLASS_64: u8 = 2;
    if head.starts_with(b"#!") {
        return Program::Script;
    }
    if !head.starts_with(b"\x7fELF") {
        return Program::Unknown;
    }
    if head.get(4) != Some(&CLASS_64) {
        return Program::Uncovered(Why::WrongClass);
    }
    let machine = word(head, 18).map(u16::from_le_bytes);
    if machine != Some(arch::ELF_MACHINE) {
        return Program::Uncovered(Why::WrongMachine);
    }
    let offset = word(head, 32).map(u64::from_le_bytes).and_then(|offset| usize::try_from(offset).ok());
    let size = word(head, 54).map(u16::from_le_bytes).map(usize::from);
    let count = word(head, 56).map(u16::from_le_bytes).map(usize::from);
    let (Some(offset), Some(size), Some(count)) = (offset, size, count) else { return Program::Unknown };
    let (mut dynamic, mut go) = (false, false);
    for index in 0..count {
        let at = index.checked_mul(size).and_then(|at| at.checked_add(offset));
        // Headers beyond the first page: no linker puts them there.
        let Some(kind) = at.and_then(|at| word(head, at)) else { return Program::Unknown };
        match u32::from_le_bytes(kind) {
            PT_INTERP => dynamic = true,
            PT_NOTE => {
                let long = |field| at.and_then(|at| word(head, at + field)).map_or(0, u64::from_le_bytes);
                go |= holds_go_note(head, long(8) as usize, long(32) as usize);
            }
            _ => {}
        }
    }
    match (dynamic, go) {
        (false, _) => Program::Uncovered(Why::Static),
        (true, true) => Program::Uncovered(Why::Go),
        (true, false) => Program::Dynamic,
    }
}

/// Whether one of the notes from an offset on is the one that Go's linker leaves
/// (`.note.go.buildid`). Notes are three words (the sizes of name and
/// description, a type), the name and the description, each in whole words.
fn holds_go_note(head: &[u8], mut at: usize, size: usize) -> bool {
    let end = at.saturating_add(size);
    while at < end {
        let sizes = (word(head, at).map(u32::from_le_bytes), word(head, at + 4).map(u32::from_le_bytes));
        let (Some(name), Some(description)) = sizes else { return false };
        if word(head, at + 12) == Some(*b"Go\0\0") {
            return true;
        }
        let whole = |size: u32| (size as usize).next_multiple_of(4);
        at += 12 + whole(name) + whole(description);
    }
    false
}

/// The interpreter that a script's first line names, and its one argument.
/// None where the line names none.
pub fn interpreter(head: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    // What execve(2) reads of the line, since Linux 5.1.
    const LINE: usize = 255;
    let line = head.get(..head.len().min(LINE))?.strip_prefix(b"#!")?;
    let end = line.iter().position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(line.len());
    let line = trim(line.get(..end)?);
    let split = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let (path, rest) = line.split_at(split);
    let argument = trim(rest);
    if path.is_empty() { None } else { Some((path, (!argument.is_empty()).then_some(argument))) }
}

fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or(&[])
}

/// Why ld.so would not load the shim into any program that is started by this
/// process as it is now.
pub fn shut_out(shim: &[u8]) -> Result<Option<Why>, Errno> {
    if kernel::getuid() != kernel::geteuid() || kernel::getgid() != kernel::getegid() {
        return Ok(Some(Why::TwoUsers));
    }
    let mut path = files::Scratch::new();
    path.push(shim)?;
    let readable = kernel::faccessat(kernel::AT_FDCWD, path.as_ptr(), libc::R_OK).is_ok();
    Ok((!readable).then_some(Why::ShimUnreadable))
}

/// Opens a program to look at it. What is not a regular file, or may not be
/// run, is for execve(2) to refuse: None.
///
/// `raises` says whether setuid bits and capabilities have an effect.
pub fn look(
    dirfd: i32,
    path: *const u8,
    flags: i32,
    raises: bool,
    head: &mut [u8; HEAD],
) -> Result<Option<(Program, usize)>, Errno> {
    let no_follow = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { libc::O_NOFOLLOW } else { 0 };
    let opened = if flags & libc::AT_EMPTY_PATH != 0 && is_empty(path) {
        let mut link = files::Text::<32>::new();
        link.push(b"/proc/self/fd/")?;
        link.push_decimal(dirfd.unsigned_abs())?;
        kernel::openat(
            kernel::AT_FDCWD,
            link.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK,
            0,
        )
    } else {
        kernel::openat(dirfd, path, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | no_follow, 0)
    };
    let file = match opened {
        Ok(file) => file,
        Err(Errno::EACCES) if kernel::faccessat(dirfd, path, libc::X_OK).is_ok() => {
            return Ok(Some((Program::Uncovered(Why::Unreadable), 0)));
        }
        Err(errno) => return Err(errno),
    };
    let seen = seen(file, raises, head);
    kernel::close(file);
    seen
}

fn is_empty(path: *const u8) -> bool {
    // SAFETY: found readable.
    crate::user::is_string(path) && unsafe { *path } == 0
}

fn seen(file: i32, raises: bool, head: &mut [u8; HEAD]) -> Result<Option<(Program, usize)>, Errno> {
    let stat = kernel::fstatat(file, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_mode & 0o111 == 0 {
        return Ok(None);
    }
    let len = kernel::pread(file, head, 0)?;
    let mut kind = classify(head.get(..len).unwrap_or(&[]));
    let mut read = |buf: &mut [u8], offset| kernel::pread(file, buf, offset).ok();
    if kind == Program::Uncovered(Why::Static) && is_loader(head, &mut read) {
        kind = Program::Loader;
    }
    if raises && kind == Program::Dynamic {
        let uid = stat.st_mode & libc::S_ISUID != 0 && stat.st_uid != kernel::geteuid();
        let both = libc::S_ISGID | libc::S_IXGRP;
        let gid = stat.st_mode & both == both && stat.st_gid != kernel::getegid();
        if uid || gid {
            return Ok(Some((Program::Uncovered(Why::Setuid), len)));
        }
        if kernel::geteuid() != 0 && kernel::has_xattr(file, c"security.capability") {
            return Ok(Some((Program::Uncovered(Why::Capabilities), len)));
        }
    }
    Ok(Some((kind, len)))
}
