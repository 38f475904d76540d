//! The registers of a thread that a signal has interrupted, as its handler finds them.

use crate::arch::CALL_LEN;
use crate::arch::entry::{address, gate_entry, gate_holds, gate_saved};
use crate::place::Slot;

/// The part of a `ucontext_t` that we look at.
#[repr(C)]
pub struct Context {
    flags: u64,
    link: u64,
    stack: [u64; 3],
    /// Registers in the kernel's order, see `struct sigcontext`.
    r8_to_r15: [u64; 8],
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The instruction to go on with.
    pub ip: u64,
    eflags: u64,
    rest: [u64; 14],
    /// The mask that the thread had.
    pub mask: u64,
}

/// Where `ip` is, for assembly.
pub(super) const IP: usize = core::mem::offset_of!(Context, ip);

/// Where `mask` is, for code that is written.
pub(super) const MASK: usize = core::mem::offset_of!(Context, mask);

const _: () = assert!(IP == 168 && MASK == 296);

impl Context {
    /// Whether the stack that this lies on has as much room below: only an alternate one may not, see sigaltstack(2).
    pub fn has_below(&self, room: usize) -> bool {
        let [start, _, size] = self.stack;
        let below = (core::ptr::from_ref(self) as u64).wrapping_sub(start);
        below >= size || below >= room as u64
    }

    /// The number of the call that has been stopped.
    pub fn number(&self) -> u64 {
        self.rax
    }

    /// What the call that has been stopped, or has just returned, is to answer.
    pub fn set_result(&mut self, result: i64) {
        self.rax = result as u64;
    }

    /// The result of a call that has just returned.
    pub fn result(&self) -> i64 {
        self.rax as i64
    }

    /// The context that a handler gets as its third argument: of one that is about to run.
    pub fn third_argument(&self) -> u64 {
        self.rdx
    }

    /// Goes on behind the call that is about to be made, as if it had answered.
    pub fn skip_call(&mut self, result: i64) {
        self.ip += CALL_LEN;
        self.set_result(result);
    }

    /// Goes to the gate's entry instead of on, with the registers of a call that has been stopped.
    pub fn go_to_entry(&mut self) {
        self.rcx = self.ip;
        self.ip = address(gate_entry);
    }

    /// The slot, from `gate_claimed` to `gate_held` and from `gate_check` to `gate_freed`.
    pub fn slot(&self) -> *mut Slot {
        let [_, _, _, r11, ..] = self.r8_to_r15;
        r11 as *mut Slot
    }

    /// The slot at `gate_unmasked`.
    pub fn slot_at_unmasked(&self) -> *mut Slot {
        let [_, r9, ..] = self.r8_to_r15;
        r9 as *mut Slot
    }

    /// Where the program goes on, at `gate_left`.
    pub fn back(&self) -> u64 {
        self.rcx
    }

    /// Back to the entry, with the registers that the thread had there. `holding`: it was
    /// about to make the call of `gate_holding`.
    pub fn begin_anew(&mut self, slot: &Slot, holding: bool) {
        if holding || self.ip >= address(gate_saved) {
            self.rax = slot.result;
        }
        if holding && self.ip >= address(gate_holds) {
            let [rdi, rsi, rdx, r10, _, r9] = slot.args.map(|word| word as u64);
            (self.rdi, self.rsi, self.rdx, self.rcx) = (rdi, rsi, rdx, slot.back);
            self.r8_to_r15[1] = r9;
            self.r8_to_r15[2] = r10;
        }
        self.ip = address(gate_entry);
    }

    /// To the program, with its own registers, but for those of vectors.
    pub fn restore(&mut self, slot: &Slot) {
        let [rdi, rsi, rdx, r10, r8, r9] = slot.args.map(|word| word as u64);
        (self.rdi, self.rsi, self.rdx) = (rdi, rsi, rdx);
        self.r8_to_r15[0] = r8;
        self.r8_to_r15[1] = r9;
        self.r8_to_r15[2] = r10;
        self.rax = slot.result;
        self.rcx = slot.back;
        self.ip = slot.back;
        self.sp = slot.sp;
    }
}
