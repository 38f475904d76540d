//! The process element: what becomes of a program when it starts another.
//!
//! A new program must come under the same view, whatever environment it is
//! given and however it is named. [`program`] looks at the file before the
//! kernel does; [`exec`] makes the arguments and the environment that start
//! it, and refuses what no door would cover. [`loader`] is for programs that are
//! started by naming their ld.so.

pub mod elf;
pub mod exec;
mod executable;
pub mod gated;
pub mod loader;
pub mod maps;
mod named;
pub mod program;
pub mod symbols;

pub use executable::set_program;

use core::sync::atomic::{AtomicI32, Ordering};

/// How much of the data of a program that ld.so prepares, and of its libraries, is had with its pages, in bytes. Nearly all of
/// them are written to, and a page by a fault takes twice as long as one of many. Of what is larger, much may be data
/// that few programs look at.
pub const DATA_AT_ONCE: usize = 2 * 1024 * 1024;

/// The process whose memory this is; 0 where that is not watched.
#[unsafe(link_section = ".data.start")]
static OWNER: AtomicI32 = AtomicI32::new(0);

/// Tells whose memory this is: at the start, and in the child after a fork.
pub fn set_owner(pid: i32) {
    OWNER.store(pid, Ordering::Relaxed);
}

/// Whether this process runs in another's memory, as a vfork child does.
pub fn is_borrower() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != crate::kernel::getpid()
}
