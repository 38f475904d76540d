//! Calls that change files, as a union makes them on its write layer. Paths are
//! as in [`super::fs`].

use core::ffi::CStr;

use super::syscall;
use crate::errno::Errno;

const fn fd(fd: i32) -> usize {
    fd as isize as usize
}

/// mkdirat(2)
pub fn mkdirat(dirfd: i32, path: *const u8, mode: u32) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_mkdirat, [fd(dirfd), path as usize, mode as usize, 0, 0, 0]) }.map(|_| ())
}

/// mknodat(2)
pub fn mknodat(dirfd: i32, path: *const u8, mode: u32, device: u64) -> Result<(), Errno> {
    let args = [fd(dirfd), path as usize, mode as usize, device as usize, 0, 0];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_mknodat, args) }.map(|_| ())
}

/// symlinkat(2)
pub fn symlinkat(target: *const u8, dirfd: i32, path: *const u8) -> Result<(), Errno> {
    let args = [target as usize, fd(dirfd), path as usize, 0, 0, 0];
    // SAFETY: the kernel only reads the strings.
    unsafe { syscall(libc::SYS_symlinkat, args) }.map(|_| ())
}

/// linkat(2)
pub fn linkat(from: (i32, *const u8), to: (i32, *const u8), flags: i32) -> Result<(), Errno> {
    let args = [fd(from.0), from.1 as usize, fd(to.0), to.1 as usize, flags as usize, 0];
    // SAFETY: the kernel only reads the strings.
    unsafe { syscall(libc::SYS_linkat, args) }.map(|_| ())
}

/// unlinkat(2)
pub fn unlinkat(dirfd: i32, path: *const u8, flags: i32) -> Result<(), Errno> {
    let args = [fd(dirfd), path as usize, flags as usize, 0, 0, 0];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_unlinkat, args) }.map(|_| ())
}

/// renameat2(2)
pub fn renameat2(from: (i32, *const u8), to: (i32, *const u8), flags: u32) -> Result<(), Errno> {
    let args = [fd(from.0), from.1 as usize, fd(to.0), to.1 as usize, flags as usize, 0];
    // SAFETY: the kernel only reads the strings.
    unsafe { syscall(libc::SYS_renameat2, args) }.map(|_| ())
}

/// fchmodat(2), which follows links.
pub fn fchmodat(dirfd: i32, path: *const u8, mode: u32) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_fchmodat, [fd(dirfd), path as usize, mode as usize, 0, 0, 0]) }.map(|_| ())
}

/// fchownat(2)
pub fn fchownat(dirfd: i32, path: *const u8, uid: u32, gid: u32, flags: i32) -> Result<(), Errno> {
    let args = [fd(dirfd), path as usize, uid as usize, gid as usize, flags as usize, 0];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_fchownat, args) }.map(|_| ())
}

/// utimensat(2). A null path is `dirfd` itself.
pub fn utimensat(dirfd: i32, path: *const u8, times: &[libc::timespec; 2], flags: i32) -> Result<(), Errno> {
    let args = [fd(dirfd), path as usize, times.as_ptr() as usize, flags as usize, 0, 0];
    // SAFETY: the kernel only reads the string and the times.
    unsafe { syscall(libc::SYS_utimensat, args) }.map(|_| ())
}

/// ftruncate(2)
pub fn ftruncate(file: i32, len: u64) -> Result<(), Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_ftruncate, [fd(file), len as usize, 0, 0, 0, 0]) }.map(|_| ())
}

/// ioctl(2) with `FICLONE`: makes `to` share all of `from`'s data.
pub fn clone_file(to: i32, from: i32) -> Result<(), Errno> {
    const FICLONE: usize = 0x4004_9409;
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_ioctl, [fd(to), FICLONE, fd(from), 0, 0, 0]) }.map(|_| ())
}

/// copy_file_range(2): how many bytes were copied, from and to the same offset.
pub fn copy_file_range(from: i32, to: i32, offset: u64, len: usize) -> Result<usize, Errno> {
    let (mut source, mut target) = (offset, offset);
    let args = [fd(from), &raw mut source as usize, fd(to), &raw mut target as usize, len, 0];
    // SAFETY: the kernel reads and writes the two offsets.
    unsafe { syscall(libc::SYS_copy_file_range, args) }
}

/// pwrite(2)
pub fn pwrite(file: i32, buf: &[u8], offset: u64) -> Result<usize, Errno> {
    let args = [fd(file), buf.as_ptr() as usize, buf.len(), offset as usize, 0, 0];
    // SAFETY: the kernel only reads the slice.
    unsafe { syscall(libc::SYS_pwrite64, args) }
}

