//! From the words of a policy to what they mean on this host.
//!
//! A person is told all that is wrong, so nothing here stops at the first
//! error: what is wrong is left out, and the rest is looked at as ever. What
//! is left out must not make something right look wrong. So a mount of which
//! a part is unknown is not said to lack it, and what lies in a mount that is
//! wrong is not asked whether it may.

pub mod endpoint;
mod identity;
mod ipc;
mod links;
mod mounts;
mod names;
mod network;
mod own_users;
mod peers;
mod root;
mod run_as;
mod time;
mod users;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;

use crate::checked::{Coverage, Door, Env, Policy, What};
use crate::expand::expand;
use crate::host::Host;
use crate::identity::{SWITCH, Writer};
use crate::raw::{Raw, RawCoverage, RawDoor, RawEnv, RawLevel};
use crate::report::Report;
use crate::{Images, Variables};

/// Checks the words against each other and against the host. Gives what is
/// right; what is wrong is added to the report.
pub fn check(
    file: &Path,
    text: &str,
    raw: &Raw,
    (variables, images): (Variables<'_>, Images<'_>),
    report: &mut Report,
) -> Policy {
    let mut checker = Checker {
        // Of a file that is named by its name alone, the parent is empty, and
        // the empty path is no directory.
        base: file.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new(".")).to_owned(),
        report,
        variables,
        host: Host::default(),
        roots: Vec::new(),
    };
    let name = checker.name(file, raw.app.name.as_ref());
    let workdir = raw.app.workdir.as_ref().and_then(|path| checker.app_path(path, "workdir"));
    let mut env = checker.env(&raw.env);
    let image = raw.root.as_ref().and_then(|root| checker.image(root.get_ref(), images));
    let root = raw.root.as_ref().map(|root| root::mount(root, image.as_ref().map(|(_, image)| image)));
    let said = root.iter().chain(&raw.mount).map(Spanned::get_ref).map(mounts::Said::Mount);
    let volumes = raw.volume.iter().map(Spanned::get_ref).map(mounts::Said::Volume);
    let mut mounts = checker.mounts(said.chain(volumes));
    let (mut workdir, mut user) = (workdir, checker.user(raw.app.user.as_ref()));
    if let (Some((_, image)), Some(root)) = (&image, &root) {
        checker.kernel_directories(root.span(), &mut mounts);
        checker.volumes_of_image(image, root.span(), &mut mounts);
        workdir = workdir.or_else(|| Some(image.workdir.clone().unwrap_or_else(|| "/".into()).into()));
        user = user.or_else(|| image.user.clone());
        root::under(&mut env, image);
    }
    let run_as = checker.run_as(&raw.identity, raw.app.user.as_ref(), &mounts);
    let run_as_line = run_as.as_ref().map_or(0, |said| said.line);
    let user = run_as.map(|said| said.value).or(user).filter(|user| !user.is_empty());
    let stop_signal = raw.app.stop_signal.as_ref().and_then(|said| checker.stop_signal(said));
    checker.roots = own_users::roots(&mounts);
    let mut files = Writer::default();
    let network = checker.network(raw);
    let layers = mounts.iter().find(|mount| mount.at == Path::new("/")).and_then(|mount| match &mount.what {
        What::Layers { layers, .. } => Some(&layers[..]),
        _ => None,
    });
    // Names have a say in nsswitch.conf as well as users. The first file of a name is the one that stands.
    let has_users = !raw.identity.users.is_empty() || !raw.identity.groups.is_empty();
    checker.write_names(&network.names, has_users.then_some(SWITCH), layers, &mut files);
    let identity = checker.identity(&raw.identity, raw.app.user.as_ref(), &mut files);
    let mut generated = files.files;
    let ipc = checker.ipc(&raw.ipc);
    let time = checker.time(&raw.time, &mut env, &mut generated);
    let (level, door) = match raw.coverage.as_ref().map(Spanned::get_ref) {
        None => (None, None),
        Some(RawCoverage::Level(level)) => (Some(*level), None),
        Some(RawCoverage::Table(table)) => (table.level, table.door),
    };
    let coverage = match level.unwrap_or(RawLevel::Required) {
        RawLevel::Required => Coverage::Required,
        RawLevel::BestEffort => Coverage::BestEffort,
    };
    let door = match door.unwrap_or(RawDoor::Auto) {
        RawDoor::Auto => Door::Auto,
        RawDoor::Shim => Door::Shim,
        RawDoor::Gate => Door::Gate,
    };
    let coverage_line = raw.coverage.as_ref().map_or(0, |said| checker.report.line(said.span().start));
    Policy {
        file: file.to_owned(),
        text: text.to_owned(),
        name,
        workdir,
        user,
        run_as_line,
        stop_signal: stop_signal.or_else(|| image.as_ref().and_then(|(_, image)| image.stop_signal.clone())),
        image,
        no_new_privs: raw.app.no_new_privs.unwrap_or(true),
        coverage,
        coverage_line,
        door,
        env,
        mounts,
        identity,
        network,
        time,
        ipc,
        generated,
        host: checker.host,
    }
}

