//! A set of a union's layers, by their numbers.

use core::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// How many words it has: a layer's number fits into a byte.
pub const WORDS: usize = 4;

const _: () = assert!(view::MAX_LAYERS <= WORDS * 64);

/// Some layers of a union.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layers(pub [u64; WORDS]);

impl Layers {
    /// No layer.
    pub const NONE: Layers = Layers([0; WORDS]);
    /// The lowest one alone.
    pub const LOWEST: Layers = Layers([1, 0, 0, 0]);

    /// One layer.
    #[inline]
    pub fn of(number: usize) -> Layers {
        let mut layers = Layers::NONE;
        if let Some(word) = layers.0.get_mut(number / 64) {
            *word = 1 << (number % 64);
        }
        layers
    }

    /// The first `count` layers.
    #[inline]
    pub fn first(count: usize) -> Layers {
        let mut layers = Layers::NONE;
        for (index, word) in layers.0.iter_mut().enumerate() {
            let left = count.saturating_sub(index * 64).min(64) as u32;
            *word = u64::MAX.checked_shr(64 - left).unwrap_or(0);
        }
        layers
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self == Layers::NONE
    }

    /// Whether a layer is one of them.
    #[inline]
    pub fn has(self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// How many they are.
    #[inline]
    pub fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The highest of them.
    #[inline]
    pub fn highest(self) -> Option<usize> {
        let (index, word) = self.0.iter().enumerate().rfind(|(_, word)| **word != 0)?;
        Some(index * 64 + word.ilog2() as usize)
    }

    /// The lowest of them.
    #[inline]
    pub fn lowest(self) -> Option<usize> {
        let (index, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// All of them, from the top.
    pub fn downwards(self) -> impl Iterator<Item = usize> {
        core::iter::successors(self.highest(), move |number| (self & Layers::first(*number)).highest())
    }

    /// All of them, from the bottom.
    pub fn upwards(self) -> impl Iterator<Item = usize> {
        core::iter::successors(self.lowest(), move |number| (self & !Layers::first(*number + 1)).lowest())
    }
}

impl BitAnd for Layers {
    type Output = Layers;

    #[inline]
    fn bitand(mut self, other: Layers) -> Layers {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }
}

impl BitOr for Layers {
    type Output = Layers;

    #[inline]
    fn bitor(mut self, other: Layers) -> Layers {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }
}

impl BitOrAssign for Layers {
    #[inline]
    fn bitor_assign(&mut self, other: Layers) {
        *self = *self | other;
    }
}

impl Not for Layers {
    type Output = Layers;

    #[inline]
    fn not(self) -> Layers {
        Layers(self.0.map(|word| !word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_across_words() {
        let some = [0, 63, 64, 130, 254].map(Layers::of).into_iter().fold(Layers::NONE, BitOr::bitor);
        assert_eq!((some.lowest(), some.highest(), some.count()), (Some(0), Some(254), 5));
        assert!(some.downwards().eq([254, 130, 64, 63, 0]));
        assert!(some.upwards().eq([0, 63, 64, 130, 254]));
        assert!((some & !Layers::of(64)).upwards().eq([0, 63, 130, 254]));
        assert!(some.has(130) && !some.has(131) && !some.has(1000));
        assert!(Layers::NONE.is_empty() && Layers::NONE.highest().is_none());
    }

    #[test]
    fn the_first_layers_are_those_below_a_number() {
        for count in [0, 1, 63, 64, 65, 128, 255] {
            let first = Layers::first(count);
            assert_eq!(first.count() as usize, count);
            assert_eq!(first.highest(), count.checked_sub(1));
        }
    }
}
