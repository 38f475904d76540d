//! The store of images: what others made and sent, taken apart with care, and
//! kept as layers that the kernel's overlayfs and the union can both read.

#![forbid(unsafe_code)]

pub mod archive;
mod attributes;
mod compression;
mod digest;
mod dir;
mod directory;
pub mod header;
pub mod import;
pub mod limits;
mod manifest;
mod members;
mod pax;
pub mod source;
mod sparse;
pub mod store;
mod tree;
mod unpack;
mod zstd;

pub use digest::Digest;
pub use import::{Import, import};
pub use limits::Limits;
pub use store::{Image, Layer, Store, User};
