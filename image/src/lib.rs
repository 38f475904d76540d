//! The store of images: what others made and sent, taken apart with care, and
//! kept as layers that the kernel's overlayfs and the union can both read.

#![forbid(unsafe_code)]

pub mod archive;
mod attributes;
pub mod bundle;
pub mod changes;
pub mod commit;
pub mod compress;
pub mod compression;
pub mod diff;
mod digest;
mod dir;
pub mod header;
mod holes;
pub mod import;
pub mod kept;
pub mod layout;
pub mod limits;
mod links;
mod manifest;
mod members;
pub mod merge;
mod owners;
mod pack;
mod pax;
pub mod source;
mod sparse;
pub mod store;
mod tree;
mod unpack;
pub mod writer;
mod zstd;

pub use digest::Digest;
pub use import::{Import, import};
pub use limits::Limits;
pub use store::{Image, Layer, Store, User};
