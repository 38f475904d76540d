//! Names that are the instance's own: those of System V and POSIX interprocess communication, and
//! abstract Unix sockets.
//!
//! One record, unless the policy shares them with the host. What the kernel knows such a name by
//! is made from the name and a number that is the instance's alone.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{Malformed, Str, View};

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawIpc {
    pub salt: u64,
    pub hosts: Str,
}

/// What makes names the instance's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipc<'a> {
    /// The instance's number.
    pub salt: u64,
    hosts: &'a [u8],
}

impl Ipc<'_> {
    /// Whether an abstract socket's name stays the host's.
    pub fn is_hosts(&self, name: &[u8]) -> bool {
        let mut names = self.hosts.split(|byte| *byte == 0).filter(|known| !known.is_empty());
        names.any(|known| match known.strip_suffix(b"*") {
            Some(start) => name.starts_with(start),
            None => name == known,
        })
    }
}

impl<'a> View<'a> {
    /// What makes names the instance's own; none where they are the host's.
    #[inline]
    pub fn ipc(&self) -> Option<Ipc<'a>> {
        let raw = self.ipc.first()?;
        Some(Ipc { salt: raw.salt, hosts: self.string(raw.hosts) })
    }

    pub(crate) fn check_ipc(&self, string: impl Fn(Str) -> Result<(), Malformed>) -> Result<(), Malformed> {
        match self.ipc {
            [] => Ok(()),
            [one] => string(one.hosts),
            _ => Err(Malformed("an instance has several salts")),
        }
    }
}

#[cfg(feature = "build")]
pub use write::IpcFacts;

#[cfg(feature = "build")]
mod write {
    use super::RawIpc;
    use crate::layout::Str;

    /// What is written of it.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct IpcFacts {
        /// The instance's number.
        pub salt: u64,
        /// Names of abstract sockets that stay the host's; with `*` at the end, what begins so.
        pub hosts: Vec<Vec<u8>>,
    }

    impl IpcFacts {
        /// The record, with its strings in the pool.
        pub(crate) fn write(&self, add: impl FnOnce(&[u8]) -> Str) -> RawIpc {
            RawIpc { salt: self.salt, hosts: add(&self.hosts.join(&0)) }
        }
    }
}
