//! Who the machine is: what uname(2) and its kin answer.
//!
//! One record, where the policy says anything of it, and none where it does
//! not: a reader asks once, and leaves the kernel's answer alone.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{Malformed, Str, View};

/// The longest name that uname(2) has room for, without its NUL (`__NEW_UTS_LEN`).
pub const LONGEST: usize = 64;

/// How many bytes there are for an interface's name, whether it has an address of its own, and that.
const LINK_NAME: usize = 16;
const ADDRESS: usize = 6;
const LINK: usize = 2 * LINK_NAME + 1 + ADDRESS;

/// Bits of [`RawIdentity::says`].
mod says {
    pub const HOST_ID: u32 = 1 << 0;
    pub const LINK_NAMES: u32 = 1 << 1;
}

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawIdentity {
    pub host_name: Str,
    pub domain_name: Str,
    pub release: Str,
    pub version: Str,
    pub machine: Str,
    pub passwd: Str,
    pub group: Str,
    pub links: Str,
    pub host_id: u32,
    pub says: u32,
    pub memory: u64,
    pub cpus: u32,
    pub reserved: u32,
}

/// What the policy says of the machine. A name that is empty is the host's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The name of the machine: `nodename` of uname(2).
    pub host_name: &'a [u8],
    /// The NIS domain: `domainname` of uname(2).
    pub domain_name: &'a [u8],
    /// The kernel's release.
    pub release: &'a [u8],
    /// The kernel's version.
    pub version: &'a [u8],
    /// The hardware's name.
    pub machine: &'a [u8],
    /// What gethostid(3) gives.
    pub host_id: Option<u32>,
    /// The text of /etc/passwd; empty where the policy names no users.
    pub passwd: &'a [u8],
    /// The text of /etc/group, likewise.
    pub group: &'a [u8],
}

/// A network interface that the policy says something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Its name on the host.
    pub host: &'a [u8],
    /// The name that the application knows it by.
    pub name: &'a [u8],
    /// Its hardware address, where that is not the host's.
    pub address: Option<[u8; ADDRESS]>,
}

impl Identity<'_> {
    /// Whether uname(2) has another answer than the kernel's.
    pub fn has_names(&self) -> bool {
        [self.host_name, self.domain_name, self.release, self.version, self.machine]
            .iter()
            .any(|name| !name.is_empty())
    }
}

