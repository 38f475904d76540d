//! Call sites: what stands around a `syscall`, and what takes its place.
//!
//! Two ways lead from a site to a stub and on to the gate. Where what comes before the `syscall` is known
//! ([`super::before`]), a jump of five bytes takes its place, and the stub
//! does what it did. The `syscall` stays. Where one function makes all calls, as in programs
//! of Go, there is no room for that: a short jump takes the place of the `syscall` itself, and leads to a
//! long one in the padding behind the function. Such a function is known by all its bytes, as syscall(3) is.
//!
//! What a handler returns to is a site of its own: it is known before it has trapped, by what rt_sigaction(2) is given.

use super::before::{self, Replaced};
use super::context::MASK;
use super::entry::{address, gate_entry, gate_restorer};
use crate::calls::{ALWAYS, ALWAYS_BITS};
use crate::peek;
use crate::signals::{SIGSYS_BIT, STAND_IN};
use elements::user;

/// The bytes from where a site is counted to the end of the call's.
pub const LEN: u64 = 7;
/// How far a jump reaches, with room for the ends.
pub const REACH: u64 = (1 << 31) - (1 << 20);
/// The most bytes of a stub.
pub const STUB_LEN: usize = 64;

/// What the jump leads to.
pub type Stub = [u8; STUB_LEN];

pub const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// A site that may be rewritten.
#[derive(Clone, Copy)]
pub enum Site {
    /// By a jump in the place of what comes before its call, which is always the same one.
    Instruction(Replaced),
    /// Likewise, where it is any call.
    Any(Replaced),
    /// By a short jump in the place of its call.
    Function,
    /// By a jump in the place of the instruction before rt_sigreturn(2).
    Return,
}

/// `mov rax, 15` and `syscall`, which debuggers know a signal's frame by.
const RETURN: [u8; 9] = *b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05";
const RETURN_LEN: u64 = RETURN.len() as u64;

/// Where the call of a handler's return ends, if it is one that can be rewritten.
pub fn returns(restorer: u64) -> Option<u64> {
    if !user::is_readable(restorer as *const u8, RETURN.len()) {
        return None;
    }
    // SAFETY: found readable.
    let code: [u8; RETURN.len()] = unsafe { (restorer as *const [u8; RETURN.len()]).read_unaligned() };
    (code == RETURN).then_some(restorer + RETURN_LEN)
}

/// What kind of site a call has come from. `back` is where the program goes on.
pub fn known(back: u64, number: u32) -> Option<Site> {
    let instruction = before::known(back, number).map(Site::Instruction);
    let any = || before::is_syscall_3(back).map(Site::Any);
    let function = || is_function(back).then_some(Site::Function);
    let is_return = || number == libc::SYS_rt_sigreturn as u32 && returns(back - RETURN_LEN).is_some();
    instruction.or_else(any).or_else(function).or_else(|| is_return().then_some(Site::Return))
}

impl Site {
    /// The first and the last byte that are written to.
    pub fn range(self, back: u64) -> (u64, u64) {
        match self {
            Site::Instruction(replaced) | Site::Any(replaced) => {
                let first = replaced.place(back);
                (first, first + 4)
            }
            Site::Function => (back - 2, back + PADDING + 4),
            Site::Return => (back - RETURN_LEN, back - RETURN_LEN + 4),
        }
    }

    /// Whether its first two bytes can be written at once.
    pub fn is_whole(self, back: u64) -> bool {
        self.range(back).0 % 64 != 63
    }

    /// The stub, to lie at an address.
    pub fn stub(self, back: u64, stub: u64) -> Stub {
        match self {
            Site::Instruction(replaced) => after_instruction(back, replaced),
            Site::Any(replaced) => for_any(back, stub, replaced.does()),
            Site::Function => for_any(back, stub, &[]),
            Site::Return => for_return(),
        }
    }

