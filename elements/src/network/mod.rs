//! The network element: where an address leads that the program asks for, and
//! what it is told of the one that it got.
//!
//! On the way in, the view's rules say where the kernel is led (`lead`). On the
//! way back the kernel's address is read backwards by the same rules (`back`).
//! So nothing need be kept for a socket: a duplicate of a descriptor, one that came by
//! SCM_RIGHTS or over execve(2), tells the same as the first. Only where the
//! rules read backwards give another address than the one that was asked for, that is
//! kept in the instance's shared pages ([`crate::shared::asked`]): for what
//! was bound by the kernel's address, which one socket has at a time; for what was connected by the
//! socket's cookie, which no other socket ever gets.
//!
//! A stream that is connected is the kernel's alone: read(2), write(2), send(2)
//! and recv(2) do not come here.

pub mod address;
mod back;
mod control;
pub mod dns;
mod lead;
pub mod names;
pub mod numbers;
mod queries;
pub mod rows;
pub mod selection;
mod unix;
mod watched;

pub use back::Name;
pub use lead::Outgoing;
pub use queries::Way;
pub(crate) use unix::LEVELS;
