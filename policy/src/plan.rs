//! The plan of a view: every mount at its canonical place, and the files and
//! directories that the launcher must make for them.
//!
//! What a plan names lies in the instance's directory, which is not known
//! yet: its name depends on the plan's digest. So sources of that kind are
//! relative until [`Plan::image`] is told the directory.

mod placing;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use view::build::{Facts, Row};
use view::{Access, Kind, flags};

use crate::checked::{Coverage, Policy};
use crate::report::Report;

/// A file that the launcher makes in the instance's directory.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// Its path in the instance's directory.
    pub name: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Whether it is a symbolic link, with the bytes for its text.
    pub is_link: bool,
}

/// A directory that the launcher makes in the instance's directory.
#[derive(Clone, Debug)]
pub struct PlannedDirectory {
    /// Its path in the instance's directory.
    pub name: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

#[derive(Clone, Debug)]
struct PlannedRow {
    at: PathBuf,
    kind: Kind,
    access: Access,
    is_dir: bool,
    source: Source,
    layers: Vec<Source>,
    line: u32,
}

#[derive(Clone, Debug)]
enum Source {
    None,
    /// A host path, or a link's text.
    Text(PathBuf),
    /// A path of the instance's directory.
    Planned(PathBuf),
    /// A path of the directory that is kept for the application.
    Kept(PathBuf),
    /// A volume.
    Volume(String),
    /// The instance's own directory of shared memory.
    SharedMemory,
}

impl Source {
    fn host_path(&self, places: &Places<'_>) -> Vec<u8> {
        match self {
            Source::None => Vec::new(),
            Source::Text(path) => path.as_os_str().as_bytes().to_vec(),
            Source::Planned(name) => places.instance.join(name).into_os_string().into_encoded_bytes(),
            Source::Volume(name) => places.volumes.join(name).into_os_string().into_encoded_bytes(),
            Source::SharedMemory => places.names().join("shm").into_os_string().into_encoded_bytes(),
            Source::Kept(name) => places.kept.join(name).into_os_string().into_encoded_bytes(),
        }
    }
}

/// Where on the host a plan comes to lie, canonical.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The instance's directory.
    pub instance: &'a Path,
    /// The directory that is kept for the application.
    pub kept: &'a Path,
    /// The directory of volumes.
    pub volumes: &'a Path,
}

/// The directory of shared memory, on the host and for the program.
pub const SHARED_MEMORY: &str = "/dev/shm";

impl Places<'_> {
    /// The number that makes names the instance's own: another one for each that is kept, and for each view
    /// that is not.
    pub fn salt(&self) -> u64 {
        let whose = if self.kept == Path::new("") { self.instance } else { self.kept };
        let hash = blake3::hash(whose.as_os_str().as_bytes());
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The directory for what has names of the instance's own: `shm`, and `marks` of all else.
    pub fn names(&self) -> PathBuf {
        Path::new(SHARED_MEMORY).join(format!("launcher-{:016x}", self.salt()))
    }
}

/// A volume that the view needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVolume {
    /// The app path where it stands.
    pub at: PathBuf,
    /// Its name in the directory of volumes.
    pub name: String,
    /// Whether it is this instance's own.
    pub is_own: bool,
}

/// A write layer: the directories `upper` and `work` are made in it.
#[derive(Clone, Debug)]
pub struct PlannedLayer {
    /// Its path in the directory that is kept for the application, or, where
    /// `is_kept` does not hold, in the instance's.
    pub name: PathBuf,
    /// Whether it outlives the instance.
    pub is_kept: bool,
    /// The app path where the union stands.
    pub at: PathBuf,
    /// The host paths of the layers below it, lowest first.
    pub layers: Vec<PathBuf>,
}

/// The view before its instance directory is known.
#[derive(Clone, Debug)]
pub struct Plan {
    rows: Vec<PlannedRow>,
    facts: Facts,
    files: Vec<PlannedFile>,
    directories: BTreeMap<PathBuf, u32>,
    write_layers: Vec<PlannedLayer>,
    volumes: Vec<PlannedVolume>,
    is_private: bool,
    /// How many rows are of files that the policy's identity makes.
    generated: usize,
}

/// Where in the instance's directory the signal stands that stops the application,
/// where its policy or its image names one.
pub const STOP_SIGNAL: &str = "stop-signal";

/// Bumped when the layout of an instance's directory changes, or what a policy
/// is compiled to.
pub const FORMAT: u32 = 10;

