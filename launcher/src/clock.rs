//! The application's clock at a start: the first program of an instance sets the moment that
//! all its processes reckon from, and whoever comes while one runs leaves it alone.

use std::fs;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use elements::instance::VIEW;
use elements::shared;
use view::{Begins, RATE_ONE, View};

use crate::instance::Placed;
use crate::stale::is_in_use;

impl Placed {
    /// Starts the application's clock, where it has one of its own and does not go already.
    ///
    /// # Errors
    ///
    /// Those of the view's file.
    pub fn start_clock(&self, view: &View<'_>) -> Result<()> {
        const SHARED: &str = "cannot write to the instance's view";
        let Some(time) = view.time() else { return Ok(()) };
        let is_shift = time.rate == RATE_ONE && !time.frozen;
        // As far from the host's as it would be again.
        let is_right = |host: i64, shown: i64, holder: u64| {
            holder != 0 && is_shift && time.begins == Begins::After(shown.wrapping_sub(host))
        };
        if self.read_clock().is_ok_and(|(host, shown, holder)| is_right(host, shown, holder)) {
            return Ok(());
        }
        // Two starts at once must agree on who is the first.
        let lock = fs::File::open(self.dir.join(VIEW)).context(SHARED)?;
        lock.lock().context(SHARED)?;
        let ((host, shown), holder) =
            self.with_shared(|shared| (shared.clock.get(), shared.clock.holder())).context(SHARED)?;
        if holder != 0 {
            // The launcher becomes the program, so its process is the program's.
            if is_right(host, shown, holder)
                || of_process((holder >> 32) as u32) == Some(holder)
                || is_in_use(&self.dir)
            {
                return Ok(());
            }
        }
        // By the clock that time(2) looks at, which is behind the others by the length of a tick: no program
        // is to see a second before the first.
        let now = elements::time::now(libc::CLOCK_REALTIME_COARSE);
        let begins = match time.begins {
            Begins::At(moment) => moment,
            Begins::After(offset) => now.saturating_add(offset),
        };
        let holder = of_process(std::process::id()).context("cannot read /proc/self/stat")?;
        self.with_shared(|shared| shared.clock.begin(now, begins, holder)).context(SHARED)
    }
}

impl Placed {
    /// The moment by the host's clock and by the application's, and who has written it.
    fn read_clock(&self) -> std::io::Result<(i64, i64, u64)> {
        let mut words = [[0; 8]; 3];
        let view = fs::File::open(self.dir.join(VIEW))?;
        view.read_exact_at(words.as_flattened_mut(), shared::CLOCK as u64)?;
        let [host, shown, holder] = words.map(u64::from_ne_bytes);
        Ok((host.cast_signed(), shown.cast_signed(), holder))
    }
}

/// What tells a process from all others, as long as it is there: its number, and when it was started.
fn of_process(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let started: u64 = text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some(u64::from(id) << 32 | started & u64::from(u32::MAX))
}
