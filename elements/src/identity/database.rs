//! The files of users, groups and names, line by line, without libc.
//!
//! Where the policy names the users, the texts are in the view itself, and no
//! system call is made. Else the view may have such files all the same: its
//! root's own, or a mount. Where it has none, libc's answer is as good as ours.

use crate::kernel::{self, AT_FDCWD};
use crate::proc::Snapshot;
use crate::{Answer, Errno, Instance};

/// A file that libc looks things up in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Database {
    /// passwd(5)
    Users,
    /// group(5)
    Groups,
    /// shadow(5)
    UserShadow,
    /// gshadow(5)
    GroupShadow,
    /// hosts(5)
    Hosts,
    /// services(5)
    Services,
    /// protocols(5)
    Protocols,
    /// networks(5)
    Networks,
    /// rpc(5)
    Programs,
    /// resolv.conf(5)
    Resolver,
    /// gai.conf(5)
    Preferences,
    /// nsswitch.conf(5)
    Switch,
}

impl Database {
    fn path(self) -> &'static core::ffi::CStr {
        match self {
            Database::Users => c"/etc/passwd",
            Database::Groups => c"/etc/group",
            Database::UserShadow => c"/etc/shadow",
            Database::GroupShadow => c"/etc/gshadow",
            Database::Hosts => c"/etc/hosts",
            Database::Services => c"/etc/services",
            Database::Protocols => c"/etc/protocols",
            Database::Networks => c"/etc/networks",
            Database::Programs => c"/etc/rpc",
            Database::Resolver => c"/etc/resolv.conf",
            Database::Preferences => c"/etc/gai.conf",
            Database::Switch => c"/etc/nsswitch.conf",
        }
    }
}

/// The lines of such a file.
pub struct Lines<'v> {
    text: Text<'v>,
    /// Where the next line begins.
    next: usize,
}

enum Text<'v> {
    OfView(&'v [u8]),
    OfFile(Snapshot),
}

impl<'v> Instance<'v> {
    /// The lines of a file of the view, from a position on. None where the
    /// view leaves it to the host.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn database(&self, which: Database, from: usize) -> Option<Result<Lines<'v>, Errno>> {
        let identity = self.view.identity();
        let names = self.view.names();
        let text = match which {
            Database::Users => identity.map_or(&[][..], |identity| identity.passwd),
            Database::Groups => identity.map_or(&[][..], |identity| identity.group),
            Database::Hosts => names.hosts,
            Database::Services => names.services,
            Database::Resolver => names.resolver,
            Database::Switch => names.switch,
            // Not everyone may read the shadows: the file knows who. The others are asked for rarely.
            Database::UserShadow
            | Database::GroupShadow
            | Database::Protocols
            | Database::Networks
            | Database::Programs
            | Database::Preferences => &[],
        };
        if !text.is_empty() {
            return Some(Ok(Lines { text: Text::OfView(text), next: from }));
        }
        self.database_file(which, from)
    }

    /// The same, with the host's lines where the view leaves it to the host. None where there is no such file.
    pub fn lines_of(&self, which: Database) -> Option<Lines<'v>> {
        if let Some(lines) = self.database(which, 0) {
            return lines.ok();
        }
        let file = kernel::open_at_once(which.path().as_ptr().cast()).ok()?;
        let text = Snapshot::of(file);
        kernel::close(file);
        Some(Lines { text: Text::OfFile(text.ok()?), next: 0 })
    }

    #[inline(never)]
    fn database_file(&self, which: Database, from: usize) -> Option<Result<Lines<'v>, Errno>> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        match self.openat(AT_FDCWD, which.path().as_ptr().cast(), flags, 0) {
            Answer::Pass => None,
            Answer::Done(Err(errno)) => Some(Err(errno)),
            Answer::Done(Ok(file)) => {
                let text = Snapshot::of(file as i32);
                kernel::close(file as i32);
                Some(text.map(|text| Lines { text: Text::OfFile(text), next: from }))
            }
        }
    }
}

impl Lines<'_> {
    /// The next line, without its end, and where the one after it begins.
    pub fn next_line(&mut self) -> Option<(&[u8], usize)> {
        let text = match &self.text {
            Text::OfView(text) => text,
            Text::OfFile(text) => text.bytes(),
        };
        let rest = text.get(self.next..).filter(|rest| !rest.is_empty())?;
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
        self.next += line.len() + 1;
        Some((line, self.next))
    }
}
