//! `launcher run`: become the program, in its view.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use elements::process::exec::{self, RunsAs, Start};
use elements::{Errno, Instance};
use policy::Door;

use super::counted;
use crate::background::{self, Streams};
use crate::cli::{Run, is_verb};
use crate::instance::{Placed, Settings, view};
use crate::instances::Held;
use crate::output::say;
use crate::prepare::{Asked, Ready, prepare};
use crate::state::WriteLayer;
use crate::user::{Names, User};
use crate::{CANNOT_RUN, FAILED, NOT_FOUND, admission, door, environment, own_names, skeleton};

/// Runs a program. Returns only where that fails.
pub fn run(asked: &Run) -> Result<u8> {
    let wanted = Asked {
        policy: &asked.policy,
        name: asked.name.as_deref(),
        keeps: asked.detach,
        traces: false,
        program: Some(&asked.program),
    };
    let Some(ready) = prepare(wanted)? else { return Ok(FAILED) };
    let Ready { placed, held, .. } = &ready;
    if asked.verbose {
        let Settings { name, mounts, .. } = &placed.settings;
        say!("launcher: {name}: {}, view in {}", counted(*mounts), placed.dir.display());
    }
    let program = ready.program(&asked.program)?;
    ready.remember(&asked.policy, &asked.program, asked.door, false)?;
    if asked.detach {
        return background::start(&ready, program, asked.door, asked.verbose);
    }
    start(placed, held.as_ref(), program, asked.door, asked.verbose, None)
}

/// Becomes a program under a placed view, the first of its instance. `streams` are those of
/// a program in the background.
pub fn start(
    placed: &Placed,
    held: Option<&Held>,
    program: &[OsString],
    asked_door: Option<Door>,
    verbose: bool,
    streams: Option<&Streams>,
) -> Result<u8> {
    let settings = &placed.settings;
    let instance = Instance::new(view(&placed.image)?, None);
    if instance.view.flags() & ::view::flags::COVERAGE_REQUIRED == 0 {
        placed.forget_uncovered().context("cannot write to the instance's view")?;
    }
    placed.restore_names(&instance.view)?;
    placed.start_clock(&instance.view)?;
    own_names::make_for(&placed.dir, settings)?;
    if instance.view.flags() & ::view::flags::LAYERS != 0 {
        settings.write_layers.iter().for_each(WriteLayer::tidy);
        placed.look_anew().context("cannot write to the instance's view")?;
    }
    skeleton::make(placed)?;
    held.map(Held::note_start).transpose()?;
    become_program(placed, &instance, program, (asked_door, verbose), (true, streams))
}

/// Becomes a further program of an instance that runs.
pub fn join(placed: &Placed, program: &[OsString], door: Option<Door>) -> Result<u8> {
    let instance = Instance::new(view(&placed.image)?, None);
    become_program(placed, &instance, program, (door, false), (false, None))
}

