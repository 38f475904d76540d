//! Mapping an ELF file as the kernel maps it (fs/binfmt_elf.c).

use core::cell::UnsafeCell;
use core::ffi::CStr;

use elements::process::elf::{self, Header, Segment, Span};
use elements::{Errno, kernel, user};

const PAGE: u64 = 4096;
/// Where the kernel puts programs that can be anywhere (`ELF_ET_DYN_BASE`).
const MOVABLE_BASE: u64 = 0x5555_5555_4000;
/// How many pages the kernel moves them at random.
const RANDOM_PAGES: u64 = 1 << 28;
/// Data up to this size is mapped with its pages.
const AT_ONCE: usize = 64 * 1024;
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
    interpreter: [u8; 4096],
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

/// The program headers of the file that is being mapped.
static HEADERS: Early<[u8; elf::PROGRAM_HEADERS]> = Early::new([0; elf::PROGRAM_HEADERS]);

impl Image {
    /// Maps a file. An interpreter lies where the kernel puts libraries.
    pub fn map(file: i32, is_interpreter: bool) -> Result<Image, Errno> {
        let mut head = [0; 4096];
        let len = kernel::pread(file, &mut head, 0)?;
        let head = head.get(..len).unwrap_or(&[]);
        let header = Header::read(head)?;
        // SAFETY: only this function uses it, and there is one thread.
        let headers = unsafe { &mut *HEADERS.get() };
        let headers = headers.get_mut(..header.count * elf::PROGRAM_HEADER).unwrap_or(&mut []);
        // They nearly always lie in the first page.
        match header.headers_in(head) {
            Some(near) => headers.copy_from_slice(near),
            None if kernel::pread(file, headers, header.headers_at)? == headers.len() => {}
            None => return Err(Errno::ENOEXEC),
        }
        let headers: &[u8] = headers;
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
            interpreter: [0; 4096],
        };
        if let Some((offset, size)) = elf::interpreter(headers) {
            let room = image.interpreter.get_mut(..size).ok_or(Errno::ENOEXEC)?;
            match head.get(offset..offset.saturating_add(size)) {
                Some(near) => room.copy_from_slice(near),
                None => {
                    kernel::pread(file, room, offset as u64)?;
                }
            }
        }
        let placed = reserve(&span, header.movable, is_interpreter || image.interpreter().is_none())?;
        image.base = placed.wrapping_sub(span.start);
        image.entry = image.base.wrapping_add(header.entry);
        for segment in elf::segments(headers) {
            let segment = segment?;
            map_segment(file, image.base, &segment)?;
            image.note(&segment, &header);
        }
        // It stays mapped: its strings need not be asked about.
        user::note_range(image.base.wrapping_add(span.start) as usize, image.end as usize);
        Ok(image)
    }

    /// The interpreter's app path.
    pub fn interpreter(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.interpreter).ok().filter(|path| !path.is_empty())
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

/// Reserves room for all segments and gives its beginning.
fn reserve(span: &Span, movable: bool, among_libraries: bool) -> Result<u64, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let len = (span.end - span.start) as usize;
    if !movable {
        return map_fixed(span.start, len, libc::PROT_NONE, flags, None);
    }
    if !among_libraries {
        for _ in 0..8 {
            let start = (MOVABLE_BASE + random_pages() * PAGE) & !(span.align - 1);
            if let Ok(got) = map_fixed(start, len, libc::PROT_NONE, flags, None) {
                return Ok(got);
            }
        }
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

fn map_segment(file: i32, base: u64, segment: &Segment) -> Result<(), Errno> {
    let protection = [(4, libc::PROT_READ), (2, libc::PROT_WRITE), (1, libc::PROT_EXEC)]
        .iter()
        .filter(|(flag, _)| segment.flags & flag != 0)
        .fold(0, |all, (_, protection)| all | protection);
    let start = base.wrapping_add(segment.address);
    let page = start & !(PAGE - 1);
    let file_end = start + segment.file_size;
    let memory_end = start + segment.memory_size;
    let mut mapped_end = page;
    if segment.file_size > 0 {
        let len = (file_end - page) as usize;
        let offset = segment.offset & !(PAGE - 1);
        let mut flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        // The little data of most programs is written to in all its pages before they start.
        if protection & libc::PROT_WRITE != 0 && len <= AT_ONCE {
            flags |= libc::MAP_POPULATE;
        }
        map_fixed(page, len, protection, flags, Some((file, offset)))?;
        mapped_end = file_end.next_multiple_of(PAGE);
        if memory_end > file_end && protection & libc::PROT_WRITE != 0 {
            // To the end of the page, as the kernel does: ld.so allocates from there.
            let len = (mapped_end - file_end) as usize;
            // SAFETY: the rest of the page that has just been mapped for writing.
            unsafe { core::ptr::write_bytes(file_end as *mut u8, 0, len) };
        }
    }
    let end = memory_end.next_multiple_of(PAGE);
    if end > mapped_end {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        map_fixed(mapped_end, (end - mapped_end) as usize, protection, flags, None)?;
    }
    Ok(())
}
