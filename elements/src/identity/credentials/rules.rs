//! The kernel's rules for credentials, on plain values: who may become whom,
//! and what becomes of capabilities then (credentials(7), capabilities(7)).

#![forbid(unsafe_code)]

use crate::Errno;

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

    /// setuid(2)
    ///
    /// # Errors
    ///
    /// `EINVAL` for no id, `EPERM`.
    pub fn set_user(&self, uid: u32) -> Result<Credentials, Errno> {
        let mut new = *self;
        if uid == UNCHANGED {
            return Err(Errno::EINVAL);
        }
        if self.can(capability::SETUID) {
            (new.user.real, new.user.saved) = (uid, uid);
        } else if uid != self.user.real && uid != self.user.saved {
            return Err(Errno::EPERM);
        }
        (new.user.effective, new.user.files) = (uid, uid);
        Ok(new.after_change_of(self))
    }

    /// setgid(2)
    ///
    /// # Errors
    ///
    /// `EINVAL` for no id, `EPERM`.
    pub fn set_group(&self, gid: u32) -> Result<Credentials, Errno> {
        let mut new = *self;
        if gid == UNCHANGED {
            return Err(Errno::EINVAL);
        }
        if self.can(capability::SETGID) {
            (new.group.real, new.group.saved) = (gid, gid);
        } else if gid != self.group.real && gid != self.group.saved {
            return Err(Errno::EPERM);
        }
        (new.group.effective, new.group.files) = (gid, gid);
        Ok(new)
    }

    /// setreuid(2)
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub fn set_two_users(&self, real: u32, effective: u32) -> Result<Credentials, Errno> {
        let mut new = *self;
        new.user = two(&self.user, real, effective, self.can(capability::SETUID))?;
        Ok(new.after_change_of(self))
    }

    /// setregid(2)
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub fn set_two_groups(&self, real: u32, effective: u32) -> Result<Credentials, Errno> {
        let mut new = *self;
        new.group = two(&self.group, real, effective, self.can(capability::SETGID))?;
        Ok(new)
    }

    /// setresuid(2)
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub fn set_three_users(&self, ids: [u32; 3]) -> Result<Credentials, Errno> {
        let mut new = *self;
        new.user = three(&self.user, ids, self.can(capability::SETUID))?;
        Ok(new.after_change_of(self))
    }

    /// setresgid(2)
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub fn set_three_groups(&self, ids: [u32; 3]) -> Result<Credentials, Errno> {
        let mut new = *self;
        new.group = three(&self.group, ids, self.can(capability::SETGID))?;
        Ok(new)
    }

    /// setfsuid(2), which fails without a word.
    pub fn set_files_user(&self, uid: u32) -> Credentials {
        let mut new = *self;
        let Ids { real, effective, saved, files } = self.user;
        let may = [real, effective, saved, files].contains(&uid) || self.can(capability::SETUID);
        if uid == UNCHANGED || uid == files || !may {
            return new;
        }
        new.user.files = uid;
        if self.secure_bits & secure::NO_SETUID_FIXUP == 0 {
            if files == 0 {
                new.effective &= !OF_FILES;
            } else if uid == 0 {
                new.effective |= new.permitted & OF_FILES;
            }
        }
        new
    }

    /// setfsgid(2), which fails without a word.
    pub fn set_files_group(&self, gid: u32) -> Credentials {
        let mut new = *self;
        let Ids { real, effective, saved, files } = self.group;
        let may = [real, effective, saved, files].contains(&gid) || self.can(capability::SETGID);
        if gid != UNCHANGED && may {
            new.group.files = gid;
        }
        new
    }

    /// setgroups(2)
    ///
    /// # Errors
    ///
    /// `EPERM`, `EINVAL` for more than [`MOST_GROUPS`].
    pub fn set_groups(&self, groups: &[u32]) -> Result<Credentials, Errno> {
        let mut new = *self;
        if !self.can(capability::SETGID) {
            return Err(Errno::EPERM);
        }
        if groups.len() > MOST_GROUPS || groups.contains(&UNCHANGED) {
            return Err(Errno::EINVAL);
        }
        new.put_groups(groups);
        Ok(new)
    }

    /// What becomes of capabilities when ids of the user have changed.
    fn after_change_of(mut self, old: &Credentials) -> Credentials {
        if self.secure_bits & secure::NO_SETUID_FIXUP != 0 {
            return self;
        }
        if old.user.has_root() && !self.user.has_root() {
            if self.secure_bits & secure::KEEP_CAPS == 0 {
                (self.permitted, self.effective) = (0, 0);
            }
            self.ambient = 0;
        }
        match (old.user.effective, self.user.effective) {
            (0, 0) => {}
            (0, _) => self.effective = 0,
            (_, 0) => self.effective = self.permitted,
            _ => {}
        }
        self
    }

    /// capset(2)
    ///
    /// # Errors
    ///
    /// `EPERM`
    pub fn set_capabilities(
        &self,
        effective: u64,
        permitted: u64,
        inheritable: u64,
    ) -> Result<Credentials, Errno> {
        let mut new = *self;
        let (effective, permitted, inheritable) = (effective & ALL, permitted & ALL, inheritable & ALL);
        let within = |some: u64, of: u64| some & !of == 0;
        let may_inherit =
            self.can(capability::SETPCAP) || within(inheritable, self.inheritable | self.permitted);
        if !may_inherit
            || !within(inheritable, self.inheritable | self.bounding)
            || !within(permitted, self.permitted)
            || !within(effective, permitted)
        {
            return Err(Errno::EPERM);
        }
        (new.effective, new.permitted, new.inheritable) = (effective, permitted, inheritable);
        new.ambient &= permitted & inheritable;
        Ok(new)
    }
}

