//! Placing an instance: the directory where the program's processes find
//! their view and the shim.
//!
//! The directory's name depends on all that is in it, so a second run of the
//! same policy finds it there and makes nothing. A new one is made beside its
//! place and renamed into it: a crash, a full disk or a race leaves nothing
//! half made. An instance that changes what is in its directory gets one of
//! its own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use elements::instance::VIEW;
use elements::shared;
use policy::{Door, Env, Places, Plan, Policy};
use serde::{Deserialize, Serialize};

use crate::instances::Kept;
use crate::state::WriteLayer;
use crate::volumes::{self, Volume};
use crate::{admission, copies, own_names, room, root_image, stale};

/// The doors: the shim, as ld.so will load it, and the gate, as the kernel will
/// start it. Each stands in an instance's directory under its name.
static DOORS: [(&str, &[u8]); 2] =
    [("shim.so", include_bytes!(env!("SHIM"))), ("gate", include_bytes!(env!("GATE")))];
/// Tells this launcher's doors, and so its instances, from another's.
pub const DOORS_HASH: &str = env!("DOORS_HASH");

/// The directory for records of starts, beside the instances' own.
pub const RECORDS: &str = "starts";

/// The file of an instance's directory with its [`Settings`].
const SETTINGS: &str = "settings";

/// A placed instance, and what a program is started with in it.
pub struct Placed {
    /// Its directory.
    pub dir: PathBuf,
    /// The view's image.
    pub image: Vec<u8>,
    /// What the policy says of the start.
    pub settings: Settings,
}

/// What a start needs of a policy beside the view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The application's name.
    pub name: String,
    /// The app path that it is started in.
    pub workdir: Option<PathBuf>,
    /// Whether no_new_privs is set.
    pub no_new_privs: bool,
    /// By which door calls reach the elements.
    pub door: Door,
    /// The environment.
    pub env: Env,
    /// How many mounts there are.
    pub mounts: usize,
    /// What is run where no program is named: an image's entry point.
    pub program: Vec<OsString>,
    /// Who it runs as; none: who starts it.
    pub user: Option<String>,
    /// The line of the policy's `run_as`, which has it played where it cannot be had; 0: none.
    pub run_as_line: u32,
    /// Whether `/` is an image's, which knows nothing of the host's home directories.
    pub is_image: bool,
    /// What the changes to unions of layers go to.
    pub write_layers: Vec<WriteLayer>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// The directory of what is kept of the instance, where anything is.
    pub kept: Option<PathBuf>,
    /// The directory for names of the instance's own, where it has them.
    pub names: Option<PathBuf>,
}

impl Placed {
    /// The path that the shim is loaded by.
    pub fn shim(&self) -> PathBuf {
        self.dir.join("shim.so")
    }

    /// The path that the gate is started by.
    pub fn gate(&self) -> PathBuf {
        self.dir.join("gate")
    }

    /// How many programs have come under the view so far, by their own account.
    ///
    /// # Errors
    ///
    /// Those of reading a file.
    pub fn checked_in(&self) -> std::io::Result<u64> {
        let mut count = [0; 8];
        fs::File::open(self.dir.join(VIEW))?.read_exact_at(&mut count, shared::Directories::CHECKED_IN)?;
        Ok(u64::from_ne_bytes(count))
    }

    /// Has the instance's processes look anew which layers have a directory, and know of the copies
    /// that are kept: both may have been changed between two starts, under another policy, too.
    ///
    /// # Errors
    ///
    /// Those of mapping a file.
    pub fn look_anew(&self) -> std::io::Result<()> {
        let record = copies::Kept::of(&self.dir)?;
        self.with_shared(|shared| {
            shared.directories.forget_directories();
            if let Some(record) = &record {
                shared.copies.take_over(record.get());
            }
        })
    }

