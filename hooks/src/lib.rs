//! The hook table: every libc symbol that takes a path or gives one back, and
//! what becomes of it.
//!
//! A symbol is in one of three states. [`HOOKS`] has those that the shim
//! exports; [`SAFE`] those that are right without a hook; [`NEEDS_GATE`] those
//! that only the gate can serve. docs/symbols.md is written from them, a test
//! holds them against the libc that it runs on, and `doctor` reads them.
//!
//! [`for_each_hook!`] is the one list of what the shim exports. The shim
//! expands it into exported functions and their aliases, this crate expands
//! it into [`HOOKS`]. To add a hook is to add a line here and the function it
//! names in `shim/src/hooks/<family>.rs`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "page")]
extern crate alloc;

mod libcs;
mod list;
mod needs_gate;
#[cfg(feature = "page")]
mod page;
mod safe;

pub use libcs::{is_in_glibc, is_in_musl};
pub use needs_gate::NEEDS_GATE;
#[cfg(feature = "page")]
pub use page::page;
pub use safe::SAFE;

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

impl Hook {
    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        core::iter::once(self.name).chain(self.aliases.iter().copied())
    }
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
    by_hand("wait", "clock_nanosleep(2)", "clock_nanosleep", &[]),
    by_hand("wait", "pthread_cond_timedwait(3)", "pthread_cond_timedwait", &[]),
    by_hand("wait", "pthread_cond_timedwait(3)", "pthread_cond_clockwait", &[]),
    by_hand("wait", "pthread_mutex_timedlock(3)", "pthread_mutex_timedlock", &[]),
    by_hand("wait", "pthread_mutex_timedlock(3)", "pthread_mutex_clocklock", &[]),
    by_hand("wait", "pthread_rwlock_timedrdlock(3)", "pthread_rwlock_timedrdlock", &[]),
    by_hand("wait", "pthread_rwlock_timedrdlock(3)", "pthread_rwlock_clockrdlock", &[]),
    by_hand("wait", "pthread_rwlock_timedwrlock(3)", "pthread_rwlock_timedwrlock", &[]),
    by_hand("wait", "pthread_rwlock_timedwrlock(3)", "pthread_rwlock_clockwrlock", &[]),
    by_hand("wait", "pthread_tryjoin_np(3)", "pthread_timedjoin_np", &[]),
    by_hand("wait", "pthread_tryjoin_np(3)", "pthread_clockjoin_np", &[]),
    by_hand("wait", "sem_wait(3)", "sem_timedwait", &[]),
    by_hand("wait", "sem_wait(3)", "sem_clockwait", &[]),
    by_hand("wait", "mq_send(3)", "mq_timedsend", &[]),
    by_hand("wait", "mq_receive(3)", "mq_timedreceive", &[]),
    by_hand("wait", "cnd_timedwait(3)", "cnd_timedwait", &[]),
    by_hand("wait", "mtx_timedlock(3)", "mtx_timedlock", &[]),
];

/// Every symbol that the shim exports, aliases too.
pub fn exported() -> impl Iterator<Item = &'static str> {
    HOOKS.iter().chain(BY_HAND).flat_map(Hook::names)
}

/// Symbols without a hook that share the reason for it.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they have to do with, in a word.
    pub family: &'static str,
    /// The reason, in a line.
    pub why: &'static str,
    /// The paths that they open, where these are fixed: a view that leaves
    /// them alone leaves the symbols right.
    pub paths: &'static [&'static str],
    /// The symbols.
    pub rows: &'static [Row],
}

impl Group {
    /// Every symbol of the group.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().flat_map(|row| row.names.iter().copied())
    }
}

/// The symbols of one manual page.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The manual page and its section; empty where there is none.
    pub page: &'static str,
    /// The symbols.
    pub names: &'static [&'static str],
}

const fn group(
    family: &'static str,
    why: &'static str,
    paths: &'static [&'static str],
    rows: &'static [Row],
) -> Group {
    Group { family, why, paths, rows }
}

const fn row(page: &'static str, names: &'static [&'static str]) -> Row {
    Row { page, names }
}

/// Every symbol in the table, in whichever state.
pub fn listed() -> impl Iterator<Item = &'static str> {
    exported().chain(SAFE.iter().chain(NEEDS_GATE).flat_map(Group::names))
}
