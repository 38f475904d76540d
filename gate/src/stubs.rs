//! Stubs: what the jumps of rewritten call sites lead to.
//!
//! Code that is rewritten as it is mapped has its own behind it, where there is room up to the end of the page: then they go when it
//! goes, and nothing has to be mapped or given other rights for them. Others are in pages of ours.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use elements::process::maps::Code;
use elements::{Errno, kernel};

use crate::arch::site::{self, Site};
use crate::loader::own_path;
use crate::patch::{Fresh, PAGE, protect};

/// How far from the code a page is tried first: beyond what libraries have before it, and in the same page table.
const STEP: u64 = 8 * PAGE;
/// How often a place is tried, each further away than the one before.
const TRIES: u64 = 256;
const _: () = assert!(TRIES * TRIES * STEP >= site::REACH);

/// How many fit in a page.
pub const MOST: usize = PAGE as usize / site::STUB_LEN;

/// Where each page begins, and how many bytes of it are taken.
#[unsafe(link_section = ".data.start")]
static STUBS: [(AtomicU64, AtomicU32); 16] = [const { (AtomicU64::new(0), AtomicU32::new(0)) }; 16];

/// The addresses of stubs, of which the first is here.
pub fn from(first: u64) -> impl Iterator<Item = u64> {
    (first..).step_by(site::STUB_LEN)
}

/// Writes them one after the other.
///
/// # Safety
///
/// There is room for as many, which may be written to, and which no thread runs yet.
unsafe fn put(first: u64, sites: &[(u64, Site)]) {
    for ((back, site), stub) in sites.iter().zip(from(first)) {
        // SAFETY: the caller's promise.
        unsafe { (stub as *mut site::Stub).write(site.stub(*back, stub)) };
    }
}

/// Writes stubs for sites of code that nothing has run yet, and that may be written to, behind it; gives the address of
/// the first. None: there is no room.
pub fn write_behind(fresh: &Fresh, sites: &[(u64, Site)]) -> Option<u64> {
    let first = fresh.end?.checked_next_multiple_of(site::STUB_LEN as u64)?;
    let len = sites.len() * site::STUB_LEN;
    let room = fresh.code.end.checked_sub(first)?;
    // The file ends somewhere in a page, or has what other mappings of it are to show.
    if (len as u64) > room || room >= PAGE {
        return None;
    }
    site::own_page(first);
    // SAFETY: the last page of what has just been mapped from a file that reaches into it.
    let is_free =
        unsafe { core::slice::from_raw_parts(first as *const u8, len) }.iter().all(|byte| *byte == 0);
    if !is_free {
        return None;
    }
    // SAFETY: it may be written to, and is nobody's.
    unsafe { put(first, sites) };
    Some(first)
}

/// Writes stubs for sites of some code, [`MOST`] at most; gives the address of the first.
///
/// # Errors
///
/// Those of mmap(2) and mprotect(2), `ENOMEM` where no page is free within reach.
pub fn write(code: &Code, sites: &[(u64, Site)]) -> Result<u64, Errno> {
    let len = (sites.len() * site::STUB_LEN) as u64;
    let has_room = |used: &AtomicU32| u64::from(used.load(Ordering::Relaxed)) + len <= PAGE;
    let known = STUBS.iter().find(|(page, used)| {
        let page = page.load(Ordering::Relaxed);
        page != 0 && reaches(page, code) && has_room(used)
    });
    let free = || STUBS.iter().find(|(page, _)| page.load(Ordering::Relaxed) == 0);
    let (entry, used) = known.or_else(free).ok_or(Errno::ENOMEM)?;
    let page = match entry.load(Ordering::Relaxed) {
        // Nobody runs there yet, so it is made executable when it is written.
        0 => new_page(code)?,
        page => {
            protect(page, page, true)?;
            page
        }
    };
    let first = page + u64::from(used.load(Ordering::Relaxed));
    // SAFETY: the next free part of a page of ours.
    unsafe { put(first, sites) };
    if let Err(errno) = protect(page, page, false) {
        if known.is_none() {
            // SAFETY: what has just been mapped.
            unsafe { kernel::unmap(page as usize, PAGE as usize) };
        }
        return Err(errno);
    }
    entry.store(page, Ordering::Relaxed);
    used.fetch_add(len as u32, Ordering::Relaxed);
    Ok(first)
}

/// Whether a jump leads from everywhere in some code to a page.
fn reaches(page: u64, code: &Code) -> bool {
    page.abs_diff(code.start) < site::REACH && page.abs_diff(code.end) < site::REACH
}

/// Maps a page for stubs within reach of some code.
fn new_page(code: &Code) -> Result<u64, Errno> {
    // A page of our own file is known for ours in /proc/PID/maps.
    let own = own_file();
    let page = new_page_of(own, code);
    if let Some(own) = own {
        kernel::close(own);
    }
    page
}

/// The gate's file; none where it cannot be opened.
fn own_file() -> Option<i32> {
    let path = own_path().as_ptr().cast();
    kernel::open_at_once(path).ok()
}

fn new_page_of(file: Option<i32>, code: &Code) -> Result<u64, Errno> {
    let below = (1..=TRIES).map(|step| code.start.wrapping_sub(step * step * STEP));
    let above = (1..=TRIES).map(|step| code.start.wrapping_add(step * step * STEP));
    for address in below.chain(above) {
        let address = address & !(PAGE - 1);
        if address < 1 << 16 || !reaches(address, code) {
            continue;
        }
        let rights = (libc::PROT_READ | libc::PROT_WRITE) as usize;
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