/// fsync(2)
pub fn fsync(file: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fsync, [fd(file), 0, 0, 0, 0, 0]) }.map(|_| ())
}

/// lgetxattr(2): how many bytes of `value` it took; with no room, how many it takes.
pub fn lgetxattr(path: *const u8, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    let args = [path as usize, name.as_ptr() as usize, value.as_mut_ptr() as usize, value.len(), 0, 0];
    // SAFETY: the kernel reads the strings and writes no more than the slice's length.
    unsafe { syscall(libc::SYS_lgetxattr, args) }
}

/// fgetxattr(2), as [`lgetxattr`].
pub fn fgetxattr(file: i32, name: *const u8, value: &mut [u8]) -> Result<usize, Errno> {
    let args = [fd(file), name as usize, value.as_mut_ptr() as usize, value.len(), 0, 0];
    // SAFETY: the kernel reads the string and writes no more than the slice's length.
    unsafe { syscall(libc::SYS_fgetxattr, args) }
}

/// getxattr(2), which follows links: how many bytes of `value` it took.
pub fn getxattr(path: *const u8, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    let args = [path as usize, name.as_ptr() as usize, value.as_mut_ptr() as usize, value.len(), 0, 0];
    // SAFETY: the kernel reads the strings and writes no more than the slice's length.
    unsafe { syscall(libc::SYS_getxattr, args) }
}

/// setxattr(2), which follows links.
pub fn setxattr(path: *const u8, name: *const u8, value: &[u8], flags: i32) -> Result<(), Errno> {
    let args = [path as usize, name as usize, value.as_ptr() as usize, value.len(), flags as usize, 0];
    // SAFETY: the kernel only reads the strings and the slice.
    unsafe { syscall(libc::SYS_setxattr, args) }.map(|_| ())
}

/// removexattr(2), which follows links.
pub fn removexattr(path: *const u8, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the strings.
    unsafe { syscall(libc::SYS_removexattr, [path as usize, name.as_ptr() as usize, 0, 0, 0, 0]) }.map(|_| ())
}

/// chmod(2), which follows links.
pub fn chmod(path: *const u8, mode: u32) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_chmod, [path as usize, mode as usize, 0, 0, 0, 0]) }.map(|_| ())
}

/// chdir(2)
pub fn chdir(path: *const u8) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_chdir, [path as usize, 0, 0, 0, 0, 0]) }.map(|_| ())
}

/// lsetxattr(2)
pub fn lsetxattr(path: *const u8, name: *const u8, value: &[u8], flags: i32) -> Result<(), Errno> {
    let args = [path as usize, name as usize, value.as_ptr() as usize, value.len(), flags as usize, 0];
    // SAFETY: the kernel only reads the strings and the slice.
    unsafe { syscall(libc::SYS_lsetxattr, args) }.map(|_| ())
}

/// lremovexattr(2)
pub fn lremovexattr(path: *const u8, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the strings.
    unsafe { syscall(libc::SYS_lremovexattr, [path as usize, name.as_ptr() as usize, 0, 0, 0, 0]) }
        .map(|_| ())
}

/// llistxattr(2): how many bytes of `names` they took.
pub fn llistxattr(path: *const u8, names: &mut [u8]) -> Result<usize, Errno> {
    let args = [path as usize, names.as_mut_ptr() as usize, names.len(), 0, 0, 0];
    // SAFETY: the kernel reads the string and writes no more than the slice's length.
    unsafe { syscall(libc::SYS_llistxattr, args) }
}

/// [`lgetxattr`] of a name that is no constant; it ends in NUL.
pub fn lgetxattr_by(path: *const u8, name: *const u8, value: &mut [u8]) -> Result<usize, Errno> {
    let args = [path as usize, name as usize, value.as_mut_ptr() as usize, value.len(), 0, 0];
    // SAFETY: the kernel reads the strings and writes no more than the slice's length.
    unsafe { syscall(libc::SYS_lgetxattr, args) }
}

/// fsetxattr(2)
pub fn fsetxattr(file: i32, name: *const u8, value: &[u8]) -> Result<(), Errno> {
    let args = [fd(file), name as usize, value.as_ptr() as usize, value.len(), 0, 0];
    // SAFETY: the kernel only reads the string and the slice.
    unsafe { syscall(libc::SYS_fsetxattr, args) }.map(|_| ())
}
