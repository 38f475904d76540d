//! Call sites that programs of the instance have trapped at before.
//!
//! Most processes are short, and a site is worth to be rewritten for all of them and not for one: their traps are counted
//! together ([`elements::shared::sites`]). Once a process has trapped some times in a file's code, the sites there that are
//! counted often are rewritten in one go. The first traps go by unasked: a program that makes few calls is quicker with them.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use elements::instance::attached;
use elements::process::maps::Code;
use elements::shared::path_hash;
use elements::shared::sites::CallSite;
use elements::user;

use crate::arch::site::{self, SYSCALL, Site};
use crate::stubs;

/// How many traps go by before any code is looked at: those of ld.so at the start of most programs.
const UNASKED: u32 = 10;
/// How many go by at other code, once the program's and its interpreter's is known, or some other.
const UNASKED_ELSEWHERE: u32 = 2;
/// How many mappings are looked at.
const MAPPINGS: usize = 6;

/// How many sites are rewritten at once at the most.
pub const MOST: usize = stubs::MOST;

/// A mapping of code that has been looked at.
struct Known {
    start: AtomicU64,
    end: AtomicU64,
    offset: AtomicU64,
    file: AtomicU32,
}

#[unsafe(link_section = ".data.start")]
static KNOWN: [Known; MAPPINGS] = [const {
    Known {
        start: AtomicU64::new(0),
        end: AtomicU64::new(0),
        offset: AtomicU64::new(0),
        file: AtomicU32::new(0),
    }
}; MAPPINGS];

/// How many have been looked at, those among them that were no file's code.
#[unsafe(link_section = ".data.start")]
static LOOKS: AtomicU32 = AtomicU32::new(0);

/// Traps elsewhere since the last look.
#[unsafe(link_section = ".data.start")]
static ELSEWHERE: AtomicU32 = AtomicU32::new(0);

/// Takes note of a trap at a call that ends at `back`. Says whether the code there should be looked at.
pub fn note(back: u64, number: u32) -> bool {
    let Some(code) = known(back) else {
        let looks = LOOKS.load(Ordering::Relaxed) as usize;
        let unasked = if looks == 0 { UNASKED } else { UNASKED_ELSEWHERE };
        return ELSEWHERE.fetch_add(1, Ordering::Relaxed) >= unasked && looks < MAPPINGS;
    };
    // One that has been rewritten meanwhile, or cannot be, is not counted.
    if let Some((site, _)) = call_site(&code, back, number)
        && let Some((sites, true)) = attached().and_then(|instance| Some(instance.directories?.sites()))
    {
        sites.count(site);
    }
    false
}

/// The code that an address lies in, if it has been looked at.
pub fn known(back: u64) -> Option<Code> {
    let holds = |known: &&Known| {
        // The end is written last.
        back < known.end.load(Ordering::Acquire) && back >= known.start.load(Ordering::Relaxed)
    };
    KNOWN.iter().find(holds).map(|known| Code {
        start: known.start.load(Ordering::Relaxed),
        end: known.end.load(Ordering::Relaxed),
        offset: known.offset.load(Ordering::Relaxed),
        file: known.file.load(Ordering::Relaxed),
    })
}

/// The code that was to be looked at is none of a file's.
pub fn note_none() {
    LOOKS.fetch_add(1, Ordering::Relaxed);
    ELSEWHERE.store(0, Ordering::Relaxed);
}

/// It is this. To be called with rewriting held off.
pub fn note_code(code: &Code) {
    let index = LOOKS.load(Ordering::Relaxed) as usize;
    note_none();
    let Some(known) = KNOWN.get(index) else { return };
    known.start.store(code.start, Ordering::Relaxed);
    known.offset.store(code.offset, Ordering::Relaxed);
    known.file.store(code.file, Ordering::Relaxed);
    known.end.store(code.end, Ordering::Release);
}

