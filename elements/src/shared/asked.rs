//! What programs have asked for, where the rules of the network do not tell.
//!
//! A table that several write to without a lock: an entry is three words and a
//! proof that they belong together, as with the sides of directories. What finds
//! no room takes the place of another, which is then told by the rules again.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many are kept. A power of two.
const ENTRIES: usize = 4096;
/// How many places there are for one.
const WAYS: usize = 8;

/// The table. All zeros is an empty one.
#[repr(C)]
pub struct Asked {
    /// Whether anything has been kept, ever.
    used: AtomicU32,
    /// Which of the places of a full row is next to be taken.
    turn: AtomicU32,
    entries: [Entry; ENTRIES],
}

#[repr(C)]
struct Entry {
    key: AtomicU64,
    address: [AtomicU64; 2],
    port: AtomicU64,
    proof: AtomicU64,
}

fn mixed(words: [u64; 4]) -> u64 {
    words.into_iter().fold(0x9e37_79b9_7f4a_7c15, |sum: u64, word| {
        let sum = (sum ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        sum ^ sum >> 32
    }) | 1
}

/// The key of what was asked at an address of the kernel's. `socket` tells
/// those apart that share the address.
pub fn key(socket: u64, address: [u8; 16], port: u16, kind: u16) -> u64 {
    let [high, low] = halves(address);
    mixed([socket, high, low, u64::from(port) << 16 | u64::from(kind)])
}

fn halves(address: [u8; 16]) -> [u64; 2] {
    let all = u128::from_be_bytes(address);
    [(all >> 64) as u64, all as u64]
}

impl Entry {
    fn read(&self, key: u64) -> Option<([u8; 16], u16)> {
        if self.key.load(Ordering::Acquire) != key {
            return None;
        }
        let [high, low] = [&self.address[0], &self.address[1]].map(|half| half.load(Ordering::Acquire));
        let port = self.port.load(Ordering::Acquire);
        let proof = self.proof.load(Ordering::Acquire);
        let address = u128::from(high) << 64 | u128::from(low);
        (proof == mixed([key, high, low, port])).then_some((address.to_be_bytes(), port as u16))
    }

    fn write(&self, key: u64, address: [u8; 16], port: u16) {
        let [high, low] = halves(address);
        let port = u64::from(port);
        self.proof.store(0, Ordering::Release);
        self.key.store(key, Ordering::Release);
        for (to, half) in self.address.iter().zip([high, low]) {
            to.store(half, Ordering::Release);
        }
        self.port.store(port, Ordering::Release);
        self.proof.store(mixed([key, high, low, port]), Ordering::Release);
    }
}

impl Asked {
    /// Whether anything has been kept.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire) != 0
    }

    fn row(&self, key: u64) -> &[Entry] {
        let start = (key >> 20) as usize % (ENTRIES / WAYS) * WAYS;
        self.entries.get(start..start + WAYS).unwrap_or(&[])
    }

    /// What has been kept for a key.
    pub fn look(&self, key: u64) -> Option<([u8; 16], u16)> {
        if !self.is_used() {
            return None;
        }
        self.row(key).iter().find_map(|entry| entry.read(key))
    }

    /// Keeps an address and a port for a key.
    pub fn keep(&self, key: u64, address: [u8; 16], port: u16) {
        self.used.store(1, Ordering::Release);
        let row = self.row(key);
        let of = |wanted: u64| row.iter().find(|entry| entry.key.load(Ordering::Acquire) == wanted);
        let next = || row.get(self.turn.fetch_add(1, Ordering::Relaxed) as usize % WAYS);
        if let Some(entry) = of(key).or_else(|| of(0)).or_else(next) {
            entry.write(key, address, port);
        }
    }
}
