//! By which door a program's calls reach the elements.
//!
//! The gate covers every program, and needs a kernel that takes seccomp
//! filters. The shim works everywhere, and covers what ld.so loads. Where the
//! policy leaves it open, programs that the shim cannot get into have the gate.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use elements::files::{Scratch, Want};
use elements::kernel::AT_FDCWD;
use elements::process::program::{self, HEAD, Program};
use elements::{Instance, files};
use policy::Door;
use view::Kind;

/// How many interpreters a script may lead through.
const MAX_INTERPRETERS: usize = 5;

/// Why the gate cannot be used here, if so.
///
/// # Errors
///
/// The reason, as a sentence.
pub fn gate_is_open(no_new_privs: bool) -> Result<(), &'static str> {
    const GET_ACTION_AVAIL: usize = 2;
    let trap = libc::SECCOMP_RET_TRAP;
    let args = [GET_ACTION_AVAIL, 0, std::ptr::from_ref(&trap) as usize, 0, 0, 0];
    // SAFETY: the kernel reads one word.
    if unsafe { elements::kernel::syscall(libc::SYS_seccomp, args) }.is_err() {
        return Err("the kernel takes no seccomp filters here, or a filter forbids them");
    }
    if !no_new_privs && !rustix::process::geteuid().is_root() {
        return Err("a filter needs no_new_privs, and the policy says no_new_privs = false");
    }
    Ok(())
}

/// The door for a program, which is looked for at these app paths.
///
/// # Errors
///
/// Why the door that the policy asks for cannot be had.
pub fn choose(
    asked: Door,
    no_new_privs: bool,
    instance: &Instance<'_>,
    attempts: &[CString],
) -> Result<Door, &'static str> {
    match asked {
        Door::Shim if has_other_loader(instance) => {
            Err("the root at `/` has an ld.so of its own, and under the shim the kernel takes the host's")
        }
        Door::Shim if has_layers(instance) => {
            Err("a mount is a union of layers, which the shim does not see whole")
        }
        Door::Auto if has_other_loader(instance) || has_layers(instance) => {
            gate_is_open(no_new_privs).map(|()| Door::Gate)
        }
        Door::Shim => Ok(Door::Shim),
        Door::Gate => gate_is_open(no_new_privs).map(|()| Door::Gate),
        Door::Auto => {
            let program = attempts.iter().find_map(|path| kind(instance, path.clone()));
            let is_for_gate = matches!(program, Some(Program::Uncovered(why)) if why.is_for_gate());
            Ok(if is_for_gate && gate_is_open(no_new_privs).is_ok() { Door::Gate } else { Door::Shim })
        }
    }
}

/// Where dynamic programs of this machine have their ld.so.
const LOADER: &CStr = c"/lib64/ld-linux-x86-64.so.2";

/// Whether a mount at `/` brings another ld.so than the host's, or none.
fn has_other_loader(instance: &Instance<'_>) -> bool {
    let mut scratch: Scratch = files::Text::new();
    if !instance.view.has_root() {
        return false;
    }
    let Ok(found) = instance.host_path(AT_FDCWD, LOADER.as_ptr().cast(), Want::LOOK, &mut scratch) else {
        return true;
    };
    let read = |path: &[u8]| std::fs::read(OsStr::from_bytes(path)).ok();
    let ours = read(LOADER.to_bytes());
    found.is_some() && (ours.is_none() || read(scratch.bytes()) != ours)
}

/// Whether a mount is a union of layers.
fn has_layers(instance: &Instance<'_>) -> bool {
    instance.view.mounts().any(|mount| mount.kind == Kind::Layers)
}

/// What kind of program is started in the end: of a script, the interpreter.
fn kind(instance: &Instance<'_>, mut path: CString) -> Option<Program> {
    for _ in 0..MAX_INTERPRETERS {
        let mut scratch: Scratch = files::Text::new();
        let app = path.as_ptr().cast();
        let host = instance.host_path(AT_FDCWD, app, Want::LOOK, &mut scratch).ok()?.unwrap_or(app);
        let mut head = [0; HEAD];
        let (program, len) = program::look(AT_FDCWD, host, 0, false, &mut head).ok()??;
        if program != Program::Script {
            return Some(program);
        }
        let (name, _) = program::interpreter(&head[..len])?;
        path = CString::new(name).ok()?;
    }
    None
}
