//! The process element: what becomes of a program when it starts another.
//!
//! A new program must come under the same view, whatever environment it is
//! given and however it is named. [`program`] looks at the file before the
//! kernel does; [`exec`] makes the arguments and the environment that start
//! it, and refuses what no door would cover. [`loader`] is for programs that are
//! started by naming their ld.so.

pub mod exec;
pub mod loader;
pub mod program;
