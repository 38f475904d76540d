//! What reads foreign bytes, as functions that any bytes can be given to.
//!
//! A target is `fn target(&[u8])`: it panics, or crashes, if the bytes do harm.
//! cargo-fuzz drives it for as long as one likes (`fuzz/fuzz_targets`), and a
//! test of this crate with a bounded number of inputs, so that it is never
//! forgotten. Both begin with the `seeds`: inputs that are right, and those that
//! once did harm.

pub mod address;
pub mod export;
pub mod guarded;
pub mod mappings;
pub mod mutate;
pub mod network;
pub mod policy_text;
pub mod program;
pub mod tar_archive;
pub mod view_image;