    /// Has the site jump to its stub. The page is writable.
    pub fn rewrite(self, back: u64, stub: u64) {
        match self {
            Site::Instruction(replaced) | Site::Any(replaced) => write_jump(replaced.place(back), stub),
            Site::Return => write_jump(back - RETURN_LEN, stub),
            Site::Function => {
                let padding = back + PADDING;
                let [a, b, c, d] = (stub.wrapping_sub(padding + 5) as u32).to_le_bytes();
                // SAFETY: padding, which nobody runs yet; and the two bytes of a `syscall`
                // within a cache line, so that threads there see the one or the other.
                unsafe {
                    (padding as *mut [u8; 5]).write_volatile([0xe9, a, b, c, d]);
                    core::arch::asm!(
                        "mfence",
                        "mov word ptr [{call}], {jump:x}",
                        call = in(reg) back - 2,
                        jump = in(reg) u16::from_le_bytes([0xeb, PADDING as u8]),
                        options(nostack),
                    );
                }
            }
        }
    }
}

/// Has the kernel make a page that may be written to the process's own, in one fault: it is going to be read, and then written.
/// The byte stays as it is.
pub fn own_page(address: u64) {
    // SAFETY: what the caller has just mapped for that, within its file. An atomic that changes nothing would be compiled to a read.
    unsafe { core::arch::asm!("lock or byte ptr [{}], 0", in(reg) address, options(nostack)) };
}

/// Where the program makes the call by itself that it has come from.
pub fn by_itself(back: u64) -> u64 {
    let call = back - 2;
    // SAFETY: code that the thread has just run.
    if unsafe { (call as *const [u8; 2]).read_unaligned() } == SYSCALL {
        return call;
    }
    let padding = back + PADDING;
    // SAFETY: only such a site has no `syscall`, and its jump is in the padding.
    let [_, a, b, c, d] = unsafe { (padding as *const [u8; 5]).read_unaligned() };
    let stub = (padding + 5).wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d])));
    stub + CALL_IN_STUB as u64
}

/// Go's `Syscall6` (internal/runtime/syscall): its first bytes, its `syscall`, and the rest.
const FUNCTION: [u8; 54] = *b"\x49\x89\xf2\x48\x89\xfa\x48\x89\xce\x48\x89\xdf\x0f\x05\
    \x48\x3d\x01\xf0\xff\xff\x76\x15\x48\xf7\xd8\x48\x89\xc1\x48\xc7\xc0\xff\xff\xff\xff\
    \x48\xc7\xc3\x00\x00\x00\x00\xc3\x48\x89\xd3\x48\xc7\xc1\x00\x00\x00\x00\xc3";
/// Where its call ends.
const CALL_END: u64 = 14;
/// From there to the padding.
const PADDING: u64 = FUNCTION.len() as u64 - CALL_END;

fn is_function(back: u64) -> bool {
    const LEN: usize = FUNCTION.len() + 5;
    let start = back.wrapping_sub(CALL_END);
    if !user::is_readable(start as *const u8, LEN) {
        return false;
    }
    // SAFETY: found readable.
    let code: [u8; LEN] = unsafe { (start as *const [u8; LEN]).read_unaligned() };
    let (code, padding) = code.split_at(FUNCTION.len());
    code == FUNCTION && padding == [0xcc; 5]
}

/// Puts `jmp stub` over the five bytes at a site.
fn write_jump(site: u64, stub: u64) {
    let [a, b, c, d] = (stub.wrapping_sub(site + 5) as u32).to_le_bytes();
    // Both stores of two bytes stay within a cache line, so threads that run
    // there see all of one or nothing.
    let [jump, held] = [u16::from_le_bytes([0xe9, a]), u16::from_le_bytes([0xeb, 0xfe])];
    // SAFETY: the page is writable, and the bytes are those of the pattern.
    unsafe {
        core::arch::asm!(
            "mov word ptr [{site}], {held:x}",
            "mfence",
            "mov byte ptr [{site} + 2], {b}",
            "mov word ptr [{site} + 3], {cd:x}",
            "mfence",
            "mov word ptr [{site}], {jump:x}",
            site = in(reg) site,
            held = in(reg) held,
            jump = in(reg) jump,
            b = in(reg_byte) b,
            cd = in(reg) u16::from_le_bytes([c, d]),
            options(nostack),
        );
    }
}

