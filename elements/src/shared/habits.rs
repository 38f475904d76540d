//! In which libraries programs trap.
//!
//! A program is known for the libraries that it makes trapping calls in: in the next process of its, a door rewrites their
//! code as it is mapped, which is cheaper than later. As with [`super::sites`], nothing here is believed. There is room for
//! those of late: one that has been forgotten is found out again by the process that it would have helped.

use core::sync::atomic::{AtomicU64, Ordering};

/// How many sets there are, and how many each holds.
const SETS: usize = 32;
const PLACES: usize = 4;

/// Of each, the program's file and the library's ([`crate::process::maps::Code::file`]); 0 where there is none.
#[repr(C)]
pub struct Habits {
    sets: [[AtomicU64; PLACES]; SETS],
}

fn word(program: u32, library: u32) -> u64 {
    u64::from(program) << 32 | u64::from(library)
}

impl Habits {
    fn set(&self, word: u64) -> &[AtomicU64; PLACES] {
        &self.sets[(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % SETS]
    }

    /// Whether programs of this file trap in that library.
    pub fn has(&self, program: u32, library: u32) -> bool {
        let word = word(program, library);
        self.set(word).iter().any(|place| place.load(Ordering::Relaxed) == word)
    }

    /// Takes note that they do, in place of the one in its set that has been noted longest ago.
    pub fn note(&self, program: u32, library: u32) {
        if self.has(program, library) {
            return;
        }
        let mut next = word(program, library);
        for place in self.set(next) {
            next = place.swap(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Habits {
        Habits { sets: [const { [const { AtomicU64::new(0) }; PLACES] }; SETS] }
    }

    #[test]
    fn a_habit_is_of_one_program_and_one_library() {
        let habits = none();
        habits.note(2, 1);
        assert!(habits.has(2, 1) && !habits.has(1, 2) && !habits.has(2, 2));
    }

    #[test]
    fn there_is_room_for_the_habits_of_late() {
        let habits = none();
        for program in 1..100_000 {
            for library in 1..4 {
                habits.note(program, library);
            }
            assert!((1..4).all(|library| habits.has(program, library)), "{program}");
        }
    }
}
