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

/// How much of a file is read first. What lies further on is read by itself; little
/// is on the stack here, since each page of it that is touched first is dear.
const FIRST: usize = 1024;

impl Image {
    /// Maps a file, and gives its interpreter's app path, which is good until the
    /// next file is mapped. An interpreter lies where the kernel puts libraries.
    pub fn map(file: i32, is_interpreter: bool) -> Result<(Image, Option<&'static CStr>), Errno> {
        let mut head = [0; FIRST];
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
        let first =
            elf::segments(headers).next().transpose()?.and_then(|first| First::of(file, &first, &span));
        let among_libraries = is_interpreter || interpreter.is_none();
        let placed = reserve(&span, first.as_ref(), header.movable, among_libraries)?;
        image.base = placed.wrapping_sub(span.start);
        image.entry = image.base.wrapping_add(header.entry);
        let mut mapped = first.is_some();
        let mut end = placed;
        for segment in elf::segments(headers) {
            let segment = segment?;
            // Between segments there is nothing, as with the kernel.
            let start = image.base.wrapping_add(segment.address) & !(PAGE - 1);
            if start > end {
                // SAFETY: part of what has been reserved.
                unsafe { kernel::unmap(end as usize, (start - end) as usize) };
            }
            end = end.max(map_segment(file, image.base, &segment, mapped)?);
            mapped = false;
            image.note(&segment, &header);
        }
        // It stays mapped: its strings need not be asked about.
        user::note_range(image.base.wrapping_add(span.start) as usize, image.end as usize);
        Ok((image, interpreter))
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

/// The first segment, by which room for all is reserved: one mapping less.
struct First {
    protection: i32,
    file: (i32, u64),
}

impl First {
    /// None where the room is to be reserved by itself: without a part of the file
    /// there is nothing to map, and room that begins before the segment, or has to
    /// be cut to an alignment, would have the wrong part of it.
    fn of(file: i32, segment: &Segment, span: &Span) -> Option<First> {
        let page = segment.address & !(PAGE - 1);
        let whole = segment.file_size > 0 && page == span.start && span.align <= PAGE;
        whole.then(|| First { protection: protection(segment), file: (file, segment.offset & !(PAGE - 1)) })
    }
}

/// Reserves room for all segments and gives its beginning.
fn reserve(span: &Span, first: Option<&First>, movable: bool, among_libraries: bool) -> Result<u64, Errno> {
    let anonymous = libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let (protection, flags, file) =
        first.map_or((libc::PROT_NONE, anonymous, None), |first| (first.protection, 0, Some(first.file)));
    let flags = libc::MAP_PRIVATE | flags;
    let len = (span.end - span.start) as usize;
    if !movable {
        return map_fixed(span.start, len, protection, flags, file);
    }
    if !among_libraries {
        for _ in 0..8 {
            let start = (MOVABLE_BASE + random_pages() * PAGE) & !(span.align - 1);
            if let Ok(got) = map_fixed(start, len, protection, flags, file) {
                return Ok(got);
            }
        }
    }
    let more = if span.align > PAGE { span.align as usize } else { 0 };
    let got = map_fixed(0, len + more, protection, flags, file)?;
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

/// Maps a segment, whose part of the file may be mapped already, and gives its end.
fn map_segment(file: i32, base: u64, segment: &Segment, mapped: bool) -> Result<u64, Errno> {
    let protection = protection(segment);
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
        if !mapped {
            map_fixed(page, len, protection, flags, Some((file, offset)))?;
        }
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
    Ok(end.max(mapped_end))
}
