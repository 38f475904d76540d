//! Call sites: what may stand before a `syscall`, and what takes its place.

use super::entry::{address, gate_entry};
use elements::user;

/// The bytes from the instruction that is replaced to the end of the call's.
pub const LEN: u64 = 7;
/// How far a jump reaches, with room for the ends.
pub const REACH: u64 = (1 << 31) - (1 << 20);
/// The bytes of a stub.
pub const STUB_LEN: usize = 32;

/// The instruction that a jump replaces.
pub type Replaced = [u8; 5];
/// What the jump leads to.
pub type Stub = [u8; STUB_LEN];

/// The instruction before a `syscall`, where all bytes up to there are a pattern's.
pub fn last_instruction(site: u64, number: u32) -> Option<Replaced> {
    const AT_FDCWD: Replaced = [0xbf, 0x9c, 0xff, 0xff, 0xff];
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let [a, b, c, d] = number.to_le_bytes();
    let load = [0xb8, a, b, c, d];
    let before = site.wrapping_sub(8);
    if !user::is_readable(before as *const u8, 15) {
        return None;
    }
    // SAFETY: found readable.
    let code: [u8; 15] = unsafe { (before as *const [u8; 15]).read_unaligned() };
    let (before, rest) = code.split_at(8);
    let (last, call) = rest.split_at(5);
    if call != SYSCALL {
        None
    } else if last == load {
        Some(load)
    } else if last == AT_FDCWD && before.starts_with(&load) && before.ends_with(&[0x48, 0x89, 0xfe]) {
        Some(AT_FDCWD)
    } else {
        None
    }
}

/// Puts `jmp stub` over the five bytes at a site.
pub fn write_jump(site: u64, stub: u64) {
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

/// What a stub does: the replaced instruction, where the program goes on, and off to the gate.
pub fn stub(back: u64, replaced: Replaced) -> Stub {
    let mut code = [0xcc; STUB_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(to) = code.get_mut(at) {
                *to = *byte;
            }
            at += 1;
        }
    };
    // The replaced one; movabs rcx, back; jmp [rip]; the gate's entry
    put(&replaced);
    put(&[0x48, 0xb9]);
    put(&back.to_le_bytes());
    put(&[0xff, 0x25, 0, 0, 0, 0]);
    put(&(address(gate_entry)).to_le_bytes());
    code
}
