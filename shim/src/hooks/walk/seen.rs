//! The directories that a walk has been in: a set of device and inode numbers.

use elements::Errno;

use crate::allocate::{free, malloc};

/// A hash table with open addresses. A pair of noughts marks a free slot.
pub struct Seen {
    slots: *mut [u64; 2],
    room: usize,
    count: usize,
}

impl Seen {
    /// Nothing yet, and no memory.
    pub const fn new() -> Seen {
        Seen { slots: core::ptr::null_mut(), room: 0, count: 0 }
    }

    /// Adds a directory, and says whether it is new.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub fn add(&mut self, device: u64, inode: u64) -> Result<bool, Errno> {
        if self.count * 2 >= self.room {
            self.grow()?;
        }
        let new = self.place([device, inode]);
        self.count += usize::from(new);
        Ok(new)
    }

    /// Puts a pair where it belongs, if it is not there. There is a free slot.
    fn place(&mut self, pair: [u64; 2]) -> bool {
        let [device, inode] = pair;
        let hash = (inode ^ device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let mut at = hash as usize;
        loop {
            at &= self.room - 1;
            // SAFETY: `room` is how many slots there are, a power of two.
            let slot = unsafe { &mut *self.slots.add(at) };
            if *slot == pair {
                return false;
            }
            if *slot == [0, 0] {
                *slot = pair;
                return true;
            }
            at += 1;
        }
    }

    fn grow(&mut self) -> Result<(), Errno> {
        let room = (self.room * 2).max(64);
        // SAFETY: fresh memory, of which as much is cleared as was asked for.
        let slots = unsafe {
            let slots = malloc(room * size_of::<[u64; 2]>()).cast::<[u64; 2]>();
            if slots.is_null() {
                return Err(Errno(libc::ENOMEM));
            }
            slots.write_bytes(0, room);
            slots
        };
        let old = core::mem::replace(self, Seen { slots, room, count: self.count });
        for at in 0..old.room {
            // SAFETY: the slots of the table before.
            let pair = unsafe { *old.slots.add(at) };
            if pair != [0, 0] {
                self.place(pair);
            }
        }
        Ok(())
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: memory of malloc's, or null.
        unsafe { free(self.slots.cast()) };
    }
}
