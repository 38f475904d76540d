//! Calls on processes and their memory.

use super::{arch, syscall};
use crate::errno::Errno;

/// getpid(2)
pub fn getpid() -> i32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as i32
}

/// getppid(2)
pub fn getppid() -> u32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_getppid, [0; 6]) }.unwrap_or(0) as u32
}

/// prlimit(2): how long a core dump of this process may be. None: the kernel does not say.
pub fn core_limit() -> Option<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let args = [0, libc::RLIMIT_CORE as usize, 0, &raw mut limit as usize, 0, 0];
    // SAFETY: the kernel writes one struct.
    unsafe { syscall(libc::SYS_prlimit64, args) }.ok().map(|_| limit.rlim_cur)
}

/// getpgrp(2)
pub fn getpgrp() -> i32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_getpgrp, [0; 6]) }.unwrap_or(0) as i32
}

/// gettid(2)
pub fn gettid() -> i32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as i32
}

/// getuid(2)
pub fn getuid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_getuid, [0; 6]) }.unwrap_or(0) as u32
}

/// getgid(2)
pub fn getgid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_getgid, [0; 6]) }.unwrap_or(0) as u32
}

/// geteuid(2)
pub fn geteuid() -> u32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_geteuid, [0; 6]) }.unwrap_or(0) as u32
}

/// getegid(2)
pub fn getegid() -> u32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { syscall(libc::SYS_getegid, [0; 6]) }.unwrap_or(0) as u32
}

/// Whether this process has a group beside its own, of the first 256 that it has. getgroups(2)
pub fn has_group(group: u32) -> bool {
    let mut groups = [0_u32; 256];
    // SAFETY: the kernel writes no more than the array's length.
    let count =
        unsafe { syscall(libc::SYS_getgroups, [groups.len(), groups.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    groups.get(..count.unwrap_or(0)).is_some_and(|groups| groups.contains(&group))
}

/// mmap(2) of a file from its start, shared. Gives the address.
pub fn map_file(file: i32, len: usize, protection: i32) -> Result<usize, Errno> {
    let args = [0, len, protection as usize, libc::MAP_SHARED as usize, file as usize, 0];
    // SAFETY: the kernel picks a free range, so nothing that is mapped changes.
    unsafe { syscall(libc::SYS_mmap, args) }
}

/// mprotect(2): gives the right to write to pages.
///
/// # Safety
///
/// They are the caller's own mapping, of what may change.
pub unsafe fn allow_writing(address: usize, len: usize) -> Result<(), Errno> {
    let args = [address, len, (libc::PROT_READ | libc::PROT_WRITE) as usize, 0, 0, 0];
    // SAFETY: the caller's promise.
    unsafe { syscall(libc::SYS_mprotect, args) }.map(|_| ())
}

/// mmap(2) of the beginning of a file over what is mapped at an address.
///
/// # Safety
///
/// What is there is the caller's own, and may become the file's.
pub unsafe fn map_over(file: i32, address: usize, len: usize, protection: i32) -> Result<(), Errno> {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let args = [address, len, protection as usize, flags as usize, file as usize, 0];
    // SAFETY: the caller's promise.
    unsafe { syscall(libc::SYS_mmap, args) }.map(|_| ())
}

/// mmap(2) of the beginning of a file as it is, to write to as to a copy of one's own. Gives the address.
pub fn map_copy(file: i32, len: usize) -> Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let args = [0, len, protection as usize, libc::MAP_PRIVATE as usize, file as usize, 0];
    // SAFETY: the kernel picks a free range, so nothing that is mapped changes.
    unsafe { syscall(libc::SYS_mmap, args) }
}

/// mmap(2) of fresh private memory. Gives the address.
pub fn map_anonymous(len: usize) -> Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let args = [0, len, protection as usize, flags as usize, usize::MAX, 0];
    // SAFETY: the kernel picks a free range, so nothing that is mapped changes.
    unsafe { syscall(libc::SYS_mmap, args) }
}

/// mmap(2) of fresh memory that is one mapping by itself: private memory may
/// become one with what lies beside it. Gives the address.
pub fn map_apart(len: usize) -> Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let args = [0, len, protection as usize, flags as usize, usize::MAX, 0];
    // SAFETY: the kernel picks a free range, so nothing that is mapped changes.
    unsafe { syscall(libc::SYS_mmap, args) }
}

