//! Mapping an ELF file as the kernel maps it (fs/binfmt_elf.c).

use core::cell::UnsafeCell;
use core::ffi::CStr;

use elements::process::DATA_AT_ONCE;
use elements::process::elf::{self, Header, Segment, Span};
use elements::process::maps::Code;
use elements::{Errno, kernel, user};

use crate::mapped;

const PAGE: u64 = 4096;
/// Where the kernel puts programs that can be anywhere (`ELF_ET_DYN_BASE`).
const MOVABLE_BASE: u64 = 0x5555_5555_4000;
/// How many pages the kernel moves them at random.
const RANDOM_PAGES: u64 = 1 << 28;
/// Data of a static program up to this size is mapped with its pages. See [`DATA_AT_ONCE`] for others.
const AT_ONCE: usize = 64 * 1024;
/// How often another place is looked for.
const ATTEMPTS: usize = 8;
/// `ADDR_NO_RANDOMIZE`, see personality(2).
const NO_RANDOM: usize = 0x004_0000;

/// A file that has been mapped.
pub struct Image {
    /// How far it lies from where it was linked.
    pub base: u64,
    /// Where it begins to run.
    pub entry: u64,
    /// Where its program headers lie in memory.
    pub headers: u64,
    /// How many there are.
    pub count: usize,
    /// Whether it wants an executable stack.
    pub executable_stack: bool,
    /// The ends of its code and data.
    pub code: (u64, u64),
    /// See [`Image::code`].
    pub data: (u64, u64),
    /// The end of all.
    pub end: u64,
}

/// Room that is used before the program starts, when there is one thread.
struct Early<T>(UnsafeCell<T>);

// SAFETY: there is one thread when it is used.
unsafe impl<T> Sync for Early<T> {}

impl<T> Early<T> {
    /// Room that holds a value.
    const fn new(value: T) -> Early<T> {
        Early(UnsafeCell::new(value))
    }

    /// The one thread's way to it.
    fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The longest path of an interpreter, with its NUL.
const INTERPRETER: usize = 4096;

/// The interpreter's path of the file that was mapped last, if it is as short as
/// they are, in a page that is written to anyway.
#[unsafe(link_section = ".data.start")]
static SHORT: Early<[u8; 256]> = Early::new([0; 256]);

impl Image {
    /// Maps a file, and gives its interpreter's app path, which is good until the
    /// next file is mapped. An interpreter lies where the kernel puts libraries.
    pub fn map(file: i32, is_interpreter: bool) -> Result<(Image, Option<&'static CStr>), Errno> {
        let mut head = [0; elf::FIRST];
        let len = kernel::pread(file, &mut head, 0)?;
        let head = head.get(..len).unwrap_or(&[]);
        let header = Header::read(head)?;
        // They nearly always lie at the beginning.
        let headers = match header.headers_in(head) {
            Some(near) => near,
            None => {
                let room = room(header.count * elf::PROGRAM_HEADER)?;
                if kernel::pread(file, room, header.headers_at)? != room.len() {
                    return Err(Errno::ENOEXEC);
                }
                room
            }
        };
        let span = elf::span(headers)?;
        let mut image = Image {
            base: 0,
            entry: 0,
            headers: 0,
            count: header.count,
            executable_stack: elf::wants_executable_stack(headers),
            code: (u64::MAX, 0),
            data: (0, 0),
            end: 0,
        };
        let interpreter = elf::interpreter(headers).map(|found| read_interpreter(file, head, found));
        let interpreter = interpreter.transpose()?.flatten();
        let is_static = interpreter.is_none() && !is_interpreter;
        let at_once = if is_static { AT_ONCE } else { DATA_AT_ONCE };
        let kind = Kind { movable: header.movable, library: is_interpreter };
        let mut attempt = 0;
        loop {
            match image.settle((file, headers), &span, kind.place(&span, attempt), at_once) {
                // Something lies there: elsewhere, then.
                Err(Errno::EEXIST) if kind.movable && attempt < ATTEMPTS => attempt += 1,
                done => break done?,
            }
        }
        image.entry = image.base.wrapping_add(header.entry);
        for segment in elf::segments(headers) {
            image.note(&segment?, &header);
        }
        // It stays mapped: its strings need not be asked about.
        user::note_range(image.base.wrapping_add(span.start) as usize, image.end as usize);
        let code = elf::segments(headers).flatten().filter(Segment::is_code);
        let code = code.map(|segment| image.code_of(&segment, span.apart));
        mapped::rewrite_mapped(file, code, is_interpreter);
        Ok((image, interpreter))
    }

