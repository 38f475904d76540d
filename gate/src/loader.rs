//! From the start of a process to the program's first instruction: what the
//! kernel does in execve(2), done here for the program that was asked for.

mod image;
mod stack;

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use elements::Errno;
use elements::files::{MAX_PATH, Text};
use elements::instance::{self, AttachError};
use elements::kernel::{self, AT_FDCWD, OpenHow, RESOLVE_NO_SYMLINKS};
use elements::process::{self, elf, gated};

use crate::arch::{gate_begin, gate_jump};
use crate::place::{POOL, SLOT_SIZE, SLOTS, last_slot};
use crate::{die, filter, ptrace, seccomp, signals, trap, vdso};
use image::Image;
use stack::Stack;

/// Where the gate's host path is.
#[unsafe(link_section = ".data.start")]
static OWN_PATH: AtomicUsize = AtomicUsize::new(0);

/// The gate's host path.
pub fn own_path() -> &'static CStr {
    match OWN_PATH.load(Ordering::Relaxed) {
        0 => c"",
        // SAFETY: a string that the kernel has put above the stack; it stays.
        address => unsafe { CStr::from_ptr(address as *const core::ffi::c_char) },
    }
}

/// How much of a slot's stack the start of a program takes.
const START_STACK: usize = 4 * 4096;

/// What the gate is told by its own arguments (elements::process::gated).
struct Asked {
    /// Its bits (`gated::FIRST` and others).
    note: u8,
    /// A descriptor that has been opened for us.
    opened: Option<i32>,
    /// Where its interpreter is on the host; empty where that is to be found out.
    interpreter: &'static CStr,
    /// The program's host path.
    program: &'static CStr,
    /// The name that it was asked for by.
    name: &'static CStr,
}

/// A process that is being started.
struct Started {
    stack: Stack,
    asked: Asked,
}

pub extern "C" fn start(stack: *mut usize) -> ! {
    // SAFETY: the kernel has laid the stack out.
    let stack = unsafe { Stack::new(stack) };
    let Some(asked) = asked(&stack) else {
        die(&[b"this is a part of `launcher`, which starts it by itself"]);
    };
    map_slots();
    let slot = last_slot();
    slot.prepare_stack(START_STACK);
    let mut started = Started { stack, asked };
    // SAFETY: no call is under way, so nobody is on that slot.
    unsafe { gate_begin(slot.stack(), begin, (&raw mut started).cast()) }
}

/// Goes on on a slot's stack: the pages that paths and a walk take are those that the program's calls take, and its own
/// stack is as the kernel has made it.
extern "C" fn begin(started: *mut c_void) -> ! {
    // SAFETY: what `start` has given.
    let Started { stack, asked } = unsafe { &mut *started.cast::<Started>() };
    attach(stack);
    process::set_owner(kernel::getpid());
    let mut action = trap::action();
    let both = &raw mut action;
    // SAFETY: the gate's own handler; the kernel reads it before it writes what was there.
    if unsafe { trap::rt_sigaction(libc::SIGSYS as usize, both, both) }.is_err() {
        die(&[b"cannot handle SIGSYS"]);
    }
    signals::begin(asked.note & gated::IGNORED != 0 || action.handler == libc::SIG_IGN);
    seccomp::begin(asked.note & gated::FILTERED != 0);
    if asked.note & gated::FIRST != 0 && filter::install().is_err() {
        die(&[b"the kernel takes no seccomp filter; set coverage.door = \"shim\""]);
    }
    let entry = load(stack, asked);
    // From here on calls come on slots.
    kernel::set_waiting(waiting);
    stack.take_own_arguments(gated::OWN_ARGUMENTS);
    stack.tell_kernel();
    if asked.note & gated::TRAP_BLOCKED == 0 {
        gated::release_trap();
    }
    // SAFETY: the program is mapped, and its stack is as the kernel makes one.
    unsafe { gate_jump(stack.pointer(), entry) }
}

/// Makes a call that may wait, on a slot.
pub extern "C" fn waiting(nr: usize, args: &[usize; 6]) -> usize {
    ptrace::before(nr as i64);
    // SAFETY: the caller of `waiting_syscall` answers for the arguments, and is on a slot.
    unsafe { crate::arch::entry::gate_waiting(nr, args) }
}

fn asked(stack: &Stack) -> Option<Asked> {
    let told = stack.argument(1)?.to_bytes_with_nul().strip_prefix(gated::MARK)?;
    let (note, told) = told.split_first()?;
    let (number, interpreter) = told.split_at(told.iter().position(|byte| matches!(byte, b'/' | 0))?);
    let interpreter = CStr::from_bytes_with_nul(interpreter).ok()?;
    let opened = number.iter().fold(None, |sum: Option<i32>, digit| {
        Some(sum.unwrap_or(0).wrapping_mul(10).wrapping_add(i32::from(digit.wrapping_sub(b'0'))))
    });
    let (program, name) = (stack.argument(2)?, stack.argument(3)?);
    Some(Asked { note: note & !gated::NOTE, opened, interpreter, program, name })
}

