//! Calls on files. A `*const u8` that is called `path` points to a string
//! that ends in NUL; the kernel checks it and answers `EFAULT` where it does
//! not, so these functions are safe to call with any pointer to read from.

use core::mem::MaybeUninit;

use super::{syscall, syscall4, waiting_syscall};
use crate::errno::Errno;

/// `struct open_how`, see openat2(2).
#[repr(C)]
pub struct OpenHow {
    /// `O_*` flags.
    pub flags: u64,
    /// The mode of a created file.
    pub mode: u64,
    /// `RESOLVE_*` flags.
    pub resolve: u64,
}

/// `RESOLVE_NO_SYMLINKS` of openat2(2).
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;

const fn fd(fd: i32) -> usize {
    fd as isize as usize
}

/// What is opened by these flags is never waited for.
const AT_ONCE: i32 = libc::O_PATH | libc::O_DIRECTORY;

/// openat(2)
#[inline]
pub fn openat(dirfd: i32, path: *const u8, flags: i32, mode: u32) -> Result<i32, Errno> {
    if flags & AT_ONCE != 0 {
        return openat_at_once(dirfd, path, flags, mode);
    }
    let args = [fd(dirfd), path as usize, flags as usize, mode as usize, 0, 0];
    // SAFETY: the kernel only reads the string.
    let ret = unsafe { waiting_syscall(libc::SYS_openat, args) };
    ret.map(|fd| fd as i32)
}

/// openat(2) of a file that is never waited for: no signal keeps it from being opened.
pub fn openat_at_once(dirfd: i32, path: *const u8, flags: i32, mode: u32) -> Result<i32, Errno> {
    let args = [fd(dirfd), path as usize, flags as usize, mode as usize, 0, 0];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_openat, args) }.map(|fd| fd as i32)
}

/// The same, to read: also where the gate calls a handler of the program's.
pub fn open_at_once(path: *const u8) -> Result<i32, Errno> {
    openat_at_once(super::AT_FDCWD, path, libc::O_RDONLY | libc::O_CLOEXEC, 0)
}

/// openat2(2)
pub fn openat2(dirfd: i32, path: *const u8, how: &OpenHow) -> Result<i32, Errno> {
    // SAFETY: the kernel only reads the string and the struct.
    let ret = unsafe { waiting_syscall(libc::SYS_openat2, openat2_args(dirfd, path, how)) };
    ret.map(|fd| fd as i32)
}

/// The same of a file that is never waited for: see [`openat_at_once`].
pub fn openat2_at_once(dirfd: i32, path: *const u8, how: &OpenHow) -> Result<i32, Errno> {
    // SAFETY: the kernel only reads the string and the struct.
    unsafe { syscall(libc::SYS_openat2, openat2_args(dirfd, path, how)) }.map(|fd| fd as i32)
}

#[inline(always)]
fn openat2_args(dirfd: i32, path: *const u8, how: &OpenHow) -> [usize; 6] {
    [fd(dirfd), path as usize, core::ptr::from_ref(how) as usize, size_of::<OpenHow>(), 0, 0]
}

/// close(2)
pub fn close(file: i32) {
    // SAFETY: touches no memory. An error leaves the descriptor closed all the same.
    let _ = unsafe { syscall(libc::SYS_close, [fd(file), 0, 0, 0, 0, 0]) };
}

/// fstat(2). `stat` is a program's, for the kernel to judge.
#[inline]
pub fn fstat(file: i32, stat: *mut libc::stat) -> Result<usize, Errno> {
    // SAFETY: what the kernel cannot write to it answers `EFAULT` for.
    unsafe { syscall4(libc::SYS_fstat, [fd(file), stat as usize, 0, 0]) }
}

/// Whether fcntl(2) says that a descriptor is closed by execve(2).
pub fn closes_on_exec(number: i32) -> bool {
    // SAFETY: no memory is involved.
    let flags = unsafe { syscall(libc::SYS_fcntl, [fd(number), libc::F_GETFD as usize, 0, 0, 0, 0]) };
    flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC as usize != 0)
}

/// fcntl(2) with `F_DUPFD`: a descriptor that stays open over execve(2).
pub fn duplicate(file: i32) -> Result<i32, Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fcntl, [fd(file), libc::F_DUPFD as usize, 0, 0, 0, 0]) }.map(|fd| fd as i32)
}

