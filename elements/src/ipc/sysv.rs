//! System V: shmget(2), semget(2), msgget(2) and what controls them.
//!
//! A key is turned into another one by a permutation of all 32-bit numbers, so that no two keys of an
//! application become one. The numbers of what is there are the kernel's, for all.

use view::Ipc;

use super::{clear_mark, has_mark, set_mark};
use crate::calls::Args;
use crate::files::Text;
use crate::kernel::{self, waiting_syscall};
use crate::{Answer, Errno, Instance, user};

const IPC_RMID: i32 = 0;
const IPC_STAT: i32 = 2;

/// What there are, by the letters of their marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Shared memory.
    Memory = b'm' as isize,
    /// Sets of semaphores.
    Semaphores = b's' as isize,
    /// Queues of messages.
    Queue = b'q' as isize,
}

impl Kind {
    /// The commands that tell of what has an index, and not a number.
    fn by_index(self) -> [i32; 2] {
        match self {
            Kind::Memory => [13, 15],
            Kind::Semaphores => [18, 20],
            Kind::Queue => [11, 13],
        }
    }
}

/// One round of the permutation, on half a key.
fn round(half: u32, salt: u64, number: u64) -> u32 {
    let mixed = (u64::from(half) ^ salt.rotate_left(number as u32 * 13))
        .wrapping_add(number)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as u32 & 0xffff
}

fn permuted(key: u32, salt: u64, back: bool) -> u32 {
    let (mut left, mut right) = (key >> 16, key & 0xffff);
    for step in 0..4 {
        let number = if back { 3 - step } else { step };
        if back {
            (left, right) = (right ^ round(left, salt, number), left);
        } else {
            (left, right) = (right, left ^ round(right, salt, number));
        }
    }
    left << 16 | right
}

/// The key that the kernel is given for one of the program's. That of what has no key stays.
pub fn host_key(key: u32, salt: u64) -> u32 {
    match key {
        0 => 0,
        // Whatever becomes 0 takes the place of what 0 becomes.
        key => match permuted(key, salt, false) {
            0 => permuted(0, salt, false),
            host => host,
        },
    }
}

/// The program's key for one that the kernel has been given.
pub fn shown_key(host: u32, salt: u64) -> u32 {
    match host {
        0 => 0,
        host => match permuted(host, salt, true) {
            0 => permuted(0, salt, true),
            key => key,
        },
    }
}

/// A number as a mark has it.
fn digits(id: i32) -> Text<16> {
    let mut text = Text::new();
    // There is room for any number.
    let _ = text.push_decimal(id.unsigned_abs());
    text
}

/// Whether something with this number is the instance's.
pub fn is_own(ipc: &Ipc<'_>, kind: Kind, id: i32) -> bool {
    has_mark(ipc, kind as u8, digits(id).bytes())
}

impl Instance<'_> {
    /// shmget(2), semget(2), msgget(2): the key is the first argument, and `flags` the last.
    pub fn get_by_key(&self, kind: Kind, number: i64, mut args: Args, flags: usize) -> Answer {
        let Some(ipc) = self.own_names() else { return Answer::Pass };
        let key = args[0] as u32;
        args[0] = host_key(key, ipc.salt) as usize;
        // SAFETY: numbers only.
        let done = unsafe { kernel::syscall(number, args) };
        if let (Ok(id), true) = (done, key == 0 || flags as i32 & libc::IPC_CREAT != 0) {
            set_mark(&ipc, kind as u8, digits(id as i32).bytes());
        }
        Answer::Done(done)
    }

    /// shmctl(2), semctl(2), msgctl(2). `buffer` is where the kernel tells of what has a number.
    pub fn control(&self, kind: Kind, number: i64, args: Args, command: usize, buffer: usize) -> Answer {
        let Some(ipc) = self.own_names() else { return Answer::Pass };
        let id = args[0] as i32;
        match command as i32 {
            IPC_RMID => {
                // SAFETY: numbers, and what the kernel does not look at.
                let done = unsafe { kernel::syscall(number, args) };
                if done.is_ok() {
                    clear_mark(&ipc, kind as u8, digits(id).bytes());
                }
                Answer::Done(done)
            }
            command if command == IPC_STAT || kind.by_index().contains(&command) => {
                // SAFETY: the program's own arguments, for the kernel to judge.
                let done = unsafe { waiting_syscall(number, args) };
                let Ok(given) = done else { return Answer::Done(done) };
                let id = if command == IPC_STAT { id } else { given as i32 };
                if is_own(&ipc, kind, id) {
                    // The key is what the struct begins with.
                    let key = buffer as *mut u32;
                    if user::is_writable(key.cast(), size_of::<u32>()) {
                        // SAFETY: found writable.
                        unsafe { key.write_unaligned(shown_key(key.read_unaligned(), ipc.salt)) };
                    }
                } else if command != IPC_STAT {
                    // A list has only what is the instance's.
                    return Answer::fail(Errno::EINVAL);
                }
                Answer::Done(done)
            }
            _ => Answer::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_becomes_another_and_comes_back() {
        for salt in [0, 1, 0xdead_beef_0123_4567, u64::MAX] {
            let mut keys: Vec<u32> = (0..5000).chain((0..32).map(|bit| 1 << bit)).collect();
            keys.extend([permuted(0, salt, true), permuted(0, salt, false), u32::MAX]);
            keys.sort_unstable();
            keys.dedup();
            let mut hosts: Vec<u32> = keys.iter().map(|key| host_key(*key, salt)).collect();
            for (key, host) in keys.iter().zip(&hosts) {
                assert_eq!(shown_key(*host, salt), *key);
                assert_eq!(*host == 0, *key == 0);
            }
            hosts.sort_unstable();
            hosts.dedup();
            assert_eq!(hosts.len(), keys.len());
        }
    }
}
