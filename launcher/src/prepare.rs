//! From a policy file to an instance that a program can be started in: the way
//! that all starts go. What is kept of the instance is held from before it is
//! first touched until the program runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use policy::{Door, Policy};

use crate::commands::complain;
use crate::input::read_policy;
use crate::instance::{self, Placed};
use crate::instances::{Held, Kept, Record};
use crate::remembered::Memory;
use crate::{root_image, volumes};

/// What is to be started.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The policy file.
    pub policy: &'a Path,
    /// The instance's name, where it is not the application's.
    pub name: Option<&'a str>,
    /// Whether the instance is one that is kept, also where its policy keeps nothing.
    pub keeps: bool,
    /// Whether its calls are told of.
    pub traces: bool,
    /// The program that was said, where one is to be run: without one, and one of an image's, nothing is made.
    pub program: Option<&'a [OsString]>,
}

const NO_PROGRAM: &str = "no program is named: add it and its arguments after the options";

/// An instance in its place.
pub struct Ready {
    /// The place.
    pub placed: Placed,
    /// What is kept of it, held; none where nothing is.
    pub held: Option<Held>,
    /// Its volumes, held.
    _volumes: Option<volumes::Lock>,
}

/// Puts an instance in its place. None where the policy is wrong, which has been said.
///
/// # Errors
///
/// That it runs already, or what could not be made.
pub fn prepare(asked: Asked<'_>) -> Result<Option<Ready>> {
    if let Some(name) = asked.name.filter(|name| !policy::is_name(name)) {
        bail!("`--name` cannot be {name:?}: {}", policy::NAME)
    }
    let text = match read_policy(asked.policy) {
        Ok(text) => text,
        Err(report) => {
            complain(&report);
            return Ok(None);
        }
    };
    let base = instance::base()?;
    let keeps = asked.keeps || asked.name.is_some();
    let memory = Memory::of(&base, asked.policy, &text, (asked.name, keeps));
    if let (false, Some(record)) = (asked.traces, memory.recall()) {
        let held = record.settings.kept.is_some().then(|| hold(&record.settings.name)).transpose()?;
        if let Some(placed) = record.placed() {
            return Ok(Some(Ready::new(placed, held)?));
        }
    }
    let variables = |name: &str| std::env::var(name).ok();
    let prepared = policy::parse_bytes(asked.policy, &text, &variables, &root_image::find)
        .map(|policy| Policy { name: asked.name.map_or_else(|| policy.name.clone(), Into::into), ..policy })
        .and_then(|policy| Ok((policy::plan(&policy, asked.traces)?, policy)));
    let (plan, policy) = match prepared {
        Ok(prepared) => prepared,
        Err(report) => {
            complain(&report);
            return Ok(None);
        }
    };
    let has_own =
        policy.image.iter().any(|(_, image)| !(image.entrypoint.is_empty() && image.cmd.is_empty()));
    if asked.program.is_some_and(<[OsString]>::is_empty) && !has_own {
        bail!(NO_PROGRAM)
    }
    let held = (keeps || plan.keeps()).then(|| hold(&policy.name)).transpose()?;
    let placed = instance::place(&base, &policy, &plan, held.as_ref().map(|held| &held.kept))?;
    let kept = placed.settings.kept.clone().unwrap_or_default();
    volumes::make(&placed.settings.volumes, &policy, &kept)?;
    if let (false, Some(facts)) = (plan.is_private(), policy.host.facts()) {
        memory.keep(&placed, facts);
    }
    Ok(Some(Ready::new(placed, held)?))
}

/// Holds an instance in which nobody runs.
fn hold(name: &str) -> Result<Held> {
    let held = Kept::of(name)?.hold()?;
    held.must_not_run_already()?;
    Ok(held)
}

impl Ready {
    fn new(placed: Placed, held: Option<Held>) -> Result<Ready> {
        let volumes = volumes::hold(&placed.settings.volumes)?;
        Ok(Ready { placed, held, _volumes: volumes })
    }

    /// The place alone, which somebody else holds.
    pub fn let_go(self) -> Placed {
        self.placed
    }

    /// The program to run: the one that is said, or else the image's.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub fn program<'p>(&'p self, said: &'p [OsString]) -> Result<&'p [OsString]> {
        let program = if said.is_empty() { &self.placed.settings.program } else { said };
        if program.is_empty() {
            bail!(NO_PROGRAM)
        }
        Ok(program)
    }

    /// Writes down how it is started, and by whom. `created` says that this will not change
    /// when it is run another way.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn remember(
        &self,
        policy: &Path,
        program: &[OsString],
        door: Option<Door>,
        created: bool,
    ) -> Result<()> {
        let Some(held) = &self.held else { return Ok(()) };
        let before = held.kept.record()?;
        let policy = std::path::absolute(policy).context("cannot tell where the policy is")?;
        let write_layers = self.placed.settings.write_layers.iter();
        let mut record = Record {
            created,
            policy,
            program: program.iter().map(Into::into).collect(),
            door,
            started_in: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            volumes: self.placed.settings.volumes.clone(),
            write_layers: write_layers.filter(|layer| layer.dir.starts_with(held.dir())).cloned().collect(),
        };
        if let (false, Some(first)) = (created, before.filter(|before| before.created)) {
            let Record { created, policy, program, door, started_in, .. } = first;
            record = Record { created, policy, program, door, started_in, ..record };
        }
        held.keep(&record)
    }
}
