//! `launcher exec`: a further program in an instance that runs.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::run;
use crate::cli::Exec;
use crate::instance::{self, Placed};
use crate::processes::{self, Target};

/// A process of an application that runs; none where it does not.
///
/// # Errors
///
/// That it runs in several views, or is another user's.
pub fn running(name: &str) -> Result<Option<processes::Process>> {
    let mut found = processes::of(&Target::Named(name));
    let is_own = |process: &processes::Process| process.view.parent().is_some_and(instance::is_own);
    if let (Some(other), false) = (found.first(), found.iter().any(is_own)) {
        bail!("the application `{name}` runs as another user's, in process {}: ask as that user", other.id)
    }
    found.retain(is_own);
    found.sort_by(|one, other| one.view.cmp(&other.view).then(one.id.cmp(&other.id)));
    found.dedup_by(|one, other| one.view == other.view);
    if let [one, other, ..] = found.as_slice() {
        bail!(
            "the application `{name}` runs in several views, among them those of the processes {} and {}: give each \
             a name of its own (`--name`)",
            one.id,
            other.id
        )
    }
    Ok(found.pop())
}

/// Becomes a program in the view of an instance that runs.
pub fn exec(asked: &Exec) -> Result<u8> {
    let name = &asked.name;
    let Some(process) = running(name)? else {
        bail!(
            "the instance `{name}` does not run: `launcher start {name}` starts it, `launcher ps` says what runs"
        )
    };
    let dir = process.view.parent().unwrap_or(&process.view).to_owned();
    let image =
        instance::read_image(&dir).with_context(|| format!("cannot read the view in {}", dir.display()))?;
    let mut settings = instance::settings(&dir)?;
    for variable in &asked.env {
        let Some((variable, value)) = variable.split_once('=').filter(|(variable, _)| !variable.is_empty())
        else {
            bail!("`{variable}` is no variable: say --env NAME=VALUE")
        };
        settings.env.set.insert(variable.to_owned(), value.to_owned());
    }
    settings.workdir = asked.workdir.clone().or(settings.workdir);
    if asked.user.is_some() {
        // It is not the policy that says so.
        settings.run_as_line = 0;
    }
    settings.user = asked.user.clone().or(settings.user).filter(|user| !user.is_empty());
    let door = asked.door.or_else(|| process.door());
    let program: &[OsString] = &asked.program;
    run::join(&Placed { dir: PathBuf::from(&dir), image, settings }, program, door)
}