impl<'a> View<'a> {
    /// What the policy says of the machine, if anything.
    #[inline]
    pub fn identity(&self) -> Option<Identity<'a>> {
        let raw = self.identity.first()?;
        Some(Identity {
            host_name: self.string(raw.host_name),
            domain_name: self.string(raw.domain_name),
            release: self.string(raw.release),
            version: self.string(raw.version),
            machine: self.string(raw.machine),
            passwd: self.string(raw.passwd),
            group: self.string(raw.group),
            host_id: (raw.says & says::HOST_ID != 0).then_some(raw.host_id),
        })
    }

    /// How many processors the machine has; 0 where the policy does not say.
    #[inline]
    pub fn cpus(&self) -> u32 {
        self.identity.first().map_or(0, |raw| raw.cpus)
    }

    /// How many bytes of memory it has; 0 where the policy does not say.
    #[inline]
    pub fn memory(&self) -> u64 {
        self.identity.first().map_or(0, |raw| raw.memory)
    }

    /// Whether the policy says anything of network interfaces.
    #[inline]
    pub fn has_links(&self) -> bool {
        self.identity.first().is_some_and(|raw| raw.links.len != 0)
    }

    /// Whether it gives any of them another name.
    #[inline]
    pub fn has_link_names(&self) -> bool {
        self.identity.first().is_some_and(|raw| raw.says & says::LINK_NAMES != 0)
    }

    /// The interfaces that the policy says something of.
    pub fn links(&self) -> impl Iterator<Item = Interface<'a>> + use<'a> {
        let all = self.identity.first().map_or(&[][..], |raw| self.string(raw.links));
        all.chunks_exact(LINK).filter_map(|link| {
            let (host, rest) = link.split_at(LINK_NAME);
            let (name, rest) = rest.split_at(LINK_NAME);
            let (has_address, address) = rest.split_first()?;
            let until_end = |name: &'a [u8]| name.split(|byte| *byte == 0).next();
            let address = if *has_address == 0 { None } else { Some(address.try_into().ok()?) };
            Some(Interface { host: until_end(host)?, name: until_end(name)?, address })
        })
    }

    pub(crate) fn check_identity(
        &self,
        string: impl Fn(Str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.identity.len() > 1 {
            return Err(Malformed("a machine has several identities"));
        }
        for raw in self.identity {
            string(raw.passwd)?;
            string(raw.group)?;
            string(raw.links)?;
            for name in [raw.host_name, raw.domain_name, raw.release, raw.version, raw.machine] {
                string(name)?;
                if name.len as usize > LONGEST {
                    return Err(Malformed("a name is longer than uname(2) has room for"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(feature = "build")]
pub use write::{IdentityFacts, LinkFacts};

#[cfg(feature = "build")]
mod write {
    use super::{RawIdentity, says};
    use crate::layout::Str;

    /// A network interface. The fields mean what they mean in [`super::Interface`]; of a name fifteen bytes count.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LinkFacts {
        /// Its name on the host.
        pub host: Vec<u8>,
        /// The application's name for it.
        pub name: Vec<u8>,
        /// Its address, where that is not the host's.
        pub address: Option<[u8; 6]>,
    }

    /// What is written of the machine. The fields mean what they mean in [`super::Identity`].
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct IdentityFacts {
        /// `nodename`
        pub host_name: Vec<u8>,
        /// `domainname`
        pub domain_name: Vec<u8>,
        /// `release`
        pub release: Vec<u8>,
        /// `version`
        pub version: Vec<u8>,
        /// `machine`
        pub machine: Vec<u8>,
        /// What gethostid(3) gives.
        pub host_id: Option<u32>,
        /// The text of /etc/passwd.
        pub passwd: Vec<u8>,
        /// The text of /etc/group.
        pub group: Vec<u8>,
        /// Network interfaces.
        pub links: Vec<LinkFacts>,
        /// How many processors there are, or 0.
        pub cpus: u32,
        /// How many bytes of memory, or 0.
        pub memory: u64,
    }

    impl IdentityFacts {
        /// The record, with its strings in the pool; none where nothing is said.
        pub(crate) fn write(&self, mut add: impl FnMut(&[u8]) -> Str) -> Vec<RawIdentity> {
            if *self == IdentityFacts::default() {
                return Vec::new();
            }
            let name = |name: &[u8]| {
                let mut field = name.to_vec();
                field.truncate(super::LINK_NAME - 1);
                field.resize(super::LINK_NAME, 0);
                field
            };
            let links: Vec<u8> = self
                .links
                .iter()
                .flat_map(|LinkFacts { host, name: shown, address }| {
                    let mut link = [name(host), name(shown)].concat();
                    link.push(address.is_some().into());
                    link.extend(address.unwrap_or_default());
                    link
                })
                .collect();
            let renames = self.links.iter().any(|link| link.host != link.name);
            vec![RawIdentity {
                host_name: add(&self.host_name),
                domain_name: add(&self.domain_name),
                release: add(&self.release),
                version: add(&self.version),
                machine: add(&self.machine),
                passwd: add(&self.passwd),
                group: add(&self.group),
                links: add(&links),
                memory: self.memory,
                cpus: self.cpus,
                reserved: 0,
                host_id: self.host_id.unwrap_or(0),
                says: if self.host_id.is_some() { says::HOST_ID } else { 0 }
                    | if renames { says::LINK_NAMES } else { 0 },
            }]
        }
    }
}
