//! By which door a program's calls reach the elements.
//!
//! The gate covers every program, and needs a kernel that takes seccomp
//! filters. The shim works everywhere, and covers what ld.so loads. Where the
//! policy leaves it open, it is the gate if the kernel lets it, and else the shim.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use elements::files::{Scratch, Want};
use elements::kernel::AT_FDCWD;
use elements::{Errno, Instance, files};
use policy::Door;
use view::Kind;

const PAGE: usize = 4096;

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
    if is_gated() {
        return Err(
            "this is a program of another instance already, and its gate is where this one's would be",
        );
    }
    if !no_new_privs && !rustix::process::geteuid().is_root() {
        return Err("a filter needs no_new_privs, and the policy says no_new_privs = false");
    }
    Ok(())
}

/// Whether this process runs through a gate itself. Its mappings do not tell, but
/// that nothing else can be mapped there does.
fn is_gated() -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let place = elements::proc::mappings::GATE.start as usize;
    let args = [place, PAGE, libc::PROT_NONE as usize, flags as usize, usize::MAX, 0];
    // SAFETY: a page where nothing is; it is given back at once.
    unsafe {
        match elements::kernel::syscall(libc::SYS_mmap, args) {
            Ok(page) => {
                elements::kernel::unmap(page, PAGE);
                false
            }
            Err(errno) => errno == Errno::EEXIST,
        }
    }
}

/// The door for an instance's programs; with it, why it is not the gate that the
/// policy would rather have.
///
/// # Errors
///
/// Why the door that the policy asks for cannot be had.
pub fn choose(
    asked: Door,
    no_new_privs: bool,
    instance: &Instance<'_>,
) -> Result<(Door, Option<&'static str>), &'static str> {
    let gate = || gate_is_open(no_new_privs);
    match asked {
        Door::Shim if has_other_loader(instance) => {
            Err("the root at `/` has an ld.so of its own, and under the shim the kernel takes the host's")
        }
        Door::Shim if has_root_of_layers(instance) => Err(
            "the root at `/` is a union of layers, and ld.so, which the shim does not see, would take the host's libraries",
        ),
        Door::Shim => Ok((Door::Shim, None)),
        Door::Auto => match gate() {
            Err(reason) if !has_other_loader(instance) && !has_root_of_layers(instance) => {
                Ok((Door::Shim, Some(reason)))
            }
            opened => opened.map(|()| (Door::Gate, None)),
        },
        Door::Gate => gate().map(|()| (Door::Gate, None)),
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

/// Whether the mount at `/` is a union of layers.
fn has_root_of_layers(instance: &Instance<'_>) -> bool {
    let view = &instance.view;
    view.has_root() && view.mount(view.region(view.app_root())).kind == Kind::Layers
}
