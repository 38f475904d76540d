//! posix_spawn(3), written out: the child changes its files and directories by
//! the elements, and so does what it becomes.
//!
//! The child shares our memory until it becomes the program, as libc's own
//! does, on a stack of its own. All signals are blocked while it prepares, and
//! it has no handlers, so that no code of the program runs in it.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::Ordering;

use elements::files::VFORKS;
use elements::kernel::{self, AT_FDCWD, syscall};
use elements::process::exec::{Door, RunsAs, Start};
use elements::{Answer, Errno};
use libc::pid_t;

use super::actions::{self, Action};
use super::exec::search;
use crate::late;
use crate::next;
use crate::start::instance;

type Strings = *const *const c_char;

/// The child's stack: a script's interpreters take some.
const STACK: usize = 512 * 1024;
/// The kernel's signal numbers end here.
const LAST_SIGNAL: c_int = 64;
/// The kernel's signal set.
type Mask = u64;
/// glibc's flag since 2.39, which it too refuses where the kernel is old.
const SET_CGROUP: c_int = 0x100;

pub unsafe fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    start(pid, path, false, (actions, attributes), (argv, envp)).map_or_else(|errno| errno.0, |()| 0)
}

/// posix_spawn that gives a descriptor of the child. glibc's since 2.39.
pub unsafe fn pidfd_spawn(
    pidfd: *mut c_int,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    start_by_descriptor(pidfd, path, false, (actions, attributes), (argv, envp))
}

pub unsafe fn pidfd_spawnp(
    pidfd: *mut c_int,
    file: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    start_by_descriptor(pidfd, file, true, (actions, attributes), (argv, envp))
}

fn start_by_descriptor(
    to: *mut c_int,
    path: *const c_char,
    searches: bool,
    how: (*const c_void, *const c_void),
    words: (Strings, Strings),
) -> c_int {
    // A kernel before 5.3 would start the child and give no descriptor.
    if let Err(errno @ Errno::ENOSYS) = number(libc::SYS_pidfd_open, [usize::MAX, 0, 0]) {
        return errno.0;
    }
    let mut pidfd = -1;
    match start_with(&raw mut pidfd, core::ptr::null_mut(), path, searches, how, words) {
        Ok(()) => {
            // SAFETY: the caller's variable.
            unsafe { *to = pidfd };
            0
        }
        Err(errno) => {
            kernel::close(pidfd);
            errno.0
        }
    }
}

pub unsafe fn posix_spawnp(
    pid: *mut pid_t,
    file: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    start(pid, file, true, (actions, attributes), (argv, envp)).map_or_else(|errno| errno.0, |()| 0)
}

/// What the child is told, and what it tells.
struct Child {
    path: *const c_char,
    searches: bool,
    actions: *const c_void,
    attributes: *const libc::posix_spawnattr_t,
    argv: Strings,
    envp: Strings,
    /// The mask of the caller.
    mask: Mask,
    error: Errno,
}

/// Starts a program beside. `searches` says whether `PATH` is.
///
/// # Errors
///
/// What kept the child from becoming the program.
pub fn start(
    pid: *mut pid_t,
    path: *const c_char,
    searches: bool,
    how: (*const c_void, *const c_void),
    words: (Strings, Strings),
) -> Result<(), Errno> {
    start_with(core::ptr::null_mut(), pid, path, searches, how, words)
}

/// The same; `pidfd`, unless null, takes a descriptor of the child, which is
/// there as soon as the child is, also of one that fails.
fn start_with(
    pidfd: *mut c_int,
    pid: *mut pid_t,
    path: *const c_char,
    searches: bool,
    (actions, attributes): (*const c_void, *const c_void),
    (argv, envp): (Strings, Strings),
) -> Result<(), Errno> {
    if !actions.is_null() && !actions::is_ours(actions) {
        return Err(Errno::EINVAL);
    }
    let stack = kernel::map_anonymous(STACK)?;
    let mut child = Child {
        path,
        searches,
        actions,
        attributes: attributes.cast(),
        argv,
        envp,
        mask: 0,
        error: Errno(0),
    };
    let mut mask = Mask::MAX;
    set_mask(&mask, Some(&mut child.mask));
    // The child has a working directory and descriptors of its own.
    VFORKS.fetch_add(1, Ordering::AcqRel);
    // SAFETY: the child runs on its own stack, and we are suspended until it
    // has become the program or has ended.
    let started =
        unsafe { clone(run, &raw mut child, (stack + STACK) as *mut u8, clone_flags(pidfd), pidfd) };
    VFORKS.fetch_sub(1, Ordering::AcqRel);
    // SAFETY: the child has gone.
    unsafe { kernel::unmap(stack, STACK) };
    let done = Errno::result(started as usize).and_then(|started| {
        // SAFETY: read after the child, which shares our memory, has written it.
        let error = unsafe { (&raw const child.error).read_volatile() };
        if error.0 == 0 {
            return Ok(started);
        }
        // SAFETY: touches no memory; the child has ended.
        let _ = unsafe { syscall(libc::SYS_wait4, [started, 0, 0, 0, 0, 0]) };
        Err(error)
    });
    mask = child.mask;
    set_mask(&mask, None);
    let started = done?;
    if !pid.is_null() {
        // SAFETY: the caller's variable.
        unsafe { *pid = started as pid_t };
    }
    Ok(())
}

