//! What is kept for an application from one run to the next: its write layers.
//!
//! The directory of an application is named after it, in the state directory:
//! systemd's `$STATE_DIRECTORY`, or the user's own (XDG base directory
//! specification), or root's.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::{Store, User};
use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, UTIME_OMIT, Uid};
use serde::{Deserialize, Serialize};

use crate::{instances, owners, processes};

/// The variables that say where the state directory is.
pub const VARIABLES: [&str; 3] = ["STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"];

/// A write layer of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteLayer {
    /// The directory that holds its `upper` and its `work`.
    pub dir: PathBuf,
    /// The app path where the union stands.
    pub at: PathBuf,
    /// The host paths of the layers below it, lowest first.
    pub layers: Vec<PathBuf>,
}

/// The directory for what is kept of this user's applications, canonical.
///
/// # Errors
///
/// That there is no place for it.
pub fn dir() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let of_unit = variable("STATE_DIRECTORY").and_then(|list| {
        let first = list.as_bytes().split(|byte| *byte == b':').next()?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(first)))
    });
    let is_root = rustix::process::geteuid().is_root();
    let own = || {
        let state = variable("XDG_STATE_HOME").map(PathBuf::from);
        let home = || variable("HOME").map(|home| Path::new(&home).join(".local/state"));
        state.filter(|dir| dir.is_absolute()).or_else(home).map(|dir| dir.join("launcher"))
    };
    let dir = of_unit.or_else(|| if is_root { Some("/var/lib/launcher".into()) } else { own() });
    let Some(dir) = dir else {
        bail!("there is no place to keep the application's changes; set XDG_STATE_HOME or HOME")
    };
    if dir.to_str().is_none() {
        bail!(
            "the state directory {} cannot be used, since its name is no UTF-8: set STATE_DIRECTORY or \
             XDG_STATE_HOME to another",
            dir.display()
        )
    }
    DirBuilder::new().recursive(true).mode(0o755).create(&dir).and_then(|()| dir.canonicalize()).with_context(
        || {
            let shown = dir.display();
            format!(
                "the state directory {shown} cannot be used: set STATE_DIRECTORY or XDG_STATE_HOME to another"
            )
        },
    )
}

/// One of the directories in it. It may be a link to a larger disk; what a view leads to lies
/// behind none.
///
/// # Errors
///
/// As [`dir`].
pub fn part(name: &str) -> Result<PathBuf> {
    let part = dir()?.join(name);
    Ok(part.canonicalize().unwrap_or(part))
}

/// The store of images.
///
/// # Errors
///
/// As [`dir`], and that it cannot be used.
pub fn images() -> Result<Store> {
    Ok(Store::at(part("images")?, users_of_layers)?.with_book(owners::kept))
}

/// Who uses which of these layers of images: all that runs, or an instance that is kept.
fn users_of_layers(trees: &[PathBuf]) -> Result<Vec<(PathBuf, User)>> {
    let running = processes::using(trees);
    let mut users: Vec<(PathBuf, User)> =
        running.into_iter().map(|(tree, id)| (tree, User::Process(id))).collect();
    for kept in instances::all()? {
        let layers = kept.image()?.map(|base| base.layers).unwrap_or_default();
        let is_its = |tree: &&PathBuf| {
            let digits = tree.parent().and_then(Path::file_name);
            digits.is_some_and(|digits| layers.iter().any(|layer| **layer == *digits))
        };
        let own = trees.iter().filter(is_its);
        users.extend(own.map(|tree| (tree.clone(), User::Instance(kept.name.clone()))));
    }
    Ok(users)
}

/// The directory for what is kept of an application.
///
/// # Errors
///
/// As [`dir`].
pub fn of_application(name: &str) -> Result<PathBuf> {
    Ok(part("instances")?.join(name))
}

impl WriteLayer {
    /// Makes the layer's directories, where they are missing.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn make(&self) -> Result<()> {
        let made = || -> std::io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o755).create(&self.dir)?;
            for (name, mode) in [("work", 0o700), ("upper", 0o755)] {
                let dir = self.dir.join(name);
                if !dir.is_dir() {
                    DirBuilder::new().mode(mode).create(&dir)?;
                    if name == "upper" {
                        self.take_after(&dir)?;
                    }
                }
            }
            Ok(())
        };
        made().with_context(|| format!("cannot make the write layer {}", self.dir.display()))
    }

    /// Takes away what a crash has left in it half made. Nobody may be running in it.
    pub fn tidy(&self) {
        let drafts = fs::read_dir(self.dir.join("work")).into_iter().flatten().flatten();
        for draft in drafts.filter(|draft| draft.file_name().as_bytes().starts_with(b"#")) {
            let is_dir = draft.file_type().is_ok_and(|kind| kind.is_dir());
            // What stays is in nobody's way.
            let _ = if is_dir { fs::remove_dir_all(draft.path()) } else { fs::remove_file(draft.path()) };
        }
    }

    /// The union's root looks as the highest layer's does that was there before.
    fn take_after(&self, upper: &Path) -> std::io::Result<()> {
        let Some(below) = self.layers.last() else { return Ok(()) };
        let below = fs::metadata(below)?;
        let owner = (Some(Uid::from_raw(below.uid())), Some(Gid::from_raw(below.gid())));
        // An ordinary user's write layer is that user's.
        let _ = rustix::fs::chownat(CWD, upper, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW);
        fs::set_permissions(upper, fs::Permissions::from_mode(below.mode() & 0o7777))?;
        let modified = Timespec { tv_sec: below.mtime(), tv_nsec: below.mtime_nsec() };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: modified,
        };
        Ok(rustix::fs::utimensat(CWD, upper, &times, AtFlags::empty())?)
    }
}