fn become_program(
    placed: &Placed,
    instance: &Instance<'_>,
    program: &[OsString],
    (asked_door, verbose): (Option<Door>, bool),
    (is_first, streams): (bool, Option<&Streams>),
) -> Result<u8> {
    let settings = &placed.settings;
    let strings = |list: &[OsString]| -> Result<Vec<CString>> {
        list.iter().map(|text| CString::new(text.as_bytes()).context("an argument holds NUL")).collect()
    };
    let argv = strings(program)?;
    let (user, home) = who(placed, instance, is_first)?;
    let envp = environment::variables(&settings.env, home);
    let Some(name) = argv.first() else { return Err(anyhow!("no program is named")) };
    if let Some(workdir) = &settings.workdir {
        let path = CString::new(workdir.as_os_str().as_bytes()).context("workdir holds NUL")?;
        let entered = instance.chdir(path.as_ptr().cast());
        if let elements::Answer::Done(Err(errno)) = entered {
            let text = "make the directory, or say another: `workdir` of `[app]` goes before the image's `WorkingDir`";
            return Err(anyhow!("cannot enter the workdir {}: {}: {text}", workdir.display(), words(errno)));
        }
    } else if std::env::current_dir().is_ok_and(|here| instance.is_unreachable(here.as_os_str().as_bytes())) {
        say!("launcher: the working directory is not in the view: starting in / (`workdir` says where)");
        std::env::set_current_dir(OsStr::from_bytes(instance.view.mount(0).source))
            .context("cannot enter the root that is mounted at /")?;
    }
    if settings.no_new_privs {
        rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
    }
    let argv_pointers = pointers(&argv);
    let envp_pointers = pointers(&envp);
    let path =
        variable(&envp, "PATH").unwrap_or_else(|| OsStr::new("/usr/local/bin:/usr/bin:/bin").to_owned());
    let mut attempts: Vec<CString> = Vec::new();
    if name.to_bytes().contains(&b'/') {
        attempts.push(name.clone());
    } else {
        for directory in path.as_bytes().split(|byte| *byte == b':') {
            let directory = if directory.is_empty() { b".".as_slice() } else { directory };
            attempts
                .push(CString::new([directory, b"/", name.to_bytes()].concat()).context("PATH holds NUL")?);
        }
    }
    let (shim, gate) = (placed.shim(), placed.gate());
    let gate_path = CString::new(gate.as_os_str().as_bytes()).context("the instance's path holds NUL")?;
    let asked = asked_door.unwrap_or(settings.door);
    let (chosen, instead) = match door::choose(asked, settings.no_new_privs, instance) {
        Ok(door) => door,
        Err(reason) if asked == Door::Shim => {
            say!("launcher: the shim cannot serve this view: {reason}");
            say!("  say coverage.door = \"gate\", or \"auto\"");
            return Ok(FAILED);
        }
        Err(reason) => return Ok(refuse_gate(instance, reason, asked_door, settings.door)),
    };
    let (name_of_door, file, door) = match chosen {
        Door::Gate => {
            ("gate", &gate, exec::Door::Gate { path: &gate_path, note: elements::process::gated::FIRST })
        }
        _ => ("shim", &shim, exec::Door::Shim(shim.as_os_str().as_bytes())),
    };
    if verbose {
        say!("launcher: door: {name_of_door} ({})", file.display());
        if let Some(reason) = instead {
            say!("launcher: not the gate: {reason}");
        }
    }
    if let (Some(user), Some(said)) = (&user, &settings.user) {
        if instance.view.flags() & ::view::flags::CREDENTIALS != 0 {
            user.play(placed, &instance.view, is_first)?;
        } else {
            user.become_it(said)?;
        }
    }
    streams.map(Streams::hand_over).transpose().context("cannot open the standard streams")?;
    let take_back = || streams.into_iter().for_each(Streams::take_back);
    let mut worst = Errno::ENOENT;
    for attempt in &attempts {
        let errno = instance.execveat(
            door,
            &Start {
                dirfd: elements::kernel::AT_FDCWD,
                path: attempt.as_ptr().cast(),
                argv: argv_pointers.as_ptr().cast(),
                envp: envp_pointers.as_ptr().cast(),
                flags: 0,
                script: std::ptr::null(),
                runs_as: RunsAs::default(),
            },
        );
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // Found, but perhaps a later directory has one that can be run.
            Errno::EACCES if is_executable(instance, attempt) => {
                take_back();
                return Ok(CANNOT_RUN);
            }
            Errno::EACCES => worst = errno,
            errno => {
                worst = errno;
                break;
            }
        }
    }
    take_back();
    Ok(explain_failure(instance, name, &attempts, worst))
}

/// Who the application is to run as, and the home directory that an image gives.
fn who(placed: &Placed, instance: &Instance<'_>, is_first: bool) -> Result<(Option<User>, Option<String>)> {
    let settings = &placed.settings;
    if settings.user.is_none() && !settings.is_image {
        return Ok((None, None));
    }
    let names = Names::of(instance).context("cannot read the application's users")?;
    let user = settings.user.as_deref().map(|said| names.user(said)).transpose();
    let user = user.with_context(|| match settings.run_as_line {
        0 => "cannot tell who the application runs as".to_owned(),
        line => format!("{}:{line}: `run_as`", String::from_utf8_lossy(instance.view.policy_file())),
    })?;
    if settings.is_image && rustix::process::geteuid().is_root() {
        let uids = names.uids().chain(user.iter().map(|user| user.uid));
        admission::admit(placed, instance, is_first && settings.kept.is_some(), uids)?;
    }
    let home = || user.as_ref().map(|user| user.home.clone()).or_else(|| Some(names.user("0").ok()?.home));
    let home = if settings.is_image { home() } else { None };
    Ok((user, home))
}