    /// Looks at what the instance's processes share, and may change it.
    ///
    /// # Errors
    ///
    /// Those of mapping a file.
    pub fn with_shared<T>(&self, look: impl FnOnce(&shared::Shared) -> T) -> std::io::Result<T> {
        use rustix::mm::{MapFlags, ProtFlags};
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(VIEW))?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping of the file's first pages, which hold atomics, for
        // which any bytes will do. It is taken away when nothing refers to it any more.
        unsafe {
            let at = rustix::mm::mmap(std::ptr::null_mut(), shared::LEN, rights, MapFlags::SHARED, &file, 0)?;
            let seen = look(&*at.cast::<shared::Shared>());
            rustix::mm::munmap(at, shared::LEN)?;
            Ok(seen)
        }
    }

    /// A start has not told of an uncovered program yet, whatever earlier ones did.
    ///
    /// # Errors
    ///
    /// Those of writing to a file.
    pub fn forget_uncovered(&self) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.dir.join(VIEW))?;
        file.write_all_at(&[0; 4], shared::Directories::SAID_UNCOVERED)
    }
}

/// Puts an instance in its place.
///
/// # Errors
///
/// What could not be written there.
pub fn place(base: &Path, policy: &Policy, plan: &Plan, kept: Option<&Kept>) -> Result<Placed> {
    let keeps_root = plan.write_layers().iter().any(|layer| layer.is_kept && layer.at == Path::new("/"));
    if let (Some((name, image)), true, Some(kept)) = (&policy.image, keeps_root, kept) {
        root_image::hold_to(kept, name, image)?;
    }
    let volumes = if plan.volumes().is_empty() { PathBuf::new() } else { volumes::dir()? };
    let mut settings = Settings {
        name: policy.name.clone(),
        workdir: policy.workdir.clone(),
        no_new_privs: policy.no_new_privs,
        door: policy.door,
        env: policy.env.clone(),
        mounts: plan.mount_count(),
        program: policy
            .image
            .iter()
            .flat_map(|(_, image)| image.entrypoint.iter().chain(&image.cmd))
            .map(OsString::from)
            .collect(),
        user: policy.user.clone(),
        run_as_line: policy.run_as_line,
        is_image: policy.image.is_some(),
        write_layers: Vec::new(),
        volumes: plan.volumes().iter().map(|planned| Volume::of(planned, &volumes)).collect(),
        kept: kept.map(|kept| kept.dir.clone()),
        names: None,
    };
    let kept = settings.kept.clone().unwrap_or_default();
    // Who comes later finds the settings by the view.
    let salt = written(&(DOORS_HASH, &settings))?;
    let places = Places { instance: Path::new(""), kept: &kept, volumes: &volumes };
    let digest = plan.digest(&salt, &places);
    let digest = digest.get(..16).unwrap_or(&digest);
    let mut name = format!("{}-{digest}", policy.name);
    if plan.is_private() {
        name = format!("{name}-{}-{}", std::process::id(), start_time());
    }
    let dir = base.join(name);
    let places = Places { instance: &dir, ..places };
    let image = plan.image(&places);
    settings.names = plan.has_own_names().then(|| places.names());
    settings.write_layers = plan
        .write_layers()
        .iter()
        .map(|layer| WriteLayer {
            dir: if layer.is_kept { &kept } else { &dir }.join(&layer.name),
            at: layer.at.clone(),
            layers: layer.layers.clone(),
        })
        .collect();
    if !dir.join(VIEW).exists() {
        make(base, &dir, plan, &image, &settings)
            .with_context(|| format!("cannot make the instance's directory {}", dir.display()))?;
        stale::forget(base, &dir);
    }
    for layer in &settings.write_layers {
        layer.make()?;
    }
    own_names::make_for(&dir, &settings)?;
    Ok(Placed { dir, image, settings })
}

/// Puts an instance in its place as a run would, for somebody who only looks at it.
///
/// # Errors
///
/// As [`place`].
pub fn place_to_look(policy: &Policy, plan: &Plan) -> Result<Placed> {
    let kept = plan.keeps().then(|| Kept::of(&policy.name)).transpose()?;
    place(&base()?, policy, plan, kept.as_ref())
}

/// A number that tells this process from an earlier one with its id.
pub fn start_time() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos())
}

