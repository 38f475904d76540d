//! From the words of a policy to what they mean on this host.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use view::Access;

use crate::Variables;
use crate::expand::expand;
use crate::host::{Found, Host};
use crate::raw::{Raw, RawAccess, RawKind, RawLevel, RawMount};
use crate::report::Report;

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
    /// A private scratch directory.
    Empty {
        /// Its permissions.
        mode: u32,
    },
    /// `ENOENT`
    Hidden,
    /// `EACCES`
    Denied,
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
    /// Whether no_new_privs is set.
    pub no_new_privs: bool,
    /// How coverage is held.
    pub coverage: Coverage,
    /// The line that says so; 0 where it is the default.
    pub coverage_line: u32,
    /// The environment.
    pub env: Env,
    /// The mounts, in the order of the file.
    pub mounts: Vec<Mount>,
    /// What the host has said so far.
    pub host: Host,
}

/// Checks the words against each other and against the host.
///
/// # Errors
///
/// All that is wrong.
pub fn check(file: &Path, text: &str, raw: Raw, variables: Variables<'_>) -> Result<Policy, Report> {
    let mut checker = Checker {
        base: file.parent().map_or_else(PathBuf::new, Path::to_owned),
        report: Report::new(file, text),
        lines: text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect(),
        variables,
        host: Host::default(),
    };
    let name = checker.name(file, raw.app.name.as_ref());
    let workdir = raw.app.workdir.as_ref().and_then(|path| checker.app_path(path, "workdir"));
    let mut set = BTreeMap::new();
    for (key, value) in &raw.env.set {
        if key.is_empty() || key.contains(['=', '\0']) {
            let message = format!("`{key}` cannot be the name of a variable");
            checker.report.add(value.span(), message, "a name holds no `=` and no NUL", None);
        }
        if let Some(value) = checker.expanded(value) {
            set.insert(key.clone(), value);
        }
    }
    let mut mounts: Vec<Mount> = Vec::with_capacity(raw.mount.len());
    let mut seen: BTreeMap<PathBuf, u32> = BTreeMap::new();
    for mount in &raw.mount {
        let Some(mount) = checker.mount(mount) else { continue };
        match seen.get(&mount.at) {
            Some(line) => checker.report.add(
                mount.span.clone(),
                format!("a second mount at {}", mount.at.display()),
                format!("the first is on line {line}"),
                Some("take one of them away".into()),
            ),
            None => {
                seen.insert(mount.at.clone(), mount.line);
                mounts.push(mount);
            }
        }
    }
    let (coverage, coverage_line) = match &raw.coverage {
        None => (Coverage::Required, 0),
        Some(said) => {
            let coverage = match said.get_ref() {
                RawLevel::Required => Coverage::Required,
                RawLevel::BestEffort => Coverage::BestEffort,
            };
            (coverage, checker.line(said.span().start))
        }
    };
    checker.report.into_result()?;
    Ok(Policy {
        file: file.to_owned(),
        text: text.to_owned(),
        name,
        workdir,
        no_new_privs: raw.app.no_new_privs.unwrap_or(true),
        coverage,
        coverage_line,
        env: Env { set, unset: raw.env.unset, clear: raw.env.clear, keep: raw.env.keep },
        mounts,
        host: checker.host,
    })
}

struct Checker<'a> {
    base: PathBuf,
    report: Report,
    /// Where the lines end, so that a line's number is found in a policy of
    /// ten thousand mounts as fast as in one of ten.
    lines: Vec<usize>,
    variables: Variables<'a>,
    host: Host,
}

