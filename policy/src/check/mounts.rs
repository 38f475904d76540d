//! The mounts of a policy: what each of them says, and whether it can be so.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;
use view::Access;

use super::{Checker, shorten};
use crate::checked::{Mount, What, Write};
use crate::host::Found;
use crate::raw::{RawAccess, RawKind, RawMount, RawVolume, RawWrite};

/// What stands somewhere, as the policy says it.
#[derive(Clone, Copy)]
pub enum Said<'r> {
    /// `[[mount]]`
    Mount(&'r RawMount),
    /// `[[volume]]`
    Volume(&'r RawVolume),
}

/// What becomes of a mount.
enum Outcome {
    /// It stands.
    Stands(What),
    /// It is optional, and its source is missing.
    LeftOut,
    /// Something is wrong with it, and has been told.
    Wrong,
}

impl Checker<'_> {
    /// The mounts that are right, in the order of the file.
    pub fn mounts<'r>(&mut self, said: impl Iterator<Item = Said<'r>>) -> Vec<Mount> {
        let mut mounts: Vec<Mount> = Vec::with_capacity(said.size_hint().0);
        // Mount points, their lines, and whether their mounts are right.
        let mut seen: HashMap<PathBuf, (u32, bool)> = HashMap::with_capacity(said.size_hint().0);
        for said in said {
            let at = match said {
                Said::Mount(raw) => &raw.at,
                Said::Volume(raw) => &raw.at,
            };
            let at = at.as_ref().and_then(|said| Some((self.mount_point(said)?, said.span())));
            let (access, outcome) = match said {
                Said::Mount(raw) => self.meaning(raw),
                Said::Volume(raw) => self.volume(raw),
            };
            let Some((at, span)) = at else { continue };
            let line = self.report.line(span.start);
            let stands = matches!(outcome, Outcome::Stands(_));
            if matches!(outcome, Outcome::LeftOut) {
                continue;
            }
            if let Some((first, _)) = seen.get(&at) {
                let message = format!("a second mount at {}", shorten(&at.to_string_lossy()));
                let expected = format!("the first is on line {first}");
                self.report.add(span, message, expected, Some("take one of them away".into()));
                continue;
            }
            seen.insert(at.clone(), (line, stands));
            if let Outcome::Stands(what) = outcome {
                if at == Path::new("/") && !self.root(span.clone(), &what) {
                    continue;
                }
                mounts.push(Mount { at, line, span, access, what });
            }
        }
        if seen.values().any(|(_, stands)| !stands) {
            // Whether something can lie in a mount that is wrong, nobody knows.
            mounts.retain(|mount| {
                mount.at.ancestors().skip(1).all(|above| seen.get(above).is_none_or(|(_, stands)| *stands))
            });
        }
        mounts
    }

    fn mount_point(&mut self, said: &Spanned<String>) -> Option<PathBuf> {
        self.app_path(said, "at")
    }

    /// What can stand at `/`: a directory of the host that is not the host's own `/`.
    fn root(&mut self, span: std::ops::Range<usize>, what: &What) -> bool {
        let (message, help) = match what {
            What::Host { source, is_dir: true } if source != Path::new("/") => return true,
            What::Layers { layers, .. } if layers.iter().all(|layer| layer != Path::new("/")) => return true,
            What::Layers { .. } => (
                "the host's `/` among the layers at /",
                "name the directories that are to be changed as mounts",
            ),
            What::Host { is_dir: true, .. } => {
                ("the host's `/` mounted at /", "take the mount away: it stands there anyway")
            }
            _ => ("a mount at / that is no directory of the host", "say `source` = \"DIRECTORY\""),
        };
        self.report.add(span, message, "a root directory, such as /srv/debian11", Some(help.into()));
        false
    }

    /// What a volume's keys say, but for where it is.
    fn volume(&mut self, raw: &RawVolume) -> (Access, Outcome) {
        let access = match raw.access.as_ref().map(Spanned::get_ref) {
            Some(RawAccess::ReadOnly) => Access::ReadOnly,
            Some(RawAccess::ReadWrite) | None => Access::ReadWrite,
        };
        let Some(said) = &raw.name else { return (access, Outcome::Stands(What::Volume { name: None })) };
        let Some(name) = self.expanded(said) else { return (access, Outcome::Wrong) };
        if !super::is_name(&name) {
            let message = format!("a volume's `name` cannot be {:?}", shorten(&name));
            self.report.add(said.span(), message, super::NAME, None);
            return (access, Outcome::Wrong);
        }
        (access, Outcome::Stands(What::Volume { name: Some(name) }))
    }

    /// What a mount's keys say, but for where it is.
    fn meaning(&mut self, raw: &RawMount) -> (Access, Outcome) {
        let before = self.report.diagnostics().len();
        let kind = self.kind(raw);
        let write = raw.write.as_ref().map_or(Write::Private, |write| match write.get_ref() {
            RawWrite::Private => Write::Private,
            RawWrite::Ephemeral => Write::Ephemeral,
            RawWrite::None => Write::None,
        });
        let default = match kind {
            Some(RawKind::Empty) => Access::ReadWrite,
            Some(RawKind::Layers) if write != Write::None => Access::ReadWrite,
            _ => Access::ReadOnly,
        };
        let access = raw.access.as_ref().map_or(default, |access| match access.get_ref() {
            RawAccess::ReadOnly => Access::ReadOnly,
            RawAccess::ReadWrite => Access::ReadWrite,
        });
        let mode = self.mode(raw);
        // Also a value that does not belong here is read: its variables may be wrong too.
        let source = raw.source.as_ref().map(|said| self.expanded(said).map(|path| (said, path)));
        let content = raw.content.as_ref().map(|said| self.expanded(said));
        let outcome = match (kind, source, content) {
            (Some(RawKind::Host), Some(Some((said, path))), _) => self.source(said, &path, raw.optional),
            (Some(RawKind::Content), _, Some(Some(text))) => {
                Outcome::Stands(What::Content { bytes: text.into_bytes(), mode: mode.unwrap_or(0o644) })
            }
            (Some(RawKind::Empty), ..) => Outcome::Stands(What::Empty { mode: mode.unwrap_or(0o755) }),
            (Some(RawKind::Layers), ..) => match &raw.layers {
                Some(said) => self.layers(said, write, raw.optional),
                None => Outcome::Wrong,
            },
            (Some(RawKind::Hidden), ..) => Outcome::Stands(What::Hidden),
            (Some(RawKind::Denied), ..) => Outcome::Stands(What::Denied),
            _ => Outcome::Wrong,
        };
        let is_wrong = raw.damaged || self.report.diagnostics().len() > before;
        (access, if is_wrong { Outcome::Wrong } else { outcome })
    }

    /// What kind of mount it is, from the keys it has. Tells of keys that do
    /// not go with it. None where the keys do not say.
    fn kind(&mut self, raw: &RawMount) -> Option<RawKind> {
        let kind = match (&raw.kind, &raw.source, &raw.content) {
            (Some(kind), _, _) => *kind.get_ref(),
            (None, Some(source), Some(content)) => {
                let first = source.span().start.min(content.span().start);
                let (second, key) =
                    if source.span().start == first { (content, "content") } else { (source, "source") };
                let help = "a file of the host is `source`, a text written here is `content`: take one away";
                let expected = format!("`{key}` besides the other one");
                self.report.add(
                    second.span(),
                    "a mount with `source` and `content`",
                    expected,
                    Some(help.into()),
                );
                return None;
            }
            // What was taken out may have said it.
            (None, ..) if raw.damaged => return None,
            (None, None, None) if raw.layers.is_some() => RawKind::Layers,
            (None, Some(_), None) => RawKind::Host,
            (None, None, Some(_)) => RawKind::Content,
            (None, None, None) => {
                let Some(at) = &raw.at else { return None };
                let message = format!("nothing stands at \"{}\"", shorten(at.get_ref()));
                let help =
                    "add `source`, `layers`, `content`, or `kind` = \"empty\", \"hidden\" or \"denied\"";
                self.report.add(at.span(), message, "this mount does not say what", Some(help.into()));
                return None;
            }
        };
        let rules = [
            (RawKind::Host, "source", raw.source.as_ref().map(Spanned::span)),
            (RawKind::Content, "content", raw.content.as_ref().map(Spanned::span)),
            (RawKind::Layers, "layers", raw.layers.as_ref().map(Spanned::span)),
            (RawKind::Layers, "write", raw.write.as_ref().map(Spanned::span)),
        ];
        for (of, key, value) in rules {
            match value {
                Some(span) if kind != of => {
                    let message = format!("`{key}` does not go with kind \"{}\"", kind.word());
                    let expected = format!("only kind \"{}\" has it", of.word());
                    self.report.add(span, message, expected, None);
                }
                None if kind == of && key != "write" && !raw.damaged => {
                    let span = raw.kind.as_ref().map_or(0..0, Spanned::span);
                    let message = format!("a mount of kind \"{}\" without `{key}`", kind.word());
                    self.report.add(span, message, format!("`{key}` is needed"), None);
                }
                _ => {}
            }
        }
        if let (Some(mode), RawKind::Host | RawKind::Layers | RawKind::Hidden | RawKind::Denied) =
            (&raw.mode, kind)
        {
            let message = format!("`mode` does not go with kind \"{}\"", kind.word());
            self.report.add(mode.span(), message, "only \"content\" and \"empty\" have it", None);
        }
        if let (Some(access), RawKind::Hidden | RawKind::Denied) = (&raw.access, kind) {
            let message = format!("`access` says nothing about a {} path", kind.word());
            self.report.add(access.span(), message, "nothing there can be read or written", None);
        }
        if let (Some(access), RawKind::Layers) = (&raw.access, kind) {
            let message = "`access` does not go with kind \"layers\"";
            self.report.add(access.span(), message, "`write` says where changes go", None);
        }
        Some(kind)
    }

    fn mode(&mut self, raw: &RawMount) -> Option<u32> {
        let said = raw.mode.as_ref()?;
        let digits = said.get_ref().bytes().all(|byte| byte.is_ascii_digit());
        match u32::from_str_radix(said.get_ref(), 8) {
            // With the sticky bit, which a directory that many write to has.
            Ok(mode) if mode <= 0o1777 && digits => Some(mode),
            _ => {
                let message = format!("`mode` cannot be {:?}", shorten(said.get_ref()));
                self.report.add(said.span(), message, "octal permissions, such as \"0640\"", None);
                None
            }
        }
    }

    /// The source on the host.
    fn source(&mut self, said: &Spanned<String>, path: &str, optional: bool) -> Outcome {
        if path.is_empty() || path.contains('\0') {
            self.report.add(said.span(), "`source` cannot be empty or hold NUL", "a path of the host", None);
            return Outcome::Wrong;
        }
        let path = self.base.join(path);
        let error = match self.canonical(&path) {
            Ok((source, is_dir)) => return Outcome::Stands(What::Host { source, is_dir }),
            Err(error) if error.kind() == ErrorKind::NotFound && optional => return Outcome::LeftOut,
            Err(error) => error,
        };
        let help = match error.kind() {
            ErrorKind::NotFound => {
                "create it, or say `optional = true` to leave the mount out where it is missing"
            }
            ErrorKind::PermissionDenied => "run as a user who may look at it, or change its permissions",
            ErrorKind::NotADirectory => "a file lies on the way to it: correct the path",
            _ => "correct the path",
        };
        // Whole, as it is relative to the policy and not to where the program was started.
        let whole = std::path::absolute(&path).unwrap_or(path);
        let message = format!("the source {} cannot be used: {error}", shorten(&whole.to_string_lossy()));
        self.report.add(said.span(), message, "a file or directory of the host", Some(help.into()));
        Outcome::Wrong
    }

    /// The layers of a union, lowest first.
    fn layers(&mut self, said: &Spanned<Vec<Spanned<String>>>, write: Write, optional: bool) -> Outcome {
        let room = view::MAX_LAYERS - 1;
        if said.get_ref().is_empty() || said.get_ref().len() > room {
            let message = format!("a union of {} layers", said.get_ref().len());
            self.report.add(said.span(), message, format!("1 to {room} directories, lowest first"), None);
            return Outcome::Wrong;
        }
        let mut layers: Vec<PathBuf> = Vec::new();
        for layer in said.get_ref() {
            let Some(path) = self.expanded(layer) else { return Outcome::Wrong };
            match self.source(layer, &path, optional) {
                Outcome::Stands(What::Host { source, is_dir: true }) => {
                    // Changes to one would be seen in the other.
                    let other =
                        layers.iter().find(|other| other.starts_with(&source) || source.starts_with(other));
                    if let Some(other) = other {
                        let message = format!("the layer {} is, or lies in, another one", shorten(&path));
                        self.report.add(
                            layer.span(),
                            message,
                            format!("it shares files with {}", other.display()),
                            None,
                        );
                        return Outcome::Wrong;
                    }
                    layers.push(source);
                }
                Outcome::Stands(_) => {
                    let message = format!("the layer {} is no directory", shorten(&path));
                    self.report.add(layer.span(), message, "a directory of the host", None);
                    return Outcome::Wrong;
                }
                other => return other,
            }
        }
        Outcome::Stands(What::Layers { layers, write })
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
}
