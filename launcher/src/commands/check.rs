//! `launcher check`: is the policy right?

use anyhow::Result;

use super::{counted, load, print, refuse};
use crate::cli::Check;

/// The exit status for a policy that is wrong.
const WRONG: u8 = 1;

/// Checks a policy as far as it can be without starting anything.
pub fn check(asked: &Check) -> Result<u8> {
    let file = &asked.policy.policy;
    let planned = load(file).and_then(|policy| {
        let plan = policy::plan(&policy, false)?;
        Ok((policy.name, plan.mount_count()))
    });
    match planned {
        Ok((name, mounts)) if asked.json => {
            print(&format!("{}\n", serde_json::json!({ "name": name, "mounts": mounts, "errors": [] })))
        }
        Ok((_, mounts)) => print(&format!("{}: right, {}\n", file.display(), counted(mounts))),
        Err(report) => refuse(&report, asked.json, WRONG),
    }
}
