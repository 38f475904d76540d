//! What the kernel calls for a signal: on to the program's handler, unless the gate
//! has been interrupted.

use super::context::IP;
use crate::deliver::{HANDLERS, SHOWS_SENDER, default, inside, show_sender};
use crate::place::{BASE, SIZE};
use crate::sigsys;

core::arch::global_asm!(
    ".globl gate_deliver",
    "gate_deliver:",
    "mov rax, [rdx + {ip}]",
    "mov rcx, {base}",
    "sub rax, rcx",
    "cmp rax, {size}",
    "jb 2f",
    "3:",
    "lea rax, [rip + {shows_sender}]",
    "cmp byte ptr [rax], 0",
    "jne 6f",
    "7:",
    "mov eax, edi",
    "cmp eax, {stands_in}",
    "je 5f",
    "lea rcx, [rip + {handlers}]",
    "mov rax, [rcx + 8*rax]",
    "test rax, rax",
    "jz 4f",
    "jmp rax",
    "2:",
    "push rdi",
    "push rsi",
    "push rdx",
    "call {inside}",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "test eax, eax",
    "jz 3b",
    "ret",
    // The program has no handler: the signal is one that we listen to.
    "4:",
    "jmp {default}",
    // It may be a SIGSYS that was kept.
    "5:",
    "jmp {stood_in}",
    // Who has sent it is not who the kernel says.
    "6:",
    "push rdi",
    "push rsi",
    "push rdx",
    "call {show_sender}",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "jmp 7b",
    ip = const IP,
    base = const BASE,
    size = const SIZE,
    handlers = sym HANDLERS,
    inside = sym inside,
    default = sym default,
    shows_sender = sym SHOWS_SENDER,
    show_sender = sym show_sender,
    stands_in = const sigsys::STANDS_IN,
    stood_in = sym sigsys::stood_in,
);

unsafe extern "C" {
    /// What the kernel calls for every signal that has a handler.
    pub fn gate_deliver();
}