/// The sites in some code that are worth to be rewritten: where each one's call ends, and what it is. Gives how many.
pub fn sites(code: &Code, found: &mut [(u64, Site); MOST]) -> usize {
    let Some(directories) = attached().and_then(|instance| instance.directories) else { return 0 };
    let (sites, _) = directories.sites();
    let here = sites.often(code.file).filter_map(|site| {
        let back = (code.start + u64::from(site.offset)).checked_sub(code.offset)?;
        let (there, kind) = call_site(code, back, site.number)?;
        (there == site).then_some((back, kind))
    });
    here.zip(found).map(|(site, to)| *to = site).count()
}

/// The places in some code whose sites are counted often.
pub fn places(code: &Code) -> impl Iterator<Item = u64> {
    let directories = attached().and_then(|instance| instance.directories);
    let often = directories.map(|directories| directories.sites().0.often(code.file));
    often.into_iter().flatten().filter_map(|site| {
        let place = (code.start + u64::from(site.offset)).checked_sub(code.offset)?;
        (place >= code.start && place < code.end).then_some(place)
    })
}

/// Sees to it that mmap(2) of an interpreter is one of its sites that are rewritten, though it does not trap: it maps libraries.
/// The first process of an instance looks for it.
pub fn expect_mmap(code: &Code) {
    const LOADS: [u8; 7] = [0xb8, libc::SYS_mmap as u8, 0, 0, 0, SYSCALL[0], SYSCALL[1]];
    let Some((sites, true)) = attached().and_then(|instance| Some(instance.directories?.sites())) else {
        return;
    };
    let number = libc::SYS_mmap as u32;
    if sites.often(code.file).any(|site| site.number == number) {
        return;
    }
    // SAFETY: the gate has just mapped it to be read.
    let bytes =
        unsafe { core::slice::from_raw_parts(code.start as *const u8, (code.end - code.start) as usize) };
    let at = bytes.windows(LOADS.len()).position(|window| *window == LOADS);
    let back = at.map(|at| code.start + (at + LOADS.len()) as u64);
    let found = back.and_then(|back| call_site(code, back, number)).map(|(site, _)| site);
    // That there is none is known, too.
    sites.expect(found.unwrap_or(CallSite { file: code.file, offset: 0, number, code: 0 }));
}

/// The call that ends at `back` in some code is a site that is worth to be rewritten, before it has trapped at all.
pub fn expect(code: &Code, back: u64, number: u32) {
    if let Some((sites, true)) = attached().and_then(|instance| Some(instance.directories?.sites()))
        && let Some((site, _)) = call_site(code, back, number)
    {
        sites.expect(site);
    }
}

/// The program's own file, where it has code.
fn program() -> u32 {
    KNOWN.first().map_or(0, |known| known.file.load(Ordering::Relaxed))
}

/// Programs of this file have sites in some code, as this one has.
pub fn note_habit(code: &Code) {
    if let Some((habits, true)) = attached().and_then(|instance| Some(instance.directories?.habits())) {
        habits.note(program(), code.file);
    }
}

/// Whether a program of this file is to trap in the code of another.
pub fn is_habit(file: u32) -> bool {
    let directories = attached().and_then(|instance| instance.directories);
    directories.is_some_and(|directories| directories.habits().0.has(program(), file))
}

/// A hash is made of so many bytes before and behind the end of a call.
const AROUND: (u64, u64) = (18, 6);

/// What stands in some code where a call of this number ends, if it can be rewritten.
fn call_site(code: &Code, back: u64, number: u32) -> Option<(CallSite, Site)> {
    if back < code.start.checked_add(AROUND.0)? || back.checked_add(AROUND.1)? > code.end {
        return None;
    }
    let kind = site::known(back, number)?;
    let (first, last) = kind.range(back);
    if !kind.is_whole(back) || first < code.start || last >= code.end {
        return None;
    }
    let (start, len) = ((back - AROUND.0) as *const u8, (AROUND.0 + AROUND.1) as usize);
    if !user::is_readable(start, len) {
        return None;
    }
    // SAFETY: found readable.
    let bytes = unsafe { core::slice::from_raw_parts(start, len) };
    let offset = u32::try_from(back - code.start + code.offset).ok()?;
    Some((CallSite { file: code.file, offset, number, code: path_hash(bytes) as u32 }, kind))
}
