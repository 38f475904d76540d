//! The vDSO that the program is given where the policy has a clock of its own.
//!
//! libc of whatever make, and Go, read the clock through functions of an object whose place
//! `AT_SYSINFO_EHDR` tells (vdso(7)), without a system call. So the program is told of an object of
//! ours: an ELF file of a page, laid out below, in the gate's own image, which every process has. Its
//! functions ask the kernel's and reckon. They run as the kernel's do: on the program's
//! stack, without a slot, so a signal's handler may interrupt them and never come back.
//!
//! Whoever reads it looks for a version (`LINUX_2.6`), by way of DT_HASH, which all of them know.

use core::ffi::{c_int, c_long, c_uint, c_void};

use elements::instance::attached;
use elements::kernel::arch::ELF_MACHINE;
use elements::time::vdso;
use libc::{clockid_t, timespec, timeval};

/// Whether the program needs one.
pub fn is_needed() -> bool {
    attached().is_some_and(|instance| instance.view.has_time())
}

/// Gives the address of ours for the kernel's.
pub fn put_in_front(kernels: u64) -> u64 {
    // SAFETY: the kernel's own word for where its vDSO is.
    unsafe { vdso::learn(kernels as usize) };
    core::ptr::from_ref(&IMAGE) as u64
}

unsafe extern "C" fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    match attached() {
        // SAFETY: the program's promise.
        Some(instance) => unsafe { instance.read_clock(clock, to) },
        None => -libc::ENOSYS,
    }
}

unsafe extern "C" fn gettimeofday(to: *mut timeval, zone: *mut c_void) -> c_int {
    match attached() {
        // SAFETY: the program's promise.
        Some(instance) => unsafe { instance.read_time_of_day(to, zone) },
        None => -libc::ENOSYS,
    }
}

unsafe extern "C" fn time(to: *mut i64) -> i64 {
    match attached() {
        // SAFETY: the program's promise.
        Some(instance) => unsafe { instance.read_seconds(to) },
        None => -i64::from(libc::ENOSYS),
    }
}

unsafe extern "C" fn clock_getres(clock: clockid_t, to: *mut timespec) -> c_int {
    // SAFETY: the program's promise.
    unsafe { vdso::clock_getres(clock, to) }
}

unsafe extern "C" fn getcpu(cpu: *mut c_uint, node: *mut c_uint, unused: *mut c_void) -> c_long {
    // SAFETY: the program's promise.
    unsafe { vdso::getcpu(cpu, node, unused) }
}

unsafe extern "C" fn getrandom(
    buffer: *mut c_void,
    len: usize,
    flags: c_uint,
    state: *mut c_void,
    state_len: usize,
) -> isize {
    // SAFETY: the program's promise.
    unsafe { vdso::getrandom(buffer, len, flags, state, state_len) }
}

/// A word that holds an address, which is known once the gate is linked.
#[repr(C)]
union Word {
    value: u64,
    address: *const c_void,
}

const fn word(value: u64) -> Word {
    Word { value }
}

/// `Elf64_Phdr`
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: Word,
    physical: Word,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

/// `Elf64_Sym`
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: Word,
    size: u64,
}

/// `Elf64_Verdef` with its one `Elf64_Verdaux`
#[repr(C)]
struct Version {
    version: u16,
    flags: u16,
    index: u16,
    count: u16,
    hash: u32,
    auxiliary: u32,
    next: u32,
    name: u32,
    next_name: u32,
}

/// How many symbols there are, with the first, which stands for none.
const SYMBOLS: usize = 7;
/// How many entries the dynamic section has.
const ENTRIES: usize = 9;
const SEGMENTS: u16 = 2;

/// The names, by their places in the table of strings.
const STRINGS: &[u8; 132] =
    b"\0linux-vdso.so.1\0LINUX_2.6\0__vdso_clock_gettime\0__vdso_gettimeofday\0__vdso_time\0\
    __vdso_clock_getres\0__vdso_getcpu\0__vdso_getrandom\0\0";

/// Where a name stands in [`STRINGS`], after a NUL. To ask for one that is not there ends the build.
const fn name(wanted: &[u8]) -> u32 {
    let mut at = 1;
    loop {
        let mut matching = 0;
        while matching < wanted.len() && STRINGS[at + matching] == wanted[matching] {
            matching += 1;
        }
        if matching == wanted.len() && STRINGS[at + matching] == 0 && STRINGS[at - 1] == 0 {
            return at as u32;
        }
        at += 1;
    }
}

