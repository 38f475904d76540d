//! The seccomp filter: which system calls trap.
//!
//! It is installed once, before the instance's first program, and inherited
//! by all that come after. It looks at the number first: what no element
//! answers is allowed by the number alone, so the kernel keeps that answer in
//! a bitmap and does not run the filter at all. Of the others, those that come
//! from the gate's own code are allowed.

use elements::kernel;
use elements::{Errno, kernel::arch};

use elements::calls::When;

use crate::arch::entry::{address, gate_asked};
use crate::calls::{TRAPPED, trapped};
use crate::place::{BASE, SIZE};
use crate::seccomp::ALLOWED;

/// Tells our traps from those of a program's own filter (`si_errno`).
pub const COOKIE: u16 = 0x4c41;
/// A call by another architecture's rules: int 0x80.
pub const FOREIGN: u16 = 0x4c42;

/// What strict mode forbids.
pub const STRICT: u16 = 0x4c43;

/// `struct sock_filter`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `struct sock_fprog`
#[repr(C)]
pub struct Program {
    pub len: u16,
    pub filter: *const Instruction,
}

// Offsets in `struct seccomp_data`, see seccomp(2).
pub const NUMBER: u32 = 0;
pub const ARCH: u32 = 4;
pub const IP: u32 = 8;
const ARGS: u32 = 16;

pub const ALLOW: u32 = 0x7fff_0000;
pub const TRAP: u32 = 0x0003_0000;
pub const ERRNO: u32 = 0x0005_0000;

pub const LOAD: u16 = 0x20;
pub const LOAD_NUMBER: u16 = 0x00;
pub const AND: u16 = 0x54;
pub const EQUAL: u16 = 0x15;
pub const AT_LEAST: u16 = 0x35;
pub const ANY_OF: u16 = 0x45;
pub const JUMP: u16 = 0x05;
pub const RETURN: u16 = 0x06;

/// The calls that programs make most often, of those that trap.
const FREQUENT: &[u32] = &[
    libc::SYS_newfstatat as u32,
    libc::SYS_openat as u32,
    libc::SYS_fstat as u32,
    libc::SYS_statx as u32,
    libc::SYS_stat as u32,
    libc::SYS_lstat as u32,
    libc::SYS_access as u32,
    libc::SYS_readlink as u32,
    libc::SYS_getdents64 as u32,
];

const LENGTH: usize = 1024;
const CALLS: usize = TRAPPED.len();

struct Writer {
    code: [Instruction; LENGTH],
    len: usize,
    /// Where jumps to the last part stand, in its place until it is known.
    tails: [usize; LENGTH],
    tail_count: usize,
}

impl Writer {
    fn push(&mut self, code: u16, jt: usize, jf: usize, k: u32) -> usize {
        if let Some(to) = self.code.get_mut(self.len) {
            *to = Instruction { code, jt: jt as u8, jf: jf as u8, k };
        }
        self.len += 1;
        self.len - 1
    }

    /// Goes to the part that looks where the call comes from.
    fn tail(&mut self) {
        let at = self.push(JUMP, 0, 0, 0);
        if let Some(entry) = self.tails.get_mut(self.tail_count) {
            *entry = at;
        }
        self.tail_count += 1;
    }

    fn land(&mut self, from: usize) {
        let to = self.len;
        if let Some(jump) = self.code.get_mut(from) {
            jump.k = (to - from - 1) as u32;
        }
    }

    /// Decides among calls with ascending numbers.
    fn decide(&mut self, calls: &[(u32, When)]) {
        if calls.len() > 4 {
            let (low, high) = calls.split_at(calls.len() / 2);
            let first = high.first().map_or(0, |(number, _)| *number);
            self.push(AT_LEAST, 0, 1, first);
            let jump = self.push(JUMP, 0, 0, 0);
            self.decide(low);
            self.land(jump);
            return self.decide(high);
        }
        for (number, when) in calls {
            let at = self.push(EQUAL, 0, 0, *number);
            self.condition(*when);
            let skip = self.len - at - 1;
            if let Some(test) = self.code.get_mut(at) {
                test.jf = skip as u8;
            }
        }
        self.push(RETURN, 0, 0, ALLOW);
    }

