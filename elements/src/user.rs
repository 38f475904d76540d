//! Whether the program's pointers can be read.
//!
//! The kernel answers `EFAULT` for a pointer that leads nowhere; code that
//! reads the program's strings itself would crash instead. Asking the kernel
//! each time would cost a system call, so the answer is kept by page, and
//! what is plainly there (the program's image, its stack, its heap) is not
//! asked about at all. A page that the program unmaps after we have seen it
//! is believed to be there: docs/limitations.md.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::kernel;

const PAGE: usize = 4096;
const SEEN: usize = 128;
const RANGES: usize = 64;

/// Page numbers, plus one, that were readable when last asked, by their low bits.
#[unsafe(link_section = ".data.start")]
static PAGES: [AtomicUsize; SEEN] = [const { AtomicUsize::new(0) }; SEEN];

/// What each of them took the place of: two pages with the same low bits that are read in turn, as one of the
/// program's and one of ours may be, are not asked about each time.
#[unsafe(link_section = ".bss.soon")]
static BEFORE: [AtomicUsize; SEEN] = [const { AtomicUsize::new(0) }; SEEN];

/// Ranges that stay readable for as long as the process runs: start and end.
#[unsafe(link_section = ".data.objects")]
static KNOWN: [(AtomicUsize, AtomicUsize); RANGES] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; RANGES];
#[unsafe(link_section = ".data.start")]
static KNOWN_COUNT: AtomicU32 = AtomicU32::new(0);

/// Where libc keeps the end of the heap, and where the heap began.
#[unsafe(link_section = ".data.start")]
static BREAK: AtomicPtr<AtomicUsize> = AtomicPtr::new(core::ptr::null_mut());
#[unsafe(link_section = ".data.start")]
static HEAP: AtomicUsize = AtomicUsize::new(0);

/// How the door finds out whether a byte can be read; null where it is the kernel that is asked.
#[unsafe(link_section = ".data.start")]
static PEEK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Has the door find out whether a byte can be read.
pub fn set_peek(peek: fn(address: usize) -> bool) {
    PEEK.store(peek as *mut (), Ordering::Release);
}

fn can_read(address: usize) -> bool {
    let peek = PEEK.load(Ordering::Acquire);
    if peek.is_null() {
        return kernel::is_readable(address);
    }
    // SAFETY: nothing but such a function is stored there.
    let peek: fn(usize) -> bool = unsafe { core::mem::transmute(peek) };
    peek(address)
}

/// Tells of a range that stays readable. More than fit are asked about instead.
pub fn note_range(start: usize, end: usize) {
    let slot = KNOWN_COUNT.fetch_add(1, Ordering::Relaxed) as usize;
    if let Some((from, to)) = KNOWN.get(slot) {
        from.store(start, Ordering::Relaxed);
        to.store(end, Ordering::Release);
    }
}

/// Tells where libc keeps the program break. What lies between the break as
/// it is now and as it is later is heap.
pub fn note_break(end: &'static AtomicUsize) {
    HEAP.store(kernel::program_break(), Ordering::Relaxed);
    BREAK.store(core::ptr::from_ref(end).cast_mut(), Ordering::Release);
}

/// Whether the page of an address is known to be readable.
#[inline]
pub(crate) fn is_seen(address: *const u8) -> bool {
    is_seen_page(address as usize / PAGE)
}

#[inline]
fn is_seen_page(page: usize) -> bool {
    [&PAGES, &BEFORE]
        .iter()
        .any(|pages| pages.get(page % SEEN).is_some_and(|entry| entry.load(Ordering::Relaxed) == page + 1))
}

/// Whether a string that begins at `start` can be read up to its NUL, or for
/// as long as a path may be.
pub fn is_string(start: *const u8) -> bool {
    crate::files::scan::survey(start, 0).is_some()
}

/// Whether `len` bytes at `start` can be read. They are less than a page's.
#[inline]
pub fn is_readable(start: *const u8, len: usize) -> bool {
    let last = (start as usize).wrapping_add(len.saturating_sub(1));
    len == 0 || is_page(start as usize / PAGE) && is_page(last / PAGE)
}

