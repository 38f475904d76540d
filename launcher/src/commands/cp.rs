//! `launcher cp`: copies files into an instance and out of it, whether it runs or not.
//!
//! What lies where is the instance's view's to say: its unions, its volumes and its
//! links, none of which leads out of its tree.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use elements::{Errno, Instance, instance as attaching};

use super::exec::running;
use super::run::words;
use crate::cli::Cp;
use crate::copying::{Copier, Owners};
use crate::instances;
use crate::output::standard_output;
use crate::prepare::{Asked, Ready, prepare};
use crate::side::{Side, c};
use crate::{FAILED, archiving};

/// One end of a copy, as it is said.
struct End {
    instance: Option<String>,
    path: OsString,
}

impl End {
    /// `NAME:PATH` is an instance's; what has a `/` or begins with `.` before a colon is the host's.
    fn read(said: &OsStr) -> End {
        let bytes = said.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let name = colon.and_then(|at| std::str::from_utf8(bytes.get(..at)?).ok());
        match (name.filter(|name| policy::is_name(name)), colon) {
            (Some(name), Some(at)) => {
                let path = bytes.get(at + 1..).unwrap_or_default();
                let path = if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() };
                End { instance: Some(name.to_owned()), path: OsStr::from_bytes(&path).to_owned() }
            }
            _ => End { instance: None, path: said.to_owned() },
        }
    }
}

