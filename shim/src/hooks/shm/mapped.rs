//! The semaphores that this process has open.
//!
//! sem_open(3) gives the same address for the same semaphore as often as it is
//! asked, and sem_close(3) takes as many calls to give it up. So each mapping
//! is kept, with how often it was given, in a table of atomics.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use elements::Errno;
use elements::kernel;

const SLOTS: usize = 256;
const FREE: u32 = 0;
/// The slot's other fields are being written.
const BUSY: u32 = u32::MAX;

struct Slot {
    /// How often it was given, or [`FREE`], or [`BUSY`].
    uses: AtomicU32,
    key: [AtomicU64; 3],
    address: AtomicUsize,
    len: AtomicUsize,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        uses: AtomicU32::new(FREE),
        key: [const { AtomicU64::new(0) }; 3],
        address: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
    }
}; SLOTS];

impl Slot {
    /// Counts one use more. None where the slot does not hold that semaphore.
    fn take(&self, key: [u64; 3]) -> Option<*mut c_void> {
        let count = |uses| if uses == FREE || uses >= BUSY - 1 { None } else { Some(uses + 1) };
        self.uses.fetch_update(Ordering::AcqRel, Ordering::Acquire, count).ok()?;
        let found = self.key.iter().zip(key).all(|(mine, asked)| mine.load(Ordering::Relaxed) == asked);
        if found {
            return Some(self.address.load(Ordering::Relaxed) as *mut c_void);
        }
        self.give_back();
        None
    }

    /// Counts one use less, and unmaps what nobody uses.
    fn give_back(&self) {
        let count = |uses| if uses == 1 { BUSY } else { uses - 1 };
        let before = self.uses.fetch_update(Ordering::AcqRel, Ordering::Acquire, |uses| Some(count(uses)));
        if before == Ok(1) {
            let (address, len) = (self.address.swap(0, Ordering::Relaxed), self.len.load(Ordering::Relaxed));
            // SAFETY: the last user has closed it.
            unsafe { kernel::unmap(address, len) };
            self.uses.store(FREE, Ordering::Release);
        }
    }
}

/// The mapping of a semaphore's file, the same one for the same path and file.
///
/// # Errors
///
/// Those of mmap(2); `EMFILE` where the table is full.
pub fn open(path: &[u8], fd: c_int, len: usize) -> Result<*mut c_void, Errno> {
    let about = kernel::fstatat(fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)?;
    // FNV-1a: two names of one file are two semaphores.
    let name = path.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let key = [about.st_dev, about.st_ino, name];
    if let Some(address) = TABLE.iter().find_map(|slot| slot.take(key)) {
        return Ok(address);
    }
    let claim =
        |slot: &&Slot| slot.uses.compare_exchange(FREE, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let slot = TABLE.iter().find(claim).ok_or(Errno::EMFILE)?;
    match kernel::map_file(fd, len, libc::PROT_READ | libc::PROT_WRITE) {
        Ok(address) => {
            for (mine, new) in slot.key.iter().zip(key) {
                mine.store(new, Ordering::Relaxed);
            }
            slot.address.store(address, Ordering::Relaxed);
            slot.len.store(len, Ordering::Relaxed);
            slot.uses.store(1, Ordering::Release);
            Ok(address as *mut c_void)
        }
        Err(errno) => {
            slot.uses.store(FREE, Ordering::Release);
            Err(errno)
        }
    }
}

/// Gives a semaphore back. False where it is none of ours.
pub fn close(semaphore: *mut c_void) -> bool {
    let is_it = |slot: &&Slot| {
        !matches!(slot.uses.load(Ordering::Acquire), FREE | BUSY)
            && slot.address.load(Ordering::Relaxed) == semaphore as usize
    };
    let found = TABLE.iter().find(is_it);
    if let Some(slot) = found {
        slot.give_back();
    }
    found.is_some()
}