    /// Maps all segments at a place, or where the kernel finds room; all or none.
    fn settle(
        &mut self,
        (file, headers): (i32, &[u8]),
        span: &Span,
        place: Option<u64>,
        at_once: usize,
    ) -> Result<(), Errno> {
        // Room that is cut into pieces costs more than pieces beside each other.
        let (start, fixed) = match place {
            Some(start) if span.apart => (start, 0),
            _ => (reserve(span, place)?, libc::MAP_FIXED),
        };
        self.base = start.wrapping_sub(span.start);
        let mut end = start;
        for (index, segment) in elf::segments(headers).enumerate() {
            let segment = segment?;
            let (page, _) = pages(self.base, &segment);
            if fixed != 0 && page > end {
                // Between segments there is nothing, as with the kernel.
                // SAFETY: part of what has been reserved.
                unsafe { kernel::unmap(end as usize, (page - end) as usize) };
            }
            match map_segment(file, self.base, &segment, (fixed, at_once)) {
                Ok(mapped) => end = end.max(mapped),
                Err(errno) => {
                    for segment in elf::segments(headers).take(index).flatten() {
                        let (page, end) = pages(self.base, &segment);
                        // SAFETY: it has just been mapped, and nothing knows of it yet.
                        unsafe { kernel::unmap(page as usize, (end - page) as usize) };
                    }
                    return Err(errno);
                }
            }
        }
        Ok(())
    }

    /// The mapping of a segment of code, of a file that is not known yet, and where it ends, if its pages are its own.
    fn code_of(&self, segment: &Segment, is_apart: bool) -> (Code, Option<u64>) {
        let address = self.base.wrapping_add(segment.address);
        let end = address + segment.file_size;
        let (start, offset) = (address & !(PAGE - 1), segment.offset & !(PAGE - 1));
        let is_own = is_apart && segment.memory_size == segment.file_size;
        (Code { start, end: end.next_multiple_of(PAGE), offset, file: 0 }, is_own.then_some(end))
    }

    fn note(&mut self, segment: &Segment, header: &Header) {
        let start = self.base.wrapping_add(segment.address);
        let of_headers = header.headers_at.wrapping_sub(segment.offset);
        if of_headers < segment.file_size {
            self.headers = start.wrapping_add(of_headers);
        }
        if segment.flags & 1 != 0 {
            self.code = (self.code.0.min(start), self.code.1.max(start + segment.file_size));
        }
        if start >= self.data.0 {
            self.data = (start, self.data.1.max(start + segment.file_size));
        }
        self.end = self.end.max(start + segment.memory_size);
    }
}

/// Room that stays, for the few files that are laid out in their own way.
fn room(len: usize) -> Result<&'static mut [u8], Errno> {
    let address = kernel::map_anonymous(len)?;
    // SAFETY: fresh memory of that length, which is never unmapped.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, len) })
}

/// Copies the interpreter's path to where it stays. None where it is empty.
fn read_interpreter(
    file: i32,
    head: &[u8],
    (offset, size): (usize, usize),
) -> Result<Option<&'static CStr>, Errno> {
    if size >= INTERPRETER {
        return Err(Errno::ENOEXEC);
    }
    // SAFETY: only this function uses it, and there is one thread; what an
    // earlier call has given is of no more use.
    let short: &'static mut [u8] = unsafe { &mut *SHORT.get() };
    let room = if size < short.len() { short } else { room(size + 1)? };
    let (path, after) = room.split_at_mut_checked(size).ok_or(Errno::ENOEXEC)?;
    match head.get(offset..offset.saturating_add(size)) {
        Some(near) => path.copy_from_slice(near),
        None => {
            kernel::pread(file, path, offset as u64)?;
        }
    }
    // A path without a NUL ends where it says.
    *after.first_mut().ok_or(Errno::ENOEXEC)? = 0;
    let path = CStr::from_bytes_until_nul(room).ok();
    Ok(path.filter(|path| !path.is_empty()))
}

/// mmap(2) at an address that must be free.
pub fn map_fixed(
    address: u64,
    len: usize,
    protection: i32,
    flags: i32,
    file: Option<(i32, u64)>,
) -> Result<u64, Errno> {
    let (fd, offset) = file.unwrap_or((-1, 0));
    let args = [address as usize, len, protection as usize, flags as usize, fd as usize, offset as usize];
    let got = {
        let mut args = args;
        if flags & libc::MAP_FIXED == 0 && address != 0 {
            args[3] |= libc::MAP_FIXED_NOREPLACE as usize;
        }
        // SAFETY: only free addresses, or, with MAP_FIXED, those that the caller has reserved.
        unsafe { kernel::syscall(libc::SYS_mmap, args) }? as u64
    };
    // A kernel that does not know MAP_FIXED_NOREPLACE takes it for a hint.
    if address != 0 && got != address { Err(Errno::EEXIST) } else { Ok(got) }
}

