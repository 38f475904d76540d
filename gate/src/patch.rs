//! Call sites that trap often are rewritten, so that they come to the gate
//! by a jump and not by a signal; those that programs of the instance have often trapped at, all of a file in one go
//! ([`crate::common`]).
//!
//! Which sites that are, and how a jump gets there without a thread ever running half of
//! it, is the processor's matter ([`crate::arch::site`]). A site that matches no pattern
//! stays as it is, correct and slower. A lock keeps a fork from copying a site that is
//! being rewritten.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use elements::instance::attached;
use elements::process::maps::{self, Code};
use elements::{Errno, kernel};

use crate::arch::site::{self, Site};
use crate::place::{Slot, is_inside};
use crate::{common, stubs};

/// A site is rewritten when it has trapped as often.
const OFTEN: u32 = 16;
const SITES: usize = 128;
/// The bytes of a page.
pub const PAGE: u64 = 4096;

/// How often sites have trapped, by their address: the address, and the count in its upper bits.
#[unsafe(link_section = ".data.start")]
static COUNTS: [AtomicU64; SITES] = [const { AtomicU64::new(0) }; SITES];

#[unsafe(link_section = ".data.start")]
static LOCK: AtomicBool = AtomicBool::new(false);
/// Whether the system forbids it.
#[unsafe(link_section = ".data.start")]
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

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
    let count = count(back.wrapping_sub(site::LEN));
    if count <= OFTEN {
        consider_trap(back, slot.number as u32, count);
    }
}

#[cold]
#[inline(never)]
fn consider_trap(back: u64, number: u32, count: u32) {
    if FORBIDDEN.load(Ordering::Relaxed) {
        return;
    }
    let is_often = count == OFTEN;
    let look_around = common::note(back, number);
    if !is_often && !look_around {
        return;
    }
    if LOCK.swap(true, Ordering::Acquire) {
        // Another site is being rewritten: this one's next trap is often enough again.
        set_count(back.wrapping_sub(site::LEN), count - 1);
        return;
    }
    // What cannot be done stays undone.
    if look_around {
        let _ = rewrite_common(back);
    }
    if is_often {
        let _ = rewrite(back, number);
    }
    let_go();
}

/// One, in what [`COUNTS`] has.
const COUNT: u64 = 1 << 48;

/// Counts a trap at a site.
#[inline]
fn count(site: u64) -> u32 {
    let Some(entry) = COUNTS.get((site >> 1) as usize % SITES) else { return u32::MAX };
    let before = entry.load(Ordering::Relaxed);
    if before % COUNT != site {
        entry.store(COUNT | site, Ordering::Relaxed);
        return 1;
    }
    let count = before / COUNT;
    // Kept below what fits; a site that has been refused is not asked for again.
    if count <= u64::from(OFTEN) {
        entry.store(before + COUNT, Ordering::Relaxed);
    }
    count as u32 + 1
}

fn set_count(site: u64, count: u32) {
    if let Some(entry) = COUNTS.get((site >> 1) as usize % SITES) {
        entry.store((u64::from(count) * COUNT) | site, Ordering::Relaxed);
    }
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
    let _ = rewrite_return(back);
    let_go();
}

/// Rewrites a handler's return, and has the next programs do so as they map it.
fn rewrite_return(back: u64) -> Result<(), Errno> {
    if !Site::Return.is_whole(back) || is_traced() {
        return Err(Errno::EINVAL);
    }
    let code = common::known(back).map_or_else(|| maps::code_at(back), Ok)?;
    common::expect(&code, back, libc::SYS_rt_sigreturn as u32);
    common::note_habit(&code);
    rewrite_all(&code, &[(back, Site::Return)], None)
}

fn rewrite(back: u64, number: u32) -> Result<(), Errno> {
    rewrite_site(site::known(back, number).ok_or(Errno::EINVAL)?, back)
}

#[inline(never)]
fn rewrite_site(site: Site, back: u64) -> Result<(), Errno> {
    if !site.is_whole(back) || is_traced() {
        return Err(Errno::EINVAL);
    }
    // Code of a file, that nobody writes to.
    let code = maps::code_at(site.range(back).0)?;
    rewrite_all(&code, &[(back, site)], None)
}