/// The policy, the command line or the view itself asks for the gate, and it cannot be had.
fn refuse_gate(instance: &Instance<'_>, reason: &str, by_option: Option<Door>, by_policy: Door) -> u8 {
    let file = String::from_utf8_lossy(instance.view.policy_file()).into_owned();
    let asks = match (by_option, by_policy, instance.view.coverage_line()) {
        (Some(Door::Gate), ..) => "`--door gate` asks for it".to_owned(),
        (None, Door::Gate, line) => format!("{file}:{line} asks for it (coverage.door = \"gate\")"),
        _ => {
            say!("launcher: the gate is closed: {reason}");
            say!("  this view takes it: it has a union of layers, or a root with an ld.so of its own");
            return FAILED;
        }
    };
    say!("launcher: the gate is closed: {reason}");
    say!("  {asks}; \"auto\" takes the shim where it is closed");
    FAILED
}

/// Whether the program may be run, so that it was our own refusal that said
/// EACCES, and said why.
fn is_executable(instance: &Instance<'_>, path: &CStr) -> bool {
    let explained = instance.explain(path, true);
    let host = OsStr::from_bytes(explained.host.bytes());
    explained.stopped.is_none()
        && rustix::fs::access(host, rustix::fs::Access::EXEC_OK).is_ok()
        && !std::path::Path::new(host).is_dir()
}

/// The first program that is there and names an interpreter that is not, and that.
fn without_interpreter(instance: &Instance<'_>, attempts: &[CString]) -> Option<(String, String)> {
    let there = |path: &CStr| {
        let explained = instance.explain(path, true);
        let host = PathBuf::from(OsStr::from_bytes(explained.host.bytes()));
        (explained.stopped.is_none() && host.is_file()).then_some(host)
    };
    let (program, host) = attempts.iter().find_map(|attempt| Some((attempt, there(attempt)?)))?;
    let bytes = std::fs::read(host).ok()?;
    let interpreter = match bytes.strip_prefix(b"#!") {
        Some(line) => line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())?.to_vec(),
        None => super::doctor::interpreter_of(&bytes)?.into_os_string().into_vec(),
    };
    let interpreter = CString::new(interpreter).ok()?;
    let names = (program.to_string_lossy().into_owned(), interpreter.to_string_lossy().into_owned());
    there(&interpreter).is_none().then_some(names)
}

fn explain_failure(instance: &Instance<'_>, name: &CStr, attempts: &[CString], errno: Errno) -> u8 {
    let shown = name.to_string_lossy();
    say!("launcher: cannot run {shown}: {}", words(errno));
    if errno == Errno::ENOENT
        && let Some((program, interpreter)) = without_interpreter(instance, attempts)
    {
        say!(
            "  {program} is there, and names {interpreter} to be run by, which the application does not have"
        );
        return NOT_FOUND;
    }
    if let (true, [only]) = (name.to_bytes().contains(&b'/'), attempts) {
        let explained = instance.explain(only, true);
        let host = String::from_utf8_lossy(explained.host.bytes()).into_owned();
        match explained.mount.line {
            0 => say!("  no mount of the policy touches it: it is the host's {host}"),
            line => {
                let file = String::from_utf8_lossy(instance.view.policy_file()).into_owned();
                say!("  {file}:{line} decides: {}", super::explain::outcome(&explained, &host));
            }
        }
    } else {
        say!("  it is in no directory of PATH, as the application sees them");
        if is_verb(&shown) {
            say!("  for the command, put it first: launcher {shown} --policy FILE");
        }
    }
    if matches!(errno, Errno::ENOENT | Errno::ENOTDIR) { NOT_FOUND } else { CANNOT_RUN }
}

fn pointers(strings: &[CString]) -> Vec<*const std::ffi::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

fn variable(envp: &[CString], name: &str) -> Option<OsString> {
    envp.iter().find_map(|entry| {
        let value = entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(OsStr::from_bytes(value).to_owned())
    })
}

/// What an error number says, in words.
pub fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.0).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}
