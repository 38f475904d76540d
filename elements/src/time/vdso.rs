//! The kernel's vDSO: an object that the kernel maps into every process, whose functions read
//! a clock without a system call, see vdso(7).
//!
//! A door tells where it is, once, where the policy has a clock of its own. Until then, and
//! where the kernel has none, each function here is the system call.

use core::ffi::{c_int, c_long, c_uint, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use libc::{clockid_t, timespec, timeval};

use crate::kernel;
use crate::process::elf::PROGRAM_HEADER;
use crate::process::symbols::Object;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const NO_SYSTEM_CALL: c_int = -libc::ENOSYS;

/// Where its functions are; 0 where there is none.
static CLOCK_GETTIME: AtomicUsize = AtomicUsize::new(0);
static GETTIMEOFDAY: AtomicUsize = AtomicUsize::new(0);
static CLOCK_GETRES: AtomicUsize = AtomicUsize::new(0);
static GETCPU: AtomicUsize = AtomicUsize::new(0);
static GETRANDOM: AtomicUsize = AtomicUsize::new(0);
/// Its pages.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Takes note of it.
///
/// # Safety
///
/// `base` is what `AT_SYSINFO_EHDR` of getauxval(3) says.
pub unsafe fn learn(base: usize) {
    // SAFETY: an ELF file that the kernel has mapped whole: its header, and the program headers.
    let (headers, count) = unsafe {
        let headers = base + ((base + 32) as *const u64).read() as usize;
        (headers, ((base + 56) as *const u16).read())
    };
    let (mut bias, mut dynamic) = (None, None);
    for index in 0..usize::from(count) {
        let header = headers + index * PROGRAM_HEADER;
        // SAFETY: one of the program headers.
        let (kind, offset, address, size) = unsafe {
            (
                (header as *const u32).read(),
                ((header + 8) as *const usize).read(),
                ((header + 16) as *const usize).read(),
                ((header + 40) as *const usize).read(),
            )
        };
        match kind {
            PT_LOAD if bias.is_none() => {
                bias = Some(base.wrapping_add(offset).wrapping_sub(address));
                START.store(base, Ordering::Relaxed);
                END.store(base + (offset + size).next_multiple_of(4096), Ordering::Relaxed);
            }
            PT_DYNAMIC => dynamic = Some(base + offset),
            _ => {}
        }
    }
    let (Some(bias), Some(dynamic)) = (bias, dynamic) else { return };
    // SAFETY: a loaded object, whose tables are mapped.
    let Some(object) = (unsafe { Object::new(bias, dynamic) }) else { return };
    for (function, name) in [
        (&CLOCK_GETTIME, &b"__vdso_clock_gettime"[..]),
        (&GETTIMEOFDAY, b"__vdso_gettimeofday"),
        (&CLOCK_GETRES, b"__vdso_clock_getres"),
        (&GETCPU, b"__vdso_getcpu"),
        (&GETRANDOM, b"__vdso_getrandom"),
    ] {
        function.store(object.symbol(name).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Whether an address lies in it.
pub fn contains(address: usize) -> bool {
    (START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&address)
}

fn number(result: Result<usize, crate::Errno>) -> c_int {
    result.map_or_else(|errno| -errno.0, |value| value as c_int)
}

/// clock_gettime(2), of the host's clock: 0, or a negative errno.
///
/// # Safety
///
/// There is room for a timespec.
#[inline]
pub unsafe fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    match CLOCK_GETTIME.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: the caller's promise.
            number(unsafe {
                kernel::syscall(libc::SYS_clock_gettime, [clock as usize, to as usize, 0, 0, 0, 0])
            })
        }
        // SAFETY: the kernel's function of this type, and the caller's promise.
        function => unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int>(function)(
                clock, to,
            )
        },
    }
}

/// gettimeofday(2), of the host's clock, likewise.
///
/// # Safety
///
/// There is room for each that is not null.
#[inline]
pub unsafe fn gettimeofday(to: *mut timeval, zone: *mut c_void) -> c_int {
    match GETTIMEOFDAY.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: the caller's promise.
            number(unsafe {
                kernel::syscall(libc::SYS_gettimeofday, [to as usize, zone as usize, 0, 0, 0, 0])
            })
        }
        // SAFETY: the kernel's function of this type, and the caller's promise.
        function => unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(*mut timeval, *mut c_void) -> c_int>(function)(
                to, zone,
            )
        },
    }
}

/// clock_getres(2): 0, or a negative errno.
///
/// # Safety
///
/// There is room for a timespec, or the pointer is null.
pub unsafe fn clock_getres(clock: clockid_t, to: *mut timespec) -> c_int {
    match CLOCK_GETRES.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: the caller's promise.
            number(unsafe {
                kernel::syscall(libc::SYS_clock_getres, [clock as usize, to as usize, 0, 0, 0, 0])
            })
        }
        // SAFETY: the kernel's function of this type, and the caller's promise.
        function => unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int>(function)(
                clock, to,
            )
        },
    }
}

/// getcpu(2): 0, or a negative errno.
///
/// # Safety
///
/// There is room for each that is not null.
pub unsafe fn getcpu(cpu: *mut c_uint, node: *mut c_uint, unused: *mut c_void) -> c_long {
    match GETCPU.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: the caller's promise.
            c_long::from(number(unsafe {
                kernel::syscall(libc::SYS_getcpu, [cpu as usize, node as usize, 0, 0, 0, 0])
            }))
        }
        // SAFETY: the kernel's function of this type, and the caller's promise.
        function => unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(*mut c_uint, *mut c_uint, *mut c_void) -> c_long>(
                function,
            )(cpu, node, unused)
        },
    }
}

/// The vDSO's getrandom(2), with the state that libc keeps for it; `-ENOSYS` where there is none.
///
/// # Safety
///
/// As include/vdso/getrandom.h of the kernel has it.
pub unsafe fn getrandom(
    buffer: *mut c_void,
    len: usize,
    flags: c_uint,
    state: *mut c_void,
    state_len: usize,
) -> isize {
    match GETRANDOM.load(Ordering::Relaxed) {
        0 => NO_SYSTEM_CALL as isize,
        // SAFETY: the kernel's function of this type, and the caller's promise.
        function => unsafe {
            core::mem::transmute::<
                usize,
                unsafe extern "C" fn(*mut c_void, usize, c_uint, *mut c_void, usize) -> isize,
            >(function)(buffer, len, flags, state, state_len)
        },
    }
}
