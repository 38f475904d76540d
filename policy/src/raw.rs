//! The words of the policy file, as serde reads them.
//!
//! These types are the file format: the parser, the JSON schema and the
//! check for misspelt keys all come from them. Their comments are what the
//! schema says. Nothing here knows the host.

mod identity;
mod ipc;
mod network;
mod time;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

pub use identity::{RawGroup, RawIdentity, RawKernel, RawRunAs, RawUser};
pub use ipc::RawIpc;
pub use network::{RawAction, RawNetwork, RawProtocol, RawResolver, RawRule, RawSource};
pub use time::RawTime;

/// What one application sees.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// Whether a process that no door covers may run: "required" (the
    /// default) refuses it, "best-effort" lets it go and says so once. Or a
    /// table that says more.
    #[schemars(with = "Option<RawCoverage>")]
    pub coverage: Option<Spanned<RawCoverage>>,
    /// The application itself.
    #[serde(default)]
    pub app: RawApp,
    /// The environment that it is started with.
    #[serde(default)]
    pub env: RawEnv,
    /// Who the machine is, as the application is told.
    #[serde(default)]
    pub identity: RawIdentity,
    /// The names, addresses and ports that it remembers.
    #[serde(default)]
    pub network: RawNetwork,
    /// Other instances on this host, and their policy files: `NAME.instance` is the name of a
    /// host, whose ports are those that its policy binds.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub names: BTreeMap<Spanned<String>, Spanned<String>>,
    /// What time it is, as the application is told.
    #[serde(default)]
    pub time: RawTime,
    /// Whose the names are that processes find each other by.
    #[serde(default)]
    pub ipc: RawIpc,
    /// What stands at `/` instead of the host's own tree.
    #[schemars(with = "Option<RawRoot>")]
    pub root: Option<Spanned<RawRoot>>,
    /// What stands at an app path instead of the host's file or directory.
    #[serde(default)]
    #[schemars(with = "Vec<RawMount>")]
    pub mount: Vec<Spanned<RawMount>>,
    /// Directories whose files outlive the instance, and can be shared by several.
    #[serde(default)]
    #[schemars(with = "Vec<RawVolume>")]
    pub volume: Vec<Spanned<RawVolume>>,
}

/// A word, or a table.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawCoverage {
    /// How strict coverage is.
    Level(RawLevel),
    /// `[coverage]`
    Table(RawCoverageTable),
}

/// `[coverage]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCoverageTable {
    /// What `coverage = "…"` says: "required" or "best-effort".
    pub level: Option<RawLevel>,
    /// By which door calls reach the elements: "shim" (libc's symbols),
    /// "gate" (system calls) or "auto" (the default).
    pub door: Option<RawDoor>,
}

/// A way by which a program's calls reach the elements.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RawDoor {
    /// Whichever the host allows.
    Auto,
    /// A library that ld.so loads into each program.
    Shim,
    /// A filter on system calls.
    Gate,
}

/// How strict coverage is.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RawLevel {
    /// A process that no door covers does not run.
    Required,
    /// It runs outside the view, and that is said once.
    BestEffort,
}

/// `[app]`
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawApp {
    /// The application's name: letters, digits, `.`, `_` and `-`. The file's
    /// name without its ending, where it is not given.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The app path that it is started in.
    #[schemars(with = "Option<String>")]
    pub workdir: Option<Spanned<String>>,
    /// Who it runs as: a user, an uid, or one of these with `:` and a group or a
    /// gid; names are looked up in the application's own /etc/passwd. Empty: who
    /// starts it. Not given: the image's user, where there is one.
    #[schemars(with = "Option<String>")]
    pub user: Option<Spanned<String>>,
    /// The signal by which `stop` ends it: a name, such as "SIGQUIT" or "RTMIN+3", or a
    /// number. Not given: the image's, or SIGTERM.
    #[schemars(with = "Option<String>")]
    pub stop_signal: Option<Spanned<String>>,
    /// Whether no_new_privs is set, so that setuid has no effect (default: true).
    pub no_new_privs: Option<bool>,
}

