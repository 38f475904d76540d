//! `launcher doctor`: what this host and a program allow.

mod imports;
mod network;
mod told;

use std::ffi::{CString, OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ::image::source::kind;
use anyhow::Result;
use elements::Instance;
use elements::process::loader;
use elements::process::program::{Program, Why, classify, interpreter};
use object::read::elf::{ElfFile64, FileHeader as _};
use policy::Door;
use serde_json::json;

use self::imports::imports;
use self::network::{Resolver, network};
use super::{counted, load, print, refuse, run::words};
use crate::cli::Doctor;
use crate::environment::variables;
use crate::instance::{place_to_look, view as view_of};
use crate::{FAILED, door};

/// How grave a finding is. The gravest one is the exit status.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Pass = 0,
    Warn = 1,
    Blocked = 2,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Blocked => "blocked",
        }
    }
}

struct Finding {
    verdict: Verdict,
    subject: &'static str,
    text: String,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, subject: &'static str, text: impl Into<String>) {
        self.0.push(Finding { verdict, subject, text: text.into() });
    }
}

/// Looks at the host, and at a program if one is named.
pub fn doctor(asked: &Doctor) -> Result<u8> {
    let mut findings = Findings(Vec::new());
    host(&mut findings);
    match (&asked.policy, &asked.program) {
        (Some(file), program) => {
            let prepared = load(file).and_then(|policy| {
                let plan = policy::plan(&policy, false)?;
                Ok((policy, plan))
            });
            let (policy, plan) = match prepared {
                Ok(prepared) => prepared,
                Err(report) => return refuse(&report, asked.json, FAILED),
            };
            let placed = place_to_look(&policy, &plan)?;
            findings.add(
                Verdict::Pass,
                "policy",
                format!("{}, instance in {}", counted(plan.mount_count()), placed.dir.display()),
            );
            let instance = Instance::new(view_of(&placed.image)?, None);
            if let Some(program) = program {
                let on_host = |app: &Path| on_host(&instance, app);
                let variables = variables(&policy.env, None);
                let variable = |name: &str| {
                    let value = |entry: &CString| {
                        let value = entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                        Some(OsStr::from_bytes(value).to_owned())
                    };
                    variables.iter().find_map(value)
                };
                let program = in_path(program, variable("PATH"), &on_host);
                let libraries = variable("LD_LIBRARY_PATH");
                let door = asked.door.unwrap_or(placed.settings.door);
                match door::choose(door, placed.settings.no_new_privs, &instance) {
                    Ok((door, _)) => {
                        let sight = Sight { on_host: &on_host, view: Some(&instance), libraries, door };
                        examine(&program, &sight, 0, &mut findings);
                    }
                    Err(reason) => findings.add(Verdict::Blocked, "door", reason),
                }
            }
            if plan.is_private() {
                // Nobody runs in it.
                let _ = fs::remove_dir_all(&placed.dir);
            }
        }
        (None, Some(program)) => {
            let on_host = |app: &Path| Ok(app.to_owned());
            let program = in_path(program, std::env::var_os("PATH"), &on_host);
            let libraries = std::env::var_os("LD_LIBRARY_PATH");
            let door = match asked.door {
                Some(Door::Shim) => Door::Shim,
                _ if door::gate_is_open(true).is_ok() => Door::Gate,
                _ => Door::Shim,
            };
            let sight = Sight { on_host: &on_host, view: None, libraries, door };
            examine(&program, &sight, 0, &mut findings);
        }
        (None, None) => {}
    }
    let worst = findings.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Pass);
    if asked.json {
        let list: Vec<_> = findings
            .0
            .iter()
            .map(|f| json!({ "verdict": f.verdict.word(), "subject": f.subject, "text": f.text }))
            .collect();
        print(&format!("{:#}\n", json!({ "verdict": worst.word(), "findings": list })))?;
    } else {
        let mut out = String::new();
        for finding in &findings.0 {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{:<8} {:<14} {}", finding.verdict.word(), finding.subject, finding.text);
        }
        print(&out)?;
    }
    Ok(worst as u8)
}

/// Where an app path leads on the host, or why it leads nowhere.
type OnHost<'a> = &'a dyn Fn(&Path) -> Result<PathBuf, String>;

/// What a program is looked at with.
struct Sight<'a> {
    on_host: OnHost<'a>,
    view: Option<&'a Instance<'a>>,
    /// The application's `LD_LIBRARY_PATH`.
    libraries: Option<OsString>,
    /// By which door it would be run.
    door: Door,
}

impl<'a> Sight<'a> {
    fn shown(&self) -> Option<&'a view::View<'a>> {
        self.view.map(|instance| &instance.view)
    }
}