/// Rewrites what programs of the instance have in common in the code that an address lies in.
#[inline(never)]
fn rewrite_common(back: u64) -> Result<(), Errno> {
    // By another thread, since this one has asked.
    if common::known(back).is_some() {
        return Ok(());
    }
    let code = maps::code_at(back).inspect_err(|_| common::note_none())?;
    rewrite_known(&code, None)?;
    common::note_habit(&code);
    Ok(())
}

/// Code that has just been mapped, and that nothing has run yet.
pub struct Fresh {
    /// The mapping.
    pub code: Code,
    /// Where what is meant by it ends, if its pages are its own: from there to the end of the last one there is nothing.
    pub end: Option<u64>,
    /// Whether it is mapped to be written to.
    pub is_writable: bool,
}

/// Rewrites what programs of the instance have in common in fresh code.
pub fn rewrite_fresh(fresh: &Fresh) {
    if FORBIDDEN.load(Ordering::Relaxed) || LOCK.swap(true, Ordering::Acquire) {
        return;
    }
    // What cannot be done stays undone.
    let _ = rewrite_known(&fresh.code, Some(fresh));
    let_go();
}

/// Rewrites it in some code, which is then known.
#[inline(never)]
fn rewrite_known(code: &Code, fresh: Option<&Fresh>) -> Result<(), Errno> {
    common::note_code(code);
    let mut sites = [(0, Site::Return); common::MOST];
    let count = common::sites(code, &mut sites);
    let sites = sites.get(..count).unwrap_or(&[]);
    if sites.is_empty() || may_be_traced() {
        return Err(Errno::EINVAL);
    }
    rewrite_all(code, sites, fresh)?;
    for (back, _) in sites {
        set_count(back.wrapping_sub(site::LEN), OFTEN + 1);
    }
    Ok(())
}

/// Whether a debugger of the instance's is attached. Others, on the host, are not looked for, which takes longer than all the rest: a
/// breakpoint at a site makes other bytes of it.
fn may_be_traced() -> bool {
    let directories = attached().and_then(|instance| instance.directories);
    directories.is_none_or(|directories| directories.notices().has_tracers()) && is_traced()
}

/// Rewrites sites of some code.
fn rewrite_all(code: &Code, sites: &[(u64, Site)], fresh: Option<&Fresh>) -> Result<(), Errno> {
    let ends = || sites.iter().map(|(back, site)| site.range(*back));
    let (first, last) = match fresh.and_then(|fresh| fresh.end) {
        // In one piece: a mapping that is cut up for a while costs more.
        Some(_) => (code.start, code.end - 1),
        None => {
            let first = ends().map(|(first, _)| first).min();
            (first.ok_or(Errno::EINVAL)?, ends().map(|(_, last)| last).max().ok_or(Errno::EINVAL)?)
        }
    };
    let is_writable = fresh.is_some_and(|fresh| fresh.is_writable);
    if !is_writable {
        protect(first, last, true).inspect_err(|_| FORBIDDEN.store(true, Ordering::Relaxed))?;
    }
    let behind = fresh.and_then(|fresh| stubs::write_behind(fresh, sites));
    let written = behind.map_or_else(|| stubs::write(code, sites), Ok);
    if let Ok(first) = written {
        for ((back, site), stub) in sites.iter().zip(stubs::from(first)) {
            site.rewrite(*back, stub);
        }
    }
    let closed = if is_writable { Ok(()) } else { protect(first, last, false) };
    written.and(closed)
}

/// Makes the pages of some bytes of code writable, or no longer. They stay executable: other
/// threads may run there.
pub fn protect(first: u64, last: u64, writable: bool) -> Result<(), Errno> {
    let page = first & !(PAGE - 1);
    let len = (last & !(PAGE - 1)) + PAGE - page;
    let write = if writable { libc::PROT_WRITE } else { 0 };
    let rights = (libc::PROT_READ | libc::PROT_EXEC | write) as usize;
    // SAFETY: code that nobody else writes to.
    unsafe { kernel::syscall(libc::SYS_mprotect, [page as usize, len as usize, rights, 0, 0, 0]) }.map(|_| ())
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
