//! Who the application runs as: names are looked up in its own /etc/passwd and
//! /etc/group, which are read as text. The host's libc knows nothing of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, anyhow, bail};
use elements::files::{Scratch, Text, Want};
use elements::identity::credentials;
use elements::kernel::AT_FDCWD;
use elements::shared::credentials::Starter;
use elements::{Errno, Instance};
use view::View;

use crate::commands::run::words;
use crate::instance::Placed;
use crate::owners;

/// Ids, and where a user's home is.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The other groups.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: String,
}

/// The application's files of users and groups.
pub struct Names {
    passwd: String,
    group: String,
}

/// A line's fields.
fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

impl Names {
    /// Reads them, as the application sees them. What is not there is empty.
    ///
    /// # Errors
    ///
    /// Why they cannot be read.
    pub fn of(instance: &Instance<'_>) -> Result<Names> {
        let read = |path: &std::ffi::CStr| -> Result<String> {
            let mut scratch: Scratch = Text::new();
            let host = match instance.host_path(AT_FDCWD, path.as_ptr().cast(), Want::LOOK, &mut scratch) {
                Ok(Some(_)) => scratch.bytes(),
                Ok(None) => path.to_bytes(),
                Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
                Err(errno) => bail!("{}: {}", path.to_string_lossy(), words(errno)),
            };
            match std::fs::read(OsStr::from_bytes(host)) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
                Err(error) => Err(error).with_context(|| path.to_string_lossy().into_owned()),
            }
        };
        Ok(Names { passwd: read(c"/etc/passwd")?, group: read(c"/etc/group")? })
    }

    /// The ids of all users.
    pub fn uids(&self) -> impl Iterator<Item = u32> {
        self.passwd.lines().filter_map(|line| fields(line).get(2)?.parse().ok())
    }

    /// The user that `USER`, `UID`, or one of these with `:GROUP` or `:GID` means.
    ///
    /// # Errors
    ///
    /// A name that the application's files do not have.
    pub fn user(&self, said: &str) -> Result<User> {
        let (user, group) = said.split_once(':').map_or((said, None), |(user, group)| (user, Some(group)));
        let by = |field: usize| self.passwd.lines().map(fields).find(|row| row.get(field) == Some(&user));
        let number: Option<u32> = user.parse().ok();
        let row = by(0).or_else(|| number.and_then(|_| by(2)));
        let id = |row: &[&str], field: usize| row.get(field).and_then(|text| text.parse().ok());
        let uid = row.as_deref().and_then(|row| id(row, 2)).or(number);
        let uid = uid.with_context(|| format!("the application's /etc/passwd has no user `{user}`"))?;
        let named = |group: &str| {
            let row = self.group.lines().map(fields).find(|row| row.first() == Some(&group));
            row.and_then(|row| id(&row, 2)).or_else(|| group.parse().ok())
        };
        let (gid, groups) = match group.filter(|group| !group.is_empty()) {
            Some(group) => {
                let gid = named(group);
                (
                    gid.with_context(|| format!("the application's /etc/group has no group `{group}`"))?,
                    Vec::new(),
                )
            }
            None => {
                let name = row.as_deref().and_then(|row| row.first().copied());
                let member = |row: &[&str]| {
                    name.is_some_and(|name| {
                        row.get(3).is_some_and(|all| all.split(',').any(|one| one == name))
                    })
                };
                let rows = self.group.lines().map(fields).filter(|row| member(row));
                let gid = row.as_deref().and_then(|row| id(row, 3)).unwrap_or(0);
                (gid, rows.filter_map(|row| id(&row, 2)).collect())
            }
        };
        let home = row.as_deref().and_then(|row| row.get(5)).filter(|home| !home.is_empty());
        Ok(User { uid, gid, groups, home: home.map_or_else(|| "/".into(), |home| (*home).to_owned()) })
    }
}

impl User {
    /// Whether this process is that user already, or, as an ordinary user's, plays
    /// the part of root.
    fn is_played(&self) -> bool {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        !uid.is_root() && (self.uid == 0 || (self.uid, self.gid) == (uid.as_raw(), gid.as_raw()))
    }

    /// Has the kernel's own user play this one in an instance. Whose files are whose is said by
    /// the instance's first program.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn play(&self, placed: &Placed, view: &View<'_>, is_first: bool) -> Result<()> {
        let (host_uid, host_gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let starter = Starter { host_uid, host_gid, uid: self.uid, gid: self.gid };
        owners::lead_to_book(&placed.dir)?;
        owners::take_in_layers(view)?;
        let played = placed.with_shared(|shared| {
            if is_first {
                shared.credentials.set_starter(starter);
            }
            credentials::begin_as(shared, self.uid, self.gid, &self.groups)
        });
        let played = played.context("cannot write to the instance's view")?;
        played.map_err(|errno| anyhow!("cannot say who the program is: {}", words(errno)))
    }

    /// Becomes that user, for good.
    ///
    /// # Errors
    ///
    /// That this process may not.
    pub fn become_it(&self, said: &str) -> Result<()> {
        if self.is_played() {
            return Ok(());
        }
        if !rustix::process::geteuid().is_root() {
            bail!(
                "the application is to run as `{said}` ({}:{}), and only root can become another user: start it as \
                 root or as that user, or say [app] user = \"\"",
                self.uid,
                self.gid
            )
        }
        // SAFETY: this process has one thread, and the list is as long as is said.
        let done = unsafe {
            libc::setgroups(self.groups.len(), self.groups.as_ptr()) == 0
                && libc::setresgid(self.gid, self.gid, self.gid) == 0
                && libc::setresuid(self.uid, self.uid, self.uid) == 0
        };
        if done {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        Err(error).with_context(|| format!("cannot become the user `{said}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n7:x:8:9::/seven:\n".into(),
            group: "root:x:0:\nweb:x:34:\nlogs:x:40:web,other\nmail:x:41:other,web\n".into(),
        }
    }

    #[test]
    fn each_form_of_a_user_is_understood() {
        let user = |said: &str| {
            let User { uid, gid, groups, home } = names().user(said).expect("it is there");
            (uid, gid, groups, home)
        };
        assert_eq!(user("web"), (33, 34, vec![40, 41], "/srv".into()));
        assert_eq!(user("33"), (33, 34, vec![40, 41], "/srv".into()));
        assert_eq!(user("web:logs"), (33, 40, vec![], "/srv".into()));
        assert_eq!(user("33:40"), (33, 40, vec![], "/srv".into()));
        assert_eq!(user("33:logs"), (33, 40, vec![], "/srv".into()));
        assert_eq!(user("web:5"), (33, 5, vec![], "/srv".into()));
        assert_eq!(user("99"), (99, 0, vec![], "/".into()));
        assert_eq!(user("7"), (8, 9, vec![], "/seven".into()), "a name goes before a number");
        for unknown in ["nobody", "web:nobody", "-1"] {
            assert!(names().user(unknown).is_err(), "{unknown}");
        }
    }
}