    fn condition(&mut self, when: When) {
        match when {
            When::Always | When::Traced => {}
            When::NotNull(argument) => {
                self.push(LOAD, 0, 0, ARGS + 8 * argument);
                self.push(EQUAL, 0, 3, 0);
                self.push(LOAD, 0, 0, ARGS + 8 * argument + 4);
                self.push(EQUAL, 0, 1, 0);
                self.push(RETURN, 0, 0, ALLOW);
            }
            When::Is(argument, values) => {
                self.push(LOAD, 0, 0, ARGS + 8 * argument);
                for (index, value) in values.iter().enumerate() {
                    self.push(EQUAL, values.len() - index, 0, *value);
                }
                self.push(RETURN, 0, 0, ALLOW);
            }
            When::Without(argument, bits) => {
                self.push(LOAD, 0, 0, ARGS + 8 * argument);
                self.push(ANY_OF, 0, 1, bits);
                self.push(RETURN, 0, 0, ALLOW);
            }
        }
        self.tail();
    }

    fn write(&mut self) {
        const CLONE3: u32 = libc::SYS_clone3 as u32;
        const IO_URING_SETUP: u32 = libc::SYS_io_uring_setup as u32;
        const X32: u32 = 0x4000_0000;
        self.push(LOAD, 0, 0, ARCH);
        self.push(EQUAL, 1, 0, arch::AUDIT);
        self.push(RETURN, 0, 0, TRAP | u32::from(FOREIGN));
        self.push(LOAD, 0, 0, NUMBER);
        self.push(AT_LEAST, 0, 1, X32);
        self.push(RETURN, 0, 0, ERRNO | Errno::ENOSYS.0 as u32);
        for number in [CLONE3, IO_URING_SETUP] {
            self.push(EQUAL, 0, 1, number);
            self.push(RETURN, 0, 0, ERRNO | Errno::ENOSYS.0 as u32);
        }
        let mut calls: [(u32, When); CALLS] = [(0, When::Always); CALLS];
        let mut count = 0;
        for (to, from) in calls.iter_mut().zip(trapped()) {
            *to = from;
            count += 1;
        }
        let calls = calls.get_mut(..count).unwrap_or(&mut []);
        // The filter runs at each of these: programs make them most often, so they come first.
        for number in FREQUENT.iter().filter(|number| calls.contains(&(**number, When::Always))) {
            self.push(EQUAL, 0, 1, *number);
            self.tail();
        }
        calls.sort_unstable_by_key(|(number, _)| *number);
        self.decide(calls);
        for index in 0..self.tail_count {
            let from = self.tails.get(index).copied().unwrap_or(0);
            self.land(from);
        }
        self.push(LOAD, 0, 0, IP + 4);
        self.push(EQUAL, 0, 5, (BASE >> 32) as u32);
        self.push(LOAD, 0, 0, IP);
        self.push(EQUAL, 0, 1, address(gate_asked) as u32);
        self.push(RETURN, 0, 0, ERRNO | u32::from(ALLOWED));
        self.push(AND, 0, 0, !(SIZE as u32 - 1));
        self.push(EQUAL, 1, 0, BASE as u32);
        self.push(RETURN, 0, 0, TRAP | u32::from(COOKIE));
        self.push(RETURN, 0, 0, ALLOW);
    }
}

/// Installs the filter. It stays for as long as the process and its children.
///
/// # Errors
///
/// `EACCES` without no_new_privs, `EINVAL` where the kernel has no filters, or this one has become too long.
#[inline(never)]
pub fn install() -> Result<(), Errno> {
    const SET_MODE_FILTER: usize = 1;
    const SPEC_ALLOW: usize = 4;
    let nothing = Instruction { code: RETURN, jt: 0, jf: 0, k: ALLOW };
    let mut writer = Writer { code: [nothing; LENGTH], len: 0, tails: [0; LENGTH], tail_count: 0 };
    writer.write();
    if writer.len > LENGTH {
        return Err(Errno::EINVAL);
    }
    let program = Program { len: writer.len as u16, filter: writer.code.as_ptr() };
    let program = core::ptr::from_ref(&program) as usize;
    // SAFETY: the kernel reads the program.
    unsafe { kernel::syscall(libc::SYS_seccomp, [SET_MODE_FILTER, SPEC_ALLOW, program, 0, 0, 0]) }.map(|_| ())
}
