//! The system calls on ids and groups: getuid(2), setuid(2), setgroups(2) and their kin.

use super::own::Scope;
use super::rules::{Credentials, MOST_GROUPS};
use crate::{Answer, Errno, Instance, files, user};

/// Which of a process's ids a call is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// The user's.
    User,
    /// The group's.
    Group,
}

impl Whom {
    /// Where its words begin.
    const fn first(self) -> usize {
        match self {
            Whom::User => 0,
            Whom::Group => 4,
        }
    }
}

impl Instance<'_> {
    /// getuid(2), getgid(2)
    #[inline]
    pub fn real_id(&self, whom: Whom) -> Answer {
        if self.plays() { Answer::Done(Ok(self.id(whom.first()) as usize)) } else { Answer::Pass }
    }

    /// geteuid(2), getegid(2)
    #[inline]
    pub fn effective_id(&self, whom: Whom) -> Answer {
        if self.plays() { Answer::Done(Ok(self.id(whom.first() + 1) as usize)) } else { Answer::Pass }
    }

    /// getresuid(2), getresgid(2)
    pub fn three_ids(&self, whom: Whom, to: [*mut u32; 3]) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        let words = self.credentials().words();
        for (to, word) in to.into_iter().zip(words.iter().skip(whom.first())) {
            if !user::is_writable(to.cast(), size_of::<u32>()) {
                return Answer::fail(Errno::EFAULT);
            }
            // SAFETY: found writable.
            unsafe { to.write_unaligned(*word) };
        }
        Answer::Done(Ok(0))
    }

    /// Sees to it that whom root's process becomes is let into the image that it runs, and is told of nothing that
    /// another may not know.
    fn before_change(&self, whom: Whom, ids: &[u32]) {
        files::forget_answers();
        if whom == Whom::User && !self.plays() {
            self.before_becoming(ids);
        }
    }

    fn changed(
        &self,
        scope: Scope,
        change: impl FnOnce(&Credentials) -> Result<Credentials, Errno>,
    ) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        Answer::Done(self.change_credentials(scope, change).map(|()| 0))
    }

    /// setuid(2), setgid(2)
    pub fn set_id(&self, scope: Scope, whom: Whom, id: u32) -> Answer {
        self.before_change(whom, &[id]);
        self.changed(scope, |old| match whom {
            Whom::User => old.set_user(id),
            Whom::Group => old.set_group(id),
        })
    }

    /// setreuid(2), setregid(2)
    pub fn set_two_ids(&self, scope: Scope, whom: Whom, real: u32, effective: u32) -> Answer {
        self.before_change(whom, &[real, effective]);
        self.changed(scope, |old| match whom {
            Whom::User => old.set_two_users(real, effective),
            Whom::Group => old.set_two_groups(real, effective),
        })
    }

    /// setresuid(2), setresgid(2)
    pub fn set_three_ids(&self, scope: Scope, whom: Whom, ids: [u32; 3]) -> Answer {
        self.before_change(whom, &ids);
        self.changed(scope, |old| match whom {
            Whom::User => old.set_three_users(ids),
            Whom::Group => old.set_three_groups(ids),
        })
    }

    /// setfsuid(2), setfsgid(2): gives the id before. libc leaves them to the one thread.
    pub fn set_files_id(&self, whom: Whom, id: u32) -> Answer {
        self.before_change(whom, &[id]);
        if !self.plays() {
            return Answer::Pass;
        }
        let before = self.id(whom.first() + 3);
        // It has no way to say that it failed.
        let _ = self.change_credentials(Scope::Thread, |old| {
            Ok(match whom {
                Whom::User => old.set_files_user(id),
                Whom::Group => old.set_files_group(id),
            })
        });
        Answer::Done(Ok(before as usize))
    }

    /// getgroups(2)
    pub fn getgroups(&self, room: i32, to: *mut u32) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        let own = self.credentials();
        let groups = own.groups();
        if room < 0 || (room > 0 && (room as usize) < groups.len()) {
            return Answer::fail(Errno::EINVAL);
        }
        if room > 0 && !groups.is_empty() {
            if !user::is_writable(to.cast(), size_of_val(groups)) {
                return Answer::fail(Errno::EFAULT);
            }
            // SAFETY: found writable, and groups are words like the program's.
            unsafe {
                core::ptr::copy_nonoverlapping(groups.as_ptr().cast::<u8>(), to.cast(), size_of_val(groups));
            }
        }
        Answer::Done(Ok(groups.len()))
    }

    /// setgroups(2)
    pub fn setgroups(&self, scope: Scope, count: i32, from: *const u32) -> Answer {
        files::forget_answers();
        self.changed(scope, |old| {
            // Who may not is told so before the list is looked at.
            old.set_groups(&[])?;
            let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
            let mut groups = [0_u32; MOST_GROUPS];
            let room = groups.get_mut(..count).ok_or(Errno::EINVAL)?;
            if !user::is_readable(from.cast(), size_of_val(room)) {
                return Err(Errno::EFAULT);
            }
            // SAFETY: found readable.
            unsafe {
                let bytes = size_of_val(room);
                core::ptr::copy_nonoverlapping(from.cast::<u8>(), room.as_mut_ptr().cast(), bytes);
            }
            old.set_groups(room)
        })
    }
}
