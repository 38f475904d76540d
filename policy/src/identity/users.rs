//! Users and groups, as the files that libc reads.
//!
//! The files are whole: who is not in them is not there. Root and nobody are
//! in any system, and a user's own group is where no group has been said for it.

use crate::checked::What;

use super::{Said, Writer};

const KEY: &str = "users";

/// A line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    /// Who it is, in words.
    pub comment: String,
    /// The app path of the home directory.
    pub home: String,
    /// The app path of the login shell.
    pub shell: String,
}

/// A line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The group's number.
    pub gid: u32,
    /// Who is in it besides those whose own group it is.
    pub members: Vec<String>,
}

/// Who there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// In the order of /etc/passwd.
    pub users: Vec<User>,
    /// In the order of /etc/group.
    pub groups: Vec<Group>,
}

impl Users {
    /// Adds those that every system has.
    pub fn with_usual(mut self) -> Users {
        let usual = [
            (0, "root", 0, "/root", "/bin/sh"),
            (NOBODY, "nobody", NOBODY, "/nonexistent", "/usr/sbin/nologin"),
        ];
        for (uid, name, gid, home, shell) in usual {
            if self.users.iter().any(|user| user.uid == uid || user.name == name) {
                continue;
            }
            let user = User {
                name: name.into(),
                uid,
                gid,
                comment: name.into(),
                home: home.into(),
                shell: shell.into(),
            };
            // Root is the first, nobody the last.
            self.users.insert(if uid == 0 { 0 } else { self.users.len() }, user);
        }
        for user in &self.users {
            let name = if user.gid == NOBODY { "nogroup" } else { &user.name };
            if self.groups.iter().all(|group| group.gid != user.gid && group.name != name) {
                let group = Group { name: name.into(), gid: user.gid, members: Vec::new() };
                self.groups.insert(if user.gid == 0 { 0 } else { self.groups.len() }, group);
            }
        }
        self
    }

    /// The text of passwd(5).
    pub fn passwd(&self) -> String {
        let line = |user: &User| {
            let User { name, uid, gid, comment, home, shell } = user;
            format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n")
        };
        self.users.iter().map(line).collect()
    }

    /// The text of group(5).
    pub fn group(&self) -> String {
        let line = |group: &Group| format!("{}:x:{}:{}\n", group.name, group.gid, group.members.join(","));
        self.groups.iter().map(line).collect()
    }

    /// The text of shadow(5): nobody has a password, and none runs out.
    fn shadow(&self) -> String {
        self.users.iter().map(|user| format!("{}:*:1:0:99999:7:::\n", user.name)).collect()
    }

    /// The text of gshadow(5).
    fn gshadow(&self) -> String {
        self.groups.iter().map(|group| format!("{}:*::{}\n", group.name, group.members.join(","))).collect()
    }
}

/// The user and the group of those who have none.
const NOBODY: u32 = 65534;

/// Where libc looks: in these files, and nowhere else.
pub const SWITCH: &str = "\
passwd:     files
group:      files
shadow:     files
gshadow:    files
initgroups: files
hosts:      files dns
networks:   files
protocols:  files
services:   files
ethers:     files
rpc:        files
netgroup:   files
";

/// Writes the files of users and groups.
pub fn write(to: &mut Writer, said: &Said<Users>) {
    let users = &said.value;
    to.file(said, KEY, "/etc/passwd", 0o644, users.passwd());
    to.file(said, KEY, "/etc/group", 0o644, users.group());
    to.file(said, KEY, "/etc/shadow", 0o640, users.shadow());
    to.file(said, KEY, "/etc/gshadow", 0o640, users.gshadow());
    let what = What::Content { bytes: SWITCH.into(), mode: 0o644 };
    to.derived(said, KEY, "/etc/nsswitch.conf", what);
    // The host's cache of names, which libc would ask before all else.
    to.derived(said, KEY, "/var/run/nscd", What::Hidden);
}
