//! Which timers of timer_create(2) are of a clock that tells the date: timer_settime(2)
//! does not say.
//!
//! A table of their names, as whoever asks knows them: the kernel's numbers, or libc's. It is
//! the process's own, as timers are; a fork leaves names in it that will be given anew.

use core::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 1024;
/// How far from its place a name may be.
const REACH: usize = 16;

/// Names, plus one.
static NAMES: [AtomicUsize; SIZE] = [const { AtomicUsize::new(0) }; SIZE];

fn entries(name: usize) -> impl Iterator<Item = &'static AtomicUsize> {
    let first = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    (0..REACH).filter_map(move |step| NAMES.get((first + step) % SIZE))
}

/// Takes note of a new timer.
pub fn note(name: usize, is_of_date: bool) {
    let mark = name.wrapping_add(1);
    for entry in entries(name) {
        let _ = entry.compare_exchange(mark, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
    if is_of_date {
        let free = |entry: &&AtomicUsize| {
            entry.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if entries(name).find(free).is_none()
            && let Some(entry) = entries(name).next()
        {
            // Whose it was has most likely been deleted.
            entry.store(mark, Ordering::Relaxed);
        }
    }
}

/// Whether a timer is of such a clock.
pub fn is_of_date(name: usize) -> bool {
    entries(name).any(|entry| entry.load(Ordering::Relaxed) == name.wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_given_anew_is_what_it_was_given_for() {
        note(7, true);
        note(8, false);
        assert!(is_of_date(7) && !is_of_date(8));
        note(7, false);
        assert!(!is_of_date(7));
    }
}
