//! `launcher volume`: the volumes, as a person sees them.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use rustix::fs::FlockOperation;
use serde_json::{Value, json};

use super::print;
use crate::cli::VolumeVerb;
use crate::{instances, processes, removal, volumes};

/// Does what is asked of the volumes.
pub fn volume(verb: &VolumeVerb) -> Result<u8> {
    match verb {
        VolumeVerb::Ls { json } => list(*json),
        VolumeVerb::Rm { names } => {
            names.iter().try_for_each(|name| remove(name))?;
            Ok(0)
        }
    }
}

/// The names of the instances that are kept and have a volume.
fn users(name: &str) -> Result<Vec<String>> {
    let mut users = Vec::new();
    for kept in instances::all()? {
        if kept.record()?.is_some_and(|record| record.volumes.iter().any(|volume| volume.name == name)) {
            users.push(kept.name);
        }
    }
    Ok(users)
}

fn list(as_json: bool) -> Result<u8> {
    let mut rows = Vec::new();
    let mut text = format!("{:32} {:>8} {:20} {}\n", "NAME", "PID", "INSTANCES", "DIRECTORY");
    let names = volumes::names()?;
    let dirs: Vec<_> =
        names.iter().map(|name| volumes::dir().map(|dir| dir.join(name))).collect::<Result<_>>()?;
    let running = processes::using(&dirs);
    for (name, dir) in names.iter().zip(&dirs) {
        let id = running.iter().find(|(used, _)| used == dir).map(|(_, id)| *id);
        let users = users(name)?;
        let shown = if users.is_empty() { "-".to_owned() } else { users.join(",") };
        let process = id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        writeln!(text, "{name:32} {process:>8} {shown:20} {}", dir.display())?;
        rows.push(json!({ "name": name, "pid": id, "instances": users, "directory": dir.to_string_lossy() }));
    }
    if as_json { print(&format!("{:#}\n", Value::from(rows))) } else { print(&text) }
}

fn remove(name: &str) -> Result<()> {
    let _lock = volumes::lock(FlockOperation::LockExclusive)?;
    if !volumes::names()?.iter().any(|there| there == name) {
        bail!("there is no volume `{name}`: `launcher volume ls` says which there are")
    }
    let dir = volumes::dir()?.join(name);
    if let Some((_, id)) = processes::using(std::slice::from_ref(&dir)).first() {
        bail!("the volume `{name}` is in use by process {id}: stop that first")
    }
    if let Some(user) = users(name)?.first() {
        bail!("the volume `{name}` belongs to the instance `{user}`: `launcher rm {user}` first")
    }
    removal::remove(&dir)
}