pub fn plan(policy: &Policy, trace: bool) -> Result<Plan, Report> {
    // Root becomes in truth who the policy says.
    let plays = policy.run_as_line != 0 && !rustix::process::geteuid().is_root();
    let mut bits = 0;
    for (bit, set) in [
        (flags::COVERAGE_REQUIRED, policy.coverage == Coverage::Required),
        (flags::NO_NEW_PRIVS, policy.no_new_privs),
        (flags::TRACE, trace),
        (flags::CREDENTIALS, plays),
    ] {
        bits |= if set { bit } else { 0 };
    }
    let facts = Facts {
        name: policy.name.clone().into_bytes(),
        policy_file: policy.file.as_os_str().as_bytes().to_vec(),
        flags: bits,
        coverage_line: policy.coverage_line,
        identity: policy.identity.facts(),
        network: policy.network.facts(&policy.generated, &policy.mounts),
        time: policy.time,
        ipc: policy.ipc.clone(),
    };
    let root = PlannedRow {
        at: "/".into(),
        kind: Kind::Pass,
        access: Access::ReadWrite,
        is_dir: true,
        source: Source::None,
        layers: Vec::new(),
        line: 0,
    };
    let signal = policy.stop_signal.iter().map(|signal| PlannedFile {
        name: STOP_SIGNAL.into(),
        bytes: signal.clone().into_bytes(),
        mode: 0o444,
        is_link: false,
    });
    let plan = Plan {
        rows: vec![root],
        facts,
        files: signal.collect(),
        directories: BTreeMap::new(),
        write_layers: Vec::new(),
        volumes: Vec::new(),
        is_private: trace,
        generated: 0,
    };
    let mut plan = placing::place(policy, plan)?;
    if !plan.volumes.is_empty() {
        plan.facts.flags |= flags::VOLUMES;
    }
    Ok(plan)
}

impl Plan {
    /// A name for all that the view and its files depend on, `salt` included:
    /// 32 hexadecimal digits. Where the instance's directory is does not matter.
    pub fn digest(&self, salt: &[u8], places: &Places<'_>) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(&FORMAT.to_le_bytes());
        part(salt);
        part(&self.image(&Places { instance: Path::new(""), ..*places }));
        for file in &self.files {
            part(file.name.as_os_str().as_bytes());
            part(&file.bytes);
            part(&file.mode.to_le_bytes());
            part(&[file.is_link.into()]);
        }
        for (name, mode) in &self.directories {
            part(name.as_os_str().as_bytes());
            part(&mode.to_le_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Whether the instance's directory belongs to one run alone, because the
    /// application can change what is in it.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// The files to make in the instance's directory.
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    /// The directories to make there, each after the one it is in.
    pub fn directories(&self) -> Vec<PlannedDirectory> {
        self.directories
            .iter()
            .map(|(name, mode)| PlannedDirectory { name: name.clone(), mode: *mode })
            .collect()
    }

    /// The write layers to make.
    pub fn write_layers(&self) -> &[PlannedLayer] {
        &self.write_layers
    }

    /// Whether anything outlives a run of the application.
    pub fn keeps(&self) -> bool {
        self.write_layers.iter().any(|layer| layer.is_kept) || self.volumes.iter().any(|volume| volume.is_own)
    }

    /// Whether names of interprocess communication are the instance's own.
    pub fn has_own_names(&self) -> bool {
        self.facts.ipc.is_some()
    }

    /// The volumes to make.
    pub fn volumes(&self) -> &[PlannedVolume] {
        &self.volumes
    }

    /// How many mounts the policy makes.
    pub fn mount_count(&self) -> usize {
        self.rows.iter().filter(|row| row.line != 0).count() - self.generated
    }

    /// The view's image, for an instance that lies there.
    pub fn image(&self, places: &Places<'_>) -> Vec<u8> {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .map(|row| Row {
                at: row.at.as_os_str().as_bytes().to_vec(),
                kind: row.kind,
                access: row.access,
                is_dir: row.is_dir,
                source: row.source.host_path(places),
                layers: row.layers.iter().map(|layer| layer.host_path(places)).collect(),
                line: row.line,
            })
            .collect();
        let mut facts = self.facts.clone();
        if let Some(ipc) = &mut facts.ipc {
            ipc.salt = places.salt();
        }
        view::build::image(&rows, &facts)
    }
}