/// brk(2): the program break as it is. The highest address where it cannot be told.
pub fn program_break() -> usize {
    // SAFETY: a request for address 0 changes nothing.
    unsafe { syscall(libc::SYS_brk, [0; 6]) }.unwrap_or(usize::MAX)
}

/// munmap(2)
///
/// # Safety
///
/// Nothing may use the range any more.
pub unsafe fn unmap(address: usize, len: usize) {
    // SAFETY: the caller has done with the range.
    let _ = unsafe { syscall(libc::SYS_munmap, [address, len, 0, 0, 0, 0]) };
}

/// Gives anonymous memory back: it holds zeros from now on.
///
/// # Safety
///
/// What stands in the range may be lost.
pub unsafe fn discard(address: usize, len: usize) {
    let advice = libc::MADV_DONTNEED as usize;
    // SAFETY: the caller has done with what stands there.
    let _ = unsafe { syscall(libc::SYS_madvise, [address, len, advice, 0, 0, 0]) };
}

/// Has pages of ours ready to be written to (Linux 5.14), which saves a fault for
/// each. Where the kernel does not know how, they come one by one.
pub fn populate(address: usize, len: usize) {
    let advice = libc::MADV_POPULATE_WRITE as usize;
    // SAFETY: what stands in the pages stays.
    let _ = unsafe { syscall(libc::SYS_madvise, [address, len, advice, 0, 0, 0]) };
}

/// Has room on the disk for pages of a file that is mapped, so that a disk that is full says so here
/// and not by SIGBUS when they are written to. Kernels before 5.14 do not tell.
///
/// # Errors
///
/// `ENOSPC`
pub fn reserve(address: usize, len: usize) -> Result<(), Errno> {
    let advice = libc::MADV_POPULATE_WRITE as usize;
    // SAFETY: what stands in the pages stays.
    match unsafe { syscall(libc::SYS_madvise, [address, len, advice, 0, 0, 0]) } {
        Err(Errno::EFAULT | Errno::ENOMEM) => Err(Errno::ENOSPC),
        _ => Ok(()),
    }
}

/// The time of day, in seconds; none where the system has no such clock.
pub fn seconds() -> Option<i64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let args = [libc::CLOCK_REALTIME_COARSE as usize, &raw mut time as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes one timespec.
    unsafe { syscall(libc::SYS_clock_gettime, args) }.ok().map(|_| time.tv_sec)
}

/// exit_group(2)
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: touches no memory and does not return.
        let _ = unsafe { syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Whether the eight bytes at `address` can be read, without reading them.
///
/// rt_sigprocmask(2) copies its mask in before it looks at what to do with
/// it, so a call that asks for nothing sensible answers `EFAULT` or `EINVAL`
/// and changes nothing. It is the cheapest call that does.
pub fn is_readable(address: usize) -> bool {
    let nonsense = usize::MAX;
    // SAFETY: the kernel reads eight bytes and refuses the request.
    let ret = unsafe { syscall(libc::SYS_rt_sigprocmask, [nonsense, address, 0, 8, 0, 0]) };
    ret != Err(Errno::EFAULT)
}

/// Whether the byte at `address` can be written. It keeps its value.
///
/// A word that holds the byte is compared and swapped with itself by
/// futex(2)'s `FUTEX_WAKE_OP`, adding nothing.
pub fn is_writable(address: usize) -> bool {
    const FUTEX_WAKE_OP: usize = 5;
    const PRIVATE: usize = 128;
    // FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)
    const ADD_NOTHING: usize = 1 << 28;
    let word = address & !3;
    // SAFETY: an atomic addition of 0 changes nothing; nobody waits there
    // whom a wake-up of no one could wake.
    let ret = unsafe { syscall(libc::SYS_futex, [word, FUTEX_WAKE_OP | PRIVATE, 0, 0, word, ADD_NOTHING]) };
    ret != Err(Errno::EFAULT)
}

/// getrandom(2): eight bytes, from wherever they can be had without waiting.
pub fn random() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: the kernel writes no more than eight bytes.
    let got = unsafe { syscall(libc::SYS_getrandom, [bytes.as_mut_ptr() as usize, 8, 1, 0, 0, 0]) };
    if got == Ok(8) {
        return u64::from_ne_bytes(bytes);
    }
    // Names need to differ, not to be secret.
    core::ptr::from_ref(&bytes) as u64 ^ (getpid() as u64) << 32 ^ arch::ticks()
}