fn two(old: &Ids, real: u32, effective: u32, may: bool) -> Result<Ids, Errno> {
    let mut new = *old;
    if real != UNCHANGED {
        new.real = real;
        if !may && real != old.real && real != old.effective {
            return Err(Errno::EPERM);
        }
    }
    if effective != UNCHANGED {
        new.effective = effective;
        if !may && ![old.real, old.effective, old.saved].contains(&effective) {
            return Err(Errno::EPERM);
        }
    }
    if real != UNCHANGED || (effective != UNCHANGED && effective != old.real) {
        new.saved = new.effective;
    }
    new.files = new.effective;
    Ok(new)
}

/// Of a call that changes nothing the kernel makes nothing, not even of the id for files.
fn three(old: &Ids, ids: [u32; 3], may: bool) -> Result<Ids, Errno> {
    let known = [old.real, old.effective, old.saved];
    if !may && ids.iter().any(|id| *id != UNCHANGED && !known.contains(id)) {
        return Err(Errno::EPERM);
    }
    let [real, effective, saved] = ids;
    let is_same = |id: u32, old: u32| id == UNCHANGED || id == old;
    if is_same(real, old.real)
        && is_same(saved, old.saved)
        && (effective == UNCHANGED || effective == old.effective && effective == old.files)
    {
        return Ok(*old);
    }
    let or = |id: u32, old: u32| if id == UNCHANGED { old } else { id };
    let effective = or(effective, old.effective);
    Ok(Ids { real: or(real, old.real), effective, saved: or(saved, old.saved), files: effective })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_dropped_all_ids_of_root_stays_dropped() {
        let root = Credentials::of(0, 0, &[0, 5]);
        let dropped = root.set_groups(&[9, 7]).and_then(|new| new.set_group(33)).expect("root may");
        assert_eq!(dropped.groups(), [7, 9]);
        let dropped = dropped.set_user(33).expect("root may");
        assert_eq!((dropped.user, dropped.group), (Ids::all(33), Ids::all(33)));
        assert_eq!((dropped.permitted, dropped.effective), (0, 0));
        assert_eq!(dropped.set_user(0), Err(Errno::EPERM));
        assert_eq!(dropped.set_three_users([UNCHANGED, 0, UNCHANGED]), Err(Errno::EPERM));
        assert_eq!(dropped.set_two_groups(0, 0), Err(Errno::EPERM));
        assert_eq!(dropped.set_groups(&[]), Err(Errno::EPERM));
        assert_eq!(dropped.started(&RunsAs::default()).map(|new| new.effective), Ok(0));
    }

    #[test]
    fn a_saved_id_leads_back() {
        let root = Credentials::of(0, 0, &[]);
        let aside = root.set_three_users([UNCHANGED, 33, UNCHANGED]).expect("root may");
        assert_eq!((aside.effective, aside.permitted), (0, ALL));
        assert!(!aside.can(capability::SETUID));
        let back = aside.set_user(0).expect("it is saved");
        assert_eq!(back.effective, ALL);
        assert_eq!(back.user, root.user);
    }

    #[test]
    fn capabilities_are_kept_where_that_was_asked_for() {
        let mut root = Credentials::of(0, 0, &[]);
        root.secure_bits |= secure::KEEP_CAPS;
        let dropped = root.set_three_users([33; 3]).expect("root may");
        assert_eq!((dropped.effective, dropped.permitted), (0, ALL));
        let one = 1 << capability::CHOWN;
        let raised = dropped.set_capabilities(one, one, 0).expect("it is permitted");
        assert!(raised.can(capability::CHOWN));
        assert_eq!(raised.set_capabilities(ALL, ALL, 0), Err(Errno::EPERM));
    }

    #[test]
    fn words_give_back_what_was_made_of_them() {
        let mut some = Credentials::of(7, 8, &[3, 2, 1]);
        some.ambient = 1 << 40 | 1;
        some.user.saved = 9;
        assert_eq!(Credentials::from_words(&some.words()), some);
    }
}
