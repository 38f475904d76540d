//! How many processors and how much memory there are: sched_getaffinity(2),
//! sched_setaffinity(2) and sysinfo(2).
//!
//! A processor of the policy's machine stands for those of the host whose
//! number leaves the same remainder, and the other way round. So a program
//! that binds itself to one of four runs on one of the host's two, and each of
//! the host's is one of the machine's.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::kernel;
use crate::{Answer, Errno, Instance, user};

/// The most processors that a policy can have, as many as fit into a `cpu_set_t`.
pub const MOST: usize = 1024;

/// A set of processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set([u8; MOST / 8]);

impl Set {
    /// None of them.
    pub const fn new() -> Set {
        Set([0; MOST / 8])
    }

    /// The set in so many bytes; what is beyond [`MOST`] is left out.
    pub fn of(bytes: &[u8]) -> Set {
        let mut set = Set::new();
        for (to, from) in set.0.iter_mut().zip(bytes) {
            *to = *from;
        }
        set
    }

    /// Its bytes, as a `cpu_set_t` has them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn has(&self, cpu: usize) -> bool {
        self.0.get(cpu / 8).is_some_and(|byte| byte & 1 << (cpu % 8) != 0)
    }

    fn add(&mut self, cpu: usize) {
        if let Some(byte) = self.0.get_mut(cpu / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }

    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MOST).filter(|cpu| self.has(*cpu))
    }

    /// The processors among so many that leave the same remainder as one of these.
    fn alike(&self, count: usize, modulus: usize) -> Set {
        let mut remainders = Set::new();
        for cpu in self.all() {
            remainders.add(cpu % modulus);
        }
        let mut found = Set::new();
        for cpu in (0..count).filter(|cpu| remainders.has(cpu % modulus)) {
            found.add(cpu);
        }
        found
    }
}

impl Default for Set {
    fn default() -> Set {
        Set::new()
    }
}

/// What a figure of the host's memory is on the policy's machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// All memory of the host.
    pub host: u64,
    /// All memory that is told of, in the same unit.
    pub told: u64,
}