/// `[env]`
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawEnv {
    /// Variables to set, after all else.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub set: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Variables to take away.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub unset: Vec<Spanned<String>>,
    /// Whether to begin with an empty environment (default: false).
    #[serde(default)]
    pub clear: bool,
    /// With `clear`: variables to keep.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub keep: Vec<Spanned<String>>,
}

/// `[root]`: a union of layers at `/`, as `[[mount]]` with `at = "/"` says it, or an image.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRoot {
    /// The image whose layers stand there. Its configuration says what the
    /// policy does not.
    #[schemars(with = "Option<String>")]
    pub image: Option<Spanned<String>>,
    /// Directories of the host that stand there as one, the lowest first.
    #[schemars(with = "Option<Vec<String>>")]
    pub layers: Option<Spanned<Vec<Spanned<String>>>>,
    /// Where changes go (default: "private").
    #[schemars(with = "Option<RawWrite>")]
    pub write: Option<Spanned<RawWrite>>,
}

/// `[[mount]]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMount {
    /// The app path where it stands: absolute, without `..`.
    #[schemars(with = "String")]
    pub at: Option<Spanned<String>>,
    /// The file or directory of the host that stands there. A relative path
    /// begins at the policy file's directory.
    #[schemars(with = "Option<String>")]
    pub source: Option<Spanned<String>>,
    /// Directories of the host that stand there as one, as overlayfs makes it of
    /// them: the lowest first. What a higher one has hides what lower ones have.
    #[schemars(with = "Option<Vec<String>>")]
    pub layers: Option<Spanned<Vec<Spanned<String>>>>,
    /// With `layers`: where changes go (default: "private"). No layer is changed.
    #[schemars(with = "Option<RawWrite>")]
    pub write: Option<Spanned<RawWrite>>,
    /// Whether the application may change it (default: "read-only" for a
    /// source and for content, "read-write" for an empty directory).
    #[schemars(with = "Option<RawAccess>")]
    pub access: Option<Spanned<RawAccess>>,
    /// What stands there, where `source` or `content` does not say it.
    #[schemars(with = "Option<RawKind>")]
    pub kind: Option<Spanned<RawKind>>,
    /// The text of a file.
    #[schemars(with = "Option<String>")]
    pub content: Option<Spanned<String>>,
    /// The permissions of `content` (default "0644") or of an empty directory
    /// (default "0755"), in octal.
    #[schemars(with = "Option<String>")]
    pub mode: Option<Spanned<String>>,
    /// Whether the mount is left out where its source is missing (default: false).
    #[serde(default)]
    pub optional: bool,
    /// Whether keys that are wrong have been taken out, so that nobody knows
    /// what it was meant to be.
    #[serde(skip)]
    pub damaged: bool,
}

/// `[[volume]]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawVolume {
    /// The app path where it stands: absolute, without `..`.
    #[schemars(with = "String")]
    pub at: Option<Spanned<String>>,
    /// The volume's name: letters, digits, `.`, `_` and `-`. Instances that name the same
    /// share it. Not given: the volume is this instance's own.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// Whether the application may change it (default: "read-write").
    #[schemars(with = "Option<RawAccess>")]
    pub access: Option<Spanned<RawAccess>>,
}

/// Whether a mount takes changes.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RawAccess {
    /// Changes answer EROFS.
    ReadOnly,
    /// Changes reach the source.
    ReadWrite,
}

/// Where the changes to a union of layers go.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RawWrite {
    /// To a write layer that is kept for this application.
    Private,
    /// To a write layer that is gone when the application is.
    Ephemeral,
    /// Nowhere: changes answer EROFS.
    None,
}

/// What stands at a mount point.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum RawKind {
    /// A file or directory of the host: `source`.
    Host,
    /// A file with the text of `content`.
    Content,
    /// A private scratch directory, gone when the application is.
    Empty,
    /// Nothing: the path looks non-existent (ENOENT).
    Hidden,
    /// Something that may not be touched (EACCES).
    Denied,
    /// A union of directories of the host: `layers`.
    Layers,
}

impl RawKind {
    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        match self {
            RawKind::Host => "host",
            RawKind::Content => "content",
            RawKind::Empty => "empty",
            RawKind::Hidden => "hidden",
            RawKind::Denied => "denied",
            RawKind::Layers => "layers",
        }
    }
}
