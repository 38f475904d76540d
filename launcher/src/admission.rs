//! Root's store of images is closed to other users. Of an image that is being run by
//! root, those users may enter it that the image itself knows: programs give up root's
//! rights, and go on in their view. They also make their drafts of copies in its write layer, and tell
//! root's processes of directories that they have moved.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use elements::Instance;
use elements::files::Scratch;
use elements::instance::NOTICES;
use elements::shared::notices::Notices;

use crate::commands::run::words;
use crate::instance::Placed;
use crate::room;

const NOBODY: u32 = u32::MAX;
/// linux/magic.h
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
/// As many users as an access control list holds.
const MANY: usize = 390;

/// Lets users into the image that an instance runs. `anew`: it has no other processes yet.
///
/// # Errors
///
/// A file system without access control lists, and those of making a file.
pub fn admit(
    placed: &Placed,
    instance: &Instance<'_>,
    anew: bool,
    uids: impl Iterator<Item = u32>,
) -> Result<()> {
    for layer in &placed.settings.write_layers {
        let work = layer.dir.join("work");
        let closed = || {
            // Once there is a list, the bits of the group are its mask.
            if fs::metadata(&work)?.mode() & 0o1000 == 0 {
                fs::set_permissions(&work, Permissions::from_mode(0o1700))?;
            }
            std::io::Result::Ok(())
        };
        closed().with_context(|| format!("cannot set the permissions of {}", work.display()))?;
    }
    let notices = placed.dir.join(NOTICES);
    make_notices(&notices, anew).with_context(|| format!("cannot write {}", notices.display()))?;
    let mut scratch = Scratch::new();
    let admitted = instance.admit(placed.dir.as_os_str().as_bytes(), &others(uids), &mut scratch);
    admitted.map_err(|errno| {
        anyhow!(
            "other users of the image cannot be let into {}: {}: put the state directory on a file system with access \
             control lists (STATE_DIRECTORY)",
            Path::new(OsStr::from_bytes(scratch.bytes())).display(),
            words(errno)
        )
    })?;
    placed
        .with_shared(|shared| shared.directories.expect_notices())
        .context("cannot write to the instance's view")
}

fn make_notices(path: &Path, anew: bool) -> std::io::Result<()> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_len(Notices::LEN as u64)?;
    // The counts are looked at all the time. The rest stays a hole until somebody has something to tell, but where a look
    // at a hole takes room too: what is done to memory cannot be told of a full disk.
    let is_tmpfs = rustix::fs::fstatfs(&file)?.f_type == TMPFS_MAGIC;
    room::reserve(&file, 0..if is_tmpfs { Notices::LEN } else { Notices::COUNTS })?;
    let mut moves = Notices::NO_MOVES;
    file.read_exact_at(&mut moves, Notices::MOVES)?;
    if anew && moves != Notices::NO_MOVES {
        file.write_all_at(&Notices::NO_MOVES, Notices::MOVES)
    } else {
        Ok(())
    }
}

/// Has an instance's directory in the making lead to what is kept of the notices in another directory.
///
/// # Errors
///
/// What the file system says.
pub fn lead_to_notices(dir: &Path, kept: &Path) -> Result<()> {
    let notices = kept.join(NOTICES);
    symlink(&notices, dir.join(NOTICES)).with_context(|| format!("cannot lead to {}", notices.display()))
}

fn others(uids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut uids: Vec<u32> = uids.filter(|uid| !matches!(*uid, 0 | NOBODY)).collect();
    uids.sort_unstable();
    uids.dedup();
    uids.truncate(MANY);
    uids
}
