//! Call sites that trap often are rewritten, so that they come to the gate
//! by a jump and not by a signal.
//!
//! Which sites that are, and how a jump gets there without a thread ever running half of
//! it, is the processor's matter ([`crate::arch::site`]). A site that matches no pattern
//! stays as it is, correct and slower. A lock keeps a fork from copying a site that is
//! being rewritten.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use elements::process::maps;
use elements::{Errno, kernel};

use crate::arch::site::{self, Site};
use crate::loader::own_path;
use crate::place::{Slot, is_inside};

/// A site is rewritten when it has trapped as often.
const OFTEN: u32 = 16;
const SITES: usize = 128;
const PAGE: u64 = 4096;
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
    let site = back.wrapping_sub(site::LEN);
    if !is_frequent(site) || FORBIDDEN.load(Ordering::Relaxed) {
        return;
    }
    if LOCK.swap(true, Ordering::Acquire) {
        return ask_again(site);
    }
    // What cannot be done stays undone.
    let _ = rewrite(back, slot.number as u32);
    let_go();
}

/// One, in what [`COUNTS`] has.
const COUNT: u64 = 1 << 48;

/// Another site is being rewritten: this one's next trap is often enough again.
#[cold]
fn ask_again(site: u64) {
    if let Some(entry) = COUNTS.get((site >> 1) as usize % SITES) {
        entry.store((u64::from(OFTEN - 1) * COUNT) | site, Ordering::Relaxed);
    }
}

/// Counts a trap at a site; says so the one time that it is often enough.
fn is_frequent(site: u64) -> bool {
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

/// Looks at what handlers return to, before any has. A trap there would need a second frame on a handler's stack, and
/// an alternate one may have room for one.
pub fn consider_return(restorer: u64) {
    // What is the gate's own leads nowhere else.
    if is_inside(restorer) || FORBIDDEN.load(Ordering::Relaxed) {
        return;
    }
    let Some(back) = site::returns(restorer) else { return };
    if LOCK.swap(true, Ordering::Acquire) {
        return;
    }
    // What cannot be done stays undone.
    let _ = rewrite_site(Site::Return, back);
    let_go();
}

fn rewrite(back: u64, number: u32) -> Result<(), Errno> {
    rewrite_site(site::known(back, number).ok_or(Errno::EINVAL)?, back)
}

#[inline(never)]
fn rewrite_site(site: Site, back: u64) -> Result<(), Errno> {
    let (first, last) = site.range(back);
    if !site.is_whole(back) || is_traced() {
        return Err(Errno::EINVAL);
    }
    // Code of a file, that nobody writes to.
    let place = maps::start_of_code(first)?;
    let stub = stub(place, back, site)?;
    protect(first, last, true).inspect_err(|_| FORBIDDEN.store(true, Ordering::Relaxed))?;
    site.rewrite(back, stub);
    protect(first, last, false)
}

/// Makes the page of some bytes of code writable, or both where they are in two, or no longer. It stays executable: other
/// threads may run there.
fn protect(first: u64, last: u64, writable: bool) -> Result<(), Errno> {
    let page = first & !(PAGE - 1);
    let len = (last & !(PAGE - 1)) + PAGE - page;
    let write = if writable { libc::PROT_WRITE } else { 0 };
    let rights = (libc::PROT_READ | libc::PROT_EXEC | write) as usize;
    // SAFETY: code that nobody else writes to.
    unsafe { kernel::syscall(libc::SYS_mprotect, [page as usize, len as usize, rights, 0, 0, 0]) }.map(|_| ())
}

/// Writes a stub within reach of a site and gives its address. `place` is
/// where the site's mapping begins.
fn stub(place: u64, back: u64, site: Site) -> Result<u64, Errno> {
    let known = STUBS.iter().find(|(page, used)| {
        let page = page.load(Ordering::Relaxed);
        page != 0 && page.abs_diff(back) < site::REACH && u64::from(used.load(Ordering::Relaxed)) < PAGE
    });
    let (page, used) = match known {
        Some(known) => known,
        None => {
            let entry =
                STUBS.iter().find(|(page, _)| page.load(Ordering::Relaxed) == 0).ok_or(Errno::ENOMEM)?;
            entry.0.store(new_page(place, back)?, Ordering::Relaxed);
            entry
        }
    };
    let page = page.load(Ordering::Relaxed);
    let stub = page + u64::from(used.load(Ordering::Relaxed));
    protect(page, page, true)?;
    // SAFETY: the next free part of a page of ours, which no thread runs yet.
    unsafe { (stub as *mut site::Stub).write(site.stub(back, stub)) };
    protect(page, page, false)?;
    used.fetch_add(site::STUB_LEN as u32, Ordering::Relaxed);
    Ok(stub)
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
    kernel::open_at_once(path).ok()
}

fn new_page_of(file: Option<i32>, place: u64, site: u64) -> Result<u64, Errno> {
    let below = (1..1024).map(|step| place.wrapping_sub(step * STEP));
    let above = (1..1024).map(|step| place.wrapping_add(step * STEP));
    for address in below.chain(above) {
        let address = address & !(PAGE - 1);
        if address < 1 << 16 || address.abs_diff(site) >= site::REACH {
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
    let file = kernel::open_at_once(c"/proc/self/status".as_ptr().cast());
    let Ok(file) = file else { return true };
    let len = kernel::read(file, &mut text).unwrap_or(0);
    kernel::close(file);
    let mut lines = text.get(..len).unwrap_or(&[]).split(|byte| *byte == b'\n');
    !lines.any(|line| line == b"TracerPid:\t0")
}
