//! Functions that a Rust function cannot be: variadic ones, and those whose
//! caller must stay their caller.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};

use elements::Errno;
use elements::files::{Scratch, VFORKS, Want};
use elements::kernel::AT_FDCWD;

use super::exec::{execv, execve, execvp};
use crate::answer::returned;
use crate::real;
use crate::start::instance;

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

/// vfork(2). The child shares our memory and has a working directory and
/// descriptors of its own, so what is known of those is not to be used or
/// changed until it has gone: the parent counts it in and out. The return
/// address is kept in a register, since the child writes over the stack.
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

extern "C" fn failed(errno: c_int) -> c_int {
    returned(Err(Errno(errno))) as c_int
}

/// dlopen(3). A name without a slash is looked for by its caller's search
/// path, so the next definition is entered as if our caller had called it.
///
/// # Safety
///
/// As libc's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {target}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        target = sym dlopen_target,
    )
}

/// Where a dlopen goes on.
extern "C" fn dlopen_target(file: *const c_char) -> usize {
    let by_path = || {
        // SAFETY: found readable by `is_touched`.
        let name = unsafe { core::ffi::CStr::from_ptr(file) }.to_bytes();
        name.contains(&b'/')
    };
    if !file.is_null() && instance().is_touched(AT_FDCWD, file.cast()) && by_path() {
        return dlopen_path as *const () as usize;
    }
    real!(dlopen as fn(*const c_char, c_int) -> *mut c_void)
        .map_or(dlopen_missing as *const () as usize, |next| next as usize)
}

unsafe extern "C" fn dlopen_path(file: *const c_char, mode: c_int) -> *mut c_void {
    let mut scratch = Scratch::new();
    // What cannot be found is for libc to say: it has dlerror(3) for that.
    let host = instance().host_path(AT_FDCWD, file.cast(), Want::LOOK, &mut scratch);
    let path = match host {
        Ok(Some(host)) => host.cast(),
        Ok(None) => file,
        Err(_) => c"/nonexistent".as_ptr(),
    };
    match real!(dlopen as fn(*const c_char, c_int) -> *mut c_void) {
        // SAFETY: a path, and the program's mode.
        Some(next) => unsafe { next(path, mode) },
        None => core::ptr::null_mut(),
    }
}

extern "C" fn dlopen_missing(_: *const c_char, _: c_int) -> *mut c_void {
    core::ptr::null_mut()
}
