//! `launcher explain`: what app paths become, and why.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use elements::files::{Explanation, Layer};
use elements::{Errno, Instance};
use serde_json::{Value, json};
use view::{Access, Kind};

use super::{load, print, refuse, run::words};
use crate::FAILED;
use crate::cli::Explain;
use crate::instance::{place_to_look, view};

/// Explains app paths.
pub fn explain(asked: &Explain) -> Result<u8> {
    let prepared = load(&asked.policy.policy).and_then(|policy| {
        let plan = policy::plan(&policy, false)?;
        Ok((policy, plan))
    });
    let (policy, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(report) => return refuse(&report, asked.json, FAILED),
    };
    // Placed as for a run, so that what is said of inline files and scratch
    // directories is what a run would find.
    let placed = place_to_look(&policy, &plan)?;
    let instance = Instance::new(view(&placed.image)?, None);
    let mut text = String::new();
    let mut list = Vec::new();
    for path in &asked.paths {
        let name = CString::new(path.as_os_str().as_bytes()).context("a path holds NUL")?;
        let explained = instance.explain(&name, true);
        let facts = Facts::new(&instance, path, &explained);
        if asked.json { list.push(facts.to_json()) } else { text.push_str(&facts.to_text()) }
    }
    if plan.is_private() {
        // Nobody runs in it.
        let _ = std::fs::remove_dir_all(&placed.dir);
    }
    if asked.json { print(&format!("{:#}\n", Value::from(list))) } else { print(&text) }
}

struct Facts {
    asked: String,
    app: String,
    /// Whether the walk ended before the path did.
    stopped: bool,
    host: Option<String>,
    outcome: String,
    rule: String,
    line: u32,
    read: String,
    write: String,
    create: String,
}

/// What stands at a path, in words.
pub fn outcome(explained: &Explanation<'_>, host: &str) -> String {
    match explained.mount.kind {
        Kind::Content if !explained.is_mount_point => "nothing: an inline file is no directory".into(),
        Kind::Scaffold if !explained.is_mount_point && !Path::new(host).exists() => {
            "nothing: its directory exists only because a mount lies below it".into()
        }
        Kind::Hidden => "hidden, so it looks non-existent".into(),
        Kind::Denied => "denied, so it may not be touched".into(),
        Kind::Pass => format!("the host's own {host}"),
        Kind::Host => format!("the host's {host}"),
        Kind::Content => format!("an inline file, kept in {host}"),
        Kind::Empty => format!("a private scratch directory, kept in {host}"),
        Kind::Scaffold => "a directory that exists only because a mount lies below it".into(),
        Kind::Layers => match explained.layer {
            Some(layer) if !layer.is_there => format!("nothing: no layer has it, or it was removed ({host})"),
            Some(layer) if layer.is_write_layer => format!("{host}, changed: from the write layer"),
            Some(Layer { number, count, .. }) => format!("{host}, from layer {number} of {count}"),
            None => format!("{host}, in a union of layers"),
        },
        Kind::Link => "a symbolic link that leads to a mount".into(),
    }
}

impl Facts {
    fn new(instance: &Instance<'_>, asked: &Path, explained: &Explanation<'_>) -> Facts {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let host = text(explained.host.bytes());
        let mount = explained.mount;
        let at = if mount.at.is_empty() { "/".into() } else { text(mount.at) };
        let rule = match (mount.line, mount.kind) {
            (0, Kind::Pass) => "no mount: the host's own tree".to_owned(),
            (0, Kind::Host) => {
                "shared memory is the instance's own, unless `[ipc]` says `share = true`".to_owned()
            }
            (0, _) => format!("made for the sake of a mount below {at}"),
            (line, _) => format!("{}:{line} (mount at {at})", text(instance.view.policy_file())),
        };
        let shown = !matches!(mount.kind, Kind::Hidden | Kind::Denied);
        let slash = asked.as_os_str().as_bytes().ends_with(b"/");
        let would = |what: Intent| {
            would(explained, Path::new(OsStr::from_bytes(explained.host.bytes())), what, slash)
        };
        Facts {
            asked: asked.display().to_string(),
            app: text(explained.app.bytes()),
            stopped: explained.stopped.is_some(),
            outcome: outcome(explained, &host),
            host: shown.then_some(host),
            rule,
            line: mount.line,
            read: would(Intent::Read),
            write: would(Intent::Write),
            create: would(Intent::Create),
        }
    }

    fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.asked);
        if self.app != self.asked {
            out += &format!("  {}  {}\n", if self.stopped { "ends at " } else { "app path" }, self.app);
        }
        out += &format!("  becomes   {}\n", self.outcome);
        out += &format!("  decided   {}\n", self.rule);
        out +=
            &format!("  read      {}\n  write     {}\n  create    {}\n", self.read, self.write, self.create);
        out
    }

    fn to_json(&self) -> Value {
        json!({
            "asked": self.asked, "app": self.app, "host": self.host, "outcome": self.outcome,
            "rule": self.rule, "line": self.line,
            "read": self.read, "write": self.write, "create": self.create,
        })
    }
}

#[derive(Clone, Copy)]
enum Intent {
    Read,
    Write,
    Create,
}

/// What a call of that intent would answer. With a slash at the end, only a
/// directory is meant.
fn would(explained: &Explanation<'_>, host: &Path, intent: Intent, slash: bool) -> String {
    use rustix::fs::{Access as Rights, access};
    let name = |errno: Errno| format!("{} ({})", symbol(errno), words(errno));
    if let Some(errno) = explained.stopped {
        return name(errno);
    }
    let exists = explained.layer.map_or_else(|| host.symlink_metadata().is_ok(), |layer| layer.is_there);
    let read_only = explained.mount.access == Access::ReadOnly && explained.mount.kind != Kind::Pass;
    let (path, rights) = match (intent, exists) {
        (Intent::Read | Intent::Write, false) => return name(Errno::ENOENT),
        (_, true) if slash && !host.is_dir() => return name(Errno::ENOTDIR),
        (Intent::Create, true) => return name(Errno::EEXIST),
        (Intent::Write | Intent::Create, _) if read_only => return name(Errno::EROFS),
        (Intent::Read, true) => (host, Rights::READ_OK),
        (Intent::Write, true) if host.is_dir() => (host, Rights::WRITE_OK | Rights::EXEC_OK),
        (Intent::Write, true) => (host, Rights::WRITE_OK),
        // The directory gets its copy when it is needed.
        (Intent::Create, false) if explained.layer.is_some() => return "ok".into(),
        (Intent::Create, false) => (host.parent().unwrap_or(host), Rights::WRITE_OK | Rights::EXEC_OK),
    };
    match access(path, rights) {
        Ok(()) => "ok".into(),
        Err(errno) => name(Errno(errno.raw_os_error())),
    }
}

/// The name of an error number, as programmers know it.
pub fn symbol(errno: Errno) -> String {
    let known = match errno {
        Errno::EACCES => "EACCES",
        Errno::EEXIST => "EEXIST",
        Errno::EISDIR => "EISDIR",
        Errno::ELOOP => "ELOOP",
        Errno::ENAMETOOLONG => "ENAMETOOLONG",
        Errno::ENOENT => "ENOENT",
        Errno::ENOTDIR => "ENOTDIR",
        Errno::EPERM => "EPERM",
        Errno::EROFS => "EROFS",
        Errno::EXDEV => "EXDEV",
        Errno::EBUSY => "EBUSY",
        other => return format!("errno {}", other.0),
    };
    known.into()
}
