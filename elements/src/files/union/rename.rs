//! Rename.
