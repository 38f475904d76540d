//! The credentials of an instance's processes, and who started it.
//!
//! A process writes its own row alone; the others read it. A row belongs to a process
//! id and the time when that process started, so that a process that has got an id anew
//! finds nothing in it. A row whose process is gone is anybody's.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::identity::credentials::{Credentials, WORDS};

const ROWS: usize = 512;
/// How many rows a process id may have its place in.
const REACH: usize = 64;
/// How often a row is read that is being written to.
const ATTEMPTS: u32 = 1000;

/// Which process: its id, and when it started, in ticks of the clock since the boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// Its start.
    pub started: u64,
}

/// All zeros: nobody has written to it.
#[repr(C)]
pub struct Table {
    /// The host's user and group who started the instance, and who that is in it; from 1.
    started_as: [AtomicU64; 4],
    rows: [Row; ROWS],
}

#[repr(C)]
struct Row {
    id: AtomicU32,
    /// Odd while it is being written to.
    sequence: AtomicU32,
    started: AtomicU64,
    words: [AtomicU32; WORDS],
}

/// Who started an instance: on the host, and in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Starter {
    /// The host's user.
    pub host_uid: u32,
    /// The host's group.
    pub host_gid: u32,
    /// Who that is to the programs.
    pub uid: u32,
    /// The group, likewise.
    pub gid: u32,
}

impl Table {
    /// Who started the instance; none where nobody has said so.
    #[inline]
    pub fn starter(&self) -> Option<Starter> {
        let word = |index: usize| (self.started_as[index].load(Ordering::Relaxed) as u32).wrapping_sub(1);
        let is_said = self.started_as[0].load(Ordering::Relaxed) != 0;
        is_said.then(|| Starter { host_uid: word(0), host_gid: word(1), uid: word(2), gid: word(3) })
    }

    /// Says who starts it.
    pub fn set_starter(&self, starter: Starter) {
        let Starter { host_uid, host_gid, uid, gid } = starter;
        for (to, id) in self.started_as.iter().zip([host_uid, host_gid, uid, gid]) {
            to.store(u64::from(id) + 1, Ordering::Relaxed);
        }
    }

    fn places(id: u32) -> impl Iterator<Item = usize> {
        let first = (id.wrapping_mul(0x9e37_79b1) >> 16) as usize;
        (0..REACH).map(move |step| (first + step) % ROWS)
    }

    /// The credentials of a process. `proves` is asked whether the process of that id started
    /// at the time in the row.
    pub fn get(&self, id: u32, proves: impl Fn(u64) -> bool) -> Option<Credentials> {
        let row =
            Table::places(id).map(|at| &self.rows[at]).find(|row| row.id.load(Ordering::Acquire) == id)?;
        let found = row.read()?;
        proves(row.started.load(Ordering::Relaxed)).then_some(found)
    }

    /// Writes those of this process. `is_gone` is asked of the processes of other rows. False: there
    /// is no room.
    pub fn set(
        &self,
        process: Process,
        credentials: &Credentials,
        is_gone: impl Fn(Process) -> bool,
    ) -> bool {
        let own = Table::places(process.id)
            .map(|at| &self.rows[at])
            .find(|row| row.id.load(Ordering::Acquire) == process.id);
        let row = own.or_else(|| self.claim(process.id, is_gone));
        if let Some(row) = row {
            row.write(process.started, credentials);
        }
        row.is_some()
    }

    fn claim(&self, id: u32, is_gone: impl Fn(Process) -> bool) -> Option<&Row> {
        Table::places(id).map(|at| &self.rows[at]).find(|row| {
            let other = row.id.load(Ordering::Acquire);
            let started = row.started.load(Ordering::Relaxed);
            (other == 0 || is_gone(Process { id: other, started }))
                && row.id.compare_exchange(other, id, Ordering::AcqRel, Ordering::Acquire).is_ok()
        })
    }
}

impl Row {
    fn read(&self) -> Option<Credentials> {
        for _ in 0..ATTEMPTS {
            let before = self.sequence.load(Ordering::Acquire);
            let mut words = [0; WORDS];
            for (to, from) in words.iter_mut().zip(&self.words) {
                *to = from.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if before != 0 && before & 1 == 0 && self.sequence.load(Ordering::Relaxed) == before {
                return Some(Credentials::from_words(&words));
            }
            core::hint::spin_loop();
        }
        // Whoever wrote has died over it.
        None
    }

    fn write(&self, started: u64, credentials: &Credentials) {
        let sequence = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        self.started.store(started, Ordering::Relaxed);
        for (to, word) in self.words.iter().zip(credentials.words()) {
            to.store(word, Ordering::Relaxed);
        }
        let next = sequence.wrapping_add(1);
        self.sequence.store(if next == 0 { 2 } else { next }, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Box<Table> {
        // SAFETY: all zeros is a table that nobody has written to.
        unsafe { Box::new_zeroed().assume_init() }
    }

    #[test]
    fn a_process_that_has_an_id_anew_finds_nothing() {
        let table = table();
        let first = Credentials::of(33, 33, &[4]);
        assert!(table.set(Process { id: 7, started: 100 }, &first, |_| false));
        assert_eq!(table.get(7, |started| started == 100), Some(first));
        assert_eq!(table.get(7, |started| started == 101), None);
        assert_eq!(table.get(8, |_| true), None);
    }

    #[test]
    fn rows_of_processes_that_are_gone_are_taken() {
        let table = table();
        let some = Credentials::of(1, 1, &[]);
        let ids = 1..=ROWS as u32 * 4;
        assert!(!ids.clone().all(|id| table.set(Process { id, started: 1 }, &some, |_| false)));
        assert!(ids.clone().all(|id| table.set(Process { id, started: 1 }, &some, |_| true)));
    }

    #[test]
    fn who_started_it_is_told_as_it_was_said() {
        let table = table();
        assert_eq!(table.starter(), None);
        let starter = Starter { host_uid: 1000, host_gid: 0, uid: 0, gid: u32::MAX - 1 };
        table.set_starter(starter);
        assert_eq!(table.starter(), Some(starter));
    }
}
