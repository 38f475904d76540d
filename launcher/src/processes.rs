//! The processes that run in views, as the kernel tells of them: each has the
//! file of its view mapped, whoever started it and whoever its parent is now.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use elements::instance::VIEW;

use policy::Door;

use crate::instances::Kept;
use crate::{instance, state};

/// A process, and the view that it runs in.
pub struct Process {
    /// Its id.
    pub id: i32,
    /// The file of its view.
    pub view: PathBuf,
}

/// What an application is called, and where its policy was.
pub struct Application {
    /// Its name.
    pub name: Vec<u8>,
    /// The policy file.
    pub policy: Vec<u8>,
}

impl Process {
    /// The application that it belongs to, by its view.
    pub fn application(&self) -> Option<Application> {
        let image = instance::read_image(self.view.parent()?).ok()?;
        let view = instance::view(&image).ok()?;
        Some(Application { name: view.name().to_vec(), policy: view.policy_file().to_vec() })
    }

    /// The door by which its calls reach the view, where it has come through one.
    pub fn door(&self) -> Option<Door> {
        let maps = fs::read(format!("/proc/{}/maps", self.id)).ok()?;
        let has = |name: &str| {
            let path = self.view.with_file_name(name).into_os_string().into_encoded_bytes();
            maps.split(|byte| *byte == b'\n').any(|line| line.ends_with(&path))
        };
        let door = if has("gate") { Some(Door::Gate) } else { None };
        door.or_else(|| has("shim.so").then_some(Door::Shim))
    }

    /// The directory of what is kept of its instance.
    pub fn kept(&self) -> Option<PathBuf> {
        instance::settings(self.view.parent()?).ok()?.kept
    }

    /// Whether the process of this id runs in this view still.
    pub fn is_still_there(&self) -> bool {
        view_of(Path::new(&format!("/proc/{}", self.id))).as_ref() == Some(&self.view)
    }
}

/// Whose processes are meant.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// An application's of this name: those of the instance that is kept here, where it runs, else all.
    Named(&'a str),
    /// An instance's that is kept.
    Kept(&'a Kept),
}

impl Target<'_> {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Target::Named(name) => name,
            Target::Kept(kept) => &kept.name,
        }
    }

    /// What tells the present start of an instance that is kept from earlier and later ones.
    pub fn start(&self) -> Option<String> {
        match self {
            Target::Named(_) => None,
            Target::Kept(kept) => kept.start(),
        }
    }
}

/// The processes that are meant.
pub fn of(target: &Target<'_>) -> Vec<Process> {
    let name = target.name().as_bytes();
    let is_named = |process: &Process| process.application().is_some_and(|of| of.name == name);
    let named = all().into_iter().filter(is_named);
    let dir = match target {
        Target::Named(name) => state::of_application(name).ok(),
        Target::Kept(kept) => Some(kept.dir.clone()),
    };
    let is_own = |process: &Process| dir.is_some() && process.kept() == dir;
    let (own, others): (Vec<Process>, Vec<Process>) = named.partition(is_own);
    if own.is_empty() && matches!(target, Target::Named(_)) { others } else { own }
}

/// What tells a process from others that have had its id, or will: the boot, and when in
/// it the process has begun. None where it has ended. proc(5)
pub fn birth(id: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before them may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    // One that is about to end has no program any more.
    let exe = fs::read_link(format!("/proc/{id}/exe"));
    let has_none = exe.is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if matches!(fields.next()?, "Z" | "X") || has_none {
        return None;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{} {}", boot.trim(), fields.nth(18)?))
}

/// All of them that this user may look at.
pub fn all() -> Vec<Process> {
    each(view_of)
}

/// Those of them that have come through the gate: they are found with less trouble.
pub fn gated() -> Vec<Process> {
    each(view_of_gated)
}

/// The id of a process of an instance of this name whose directory has been taken away under it, as happens to
/// a user's runtime directory when the last session ends. It starts no program any more, and is seen by nobody else.
pub fn orphan(name: &str, has_gate: bool) -> Option<i32> {
    let is_its = |file: &[u8]| {
        let path = Path::new(std::ffi::OsStr::from_bytes(file.strip_suffix(b" (deleted)")?));
        let digest =
            path.parent()?.file_name()?.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"-")?;
        let is_digest = digest.get(..16)?.iter().all(u8::is_ascii_hexdigit);
        let is_whole = digest.get(16).is_none_or(|byte| *byte == b'-');
        let is_ours = path.file_name().is_some_and(|file| file == "gate" || file == VIEW);
        (is_digest && is_whole && is_ours).then_some(())
    };
    let has_mapped = |process: &Path| {
        let maps = fs::read(process.join("maps")).unwrap_or_default();
        let file = |line: &[u8]| is_its(line.get(line.iter().position(|byte| *byte == b'/')?..)?);
        maps.split(|byte| *byte == b'\n').any(|line| file(line).is_some())
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let exe = fs::read_link(entry.path().join("exe")).ok()?;
        let is_its = is_its(exe.as_os_str().as_bytes()).is_some() || !has_gate && has_mapped(&entry.path());
        is_its.then_some(id)
    })
}

fn each(view: impl Fn(&Path) -> Option<PathBuf>) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some(Process { id, view: view(&entry.path())? })
        })
        .collect()
}

/// The view of a process whose program is the gate, whether it has mapped it yet or not.
fn view_of_gated(process: &Path) -> Option<PathBuf> {
    let gate = fs::read_link(process.join("exe")).ok()?;
    let view = gate.with_file_name(VIEW);
    (gate.file_name().is_some_and(|name| name == "gate") && view.exists()).then_some(view)
}

/// The view that a process has mapped, or that the gate is about to map for it.
fn view_of(process: &Path) -> Option<PathBuf> {
    view_of_gated(process).or_else(|| view_mapped(process))
}

fn view_mapped(process: &Path) -> Option<PathBuf> {
    let maps = fs::read(process.join("maps")).ok()?;
    let is_view = |path: &Path| path.file_name().is_some_and(|name| name == VIEW);
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        let path = line.get(line.iter().position(|byte| *byte == b'/')?..)?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        (is_view(&path) && path.with_file_name("gate").exists()).then_some(path)
    })
}

/// Which of these host paths views of running processes lead to, and the id of a
/// process of each view.
pub fn using(paths: &[PathBuf]) -> Vec<(PathBuf, i32)> {
    let mut views: Vec<Process> = all();
    views.sort_by(|one, other| one.view.cmp(&other.view));
    views.dedup_by(|one, other| one.view == other.view);
    let mut found = Vec::new();
    for Process { id, view } in views {
        let Ok(view) = fs::read(view) else { continue };
        let leads = |path: &&PathBuf| {
            let text = path.as_os_str().as_bytes();
            // A name that begins so is another's.
            let ends = |at: usize| view.get(at + text.len()).is_none_or(|byte| matches!(byte, 0 | b'/'));
            !text.is_empty()
                && view.windows(text.len()).enumerate().any(|(at, part)| part == text && ends(at))
        };
        found.extend(paths.iter().filter(leads).map(|path| (path.clone(), id)));
    }
    found
}
