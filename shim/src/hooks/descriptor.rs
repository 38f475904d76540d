//! Descriptors that come to stand for something else, and `syscall` itself.

use core::ffi::{c_int, c_long};

use elements::{Answer, files};

use crate::answer::finish_int;
use crate::real;

fn duplicated(old: c_int, new: c_int) -> c_int {
    if new >= 0 {
        files::note_duplicate(old, new);
    }
    new
}

pub unsafe fn dup(old: c_int) -> c_int {
    // SAFETY: touches no memory.
    duplicated(old, unsafe { finish_int(Answer::Pass, libc::SYS_dup, [old as usize, 0, 0, 0, 0, 0]) })
}

pub unsafe fn dup2(old: c_int, new: c_int) -> c_int {
    // SAFETY: touches no memory.
    let done = unsafe { finish_int(Answer::Pass, libc::SYS_dup2, [old as usize, new as usize, 0, 0, 0, 0]) };
    duplicated(old, done)
}

pub unsafe fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    let args = [old as usize, new as usize, flags as usize, 0, 0, 0];
    // SAFETY: touches no memory.
    duplicated(old, unsafe { finish_int(Answer::Pass, libc::SYS_dup3, args) })
}

/// The third argument is passed on whether or not the caller gave one: on
/// this architecture it comes in a register either way.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // The next one: waiting for a lock is a cancellation point.
    let done = match real!(fcntl as fn(c_int, c_int, usize) -> c_int) {
        // SAFETY: the program's own arguments.
        Some(next) => unsafe { next(fd, command, argument) },
        None => {
            let args = [fd as usize, command as usize, argument, 0, 0, 0];
            // SAFETY: the program's own arguments.
            unsafe { finish_int(Answer::Pass, libc::SYS_fcntl, args) }
        }
    };
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) { duplicated(fd, done) } else { done }
}

pub unsafe fn unshare(flags: c_int) -> c_int {
    // SAFETY: touches no memory.
    let done = unsafe { finish_int(Answer::Pass, libc::SYS_unshare, [flags as usize, 0, 0, 0, 0, 0]) };
    if done == 0
        && flags & (libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_NEWNS | libc::CLONE_NEWUSER) != 0
    {
        files::disable_base_cache();
    }
    done
}