/// pipe2(2). Fills in the end to read from and the end to write to.
pub fn pipe2(ends: &mut [i32; 2], flags: i32) -> Result<(), Errno> {
    // SAFETY: the kernel writes two descriptors.
    unsafe { syscall(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, flags as usize, 0, 0, 0, 0]) }.map(|_| ())
}

/// fcntl(2) with `F_GETFL`
pub fn status_flags(file: i32) -> Result<i32, Errno> {
    // SAFETY: touches no memory.
    let flags = unsafe { syscall(libc::SYS_fcntl, [fd(file), libc::F_GETFL as usize, 0, 0, 0, 0]) };
    flags.map(|flags| flags as i32)
}

/// fcntl(2) with `F_SETFD`
pub fn set_close_on_exec(file: i32, close: bool) -> Result<(), Errno> {
    let flags = if close { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fcntl, [file as usize, libc::F_SETFD as usize, flags as usize, 0, 0, 0]) }
        .map(|_| ())
}

/// read(2), all that fits.
pub fn read(file: i32, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes no more than the slice's length.
    unsafe { syscall(libc::SYS_read, [fd(file), buf.as_mut_ptr() as usize, buf.len(), 0, 0, 0]) }
}

/// fstatfs(2): the kind of file system that a descriptor's file is on.
pub fn file_system(file: i32) -> Result<u64, Errno> {
    // libcs do not agree on the type of `f_type`, which is the struct's first word.
    let mut about = [0_u64; size_of::<libc::statfs>().div_ceil(8)];
    // SAFETY: the kernel writes one struct.
    unsafe { syscall(libc::SYS_fstatfs, [fd(file), about.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    Ok(about.first().copied().unwrap_or(0))
}

/// memfd_create(2): a file without a name that nobody executes, and that can be sealed.
pub fn memfd_create(name: &core::ffi::CStr) -> Result<i32, Errno> {
    const MFD_NOEXEC_SEAL: u32 = 8;
    let make = |flags: u32| {
        // SAFETY: the kernel only reads the name.
        unsafe { syscall(libc::SYS_memfd_create, [name.as_ptr() as usize, flags as usize, 0, 0, 0, 0]) }
    };
    let made = match make(libc::MFD_CLOEXEC | MFD_NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::EINVAL) => make(libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING),
        made => made,
    };
    made.map(|fd| fd as i32)
}

/// fcntl(2) with `F_ADD_SEALS`: what the file holds stays as it is.
pub fn seal(file: i32) -> Result<(), Errno> {
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fcntl, [fd(file), libc::F_ADD_SEALS as usize, seals as usize, 0, 0, 0]) }
        .map(|_| ())
}

/// fchmod(2)
pub fn fchmod(file: i32, mode: u32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fchmod, [fd(file), mode as usize, 0, 0, 0, 0]) }.map(|_| ())
}

/// dup3(2)
pub fn dup3(old: i32, new: i32, flags: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_dup3, [fd(old), fd(new), flags as usize, 0, 0, 0]) }.map(|_| ())
}

/// pread(2)
pub fn pread(file: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let at = buf.as_mut_ptr() as usize;
    // SAFETY: the kernel writes no more than the slice's length.
    unsafe { syscall(libc::SYS_pread64, [fd(file), at, buf.len(), offset as usize, 0, 0]) }
}

/// write(2)
pub fn write(file: i32, buf: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel only reads the slice.
    unsafe { syscall(libc::SYS_write, [fd(file), buf.as_ptr() as usize, buf.len(), 0, 0, 0]) }
}

/// newfstatat(2)
pub fn fstatat(dirfd: i32, path: *const u8, flags: i32) -> Result<libc::stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    let args = [fd(dirfd), path as usize, stat.as_mut_ptr() as usize, flags as usize, 0, 0];
    // SAFETY: the kernel writes one struct stat.
    unsafe { syscall(libc::SYS_newfstatat, args) }?;
    // SAFETY: the call succeeded, so the kernel has filled it.
    Ok(unsafe { stat.assume_init() })
}

