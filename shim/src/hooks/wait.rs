//! libc's functions that wait until a moment. What they wait on is libc's own, so they
//! are called as the program has called them, with the same moment by the host's clock.
//!
//! Most are cancellation points: a thread that waits in one may be ended there, and is unwound
//! through our frame. So that is laid down in assembly, with what an unwinder needs to know of it. The
//! moment lies in the frame.

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};

use elements::Errno;
use libc::{clockid_t, timespec};

use crate::next::Next;
use crate::real;
use crate::start::instance;

/// What a function is called with.
type Args = [usize; 6];

/// Which clock a function waits by.
#[derive(Clone, Copy)]
enum By {
    /// The date.
    Date,
    /// The one that the argument with this number says.
    Argument(usize),
    /// The one that a condition variable has been made for.
    Condition,
    /// The first argument says, where the second has `TIMER_ABSTIME`.
    Sleep,
}

/// What stands for a function that libc does not have.
extern "C" fn missing() -> c_int {
    Errno::ENOSYS.0
}

/// Puts the moment that the host's clock shows then in an argument's place, where there is another.
unsafe fn turn(args: &mut Args, room: &mut timespec, by: By, index: usize) {
    let instance = instance();
    if !instance.view.has_time() {
        return;
    }
    let argument = |index: usize| args.get(index).copied().unwrap_or(0);
    let clock = match by {
        By::Date => libc::CLOCK_REALTIME,
        By::Argument(index) => argument(index) as clockid_t,
        // SAFETY: the caller's condition variable.
        By::Condition => unsafe { clock_of(argument(0) as *const Words) },
        By::Sleep if argument(1) as c_int & libc::TIMER_ABSTIME == 0 => return,
        By::Sleep => argument(0) as clockid_t,
    };
    let moment = argument(index) as *const timespec;
    if moment.is_null() {
        return;
    }
    // SAFETY: the caller's, by the function's contract.
    let moment = unsafe { moment.read() };
    let Some(host) = instance.host_moment(clock, &moment) else { return };
    *room = host;
    if let Some(argument) = args.get_mut(index) {
        *argument = core::ptr::from_ref(room) as usize;
    }
}

/// Makes a function: by which clock it waits, and which argument is the moment.
macro_rules! waits {
    ($($(#[$doc:meta])* $name:ident ($by:expr, $index:literal);)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// As libc's.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() -> c_int {
                extern "C" fn prepare(args: &mut Args, room: &mut timespec) -> usize {
                    static NEXT: Next = Next::new();
                    // SAFETY: the arguments are the caller's of the function.
                    unsafe { turn(args, room, $by, $index) };
                    NEXT.address(stringify!($name)).unwrap_or(missing as extern "C" fn() -> c_int as usize)
                }
                naked_asm!(
                    ".cfi_startproc",
                    "sub rsp, 72",
                    ".cfi_adjust_cfa_offset 72",
                    "mov [rsp], rdi",
                    "mov [rsp + 8], rsi",
                    "mov [rsp + 16], rdx",
                    "mov [rsp + 24], rcx",
                    "mov [rsp + 32], r8",
                    "mov [rsp + 40], r9",
                    "mov rdi, rsp",
                    "lea rsi, [rsp + 48]",
                    "call {prepare}",
                    "mov rdi, [rsp]",
                    "mov rsi, [rsp + 8]",
                    "mov rdx, [rsp + 16]",
                    "mov rcx, [rsp + 24]",
                    "mov r8, [rsp + 32]",
                    "mov r9, [rsp + 40]",
                    "call rax",
                    "add rsp, 72",
                    ".cfi_adjust_cfa_offset -72",
                    "ret",
                    ".cfi_endproc",
                    prepare = sym prepare,
                )
            }
        )*
    };
}