/// The directory for this user's instances: the first of the usual places
/// that will do.
///
/// # Errors
///
/// Why none of those tried would do.
pub fn base() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let uid = rustix::process::geteuid().as_raw();
    let runtime = variable("RUNTIME_DIRECTORY").and_then(|list| {
        list.as_os_str()
            .as_bytes()
            .split(|byte| *byte == b':')
            .next()
            .map(|first| PathBuf::from(OsStr::from_bytes(first)))
    });
    let candidates = [
        runtime,
        variable("XDG_RUNTIME_DIR").map(|dir| dir.join("launcher")),
        (uid == 0).then(|| PathBuf::from("/run/launcher")),
        variable("XDG_STATE_HOME").map(|dir| dir.join("launcher")),
        variable("HOME").map(|dir| dir.join(".local/state/launcher")),
        Some(PathBuf::from(format!("/tmp/launcher-{uid}"))),
    ];
    let mut reasons = Vec::new();
    for candidate in candidates.into_iter().flatten() {
        match usable(&candidate, uid) {
            Ok(base) => return Ok(base),
            Err(reason) => reasons.push(format!("  {}: {reason:#}", candidate.display())),
        }
    }
    bail!(
        "no directory can hold the instance; set XDG_RUNTIME_DIR to one that this user owns, \
         on a file system from which libraries may be loaded\n{}",
        reasons.join("\n")
    )
}

/// Whether a directory can hold instances: ours, closed to others' changes,
/// with a name that ld.so takes, and not mounted noexec.
fn usable(dir: &Path, uid: u32) -> Result<PathBuf> {
    if !dir.is_absolute() {
        bail!("not an absolute path");
    }
    if !dir.exists() {
        let mut parents = DirBuilder::new();
        parents.recursive(true).mode(0o755).create(dir).context("cannot be created")?;
        if uid == 0 {
            // Whatever the umask.
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).context("cannot set permissions")?;
        }
    }
    let dir = dir.canonicalize().context("cannot be entered")?;
    let about = fs::symlink_metadata(&dir).context("cannot be looked at")?;
    if about.uid() != uid {
        bail!("belongs to another user");
    }
    if about.mode() & 0o022 != 0 {
        bail!("others may write there");
    }
    // A program that gives up root's rights goes on in its view.
    let may_enter = |dir: &Path| fs::metadata(dir).is_ok_and(|about| about.mode() & 0o001 != 0);
    if uid == 0 && !dir.ancestors().all(may_enter) {
        bail!("other users may not enter it, and root's programs may become theirs");
    }
    // ld.so splits LD_PRELOAD at these, and expands `$`.
    if dir.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b' ' | b':' | b'$' | b'\n' | b'\t')) {
        bail!("its name holds a character that ld.so splits LD_PRELOAD at");
    }
    for (name, bytes) in DOORS {
        let door = door_file(&dir, name);
        let placed =
            fs::metadata(&door).is_ok_and(|about| about.len() == bytes.len() as u64 && about.uid() == uid);
        if !placed {
            let made = write_door(&dir, &door, bytes);
            if made.is_err() {
                // It may be there half made, or not loadable from there.
                let _ = fs::remove_file(&door);
            }
            made?;
        }
    }
    Ok(dir)
}

fn door_file(base: &Path, name: &str) -> PathBuf {
    base.join(format!("{DOORS_HASH}-{name}"))
}

fn write_door(base: &Path, door: &Path, bytes: &[u8]) -> Result<()> {
    let draft = base.join(format!(".door-{}-{}", std::process::id(), start_time()));
    let written =
        write(&draft, bytes, 0o555).and_then(|()| fs::rename(&draft, door).context("cannot be renamed"));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    let file = fs::File::open(door).context("cannot be opened")?;
    use rustix::mm::{MapFlags, ProtFlags};
    // SAFETY: a fresh mapping, which is taken away at once and never used.
    unsafe {
        let exec = ProtFlags::READ | ProtFlags::EXEC;
        let map = rustix::mm::mmap(std::ptr::null_mut(), bytes.len(), exec, MapFlags::PRIVATE, &file, 0)
            .context("libraries cannot be loaded from there (is it mounted noexec?)")?;
        rustix::mm::munmap(map, bytes.len()).context("cannot be unmapped")?;
    }
    Ok(())
}

