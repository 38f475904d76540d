//! Changing files and names.

use core::ffi::{c_char, c_int, c_uint};

use elements::kernel::AT_FDCWD;
use elements::{Answer, Errno, user};
use libc::{dev_t, gid_t, mode_t, off_t, timespec, timeval, uid_t, utimbuf};

use crate::answer::{errno, finish_int, returned, set_errno};
use crate::start::instance;

pub unsafe fn mkdirat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
    let answer = instance().mkdirat(dirfd, path.cast(), mode);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_mkdirat, [dirfd as usize, path as usize, mode as usize, 0, 0, 0]) }
}

pub unsafe fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { mkdirat(AT_FDCWD, path, mode) }
}

pub unsafe fn mknodat(dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
    let answer = instance().mknodat(dirfd, path.cast(), mode, device);
    let args = [dirfd as usize, path as usize, mode as usize, device as usize, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_mknodat, args) }
}

pub unsafe fn mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { mknodat(AT_FDCWD, path, mode, device) }
}

pub unsafe fn __xmknod(version: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { __xmknodat(version, AT_FDCWD, path, mode, device) }
}

pub unsafe fn __xmknodat(
    version: c_int,
    dirfd: c_int,
    path: *const c_char,
    mode: mode_t,
    device: *const dev_t,
) -> c_int {
    if version != 0 {
        return returned(Err(Errno::EINVAL)) as c_int;
    }
    // SAFETY: glibc reads the device number through the pointer as well.
    unsafe { mknodat(dirfd, path, mode, *device) }
}

pub unsafe fn mkfifo(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { mknodat(AT_FDCWD, path, mode | libc::S_IFIFO, 0) }
}

pub unsafe fn mkfifoat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { mknodat(dirfd, path, mode | libc::S_IFIFO, 0) }
}

pub unsafe fn symlinkat(target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int {
    let answer = instance().symlinkat(target.cast(), dirfd, path.cast());
    // SAFETY: the program's own arguments.
    unsafe {
        finish_int(answer, libc::SYS_symlinkat, [target as usize, dirfd as usize, path as usize, 0, 0, 0])
    }
}

pub unsafe fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { symlinkat(target, AT_FDCWD, path) }
}

pub unsafe fn linkat(
    old_dir: c_int,
    old: *const c_char,
    new_dir: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_int {
    let answer = instance().linkat((old_dir, old.cast()), (new_dir, new.cast()), flags);
    let args = [old_dir as usize, old as usize, new_dir as usize, new as usize, flags as usize, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_linkat, args) }
}

pub unsafe fn link(old: *const c_char, new: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { linkat(AT_FDCWD, old, AT_FDCWD, new, 0) }
}

pub unsafe fn unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    let answer = instance().unlinkat(dirfd, path.cast(), flags);
    // SAFETY: the program's own arguments.
    unsafe {
        finish_int(answer, libc::SYS_unlinkat, [dirfd as usize, path as usize, flags as usize, 0, 0, 0])
    }
}

pub unsafe fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { unlinkat(AT_FDCWD, path, 0) }
}

pub unsafe fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

pub unsafe fn remove(path: *const c_char) -> c_int {
    let before = errno();
    // SAFETY: the caller's contract.
    unsafe {
        if unlink(path) == 0 {
            return 0;
        }
        // What is a directory answers EISDIR; on some file systems, EPERM.
        let unlinked = errno();
        if unlinked != libc::EISDIR && unlinked != libc::EPERM {
            return -1;
        }
        if rmdir(path) == 0 {
            set_errno(Errno(before));
            return 0;
        }
        if errno() == libc::ENOTDIR {
            set_errno(Errno(unlinked));
        }
        -1
    }
}

pub unsafe fn renameat2(
    old_dir: c_int,
    old: *const c_char,
    new_dir: c_int,
    new: *const c_char,
    flags: c_uint,
) -> c_int {
    let answer = instance().renameat2((old_dir, old.cast()), (new_dir, new.cast()), flags);
    let args = [old_dir as usize, old as usize, new_dir as usize, new as usize, flags as usize, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_renameat2, args) }
}

pub unsafe fn renameat(old_dir: c_int, old: *const c_char, new_dir: c_int, new: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { renameat2(old_dir, old, new_dir, new, 0) }
}

pub unsafe fn rename(old: *const c_char, new: *const c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { renameat2(AT_FDCWD, old, AT_FDCWD, new, 0) }
}