/// Attaches to the instance, in whose directory this program lies.
fn attach(stack: &Stack) {
    let path = stack.file_name();
    let path: &'static CStr = path.unwrap_or(c"");
    OWN_PATH.store(path.as_ptr() as usize, Ordering::Relaxed);
    let path = path.to_bytes();
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let dir = path.get(..end).unwrap_or(&[]);
    match instance::attach(dir) {
        Ok(()) => {}
        Err(AttachError::File(name, _)) => {
            die(&[b"the program is not started: cannot map ", dir, b"/", name.as_bytes()]);
        }
        Err(AttachError::Image(malformed)) => die(&[b"the view is damaged: ", malformed.0.as_bytes()]),
    }
}

fn map_slots() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    if image::map_fixed(POOL as u64, SLOTS * SLOT_SIZE, protection, flags, None).is_err() {
        die(&[b"the gate's place in memory is taken"]);
    }
}

/// Maps the program and its interpreter; gives where to begin.
fn load(stack: &mut Stack, asked: &Asked) -> u64 {
    let refuse = |what: &[u8]| -> ! { die(&[b"cannot start ", asked.name.to_bytes(), b": ", what]) };
    let Ok(file) =
        kernel::openat(AT_FDCWD, asked.program.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC, 0)
    else {
        refuse(b"it can no longer be opened")
    };
    let (program, interpreter) = Image::map(file, false).unwrap_or_else(|_| refuse(b"it cannot be mapped"));
    name_process(asked.name, file);
    kernel::close(file);
    if let Some(file) = asked.opened {
        kernel::close(file);
    }
    if program.executable_stack {
        stack.make_executable();
    }
    let mut entry = program.entry;
    let mut base = 0;
    if let Some(path) = interpreter {
        let file = open_known(asked.interpreter)
            .or_else(|| open_interpreter(path))
            .unwrap_or_else(|| refuse(b"its interpreter cannot be opened"));
        let (interpreter, _) =
            Image::map(file, true).unwrap_or_else(|_| refuse(b"its interpreter cannot be mapped"));
        kernel::close(file);
        entry = interpreter.entry;
        base = interpreter.base;
    }
    process::set_program(program.headers, asked.program);
    if vdso::is_needed() {
        stack.replace(libc::AT_SYSINFO_EHDR, vdso::put_in_front);
    }
    stack.set(libc::AT_PHDR, program.headers);
    stack.set(libc::AT_PHNUM, program.count as u64);
    stack.set(libc::AT_PHENT, elf::PROGRAM_HEADER as u64);
    stack.set(libc::AT_BASE, base);
    stack.set(libc::AT_ENTRY, program.entry);
    stack.set(libc::AT_EXECFN, asked.name.as_ptr() as u64);
    if let Some(instance) = instance::attached().filter(|instance| instance.plays()) {
        let own = instance.credentials();
        stack.set(libc::AT_UID, own.user.real.into());
        stack.set(libc::AT_EUID, own.user.effective.into());
        stack.set(libc::AT_GID, own.group.real.into());
        stack.set(libc::AT_EGID, own.group.effective.into());
        stack.set(libc::AT_SECURE, own.is_secure().into());
    }
    stack.set_program(&program);
    entry
}

/// Opens an interpreter where the process that has started us has found it.
fn open_known(host: &CStr) -> Option<i32> {
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
    let how = OpenHow { flags, mode: 0, resolve: RESOLVE_NO_SYMLINKS };
    if host.is_empty() { None } else { kernel::openat2(AT_FDCWD, host.as_ptr().cast(), &how).ok() }
}

/// Opens an interpreter by its app path.
fn open_interpreter(path: &CStr) -> Option<i32> {
    let instance = instance::attached()?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    match instance.openat(AT_FDCWD, path.as_ptr().cast(), flags, 0) {
        elements::Answer::Done(done) => done.ok().map(|fd| fd as i32),
        elements::Answer::Pass => kernel::openat(AT_FDCWD, path.as_ptr().cast(), flags, 0).ok(),
    }
}

/// What ps(1) shows: the last component of the name, or of the file's own where it was
/// named by its descriptor, as the kernel does since Linux 6.14.
fn name_process(name: &CStr, file: i32) {
    let bytes = name.to_bytes_with_nul();
    if bytes.strip_prefix(b"/dev/fd/").is_some_and(|number| !number.contains(&b'/')) {
        let _ = name_by_file(file);
        return;
    }
    set_name(bytes);
}

#[inline(never)]
fn name_by_file(file: i32) -> Result<(), Errno> {
    let mut link = Text::<32>::new();
    link.push(b"/proc/self/fd/")?;
    link.push_decimal(file.unsigned_abs())?;
    let mut path = Text::<MAX_PATH>::new();
    path.read(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room))?;
    if let Some(name) = path.bytes().strip_suffix(b" (deleted)") {
        path.truncate(name.len());
    }
    path.push(b"\0")?;
    set_name(path.bytes());
    Ok(())
}

/// Takes a path that ends with a NUL.
fn set_name(path: &[u8]) {
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let name = path.get(start..).map_or(0, |name| name.as_ptr() as usize);
    // SAFETY: the kernel reads a string.
    let _ = unsafe { kernel::syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name, 0, 0, 0, 0]) };
}
