//! The words of `[identity]`: who the machine is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// `[identity]`: what the application is told of the machine, in whichever way
/// it asks. What is not said is the host's.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawIdentity {
    /// The machine's name.
    #[schemars(with = "Option<String>")]
    pub hostname: Option<Spanned<String>>,
    /// The NIS domain (default with `hostname`: "(none)", as the kernel begins).
    #[schemars(with = "Option<String>")]
    pub domainname: Option<Spanned<String>>,
    /// What /etc/machine-id holds: 32 hexadecimal digits.
    #[schemars(with = "Option<String>")]
    pub machine_id: Option<Spanned<String>>,
    /// What gethostid(3) gives: a number of 32 bits.
    #[schemars(with = "Option<i64>")]
    pub host_id: Option<Spanned<i64>>,
    /// The lines of /etc/os-release: ID, VERSION_ID, NAME and others.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub os_release: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    /// The kernel, as uname(2) tells of it.
    #[schemars(with = "Option<RawKernel>")]
    pub kernel: Option<Spanned<RawKernel>>,
    /// How many processors there are.
    #[schemars(with = "Option<i64>")]
    pub cpus: Option<Spanned<i64>>,
    /// How much memory there is, such as "8GiB": a number and KiB, MiB, GiB or TiB.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<String>>,
    /// The names that the application knows network interfaces by, and theirs on the host.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub interfaces: BTreeMap<Spanned<String>, Spanned<String>>,
    /// The hardware addresses of network interfaces, by their names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub mac: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Who the application runs as: a user of its own /etc/passwd, "root", or numbers. Only
    /// root can have it truly so; for anybody else it is played.
    #[schemars(with = "Option<RawRunAs>")]
    pub run_as: Option<Spanned<RawRunAs>>,
    /// The users that there are, besides root and nobody.
    #[serde(default)]
    #[schemars(with = "Vec<RawUser>")]
    pub users: Vec<Spanned<RawUser>>,
    /// The groups that there are, besides those of users that no group has the gid of.
    #[serde(default)]
    #[schemars(with = "Vec<RawGroup>")]
    pub groups: Vec<Spanned<RawGroup>>,
}

/// `identity.run_as`
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawRunAs {
    /// A user, an uid, or one of these with `:` and a group or a gid.
    User(String),
    /// Numbers.
    Ids(RawIds),
}

/// `identity.run_as` as a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIds {
    /// The user's number.
    #[schemars(with = "i64")]
    pub uid: Option<i64>,
    /// The number of the user's group (default: the one that /etc/passwd says, or the user's own).
    pub gid: Option<i64>,
}

/// `[[identity.users]]`: a line of /etc/passwd.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    /// The user's name.
    #[schemars(with = "String")]
    pub name: Option<Spanned<String>>,
    /// The user's number.
    #[schemars(with = "i64")]
    pub uid: Option<Spanned<i64>>,
    /// The number of the user's group (default: the user's own).
    #[schemars(with = "Option<i64>")]
    pub gid: Option<Spanned<i64>>,
    /// Who the user is, in words: the field that is called GECOS (default: nothing).
    #[schemars(with = "Option<String>")]
    pub comment: Option<Spanned<String>>,
    /// The app path of the home directory (default: "/").
    #[schemars(with = "Option<String>")]
    pub home: Option<Spanned<String>>,
    /// The app path of the login shell (default: "/bin/sh").
    #[schemars(with = "Option<String>")]
    pub shell: Option<Spanned<String>>,
}

/// `[[identity.groups]]`: a line of /etc/group.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    /// The group's name.
    #[schemars(with = "String")]
    pub name: Option<Spanned<String>>,
    /// The group's number.
    #[schemars(with = "i64")]
    pub gid: Option<Spanned<i64>>,
    /// The users who are in it besides those whose own group it is.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub members: Vec<Spanned<String>>,
}

/// `[identity.kernel]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKernel {
    /// Its release, as `uname -r` prints it.
    #[schemars(with = "String")]
    pub release: Option<Spanned<String>>,
    /// Its version, as `uname -v` prints it (default: "#1 SMP").
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<String>>,
    /// The hardware's name, as `uname -m` prints it (default: "x86_64").
    #[schemars(with = "Option<String>")]
    pub machine: Option<Spanned<String>>,
}

impl RawIdentity {
    /// Whether nothing is missing that the schema asks for.
    pub fn is_whole(&self) -> bool {
        let user = |user: &Spanned<RawUser>| user.get_ref().name.is_some() && user.get_ref().uid.is_some();
        let group =
            |group: &Spanned<RawGroup>| group.get_ref().name.is_some() && group.get_ref().gid.is_some();
        let ids =
            |said: &RawRunAs| matches!(said, RawRunAs::User(_) | RawRunAs::Ids(RawIds { uid: Some(_), .. }));
        self.run_as.as_ref().is_none_or(|said| ids(said.get_ref()))
            && self.kernel.as_ref().is_none_or(|kernel| kernel.get_ref().release.is_some())
            && self.users.iter().all(user)
            && self.groups.iter().all(group)
    }
}