impl Scale {
    /// A figure's share.
    pub fn of(&self, value: u64) -> u64 {
        let share = u128::from(value) * u128::from(self.told) / u128::from(self.host.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// How many processors the host can have, or 0: not asked for yet.
static HOST: AtomicU32 = AtomicU32::new(0);

/// The number after the last processor that the host can have.
fn host_cpus() -> usize {
    let known = HOST.load(Ordering::Relaxed);
    if known != 0 {
        return known as usize;
    }
    let path = c"/sys/devices/system/cpu/possible".as_ptr().cast();
    let mut text = [0; 64];
    let len = kernel::open_at_once(path).and_then(|file| {
        let read = kernel::pread(file, &mut text, 0);
        kernel::close(file);
        read
    });
    // `0-3`, or `0`, or several such with commas: the last number counts.
    let text = text.get(..len.unwrap_or(0)).unwrap_or(&[]).trim_ascii_end();
    let digits = text.rsplit(|byte| !byte.is_ascii_digit()).next().unwrap_or(&[]);
    let last = digits
        .iter()
        .fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    let count = (last as usize + 1).min(MOST);
    HOST.store(count as u32, Ordering::Relaxed);
    count
}

impl Instance<'_> {
    /// How many processors the policy gives the machine.
    #[inline]
    pub fn cpus(&self) -> Option<usize> {
        let cpus = self.view.cpus() as usize;
        (cpus != 0).then_some(cpus.min(MOST))
    }

    /// The set that the program is shown for one of the host's.
    pub fn shown_cpus(&self, host: &Set) -> Set {
        let Some(cpus) = self.cpus() else { return *host };
        host.alike(cpus, cpus.min(host_cpus()))
    }

    /// The host's processors for a set of the program's.
    ///
    /// # Errors
    ///
    /// `EINVAL` where it has none that there is.
    pub fn host_cpus(&self, shown: &Set) -> Result<Set, Errno> {
        let Some(cpus) = self.cpus() else { return Ok(*shown) };
        let mut there = Set::new();
        shown.all().filter(|cpu| *cpu < cpus).for_each(|cpu| there.add(cpu));
        if there == Set::new() {
            return Err(Errno::EINVAL);
        }
        let host = host_cpus();
        Ok(there.alike(host, cpus.min(host)))
    }

    /// sched_getaffinity(2)
    pub fn sched_getaffinity(&self, process: i32, size: usize, mask: *mut u8) -> Answer {
        let Some(cpus) = self.cpus() else { return Answer::Pass };
        // As the kernel does: whole words, with room for all that there can be.
        if !size.is_multiple_of(8) || size < cpus.div_ceil(8) {
            return Answer::fail(Errno::EINVAL);
        }
        let mut host = Set::new();
        let args = [process as usize, host.0.len(), host.0.as_mut_ptr() as usize, 0, 0, 0];
        // SAFETY: the kernel writes no more than the set.
        let given = match unsafe { kernel::syscall(libc::SYS_sched_getaffinity, args) } {
            // Where the host can have more than there is room for, it judges by itself.
            Err(Errno::EINVAL) if size > host.0.len() => return Answer::Pass,
            Err(errno) => return Answer::fail(errno),
            Ok(given) => given,
        };
        let given = given.max(cpus.div_ceil(64) * 8);
        let len = given.min(size);
        if !user::is_writable(mask, len) {
            return Answer::fail(Errno::EFAULT);
        }
        let shown = self.shown_cpus(&host);
        // SAFETY: found writable.
        unsafe { core::ptr::copy_nonoverlapping(shown.0.as_ptr(), mask, len.min(shown.0.len())) };
        Answer::Done(Ok(len))
    }

    /// sched_setaffinity(2)
    pub fn sched_setaffinity(&self, process: i32, size: usize, mask: *const u8) -> Answer {
        if self.cpus().is_none() {
            return Answer::Pass;
        }
        let mut shown = Set::new();
        let len = size.min(shown.0.len());
        if !user::is_readable(mask, len) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: found readable.
        unsafe { core::ptr::copy_nonoverlapping(mask, shown.0.as_mut_ptr(), len) };
        let host = match self.host_cpus(&shown) {
            Ok(host) => host,
            Err(errno) => return Answer::fail(errno),
        };
        let args = [process as usize, host.0.len(), host.0.as_ptr() as usize, 0, 0, 0];
        // SAFETY: the kernel reads the set.
        Answer::Done(unsafe { kernel::syscall(libc::SYS_sched_setaffinity, args) })
    }

    /// sysinfo(2)
    pub fn sysinfo(&self, info: *mut libc::sysinfo) -> Answer {
        let told = self.view.memory();
        if told == 0 {
            return Answer::Pass;
        }
        // SAFETY: the program's own argument, for the kernel to judge.
        if let Err(errno) = unsafe { kernel::syscall(libc::SYS_sysinfo, [info as usize, 0, 0, 0, 0, 0]) } {
            return Answer::fail(errno);
        }
        // SAFETY: the kernel has just written all of it.
        let mut about = unsafe { info.read_unaligned() };
        let scale = Scale { host: about.totalram, told: told / u64::from(about.mem_unit.max(1)) };
        for figure in [&mut about.totalram, &mut about.freeram, &mut about.sharedram, &mut about.bufferram] {
            *figure = scale.of(*figure);
        }
        // SAFETY: as above.
        unsafe { info.write_unaligned(about) };
        Answer::Done(Ok(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cpus: &[usize]) -> Set {
        let mut set = Set::new();
        cpus.iter().for_each(|cpu| set.add(*cpu));
        set
    }

    #[test]
    fn each_processor_stands_for_those_with_its_remainder() {
        // Four on a host of two.
        assert_eq!(set(&[0, 1]).alike(4, 2), set(&[0, 1, 2, 3]));
        assert_eq!(set(&[1]).alike(4, 2), set(&[1, 3]));
        assert_eq!(set(&[3]).alike(2, 2), set(&[1]));
        // Two on a host of four.
        assert_eq!(set(&[0, 1, 2, 3]).alike(2, 2), set(&[0, 1]));
        assert_eq!(set(&[1]).alike(4, 2), set(&[1, 3]));
        // One on a host whose first is not allowed.
        assert_eq!(set(&[1]).alike(1, 1), set(&[0]));
    }

    #[test]
    fn a_share_of_memory_is_exact_for_the_whole() {
        let scale = Scale { host: 24_684_084, told: 8_388_608 };
        assert_eq!(scale.of(24_684_084), 8_388_608);
        assert_eq!(scale.of(0), 0);
        assert_eq!(Scale { host: 1, told: u64::MAX }.of(u64::MAX), u64::MAX);
    }
}
