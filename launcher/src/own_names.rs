//! What an instance has under names of its own, beside files: a directory of shared memory, and marks
//! of System V objects and message queues (`elements::ipc`). It is made at a start, and goes with the
//! instance. One that belongs to a single run goes when the next instance is made.

use std::ffi::CString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use policy::{Places, SHARED_MEMORY};

use crate::instance::Settings;
use crate::stale::{is_in_use, is_of_one_run};

/// The file that says whose the directory is.
const OWNER: &str = "owner";
/// What its directories are called, and what the marks in one of them are.
const SHM: &str = "shm";
const MARKS: &str = "marks";

/// The permissions of one that has all that it needs; until then nobody else may look into it.
const WHOLE: u32 = 0o755;

/// The directory for the names of what is kept of an instance.
pub fn of_kept(kept: &Path) -> PathBuf {
    Places { instance: Path::new(""), kept, volumes: Path::new("") }.names()
}

/// The directory for the names of an instance that is not kept.
pub fn of_view(dir: &Path) -> PathBuf {
    Places { instance: dir, kept: Path::new(""), volumes: Path::new("") }.names()
}

/// Makes the directory for names of an instance whose view lies in a directory, where it has any.
///
/// # Errors
///
/// As [`make`].
pub fn make_for(dir: &Path, settings: &Settings) -> Result<()> {
    match &settings.names {
        Some(names) => make(names, settings.kept.as_deref().unwrap_or(dir)),
        None => Ok(()),
    }
}

/// Makes the directory for names, where it is missing. `owner` is the directory that they go with.
///
/// # Errors
///
/// That another user has one there, or what the file system says.
fn make(names: &Path, owner: &Path) -> Result<()> {
    // What is done last has been done: nothing is to do.
    if fs::symlink_metadata(names).is_ok_and(|about| is_own(&about) && about.mode() & 0o777 == WHOLE) {
        return Ok(());
    }
    if !Path::new(SHARED_MEMORY).is_dir() {
        return Ok(());
    }
    let made = make_all(names, owner);
    made.with_context(|| {
        format!(
            "cannot make {} for the instance's own names (`[ipc] share = true` does without)",
            names.display()
        )
    })
}

/// Whether it is a directory of this user's.
fn is_ours(names: &Path) -> bool {
    fs::symlink_metadata(names).is_ok_and(|about| is_own(&about))
}

fn is_own(about: &fs::Metadata) -> bool {
    about.is_dir() && about.uid() == rustix::process::geteuid().as_raw()
}

fn make_all(names: &Path, owner: &Path) -> Result<()> {
    let make = |dir: &Path, mode: u32| match DirBuilder::new().mode(0o700).create(dir) {
        // Whatever the umask.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(mode)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    let is_new = !names.exists();
    if is_new {
        sweep();
    }
    make(names, 0o700)?;
    if !is_ours(names) {
        bail!("somebody else has something there");
    }
    if is_new {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(names.join(OWNER))?;
        file.write_all(owner.as_os_str().as_bytes())?;
    }
    make(&names.join(SHM), 0o1777)?;
    make(&names.join(MARKS), 0o1777)?;
    fs::set_permissions(names, Permissions::from_mode(WHOLE))?;
    Ok(())
}

/// Takes away what an instance has under names of its own. What cannot be taken away stays.
pub fn remove(names: &Path) {
    if !is_ours(names) {
        return;
    }
    for mark in fs::read_dir(names.join(MARKS)).into_iter().flatten().flatten() {
        let Ok(about) = fs::symlink_metadata(mark.path()) else { continue };
        let name = mark.file_name().into_vec();
        match name.split_at_checked(2) {
            Some((b"n-", queue)) => {
                if let Ok(queue) = CString::new([b"/", queue].concat()) {
                    // SAFETY: a string.
                    unsafe { libc::mq_unlink(queue.as_ptr()) };
                }
            }
            Some((kind, id)) => {
                if let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) {
                    remove_object(kind, id, about.uid());
                }
            }
            None => {}
        }
    }
    let _ = fs::remove_dir_all(names);
}

/// `struct semid_ds`, of which the first part is of interest.
#[repr(C)]
struct SemidDs {
    permissions: libc::ipc_perm,
    rest: [u64; 16],
}

/// Removes a System V object that the user who has marked it has made: the number may be
/// another's by now.
fn remove_object(kind: &[u8], id: libc::c_int, uid: u32) {
    // SAFETY: the kernel fills each struct, of which all zeros is a valid one.
    unsafe {
        match kind {
            b"m-" => {
                let mut about: libc::shmid_ds = std::mem::zeroed();
                if libc::shmctl(id, libc::IPC_STAT, &raw mut about) == 0 && about.shm_perm.cuid == uid {
                    libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
                }
            }
            b"s-" => {
                let mut about: SemidDs = std::mem::zeroed();
                if libc::semctl(id, 0, libc::IPC_STAT, &raw mut about) == 0 && about.permissions.cuid == uid {
                    libc::semctl(id, 0, libc::IPC_RMID);
                }
            }
            b"q-" => {
                let mut about: libc::msqid_ds = std::mem::zeroed();
                if libc::msgctl(id, libc::IPC_STAT, &raw mut about) == 0 && about.msg_perm.cuid == uid {
                    libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut());
                }
            }
            _ => {}
        }
    }
}

/// Takes away what goes with instances that are gone, and with those of a single run that is over.
fn sweep() {
    for entry in fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
        let names = entry.path();
        if !entry.file_name().as_bytes().starts_with(b"launcher-") {
            continue;
        }
        // One that does not say yet is being made.
        let Some(owner) = fs::read(names.join(OWNER)).ok().filter(|owner| !owner.is_empty()) else {
            continue;
        };
        let owner = PathBuf::from(std::ffi::OsString::from_vec(owner));
        if !owner.exists() || is_of_one_run(&owner) && !is_in_use(&owner) {
            remove(&names);
        }
    }
}
