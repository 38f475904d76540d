//! The program's own data, which is had with its pages at once.
//!
//! The gate maps a program's data so. Here it has been mapped, and what ld.so has relocated has been written to.

use elements::kernel;
use elements::process::DATA_AT_ONCE;

/// Less is not worth a system call.
const LEAST: usize = 16 * PAGE;
const PAGE: usize = 4096;

/// Has the pages of a program's data that ld.so has left writable.
pub fn populate(base: usize, headers: &[libc::Elf64_Phdr]) {
    let end = |header: &libc::Elf64_Phdr, len: u64| {
        base.wrapping_add(header.p_vaddr as usize).wrapping_add(len as usize)
    };
    let of_kind = |kind, flags| {
        headers.iter().find(move |header| header.p_type == kind && header.p_flags & flags == flags)
    };
    let Some(data) = of_kind(libc::PT_LOAD, libc::PF_W) else { return };
    let settled = of_kind(libc::PT_GNU_RELRO, 0).map_or(0, |relro| end(relro, relro.p_memsz));
    let start = end(data, 0).max(settled).next_multiple_of(PAGE);
    let len = end(data, data.p_filesz).saturating_sub(start);
    if (LEAST..=DATA_AT_ONCE).contains(&len) {
        kernel::populate(start, len);
    }
}