/// syscall(2): the hook of the call's own name, where there is one.
pub unsafe fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    use super::{change, cwd, exec, open, protect, socket, stat, xattr};
    let int = |word: usize| word as c_int;
    // SAFETY: the arguments of the call that the program names.
    unsafe {
        match number {
            libc::SYS_open => open::open(a as _, int(b), c as _).into(),
            libc::SYS_openat => open::openat(int(a), b as _, int(c), d as _).into(),
            libc::SYS_creat => open::creat(a as _, b as _).into(),
            libc::SYS_openat2 => open::openat2(int(a), b as _, c as _, d).into(),
            libc::SYS_stat => stat::stat(a as _, b as _).into(),
            libc::SYS_lstat => stat::lstat(a as _, b as _).into(),
            libc::SYS_newfstatat => stat::fstatat(int(a), b as _, c as _, int(d)).into(),
            libc::SYS_statx => stat::statx(int(a), b as _, int(c), d as _, e as _).into(),
            libc::SYS_access => stat::access(a as _, int(b)).into(),
            libc::SYS_faccessat => stat::faccessat(int(a), b as _, int(c), 0).into(),
            libc::SYS_faccessat2 => stat::faccessat(int(a), b as _, int(c), int(d)).into(),
            libc::SYS_readlink => stat::readlink(a as _, b as _, c) as c_long,
            libc::SYS_readlinkat => stat::readlinkat(int(a), b as _, c as _, d) as c_long,
            libc::SYS_statfs => stat::statfs(a as _, b as _).into(),
            libc::SYS_getxattr => xattr::getxattr(a as _, b as _, c as _, d) as c_long,
            libc::SYS_lgetxattr => xattr::lgetxattr(a as _, b as _, c as _, d) as c_long,
            libc::SYS_listxattr => xattr::listxattr(a as _, b as _, c) as c_long,
            libc::SYS_llistxattr => xattr::llistxattr(a as _, b as _, c) as c_long,
            libc::SYS_setxattr => xattr::setxattr(a as _, b as _, c as _, d, int(e)).into(),
            libc::SYS_lsetxattr => xattr::lsetxattr(a as _, b as _, c as _, d, int(e)).into(),
            libc::SYS_removexattr => xattr::removexattr(a as _, b as _).into(),
            libc::SYS_lremovexattr => xattr::lremovexattr(a as _, b as _).into(),
            libc::SYS_mkdir => change::mkdir(a as _, b as _).into(),
            libc::SYS_mkdirat => change::mkdirat(int(a), b as _, c as _).into(),
            libc::SYS_mknod => change::mknod(a as _, b as _, c as _).into(),
            libc::SYS_mknodat => change::mknodat(int(a), b as _, c as _, d as _).into(),
            libc::SYS_symlink => change::symlink(a as _, b as _).into(),
            libc::SYS_symlinkat => change::symlinkat(a as _, int(b), c as _).into(),
            libc::SYS_link => change::link(a as _, b as _).into(),
            libc::SYS_linkat => change::linkat(int(a), b as _, int(c), d as _, int(e)).into(),
            libc::SYS_unlink => change::unlink(a as _).into(),
            libc::SYS_unlinkat => change::unlinkat(int(a), b as _, int(c)).into(),
            libc::SYS_rmdir => change::rmdir(a as _).into(),
            libc::SYS_rename => change::rename(a as _, b as _).into(),
            libc::SYS_renameat => change::renameat(int(a), b as _, int(c), d as _).into(),
            libc::SYS_renameat2 => change::renameat2(int(a), b as _, int(c), d as _, e as _).into(),
            libc::SYS_chmod => change::chmod(a as _, b as _).into(),
            libc::SYS_fchmodat => change::fchmodat(int(a), b as _, c as _, 0).into(),
            452 => change::fchmodat(int(a), b as _, c as _, int(d)).into(),
            libc::SYS_chown => change::chown(a as _, b as _, c as _).into(),
            libc::SYS_lchown => change::lchown(a as _, b as _, c as _).into(),
            libc::SYS_fchownat => change::fchownat(int(a), b as _, c as _, d as _, int(e)).into(),
            libc::SYS_utime => change::utime(a as _, b as _).into(),
            libc::SYS_utimes => change::utimes(a as _, b as _).into(),
            libc::SYS_futimesat => change::futimesat(int(a), b as _, c as _).into(),
            libc::SYS_utimensat if b != 0 => change::utimensat(int(a), b as _, c as _, int(d)).into(),
            libc::SYS_utimensat if d == 0 => protect::futimens(int(a), c as _).into(),
            libc::SYS_fchmod => protect::fchmod(int(a), b as _).into(),
            libc::SYS_fchown => protect::fchown(int(a), b as _, c as _).into(),
            libc::SYS_fsetxattr => protect::fsetxattr(int(a), b as _, c as _, d, int(e)).into(),
            libc::SYS_fremovexattr => protect::fremovexattr(int(a), b as _).into(),
            libc::SYS_truncate => change::truncate(a as _, b as _).into(),
            libc::SYS_inotify_add_watch => change::inotify_add_watch(int(a), b as _, c as _).into(),
            libc::SYS_fanotify_mark => change::fanotify_mark(int(a), b as _, c as _, int(d), e as _).into(),
            libc::SYS_name_to_handle_at => {
                stat::name_to_handle_at(int(a), b as _, c as _, d as _, int(e)).into()
            }
            libc::SYS_chdir => cwd::chdir(a as _).into(),
            libc::SYS_fchdir => cwd::fchdir(int(a)).into(),
            libc::SYS_execve => exec::execve(a as _, b as _, c as _).into(),
            libc::SYS_execveat => exec::execveat(int(a), b as _, c as _, d as _, int(e)).into(),
            libc::SYS_dup => dup(int(a)).into(),
            libc::SYS_dup2 => dup2(int(a), int(b)).into(),
            libc::SYS_dup3 => dup3(int(a), int(b), int(c)).into(),
            libc::SYS_unshare => unshare(int(a)).into(),
            libc::SYS_bind => socket::bind(int(a), b as _, c as _).into(),
            libc::SYS_connect => socket::connect(int(a), b as _, c as _).into(),
            _ => {
                let answer = match number {
                    libc::SYS_getcwd => crate::start::instance().getcwd(a as _, b),
                    libc::SYS_getdents64 => crate::start::instance().getdents64(int(a), b as _, c),
                    _ => Answer::Pass,
                };
                crate::answer::finish(answer, number, [a, b, c, d, e, f]) as c_long
            }
        }
    }
}
