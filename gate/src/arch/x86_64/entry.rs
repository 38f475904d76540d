//! The way in and out of the gate, in assembly.
//!
//! `gate_entry` is reached with the program's registers as they were at its
//! system call, but for rcx, which holds the address where the program goes
//! on, and r11, which is free (the `syscall` instruction takes both). Nothing
//! of the program's stack is touched. A slot is claimed with r11 alone; all
//! registers are saved there, those of vectors too, since the kernel keeps
//! them over a call.
//!
//! A signal may come at any instruction. `deliver.rs` tells by the labels
//! where it came: before `gate_inside` the entry begins anew; from
//! `gate_check` to `gate_freed` all is restored from the slot, as often as
//! need be.

use crate::place::{BASE, FIRST, SLOT_SIZE, SLOTS, Slot};
use core::mem::offset_of;

core::arch::global_asm!(
    ".globl gate_entry, gate_claimed, gate_inside, gate_check, gate_freed, gate_left",
    "gate_entry:",
    // Threads have stacks of their own, so each tends to a slot of its own.
    // Stacks lie at like distances, so their addresses are scattered. As long as
    // no call has met another, the last slot serves them all.
    "mov r11, rsp",
    "shr r11, 18",
    "imul r11, r11, 0x61c88647",
    "shr r11, 24",
    "or r11d, [rip + {alone}]",
    "and r11d, {last}",
    "shl r11, {slot_bits}",
    "add r11, [rip + gate_first]",
    "2:",
    "lock bts dword ptr [r11], 0",
    "jc 4f",
    "gate_claimed:",
    "mov [r11 + {rsp}], rsp",
    "mov [r11 + {rax}], rax",
    "gate_saved:",
    "cmp dword ptr [rip + {any}], 0",
    "jne 6f",
    "7:",
    "lea rsp, [r11 - 16]",
    "gate_inside:",
    "mov [r11 + {rcx}], rcx",
    "mov [r11 + {args}], rdi",
    "mov [r11 + {args} + 8], rsi",
    "mov [r11 + {args} + 16], rdx",
    "mov [r11 + {args} + 24], r10",
    "mov [r11 + {args} + 32], r8",
    "mov [r11 + {args} + 40], r9",
    // The functions that are called keep these, but a fault ends them midway.
    "mov [r11 + {kept}], rbx",
    "mov [r11 + {kept} + 8], rbp",
    "mov [r11 + {kept} + 16], r12",
    "mov [r11 + {kept} + 24], r13",
    "mov [r11 + {kept} + 32], r14",
    "mov [r11 + {kept} + 40], r15",
    "movaps [r11 + {xmm}], xmm0",
    "movaps [r11 + {xmm} + 16], xmm1",
    "movaps [r11 + {xmm} + 32], xmm2",
    "movaps [r11 + {xmm} + 48], xmm3",
    "movaps [r11 + {xmm} + 64], xmm4",
    "movaps [r11 + {xmm} + 80], xmm5",
    "movaps [r11 + {xmm} + 96], xmm6",
    "movaps [r11 + {xmm} + 112], xmm7",
    "movaps [r11 + {xmm} + 128], xmm8",
    "movaps [r11 + {xmm} + 144], xmm9",
    "movaps [r11 + {xmm} + 160], xmm10",
    "movaps [r11 + {xmm} + 176], xmm11",
    "movaps [r11 + {xmm} + 192], xmm12",
    "movaps [r11 + {xmm} + 208], xmm13",
    "movaps [r11 + {xmm} + 224], xmm14",
    "movaps [r11 + {xmm} + 240], xmm15",
    "mov [rsp], r11",
    "cld",
    "mov rdi, r11",
    "call {answer}",
    "mov r11, [rsp]",
    "test edx, edx",
    "jz 8f",
    // The call is to be made as it was asked. Here, since each return behind a call is one that the
    // processor foresees badly.
    ".globl gate_passing, gate_passes",
    "mov rdi, [r11 + {args}]",
    "mov rsi, [r11 + {args} + 8]",
    "mov rdx, [r11 + {args} + 16]",
    "mov r10, [r11 + {args} + 24]",
    "mov r8, [r11 + {args} + 32]",
    "mov r9, [r11 + {args} + 40]",
    "gate_passing:",
    "cmp dword ptr [r11 + {pending}], 0",
    "jne gate_hindered",
    "gate_passes:",
    "syscall",
    "mov r11, [rsp]",
    "8:",
    "mov [r11 + {rax}], rax",
    "gate_check:",
    // The word beside it, too: whether the thread is held.
    "cmp qword ptr [r11 + {pending}], 0",
    "jne 5f",
    "movaps xmm0, [r11 + {xmm}]",
    "movaps xmm1, [r11 + {xmm} + 16]",
    "movaps xmm2, [r11 + {xmm} + 32]",
    "movaps xmm3, [r11 + {xmm} + 48]",
    "movaps xmm4, [r11 + {xmm} + 64]",
    "movaps xmm5, [r11 + {xmm} + 80]",
    "movaps xmm6, [r11 + {xmm} + 96]",
    "movaps xmm7, [r11 + {xmm} + 112]",
    "movaps xmm8, [r11 + {xmm} + 128]",
    "movaps xmm9, [r11 + {xmm} + 144]",
    "movaps xmm10, [r11 + {xmm} + 160]",
    "movaps xmm11, [r11 + {xmm} + 176]",
    "movaps xmm12, [r11 + {xmm} + 192]",
    "movaps xmm13, [r11 + {xmm} + 208]",
    "movaps xmm14, [r11 + {xmm} + 224]",
    "movaps xmm15, [r11 + {xmm} + 240]",
    "mov rdi, [r11 + {args}]",
    "mov rsi, [r11 + {args} + 8]",
    "mov rdx, [r11 + {args} + 16]",
    "mov r10, [r11 + {args} + 24]",
    "mov r8, [r11 + {args} + 32]",
    "mov r9, [r11 + {args} + 40]",
    "mov rax, [r11 + {rax}]",
    "mov rcx, [r11 + {rcx}]",
    "mov rsp, [r11 + {rsp}]",
    "gate_freed:",
    "mov dword ptr [r11], 0",
    "gate_left:",
    "jmp rcx",
    // There are alternate stacks: the program may be on one. Then no signal must
    // come while it is not. To be gone through before `gate_inside`, for signals.
    ".globl gate_saved, gate_holding, gate_holds, gate_held",
    "6:",
    "gate_holding:",
    "mov rax, rsp",
    "shr rax, 12",
    "and eax, {bits} - 1",
    "bt dword ptr [rip + {pages}], eax",
    "jnc 7b",
    "mov [r11 + {rcx}], rcx",
    "mov [r11 + {args}], rdi",
    "mov [r11 + {args} + 8], rsi",
    "mov [r11 + {args} + 16], rdx",
    "mov [r11 + {args} + 24], r10",
    "mov [r11 + {args} + 40], r9",
    "gate_holds:",
    "mov r9, r11",
    "mov edi, 2",
    "lea rsi, [rip + gate_all]",
    "lea rdx, [r11 + {before}]",
    "mov r10d, 8",
    "mov eax, 14",
    "syscall",
    "gate_held:",
    "mov r11, r9",
    "mov rcx, [r11 + {rcx}]",
    "mov rdi, [r11 + {args}]",
    "mov rsi, [r11 + {args} + 8]",
    "mov rdx, [r11 + {args} + 16]",
    "mov r10, [r11 + {args} + 24]",
    "mov r9, [r11 + {args} + 40]",
    "mov dword ptr [r11 + {held}], 1",
    "jmp 7b",
    // The next slot, the first after the last.
    "4:",
    "mov dword ptr [rip + {alone}], 0",
    "add r11, {slot_size}",
    "cmp r11, [rip + gate_pool_end]",
    "jb 2b",
    "pause",
    "mov r11, [rip + gate_first]",
    "jmp 2b",
    // A signal has come, or the thread is held: on the slot's stack still, never
    // to return here.
    "5:",
    "lea rsp, [r11 - 16]",
    "mov rdi, r11",
    "call {leave}",
    "mov rdi, [rsp]",
    "jmp gate_unmask",
    // A signal has come before the call was made.
    ".globl gate_hindered",
    "gate_hindered:",
    "mov r11, [rsp]",
    "mov qword ptr [r11 + {rax}], -512",
    "jmp gate_check",
    // A fault on the slot's stack: the program's pointer was bad.
    ".globl gate_fault",
    "gate_fault:",
    "mov r11, [rsp]",
    "mov qword ptr [r11 + {rax}], -14",
    "mov rbx, [r11 + {kept}]",
    "mov rbp, [r11 + {kept} + 8]",
    "mov r12, [r11 + {kept} + 16]",
    "mov r13, [r11 + {kept} + 24]",
    "mov r14, [r11 + {kept} + 32]",
    "mov r15, [r11 + {kept} + 40]",
    "jmp gate_check",
    // Reads a byte (peek.rs). A fault in the first instruction has us go on at the label.
    ".globl gate_peek, gate_unreadable",
    "gate_peek:",
    "movzx eax, byte ptr [rdi]",
    "mov eax, 1",
    "ret",
    "gate_unreadable:",
    "xor eax, eax",
    "ret",
    // The last step of leaving with a signal: the program's stack, and a mask
    // that lets the signal come. It comes at gate_unmasked.
    ".globl gate_unmasked",
    "gate_unmask:",
    "movaps xmm0, [rdi + {xmm}]",
    "movaps xmm1, [rdi + {xmm} + 16]",
    "movaps xmm2, [rdi + {xmm} + 32]",
    "movaps xmm3, [rdi + {xmm} + 48]",
    "movaps xmm4, [rdi + {xmm} + 64]",
    "movaps xmm5, [rdi + {xmm} + 80]",
    "movaps xmm6, [rdi + {xmm} + 96]",
    "movaps xmm7, [rdi + {xmm} + 112]",
    "movaps xmm8, [rdi + {xmm} + 128]",
    "movaps xmm9, [rdi + {xmm} + 144]",
    "movaps xmm10, [rdi + {xmm} + 160]",
    "movaps xmm11, [rdi + {xmm} + 176]",
    "movaps xmm12, [rdi + {xmm} + 192]",
    "movaps xmm13, [rdi + {xmm} + 208]",
    "movaps xmm14, [rdi + {xmm} + 224]",
    "movaps xmm15, [rdi + {xmm} + 240]",
    "mov r9, rdi",
    "lea rsi, [rdi + {mask}]",
    "mov rsp, [rdi + {rsp}]",
    "mov edi, 2",
    "xor edx, edx",
    "mov r10d, 8",
    "mov eax, 14",
    "syscall",
    "gate_unmasked:",
    // None came: another thread has taken it.
    "mov r11, r9",
    "jmp gate_check",
    // gate_waiting(nr, args): a call that may wait, unless a signal has come.
    // One that comes from the look at the slot to the call itself goes to
    // gate_interrupted.
    ".globl gate_waiting, gate_look, gate_waits, gate_interrupted",
    "gate_waiting:",
    "mov rax, rdi",
    "mov rcx, rsi",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    "mov r11, rsp",
    "or r11, {slot_size} - 1",
    "sub r11, {slot} - 1",
    "gate_look:",
    "cmp dword ptr [r11 + {pending}], 0",
    "jne gate_interrupted",
    "gate_waits:",
    "syscall",
    "ret",
    "gate_interrupted:",
    "mov rax, -512",
    "ret",
    // gate_ask(nr, args): asks the program's filters about a call.
    ".globl gate_ask, gate_asked",
    "gate_ask:",
    "mov rax, rdi",
    "mov rcx, rsi",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    "syscall",
    "gate_asked:",
    "ret",
    // A call that the program is to make itself, from here: its stack holds
    // what is to be put back (`Native`).
    ".globl gate_native",
    "gate_native:",
    "syscall",
    "mov rcx, [rsp]",
    "mov rdi, [rsp + 8]",
    "mov r10, [rsp + 16]",
    "mov r8, [rsp + 24]",
    "mov r9, [rsp + 32]",
    "mov rsp, [rsp + 40]",
    "jmp rcx",
    // From a signal handler back to what was interrupted.
    ".globl gate_restorer, gate_restored",
    "gate_restorer:",
    "mov rax, 15",
    "syscall",
    "gate_restored:",
    "ud2",
    ".pushsection .rodata",
    ".balign 8",
    "gate_first: .quad {first}",
    "gate_pool_end: .quad {end}",
    "gate_all: .quad -1",
    ".popsection",
    first = const FIRST,
    end = const BASE,
    slot = const size_of::<Slot>(),
    last = const SLOTS - 1,
    slot_size = const SLOT_SIZE,
    slot_bits = const SLOT_SIZE.trailing_zeros(),
    pending = const offset_of!(Slot, pending),
    held = const offset_of!(Slot, held),
    before = const offset_of!(Slot, before),
    bits = const crate::alternate::BITS,
    any = sym crate::alternate::ANY,
    pages = sym crate::alternate::PAGES,
    rsp = const offset_of!(Slot, sp),
    rax = const offset_of!(Slot, result),
    rcx = const offset_of!(Slot, back),
    args = const offset_of!(Slot, args),
    kept = const offset_of!(Slot, kept),
    xmm = const offset_of!(Slot, vectors),
    mask = const offset_of!(Slot, mask),
    alone = sym crate::place::ALONE,
    answer = sym crate::calls::answer,
    leave = sym crate::deliver::leave,
);

