//! The users and groups of `[identity]`: whether there can be such ones.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use toml::Spanned;

use super::{Checker, shorten};
use crate::identity::{Group, Said, User, Users};
use crate::raw::{RawGroup, RawIdentity, RawUser};

/// The longest name, as useradd(8) has it.
const LONGEST: usize = 32;

/// What has been said already, and on which line.
type Seen<T> = HashMap<T, u32>;

impl Checker<'_> {
    /// Who there is; none where the policy does not say. What is wrong is left out.
    pub fn users(&mut self, raw: &RawIdentity, runs_as: Option<&Spanned<String>>) -> Option<Said<Users>> {
        let first =
            raw.users.first().map(Spanned::span).into_iter().chain(raw.groups.first().map(Spanned::span));
        let span = first.min_by_key(|span| span.start)?;
        let (mut names, mut ids) = (Seen::new(), Seen::new());
        let users: Vec<User> =
            raw.users.iter().filter_map(|user| self.one_user(user, &mut names, &mut ids)).collect();
        let (mut names, mut ids) = (Seen::new(), Seen::new());
        let groups: Vec<Group> =
            raw.groups.iter().filter_map(|group| self.one_group(group, &mut names, &mut ids)).collect();
        // Whose name was wrong may be meant; that has been told.
        let is_whole = users.len() == raw.users.len() && groups.len() == raw.groups.len();
        let all = self.with_own(Users { users, groups }).with_usual();
        for group in raw.groups.iter().filter(|_| is_whole) {
            for member in &group.get_ref().members {
                self.member(member, &all);
            }
        }
        if let Some(said) = runs_as.filter(|_| is_whole) {
            self.runs_as(said, &all);
        }
        if is_whole {
            self.runs_as_one_of(raw, &all);
        }
        Some(self.said(span, all))
    }

    fn one_user(
        &mut self,
        raw: &Spanned<RawUser>,
        names: &mut Seen<String>,
        ids: &mut Seen<u32>,
    ) -> Option<User> {
        let raw = raw.get_ref();
        let name = raw.name.as_ref().and_then(|said| self.name_of("name", said, "user", names));
        let uid = raw.uid.as_ref().and_then(|said| {
            let uid = self.id(said, "uid")?;
            self.once(said.span(), uid, "user", "uid", ids).then_some(uid)
        });
        let gid = match &raw.gid {
            Some(said) => self.id(said, "gid"),
            None => uid,
        };
        let mut or = |said: &Option<Spanned<String>>, key: &str, default: &str, wrong: &dyn Fn(&str) -> _| {
            match said {
                Some(said) => self.text(said, key, wrong).map(|said| said.value),
                None => Some(default.to_owned()),
            }
        };
        let line = |text: &str| {
            let wrong = text.contains(':') || text.chars().any(char::is_control);
            wrong.then_some("one line without `:`, which is between the fields of /etc/passwd")
        };
        let path = |text: &str| if text.starts_with('/') { line(text) } else { Some("an absolute path") };
        let comment = or(&raw.comment, "comment", "", &line);
        let home = or(&raw.home, "home", "/", &path);
        let shell = or(&raw.shell, "shell", "/bin/sh", &path);
        Some(User { name: name?, uid: uid?, gid: gid?, comment: comment?, home: home?, shell: shell? })
    }

    fn one_group(
        &mut self,
        raw: &Spanned<RawGroup>,
        names: &mut Seen<String>,
        ids: &mut Seen<u32>,
    ) -> Option<Group> {
        let raw = raw.get_ref();
        let name = raw.name.as_ref().and_then(|said| self.name_of("name", said, "group", names));
        let gid = raw.gid.as_ref().and_then(|said| {
            let gid = self.id(said, "gid")?;
            self.once(said.span(), gid, "group", "gid", ids).then_some(gid)
        });
        let members: Option<Vec<String>> = raw.members.iter().map(|member| self.expanded(member)).collect();
        Some(Group { name: name?, gid: gid?, members: members? })
    }

    fn name_of(
        &mut self,
        key: &str,
        said: &Spanned<String>,
        kind: &str,
        seen: &mut Seen<String>,
    ) -> Option<String> {
        let name = self.text(said, key, |name| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '$');
            let fits = !name.is_empty()
                && name.len() <= LONGEST
                && name.chars().all(letters)
                && !name.starts_with(['-', '.'])
                && !name.bytes().all(|byte| byte.is_ascii_digit());
            (!fits).then_some(
                "letters, digits, `_`, `.`, `-` and `$`, 32 at most, no `-` or `.` first, no number",
            )
        })?;
        self.once(said.span(), name.value.clone(), kind, "name", seen).then_some(name.value)
    }

    fn id(&mut self, said: &Spanned<i64>, key: &str) -> Option<u32> {
        // The highest number means "none" to setreuid(2) and chown(2).
        match u32::try_from(*said.get_ref()) {
            Ok(id) if id != u32::MAX => Some(id),
            _ => {
                let message = format!("`{key}` cannot be {}", said.get_ref());
                self.report.add(said.span(), message, "a number from 0 to 4294967294", None);
                None
            }
        }
    }

    /// Whether nobody has it yet.
    fn once<T: Eq + Hash + std::fmt::Display>(
        &mut self,
        span: Range<usize>,
        value: T,
        kind: &str,
        key: &str,
        seen: &mut Seen<T>,
    ) -> bool {
        if let Some(first) = seen.get(&value) {
            let message = format!("a second {kind} with the {key} {value}");
            self.report.add(span, message, format!("the first is on line {first}"), None);
            return false;
        }
        seen.insert(value, self.report.line(span.start));
        true
    }

    fn member(&mut self, said: &Spanned<String>, all: &Users) {
        let name = said.get_ref();
        if all.users.iter().any(|user| user.name == *name) {
            return;
        }
        let (expected, help) = if all.groups.iter().any(|group| group.name == *name) {
            ("this is a group, and none can be in another", "name its users instead")
        } else {
            ("a name of `users`", "add the user to `users`")
        };
        let message = format!("`{}` is no user, and so no member of a group", shorten(name));
        self.report.add(said.span(), message, expected, Some(help.into()));
    }

    /// Who the application runs as is one of them, or a number.
    fn runs_as(&mut self, said: &Spanned<String>, all: &Users) {
        self.is_one_of(said.span(), said.get_ref(), all);
    }

    /// The same of what `run_as` says.
    pub(super) fn is_one_of(&mut self, span: Range<usize>, said: &str, all: &Users) {
        let (user, group) = match said.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (said, None),
        };
        let is_number = |name: &str| name.parse::<u32>().is_ok();
        let is_user = user.is_empty() || is_number(user) || all.users.iter().any(|known| known.name == user);
        let is_group = |group: &str| is_number(group) || all.groups.iter().any(|known| known.name == group);
        let missing = match group {
            _ if user.contains('$') => return,
            _ if !is_user => format!("there is no user `{}`", shorten(user)),
            Some(group) if !group.contains('$') && !is_group(group) => {
                format!("there is no group `{}`", shorten(group))
            }
            _ => return,
        };
        let help = "add it to [identity], or name another";
        self.report.add(span, missing, "one that [identity] names, or a number", Some(help.into()));
    }
}