/// statx(2) of a descriptor: which inode it is, and when that was made.
pub fn birth(file: i32) -> Result<libc::statx, Errno> {
    let mut about = MaybeUninit::<libc::statx>::zeroed();
    let (flags, mask) = (libc::AT_EMPTY_PATH as usize, (libc::STATX_BTIME | libc::STATX_INO) as usize);
    let args = [fd(file), c"".as_ptr() as usize, flags, mask, about.as_mut_ptr() as usize, 0];
    // SAFETY: the kernel writes one struct.
    unsafe { syscall(libc::SYS_statx, args) }?;
    // SAFETY: the call succeeded, so the kernel has filled it.
    Ok(unsafe { about.assume_init() })
}

/// readlinkat(2): as much of the target as `buf` has room for. `buf` need not have been written to.
pub fn readlinkat(dirfd: i32, path: *const u8, buf: &mut [MaybeUninit<u8>]) -> Result<&[u8], Errno> {
    let args = [fd(dirfd), path as usize, buf.as_mut_ptr() as usize, buf.len()];
    // SAFETY: the kernel writes no more than the slice's length.
    let len = unsafe { syscall4(libc::SYS_readlinkat, args) }?;
    Ok(written(buf, len))
}

/// faccessat2(2) with no flags: by the effective rights would need `AT_EACCESS`.
pub fn faccessat(dirfd: i32, path: *const u8, mode: i32) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_faccessat, [fd(dirfd), path as usize, mode as usize, 0, 0, 0]) }?;
    Ok(())
}

/// faccessat2(2)
pub fn faccessat2(dirfd: i32, path: *const u8, mode: i32, flags: i32) -> Result<(), Errno> {
    let args = [fd(dirfd), path as usize, mode as usize, flags as usize, 0, 0];
    // SAFETY: the kernel only reads the string.
    unsafe { syscall(libc::SYS_faccessat2, args) }.map(|_| ())
}

/// getcwd(2): the path without its NUL. `buf` need not have been written to.
pub fn getcwd(buf: &mut [MaybeUninit<u8>]) -> Result<&[u8], Errno> {
    // SAFETY: the kernel writes no more than the slice's length.
    let len = unsafe { syscall(libc::SYS_getcwd, [buf.as_mut_ptr() as usize, buf.len(), 0, 0, 0, 0]) }?;
    Ok(written(buf, len.saturating_sub(1)))
}

/// getcwd(2) to where the program wants the path: its length, with the NUL.
pub fn getcwd_to(buf: *mut u8, size: usize) -> Result<usize, Errno> {
    // SAFETY: the program's pointer, for the kernel to judge.
    unsafe { syscall(libc::SYS_getcwd, [buf as usize, size, 0, 0, 0, 0]) }
}

/// What the kernel says that it has written.
fn written(buf: &[MaybeUninit<u8>], len: usize) -> &[u8] {
    let len = len.min(buf.len());
    // SAFETY: the kernel has written as many.
    unsafe { core::slice::from_raw_parts(buf.as_ptr().cast(), len) }
}

/// getdents64(2): how many bytes of `buf` the entries took.
pub fn getdents64(dir: i32, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes no more than the slice's length.
    unsafe { getdents64_at(dir, buf.as_mut_ptr(), buf.len()) }
}

/// The same into memory that the kernel is to find writable.
///
/// # Safety
///
/// What the kernel can write to of the `len` bytes is the caller's to have written.
pub unsafe fn getdents64_at(dir: i32, buf: *mut u8, len: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { syscall(libc::SYS_getdents64, [fd(dir), buf as usize, len, 0, 0, 0]) }
}

/// lseek(2)
pub fn lseek(file: i32, offset: i64, whence: i32) -> Result<usize, Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_lseek, [fd(file), offset as usize, whence as usize, 0, 0, 0]) }
}

/// fgetxattr(2): whether the descriptor's file has the attribute `name` (which ends in NUL).
pub fn has_xattr(file: i32, name: &core::ffi::CStr) -> bool {
    // SAFETY: the kernel reads the name and, with size 0, writes nothing.
    unsafe { syscall(libc::SYS_fgetxattr, [fd(file), name.as_ptr() as usize, 0, 0, 0, 0]) }.is_ok()
}