/// The host path of a program that is named as the application names it.
fn on_host(instance: &Instance<'_>, app: &Path) -> Result<PathBuf, String> {
    let name = CString::new(app.as_os_str().as_bytes()).map_err(|_| "its name holds NUL".to_owned())?;
    let explained = instance.explain(&name, true);
    let host = PathBuf::from(OsStr::from_bytes(explained.host.bytes()));
    match (explained.stopped, explained.mount.line) {
        (None, _) => Ok(host),
        (Some(errno), 0) => Err(words(errno)),
        (Some(errno), line) => {
            let file = String::from_utf8_lossy(instance.view.policy_file()).into_owned();
            let outcome = super::explain::outcome(&explained, &host.to_string_lossy());
            Err(format!("{} ({file}:{line} decides: {outcome})", words(errno)))
        }
    }
}

/// A program that is named without a slash is looked for as a shell does.
fn in_path(program: &Path, path: Option<OsString>, on_host: OnHost<'_>) -> PathBuf {
    if program.as_os_str().as_bytes().contains(&b'/') {
        return program.to_owned();
    }
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut tried = std::env::split_paths(&path).map(|directory| directory.join(program));
    let found = tried.find(|app| on_host(app).is_ok_and(|host| host.is_file()));
    found.unwrap_or_else(|| program.to_owned())
}

/// What the kernel offers.
fn host(findings: &mut Findings) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    findings.add(Verdict::Pass, "kernel", format!("{release} {}", uname.machine().to_string_lossy()));
    let how = elements::kernel::OpenHow {
        flags: libc::O_PATH as u64,
        mode: 0,
        resolve: elements::kernel::RESOLVE_NO_SYMLINKS,
    };
    match elements::kernel::openat2(elements::kernel::AT_FDCWD, c"/".as_ptr().cast(), &how) {
        Ok(fd) => {
            elements::kernel::close(fd);
            findings.add(Verdict::Pass, "openat2", "paths under mounts are resolved by the kernel");
        }
        Err(_) => findings.add(
            Verdict::Warn,
            "openat2",
            "not available (before Linux 5.6, or filtered): paths under mounts are walked step by step, which is slower",
        ),
    }
    match rustix::thread::no_new_privs() {
        Ok(true) => findings.add(
            Verdict::Pass,
            "no_new_privs",
            "already set: setuid programs run without their rights",
        ),
        _ => findings.add(Verdict::Pass, "no_new_privs", "can be set"),
    }
    findings.add(Verdict::Pass, "shim", "covers dynamic programs, by libc's symbols");
    match door::gate_is_open(true) {
        Ok(()) => findings.add(Verdict::Pass, "gate", "covers every program, by system calls"),
        Err(reason) => {
            findings.add(Verdict::Warn, "gate", format!("{reason}: only dynamic programs can be covered"))
        }
    }
}

/// What a program is, and whether it can be covered.
fn examine(app: &Path, sight: &Sight<'_>, depth: u32, findings: &mut Findings) {
    let shown = app.display();
    let path = match (sight.on_host)(app) {
        Ok(path) => path,
        Err(reason) => {
            findings.add(Verdict::Blocked, "program", format!("{shown}: {reason}"));
            return;
        }
    };
    let path = path.as_path();
    if let Ok(about) = fs::metadata(path)
        && !about.is_file()
    {
        findings.add(Verdict::Blocked, "program", format!("{shown} is {}, and no program", kind(&about)));
        return;
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let place = if path == app { String::new() } else { format!(" ({})", path.display()) };
            let text = format!("{shown}{place} cannot be read: {error}");
            findings.add(Verdict::Blocked, "program", text);
            return;
        }
    };
    let about = fs::metadata(path).ok();
    let mode = about.as_ref().map_or(0, MetadataExt::mode);
    if mode & 0o111 == 0 {
        findings.add(
            Verdict::Blocked,
            "program",
            format!("{shown} is not executable (mode {:o}): chmod +x {}", mode & 0o7777, path.display()),
        );
    }
    if mode & 0o6000 != 0 {
        findings.add(
            Verdict::Warn,
            "setuid",
            format!("{shown} is setuid or setgid: under no_new_privs it runs without those rights"),
        );
    }
    let kind = match classify(bytes.get(..bytes.len().min(4096)).unwrap_or(&[])) {
        Program::Uncovered(Why::Static) if is_loader(&bytes) => Program::Loader,
        kind => kind,
    };
    match kind {
        Program::Script => {
            let head = bytes.get(..bytes.len().min(256)).unwrap_or(&[]);
            match interpreter(head) {
                Some((name, _)) if depth < 5 => {
                    let name = Path::new(OsStr::from_bytes(name));
                    findings.add(Verdict::Pass, "script", format!("{shown} is run by {}", name.display()));
                    examine(name, sight, depth + 1, findings);
                }
                _ => findings.add(Verdict::Blocked, "script", format!("{shown} names no interpreter")),
            }
        }
        Program::Dynamic => dynamic(app, path, &bytes, sight, findings),
        Program::Loader if sight.door == Door::Gate => {
            let text = format!("{shown} is ld.so: the gate covers it, and what it runs");
            findings.add(Verdict::Pass, "program", text);
            told::covered(sight.shown(), sight.door, |_| Vec::new(), findings);
        }
        Program::Loader => {
            let text = format!("{shown} is ld.so: it loads the shim into the program that it is told to run");
            findings.add(Verdict::Pass, "program", text);
        }
        Program::Uncovered(why) if why.is_for_gate() && sight.door == Door::Gate => {
            let kind = if why == Why::Go { "Go" } else { "static" };
            findings.add(Verdict::Pass, "program", format!("{shown}: 64-bit, {kind}: the gate covers it"));
            network(Resolver::within(&bytes), &bytes, sight, findings);
            told::covered(sight.shown(), sight.door, |_| Vec::new(), findings);
        }
        Program::Uncovered(why) => {
            let reason = String::from_utf8_lossy(why.words()).into_owned();
            let remedy = match why {
                Why::WrongMachine => "",
                _ if why.is_for_gate() && door::gate_is_open(true).is_ok() => {
                    "; with coverage.door = \"auto\" the gate covers it"
                }
                _ => "; with coverage = \"best-effort\" it runs outside the view",
            };
            findings.add(Verdict::Blocked, "coverage", format!("{shown} is {reason}{remedy}"));
            told::uncovered(sight.shown(), findings);
        }
        Program::Unknown => findings.add(
            Verdict::Blocked,
            "program",
            format!("{shown} is neither an ELF program nor a script"),
        ),
    }
}

