//! What execve(2) makes of credentials: set-user-ID bits, and the capabilities of a program's file
//! (capabilities(7), "Transformation of capabilities during execve()").

use super::{Credentials, secure};
use crate::Errno;

/// What a program's file says of whom it runs as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunsAs {
    /// Its owner, where it has the set-user-ID bit.
    pub uid: Option<u32>,
    /// Its group, where it has the set-group-ID bit.
    pub gid: Option<u32>,
    /// Its capabilities.
    pub capabilities: Option<OfFile>,
}

/// The capabilities of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OfFile {
    /// Those that whoever starts it gets.
    pub permitted: u64,
    /// Those that are kept where who starts it has them for this.
    pub inheritable: u64,
    /// Whether they are in use from the first.
    pub is_effective: bool,
}

/// `VFS_CAP_REVISION_2` and `_3`, which has the user of a namespace besides, and `VFS_CAP_FLAGS_EFFECTIVE`.
const REVISION: u32 = 0xff00_0000;
const SECOND: u32 = 0x0200_0000;
const THIRD: u32 = 0x0300_0000;
const IS_EFFECTIVE: u32 = 1;

impl OfFile {
    /// Reads the attribute `security.capability`. None: it is of no revision that can be set. One that is for a user
    /// namespace of somebody else's says nothing.
    pub fn parse(bytes: &[u8]) -> Option<OfFile> {
        let word = |index: usize| Some(u32::from_le_bytes(*bytes.get(index * 4..)?.first_chunk()?));
        let magic = word(0)?;
        let namespace = match (magic & REVISION, bytes.len()) {
            (SECOND, 20) => 0,
            (THIRD, 24) => word(5)?,
            _ => return None,
        };
        if namespace != 0 {
            return Some(OfFile::default());
        }
        let set = |low: usize| Some(u64::from(word(low)?) | u64::from(word(low + 2)?) << 32);
        let is_effective = magic & IS_EFFECTIVE != 0;
        Some(OfFile { permitted: set(1)?, inheritable: set(2)?, is_effective })
    }

    fn says_any(&self) -> bool {
        *self != OfFile::default()
    }
}

impl Credentials {
    /// What execve(2) makes of them.
    ///
    /// # Errors
    ///
    /// `EPERM` where the file has capabilities in use that the process can never get.
    pub fn started(&self, file: &RunsAs) -> Result<Credentials, Errno> {
        let mut new = *self;
        if let Some(uid) = file.uid {
            new.user.effective = uid;
        }
        if let Some(gid) = file.gid {
            new.group.effective = gid;
        }
        (new.user.saved, new.user.files) = (new.user.effective, new.user.effective);
        (new.group.saved, new.group.files) = (new.group.effective, new.group.effective);
        new.secure_bits &= !secure::KEEP_CAPS;
        let has_own = file.capabilities.is_some_and(|file| file.says_any());
        let of_file = file.capabilities.unwrap_or_default();
        new.permitted = self.bounding & of_file.permitted | self.inheritable & of_file.inheritable;
        let mut is_effective = of_file.is_effective;
        if is_effective && of_file.permitted & !new.permitted != 0 {
            return Err(Errno::EPERM);
        }
        let (by_bit, is_root) = (new.user.real != 0 && new.user.effective == 0, new.user.effective == 0);
        let by_root = self.secure_bits & secure::NO_ROOT == 0 && !(has_own && by_bit);
        if by_root && (is_root || new.user.real == 0) {
            new.permitted = new.bounding | new.inheritable;
            is_effective |= is_root;
        }
        let is_other =
            new.user.effective != self.user.effective || new.group.effective != self.group.effective;
        if has_own || is_other {
            new.ambient = 0;
        }
        new.permitted |= new.ambient;
        new.effective = if is_effective { new.permitted } else { new.ambient };
        let has_more = new.user.real != 0 && (is_effective || new.permitted & !new.ambient != 0);
        let is_secure =
            new.user.real != new.user.effective || new.group.real != new.group.effective || has_more;
        new.secure_bits &= !secure::STARTED_SECURE;
        if is_secure {
            new.secure_bits |= secure::STARTED_SECURE;
        }
        Ok(new)
    }

