//! `launcher rm`: takes an instance away, with the changes that are kept of it.

use anyhow::{Context, Result};

use crate::cli::Rm;
use crate::instances::Kept;
use crate::{instances, own_names, removal, volumes};

/// Removes instances in which nobody runs.
pub fn rm(asked: &Rm) -> Result<u8> {
    for name in &asked.names {
        // Of one that was removed without them, or a removal that was cut off.
        if asked.volumes
            && policy::is_name(name)
            && !Kept::of(name)?.dir.exists()
            && volumes::remove_own(name)?
        {
            continue;
        }
        let removed = instances::find(name).and_then(|kept| {
            let held = kept.hold()?;
            held.must_be_idle()?;
            // Before another of its name can be made, which would have the same.
            own_names::remove(&own_names::of_kept(held.dir()));
            removal::remove(held.dir())?;
            if asked.volumes { volumes::remove_own(name).map(|_| ()) } else { Ok(()) }
        });
        removed.with_context(|| format!("the instance `{name}` was not removed"))?;
    }
    Ok(0)
}
