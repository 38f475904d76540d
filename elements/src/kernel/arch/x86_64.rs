//! x86-64.

use core::arch::asm;

/// The ELF machine number of programs that the doors can cover here.
pub const ELF_MACHINE: u16 = 62;

/// Makes a system call and gives its raw return value.
///
/// # Safety
///
/// The arguments must be what the call wants.
#[inline]
pub unsafe fn syscall(nr: usize, args: [usize; 6]) -> usize {
    let ret;
    // SAFETY: the caller answers for the arguments; the kernel preserves all
    // registers but the three named as outputs.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// The same for a call that takes four arguments at the most: the other registers stay as they are.
///
/// # Safety
///
/// As for [`syscall`].
#[inline]
pub unsafe fn syscall4(nr: usize, args: [usize; 4]) -> usize {
    let ret;
    // SAFETY: as in `syscall`.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// A number that is larger at every call: the processor's time stamp.
pub fn ticks() -> u64 {
    // SAFETY: rdtsc touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What tells this thread from the process's others, also in a child of fork(2): where its own storage is. 0: it
/// has none.
pub fn thread_pointer() -> usize {
    const ARCH_GET_FS: usize = 0x1003;
    let mut pointer = 0_usize;
    // SAFETY: the kernel writes a word.
    let _ = unsafe {
        syscall(libc::SYS_arch_prctl as usize, [ARCH_GET_FS, &raw mut pointer as usize, 0, 0, 0, 0])
    };
    pointer
}

/// The architecture as seccomp names it (`AUDIT_ARCH_X86_64`).
pub const AUDIT: u32 = 0xc000_003e;
