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

const fn by_hand(
    family: &'static str,
    page: &'static str,
    name: &'static str,
    aliases: &'static [&'static str],
) -> Hook {
    Hook { family, page, name, aliases }
}

/// The symbols whose functions are written in assembly, since Rust cannot
/// define them: variadic ones, and those whose caller must stay their caller.
pub const BY_HAND: &[Hook] = &[
    by_hand("load", "dlopen(3)", "dlmopen", &[]),
    by_hand("load", "dlopen(3)", "dlopen", &[]),
    by_hand("variadic", "exec(3)", "execl", &[]),
    by_hand("variadic", "exec(3)", "execle", &[]),
    by_hand("variadic", "exec(3)", "execlp", &[]),
    by_hand("vfork", "vfork(2)", "vfork", &["__vfork"]),
];

/// A symbol of libc that opens files by calls of its own, which no symbol
/// stands before: only the gate sees those.
#[derive(Clone, Copy, Debug)]
pub struct NeedsGate {
    /// The symbol.
    pub name: &'static str,
    /// What passes the shim by.
    pub what: &'static str,
}

const fn needs_gate(name: &'static str, what: &'static str) -> NeedsGate {
    NeedsGate { name, what }
}

/// The symbols that the shim cannot serve. They work on the host's own files.
pub const NEEDS_GATE: &[NeedsGate] = &[
    needs_gate("catopen", "message catalogues are opened inside libc"),
    needs_gate("iconv_open", "character set modules are opened inside libc"),
    needs_gate("wordexp", "the shell is started inside libc"),
    needs_gate("getpwnam", "/etc/passwd is read inside libc"),
    needs_gate("getpwuid", "/etc/passwd is read inside libc"),
    needs_gate("getpwent", "/etc/passwd is read inside libc"),
    needs_gate("getgrnam", "/etc/group is read inside libc"),
    needs_gate("getgrgid", "/etc/group is read inside libc"),
    needs_gate("getgrent", "/etc/group is read inside libc"),
    needs_gate("getaddrinfo", "/etc/hosts and /etc/resolv.conf are read inside libc"),
    needs_gate("gethostbyname", "/etc/hosts and /etc/resolv.conf are read inside libc"),
    needs_gate("getservbyname", "/etc/services is read inside libc"),
    needs_gate("setmntent", "the table of mounts is opened inside libc"),
];