impl Checker<'_> {
    fn line(&self, at: usize) -> u32 {
        self.lines.partition_point(|end| *end < at) as u32 + 1
    }

    fn expanded(&mut self, value: &Spanned<String>) -> Option<String> {
        let variables = |name: &str| {
            let value = (self.variables)(name);
            self.host.note_variable(name, value.as_deref());
            value
        };
        match expand(value.get_ref(), &variables) {
            Ok(expanded) => Some(expanded),
            Err(wrong) => {
                self.report.add(value.span(), wrong.message, "", Some(wrong.help));
                None
            }
        }
    }

    fn name(&mut self, file: &Path, said: Option<&Spanned<String>>) -> String {
        let fits = |name: &str| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(letters)
        };
        let Some(said) = said else {
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            return if fits(&stem) { stem } else { "app".into() };
        };
        if !fits(said.get_ref()) {
            let expected = "letters, digits, `.`, `_` and `-`, 64 at most, no `.` first";
            self.report.add(said.span(), format!("`name` cannot be \"{}\"", said.get_ref()), expected, None);
        }
        said.get_ref().clone()
    }

    /// An absolute app path, without `.` and doubled slashes.
    fn app_path(&mut self, said: &Spanned<String>, key: &str) -> Option<PathBuf> {
        let path = self.expanded(said)?;
        let wrong = if !path.starts_with('/') {
            Some("an absolute path: the application's own, beginning with `/`")
        } else if path.contains('\0') {
            Some("a path without NUL")
        } else if Path::new(&path).components().any(|part| part == Component::ParentDir) {
            Some("a path without `..`")
        } else if path.len() >= 4096 {
            Some("a path of at most 4,095 bytes")
        } else {
            None
        };
        if let Some(expected) = wrong {
            self.report.add(said.span(), format!("`{key}` cannot be \"{path}\""), expected, None);
            return None;
        }
        Some(Path::new(&path).components().collect())
    }

    fn mount(&mut self, said: &Spanned<RawMount>) -> Option<Mount> {
        let raw = said.get_ref();
        let at = self.app_path(&raw.at, "at");
        if at.as_deref() == Some(Path::new("/")) {
            let help = Some("mount the directories below it that the application needs".into());
            self.report.add(raw.at.span(), "a mount at /", "a path below `/`", help);
        }
        let kind = self.kind(said)?;
        let default = if kind == RawKind::Empty { Access::ReadWrite } else { Access::ReadOnly };
        let access = raw.access.as_ref().map_or(default, |access| match access.get_ref() {
            RawAccess::ReadOnly => Access::ReadOnly,
            RawAccess::ReadWrite => Access::ReadWrite,
        });
        if let (Some(access), RawKind::Hidden | RawKind::Denied) = (&raw.access, kind) {
            let message = format!("`access` says nothing about a {} path", kind.word());
            self.report.add(access.span(), message, "nothing there can be read or written", None);
        }
        let what = match kind {
            RawKind::Host => self.source(raw)?,
            RawKind::Content => {
                let bytes = self.expanded(raw.content.as_ref()?)?.into_bytes();
                Some(What::Content { bytes, mode: self.mode(raw, 0o644) })
            }
            RawKind::Empty => Some(What::Empty { mode: self.mode(raw, 0o755) }),
            RawKind::Hidden => Some(What::Hidden),
            RawKind::Denied => Some(What::Denied),
        }?;
        let span = raw.at.span();
        Some(Mount { at: at?, line: self.line(span.start), span, access, what })
    }

    /// What kind of mount it is, from the keys it has.
    fn kind(&mut self, said: &Spanned<RawMount>) -> Option<RawKind> {
        let raw = said.get_ref();
        let kind = match (&raw.kind, &raw.source, &raw.content) {
            (Some(kind), _, _) => *kind.get_ref(),
            (None, Some(_), _) => RawKind::Host,
            (None, None, Some(_)) => RawKind::Content,
            (None, None, None) => {
                let message = format!("nothing stands at \"{}\"", raw.at.get_ref());
                let help = "add `source`, `content`, or `kind` = \"empty\", \"hidden\" or \"denied\"";
                self.report.add(raw.at.span(), message, "this mount does not say what", Some(help.into()));
                return None;
            }
        };
        let rules = [
            (RawKind::Host, "source", raw.source.as_ref()),
            (RawKind::Content, "content", raw.content.as_ref()),
        ];
        let mut fits = true;
        for (of, key, value) in rules {
            match value {
                Some(value) if kind != of => {
                    let message = format!("`{key}` does not go with kind \"{}\"", kind.word());
                    self.report.add(
                        value.span(),
                        message,
                        format!("only kind \"{}\" has it", of.word()),
                        None,
                    );
                    fits = false;
                }
                None if kind == of => {
                    let span = raw.kind.as_ref().map_or(raw.at.span(), Spanned::span);
                    let message = format!("a mount of kind \"{}\" without `{key}`", kind.word());
                    self.report.add(span, message, format!("`{key}` is needed"), None);
                    fits = false;
                }
                _ => {}
            }
        }
        if let (Some(mode), RawKind::Host | RawKind::Hidden | RawKind::Denied) = (&raw.mode, kind) {
            let message = format!("`mode` does not go with kind \"{}\"", kind.word());
            self.report.add(mode.span(), message, "only \"content\" and \"empty\" have it", None);
            fits = false;
        }
        fits.then_some(kind)
    }

    fn mode(&mut self, raw: &RawMount, default: u32) -> u32 {
        let Some(said) = &raw.mode else { return default };
        match u32::from_str_radix(said.get_ref(), 8) {
            Ok(mode) if mode <= 0o777 => mode,
            _ => {
                let message = format!("`mode` cannot be \"{}\"", said.get_ref());
                self.report.add(said.span(), message, "octal permissions, such as \"0640\"", None);
                default
            }
        }
    }

    /// The canonical path of a source, and whether it is a directory. Sources
    /// tend to lie side by side: their directories are resolved once.
    fn canonical(&mut self, path: &Path) -> std::io::Result<(PathBuf, bool)> {
        let name = path.components().next_back();
        if let (Some(parent), Some(Component::Normal(name))) = (path.parent(), name) {
            let source = self.host.canonicalize(parent)?.join(name);
            match self.host.look(&source) {
                Found::Directory => return Ok((source, true)),
                Found::File => return Ok((source, false)),
                // What is missing has its reason, which is told below.
                Found::Link(_) | Found::Nothing => {}
            }
        }
        let source = self.host.canonicalize(path)?;
        let is_dir = self.host.look(&source) == Found::Directory;
        Ok((source, is_dir))
    }

    /// The source on the host. Some(None) where it is missing and optional.
    #[expect(clippy::option_option, reason = "wrong, left out, or there")]
    fn source(&mut self, raw: &RawMount) -> Option<Option<What>> {
        let said = raw.source.as_ref()?;
        let path = self.expanded(said)?;
        if path.is_empty() || path.contains('\0') {
            self.report.add(said.span(), "`source` cannot be empty or hold NUL", "a path of the host", None);
            return None;
        }
        let path = self.base.join(path);
        match self.canonical(&path) {
            Ok((source, is_dir)) => Some(Some(What::Host { source, is_dir })),
            Err(error) if error.kind() == ErrorKind::NotFound && raw.optional => Some(None),
            Err(error) => {
                let missing = error.kind() == ErrorKind::NotFound;
                let help = if missing {
                    "create it, or say `optional = true` to leave the mount out where it is missing"
                } else {
                    "the host does not let this user look at it"
                };
                let message = format!("the source {} cannot be used: {error}", path.display());
                self.report.add(said.span(), message, "a file or directory of the host", Some(help.into()));
                None
            }
        }
    }
}