    /// Whether a program that has just been started runs with more than its caller's rights
    /// (`AT_SECURE`).
    pub fn is_secure(&self) -> bool {
        self.secure_bits & secure::STARTED_SECURE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;

    const NONE: RunsAs = RunsAs { uid: None, gid: None, capabilities: None };

    /// `cap_net_bind_service`
    const BIND: u64 = 1 << 10;

    fn with(permitted: u64, inheritable: u64, is_effective: bool) -> RunsAs {
        RunsAs { capabilities: Some(OfFile { permitted, inheritable, is_effective }), ..NONE }
    }

    #[test]
    fn a_program_with_the_bit_runs_as_its_owner() {
        let user = Credentials::of(1000, 1000, &[]);
        let started = user.started(&RunsAs { uid: Some(0), ..NONE }).expect("it may");
        assert_eq!((started.user.real, started.user.effective, started.user.saved), (1000, 0, 0));
        assert_eq!(started.effective, ALL);
        assert!(started.is_secure());
        assert!(!user.started(&NONE).expect("it may").is_secure());
    }

    #[test]
    fn the_capabilities_of_a_file_are_its_users() {
        let user = Credentials::of(1000, 1000, &[]);
        let started = user.started(&with(BIND, 0, true)).expect("it may");
        assert_eq!((started.permitted, started.effective, started.ambient), (BIND, BIND, 0));
        assert!(started.is_secure());
        // What it starts has none of them.
        assert_eq!(started.started(&NONE).map(|next| next.permitted), Ok(0));
        let asleep = user.started(&with(BIND, 0, false)).expect("it may");
        assert_eq!((asleep.permitted, asleep.effective), (BIND, 0));
    }

    #[test]
    fn inherited_ones_need_both_sides() {
        let mut user = Credentials::of(1000, 1000, &[]);
        assert_eq!(user.started(&with(0, BIND, true)).map(|new| new.effective), Ok(0));
        user.inheritable = BIND;
        assert_eq!(user.started(&with(0, BIND, true)).map(|new| new.effective), Ok(BIND));
        (user.permitted, user.ambient) = (BIND, BIND);
        // A file's own put out those that come by themselves.
        assert_eq!(user.started(&NONE).map(|new| new.effective), Ok(BIND));
        assert_eq!(user.started(&with(1, 0, false)).map(|new| (new.permitted, new.ambient)), Ok((1, 0)));
    }

    #[test]
    fn what_can_never_be_had_stops_the_start() {
        let mut user = Credentials::of(1000, 1000, &[]);
        user.bounding &= !BIND;
        assert_eq!(user.started(&with(BIND, 0, true)), Err(Errno::EPERM));
        assert_eq!(user.started(&with(BIND, 0, false)).map(|new| new.permitted), Ok(0));
    }

    #[test]
    fn an_owner_of_root_and_capabilities_together_give_the_capabilities() {
        let user = Credentials::of(1000, 1000, &[]);
        let file = RunsAs { uid: Some(0), ..with(BIND, 0, true) };
        assert_eq!(user.started(&file).map(|new| (new.user.effective, new.effective)), Ok((0, BIND)));
        assert_eq!(
            Credentials::of(0, 0, &[]).started(&with(BIND, 0, true)).map(|new| new.effective),
            Ok(ALL)
        );
    }

    #[test]
    fn the_attribute_reads_as_the_kernel_reads_it() {
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let second = bytes(&[SECOND | 1, 1 << 10, 2, 4, 8]);
        let expected = OfFile { permitted: 4 << 32 | 1 << 10, inheritable: 8 << 32 | 2, is_effective: true };
        assert_eq!(OfFile::parse(&second), Some(expected));
        assert_eq!(OfFile::parse(&bytes(&[THIRD, 1, 0, 0, 0, 0])).map(|file| file.permitted), Some(1));
        assert_eq!(OfFile::parse(&bytes(&[THIRD, 1, 0, 0, 0, 1000])), Some(OfFile::default()));
        for wrong in [&second[..16], &[0; 20][..], &[][..], &bytes(&[0x0100_0000, 1, 0])[..]] {
            assert_eq!(OfFile::parse(wrong), None);
        }
    }
}