/// Whether the word at an aligned address can be read.
#[inline]
pub fn is_word(address: usize) -> bool {
    address.is_multiple_of(size_of::<usize>()) && is_page(address / PAGE)
}

/// Whether a page can be read.
#[inline]
pub(crate) fn is_page(page: usize) -> bool {
    is_seen_page(page) || ask(page)
}

#[cold]
#[inline(never)]
fn ask(page: usize) -> bool {
    // The kernel takes a null pointer for "no mask": it cannot be asked about that.
    if page == 0 {
        return false;
    }
    let address = page * PAGE;
    let readable = is_known(address) || can_read(address);
    if readable && let (Some(entry), Some(before)) = (PAGES.get(page % SEEN), BEFORE.get(page % SEEN)) {
        let replaced = entry.swap(page + 1, Ordering::Relaxed);
        // What has taken nobody's place leaves the other table's page alone.
        if replaced != 0 {
            before.store(replaced, Ordering::Relaxed);
        }
    }
    readable
}

/// Tells of a page that has just been read or written.
pub fn note_seen(address: usize) {
    if let Some(entry) = PAGES.get(address / PAGE % SEEN) {
        entry.store(address / PAGE + 1, Ordering::Relaxed);
    }
}

/// Page numbers, plus one, that were not readable when last asked for [`is_seen`]'s sake.
#[unsafe(link_section = ".bss.soon")]
static UNREADABLE: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// Lets [`is_seen`] know of a page that is read beyond need. One that cannot be read is not asked about
/// again: that costs nothing but time.
#[cold]
#[inline(never)]
pub(crate) fn note_next(address: *const u8) {
    let page = address as usize / PAGE;
    let Some(refused) = UNREADABLE.get(page % UNREADABLE.len()) else { return };
    if refused.load(Ordering::Relaxed) != page + 1 && !ask(page) {
        refused.store(page + 1, Ordering::Relaxed);
    }
}

fn is_known(address: usize) -> bool {
    // SAFETY: the pointer is null or came from a static reference.
    if let Some(end) = unsafe { BREAK.load(Ordering::Acquire).as_ref() } {
        let end = end.load(Ordering::Relaxed);
        if address >= HEAP.load(Ordering::Relaxed) && address < end {
            return true;
        }
    }
    let count = KNOWN_COUNT.load(Ordering::Relaxed) as usize;
    KNOWN
        .iter()
        .take(count)
        .any(|(start, end)| address < end.load(Ordering::Acquire) && address >= start.load(Ordering::Relaxed))
}

/// Page numbers, plus one, that could be written to when last asked.
#[unsafe(link_section = ".bss.paths")]
static WRITABLE: [AtomicUsize; SEEN] = [const { AtomicUsize::new(0) }; SEEN];

/// Whether the page of an address can be written to. As with [`is_readable`], one that
/// could be is believed to be there still.
#[inline]
pub fn is_writable_page(address: usize) -> bool {
    let page = address / PAGE;
    let entry = WRITABLE.get(page % SEEN);
    entry.is_some_and(|entry| entry.load(Ordering::Relaxed) == page + 1) || ask_to_write(page)
}

#[cold]
#[inline(never)]
fn ask_to_write(page: usize) -> bool {
    let writable = page != 0 && kernel::is_writable(page * PAGE);
    if writable && let Some(entry) = WRITABLE.get(page % SEEN) {
        entry.store(page + 1, Ordering::Relaxed);
    }
    writable
}

/// Whether `len` bytes at `start` can be written.
///
/// The first and the last byte speak for the rest, as a page is the least
/// that differs and the buffers in question are shorter than one.
pub fn is_writable(start: *mut u8, len: usize) -> bool {
    len == 0 || kernel::is_writable(start as usize) && kernel::is_writable(start as usize + len - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pages_with_the_same_low_bits_are_both_kept() {
        static BYTES: [u8; (SEEN + 2) * PAGE] = [0; (SEEN + 2) * PAGE];
        let first = BYTES.as_ptr() as usize / PAGE + 1;
        for page in [first, first + SEEN] {
            assert!(is_page(page));
        }
        assert!(is_seen_page(first) && is_seen_page(first + SEEN));
    }
}
