//! Threads that are not who their process is.
//!
//! To the kernel credentials are a thread's. libc has all threads make the same call, so that they stay one; a
//! thread that makes the call itself, as servers of files do, is another from then on. Such a thread has
//! a slot here. When all threads are the same again they need none: so ends what libc does.
//!
//! A new thread begins as the process is, and a child of fork(2) as the thread that has made it, which it
//! knows by the thread's pointer.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::own::Copy;
use super::rules::Credentials;
use crate::Errno;
use crate::kernel;

/// As many threads at a time.
const SLOTS: usize = 64;

struct Slot {
    /// The thread; 0: nobody's.
    thread: AtomicU32,
    pointer: AtomicUsize,
    copy: Copy,
}

static ALL: [Slot; SLOTS] =
    [const { Slot { thread: AtomicU32::new(0), pointer: AtomicUsize::new(0), copy: Copy::new() } }; SLOTS];

fn of(thread: u32) -> Option<&'static Slot> {
    ALL.iter().find(|slot| slot.thread.load(Ordering::Acquire) == thread)
}

/// Who a thread is, where it is not who its process is.
pub(super) fn get(thread: u32) -> Option<Credentials> {
    of(thread).map(|slot| slot.copy.read())
}

/// Whether any thread has a slot.
pub(super) fn any() -> bool {
    ALL.iter().any(|slot| slot.thread.load(Ordering::Acquire) != 0)
}

/// Says who the calling thread is.
///
/// # Errors
///
/// `EAGAIN` where there is no slot left.
pub(super) fn set(thread: u32, credentials: &Credentials) -> Result<(), Errno> {
    let process = kernel::getpid() as usize;
    let is_gone = |thread: u32| {
        // SAFETY: numbers only.
        let found = unsafe { kernel::syscall(libc::SYS_tgkill, [process, thread as usize, 0, 0, 0, 0]) };
        found == Err(Errno::ESRCH)
    };
    for slot in &ALL {
        let other = slot.thread.load(Ordering::Acquire);
        if other != 0 && other != thread && is_gone(other) {
            let _ = slot.thread.compare_exchange(other, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
    let slot = of(thread).or_else(|| {
        ALL.iter().find(|slot| {
            let free = slot.thread.compare_exchange(0, u32::MAX, Ordering::AcqRel, Ordering::Relaxed);
            free.is_ok()
        })
    });
    let slot = slot.ok_or(Errno::EAGAIN)?;
    slot.copy.write(credentials);
    slot.pointer.store(kernel::arch::thread_pointer(), Ordering::Relaxed);
    slot.thread.store(thread, Ordering::Release);
    Ok(())
}

/// Gives a thread's slot up: it is who its process is.
pub(super) fn give_up(thread: u32) {
    if let Some(slot) = of(thread) {
        slot.thread.store(0, Ordering::Release);
    }
}

/// How many threads have a slot and are these.
pub(super) fn count(credentials: &Credentials) -> usize {
    let is_it = |slot: &&Slot| {
        !matches!(slot.thread.load(Ordering::Acquire), 0 | u32::MAX) && slot.copy.read() == *credentials
    };
    ALL.iter().filter(is_it).count()
}

/// All threads are who their process is.
pub(super) fn give_up_all() {
    for slot in &ALL {
        slot.thread.store(0, Ordering::Release);
    }
}

/// Who the thread was that has made this process by fork(2).
pub(super) fn of_maker() -> Option<Credentials> {
    let own = kernel::arch::thread_pointer();
    let is_it = |slot: &&Slot| {
        slot.thread.load(Ordering::Acquire) != 0 && slot.pointer.load(Ordering::Relaxed) == own
    };
    ALL.iter().find(is_it).map(|slot| slot.copy.read())
}