fn set_mask(mask: &Mask, old: Option<&mut Mask>) {
    let old = old.map_or(0, |old| core::ptr::from_mut(old) as usize);
    let args = [libc::SIG_SETMASK as usize, core::ptr::from_ref(mask) as usize, old, size_of::<Mask>(), 0, 0];
    // SAFETY: two signal sets of the kernel's size.
    let _ = unsafe { syscall(libc::SYS_rt_sigprocmask, args) };
}

fn clone_flags(pidfd: *const c_int) -> c_int {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    if pidfd.is_null() { flags } else { flags | libc::CLONE_PIDFD }
}

/// Makes a child that shares our memory, and calls `entry` in it.
#[unsafe(naked)]
unsafe extern "C" fn clone(
    entry: extern "C" fn(*mut Child) -> !,
    child: *mut Child,
    stack: *mut u8,
    flags: c_int,
    pidfd: *mut c_int,
) -> isize {
    naked_asm!(
        "mov r9, rsi",
        "mov rsi, rdx",
        "mov rdx, r8",
        "mov r8, rdi",
        "mov edi, ecx",
        "xor r10d, r10d",
        "mov eax, {number}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2: xor ebp, ebp",
        "mov rdi, r9",
        "call r8",
        "ud2",
        number = const libc::SYS_clone,
    )
}

extern "C" fn run(child: *mut Child) -> ! {
    // SAFETY: the parent's struct, which is ours alone until we have gone.
    let child = unsafe { &mut *child };
    let errno = match become_program(child) {
        Err(Errno(0)) => Errno::ENOEXEC,
        Err(errno) => errno,
        Ok(never) => match never {},
    };
    // SAFETY: the parent reads it when we have gone.
    unsafe { (&raw mut child.error).write_volatile(errno) };
    kernel::exit(127)
}

enum Never {}

fn become_program(child: &mut Child) -> Result<Never, Errno> {
    let mask = attributes(child)?;
    if !child.actions.is_null() {
        actions::walk(child.actions, &mut carry_out)?;
    }
    set_mask(&mask, None);
    let (argv, envp) = (child.argv, child.envp);
    let mut attempt = |path: *const c_char| {
        let start = Start {
            dirfd: AT_FDCWD,
            path: path.cast(),
            argv: argv.cast(),
            envp: envp.cast(),
            flags: 0,
            script: core::ptr::null(),
            runs_as: RunsAs::default(),
        };
        Err(instance().execveat(Door::Shim(next::own_path()), &start))
    };
    let failed = if child.searches { search(child.path, &mut attempt) } else { attempt(child.path) };
    Err(failed.err().unwrap_or(Errno::ENOEXEC))
}

fn number(number: i64, args: [usize; 3]) -> Result<usize, Errno> {
    let [a, b, c] = args;
    // SAFETY: callers give what the call wants.
    unsafe { syscall(number, [a, b, c, 0, 0, 0]) }
}