pub unsafe fn fchmodat(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
    const SYS_FCHMODAT2: i64 = 452;
    let nr = if flags == 0 { libc::SYS_fchmodat } else { SYS_FCHMODAT2 };
    let answer = instance().fchmodat(dirfd, path.cast(), mode, flags);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, nr, [dirfd as usize, path as usize, mode as usize, flags as usize, 0, 0]) }
}

pub unsafe fn chmod(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fchmodat(AT_FDCWD, path, mode, 0) }
}

pub unsafe fn lchmod(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fchmodat(AT_FDCWD, path, mode, libc::AT_SYMLINK_NOFOLLOW) }
}

pub unsafe fn fchownat(dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int {
    let answer = instance().fchownat(dirfd, path.cast(), uid, gid, flags);
    let args = [dirfd as usize, path as usize, uid as usize, gid as usize, flags as usize, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_fchownat, args) }
}

pub unsafe fn chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fchownat(AT_FDCWD, path, uid, gid, 0) }
}

pub unsafe fn lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { fchownat(AT_FDCWD, path, uid, gid, libc::AT_SYMLINK_NOFOLLOW) }
}

pub unsafe fn utimensat(dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int {
    let args = [dirfd as usize, path as usize, times as usize, flags as usize, 0, 0];
    // glibc refuses what Linux would take for the descriptor itself.
    let answer = if path.is_null() {
        Answer::fail(Errno::EINVAL)
    } else {
        instance().utimensat(dirfd, path.cast(), times, flags)
    };
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_utimensat, args) }
}

pub unsafe fn utime(path: *const c_char, times: *const utimbuf) -> c_int {
    if times.is_null() {
        // SAFETY: the caller's contract; no times mean now.
        return unsafe { utimensat(AT_FDCWD, path, core::ptr::null(), 0) };
    }
    if !user::is_readable(times.cast(), size_of::<utimbuf>()) {
        return returned(Err(Errno::EFAULT)) as c_int;
    }
    // SAFETY: the struct can be read.
    let times = unsafe { &*times };
    let times =
        [timespec { tv_sec: times.actime, tv_nsec: 0 }, timespec { tv_sec: times.modtime, tv_nsec: 0 }];
    // SAFETY: the caller's contract.
    unsafe { utimensat(AT_FDCWD, path, times.as_ptr(), 0) }
}

pub unsafe fn futimesat(dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int {
    let answer = instance().futimesat(dirfd, path.cast(), times);
    // SAFETY: the program's own arguments.
    unsafe {
        finish_int(answer, libc::SYS_futimesat, [dirfd as usize, path as usize, times as usize, 0, 0, 0])
    }
}

pub unsafe fn utimes(path: *const c_char, times: *const timeval) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { futimesat(AT_FDCWD, path, times) }
}

pub unsafe fn lutimes(path: *const c_char, times: *const timeval) -> c_int {
    if times.is_null() {
        // SAFETY: the caller's contract; no times mean now.
        return unsafe { utimensat(AT_FDCWD, path, core::ptr::null(), libc::AT_SYMLINK_NOFOLLOW) };
    }
    if !user::is_readable(times.cast(), 2 * size_of::<timeval>()) {
        return returned(Err(Errno::EFAULT)) as c_int;
    }
    // SAFETY: two structs that can be read.
    let (accessed, modified) = unsafe { (&*times, &*times.add(1)) };
    let nanoseconds = |time: &timeval| timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1000 };
    let times = [nanoseconds(accessed), nanoseconds(modified)];
    // SAFETY: the caller's contract.
    unsafe { utimensat(AT_FDCWD, path, times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) }
}

pub unsafe fn truncate(path: *const c_char, length: off_t) -> c_int {
    let answer = instance().alter(libc::SYS_truncate, path.cast(), true, [length as usize, 0, 0, 0]);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_truncate, [path as usize, length as usize, 0, 0, 0, 0]) }
}

pub unsafe fn inotify_add_watch(fd: c_int, path: *const c_char, mask: c_uint) -> c_int {
    let answer = instance().inotify_add_watch(fd, path.cast(), mask);
    let args = [fd as usize, path as usize, mask as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_inotify_add_watch, args) }
}

pub unsafe fn fanotify_mark(fd: c_int, flags: c_uint, mask: u64, dirfd: c_int, path: *const c_char) -> c_int {
    let answer = instance().fanotify_mark(fd, flags, mask, dirfd, path.cast());
    let args = [fd as usize, flags as usize, mask as usize, dirfd as usize, path as usize, 0];
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_fanotify_mark, args) }
}
