//! What stands before a `syscall`, so that a jump may take its place: known by its bytes alone.
//!
//! A jump has five bytes. The first instruction that it covers has as many at least, so that no thread is
//! ever between two that are gone; one behind it that is still whole is done by the stub as well. The number of the call must be
//! there, loaded by `mov eax`: then the bytes are code, and this site makes this call and no other.
//! The patterns are those of glibc 2.31 to 2.36 and musl.

use elements::user;

use super::site::SYSCALL;

/// Bytes before the end of a call's instruction that are looked at.
const WINDOW: usize = 18;
/// The most bytes of what takes the place of what was there.
const MOST: usize = 10;

/// What a jump replaces.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// Its bytes.
    len: u8,
    /// What does the same elsewhere, and its bytes.
    does: [u8; MOST],
    does_len: u8,
}

impl Replaced {
    /// Instructions that mean the same wherever they are.
    fn as_it_is(code: &[u8]) -> Replaced {
        let mut does = [0; MOST];
        for (to, from) in does.iter_mut().zip(code) {
            *to = *from;
        }
        Replaced { len: code.len() as u8, does, does_len: code.len() as u8 }
    }

    /// Where it is, before a call that ends at `back`.
    pub fn place(&self, back: u64) -> u64 {
        back - SYSCALL.len() as u64 - u64::from(self.len)
    }

    /// What does the same elsewhere.
    pub fn does(&self) -> &[u8] {
        self.does.get(..usize::from(self.does_len)).unwrap_or(&[])
    }
}

/// What comes before a call of this number that ends at `back`, if it is known.
pub fn known(back: u64, number: u32) -> Option<Replaced> {
    let [a, b, c, d] = number.to_le_bytes();
    let code = code_before::<WINDOW>(back)?;
    let code = code.strip_suffix(&SYSCALL)?;
    let loads = |code: &[u8]| code.ends_with(&[0xb8, a, b, c, d]);
    if loads(code) {
        return Some(Replaced::as_it_is(last(code, 5)));
    }
    match *code {
        // mov rsi, rdi; mov edi, AT_FDCWD
        [ref before @ .., 0x48, 0x89, 0xfe, 0xbf, 0x9c, 0xff, 0xff, 0xff] if loads(before) => {
            Some(Replaced::as_it_is(last(code, 5)))
        }
        // mov rdx, [rsp + _]; mov rsi, [rsp + _]
        [ref before @ .., 0x48, 0x8b, 0x54, 0x24, _, 0x48, 0x8b, 0x74, 0x24, _] if loads(before) => {
            Some(Replaced::as_it_is(last(code, 5)))
        }
        // mov rsi, [rsp + _]; mov edi, [rsp + _]
        [ref before @ .., 0x48, 0x8b, 0x74, 0x24, _, 0x8b, 0x7c, 0x24, _] if loads(before) => {
            Some(Replaced::as_it_is(last(code, 9)))
        }
        // mov edi, [rsp + _]
        [ref before @ .., 0x8b, 0x7c, 0x24, _] if loads(before) => Some(Replaced::as_it_is(last(code, 9))),
        // lea rsi, [rbx + _]
        [ref before @ .., 0x48, 0x8d, 0xb3, _, _, _, _] if loads(before) => {
            Some(Replaced::as_it_is(last(code, 7)))
        }
        // lea rsi, [rip + _]
        [ref before @ .., 0x48, 0x8d, 0x35, a, b, c, d] if loads(before) => {
            let next = back - SYSCALL.len() as u64;
            let to = next.wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d])));
            Some(load_address(to))
        }
        _ => None,
    }
}

/// `movabs rsi, to`, in the place of seven bytes.
fn load_address(to: u64) -> Replaced {
    let [a, b, c, d, e, f, g, h] = to.to_le_bytes();
    Replaced { len: 7, does: [0x48, 0xbe, a, b, c, d, e, f, g, h], does_len: 10 }
}

/// glibc's syscall(3) up to its call, and the `cmp` behind that.
const SYSCALL_3: [u8; 33] = *b"\x48\x89\xf8\x48\x89\xf7\x48\x89\xd6\x48\x89\xca\x4d\x89\xc2\x4d\x89\xc8\
    \x4c\x8b\x4c\x24\x08\x0f\x05\x48\x3d\x01\xf0\xff\xff\x73\x01";
/// The bytes behind the call.
const BEHIND: u64 = 8;

/// What comes before the call of syscall(3), if a call that ends at `back` is that one: it may be any.
pub fn is_syscall_3(back: u64) -> Option<Replaced> {
    let code = code_before::<{ SYSCALL_3.len() }>(back.wrapping_add(BEHIND))?;
    // mov r9, [rsp + 8]
    (code == SYSCALL_3).then(|| Replaced::as_it_is(&[0x4c, 0x8b, 0x4c, 0x24, 0x08]))
}

fn code_before<const LEN: usize>(end: u64) -> Option<[u8; LEN]> {
    let start = end.wrapping_sub(LEN as u64);
    if !user::is_readable(start as *const u8, LEN) {
        return None;
    }
    // SAFETY: found readable.
    Some(unsafe { (start as *const [u8; LEN]).read_unaligned() })
}

fn last(code: &[u8], len: usize) -> &[u8] {
    code.get(code.len().saturating_sub(len)..).unwrap_or(&[])
}
