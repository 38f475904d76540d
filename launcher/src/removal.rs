//! Taking a directory of the state away, as one step: it is moved aside first,
//! so that what is cut off leaves nothing half removed where anybody looks.
//! What an earlier removal has left is taken away by the next, and by `image gc`.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::output::say;
use crate::{instance, state};

/// Where what is removed is moved to, in the state directory.
const REMOVED: &str = "removed";
/// The same beside it, where that is on another file system: no instance and no volume is called so.
const BESIDE: &str = ".removed";
/// Where [`BESIDE`] may lie.
const PARTS: [&str; 2] = ["instances", "volumes"];

/// Removes a directory of the state directory. What cannot be taken away at once has lost
/// its name all the same.
///
/// # Errors
///
/// What the file system says.
pub fn remove(dir: &Path) -> Result<()> {
    let name = format!("{}-{}", std::process::id(), instance::start_time());
    let mut aside = made(&state::dir()?.join(REMOVED))?;
    let mut moved = fs::rename(dir, aside.join(&name));
    if moved.as_ref().is_err_and(|error| error.kind() == ErrorKind::CrossesDevices) {
        aside = made(&dir.with_file_name(BESIDE))?;
        moved = fs::rename(dir, aside.join(&name));
    }
    moved.with_context(|| format!("cannot move {}", dir.display()))?;
    if let Err(error) = sweep(&aside) {
        say!("launcher: {error:#}: nobody sees it any more; the next removal tries again");
    }
    Ok(())
}

/// Takes away what removals have left that were cut off.
///
/// # Errors
///
/// What the file system says.
pub fn tidy() -> Result<()> {
    let beside = PARTS.iter().map(|part| Ok(state::part(part)?.join(BESIDE)));
    for aside in [state::dir().map(|dir| dir.join(REMOVED))].into_iter().chain(beside) {
        let aside = aside?;
        if aside.is_dir() {
            sweep(&aside)?;
        }
    }
    Ok(())
}

/// Takes away what removals have moved aside.
fn sweep(aside: &Path) -> Result<()> {
    let entries = fs::read_dir(aside).with_context(|| format!("cannot list {}", aside.display()))?;
    let mut swept = Ok(());
    for path in entries.flatten().map(|entry| entry.path()) {
        match take_away(&path) {
            // Another removal is at it as well.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // What one has left for good is in no other's way.
            Err(error) => swept = Err(error).with_context(|| format!("cannot remove {}", path.display())),
            Ok(()) => {}
        }
    }
    swept
}

/// A directory that others do not look into.
fn made(dir: &Path) -> Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir.to_owned())
}

/// Removes a tree, also where its owner has forbidden himself to.
///
/// # Errors
///
/// What the file system says.
pub fn take_away(tree: &Path) -> io::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(tree)?;
            fs::remove_dir_all(tree)
        }
        done => done,
    }
}

/// Lets the owner of a tree into all its directories.
fn open_up(tree: &Path) -> io::Result<()> {
    let mut waiting = vec![tree.to_owned()];
    while let Some(dir) = waiting.pop() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&dir)?.flatten() {
            // A link is not followed.
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}