/// The System V ABI's hash of a name.
const fn hash(name: &[u8]) -> u32 {
    let mut hash = 0_u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash << 4).wrapping_add(name[at] as u32);
        let high = hash & 0xf000_0000;
        hash = (hash ^ high >> 24) & !high;
        at += 1;
    }
    hash
}

/// `DT_HASH` with one bucket: all symbols in a row.
#[repr(C)]
struct Hash {
    buckets: u32,
    symbols: u32,
    first: u32,
    next: [u32; SYMBOLS],
}

/// The file.
#[repr(C, align(4096))]
struct Image {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    headers: u64,
    sections: u64,
    flags: u32,
    size: u16,
    header_size: u16,
    header_count: u16,
    section_size: u16,
    section_count: u16,
    section_names: u16,
    segments: [Segment; SEGMENTS as usize],
    dynamic: [[Word; 2]; ENTRIES],
    symbols: [Symbol; SYMBOLS],
    hash: Hash,
    defined: Version,
    versions: [u16; SYMBOLS + 1],
    strings: [u8; STRINGS.len()],
}

// SAFETY: constant.
unsafe impl Sync for Image {}

/// The address of a part of the file.
const fn part(offset: usize) -> Word {
    Word { address: (&raw const IMAGE).cast::<c_void>().wrapping_byte_add(offset) }
}

const fn segment(kind: u32, offset: usize, size: usize) -> Segment {
    Segment {
        kind,
        // Read and execute.
        flags: 5,
        offset: offset as u64,
        address: part(offset),
        physical: part(offset),
        file_size: size as u64,
        memory_size: size as u64,
        align: 8,
    }
}

const fn function(wanted: &[u8], address: *const c_void) -> Symbol {
    // STB_GLOBAL, STT_FUNC, and a section, since it is defined.
    Symbol { name: name(wanted), info: 0x12, other: 0, section: 1, value: Word { address }, size: 16 }
}

const LINUX: &[u8] = b"LINUX_2.6";

#[unsafe(link_section = ".rodata.vdso")]
static IMAGE: Image = Image {
    // 64 bits, the lower byte first, version 1.
    ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
    kind: libc::ET_DYN,
    machine: ELF_MACHINE,
    version: 1,
    entry: 0,
    headers: core::mem::offset_of!(Image, segments) as u64,
    sections: 0,
    flags: 0,
    size: 64,
    header_size: size_of::<Segment>() as u16,
    header_count: SEGMENTS,
    section_size: 64,
    section_count: 0,
    section_names: 0,
    segments: [
        segment(libc::PT_LOAD, 0, size_of::<Image>()),
        segment(libc::PT_DYNAMIC, core::mem::offset_of!(Image, dynamic), ENTRIES * 16),
    ],
    dynamic: [
        // DT_SONAME, DT_HASH, DT_STRTAB, DT_STRSZ, DT_SYMTAB, DT_SYMENT, DT_VERSYM, DT_VERDEF and its count
        [word(14), word(name(b"linux-vdso.so.1") as u64)],
        [word(4), part(core::mem::offset_of!(Image, hash))],
        [word(5), part(core::mem::offset_of!(Image, strings))],
        [word(10), word(STRINGS.len() as u64)],
        [word(6), part(core::mem::offset_of!(Image, symbols))],
        [word(0x6fff_fff0), part(core::mem::offset_of!(Image, versions))],
        [word(0x6fff_fffc), part(core::mem::offset_of!(Image, defined))],
        [word(0x6fff_fffd), word(1)],
        [word(0), word(0)],
    ],
    symbols: [
        Symbol { name: 0, info: 0, other: 0, section: 0, value: word(0), size: 0 },
        function(b"__vdso_clock_gettime", clock_gettime as *const c_void),
        function(b"__vdso_gettimeofday", gettimeofday as *const c_void),
        function(b"__vdso_time", time as *const c_void),
        function(b"__vdso_clock_getres", clock_getres as *const c_void),
        function(b"__vdso_getcpu", getcpu as *const c_void),
        function(b"__vdso_getrandom", getrandom as *const c_void),
    ],
    hash: Hash { buckets: 1, symbols: SYMBOLS as u32, first: 1, next: [0, 2, 3, 4, 5, 6, 0] },
    defined: Version {
        version: 1,
        flags: 0,
        index: 2,
        count: 1,
        hash: hash(LINUX),
        auxiliary: core::mem::offset_of!(Version, name) as u32,
        next: 0,
        name: name(LINUX),
        next_name: 0,
    },
    versions: [0, 2, 2, 2, 2, 2, 2, 0],
    strings: *STRINGS,
};