struct Checker<'a> {
    base: PathBuf,
    report: &'a mut Report,
    variables: Variables<'a>,
    host: Host,
    /// The directories of the host that stand at `/`, the highest first.
    roots: Vec<PathBuf>,
}

impl Checker<'_> {
    /// A value with its variables put in. None where that cannot be done,
    /// which is told of.
    fn expanded(&mut self, value: &Spanned<String>) -> Option<String> {
        let variables = |name: &str| {
            let value = (self.variables)(name);
            self.host.note_variable(name, value.as_deref());
            value
        };
        match expand(value.get_ref(), &variables) {
            Ok(expanded) => Some(expanded),
            Err(wrong) => {
                for wrong in wrong {
                    let span = self.report.within(value.span(), value.get_ref(), wrong.words);
                    self.report.add(span, wrong.message, wrong.expected, Some(wrong.help));
                }
                None
            }
        }
    }

    fn name(&mut self, file: &Path, said: Option<&Spanned<String>>) -> String {
        let Some(said) = said else {
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            return if is_name(&stem) { stem } else { "app".into() };
        };
        if !is_name(said.get_ref()) {
            self.report.add(said.span(), format!("`name` cannot be {:?}", said.get_ref()), NAME, None);
        }
        said.get_ref().clone()
    }

    fn env(&mut self, raw: &RawEnv) -> Env {
        let mut set = BTreeMap::new();
        for (key, value) in &raw.set {
            self.variable_name(key);
            let Some(expanded) = self.expanded(value) else { continue };
            if expanded.contains('\0') {
                let message = format!("the value of `{}` holds NUL", key.get_ref());
                self.report.add(value.span(), message, "no variable can hold one", None);
            }
            set.insert(key.get_ref().clone(), expanded);
        }
        let mut names = |list: &[Spanned<String>]| -> Vec<String> {
            list.iter().inspect(|name| self.variable_name(name)).map(|name| name.get_ref().clone()).collect()
        };
        Env { set, unset: names(&raw.unset), clear: raw.clear, keep: names(&raw.keep) }
    }

    fn variable_name(&mut self, name: &Spanned<String>) {
        let word = name.get_ref();
        if word.is_empty() || word.contains(['=', '\0']) {
            let message = format!("{word:?} cannot be the name of a variable");
            self.report.add(name.span(), message, "a name is not empty and holds no `=` and no NUL", None);
        }
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
        } else if path.split('/').any(|name| name.len() > 255) {
            Some("names of at most 255 bytes")
        } else {
            None
        };
        if let Some(expected) = wrong {
            let shown = shorten(&path);
            self.report.add(said.span(), format!("`{key}` cannot be {shown:?}"), expected, None);
            return None;
        }
        Some(Path::new(&path).components().collect())
    }
}

/// What a name of an application or of a volume is made of.
pub const NAME: &str = "letters, digits, `.`, `_` and `-`, 64 at most, no `.` first";

/// Whether an application or a volume can be called so.
pub fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(letters)
}

/// As much of a value as a message can show.
fn shorten(value: &str) -> String {
    const SHOWN: usize = 80;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or(value)),
        None => value.to_owned(),
    }
}
