//! What an ELF file says of how it is to be mapped.
//!
//! The file is a stranger's: nothing here trusts a number before it has been
//! held against what the kernel takes (fs/binfmt_elf.c).

use crate::Errno;
use crate::kernel::arch;

/// How much of a file is read first: what is needed is nearly always in that. Little is on the stack then, of which each page that is
/// touched first is dear.
pub const FIRST: usize = 1024;
/// Bytes of a program header.
pub const PROGRAM_HEADER: usize = 56;
/// Bytes of all program headers, at the most.
pub const PROGRAM_HEADERS: usize = 64 * 1024;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;
/// The end of what a program can have mapped.
const TASK_SIZE: u64 = 1 << 47;
const PAGE: u64 = 4096;

/// The header of a program or of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it can be mapped anywhere.
    pub movable: bool,
    /// Where it begins to run, as linked.
    pub entry: u64,
    /// Where the program headers lie in the file.
    pub headers_at: u64,
    /// How many program headers there are.
    pub count: usize,
}

/// A part of the file to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `PF_R`, `PF_W`, `PF_X`
    pub flags: u32,
    /// Where it lies in the file.
    pub offset: u64,
    /// Where it is to lie in memory, as linked.
    pub address: u64,
    /// Bytes from the file.
    pub file_size: u64,
    /// Bytes in memory; what the file does not give is zero.
    pub memory_size: u64,
    /// A power of two, or less than a page.
    pub align: u64,
}

impl Segment {
    /// Whether it may be read and run, and not written to.
    pub fn is_code(&self) -> bool {
        self.flags & (PF_R | PF_W | PF_X) == PF_R | PF_X
    }
}

/// What all loadable segments take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first page.
    pub start: u64,
    /// The end, rounded up to a page.
    pub end: u64,
    /// The largest alignment.
    pub align: u64,
    /// Whether each lies behind the one before it, with no page in common.
    pub apart: bool,
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    word(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    word(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    word(bytes, at).map(u64::from_le_bytes)
}

impl Header {
    /// Reads the header from the first bytes of a file.
    ///
    /// # Errors
    ///
    /// `ENOEXEC` where the kernel would say so.
    pub fn read(head: &[u8]) -> Result<Header, Errno> {
        Header::parse(head).ok_or(Errno::ENOEXEC)
    }

    fn parse(head: &[u8]) -> Option<Header> {
        const CLASS_64: u8 = 2;
        let kind = u16_at(head, 16)?;
        let right = head.starts_with(b"\x7fELF")
            && head.get(4) == Some(&CLASS_64)
            && matches!(kind, ET_EXEC | ET_DYN)
            && u16_at(head, 18)? == arch::ELF_MACHINE
            && usize::from(u16_at(head, 54)?) == PROGRAM_HEADER;
        let count = usize::from(u16_at(head, 56)?);
        if !right || count == 0 || count * PROGRAM_HEADER > PROGRAM_HEADERS {
            return None;
        }
        Some(Header {
            movable: kind == ET_DYN,
            entry: u64_at(head, 24)?,
            headers_at: u64_at(head, 32)?,
            count,
        })
    }

    /// The bytes of the program headers, if they lie in the file's first bytes.
    pub fn headers_in<'h>(&self, head: &'h [u8]) -> Option<&'h [u8]> {
        let start = usize::try_from(self.headers_at).ok()?;
        head.get(start..start.checked_add(self.count * PROGRAM_HEADER)?)
    }

    /// The interpreter's path, if the first bytes of the file tell.
    pub fn interpreter<'h>(&self, head: &'h [u8]) -> Option<&'h [u8]> {
        let (offset, size) = interpreter(self.headers_in(head)?)?;
        let path = head.get(offset..offset.checked_add(size)?)?;
        path.split(|byte| *byte == 0).next()
    }
}

/// The loadable segments in program headers, in their order.
///
/// # Errors
///
/// `EINVAL` and `ENOMEM` for what cannot be mapped.
pub fn segments(headers: &[u8]) -> impl Iterator<Item = Result<Segment, Errno>> {
    entries(headers).filter(|header| u32_at(header, 0) == Some(PT_LOAD)).map(|header| {
        let segment = segment(header).ok_or(Errno::EINVAL)?;
        let end = segment.address.checked_add(segment.memory_size).ok_or(Errno::ENOMEM)?;
        segment.offset.checked_add(segment.file_size).ok_or(Errno::EINVAL)?;
        if segment.file_size > segment.memory_size || segment.address % PAGE != segment.offset % PAGE {
            return Err(Errno::EINVAL);
        }
        if end > TASK_SIZE - PAGE { Err(Errno::ENOMEM) } else { Ok(segment) }
    })
}

fn entries(headers: &[u8]) -> impl Iterator<Item = &[u8]> {
    headers.chunks_exact(PROGRAM_HEADER)
}

fn segment(header: &[u8]) -> Option<Segment> {
    Some(Segment {
        flags: u32_at(header, 4)?,
        offset: u64_at(header, 8)?,
        address: u64_at(header, 16)?,
        file_size: u64_at(header, 32)?,
        memory_size: u64_at(header, 40)?,
        align: u64_at(header, 48)?,
    })
}

/// What the segments take together.
///
/// # Errors
///
/// As [`segments`]; `ENOEXEC` where there is none, or nothing in it.
pub fn span(headers: &[u8]) -> Result<Span, Errno> {
    let mut span: Option<Span> = None;
    for segment in segments(headers) {
        let segment = segment?;
        let start = segment.address & !(PAGE - 1);
        // Below TASK_SIZE: the sum does not overflow.
        let end = (segment.address + segment.memory_size).next_multiple_of(PAGE);
        let align = if segment.align.is_power_of_two() { segment.align.clamp(PAGE, 1 << 30) } else { PAGE };
        span = Some(match span {
            None => Span { start, end, align, apart: true },
            Some(span) => Span {
                start: span.start.min(start),
                end: span.end.max(end),
                align: span.align.max(align),
                apart: span.apart && start >= span.end,
            },
        });
    }
    span.filter(|span| span.start < span.end).ok_or(Errno::ENOEXEC)
}

/// Where the interpreter's path lies in the file, and how long it is.
pub fn interpreter(headers: &[u8]) -> Option<(usize, usize)> {
    let header = entries(headers).find(|header| u32_at(header, 0) == Some(PT_INTERP))?;
    let offset = usize::try_from(u64_at(header, 8)?).ok()?;
    Some((offset, usize::try_from(u64_at(header, 32)?).ok()?))
}

/// Whether the stack is to be executable, as programs without the header
/// expect it (`PT_GNU_STACK`).
pub fn wants_executable_stack(headers: &[u8]) -> bool {
    let stack = entries(headers).find(|header| u32_at(header, 0) == Some(PT_GNU_STACK));
    stack.is_some_and(|header| u32_at(header, 4).is_some_and(|flags| flags & PF_X != 0))
}
