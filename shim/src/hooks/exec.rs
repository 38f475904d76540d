//! Starting programs in place: the exec family.

use core::ffi::{CStr, c_char, c_int};

use elements::files::{Scratch, Text};
use elements::kernel::AT_FDCWD;
use elements::process::exec::{Door, RunsAs, Start};
use elements::{Errno, user};

use crate::answer::{returned, set_errno};
use crate::late;
use crate::next;
use crate::start::instance;

type Strings = *const *const c_char;

unsafe extern "C" {
    static environ: Strings;
}

/// The program's environment as it is now.
pub fn environment() -> Strings {
    // SAFETY: libc's variable; a racing setenv(3) is the program's own affair.
    unsafe { environ }
}

fn start(dirfd: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int) -> Errno {
    let start = Start {
        dirfd,
        path: path.cast(),
        argv: argv.cast(),
        envp: envp.cast(),
        flags,
        script: core::ptr::null(),
        runs_as: RunsAs::default(),
    };
    instance().execveat(Door::Shim(next::own_path()), &start)
}

pub unsafe fn execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
    returned(Err(start(AT_FDCWD, path, argv, envp, 0))) as c_int
}

pub unsafe fn execv(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execve(path, argv, environment()) }
}

pub unsafe fn execveat(
    dirfd: c_int,
    path: *const c_char,
    argv: Strings,
    envp: Strings,
    flags: c_int,
) -> c_int {
    returned(Err(start(dirfd, path, argv, envp, flags))) as c_int
}

pub unsafe fn fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int {
    if fd < 0 || argv.is_null() || envp.is_null() {
        set_errno(Errno::EINVAL);
        return -1;
    }
    returned(Err(start(fd, c"".as_ptr(), argv, envp, libc::AT_EMPTY_PATH))) as c_int
}

pub unsafe fn execvp(file: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execvpe(file, argv, environment()) }
}

pub unsafe fn execvpe(file: *const c_char, argv: Strings, envp: Strings) -> c_int {
    let errno = search(file, &mut |path| match start(AT_FDCWD, path, argv, envp, 0) {
        // What is no program is a script of the shell's, see exec(3).
        Errno::ENOEXEC => Err(shell_script(path, argv, envp)),
        errno => Err(errno),
    });
    returned(Err(errno.err().unwrap_or(Errno::ENOENT))) as c_int
}

/// Runs a file without an interpreter line by the shell.
fn shell_script(path: *const c_char, argv: Strings, envp: Strings) -> Errno {
    const SHELL: *const c_char = c"/bin/sh".as_ptr();
    const MORE: usize = 1024;
    let mut made = [core::ptr::null(); MORE + 3];
    let mut to = made.iter_mut();
    for entry in [SHELL, path] {
        if let Some(to) = to.next() {
            *to = entry;
        }
    }
    let mut from = 1;
    // SAFETY: the array has been walked to its end by the failed attempt.
    unsafe {
        while !argv.is_null() && !(*argv).is_null() && !(*argv.add(from)).is_null() {
            match to.next() {
                Some(to) => *to = *argv.add(from),
                None => return Errno::E2BIG,
            }
            from += 1;
        }
    }
    start(AT_FDCWD, SHELL, made.as_ptr(), envp, 0)
}

/// Looks for a program in the directories of `PATH` and tries each, as
/// execvp(3) says: a name with a slash is a path.
///
/// # Errors
///
/// The last one of consequence, `EACCES` before `ENOENT`.
pub fn search(
    file: *const c_char,
    attempt: &mut dyn FnMut(*const c_char) -> Result<(), Errno>,
) -> Result<(), Errno> {
    const DEFAULT: &[u8] = b"/bin:/usr/bin";
    if !user::is_string(file.cast()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.contains(&b'/') {
        return attempt(file);
    }
    if name.len() > libc::FILENAME_MAX as usize {
        return Err(Errno::ENAMETOOLONG);
    }
    // SAFETY: what getenv(3) gives is a string.
    let path = unsafe {
        let path = late::getenv(c"PATH".as_ptr());
        if path.is_null() { DEFAULT } else { CStr::from_ptr(path).to_bytes() }
    };
    let mut denied = false;
    let mut text: Scratch = Text::new();
    for directory in path.split(|byte| *byte == b':') {
        text.truncate(0);
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        if [directory, slash, name].into_iter().try_for_each(|part| text.push(part)).is_err() {
            continue;
        }
        match attempt(text.as_ptr().cast()) {
            Err(Errno::EACCES) => denied = true,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno(libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT)) => {}
            done => return done,
        }
    }
    Err(if denied { Errno::EACCES } else { Errno::ENOENT })
}
