//! Starting a program through the gate.
//!
//! The kernel starts the gate, so all that execve(2) would say of the program
//! itself must be said before. The gate is told what to start by four
//! arguments of its own before the program's: they are four so that the stack
//! stays aligned when the gate takes them away. The first is the program's own first, since ps(1) and
//! tmux(1) call a process by it, and may look before the gate has taken anything away.

use core::ffi::CStr;

use super::elf;
use super::exec::{Pointers, Start, count};
use crate::files::{MAX_PATH, Text, Want};
use crate::kernel::{self, AT_FDCWD, syscall};
use crate::{Errno, Instance};

/// How many arguments the gate takes for itself.
pub const OWN_ARGUMENTS: usize = 4;
/// A bit of the note to the gate: no filter traps calls yet.
pub const FIRST: u8 = 1;
/// The program has installed a filter of its own.
pub const FILTERED: u8 = 2;
/// SIGTRAP was blocked before.
pub const TRAP_BLOCKED: u8 = 4;
/// It ignores SIGSYS.
pub const IGNORED: u8 = 8;
/// What the bits are added to, so that the note is a letter.
pub const NOTE: u8 = b'@';

/// What the second of them begins with; the note follows, and the number of a descriptor, and where the interpreter is, if
/// there are any to be told.
pub const MARK: &[u8] = b"launcher-gate";

/// Room for an interpreter's host path. One that is longer is found once more by the gate.
pub(super) type InterpreterPath = Text<256>;

/// execveat(2)'s flag to ask only (Linux 6.14).
const AT_EXECVE_CHECK: i32 = 0x10000;

/// The file that a path has led to.
pub(super) struct Found<'a> {
    pub dirfd: i32,
    pub path: *const u8,
    pub flags: i32,
    /// Its first bytes.
    pub head: &'a [u8],
}

impl Instance<'_> {
    /// Whether the gate can start a program: what execve(2) would say of it. Writes where its interpreter is.
    #[inline(never)]
    pub(super) fn may_start(
        &self,
        found: &Found<'_>,
        interpreter: &mut InterpreterPath,
    ) -> Result<(), Errno> {
        may_execute(found)?;
        self.may_load(found.head, interpreter)
    }

    /// Makes what starts a program through the gate, and gives it to `call`.
    pub(super) fn through_gate(
        &self,
        gate: (&CStr, u8),
        start: &Start,
        found: &Found<'_>,
        interpreter: &[u8],
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if !start.script.is_null() {
            return start_gate(gate, start, (found, interpreter), start.script, call);
        }
        // SAFETY: the path has been found readable.
        let is_whole = start.dirfd == AT_FDCWD || unsafe { *start.path } == b'/';
        if is_whole {
            return start_gate(gate, start, (found, interpreter), start.path, call);
        }
        self.by_descriptor(gate, start, (found, interpreter), call)
    }

    /// A program that is named by a descriptor. Apart, for the sake of the stack.
    #[inline(never)]
    fn by_descriptor(
        &self,
        gate: (&CStr, u8),
        start: &Start,
        program: (&Found<'_>, &[u8]),
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut spelled = Text::<{ 2 * MAX_PATH }>::new();
        let asked = self.script_name(start, &mut spelled)?;
        start_gate(gate, start, program, asked, call)
    }

    /// Whether the gate can map a program with these first bytes, and its interpreter is there.
    fn may_load(&self, head: &[u8], known: &mut InterpreterPath) -> Result<(), Errno> {
        let image = elf::Header::read(head)?;
        // Where the program headers lie further on, the gate reads them.
        let Some(interpreter) = image.interpreter(head) else { return Ok(()) };
        let end = (interpreter.as_ptr() as usize - head.as_ptr() as usize) + interpreter.len();
        if head.get(end) != Some(&0) {
            return Ok(());
        }
        let path = interpreter.as_ptr();
        let mut scratch = Text::new();
        let host = self.host_path(AT_FDCWD, path, Want::LOOK, &mut scratch)?;
        kernel::faccessat(AT_FDCWD, host.unwrap_or(path), libc::X_OK)?;
        if host.is_some() && known.push(scratch.bytes()).is_err() {
            known.truncate(0);
        }
        Ok(())
    }
}

