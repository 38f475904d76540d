//! vfork(2): a child that borrows its parent's memory and stack.
//!
//! What we know of the working directory and of descriptors is in that memory,
//! but the child has its own of both. So while one is under way nothing of it
//! is used or changed: the parent counts the child in and out. It must be done
//! in assembly, since the child writes over the stack that we would return by.

use core::arch::naked_asm;
use core::ffi::c_int;

use elements::Errno;
use elements::files::VFORKS;

use crate::answer::returned;

/// vfork(2). The return address waits in a register that the kernel keeps.
///
/// # Safety
///
/// As libc's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vfork() -> c_int {
    naked_asm!(
        "pop rdi",
        "lock inc dword ptr [rip + {forks}]",
        "mov eax, {number}",
        "syscall",
        "push rdi",
        "test eax, eax",
        "jz 2f",
        "lock dec dword ptr [rip + {forks}]",
        "test eax, eax",
        "js 3f",
        "2: ret",
        "3: mov edi, eax",
        "neg edi",
        "jmp {failed}",
        forks = sym VFORKS,
        number = const libc::SYS_vfork,
        failed = sym failed,
    )
}

/// Another name of vfork(2), which libc's own headers once used.
///
/// # Safety
///
/// As libc's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vfork() -> c_int {
    naked_asm!("jmp {vfork}", vfork = sym vfork)
}

extern "C" fn failed(errno: c_int) -> c_int {
    returned(Err(Errno(errno))) as c_int
}
