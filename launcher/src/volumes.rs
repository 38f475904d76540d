//! Volumes: directories that outlive the instances that use them.
//!
//! A new one begins with what the application would see at its place without it, but
//! for the host's own tree, which is not the application's. It is made beside its
//! place and moved there in one step. Who makes or removes one holds a lock on the
//! directory that they lie in; who starts a program on one shares that lock until the
//! program runs.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use elements::Instance;
use policy::{Places, PlannedVolume, Policy, What};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use view::Kind;

use crate::copying::{Copier, Owners};
use crate::side::{Side, c};
use crate::user::Names;
use crate::{instance, removal, state};

/// Where drafts are made, beside the volumes: no volume can have such a name.
const DRAFT: &str = ".draft";

/// A volume of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The app path where it stands.
    pub at: PathBuf,
    /// Its name.
    pub name: String,
    /// Whether it is this instance's own.
    pub is_own: bool,
    /// Its directory.
    pub dir: PathBuf,
}

/// The lock on the directory of volumes, until it is dropped or its holder becomes another program.
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// The directory that volumes lie in.
///
/// # Errors
///
/// As [`state::dir`].
pub fn dir() -> Result<PathBuf> {
    state::part("volumes")
}

impl Volume {
    /// A volume that a plan needs, in the directory of volumes.
    pub fn of(planned: &PlannedVolume, volumes: &Path) -> Volume {
        let PlannedVolume { at, name, is_own } = planned.clone();
        Volume { dir: volumes.join(&name), at, name, is_own }
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        // A link would lead out of the state directory.
        fs::symlink_metadata(&self.dir).is_ok_and(|about| about.is_dir())
    }
}

/// Locks the directory of volumes: shared by those who start programs, else alone.
///
/// # Errors
///
/// What the file system says.
pub fn lock(how: FlockOperation) -> Result<Lock> {
    let dir = dir()?;
    // Others pass through it to what is theirs, and do not see what there is.
    if !dir.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o711).create(&dir);
        // Whatever the umask.
        made.and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)))
            .with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let opened = File::open(&dir).with_context(|| format!("cannot open {}", dir.display()))?;
    flock(&opened, how).with_context(|| format!("cannot lock {}", dir.display()))?;
    Ok(Lock(opened))
}

/// The names of all volumes.
///
/// # Errors
///
/// What the file system says.
pub fn names() -> Result<Vec<String>> {
    let dir = dir()?;
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {}", dir.display()))?,
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    // Drafts, what is being removed, and what a file system's root has.
    names.retain(|name| !name.starts_with('.') && name != "lost+found");
    names.sort();
    Ok(names)
}

/// Removes the volumes that are an instance's own; tells whether there are any.
///
/// # Errors
///
/// What the file system says.
pub fn remove_own(instance: &str) -> Result<bool> {
    let _lock = lock(FlockOperation::LockExclusive)?;
    let prefix = format!("{instance}@");
    let own: Vec<String> = names()?.into_iter().filter(|name| name.starts_with(&prefix)).collect();
    for name in &own {
        removal::remove(&dir()?.join(name))?;
    }
    Ok(!own.is_empty())
}

/// Sees to it that an application's volumes stay, until the lock goes.
///
/// # Errors
///
/// That one has gone meanwhile.
pub fn hold(volumes: &[Volume]) -> Result<Option<Lock>> {
    if volumes.is_empty() {
        return Ok(None);
    }
    let lock = lock(FlockOperation::LockShared)?;
    match volumes.iter().find(|volume| !volume.exists()) {
        Some(gone) => bail!("the volume `{}` has been removed meanwhile: try again", gone.name),
        None => Ok(Some(lock)),
    }
}

/// Makes those of an application's volumes that are not there.
///
/// # Errors
///
/// What cannot be read or made.
pub fn make(volumes: &[Volume], policy: &Policy, kept: &Path) -> Result<()> {
    if volumes.iter().all(Volume::exists) {
        return Ok(());
    }
    let _lock = lock(FlockOperation::LockExclusive)?;
    for volume in volumes.iter().filter(|volume| !volume.exists()) {
        if fs::symlink_metadata(&volume.dir).is_ok() {
            bail!("{} is no directory, so it cannot be the volume `{}`", volume.dir.display(), volume.name)
        }
        let made = seed(volume, policy, kept);
        if made.is_err() {
            // It may have filled the disk.
            let _ = removal::take_away(&volume.dir.with_file_name(DRAFT));
        }
        made.with_context(|| format!("the volume `{}` was not made", volume.name))?;
    }
    Ok(())
}

/// Makes a volume.
fn seed(volume: &Volume, policy: &Policy, kept: &Path) -> Result<()> {
    let draft = volume.dir.with_file_name(DRAFT);
    match removal::take_away(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", draft.display()));
        }
        _ => {}
    }
    let mut below = policy.clone();
    below
        .mounts
        .retain(|mount| !matches!(mount.what, What::Volume { .. }) && !mount.at.starts_with(&volume.at));
    let below = policy::plan(&below, false)
        .map_err(|report| anyhow!("{}", report.render(false)))
        .context("what lies below the volume cannot be seen")?;
    // Inline files and scratch directories are nowhere yet, and nothing of theirs is copied.
    let image =
        below.image(&Places { instance: Path::new("/dev/null"), kept, volumes: Path::new("/dev/null") });
    let view = Instance::new(instance::view(&image)?, None);
    let path = c(&volume.at).map_err(|_| anyhow!("{} holds NUL", volume.at.display()))?;
    let explained = view.explain(&path, true);
    let from = Side::View(&view);
    let is_there = from.look(&volume.at, true).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR);
    if is_there && matches!(explained.mount.kind, Kind::Host | Kind::Layers) && explained.mount.line != 0 {
        let at = PathBuf::from(OsStr::from_bytes(explained.app.bytes()));
        Copier::new(from, Side::Host, Owners::Kept).copy(&at, &draft)?;
    } else {
        let made = DirBuilder::new().mode(0o755).create(&draft);
        made.with_context(|| format!("cannot make {}", draft.display()))?;
        if let (Some(user), true) = (&policy.user, rustix::process::geteuid().is_root()) {
            let user = Names::of(&view)?.user(user)?;
            std::os::unix::fs::chown(&draft, Some(user.uid), Some(user.gid))
                .context("cannot give it to its user")?;
        }
    }
    // The name must not outlive what it stands for, should the machine stop now.
    let disk = File::open(dir()?).context("cannot open the directory of volumes")?;
    rustix::fs::syncfs(&disk).context("cannot write the volume to the disk")?;
    fs::rename(&draft, &volume.dir).with_context(|| format!("cannot put it at {}", volume.dir.display()))
}
