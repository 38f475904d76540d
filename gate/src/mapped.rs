//! Code that is rewritten as it is mapped, before any of it has run.
//!
//! Later that is dear: /proc has to tell which mapping a call has come from, pages that have been read are mapped and get other
//! rights one by one, and some calls have trapped before. The gate maps the program and its interpreter itself. Libraries are
//! mapped by ld.so, whose site of mmap(2) is rewritten, though that call traps nowhere. So the code of a library in which
//! programs of the same file have trapped is mapped to be written to, rewritten, and then given the rights that were asked for.

use elements::process::DATA_AT_ONCE;
use elements::process::elf::{self, Header, Segment};
use elements::process::maps::{self, Code};
use elements::{Answer, Errno, kernel, user};

use crate::patch::{self, Fresh, PAGE, protect};
use crate::{arch::site, common};

/// The rights of code.
const CODE: usize = (libc::PROT_READ | libc::PROT_EXEC) as usize;

/// The rights of data.
const DATA: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;

/// Rewrites the code of a file that the gate has just mapped: each segment, and where it ends, if its pages are its own. There is one thread.
pub fn rewrite_mapped(file: i32, segments: impl Iterator<Item = (Code, Option<u64>)>, is_interpreter: bool) {
    let Ok((file, size)) = about(file) else { return };
    for (code, end) in segments {
        let is_there = |end: &u64| end - code.start + code.offset <= size;
        let code = Code { file, ..code };
        if is_interpreter {
            common::expect_mmap(&code);
        }
        patch::rewrite_fresh(&Fresh { code, end: end.filter(is_there), is_writable: false });
    }
}

/// Where some code of a library ends in memory, if its pages are its own.
fn end_of(file: i32, code: &Code) -> Option<u64> {
    let mut head = [0; elf::FIRST];
    let len = kernel::pread(file, &mut head, 0).ok()?;
    let head = head.get(..len)?;
    let headers = Header::read(head).ok()?.headers_in(head)?;
    if !elf::span(headers).ok()?.apart {
        return None;
    }
    let mut segments = elf::segments(headers).flatten().filter(Segment::is_code);
    let segment = segments.find(|segment| segment.offset & !(PAGE - 1) == code.offset)?;
    let len = (segment.offset % PAGE).checked_add(segment.memory_size)?;
    code.start.checked_add(len).filter(|end| *end <= code.end && code.end - end < PAGE)
}

/// What a file is known by, and its size.
fn about(file: i32) -> Result<(u32, u64), Errno> {
    let stat = kernel::fstatat(file, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)?;
    let device = (libc::major(stat.st_dev), libc::minor(stat.st_dev));
    Ok((maps::file_of(device, stat.st_ino), stat.st_size as u64))
}

/// How ld.so maps a library's data over the room that it has reserved. `MAP_DENYWRITE` means nothing to the kernel, and
/// hardly anybody else says it.
const AS_LIBRARY: i32 = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_DENYWRITE;

/// mmap(2), from a site that has been rewritten.
pub fn mmap(args: &[usize; 6]) -> Answer {
    let [address, len, rights, flags, file, offset] = *args;
    if rights == DATA && flags as i32 == AS_LIBRARY && len <= DATA_AT_ONCE {
        let flags = flags | libc::MAP_POPULATE as usize;
        // SAFETY: what the program asks for, with its pages.
        return Answer::Done(unsafe {
            kernel::syscall(libc::SYS_mmap, [address, len, rights, flags, file, offset])
        });
    }
    let kind = flags as i32 & (libc::MAP_TYPE | libc::MAP_ANONYMOUS);
    if rights != CODE || kind != libc::MAP_PRIVATE {
        return Answer::Pass;
    }
    let Ok((known, size)) = about(file as i32) else { return Answer::Pass };
    let end = (offset as u64).saturating_add(len as u64);
    if end.saturating_sub(size) >= PAGE || !common::is_habit(known) {
        return Answer::Pass;
    }
    let writable = rights | libc::PROT_WRITE as usize;
    // SAFETY: what the program asks for, but for the right to write, which nobody has before it is taken away.
    let mapped = unsafe { kernel::syscall(libc::SYS_mmap, [address, len, writable, flags, file, offset]) };
    // The system may forbid it.
    let Ok(start) = mapped else { return Answer::Pass };
    let code = Code {
        start: start as u64,
        end: (start as u64 + len as u64).next_multiple_of(PAGE),
        offset: offset as u64,
        file: known,
    };
    for place in common::places(&code) {
        site::own_page(place);
        user::note_seen(place as usize);
    }
    let end = end_of(file as i32, &code);
    patch::rewrite_fresh(&Fresh { code, end, is_writable: true });
    Answer::Done(protect(code.start, code.end - 1, false).map(|()| start))
}
