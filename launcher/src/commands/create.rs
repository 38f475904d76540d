//! `launcher create`, `start` and `restart`: an instance that remembers what it runs.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{complain, print};
use crate::cli::{Create, Restart, Start};
use crate::instances::{self, Record};
use crate::output::say;
use crate::prepare::{Asked, prepare};
use crate::processes::Target;
use crate::{FAILED, background, root_image};

/// Makes an instance with all that it needs, and runs nothing.
pub fn create(asked: &Create) -> Result<u8> {
    let wanted = Asked {
        policy: &asked.policy,
        name: asked.name.as_deref(),
        keeps: true,
        traces: false,
        program: Some(&asked.program),
    };
    let Some(ready) = prepare(wanted)? else { return Ok(FAILED) };
    let Some(held) = &ready.held else { bail!("an instance that is not kept cannot be made") };
    let name = &held.kept.name;
    if held.kept.record()?.is_some_and(|record| record.created) {
        bail!(
            "there is an instance `{name}` already: `launcher start {name}` runs it, `launcher rm {name}` takes it away"
        )
    }
    ready.program(&asked.program)?;
    ready.remember(&asked.policy, &asked.program, asked.door, true)?;
    print(&format!("{name}\n"))
}

/// Becomes what an instance runs, or starts it in the background.
pub fn start(asked: &Start) -> Result<u8> {
    let name = &asked.name;
    let Some(Record { policy, program, door, started_in, created, .. }) = instances::find(name)?.record()?
    else {
        bail!(
            "the making of the instance `{name}` was cut off: `launcher create` or a run of its policy makes it whole"
        )
    };
    let said: Vec<OsString> = program.iter().map(OsString::from).collect();
    let wanted =
        Asked { policy: &policy, name: Some(name), keeps: true, traces: false, program: Some(&said) };
    let Some(ready) = prepare(wanted)? else { return Ok(FAILED) };
    if ready.placed.settings.workdir.is_none() {
        std::env::set_current_dir(&started_in).with_context(|| {
            format!("the instance `{name}` was started in {}, which cannot be entered", started_in.display())
        })?;
    }
    ready.remember(&policy, &said, door, created)?;
    let program = ready.program(&said)?;
    if asked.detach {
        return background::start(&ready, program, door, false);
    }
    super::run::start(&ready.placed, ready.held.as_ref(), program, door, false, None)
}

/// Ends what runs in an instance, and starts it anew.
pub fn restart(asked: &Restart) -> Result<u8> {
    let kept = instances::find(&asked.start.name)?;
    if let (Some(record), true) = (kept.record()?, kept.runs().is_some()) {
        // What could not be started again goes on.
        let wanted =
            super::load(&record.policy).and_then(|policy| Ok((policy::plan(&policy, false)?, policy)));
        let (plan, policy) = match wanted {
            Ok(wanted) => wanted,
            Err(report) => {
                complain(&report);
                say!("launcher: `{}` has not been stopped", kept.name);
                return Ok(FAILED);
            }
        };
        let keeps_root = plan.write_layers().iter().any(|layer| layer.is_kept && layer.at == Path::new("/"));
        if let (Some((name, image)), true) = (&policy.image, keeps_root) {
            root_image::hold_to(&kept, name, image)
                .with_context(|| format!("`{}` has not been stopped", kept.name))?;
        }
        super::stop::end(&Target::Kept(&kept), asked.timeout, asked.signal.as_deref())?;
    }
    start(&asked.start)
}
