//! The calls that trap, and what answers each.
//!
//! One table gives the filter its numbers and the gate its answers. A line
//! names the call, for some the argument that must not be null for the
//! elements to have a say (so that the kernel lets the rest through without a
//! trap), and the element's function.

use elements::files;
use elements::instance::attached;
use elements::kernel::{self, AT_FDCWD, OpenHow};
use elements::process::exec::{Door, Start};
use elements::{Answer, Errno, Instance, user};

use crate::place::{Slot, free_others};
use crate::{signals, sockets};

pub type Args = [usize; 6];

/// When a call traps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Where the argument with this number is not null.
    NotNull(u32),
    /// Where the lower half of the argument with this number is one of these.
    Is(u32, &'static [u32]),
    /// Where the argument with this number has none of these bits.
    Without(u32, u32),
}

use When::{Always, Is, NotNull, Without};

macro_rules! calls {
    ($($number:ident $when:expr => $answer:expr;)*) => {
        /// The numbers of the calls that trap, and when.
        pub const TRAPPED: &[(u32, When)] = &[$((libc::$number as u32, $when)),*];

        fn element(instance: &Instance<'_>, number: i64, args: Args) -> Answer {
            match number {
                $(libc::$number => {
                    let answer: fn(&Instance<'_>, Args) -> Answer = $answer;
                    answer(instance, args)
                })*
                _ => Answer::Pass,
            }
        }
    };
}

calls! {
    SYS_open Always => |i, [path, flags, mode, ..]| open(i, AT_FDCWD, path, flags, mode);
    SYS_openat Always => |i, [dir, path, flags, mode, ..]| open(i, dir as i32, path, flags, mode);
    SYS_creat Always => |i, [path, mode, ..]| open(i, AT_FDCWD, path, CREAT as usize, mode);
    SYS_openat2 Always => |i, [dir, path, how, size, ..]| openat2(i, dir as i32, path, how, size);
    SYS_stat Always => |i, [path, buf, ..]| i.fstatat(AT_FDCWD, p(path), buf as *mut _, 0);
    SYS_lstat Always => |i, [path, buf, ..]| i.fstatat(AT_FDCWD, p(path), buf as *mut _, libc::AT_SYMLINK_NOFOLLOW);
    SYS_newfstatat Always => |i, [dir, path, buf, flags, ..]| i.fstatat(dir as i32, p(path), buf as *mut _, flags as i32);
    SYS_statx Always => |i, [dir, path, flags, mask, buf, _]| i.statx(dir as i32, p(path), flags as i32, mask as u32, buf as *mut _);
    SYS_access Always => |i, [path, mode, ..]| i.faccessat(AT_FDCWD, p(path), mode as i32, 0);
    SYS_faccessat Always => |i, [dir, path, mode, ..]| i.faccessat(dir as i32, p(path), mode as i32, 0);
    SYS_faccessat2 Always => |i, [dir, path, mode, flags, ..]| i.faccessat(dir as i32, p(path), mode as i32, flags as i32);
    SYS_readlink Always => |i, [path, buf, size, ..]| i.readlinkat(AT_FDCWD, p(path), buf as *mut u8, int(size));
    SYS_readlinkat Always => |i, [dir, path, buf, size, ..]| i.readlinkat(dir as i32, p(path), buf as *mut u8, int(size));
    SYS_statfs Always => |i, [path, buf, ..]| i.look(libc::SYS_statfs, p(path), true, [buf, 0, 0]);
    SYS_getxattr Always => |i, [path, a, b, c, ..]| i.look(libc::SYS_getxattr, p(path), true, [a, b, c]);
    SYS_lgetxattr Always => |i, [path, a, b, c, ..]| i.look(libc::SYS_lgetxattr, p(path), false, [a, b, c]);
    SYS_listxattr Always => |i, [path, a, b, ..]| i.look(libc::SYS_listxattr, p(path), true, [a, b, 0]);
    SYS_llistxattr Always => |i, [path, a, b, ..]| i.look(libc::SYS_llistxattr, p(path), false, [a, b, 0]);
    SYS_inotify_add_watch Always => |i, [fd, path, mask, ..]| i.inotify_add_watch(fd as i32, p(path), mask as u32);

    SYS_mkdir Always => |i, [path, mode, ..]| i.mkdirat(AT_FDCWD, p(path), mode as u32);
    SYS_mkdirat Always => |i, [dir, path, mode, ..]| i.mkdirat(dir as i32, p(path), mode as u32);
    SYS_mknod Always => |i, [path, mode, dev, ..]| i.mknodat(AT_FDCWD, p(path), mode as u32, dev as u64);
    SYS_mknodat Always => |i, [dir, path, mode, dev, ..]| i.mknodat(dir as i32, p(path), mode as u32, dev as u64);
    SYS_symlink Always => |i, [target, path, ..]| i.symlinkat(p(target), AT_FDCWD, p(path));
    SYS_symlinkat Always => |i, [target, dir, path, ..]| i.symlinkat(p(target), dir as i32, p(path));
    SYS_link Always => |i, [old, new, ..]| i.linkat((AT_FDCWD, p(old)), (AT_FDCWD, p(new)), 0);
    SYS_linkat Always => |i, [a, old, b, new, flags, _]| i.linkat((a as i32, p(old)), (b as i32, p(new)), flags as i32);
    SYS_unlink Always => |i, [path, ..]| i.unlinkat(AT_FDCWD, p(path), 0);
    SYS_unlinkat Always => |i, [dir, path, flags, ..]| i.unlinkat(dir as i32, p(path), flags as i32);
    SYS_rmdir Always => |i, [path, ..]| i.unlinkat(AT_FDCWD, p(path), libc::AT_REMOVEDIR);
    SYS_rename Always => |i, [old, new, ..]| i.renameat2((AT_FDCWD, p(old)), (AT_FDCWD, p(new)), 0);
    SYS_renameat Always => |i, [a, old, b, new, ..]| i.renameat2((a as i32, p(old)), (b as i32, p(new)), 0);
    SYS_renameat2 Always => |i, [a, old, b, new, flags, _]| i.renameat2((a as i32, p(old)), (b as i32, p(new)), flags as u32);
    SYS_chmod Always => |i, [path, mode, ..]| i.fchmodat(AT_FDCWD, p(path), mode as u32, 0);
    SYS_fchmodat Always => |i, [dir, path, mode, ..]| i.fchmodat(dir as i32, p(path), mode as u32, 0);
    SYS_fchmodat2 Always => |i, [dir, path, mode, flags, ..]| i.fchmodat(dir as i32, p(path), mode as u32, flags as i32);
    SYS_chown Always => |i, [path, uid, gid, ..]| i.fchownat(AT_FDCWD, p(path), uid as u32, gid as u32, 0);
    SYS_lchown Always => |i, [path, uid, gid, ..]| i.fchownat(AT_FDCWD, p(path), uid as u32, gid as u32, libc::AT_SYMLINK_NOFOLLOW);
    SYS_fchownat Always => |i, [dir, path, uid, gid, flags, _]| i.fchownat(dir as i32, p(path), uid as u32, gid as u32, flags as i32);
    SYS_utimes Always => |i, [path, times, ..]| i.futimesat(AT_FDCWD, p(path), times as *const _);
    SYS_futimesat Always => |i, [dir, path, times, ..]| i.futimesat(dir as i32, p(path), times as *const _);
    SYS_utimensat NotNull(1) => |i, [dir, path, times, flags, ..]| i.utimensat(dir as i32, p(path), times as *const _, flags as i32);
    SYS_utime Always => |i, [path, times, ..]| utime(i, path, times);
    SYS_truncate Always => |i, [path, len, ..]| i.alter(libc::SYS_truncate, p(path), true, [len, 0, 0, 0]);
    SYS_setxattr Always => |i, [path, a, b, c, d, _]| i.alter(libc::SYS_setxattr, p(path), true, [a, b, c, d]);
    SYS_lsetxattr Always => |i, [path, a, b, c, d, _]| i.alter(libc::SYS_lsetxattr, p(path), false, [a, b, c, d]);
    SYS_removexattr Always => |i, [path, a, ..]| i.alter(libc::SYS_removexattr, p(path), true, [a, 0, 0, 0]);
    SYS_lremovexattr Always => |i, [path, a, ..]| i.alter(libc::SYS_lremovexattr, p(path), false, [a, 0, 0, 0]);

    SYS_chdir Always => |i, [path, ..]| i.chdir(p(path));
    SYS_fchdir Always => |i, [fd, ..]| i.fchdir(fd as i32);
    SYS_getcwd Always => |i, [buf, size, ..]| i.getcwd(buf as *mut u8, size);
    SYS_getdents64 Always => |i, [fd, buf, size, ..]| i.getdents64(fd as i32, buf as *mut u8, size);
    SYS_dup Always => |_, args| duplicate(libc::SYS_dup, args);
    SYS_dup2 Always => |_, args| duplicate(libc::SYS_dup2, args);
    SYS_dup3 Always => |_, args| duplicate(libc::SYS_dup3, args);
    SYS_fcntl Is(1, DUPLICATES) => |_, args| duplicate(libc::SYS_fcntl, args);
    SYS_unshare Always => |_, _| { files::disable_base_cache(); Answer::Pass };

    SYS_bind NotNull(1) => |i, [fd, address, len, ..]| i.bind(fd as i32, p(address), len as u32 as usize);
    SYS_connect NotNull(1) => |i, [fd, address, len, ..]| i.connect(fd as i32, p(address), len as u32 as usize);
    SYS_sendto NotNull(4) => |i, args| sockets::sendto(i, args);
    SYS_sendmsg Always => |i, args| sockets::sendmsg(i, args);
    SYS_sendmmsg Always => |i, args| sockets::sendmmsg(i, args);
    SYS_getsockname Always => |i, args| sockets::gives_address(i, libc::SYS_getsockname, args, (1, 2));
    SYS_getpeername Always => |i, args| sockets::gives_address(i, libc::SYS_getpeername, args, (1, 2));
    SYS_recvfrom NotNull(4) => |i, args| sockets::gives_address(i, libc::SYS_recvfrom, args, (4, 5));
    SYS_accept Always => |i, args| sockets::accept(i, libc::SYS_accept, args);
    SYS_accept4 Always => |i, args| sockets::accept(i, libc::SYS_accept4, args);
    SYS_recvmsg Always => |i, args| sockets::recvmsg(i, args);
    SYS_recvmmsg Always => |i, args| sockets::recvmmsg(i, args);

    SYS_execve Always => |i, [path, argv, envp, ..]| execveat(i, [AT_FDCWD as usize, path, argv, envp, 0, 0]);
    SYS_execveat Always => |i, args| execveat(i, args);

    SYS_rt_sigaction Always => |_, args| Answer::Done(signals::sigaction(args));
    SYS_rt_sigprocmask Always => |_, args| Answer::Done(signals::rt_sigprocmask(args));
    // The handler of SIGSYS answers it.
    SYS_rt_sigreturn Always => |_, _| Answer::Pass;
    // What shares memory with its parent begins on a stack of its own, and
    // must not begin in the gate.
    SYS_clone Without(0, libc::CLONE_VM as u32) => |_, _| Answer::Pass;
    SYS_fork Always => |_, _| Answer::Pass;
}

const CREAT: i32 = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
const DUPLICATES: &[u32] = &[libc::F_DUPFD as u32, libc::F_DUPFD_CLOEXEC as u32];

fn p(path: usize) -> *const u8 {
    path as *const u8
}

/// A size that the kernel takes for an int.
fn int(size: usize) -> usize {
    size.min(i32::MAX as usize)
}

/// Answers the call in a slot: what `gate_entry` calls.
pub extern "C" fn answer(slot: *mut Slot) -> isize {
    // SAFETY: the entry gives the slot that it has claimed.
    let slot = unsafe { &mut *slot };
    slot.number = slot.rax;
    let number = slot.rax as i64;
    let args = slot.args.map(|word| word as usize);
    let Some(instance) = attached() else { return pass(number, args) };
    match element(instance, number, args) {
        Answer::Done(done) => value(done),
        Answer::Pass => {
            let result = pass(number, args);
            if result == 0 && (number == libc::SYS_fork || number == libc::SYS_clone) {
                free_others(slot);
                elements::process::set_owner(kernel::getpid());
            }
            result
        }
    }
}

/// Makes a call as it was asked.
pub fn pass(number: i64, args: Args) -> isize {
    // SAFETY: the program's own arguments, for the kernel to judge.
    value(unsafe { kernel::syscall(number, args) })
}

/// What a call returned, as an answer.
pub fn answered(done: isize) -> Answer {
    Answer::Done(Errno::result(done as usize))
}

fn value(done: Result<usize, Errno>) -> isize {
    match done {
        Ok(value) => value as isize,
        Err(errno) => -(errno.0 as isize),
    }
}

fn open(instance: &Instance<'_>, dirfd: i32, path: usize, flags: usize, mode: usize) -> Answer {
    let (path, flags) = (p(path), flags as i32);
    match instance.openat(dirfd, path, flags, mode as u32) {
        Answer::Pass => {
            let opened = kernel::openat(dirfd, path, flags, mode as u32);
            if let Ok(fd) = opened {
                instance.opened(dirfd, path, flags, fd);
            }
            Answer::Done(opened.map(|fd| fd as usize))
        }
        done => done,
    }
}

fn openat2(instance: &Instance<'_>, dirfd: i32, path: usize, how: usize, size: usize) -> Answer {
    if size != size_of::<OpenHow>() || !user::is_readable(how as *const u8, size) {
        return Answer::Pass;
    }
    // SAFETY: the struct can be read.
    let how = unsafe { (how as *const OpenHow).read_unaligned() };
    instance.openat2(dirfd, p(path), &how)
}

fn utime(instance: &Instance<'_>, path: usize, times: usize) -> Answer {
    if times == 0 {
        return instance.utimensat(AT_FDCWD, p(path), core::ptr::null(), 0);
    }
    if !user::is_readable(times as *const u8, size_of::<libc::utimbuf>()) {
        return Answer::fail(Errno::EFAULT);
    }
    // SAFETY: the struct can be read.
    let times = unsafe { (times as *const libc::utimbuf).read_unaligned() };
    let spec = |seconds| libc::timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = [spec(times.actime), spec(times.modtime)];
    instance.utimensat(AT_FDCWD, p(path), times.as_ptr(), 0)
}

fn duplicate(number: i64, args: Args) -> Answer {
    // SAFETY: numbers only.
    let done = unsafe { kernel::syscall(number, args) };
    if let Ok(new) = done {
        files::note_duplicate(args[0] as i32, new as i32);
    }
    Answer::Done(done)
}

fn execveat(instance: &Instance<'_>, [dirfd, path, argv, envp, flags, _]: Args) -> Answer {
    let start = Start {
        dirfd: dirfd as i32,
        path: p(path),
        argv: argv as *const *const u8,
        envp: envp as *const *const u8,
        flags: flags as i32,
        script: core::ptr::null(),
    };
    Answer::fail(instance.execveat(Door::Gate { path: crate::loader::own_path(), first: false }, &start))
}
