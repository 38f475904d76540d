//! The variadic spellings of exec(3), which a Rust function cannot have.
//!
//! The first arguments of a call are in registers and the others on the stack,
//! above the return address. A few instructions lay the registers down where
//! the others go on, which makes the array that execv(3) wants; nothing is
//! copied, and there is no limit to the arguments.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int};

use super::exec::{execv, execve, execvp};

type Strings = *const *const c_char;

/// Spills the arguments of a call after the first into one array, which the
/// ones on the stack continue, and calls the function with it.
macro_rules! spilled {
    ($function:path) => {
        naked_asm!(
            // The return address stands between the two: take it away first.
            "pop rax",
            "push r9",
            "push r8",
            "push rcx",
            "push rdx",
            "push rsi",
            "mov rsi, rsp",
            "push rax",
            "call {function}",
            "pop rcx",
            "add rsp, 40",
            "push rcx",
            "ret",
            function = sym $function,
        )
    };
}

/// execl(3)
///
/// # Safety
///
/// As libc's: strings, and a null pointer after the last.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execl(path: *const c_char, argument: *const c_char) -> c_int {
    spilled!(by_path)
}

/// execlp(3)
///
/// # Safety
///
/// As libc's: strings, and a null pointer after the last.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execlp(file: *const c_char, argument: *const c_char) -> c_int {
    spilled!(by_search)
}

/// execle(3)
///
/// # Safety
///
/// As libc's: strings, a null pointer after the last, and an environment.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execle(path: *const c_char, argument: *const c_char) -> c_int {
    spilled!(with_environment)
}

unsafe extern "C" fn by_path(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execv(path, argv) }
}

unsafe extern "C" fn by_search(file: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execvp(file, argv) }
}

unsafe extern "C" fn with_environment(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's contract: the environment follows the null pointer.
    unsafe {
        let mut end = argv;
        while !(*end).is_null() {
            end = end.add(1);
        }
        execve(path, argv, (*end.add(1)).cast())
    }
}
