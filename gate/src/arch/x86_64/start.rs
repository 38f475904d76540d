//! The first instructions of a process, and the last before the program's own.

use core::ffi::c_void;

use crate::loader::start;

core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    // gate_begin(stack, begin, started): goes on with another stack.
    ".globl gate_begin",
    "gate_begin:",
    "mov rsp, rdi",
    "mov rdi, rdx",
    "call rsi",
    "ud2",
    // gate_jump(stack, entry): nothing of ours is left in the registers.
    ".globl gate_jump",
    "gate_jump:",
    "mov rsp, rdi",
    "push rsi",
    "xor eax, eax",
    "xor ebx, ebx",
    "xor ecx, ecx",
    "xor edx, edx",
    "xor esi, esi",
    "xor edi, edi",
    "xor ebp, ebp",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "xor r11d, r11d",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "ret",
    start = sym start,
);

unsafe extern "C" {
    /// Goes on with a function, on a stack that ends at `stack`.
    pub fn gate_begin(stack: u64, begin: extern "C" fn(*mut c_void) -> !, started: *mut c_void) -> !;
    /// Jumps to the program.
    pub fn gate_jump(stack: usize, entry: u64) -> !;
}
