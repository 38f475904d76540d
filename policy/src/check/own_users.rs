//! The users and groups that the application's own root has: those of the policy go before them, and the
//! others are there besides.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Checker;
use crate::checked::{Mount, What};
use crate::identity::{Group, User, Users};

/// The directories of the host that stand at `/`, the highest first; none where it is the host's own.
pub fn roots(mounts: &[Mount]) -> Vec<PathBuf> {
    match mounts.iter().find(|mount| mount.at == Path::new("/")).map(|mount| &mount.what) {
        Some(What::Layers { layers, .. }) => layers.iter().rev().cloned().collect(),
        Some(What::Host { source, .. }) => vec![source.clone()],
        _ => Vec::new(),
    }
}

/// Those whose name and number nobody has yet.
fn added<T>(list: &mut Vec<T>, more: impl Iterator<Item = T>, of: impl Fn(&T) -> (String, u32)) {
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (name, number) in list.iter().map(&of) {
        names.insert(name);
        numbers.insert(number);
    }
    // Of those of the root, several may share a number, as toor does root's.
    for one in more {
        let (name, number) = of(&one);
        if !numbers.contains(&number) && names.insert(name) {
            list.push(one);
        }
    }
}

/// A line of passwd(5).
fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, comment, home, shell] = fields[..] else { return None };
    let [comment, home, shell] = [comment, home, shell].map(str::to_owned);
    let name = Some(name).filter(|name| !name.is_empty())?.to_owned();
    Some(User { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, comment, home, shell })
}

/// A line of group(5).
fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields[..] else { return None };
    let name = Some(name).filter(|name| !name.is_empty())?.to_owned();
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name, gid: gid.parse().ok()?, members })
}

impl Checker<'_> {
    /// Adds to the policy's users those of its own root.
    pub(super) fn with_own(&self, mut users: Users) -> Users {
        let read = |name: &str| self.file_of_root(name).unwrap_or_default();
        added(&mut users.users, read("etc/passwd").lines().filter_map(user), |user| {
            (user.name.clone(), user.uid)
        });
        added(&mut users.groups, read("etc/group").lines().filter_map(group), |group| {
            (group.name.clone(), group.gid)
        });
        // Root is the first, as everywhere.
        users.users.sort_by_key(|user| user.uid != 0);
        users.groups.sort_by_key(|group| group.gid != 0);
        users
    }

    /// The text of a file of the application's own root.
    fn file_of_root(&self, name: &str) -> Option<String> {
        let there = |root: &PathBuf| root.join(name).symlink_metadata().ok();
        let (root, about) = self.roots.iter().find_map(|root| Some((root, there(root)?)))?;
        // What a layer has taken away is a device there.
        if !about.is_file() {
            return None;
        }
        let text = self.host.read(&root.join(name)).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}
