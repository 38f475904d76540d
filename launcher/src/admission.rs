//! Root's store of images is closed to other users. Of an image that is being run by
//! root, those users may enter it that the image itself knows: programs give up root's
//! rights, and go on in their view. They also make their drafts of copies in its write layer, and tell
//! root's processes of directories that they have moved.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use elements::Instance;
use elements::instance::NOTICES;
use elements::shared::notices::Notices;
use rustix::fs::{FlockOperation, XattrFlags, fgetxattr, flock, fsetxattr, fstat};
use rustix::io::Errno;

use crate::instance::Placed;
use crate::room;

/// Where the kernel keeps an access control list; acl(5), linux/posix_acl_xattr.h.
const ATTRIBUTE: &std::ffi::CStr = c"system.posix_acl_access";
const VERSION: u32 = 2;
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP: u16 = 4;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const SEARCH: u16 = 1;
const WRITE: u16 = 2;
const READ: u16 = 4;
const ALL: u16 = 7;
const NOBODY: u32 = u32::MAX;
/// As many as fit into one block of a file system.
const MANY: usize = 400;

/// Who may do what: tag, rights and id of each entry.
type List = Vec<(u16, u16, u32)>;

/// Lets users search the directories that lead to the layers of the root.
///
/// # Errors
///
/// A file system without access control lists.
pub fn admit(instance: &Instance<'_>, uids: impl Iterator<Item = u32>) -> Result<()> {
    let uids = others(uids);
    for number in 0..instance.view.layer_count(0) {
        let tree = Path::new(std::ffi::OsStr::from_bytes(instance.view.layer(0, number)));
        // A layer of the store: …/images/layers/DIGITS/tree.
        let Some(layer) = tree.parent().filter(|layer| layer.join("layer.json").exists()) else { continue };
        let above: Vec<PathBuf> = layer.ancestors().take(3).map(Path::to_owned).collect();
        for dir in above {
            open_for(&dir, &uids, SEARCH).with_context(|| {
                format!(
                    "other users of the image cannot be let into {}: put the state directory on a file system \
                     with access control lists (STATE_DIRECTORY)",
                    dir.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Lets users make drafts in a write layer's work directory, each its own.
///
/// # Errors
///
/// As [`admit`].
pub fn let_draft(work: &Path, uids: impl Iterator<Item = u32>) -> Result<()> {
    let opened = || {
        // Once there is a list, the bits of the group are its mask.
        if fs::metadata(work)?.mode() & 0o1000 == 0 {
            fs::set_permissions(work, Permissions::from_mode(0o1700))?;
        }
        open_for(work, &others(uids), ALL)
    };
    opened().with_context(|| format!("other users of the image cannot be let into {}", work.display()))
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

/// Lets users tell the instance's other processes what they have changed. `anew`: it has no others yet.
///
/// # Errors
///
/// As [`admit`], and those of making a file.
pub fn let_notice(placed: &Placed, anew: bool, uids: impl Iterator<Item = u32>) -> Result<()> {
    let path = placed.dir.join(NOTICES);
    let opened = || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        // What is written to memory cannot be told of a full disk.
        room::reserve(&file, 0..Notices::LEN)?;
        if anew {
            file.write_all_at(&Notices::NO_MOVES, Notices::MOVES)?;
        }
        open_for(&path, &others(uids), READ | WRITE)?;
        anyhow::Ok(placed.with_shared(|shared| shared.directories.expect_notices())?)
    };
    opened().with_context(|| format!("other users of the image cannot be let into {}", path.display()))
}

fn others(uids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut uids: Vec<u32> = uids.filter(|uid| !matches!(*uid, 0 | NOBODY)).collect();
    uids.sort_unstable();
    uids.dedup();
    uids.truncate(MANY);
    uids
}

fn open_for(dir: &Path, uids: &[u32], rights: u16) -> Result<()> {
    let file = File::open(dir)?;
    flock(&file, FlockOperation::LockExclusive)?;
    let mut bytes = vec![0; 1 << 16];
    let mut list = match fgetxattr(&file, ATTRIBUTE, &mut bytes[..]) {
        Ok(count) => read(bytes.get(..count).unwrap_or(&[])),
        Err(Errno::NODATA) => {
            let mode = fstat(&file)?.st_mode;
            let rights = |shift: u32| u16::try_from(mode >> shift & 7).unwrap_or(0);
            vec![(OWNER, rights(6), NOBODY), (GROUP, rights(3), NOBODY), (OTHER, rights(0), NOBODY)]
        }
        Err(error) => return Err(error.into()),
    };
    let before = list.len();
    for uid in uids {
        if !list.iter().any(|(tag, _, id)| (*tag, *id) == (USER, *uid)) {
            list.push((USER, rights, *uid));
        }
    }
    if list.len() == before {
        return Ok(());
    }
    list.retain(|(tag, ..)| *tag != MASK);
    list.push((MASK, rights, NOBODY));
    list.sort_unstable_by_key(|(tag, _, id)| (*tag, *id));
    Ok(fsetxattr(&file, ATTRIBUTE, &written(&list), XattrFlags::empty())?)
}

fn read(bytes: &[u8]) -> List {
    let entries = bytes.get(4..).unwrap_or(&[]).as_chunks::<8>().0.iter();
    entries
        .map(|[a, b, c, d, id @ ..]| {
            (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), u32::from_le_bytes(*id))
        })
        .collect()
}

fn written(list: &List) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, rights, id) in list {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}