unsafe extern "C" {
    /// Where a call begins its way.
    pub fn gate_entry();
    /// A slot is claimed; the stack is the program's.
    pub fn gate_claimed();
    /// The program's rax is in the slot.
    pub fn gate_saved();
    /// Its other registers are about to be, for a system call (alternate.rs).
    pub fn gate_holding();
    /// They are.
    pub fn gate_holds();
    /// The system call has been made: no signal comes.
    pub fn gate_held();
    /// The stack is the slot's.
    pub fn gate_inside();
    /// All that is left is to restore.
    pub fn gate_check();
    /// All is restored; the slot is still claimed.
    pub fn gate_freed();
    /// The slot is free.
    pub fn gate_left();
    /// A call is about to be made as it was asked: whether a signal has come is looked at here.
    pub fn gate_passing();
    /// The call itself.
    pub fn gate_passes();
    /// Ends the call that has not been made.
    pub fn gate_hindered();
    /// Ends a call with `EFAULT`.
    pub fn gate_fault();
    /// Reads the byte at an address: 1, or 0 where that is a fault.
    pub fn gate_peek(address: usize) -> usize;
    /// Where it goes on then.
    pub fn gate_unreadable();
    /// Where a signal comes that was kept until its call was done.
    pub fn gate_unmasked();
    /// rt_sigreturn(2)
    pub fn gate_restorer();
    /// Where nothing comes but the signal for a bad frame.
    pub fn gate_restored();
    /// Makes a call that may wait (elements::kernel::waiting_syscall). Only on a slot.
    pub fn gate_waiting(nr: usize, args: *const [usize; 6]) -> usize;
    /// Whether a signal has come is looked at here.
    pub fn gate_look();
    /// The call itself.
    pub fn gate_waits();
    /// Ends the call that has not been made.
    pub fn gate_interrupted();
    /// Makes a call that our filter answers, unless the program's do (seccomp.rs).
    pub fn gate_ask(nr: usize, args: *const [usize; 6]) -> usize;
    /// Where such a call comes from, as filters see it.
    pub fn gate_asked();
    /// The call that the program makes from here.
    pub fn gate_native();
}

/// The address of one of these.
pub fn address(label: unsafe extern "C" fn()) -> u64 {
    label as usize as u64
}

/// The address of the instruction of [`gate_peek`] that may be a fault.
pub fn peeks() -> u64 {
    gate_peek as *const () as u64
}