/// Does what the attributes say, and gives the signal mask to start with.
fn attributes(child: &Child) -> Result<Mask, Errno> {
    let mut flags = 0;
    let mut default = core::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut mask = child.mask;
    if !child.attributes.is_null() {
        // SAFETY: the program's attributes; each getter fills its variable.
        unsafe {
            late::posix_spawnattr_getflags(child.attributes, &raw mut flags);
            late::posix_spawnattr_getsigdefault(child.attributes, default.as_mut_ptr());
        }
    }
    let flags = c_int::from(flags);
    if flags & SET_CGROUP != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    // SAFETY: a libc signal set begins with the kernel's.
    let default = unsafe { default.as_ptr().cast::<Mask>().read() };
    reset_signals(if flags & libc::POSIX_SPAWN_SETSIGDEF != 0 { default } else { 0 });
    // SAFETY: as above.
    unsafe {
        let attributes = child.attributes;
        if flags & (libc::POSIX_SPAWN_SETSCHEDPARAM | libc::POSIX_SPAWN_SETSCHEDULER) != 0 {
            let mut policy = 0;
            let mut parameters: libc::sched_param = core::mem::zeroed();
            late::posix_spawnattr_getschedpolicy(attributes, &raw mut policy);
            late::posix_spawnattr_getschedparam(attributes, &raw mut parameters);
            let parameters = &raw const parameters as usize;
            if flags & libc::POSIX_SPAWN_SETSCHEDULER != 0 {
                number(libc::SYS_sched_setscheduler, [0, policy as usize, parameters])?;
            } else {
                number(libc::SYS_sched_setparam, [0, parameters, 0])?;
            }
        }
        if flags & c_int::from(libc::POSIX_SPAWN_SETSID) != 0 {
            number(libc::SYS_setsid, [0; 3])?;
        }
        if flags & libc::POSIX_SPAWN_SETPGROUP != 0 {
            let mut group = 0;
            late::posix_spawnattr_getpgroup(attributes, &raw mut group);
            number(libc::SYS_setpgid, [0, group as usize, 0])?;
        }
        if flags & libc::POSIX_SPAWN_RESETIDS != 0 {
            const KEEP: usize = usize::MAX;
            let (uid, gid) = (number(libc::SYS_getuid, [0; 3])?, number(libc::SYS_getgid, [0; 3])?);
            number(libc::SYS_setresgid, [KEEP, gid, KEEP])?;
            number(libc::SYS_setresuid, [KEEP, uid, KEEP])?;
        }
        if flags & libc::POSIX_SPAWN_SETSIGMASK != 0 {
            let mut set = core::mem::MaybeUninit::<libc::sigset_t>::zeroed();
            late::posix_spawnattr_getsigmask(attributes, set.as_mut_ptr());
            mask = set.as_ptr().cast::<Mask>().read();
        }
    }
    Ok(mask)
}

/// The kernel's `struct sigaction`.
#[derive(Default)]
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: Mask,
}

/// Gives signals with a handler, and those asked for, their default action:
/// a handler must not run in the child.
fn reset_signals(asked: Mask) {
    for signal in 1..=LAST_SIGNAL {
        let mut old = KernelAction::default();
        let fresh = KernelAction::default();
        let size = size_of::<Mask>();
        // SAFETY: two structs of the kernel's.
        unsafe {
            let old_at = &raw mut old as usize;
            let got = syscall(libc::SYS_rt_sigaction, [signal as usize, 0, old_at, size, 0, 0]);
            let caught = got.is_ok() && old.handler != libc::SIG_DFL && old.handler != libc::SIG_IGN;
            if caught || asked & 1 << (signal - 1) != 0 {
                let fresh_at = &raw const fresh as usize;
                let _ = syscall(libc::SYS_rt_sigaction, [signal as usize, fresh_at, 0, size, 0, 0]);
            }
        }
    }
}

/// Carries one action out, in the child.
fn carry_out(action: Action, path: *const c_char) -> Result<(), Errno> {
    match action {
        // Closing what is not open is no error, see posix_spawn(3) of glibc.
        Action::Close(fd) => kernel::close(fd),
        Action::Duplicate(old, new) if old == new => {
            let flags = number(libc::SYS_fcntl, [old as usize, libc::F_GETFD as usize, 0])?;
            let kept = flags & !(libc::FD_CLOEXEC as usize);
            number(libc::SYS_fcntl, [old as usize, libc::F_SETFD as usize, kept])?;
        }
        Action::Duplicate(old, new) => {
            number(libc::SYS_dup2, [old as usize, new as usize, 0])?;
        }
        Action::Open(fd, flags, mode) => {
            kernel::close(fd);
            let opened = match instance().openat(AT_FDCWD, path.cast(), flags, mode) {
                Answer::Pass => kernel::openat(AT_FDCWD, path.cast(), flags, mode)?,
                Answer::Done(done) => done? as c_int,
            };
            if opened != fd {
                number(libc::SYS_dup2, [opened as usize, fd as usize, 0])?;
                kernel::close(opened);
            }
        }
        Action::ChangeDirectory => match instance().chdir(path.cast()) {
            Answer::Pass => {
                number(libc::SYS_chdir, [path as usize, 0, 0])?;
            }
            Answer::Done(done) => {
                done?;
            }
        },
        Action::ChangeToDescriptor(fd) => {
            number(libc::SYS_fchdir, [fd as usize, 0, 0])?;
        }
        Action::CloseFrom(from) => {
            number(libc::SYS_close_range, [from as usize, u32::MAX as usize, 0])?;
        }
        Action::Foreground(fd) => {
            let group = number(libc::SYS_getpgid, [0; 3])? as pid_t;
            number(libc::SYS_ioctl, [fd as usize, libc::TIOCSPGRP as usize, &raw const group as usize])?;
        }
    }
    Ok(())
}
