//! Who a process is to its programs: ids, groups and capabilities that the kernel
//! knows nothing of.
//!
//! [`rules`] are the kernel's, on plain values. [`own`] is this process's copy, which
//! every getter reads; what others may want to know of it, and what execve(2) would
//! lose, is in the pages that the instance's processes share
//! ([`crate::shared::credentials`]). [`calls`] are the system calls, and [`other`] is
//! what another process is; [`signals`] are who may signal whom.

mod calls;
mod capabilities;
mod other;
mod own;
mod rules;
mod signals;
mod sockets;
mod threads;

pub use calls::Whom;
pub use capabilities::OPTIONS;
pub use other::Shown;
pub use own::{Scope, begin_as};
pub use rules::{ALL, Credentials, Ids, MOST_GROUPS, OfFile, RunsAs, UNCHANGED, WORDS, capability, secure};
pub use signals::{Info, SENDER_ROOM};
pub use sockets::Control;