waits! {
    /// clock_nanosleep(2)
    clock_nanosleep(By::Sleep, 2);
    /// pthread_cond_timedwait(3)
    pthread_cond_timedwait(By::Condition, 2);
    /// The same with a clock of its own, in glibc.
    pthread_cond_clockwait(By::Argument(2), 3);
    /// pthread_mutex_timedlock(3)
    pthread_mutex_timedlock(By::Date, 1);
    /// The same with a clock of its own, in glibc.
    pthread_mutex_clocklock(By::Argument(1), 2);
    /// pthread_rwlock_timedrdlock(3)
    pthread_rwlock_timedrdlock(By::Date, 1);
    /// The same with a clock of its own, in glibc.
    pthread_rwlock_clockrdlock(By::Argument(1), 2);
    /// pthread_rwlock_timedwrlock(3)
    pthread_rwlock_timedwrlock(By::Date, 1);
    /// The same with a clock of its own, in glibc.
    pthread_rwlock_clockwrlock(By::Argument(1), 2);
    /// pthread_timedjoin_np(3)
    pthread_timedjoin_np(By::Date, 2);
    /// The same with a clock of its own, in glibc.
    pthread_clockjoin_np(By::Argument(2), 3);
    /// sem_timedwait(3)
    sem_timedwait(By::Date, 1);
    /// The same with a clock of its own, in glibc.
    sem_clockwait(By::Argument(1), 2);
    /// mq_timedsend(3)
    mq_timedsend(By::Date, 4);
    /// mq_timedreceive(3)
    mq_timedreceive(By::Date, 4);
    /// cnd_timedwait of C11
    cnd_timedwait(By::Date, 2);
    /// mtx_timedlock of C11
    mtx_timedlock(By::Date, 1);
}

/// A `pthread_cond_t`: 48 bytes in glibc and in musl.
type Words = [AtomicU32; 12];

/// Where a condition variable keeps its clock: the word's number in the upper half, and in the lower half the
/// bits that it has where that is CLOCK_MONOTONIC. [`UNKNOWN`] before anybody has looked.
static KEPT: [AtomicU32; 2] = [AtomicU32::new(UNKNOWN), AtomicU32::new(0)];
const UNKNOWN: u32 = u32::MAX;
/// Nowhere.
const NOWHERE: u32 = u32::MAX - 1;

/// The clock of a condition variable. There is no function that tells it, and each libc
/// keeps it elsewhere: one that is made for each clock tells where.
///
/// # Safety
///
/// It has been made.
unsafe fn clock_of(condition: *const Words) -> clockid_t {
    if KEPT[0].load(Ordering::Acquire) == UNKNOWN {
        look();
    }
    let (word, bits) = (KEPT[0].load(Ordering::Acquire) as usize, KEPT[1].load(Ordering::Relaxed));
    // SAFETY: the caller's promise. Its words change only by atomics.
    let words = unsafe { &*condition };
    match words.get(word) {
        Some(word) if word.load(Ordering::Relaxed) & bits != 0 => libc::CLOCK_MONOTONIC,
        _ => libc::CLOCK_REALTIME,
    }
}

#[cold]
fn look() {
    let found = differs().unwrap_or((NOWHERE, 0));
    KEPT[1].store(found.1, Ordering::Relaxed);
    KEPT[0].store(found.0, Ordering::Release);
}

/// The word in which two that are made for different clocks differ, and its bits.
fn differs() -> Option<(u32, u32)> {
    let init = real!(pthread_condattr_init as fn(*mut c_void) -> c_int)?;
    let set = real!(pthread_condattr_setclock as fn(*mut c_void, clockid_t) -> c_int)?;
    let make = real!(pthread_cond_init as fn(*mut c_void, *const c_void) -> c_int)?;
    let made = |clock| {
        let mut attributes = [0_u64; 4];
        let mut condition = [0_u32; 12];
        // SAFETY: there is more room than any libc's attributes take.
        let failed = unsafe {
            let attributes = (&raw mut attributes).cast::<c_void>();
            init(attributes) != 0
                || set(attributes, clock) != 0
                || make((&raw mut condition).cast(), attributes) != 0
        };
        (!failed).then_some(condition)
    };
    let (date, monotonic) = (made(libc::CLOCK_REALTIME)?, made(libc::CLOCK_MONOTONIC)?);
    let mut pairs = date.iter().zip(&monotonic).enumerate();
    pairs.find_map(|(word, (one, other))| (one != other).then_some((word as u32, other & !one)))
}
