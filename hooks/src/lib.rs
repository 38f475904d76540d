//! The hook table: every libc symbol that takes a path or gives one back, and
//! what becomes of it.
//!
//! [`for_each_hook!`] is the one list of what the shim exports. The shim
//! expands it into exported functions and their aliases, this crate expands
//! it into [`HOOKS`], and documentation, `doctor` and the coverage test read
//! that. To add a hook is to add a line here and the function it names in
//! `shim/src/hooks/<family>.rs`.
#![no_std]
#![forbid(unsafe_code)]

mod list;

/// A symbol that the shim exports.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// The file of `shim/src/hooks/` that holds the function.
    pub family: &'static str,
    /// The manual page and its section.
    pub page: &'static str,
    /// The symbol whose name the function has.
    pub name: &'static str,
    /// Further symbols with the same meaning.
    pub aliases: &'static [&'static str],
}

macro_rules! table {
    ($($family:ident $page:literal fn $name:ident [$($alias:ident)*] $args:tt $(-> $ret:ty)?;)*) => {
        /// All symbols that the shim exports, in the order of the list.
        pub const HOOKS: &[Hook] = &[
            $(Hook {
                family: stringify!($family),
                page: $page,
                name: stringify!($name),
                aliases: &[$(stringify!($alias)),*],
            }),*
        ];
    };
}

for_each_hook!(table);