/// Makes what starts the gate, and gives it to `call`. `asked` is the name that
/// the program was asked for by.
#[inline(never)]
fn start_gate(
    (gate, note): (&CStr, u8),
    start: &Start,
    (found, interpreter): (&Found<'_>, &[u8]),
    asked: *const u8,
    call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut host = Text::<64>::new();
    let opened = open_by_number(found)?;
    let program = match opened {
        None => found.path,
        Some(file) => {
            host.push(b"/proc/self/fd/")?;
            host.push_decimal(file.unsigned_abs())?;
            host.as_ptr()
        }
    };
    let trap = HeldTrap::new();
    let mut words = Text::<{ 32 + 256 }>::new();
    words.push(MARK)?;
    words.push(&[NOTE | note | trap.note()])?;
    if let Some(file) = opened {
        words.push_decimal(file.unsigned_abs())?;
    }
    words.push(interpreter)?;
    let given = count(start.argv)?;
    let mut made = Pointers::new(OWN_ARGUMENTS + given.max(1))?;
    // As the kernel does since Linux 5.18, where there is none.
    // SAFETY: the array has been counted.
    let name = if given == 0 { c"".as_ptr().cast() } else { unsafe { *start.argv } };
    made.push(name);
    made.push(words.as_ptr());
    made.push(program);
    made.push(asked);
    for index in 0..given {
        // SAFETY: the array has been counted.
        made.push(unsafe { *start.argv.add(index) });
    }
    if given == 0 {
        made.push(name);
    }
    let failed = call(&Start {
        dirfd: AT_FDCWD,
        path: gate.as_ptr().cast(),
        argv: made.finish(),
        envp: start.envp,
        flags: 0,
        script: core::ptr::null(),
        runs_as: start.runs_as,
    });
    drop(trap);
    if let Some(file) = opened {
        kernel::close(file);
    }
    failed
}

/// SIGTRAP, kept blocked over execve(2). A debugger is told of the new program by
/// that signal, and is to look at it when the gate has mapped it, not before:
/// the gate unblocks it then.
struct HeldTrap {
    before: u64,
}

const TRAP: u64 = 1 << (libc::SIGTRAP - 1);

impl HeldTrap {
    fn new() -> HeldTrap {
        let mut before = TRAP;
        let both = &raw mut before as usize;
        // SAFETY: the kernel reads the word before it writes it.
        let done =
            unsafe { syscall(libc::SYS_rt_sigprocmask, [libc::SIG_BLOCK as usize, both, both, 8, 0, 0]) };
        HeldTrap { before: if done.is_ok() { before } else { TRAP } }
    }

    fn note(&self) -> u8 {
        if self.before & TRAP == 0 { 0 } else { TRAP_BLOCKED }
    }
}

impl Drop for HeldTrap {
    fn drop(&mut self) {
        if self.note() == 0 {
            release_trap();
        }
    }
}

/// Lets SIGTRAP come again.
pub fn release_trap() {
    let unblock = libc::SIG_UNBLOCK as usize;
    // SAFETY: the kernel reads a word.
    let _ =
        unsafe { syscall(libc::SYS_rt_sigprocmask, [unblock, &raw const TRAP_MASK as usize, 0, 8, 0, 0]) };
}

static TRAP_MASK: u64 = TRAP;

/// How long, in seconds, a file has not changed that nobody is taken to be writing.
const SETTLED: i64 = 3600;

/// Whether the kernel would start the file.
///
/// To ask execveat(2) costs the kernel an address space, a tenth of a start. It
/// is asked where its answer may be `ETXTBSY`: of a file that has changed of
/// late. Of others, faccessat2(2) says the same.
fn may_execute(found: &Found<'_>) -> Result<(), Errno> {
    if found.flags == 0
        && let Ok(stat) = kernel::fstatat(found.dirfd, found.path, 0)
        && stat.st_mode & libc::S_IFMT == libc::S_IFREG
        && kernel::seconds().is_some_and(|now| now - stat.st_ctime > SETTLED)
    {
        let args = [found.dirfd as usize, found.path as usize, libc::X_OK as usize];
        let flags = libc::AT_EACCESS as usize;
        // SAFETY: the program's own path.
        let asked = unsafe { syscall(libc::SYS_faccessat2, [args[0], args[1], args[2], flags, 0, 0]) };
        if asked != Err(Errno::ENOSYS) {
            return asked.map(|_| ());
        }
    }
    ask_to_execute(found)
}

/// Asks the kernel whether it would start the file. It is asked with one empty
/// argument: copying the program's own would cost more than the answer, and
/// the kernel looks at them when the gate is started.
fn ask_to_execute(found: &Found<'_>) -> Result<(), Errno> {
    let flags = found.flags | AT_EXECVE_CHECK;
    let argv = [c"".as_ptr(), core::ptr::null()];
    let args = [found.dirfd as usize, found.path as usize, argv.as_ptr() as usize, 0, flags as usize, 0];
    // SAFETY: the program's own path; with this flag nothing is started.
    let asked = unsafe { syscall(libc::SYS_execveat, args) };
    match asked {
        Ok(_) => Ok(()),
        // A kernel that does not know the flag.
        Err(Errno::EINVAL | Errno::ENOSYS) if found.flags & libc::AT_EMPTY_PATH != 0 => Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS) => kernel::faccessat(found.dirfd, found.path, libc::X_OK),
        Err(errno) => Err(errno),
    }
}

/// A descriptor for a program that has no path of its own, to stay open over execve(2).
fn open_by_number(found: &Found<'_>) -> Result<Option<i32>, Errno> {
    if found.flags & libc::AT_EMPTY_PATH != 0 {
        return kernel::duplicate(found.dirfd).map(Some);
    }
    if found.dirfd == AT_FDCWD {
        return Ok(None);
    }
    kernel::openat(found.dirfd, found.path, libc::O_PATH, 0).map(Some)
}