fn is_loader(bytes: &[u8]) -> bool {
    let mut read = |buf: &mut [u8], offset: u64| {
        let from = bytes.get(usize::try_from(offset).ok()?..)?;
        let len = from.len().min(buf.len());
        buf.get_mut(..len)?.copy_from_slice(from.get(..len)?);
        Some(len)
    };
    loader::is_loader(bytes, &mut read)
}

/// A dynamic program: its loader, its libc, and what it imports.
fn dynamic(app: &Path, host: &Path, bytes: &[u8], sight: &Sight<'_>, findings: &mut Findings) {
    let shown = app.display();
    let Ok(elf) = ElfFile64::<object::Endianness>::parse(bytes) else {
        findings.add(Verdict::Blocked, "program", format!("{shown} is a damaged ELF file"));
        return;
    };
    let loader = interpreter_of(bytes).unwrap_or_default();
    let (libc, resolver) = match loader.to_string_lossy().contains("musl") {
        true => ("musl", Resolver::Musl),
        false => ("glibc", Resolver::Glibc),
    };
    let kind = elf.elf_header().e_type(elf.endian());
    let pie = if kind == object::elf::ET_DYN { "position-independent" } else { "fixed address" };
    findings.add(Verdict::Pass, "program", format!("{shown}: 64-bit, dynamic, {libc}, {pie}"));
    if sight.door == Door::Gate {
        match (sight.on_host)(&loader) {
            Ok(host) if host.exists() => findings.add(Verdict::Pass, "loader", loader.display().to_string()),
            _ => {
                let text = format!("{} does not exist in the view", loader.display());
                findings.add(Verdict::Blocked, "loader", text);
            }
        }
        findings.add(Verdict::Pass, "coverage", "the gate covers it, and all that its libraries call");
        network(resolver, bytes, sight, findings);
        told::covered(sight.shown(), sight.door, |_| Vec::new(), findings);
        return;
    }
    if loader.exists() {
        findings.add(Verdict::Pass, "loader", loader.display().to_string());
    } else {
        let remedy = match (sight.on_host)(&loader).ok().filter(|host| host.exists()) {
            Some(_) => {
                format!(
                    "; the view has it, but the kernel opens the host's: run {} {shown}",
                    loader.display()
                )
            }
            None => String::new(),
        };
        let text = format!("{} does not exist on this host{remedy}", loader.display());
        findings.add(Verdict::Blocked, "loader", text);
    }
    imports(host, bytes, sight, findings);
    network(resolver, bytes, sight, findings);
}

/// The loader that a program names.
pub fn interpreter_of(bytes: &[u8]) -> Option<PathBuf> {
    let elf = ElfFile64::<object::Endianness>::parse(bytes).ok()?;
    let name = elf.elf_program_headers().iter().find_map(|header| {
        use object::read::elf::ProgramHeader as _;
        header.interpreter(elf.endian(), bytes).ok().flatten()
    })?;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}