/// Copies what lies on one side to the other.
pub fn cp(asked: &Cp) -> Result<u8> {
    let (from, to) = (End::read(&asked.from), End::read(&asked.to));
    let (reads, writes) = (asked.from == "-", asked.to == "-");
    if writes && std::io::stdout().is_terminal() || reads && std::io::stdin().is_terminal() {
        bail!("an archive is not for a terminal: lead it to a file or a program, or say a path, such as ./-")
    }
    let name = match (&from.instance, &to.instance) {
        (Some(name), None) | (None, Some(name)) => name,
        (Some(_), Some(_)) => bail!("both are an instance's: copy to the host first, and from there"),
        (None, None) => bail!("neither is an instance's: say one of them as NAME:/PATH"),
    };
    let Some(entered) = enter(name)? else { return Ok(FAILED) };
    let view = Side::View(entered.view);
    let (source, target) = if from.instance.is_some() { (view, Side::Host) } else { (Side::Host, view) };
    let own = Owners::Given(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owners = if asked.archive { Owners::Kept } else { own };
    if to.instance.is_some() {
        entered.must_keep(Path::new(&to.path))?;
    }
    if writes {
        pack(source, &from.path, asked.follow_link)?;
        return Ok(0);
    }
    if reads {
        let to = Path::new(&to.path);
        match target.look(to, true) {
            Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {}
            Ok(_) => bail!("{} is no directory to unpack an archive in", to.display()),
            Err(errno) => bail!("cannot look at {}: {}", to.display(), words(errno)),
        }
        let input = std::io::BufReader::with_capacity(1 << 16, std::io::stdin().lock());
        archiving::unpack(target, &resolved(target, to)?, owners, input)?;
        return Ok(0);
    }
    copy((source, &from.path), (target, &to.path), owners, asked.follow_link)?;
    Ok(0)
}

/// Writes an archive of what lies at a path to standard output.
fn pack(source: Side<'_>, said: &OsStr, follow: bool) -> Result<()> {
    let text = said.as_bytes();
    let is_contents = text.ends_with(b"/.");
    let path = PathBuf::from(said);
    let name = path.file_name().filter(|_| !is_contents).map_or(&b"."[..], OsStr::as_bytes).to_vec();
    let path = if follow || is_contents || text.ends_with(b"/") { resolved(source, &path)? } else { path };
    let out = std::io::BufWriter::with_capacity(1 << 16, standard_output()?);
    archiving::pack(source, &path, &name, out)
}

/// An instance that this process looks into.
struct Entered {
    view: &'static Instance<'static>,
    /// Held where it does not run, so that nobody starts it meanwhile.
    ready: Option<Ready>,
}

/// None where its policy is wrong, which has been said.
fn enter(name: &str) -> Result<Option<Entered>> {
    let (dir, ready) = match running(name)? {
        Some(process) => (process.view.parent().unwrap_or(&process.view).to_owned(), None),
        None => {
            let kept = instances::find(name)?;
            let Some(record) = kept.record()? else {
                bail!("the making of the instance `{name}` was cut off")
            };
            let wanted =
                Asked { policy: &record.policy, name: Some(name), keeps: true, traces: false, program: None };
            let Some(ready) = prepare(wanted)? else { return Ok(None) };
            ready.placed.look_anew().context("cannot write to the instance's view")?;
            (ready.placed.dir.clone(), Some(ready))
        }
    };
    // For as long as this process lives, which is not long.
    let dir: &'static [u8] = Box::leak(dir.into_os_string().into_encoded_bytes().into_boxed_slice());
    attaching::attach(dir).map_err(|error| anyhow!("cannot enter the view of `{name}`: {error:?}"))?;
    let view = attaching::attached().context("cannot enter the view")?;
    Ok(Some(Entered { view, ready }))
}

impl Entered {
    /// Refuses to copy to what goes when the next run ends, or before it begins.
    fn must_keep(&self, path: &Path) -> Result<()> {
        let Some(ready) = &self.ready else { return Ok(()) };
        let path = c(path).map_err(|_| anyhow!("a path holds NUL"))?;
        let explained = self.view.explain(&path, true);
        if Path::new(OsStr::from_bytes(explained.host.bytes())).starts_with(&ready.placed.dir) {
            bail!(
                "{} is of one run alone, and the instance does not run: start it first",
                path.to_string_lossy()
            )
        }
        Ok(())
    }
}

/// A path without links that leads to the same.
fn resolved(side: Side<'_>, path: &Path) -> Result<PathBuf> {
    match side {
        Side::Host => path.canonicalize().with_context(|| format!("cannot look at {}", path.display())),
        Side::View(view) => {
            let path = c(path).map_err(|_| anyhow!("a path holds NUL"))?;
            Ok(PathBuf::from(OsStr::from_bytes(view.explain(&path, true).app.bytes())))
        }
    }
}

fn copy(
    (source, from): (Side<'_>, &OsStr),
    (target, to): (Side<'_>, &OsStr),
    owners: Owners,
    follow: bool,
) -> Result<()> {
    let (from_text, to_text) = (from.as_bytes(), to.as_bytes());
    let is_contents = from_text.ends_with(b"/.") || from_text == b".";
    let is_named_directory = is_contents || from_text.ends_with(b"/");
    let (mut from, to) = (PathBuf::from(from), PathBuf::from(to));
    let look = |side: Side<'_>, path: &Path, follow| match side.look(path, follow) {
        Ok(stat) => Ok(Some(stat.st_mode & libc::S_IFMT)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(anyhow!("cannot look at {}: {}", path.display(), words(errno))),
    };
    let Some(kind) = look(source, &from, follow || is_named_directory)? else {
        bail!("there is no {} to be copied", from.display())
    };
    let name = from.file_name().map(OsStr::to_owned);
    if follow || is_named_directory {
        from = resolved(source, &from)?;
    }
    let is_dir = kind == libc::S_IFDIR;
    if is_named_directory && !is_dir {
        bail!("{} is no directory", from.display())
    }
    let mut copier = Copier::new(source, target, owners);
    match look(target, &to, true)? {
        Some(libc::S_IFDIR) => {
            let to = resolved(target, &to)?;
            match name {
                Some(name) if !is_contents => copier.copy(&from, &to.join(name)),
                _ => copier.contents(&from, &to),
            }
        }
        Some(_) if is_dir => bail!("{} is a directory, and {} a file", from.display(), to.display()),
        Some(_) => copier.copy(&from, &resolved(target, &to)?),
        None if to_text.ends_with(b"/") && !is_dir => {
            bail!("there is no directory {} to copy a file to", to.display())
        }
        None => {
            let parent = to.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            if look(target, parent, true)? != Some(libc::S_IFDIR) {
                bail!("there is no directory {} to copy to", parent.display())
            }
            let Some(name) = to.file_name() else { bail!("{} is no name", to.display()) };
            copier.copy(&from, &resolved(target, parent)?.join(name))
        }
    }
}
