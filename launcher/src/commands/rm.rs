//! `launcher rm`: takes an instance away, with the changes that are kept of it.

use anyhow::{Context, Result};

use crate::cli::Rm;
use crate::{instances, own_names, removal, volumes};

/// Removes instances in which nobody runs.
pub fn rm(asked: &Rm) -> Result<u8> {
    for name in &asked.names {
        let removed = instances::find(name).and_then(|kept| {
            let held = kept.hold()?;
            held.must_be_idle()?;
            removal::remove(held.dir())?;
            own_names::remove(&own_names::of_kept(held.dir()));
            if asked.volumes { volumes::remove_own(name) } else { Ok(()) }
        });
        removed.with_context(|| format!("the instance `{name}` was not removed"))?;
    }
    Ok(0)
}
