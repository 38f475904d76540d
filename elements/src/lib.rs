//! The elements: user-mode replicas of kernel-facing functions.
//!
//! This code runs inside other people's processes: in signal handlers, in
//! vfork children that share their parent's memory, on small stacks, before
//! libc has started. So nothing here allocates, locks, panics, uses
//! thread-local storage or calls libc; buffers are on the stack, and state is
//! immutable or a plain atomic.
//!
//! An element function takes the arguments of the system call that it stands
//! for and gives an [`Answer`]: either the call is none of its business and
//! the door makes it unchanged, or it is done and this is its result. No
//! semantics live in a door.

#![cfg_attr(not(test), no_std)]
#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "a program's pointers may be anything, as for the kernel: they are checked before they are read"
)]

pub mod calls;
pub mod errno;
pub mod files;
pub mod identity;
pub mod instance;
pub mod ipc;
pub mod kernel;
pub mod proc;
pub mod process;
pub mod shared;
pub mod time;
pub mod trace;
pub mod user;

pub use errno::Errno;
pub use instance::Instance;

/// What an element makes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The element has no say: the door makes the call as it was asked.
    Pass,
    /// The call is done. The value is the kernel's, never negative.
    Done(Result<usize, Errno>),
}

impl Answer {
    /// A refusal.
    pub fn fail(errno: Errno) -> Answer {
        Answer::Done(Err(errno))
    }
}
