//! The kernel's rules for credentials, on plain values (credentials(7), capabilities(7)): here is what they are; [`become_other`]
//! says who may become whom, [`start`] what execve(2) makes of them, [`judge`] what may be done with them.

#![forbid(unsafe_code)]

mod become_other;
mod judge;
mod start;

pub use start::{OfFile, RunsAs};

/// As many supplementary groups as a process can have here. The kernel takes more.
pub const MOST_GROUPS: usize = 64;

/// An id that means "leave it as it is".
pub const UNCHANGED: u32 = u32::MAX;

/// Capabilities by their numbers (capabilities(7)).
pub mod capability {
    /// Give files away.
    pub const CHOWN: u32 = 0;
    /// Pass the permissions of files.
    pub const DAC_OVERRIDE: u32 = 1;
    /// Pass the permissions to read and search.
    pub const DAC_READ_SEARCH: u32 = 2;
    /// Do what only a file's owner may.
    pub const FOWNER: u32 = 3;
    /// Keep set-group-ID bits.
    pub const FSETID: u32 = 4;
    /// Signal anybody.
    pub const KILL: u32 = 5;
    /// Become any group.
    pub const SETGID: u32 = 6;
    /// Become any user.
    pub const SETUID: u32 = 7;
    /// Change what capabilities can be had.
    pub const SETPCAP: u32 = 8;
    /// Administer the system: among much else, set attributes that are called `trusted.`.
    pub const SYS_ADMIN: u32 = 21;
    /// Set the clock.
    pub const SYS_TIME: u32 = 25;
    /// Make devices.
    pub const MKNOD: u32 = 27;
    /// Give files capabilities.
    pub const SETFCAP: u32 = 31;
    /// The last one (Linux 5.9).
    pub const LAST: u32 = 40;
}

/// All capabilities.
pub const ALL: u64 = (1 << (capability::LAST + 1)) - 1;

/// Those that go with the file system's user: `CAP_FS_SET` in the kernel.
const OF_FILES: u64 = 1 << capability::CHOWN
    | 1 << capability::DAC_OVERRIDE
    | 1 << capability::DAC_READ_SEARCH
    | 1 << capability::FOWNER
    | 1 << capability::FSETID
    | 1 << 9
    | 1 << capability::MKNOD
    | 1 << 32;

/// Bits of [`Credentials::secure_bits`].
pub mod secure {
    /// User 0 gets no capabilities by starting a program.
    pub const NO_ROOT: u32 = 1 << 0;
    /// A change of user changes no capabilities.
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    /// They are kept where the last id of user 0 goes.
    pub const KEEP_CAPS: u32 = 1 << 4;
    /// That stays as it is.
    pub const KEEP_CAPS_LOCKED: u32 = 1 << 5;
    /// No ambient capability can be raised.
    pub const NO_AMBIENT_RAISE: u32 = 1 << 6;
    /// All that there are.
    pub const ALL: u32 = 0xff;
    /// What no program sees: it was started with more than its caller's rights.
    pub(super) const STARTED_SECURE: u32 = 1 << 31;
    /// Those that lock others.
    pub const LOCKS: u32 = 0xaa;
}

/// Real, effective and saved id, and the one for files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// Whom it may become again.
    pub saved: u32,
    /// As whom it opens files.
    pub files: u32,
}

impl Ids {
    /// All four the same.
    pub const fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, files: id }
    }

    fn has_root(&self) -> bool {
        [self.real, self.effective, self.saved].contains(&0)
    }
}

/// A process's credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Of the user.
    pub user: Ids,
    /// Of the group.
    pub group: Ids,
    /// Capabilities that survive execve(2) where the file has them too.
    pub inheritable: u64,
    /// Those that it may use.
    pub permitted: u64,
    /// Those that it uses.
    pub effective: u64,
    /// Those that it can ever get.
    pub bounding: u64,
    /// Those that survive execve(2).
    pub ambient: u64,
    /// Bits of [`secure`].
    pub secure_bits: u32,
    count: u32,
    groups: [u32; MOST_GROUPS],
}

/// The words that hold credentials.
pub const WORDS: usize = 8 + 10 + 2 + MOST_GROUPS;

/// Where among them the capabilities in use begin.
pub(super) const EFFECTIVE: usize = 12;

fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

impl Credentials {
    /// Those of a user who has logged in: root has all capabilities, others none. More
    /// groups than there is room for are left out.
    pub fn of(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        let has = if uid == 0 { ALL } else { 0 };
        let mut made = Credentials {
            user: Ids::all(uid),
            group: Ids::all(gid),
            inheritable: 0,
            permitted: has,
            effective: has,
            bounding: ALL,
            ambient: 0,
            secure_bits: 0,
            count: 0,
            groups: [0; MOST_GROUPS],
        };
        made.put_groups(groups.get(..groups.len().min(MOST_GROUPS)).unwrap_or(&[]));
        made
    }

    /// The supplementary groups.
    pub fn groups(&self) -> &[u32] {
        self.groups.get(..self.count as usize).unwrap_or(&[])
    }

    fn put_groups(&mut self, groups: &[u32]) {
        for (to, from) in self.groups.iter_mut().zip(groups) {
            *to = *from;
        }
        self.count = groups.len().min(MOST_GROUPS) as u32;
        // As the kernel keeps and gives them.
        self.groups.get_mut(..groups.len().min(MOST_GROUPS)).unwrap_or(&mut []).sort_unstable();
    }

    /// As words, for a place that holds nothing else.
    pub fn words(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        let Credentials { user, group, .. } = self;
        let ids = [user.real, user.effective, user.saved, user.files, group.real, group.effective];
        let sets =
            [self.inheritable, self.permitted, self.effective, self.bounding, self.ambient].map(halves);
        let all = ids
            .into_iter()
            .chain([group.saved, group.files])
            .chain(sets.into_iter().flatten())
            .chain([self.secure_bits, self.count])
            .chain(self.groups);
        for (to, from) in words.iter_mut().zip(all) {
            *to = from;
        }
        words
    }

    /// What [`Self::words`] has made words of.
    pub fn from_words(words: &[u32; WORDS]) -> Credentials {
        let word = |index: usize| words.get(index).copied().unwrap_or(0);
        let ids = |at: usize| Ids {
            real: word(at),
            effective: word(at + 1),
            saved: word(at + 2),
            files: word(at + 3),
        };
        let set = |at: usize| u64::from(word(at)) | u64::from(word(at + 1)) << 32;
        let mut groups = [0; MOST_GROUPS];
        for (index, group) in groups.iter_mut().enumerate() {
            *group = word(20 + index);
        }
        Credentials {
            user: ids(0),
            group: ids(4),
            inheritable: set(8),
            permitted: set(10),
            effective: set(EFFECTIVE),
            bounding: set(14),
            ambient: set(16),
            secure_bits: word(18),
            count: word(19).min(MOST_GROUPS as u32),
            groups,
        }
    }

    /// Whether a capability is in use.
    pub fn can(&self, capability: u32) -> bool {
        self.effective & 1 << capability != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_give_back_what_was_made_of_them() {
        let mut some = Credentials::of(7, 8, &[3, 2, 1]);
        some.ambient = 1 << 40 | 1;
        some.user.saved = 9;
        assert_eq!(Credentials::from_words(&some.words()), some);
    }
}
