//! Inputs that are nearly right: seeds with a few changes, by a fixed sequence
//! of random numbers, so that a failure comes again.

/// Numbers at which readers go wrong.
const EDGES: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff, u64::MAX];

/// A source of random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The sequence that a number begins.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16).checked_rem(end as u64).unwrap_or(0) as usize
    }
}

/// An input made of the seeds: one of them with up to eight changes, or, now
/// and then, bytes of no meaning.
pub fn input(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds.get(random.below(seeds.len())).cloned().unwrap_or_default();
    if random.below(50) == 0 {
        bytes = (0..random.below(300)).map(|_| random.next() as u8).collect();
    }
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next() as u8),
            2 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let other = seeds.get(random.below(seeds.len())).map_or(&[][..], Vec::as_slice);
                let from = random.below(other.len());
                let end = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other.get(from..end).unwrap_or(&[]).iter().copied());
            }
            4 | 5 => {
                // A number, at its natural place.
                let size = [2, 4, 8][random.below(3)];
                let at = at / size * size;
                let edge = match random.below(3) {
                    0 => random.below(bytes.len() + 1) as u64,
                    _ => EDGES[random.below(EDGES.len())],
                };
                for (to, from) in bytes.iter_mut().skip(at).zip(edge.to_le_bytes()).take(size) {
                    *to = from;
                }
            }
            6 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = b"/.\0\"[]=$ {}\n\\#"[random.below(14)];
                }
            }
        }
    }
    bytes
}
