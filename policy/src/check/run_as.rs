//! `run_as` of `[identity]`: whether there is such a user.

use std::path::Path;

use toml::Spanned;

use super::Checker;
use crate::checked::{Mount, What};
use crate::identity::{Said, User, Users};
use crate::raw::{RawIdentity, RawRunAs};

/// The highest number means "none" to setreuid(2) and chown(2).
const EXPECTED: &str = "a number from 0 to 4294967294";

impl Checker<'_> {
    /// Who the application runs as, in the words of `[app] user`.
    pub fn run_as(
        &mut self,
        raw: &RawIdentity,
        user: Option<&Spanned<String>>,
        mounts: &[Mount],
    ) -> Option<Said<String>> {
        let said = raw.run_as.as_ref()?;
        let span = said.span();
        if let Some(user) = user {
            let line = self.report.line(user.span().start);
            let message = format!("line {line} says as whom the application runs, too");
            let help = "take `user` of [app] away: `run_as` says it of every start, root's and others'";
            self.report.add(span, message, "one of the two", Some(help.into()));
            return None;
        }
        let words = match said.get_ref() {
            RawRunAs::User(words) => {
                let words = self.user(Some(&Spanned::new(span.clone(), words.clone())))?;
                if words.is_empty() {
                    let help = "leave `run_as` out to run as who starts the application";
                    self.report.add(span, "`run_as` names nobody", "a user, or an uid", Some(help.into()));
                    return None;
                }
                words
            }
            RawRunAs::Ids(ids) => {
                let uid = ids.uid?;
                let mut all = [Some(uid), ids.gid].into_iter().flatten();
                if let Some(wrong) = all.find(|id| !(0..i64::from(u32::MAX)).contains(id)) {
                    self.report.add(span, format!("an id cannot be {wrong}"), EXPECTED, None);
                    return None;
                }
                ids.gid.map_or_else(|| uid.to_string(), |gid| format!("{uid}:{gid}"))
            }
        };
        let too_high = |id: &str| id.parse::<u64>().is_ok_and(|id| id >= u64::from(u32::MAX));
        if let Some(wrong) = words.split(':').find(|id| too_high(id)) {
            self.report.add(span, format!("an id cannot be {wrong}"), EXPECTED, None);
            return None;
        }
        if !words.contains('$')
            && raw.users.is_empty()
            && raw.groups.is_empty()
            && let Some(known) = known(mounts)
        {
            self.is_one_of(span.clone(), &words, &known);
        }
        Some(self.said(span, words))
    }

    /// What `run_as` says, for a policy that names the users itself.
    pub(super) fn runs_as_one_of(&mut self, raw: &RawIdentity, all: &Users) {
        if let Some(said) = &raw.run_as
            && let RawRunAs::User(words) = said.get_ref()
            && !words.is_empty()
        {
            self.is_one_of(said.span(), words, all);
        }
    }
}

/// The users and groups of the application's own files, where they stand still: those of the host,
/// of a mount, or of a directory at `/`. A union may have been changed by the application.
fn known(mounts: &[Mount]) -> Option<Users> {
    let read = |path: &str| -> Option<String> {
        let path = Path::new(path);
        let covers = |mount: &&Mount| path.starts_with(&mount.at);
        let mount = mounts.iter().filter(covers).max_by_key(|mount| mount.at.components().count());
        match mount.map(|mount| (&mount.what, path.strip_prefix(&mount.at))) {
            None => std::fs::read_to_string(path).ok(),
            Some((What::Content { bytes, .. }, _)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Some((What::Host { source, .. }, Ok(rest))) => {
                // A link in it would lead elsewhere on the host.
                let file = source.join(rest);
                let is_plain = std::fs::canonicalize(&file).is_ok_and(|canonical| canonical == file);
                is_plain.then(|| std::fs::read_to_string(file).ok())?
            }
            _ => None,
        }
    };
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    let rows = |text: &str| -> Vec<(String, u32)> {
        let row = |line: &str| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        };
        text.lines().filter_map(row).collect()
    };
    let user = |(name, uid): (String, u32)| User {
        name,
        uid,
        gid: uid,
        comment: String::new(),
        home: String::new(),
        shell: String::new(),
    };
    let group_of = |(name, gid): (String, u32)| crate::identity::Group { name, gid, members: Vec::new() };
    Some(Users {
        users: rows(&passwd).into_iter().map(user).collect(),
        groups: rows(&group).into_iter().map(group_of).collect(),
    })
}
