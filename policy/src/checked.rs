//! A policy that is right: what its words mean on this host.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use view::build::IpcFacts;
use view::{Access, Time};

use crate::host::Host;
use crate::identity::{GeneratedFile, Identity};
use crate::network::Network;

/// Whether a process that no door covers may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// It does not run.
    Required,
    /// It runs outside the view, and that is said once.
    BestEffort,
}

/// The environment that the application is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Env {
    /// Variables to set, after all else.
    pub set: BTreeMap<String, String>,
    /// Variables to take away.
    pub unset: Vec<String>,
    /// Whether to begin with an empty environment.
    pub clear: bool,
    /// With `clear`: variables to keep.
    pub keep: Vec<String>,
}

/// An image, and what its configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The digest that tells it from others of its name.
    pub digest: String,
    /// The trees of its layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Variables, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// The program, and its first arguments.
    pub entrypoint: Vec<String>,
    /// What follows them; the program, where there is no entry point.
    pub cmd: Vec<String>,
    /// The app path that it is started in.
    pub workdir: Option<String>,
    /// Who it runs as.
    pub user: Option<String>,
    /// The signal by which it is stopped.
    pub stop_signal: Option<String>,
    /// The app paths whose files are to outlive a container.
    pub volumes: Vec<String>,
}

/// What stands at a mount point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file or directory of the host.
    Host {
        /// Its canonical host path.
        source: PathBuf,
        /// Whether it is a directory.
        is_dir: bool,
    },
    /// An inline file.
    Content {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Its text.
        target: PathBuf,
    },
    /// A private scratch directory.
    Empty {
        /// Its permissions.
        mode: u32,
    },
    /// A union of directories of the host.
    Layers {
        /// Their canonical host paths, lowest first.
        layers: Vec<PathBuf>,
        /// Where changes go.
        write: Write,
    },
    /// A volume.
    Volume {
        /// Its name; none where it is the instance's own.
        name: Option<String>,
    },
    /// `ENOENT`
    Hidden,
    /// `EACCES`
    Denied,
}

/// Where the changes to a union of layers go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// To a layer that is kept for the application.
    Private,
    /// To a layer that goes with the application's last process.
    Ephemeral,
    /// Nowhere.
    None,
}

/// By which door calls reach the elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Door {
    /// Whichever the host allows.
    Auto,
    /// libc's symbols.
    Shim,
    /// System calls.
    Gate,
}

/// One mount, as the policy says it.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The app path, expanded, as it is written.
    pub at: PathBuf,
    /// The line of the policy that it begins on.
    pub line: u32,
    /// Where `at` stands in the text.
    pub span: Range<usize>,
    /// Whether it takes changes.
    pub access: Access,
    /// What stands there.
    pub what: What,
}

/// A checked policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The file's text, for messages.
    pub text: String,
    /// The application's name.
    pub name: String,
    /// The app path that it is started in.
    pub workdir: Option<PathBuf>,
    /// Who it runs as; none: who starts it.
    pub user: Option<String>,
    /// The line of `run_as`, which says so and has it played where it cannot be had; 0 where there is none.
    pub run_as_line: u32,
    /// The image at `/`, by its name.
    pub image: Option<(String, Image)>,
    /// The signal by which it is stopped, where it is not TERM.
    pub stop_signal: Option<String>,
    /// Whether no_new_privs is set.
    pub no_new_privs: bool,
    /// How coverage is held.
    pub coverage: Coverage,
    /// The line that says so; 0 where it is the default.
    pub coverage_line: u32,
    /// By which door calls reach the elements.
    pub door: Door,
    /// The environment.
    pub env: Env,
    /// The mounts, in the order of the file.
    pub mounts: Vec<Mount>,
    /// Who the machine is.
    pub identity: Identity,
    /// The names, addresses and ports that the application remembers.
    pub network: Network,
    /// What time it is.
    pub time: Option<Time>,
    /// What makes names of interprocess communication the instance's own; none where they are the host's.
    pub ipc: Option<IpcFacts>,
    /// The files that say what `[identity]`, `[network]` and `[time]` say.
    pub generated: Vec<GeneratedFile>,
    /// What the host has said so far.
    pub host: Host,
}
