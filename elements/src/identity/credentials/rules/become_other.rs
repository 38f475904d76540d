//! Who may become whom, and what becomes of capabilities then: setuid(2), setgroups(2), capset(2) and their kin.

use super::{ALL, Credentials, Ids, MOST_GROUPS, OF_FILES, UNCHANGED, capability, secure};
use crate::Errno;

impl Credentials {
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
    use super::super::RunsAs;
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
}
