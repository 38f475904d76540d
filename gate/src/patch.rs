//! Call sites that trap often are rewritten, so that they come to the gate
//! by a jump and not by a signal.
//!
//! The patterns are `mov $nr, %eax; syscall`, and libc's `mov $nr, %eax;
//! mov %rdi, %rsi; mov $AT_FDCWD, %edi; syscall`. Only the last `mov` is replaced, by a
//! jump of the same five bytes to a stub that does what it did and goes to the gate's entry. The `syscall` stays: a thread that has just executed the old
//! `mov`, or that jumps to the `syscall` itself, traps as before. A site that
//! matches no pattern stays as it is, correct and slower.
//!
//! The write is safe against threads that run there: two bytes `jmp .` hold
//! them, the rest is written, and the first two bytes let them go on. A lock
//! keeps a fork from copying a site that is held.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use elements::process::maps;
use elements::{Errno, kernel, user};

use crate::entry::{address, gate_entry};
use crate::loader::own_path;
use crate::place::Slot;

/// A site is rewritten when it has trapped as often.
const OFTEN: u32 = 16;
const SITES: usize = 128;
const PAGE: u64 = 4096;
/// How far a jump reaches, with room for the ends.
const REACH: u64 = (1 << 31) - (1 << 20);
const STUB: u64 = 32;
/// How far apart pages for stubs are tried.
const STEP: u64 = 1 << 20;

/// How often sites have trapped, by their address: the address, and the count in its upper bits.
#[unsafe(link_section = ".data.start")]
static COUNTS: [AtomicU64; SITES] = [const { AtomicU64::new(0) }; SITES];

#[unsafe(link_section = ".data.start")]
static LOCK: AtomicBool = AtomicBool::new(false);
/// Whether the system forbids it.
#[unsafe(link_section = ".data.start")]
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// Pages of stubs: where each begins, and how many bytes are taken.
#[unsafe(link_section = ".data.start")]
static STUBS: [(AtomicU64, AtomicU32); 16] = [const { (AtomicU64::new(0), AtomicU32::new(0)) }; 16];

/// Holds rewriting off, for a fork. The child lets go as well.
pub fn hold() {
    while LOCK.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

/// Ends [`hold`].
pub fn let_go() {
    LOCK.store(false, Ordering::Release);
}

/// Looks at the site that a slot's call has come from. `back` is where the program goes on.
#[inline]
pub fn consider(slot: &Slot, back: u64) {
    let site = back.wrapping_sub(7);
    if !is_frequent(site) || FORBIDDEN.load(Ordering::Relaxed) {
        return;
    }
    if LOCK.swap(true, Ordering::Acquire) {
        return;
    }
    // What cannot be done stays undone.
    let _ = rewrite(site, slot.number as u32);
    let_go();
}

/// Counts a trap at a site; says so the one time that it is often enough.
fn is_frequent(site: u64) -> bool {
    const COUNT: u64 = 1 << 48;
    let Some(entry) = COUNTS.get((site >> 1) as usize % SITES) else { return false };
    let before = entry.load(Ordering::Relaxed);
    if before % COUNT != site {
        entry.store(COUNT | site, Ordering::Relaxed);
        return false;
    }
    let count = before / COUNT;
    // Kept below what fits; a site that has been refused is not asked for again.
    if count < 1000 {
        entry.store(before + COUNT, Ordering::Relaxed);
    }
    count + 1 == u64::from(OFTEN)
}

#[inline(never)]
fn rewrite(site: u64, number: u32) -> Result<(), Errno> {
    if site / PAGE != (site + 4) / PAGE || (site % 64) == 63 {
        return Err(Errno::EINVAL);
    }
    let replaced = last_instruction(site, number).ok_or(Errno::EINVAL)?;
    if is_traced() {
        return Err(Errno::EINVAL);
    }
    // Code of a file, that nobody writes to.
    let place = maps::find(c"/proc/self/maps".as_ptr().cast(), site, |mapping| {
        let fixed = mapping.rights == b"r-xp" && !mapping.file.is_empty();
        if fixed { Ok(mapping.start) } else { Err(Errno::EINVAL) }
    })?;
    let stub = stub(place, site, replaced)?;
    protect(site, true).inspect_err(|_| FORBIDDEN.store(true, Ordering::Relaxed))?;
    write_jump(site, stub);
    protect(site, false)
}

/// The instruction before a `syscall`, where all bytes up to there are a pattern's.
fn last_instruction(site: u64, number: u32) -> Option<[u8; 5]> {
    const AT_FDCWD: [u8; 5] = [0xbf, 0x9c, 0xff, 0xff, 0xff];
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let [a, b, c, d] = number.to_le_bytes();
    let load = [0xb8, a, b, c, d];
    let before = site.wrapping_sub(8);
    if !user::is_readable(before as *const u8, 15) {
        return None;
    }
    // SAFETY: found readable.
    let code: [u8; 15] = unsafe { (before as *const [u8; 15]).read_unaligned() };
    let (before, rest) = code.split_at(8);
    let (last, call) = rest.split_at(5);
    if call != SYSCALL {
        None
    } else if last == load {
        Some(load)
    } else if last == AT_FDCWD && before.starts_with(&load) && before.ends_with(&[0x48, 0x89, 0xfe]) {
        Some(AT_FDCWD)
    } else {
        None
    }
}

/// Puts `jmp stub` over the five bytes at a site.
fn write_jump(site: u64, stub: u64) {
    let [a, b, c, d] = (stub.wrapping_sub(site + 5) as u32).to_le_bytes();
    // Both stores of two bytes stay within a cache line, so threads that run
    // there see all of one or nothing.
    let [jump, held] = [u16::from_le_bytes([0xe9, a]), u16::from_le_bytes([0xeb, 0xfe])];
    // SAFETY: the page is writable, and the bytes are those of the pattern.
    unsafe {
        core::arch::asm!(
            "mov word ptr [{site}], {held:x}",
            "mfence",
            "mov byte ptr [{site} + 2], {b}",
            "mov word ptr [{site} + 3], {cd:x}",
            "mfence",
            "mov word ptr [{site}], {jump:x}",
            site = in(reg) site,
            held = in(reg) held,
            jump = in(reg) jump,
            b = in(reg_byte) b,
            cd = in(reg) u16::from_le_bytes([c, d]),
            options(nostack),
        );
    }
}

/// Makes a page of code writable, or no longer. It stays executable: other threads may run there.
fn protect(address: u64, writable: bool) -> Result<(), Errno> {
    let write = if writable { libc::PROT_WRITE } else { 0 };
    let rights = (libc::PROT_READ | libc::PROT_EXEC | write) as usize;
    // SAFETY: code that nobody else writes to.
    unsafe {
        kernel::syscall(
            libc::SYS_mprotect,
            [(address & !(PAGE - 1)) as usize, PAGE as usize, rights, 0, 0, 0],
        )
    }
    .map(|_| ())
}

/// Writes a stub within reach of a site and gives its address. `place` is
/// where the site's mapping begins.
fn stub(place: u64, site: u64, replaced: [u8; 5]) -> Result<u64, Errno> {
    let known = STUBS.iter().find(|(page, used)| {
        let page = page.load(Ordering::Relaxed);
        page != 0 && page.abs_diff(site) < REACH && u64::from(used.load(Ordering::Relaxed)) < PAGE
    });
    let (page, used) = match known {
        Some(known) => known,
        None => {
            let entry =
                STUBS.iter().find(|(page, _)| page.load(Ordering::Relaxed) == 0).ok_or(Errno::ENOMEM)?;
            entry.0.store(new_page(place, site)?, Ordering::Relaxed);
            entry
        }
    };
    let page = page.load(Ordering::Relaxed);
    let stub = page + u64::from(used.load(Ordering::Relaxed));
    protect(page, true)?;
    // SAFETY: the next free part of a page of ours, which no thread runs yet.
    unsafe { (stub as *mut [u8; STUB as usize]).write(code(site + 7, replaced)) };
    protect(page, false)?;
    used.fetch_add(STUB as u32, Ordering::Relaxed);
    Ok(stub)
}

/// What a stub does: the replaced instruction, where the program goes on, and off to the gate.
fn code(back: u64, replaced: [u8; 5]) -> [u8; STUB as usize] {
    let mut code = [0xcc; STUB as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(to) = code.get_mut(at) {
                *to = *byte;
            }
            at += 1;
        }
    };
    // The replaced one; movabs rcx, back; jmp [rip]; the gate's entry
    put(&replaced);
    put(&[0x48, 0xb9]);
    put(&back.to_le_bytes());
    put(&[0xff, 0x25, 0, 0, 0, 0]);
    put(&(address(gate_entry)).to_le_bytes());
    code
}