/// Writes a new file.
///
/// # Errors
///
/// A file of that name, or what the file system says.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(bytes)
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes the directory beside its place and renames it.
fn make(base: &Path, dir: &Path, plan: &Plan, image: &[u8], settings: &Settings) -> Result<()> {
    let draft = base.join(format!(".draft-{}-{}", std::process::id(), start_time()));
    let made = fill(base, &draft, plan, image, settings).and_then(|()| match fs::rename(&draft, dir) {
        // Another start of the same policy was faster: its directory is the same.
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
            fs::remove_dir_all(&draft).context("cannot take the draft away")
        }
        done => done.context("cannot be renamed into place"),
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    made
}

fn fill(base: &Path, draft: &Path, plan: &Plan, image: &[u8], settings: &Settings) -> Result<()> {
    let directory = |path: &Path, mode| -> Result<()> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).context("cannot set permissions")
    };
    directory(draft, 0o755)?;
    for planned in plan.directories() {
        directory(&draft.join(&planned.name), planned.mode | 0o700)?;
    }
    for planned in plan.files() {
        let file = draft.join(&planned.name);
        if planned.is_link {
            let target = OsStr::from_bytes(&planned.bytes);
            std::os::unix::fs::symlink(target, &file)
                .with_context(|| format!("cannot create {}", file.display()))?;
        } else {
            write(&file, &planned.bytes, planned.mode)?;
        }
    }
    for planned in plan.directories() {
        let path = draft.join(&planned.name);
        fs::set_permissions(&path, fs::Permissions::from_mode(planned.mode))
            .with_context(|| format!("cannot set the permissions of {}", path.display()))?;
    }
    for (name, _) in DOORS {
        fs::hard_link(door_file(base, name), draft.join(name))
            .with_context(|| format!("cannot link {name}"))?;
    }
    // They may hold what the policy's owner keeps to himself.
    let kept = settings.kept.as_deref();
    let settings = written(settings)?;
    write(&draft.join(SETTINGS), &settings, 0o400)?;
    // Others read it: a process of the application that runs as another user.
    let file = draft.join(VIEW);
    write(&file, &[], 0o644)?;
    let flags = view(image)?.flags();
    let written = OpenOptions::new().write(true).open(&file).and_then(|view| {
        view.set_len(shared::LEN as u64)?;
        for part in shared::Shared::parts(flags) {
            room::reserve(&view, part)?;
        }
        view.write_all_at(image, shared::LEN as u64)
    });
    written.with_context(|| format!("cannot write {}", file.display()))?;
    match kept {
        Some(kept) if plan.write_layers().iter().any(|layer| layer.is_kept) => {
            copies::lead_to_record(draft, kept)?;
            admission::lead_to_notices(draft, kept)
        }
        _ => Ok(()),
    }
}

/// Settings, as they are kept. Their paths must be text.
fn written(settings: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_allocvec(settings).map_err(|error| {
        anyhow!("cannot write the settings ({error}): is a path of the policy's, or that of the policy itself, not UTF-8?")
    })
}

/// The image in the directory of an instance that has been placed.
///
/// # Errors
///
/// Those of reading a file.
pub fn read_image(dir: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(dir.join(VIEW))?;
    file.seek(SeekFrom::Start(shared::LEN as u64))?;
    let mut image = Vec::new();
    file.read_to_end(&mut image)?;
    Ok(image)
}

/// Whether a directory that a process names as its instance's has been made by this user:
/// anybody can map a file of any name.
pub fn is_own(dir: &Path) -> bool {
    let uid = rustix::process::geteuid().as_raw();
    let is_closed = |dir: &Path| {
        fs::symlink_metadata(dir)
            .is_ok_and(|about| about.is_dir() && about.uid() == uid && about.mode() & 0o022 == 0)
    };
    is_closed(dir) && dir.parent().is_some_and(is_closed)
}

/// What the programs in the instance in a directory have been started with.
///
/// # Errors
///
/// Those of reading a file, a directory of another user's, and what another version has written.
pub fn settings(dir: &Path) -> Result<Settings> {
    if !is_own(dir) {
        bail!("the instance in {} is another user's", dir.display())
    }
    let file = dir.join(SETTINGS);
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    postcard::from_bytes(&bytes).with_context(|| format!("{} is of another version", file.display()))
}

/// The view in an image that this process has made itself.
pub fn view(image: &[u8]) -> Result<view::View<'_>> {
    view::View::from_bytes(image).map_err(|malformed| anyhow!("the view is malformed: {}", malformed.0))
}
