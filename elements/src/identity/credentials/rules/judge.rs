//! What a process with some credentials may do to others, and with files.

use super::{Credentials, Ids, capability};

impl Credentials {
    /// Whether files are opened as a member of a group.
    pub fn is_in(&self, gid: u32) -> bool {
        self.group.files == gid || self.groups().contains(&gid)
    }

    /// Whether a signal may be sent to a process with these.
    pub fn may_signal(&self, other: &Credentials) -> bool {
        let Ids { real, effective, .. } = self.user;
        let targets = [other.user.real, other.user.saved];
        self.can(capability::KILL) || targets.contains(&real) || targets.contains(&effective)
    }

    /// Whether a file of this owner, group and mode may be used so: bits of `R_OK`, `W_OK`
    /// and `X_OK`.
    pub fn may_use(&self, (uid, gid, mode): (u32, u32, u32), wanted: u32) -> bool {
        let is_dir = mode & libc::S_IFMT == libc::S_IFDIR;
        let granted = if self.user.files == uid {
            mode >> 6
        } else if self.is_in(gid) {
            mode >> 3
        } else {
            mode
        } & 7;
        let missing = wanted & 7 & !granted;
        if missing == 0 {
            return true;
        }
        if self.can(capability::DAC_OVERRIDE) && (is_dir || missing & 1 == 0 || mode & 0o111 != 0) {
            return true;
        }
        let reads = if is_dir { 5 } else { 4 };
        self.can(capability::DAC_READ_SEARCH) && missing & !reads == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_bits_count_for_the_owner_alone() {
        let file = |mode: u32| (33, 40, libc::S_IFREG | mode);
        let owner = Credentials::of(33, 33, &[40]);
        assert!(!owner.may_use(file(0o077), 4) && owner.may_use(file(0o400), 4));
        let member = Credentials::of(34, 34, &[40]);
        assert!(member.may_use(file(0o040), 4) && !member.may_use(file(0o004), 4));
        let root = Credentials::of(0, 0, &[]);
        assert!(root.may_use(file(0), 6) && !root.may_use(file(0o644), 1) && root.may_use(file(0o100), 1));
    }
}