/// Maps a page for stubs within reach of a site.
fn new_page(place: u64, site: u64) -> Result<u64, Errno> {
    // A page of our own file is known for ours in /proc/PID/maps.
    let own = own_file();
    let page = new_page_of(own, place, site);
    if let Some(own) = own {
        kernel::close(own);
    }
    page
}

/// The gate's file; none where it cannot be opened.
fn own_file() -> Option<i32> {
    let path = own_path().as_ptr().cast();
    kernel::openat(kernel::AT_FDCWD, path, libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()
}

fn new_page_of(file: Option<i32>, place: u64, site: u64) -> Result<u64, Errno> {
    let below = (1..1024).map(|step| place.wrapping_sub(step * STEP));
    let above = (1..1024).map(|step| place.wrapping_add(step * STEP));
    for address in below.chain(above) {
        let address = address & !(PAGE - 1);
        if address < 1 << 16 || address.abs_diff(site) >= REACH {
            continue;
        }
        let rights = (libc::PROT_READ | libc::PROT_EXEC) as usize;
        let anonymous = if file.is_none() { libc::MAP_ANONYMOUS } else { 0 };
        let flags = (libc::MAP_PRIVATE | anonymous | libc::MAP_FIXED_NOREPLACE) as usize;
        let file = file.map_or(usize::MAX, |file| file as usize);
        // SAFETY: only where nothing is mapped.
        let got = unsafe {
            kernel::syscall(libc::SYS_mmap, [address as usize, PAGE as usize, rights, flags, file, 0])
        };
        match got {
            Ok(got) if got as u64 == address => return Ok(address),
            // SAFETY: what has just been mapped in the wrong place.
            Ok(got) => unsafe { kernel::unmap(got, PAGE as usize) },
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ENOMEM)
}

/// Whether a debugger is attached: it may have read the code already.
pub fn is_traced() -> bool {
    let mut text = [0_u8; 1024];
    let file = kernel::openat(
        kernel::AT_FDCWD,
        c"/proc/self/status".as_ptr().cast(),
        libc::O_RDONLY | libc::O_CLOEXEC,
        0,
    );
    let Ok(file) = file else { return true };
    let len = kernel::read(file, &mut text).unwrap_or(0);
    kernel::close(file);
    let mut lines = text.get(..len).unwrap_or(&[]).split(|byte| *byte == b'\n');
    !lines.any(|line| line == b"TracerPid:\t0")
}