/// Where a file may lie.
#[derive(Clone, Copy)]
struct Kind {
    /// Anywhere, and not only where it was linked.
    movable: bool,
    /// Where the kernel puts libraries.
    library: bool,
}

impl Kind {
    /// Where to try next. None: where the kernel finds room.
    fn place(self, span: &Span, attempt: usize) -> Option<u64> {
        let aligned = |address: u64| address & !(span.align - 1);
        match self {
            Kind { movable: false, .. } => Some(span.start),
            _ if attempt == ATTEMPTS => None,
            // The kernel goes from top to bottom, so there is room below what it has mapped last.
            Kind { library: true, .. } if attempt == 0 => {
                let lowest = elements::instance::attached()?.lowest_mapping() as u64;
                Some(aligned(lowest.checked_sub(span.end - span.start)?))
            }
            Kind { library: true, .. } => None,
            _ => Some(aligned(MOVABLE_BASE + random_pages() * PAGE)),
        }
    }
}

/// Reserves room for all segments, and gives its beginning.
fn reserve(span: &Span, place: Option<u64>) -> Result<u64, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let len = (span.end - span.start) as usize;
    if let Some(start) = place {
        return map_fixed(start, len, libc::PROT_NONE, flags, None);
    }
    let more = if span.align > PAGE { span.align as usize } else { 0 };
    let got = map_fixed(0, len + more, libc::PROT_NONE, flags, None)?;
    let start = got.next_multiple_of(span.align);
    if more > 0 {
        // SAFETY: what was reserved to have room for the alignment.
        unsafe {
            if start > got {
                kernel::unmap(got as usize, (start - got) as usize);
            }
            let end = start as usize + len;
            kernel::unmap(end, got as usize + len + more - end);
        }
    }
    Ok(start)
}

fn random_pages() -> u64 {
    // SAFETY: a number that asks and sets nothing.
    let personality = unsafe { kernel::syscall(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]) };
    if personality.unwrap_or(0) & NO_RANDOM != 0 { 0 } else { kernel::random() % RANDOM_PAGES }
}

fn protection(segment: &Segment) -> i32 {
    [(4, libc::PROT_READ), (2, libc::PROT_WRITE), (1, libc::PROT_EXEC)]
        .iter()
        .filter(|(flag, _)| segment.flags & flag != 0)
        .fold(0, |all, (_, protection)| all | protection)
}

/// The pages that a segment takes.
fn pages(base: u64, segment: &Segment) -> (u64, u64) {
    let start = base.wrapping_add(segment.address);
    (start & !(PAGE - 1), (start + segment.memory_size).next_multiple_of(PAGE))
}

/// Maps a segment and gives its end. `fixed` is `MAP_FIXED` where it lies in room that has been reserved; data of up to
/// `at_once` bytes is mapped with its pages.
fn map_segment(
    file: i32,
    base: u64,
    segment: &Segment,
    (fixed, at_once): (i32, usize),
) -> Result<u64, Errno> {
    let protection = protection(segment);
    let (page, end) = pages(base, segment);
    let file_end = base.wrapping_add(segment.address) + segment.file_size;
    let mut mapped_end = page;
    if segment.file_size > 0 {
        let len = (file_end - page) as usize;
        let offset = segment.offset & !(PAGE - 1);
        let mut flags = libc::MAP_PRIVATE | fixed;
        // The data of most programs is written to in all its pages before they start, or soon after.
        if protection & libc::PROT_WRITE != 0 && len <= at_once {
            flags |= libc::MAP_POPULATE;
        }
        map_fixed(page, len, protection, flags, Some((file, offset)))?;
        mapped_end = file_end.next_multiple_of(PAGE);
        if segment.memory_size > segment.file_size && protection & libc::PROT_WRITE != 0 {
            // To the end of the page, as the kernel does: ld.so allocates from there.
            let len = (mapped_end - file_end) as usize;
            // SAFETY: the rest of the page that has just been mapped for writing.
            unsafe { core::ptr::write_bytes(file_end as *mut u8, 0, len) };
        }
    }
    if end > mapped_end {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
        let mapped = map_fixed(mapped_end, (end - mapped_end) as usize, protection, flags, None);
        if let Err(errno) = mapped {
            if mapped_end > page {
                // SAFETY: the part of the file, which has just been mapped.
                unsafe { kernel::unmap(page as usize, (mapped_end - page) as usize) };
            }
            return Err(errno);
        }
    }
    Ok(end.max(mapped_end))
}
