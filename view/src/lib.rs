//! The compiled view: what one application sees, as a flat image.
//!
//! The policy compiler writes it once (`build`, behind the feature of that
//! name); every process of the application maps it read-only and looks things
//! up in it. Think of it as two path tables over one list of mounts:
//!
//! - the *app tree* leads from an app path to the mount that governs it, and
//! - the *host tree* leads from a host path back to the mount that shows it.
//!
//! A tree has a node for every path that is a mount point or lies above one.
//! Nothing in the image is a pointer, so it can be mapped anywhere, and
//! [`View::from_bytes`] checks every offset once, so that the look-ups that
//! follow need no allocation, no lock and no panic.

#![cfg_attr(not(feature = "build"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "build")]
pub mod build;
mod identity;
mod ipc;
mod key;
mod layout;
mod time;
mod tree;

pub use identity::{Identity, LONGEST};
pub use ipc::Ipc;
pub use key::Key;
pub use layout::{Access, Kind, LABEL, MAX_LAYERS, Malformed, Mount, Node, View, Way, flags};
pub use time::{Begins, RATE_ONE, Time};
pub use tree::{First, NodeId, Reach, Stop, bit};
