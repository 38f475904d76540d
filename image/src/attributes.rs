//! What a file has beside its bytes, and where an ordinary user's file system
//! keeps what it may not have: in extended attributes, as fuse-overlayfs
//! writes them, and for what carries none in a file beside the tree.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr, futimens,
    utimensat,
};
use rustix::io::Errno;

use crate::header::{Entry, Kind};

/// Owner, group, mode and type, as `uid:gid:mode:type`.
pub const OVERRIDE: &str = "user.containers.override_stat";
/// Before the name of an extended attribute that is kept, not set.
pub const KEPT: &str = "user.launcher.xattr.";
/// A directory's time, until all is in it.
pub const TIME: &str = "user.launcher.mtime";
/// On a layer's root: some of its whiteouts are files, which a union takes for files of the program's.
pub const SPELLED: &str = "user.launcher.spelled";
/// Says that a directory hides what the layers below have in it.
pub const OPAQUE: &str = "user.overlay.opaque";
/// The same in layers of root's, which the store does not make.
pub const ROOTS_OPAQUE: &str = "trusted.overlay.opaque";

/// Sets the attributes of files.
pub struct Keeper {
    root: bool,
    /// Where the owners of symbolic links and FIFOs are kept.
    owners: File,
}

impl Keeper {
    /// `owners` takes what an ordinary user cannot put elsewhere.
    pub fn new(owners: File) -> Keeper {
        Keeper { root: rustix::process::geteuid().is_root(), owners }
    }

    /// The attributes of a file or a directory, all but a directory's time.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn set(&self, file: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        for (name, value) in &entry.xattrs {
            keep(file, name, value)?;
        }
        let disk = disk_mode(entry.mode, entry.kind, self.root);
        let device = matches!(entry.kind, Kind::Character | Kind::Block);
        if !self.root || device || disk != entry.mode {
            let text = stat(entry);
            fsetxattr(file, OVERRIDE, text.as_bytes(), XattrFlags::empty()).context(
                "cannot set an extended attribute: the store must be on a file system that has them",
            )?;
        }
        if self.root {
            fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .context("cannot set its owner")?;
        }
        fchmod(file, Mode::from_raw_mode(disk)).context("cannot set its mode")?;
        if entry.kind == Kind::Directory {
            let text = format!("{}.{:09}", entry.mtime.0, entry.mtime.1);
            fsetxattr(file, TIME, text.as_bytes(), XattrFlags::empty())
                .context("cannot set an extended attribute")
        } else {
            futimens(file, &times(entry.mtime)).context("cannot set its time")
        }
    }

    /// The attributes of a symbolic link or a FIFO, which carries no extended ones of a user's.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn set_at(&mut self, dir: BorrowedFd<'_>, name: &CString, path: &[u8], entry: &Entry) -> Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let kept = entry.xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        if self.root {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            chownat(dir, name, Some(uid), Some(gid), nofollow).context("cannot set its owner")?;
            if entry.kind == Kind::Fifo {
                let mode = Mode::from_raw_mode(entry.mode & 0o1777);
                rustix::fs::chmodat(dir, name, mode, AtFlags::empty()).context("cannot set its mode")?;
            }
        }
        if !self.root || !entry.xattrs.is_empty() || entry.mode & 0o6000 != 0 {
            let mut record = path.to_vec();
            record.push(0);
            record.extend(stat(entry).bytes());
            record.push(0);
            for (name, value) in kept {
                record.extend(name);
                record.push(b'=');
                record.extend(value.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
                record.push(b' ');
            }
            record.push(0);
            self.owners.write_all(&record).context("cannot write down its owner")?;
        }
        utimensat(dir, name, &times(entry.mtime), nofollow).context("cannot set its time")
    }
}

/// The mode that a file has on the disk where it should have another one.
pub fn disk_mode(mode: u32, kind: Kind, is_root: bool) -> u32 {
    match kind {
        Kind::Directory => mode & 0o1777 | 0o700,
        _ if is_root => mode & 0o1777,
        _ => mode & 0o1777 | 0o600,
    }
}

fn stat(entry: &Entry) -> String {
    let (major, minor) = entry.device;
    let kind = match entry.kind {
        Kind::Directory => "dir".into(),
        Kind::Symlink => "symlink".into(),
        Kind::Fifo => "pipe".into(),
        Kind::Character => format!("char-{major}-{minor}"),
        Kind::Block => format!("block-{major}-{minor}"),
        Kind::File | Kind::HardLink => "file".to_owned(),
    };
    format!("{}:{}:0{:o}:{kind}", entry.uid, entry.gid, entry.mode)
}

/// An extended attribute: a user's own is set, any other is kept under a
/// name that neither the kernel nor the union understands.
fn keep(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let reserved = [
        "user.overlay.",
        "user.containers.",
        "user.launcher.",
        "user.fuseoverlayfs.",
        "user.rootlesscontainers",
    ];
    let own =
        name.starts_with(b"user.") && !reserved.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
    let shown = || format!("its extended attribute `{}`", name.escape_ascii());
    let stored = if own { name.to_vec() } else { [KEPT.as_bytes(), name].concat() };
    let stored = CString::new(stored).with_context(shown)?;
    match fsetxattr(file, &stored, value, XattrFlags::empty()) {
        Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE) => {
            bail!(
                "{} of {} bytes is more than the store's file system takes for one file",
                shown(),
                value.len()
            )
        }
        done => done.with_context(shown),
    }
}

/// The times to set: that of access is the same.
pub fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: time, last_modification: time }
}

/// Takes a directory's time from where it was kept until all was in it.
///
/// # Errors
///
/// What the file system says.
pub fn settle(dir: &impl AsFd) -> Result<()> {
    let mut text = [0; 64];
    let count = match rustix::fs::fgetxattr(dir, TIME, &mut text) {
        Ok(count) => count,
        Err(Errno::NODATA) => return Ok(()),
        Err(error) => return Err(error).context("cannot read a directory's time"),
    };
    let text = text
        .get(..count)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.split_once('.'));
    let time = text.and_then(|(seconds, nanos)| Some((seconds.parse().ok()?, nanos.parse().ok()?)));
    rustix::fs::fremovexattr(dir, TIME).context("cannot remove an extended attribute")?;
    futimens(dir, &times(time.context("a directory's time is no time")?))
        .context("cannot set a directory's time")
}