/// Writes instructions one after the other.
struct Writer {
    code: Stub,
    len: usize,
}

impl Writer {
    fn new() -> Writer {
        Writer { code: [0xcc; STUB_LEN], len: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        for (to, byte) in self.code.iter_mut().skip(self.len).zip(bytes) {
            *to = *byte;
        }
        self.len += bytes.len();
    }

    /// movabs rcx, word
    fn load(&mut self, word: u64) {
        self.put(&[0x48, 0xb9]);
        self.put(&word.to_le_bytes());
    }

    /// Where the program goes on, and off to the gate: jmp [rip]
    fn enter(&mut self, back: u64) {
        self.load(back);
        self.put(&[0xff, 0x25, 0, 0, 0, 0]);
        self.put(&address(gate_entry).to_le_bytes());
    }
}

/// What was replaced did, and off to the gate.
fn after_instruction(back: u64, replaced: Replaced) -> Stub {
    let mut stub = Writer::new();
    stub.put(replaced.does());
    stub.enter(back);
    stub.code
}

/// Where a stub makes the call that leads to the gate with what always traps, where nothing comes before.
const CALL_IN_STUB: usize = 46;

/// What was replaced did, and to the gate with what always traps; the other calls are made here. The flags are
/// free: the function sets them next.
fn for_any(back: u64, stub: u64, does: &[u8]) -> Stub {
    let mut code = Writer::new();
    code.put(does);
    let call = CALL_IN_STUB + does.len();
    let skip = |len: usize| (call - len - 2) as u8;
    // cmp eax, ALWAYS_BITS; jae
    code.put(&[0x3d]);
    code.put(&(ALWAYS_BITS as u32).to_le_bytes());
    code.put(&[0x73, skip(code.len)]);
    code.load(ALWAYS.as_ptr() as u64);
    // bt [rcx], eax; jnc
    code.put(&[0x0f, 0xa3, 0x01]);
    code.put(&[0x73, skip(code.len)]);
    code.enter(back);
    debug_assert!(code.len == call);
    // syscall; jmp back
    code.put(&SYSCALL);
    code.put(&[0xe9]);
    let end = stub + code.len as u64 + 4;
    code.put(&(back.wrapping_sub(end) as u32).to_le_bytes());
    code.code
}

/// What [`crate::signals::sanitize_frame`] does to the frame at the stack pointer, and back to what was interrupted. All
/// registers are free: they come from the frame.
fn for_return() -> Stub {
    let mut code = Writer::new();
    let mask = (MASK as u32).to_le_bytes();
    // mov rax, [rsp + MASK]
    code.put(&[0x48, 0x8b, 0x84, 0x24]);
    code.put(&mask);
    // test eax, FAULTS; jz; movabs rcx, ENDS; mov byte ptr [rcx], 1: what `peek::note_mask` does
    code.put(&[0xa9]);
    code.put(&(peek::FAULTS as u32).to_le_bytes());
    code.put(&[0x74, 13]);
    code.load(peek::ENDS.as_ptr() as u64);
    code.put(&[0xc6, 0x01, 1]);
    // btr rax, SIGSYS; jnc; bts rax, STAND_IN; mov [rsp + MASK], rax
    code.put(&[0x48, 0x0f, 0xba, 0xf0, SIGSYS_BIT.trailing_zeros() as u8]);
    code.put(&[0x73, 13]);
    code.put(&[0x48, 0x0f, 0xba, 0xe8, STAND_IN.trailing_zeros() as u8]);
    code.put(&[0x48, 0x89, 0x84, 0x24]);
    code.put(&mask);
    // jmp [rip]
    code.put(&[0xff, 0x25, 0, 0, 0, 0]);
    code.put(&address(gate_restorer).to_le_bytes());
    debug_assert!(code.len <= STUB_LEN);
    code.code
}
