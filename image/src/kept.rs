//! What a file of a layer is, read back: the other direction of [`crate::attributes`].
//!
//! In a layer of the store what is kept counts, whatever the disk says. In a
//! write layer the program has changed what the disk says, and has never seen
//! what is kept: that counts as long as the disk says what the store made of it.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, Stat, StatxFlags, major, minor, readlinkat, statx};
use rustix::io::Errno;

use crate::attributes::{KEPT, OVERRIDE, disk_mode};
use crate::dir::kind;
use crate::header::{Entry, Kind};
use crate::owners::Owners;

/// Extended attributes that belong to the host or to the layers, and to no program.
const PRIVATE: [&str; 8] = [
    "user.overlay.",
    "trusted.overlay.",
    "user.containers.",
    "user.launcher.",
    "user.fuseoverlayfs.",
    "user.rootlesscontainers",
    "security.selinux",
    "system.nfs4_acl",
];

/// What is kept of a file that carries no attributes, by its inode and by the time when it was
/// made, in seconds and nanoseconds.
pub type Book = fn(u64, (i64, u32)) -> Option<Kept>;

/// How what lies in a tree is to be understood.
pub enum Nature {
    /// A layer of the store.
    Stored(Owners),
    /// A write layer; whether what it changes is an image, in which an ordinary user plays root.
    Written {
        /// Whether it is.
        over_image: bool,
        /// What is kept elsewhere of links and FIFOs that the program has made.
        book: Option<Book>,
    },
    /// A directory of the host's.
    Plain,
}

impl Nature {
    /// That of a directory of the host's: one that an import has made is as those of the store.
    pub fn of_host(dir: &Path) -> Nature {
        let owners = dir.with_file_name("owners");
        let is_imported = dir.file_name().is_some_and(|name| name == "tree")
            && dir.ancestors().nth(2).and_then(Path::file_name).is_some_and(|name| name == "trees")
            && owners.is_file();
        if is_imported { Nature::Stored(Owners::of(owners)) } else { Nature::Plain }
    }
}

/// A file's owner, mode and kind, as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Kept {
    /// Reads `uid:gid:mode:type`, as fuse-overlayfs writes it; the type may be left out.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn parse(text: &[u8]) -> Result<Kept> {
        let shown = || format!("`{}` is no owner, mode and type", text.escape_ascii());
        let words = std::str::from_utf8(text).with_context(shown)?;
        let mut parts = words.split(':');
        let mut part = || parts.next().with_context(shown);
        let (uid, gid) = (part()?.parse().with_context(shown)?, part()?.parse().with_context(shown)?);
        let mode = u32::from_str_radix(part()?, 8).with_context(shown)? & 0o7777;
        let mut words = parts.next().unwrap_or("file").split('-');
        let kind = match words.next() {
            Some("file") => Kind::File,
            Some("dir") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            Some("pipe") => Kind::Fifo,
            Some("char") => Kind::Character,
            Some("block") => Kind::Block,
            _ => bail!(shown()),
        };
        let mut number = || words.next().map_or(Ok(0), str::parse).with_context(shown);
        Ok(Kept { uid, gid, mode, kind, device: (number()?, number()?) })
    }
}

/// The entry of a file in a layer, without a name. `at` is the directory that it is in
/// and its name there, `path` its path in the layer, without a slash at the beginning.
///
/// # Errors
///
/// What cannot be read.
pub fn entry(nature: &Nature, at: (BorrowedFd<'_>, &CStr), path: &[u8], stat: &Stat) -> Result<Entry> {
    let on_disk = match kind(stat) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        _ => bail!("it is of a kind that an archive cannot hold"),
    };
    let mut entry = Entry::plain(Vec::new(), on_disk, stat.st_mode & 0o7777);
    (entry.uid, entry.gid) = owner(nature, stat);
    entry.mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    match on_disk {
        Kind::File => entry.size = u64::try_from(stat.st_size).unwrap_or(0),
        Kind::Symlink => {
            entry.mode = 0o777;
            entry.link = readlinkat(at.0, at.1, Vec::new()).context("cannot read the link")?.into_bytes();
        }
        Kind::Character | Kind::Block => entry.device = (major(stat.st_rdev), minor(stat.st_rdev)),
        _ => {}
    }
    let mut kept = None;
    for (name, value) in xattrs(at)? {
        if name == OVERRIDE.as_bytes() {
            kept = Some(Kept::parse(&value)?);
        } else if let Some(name) = name.strip_prefix(KEPT.as_bytes()) {
            // What the program has set itself counts before what was kept.
            if !entry.xattrs.iter().any(|(known, _)| known == name) {
                entry.xattrs.push((name.to_vec(), value));
            }
        } else if !PRIVATE.iter().any(|prefix| name.starts_with(prefix.as_bytes())) {
            entry.xattrs.retain(|(known, _)| *known != name);
            entry.xattrs.push((name, value));
        }
    }
    match (nature, kept) {
        (Nature::Stored(owners), kept) => {
            let found = owners.get(path)?.filter(|_| kept.is_none() && on_disk != Kind::Directory);
            if let Some((_, xattrs)) = found {
                entry.xattrs.extend(xattrs.iter().cloned());
            }
            if let Some(kept) = kept.as_ref().or(found.map(|(kept, _)| kept)) {
                restore(&mut entry, kept, false);
            }
        }
        (Nature::Written { .. }, Some(kept)) => restore(&mut entry, &kept, true),
        (Nature::Written { book: Some(book), .. }, None)
            if !matches!(on_disk, Kind::File | Kind::Directory) =>
        {
            if let Some(kept) = book(stat.st_ino, made(at)?) {
                (entry.uid, entry.gid) = (kept.uid, kept.gid);
                if on_disk != Kind::Symlink {
                    entry.mode = kept.mode;
                }
            }
        }
        _ => {}
    }
    entry.xattrs.sort();
    Ok(entry)
}

/// When a file was made; zeros where the file system does not say.
fn made((dir, name): (BorrowedFd<'_>, &CStr)) -> Result<(i64, u32)> {
    let about = statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME)
        .context("cannot tell when it was made")?;
    let is_known = StatxFlags::from_bits_retain(about.stx_mask).contains(StatxFlags::BTIME);
    Ok(if is_known { (about.stx_btime.tv_sec, about.stx_btime.tv_nsec) } else { (0, 0) })
}

/// Whose a file is to be.
fn owner(nature: &Nature, stat: &Stat) -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let plays_root = uid != 0 && matches!(nature, Nature::Written { over_image: true, .. });
    let played = |id: u32, own: u32| if plays_root && id == own { 0 } else { id };
    (played(stat.st_uid, uid), played(stat.st_gid, gid))
}

/// Puts what is kept in the place of what the disk says; of what a program may have
/// changed only that which it has not.
fn restore(entry: &mut Entry, kept: &Kept, may_be_changed: bool) {
    let is_root = rustix::process::geteuid().is_root();
    let holds_bytes = may_be_changed && entry.size > 0;
    let is_device = matches!(kept.kind, Kind::Character | Kind::Block);
    if is_device && entry.kind == Kind::File && !holds_bytes {
        (entry.kind, entry.device, entry.size) = (kept.kind, kept.device, 0);
    }
    if !may_be_changed || entry.mode == disk_mode(kept.mode, kept.kind, is_root) {
        entry.mode = kept.mode;
    }
    // Root's program has its owners on the disk. An ordinary user's cannot give a file away.
    if !may_be_changed || !is_root {
        entry.uid = kept.uid;
        if !may_be_changed || entry.gid == 0 {
            entry.gid = kept.gid;
        }
    }
}

/// The extended attributes of a file that may be a link.
fn xattrs(at: (BorrowedFd<'_>, &CStr)) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    use std::os::unix::ffi::OsStrExt;
    // No call takes a directory and a name for this.
    let name = std::ffi::OsStr::from_bytes(at.1.to_bytes());
    let path = Path::new("/proc/self/fd").join(at.0.as_raw_fd().to_string()).join(name);
    let mut names = vec![0; 1 << 16];
    let count = match rustix::fs::llistxattr(&path, &mut names[..]) {
        Ok(count) => count,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(error).context("cannot list its extended attributes"),
    };
    let mut found = Vec::new();
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 1 << 16];
        match rustix::fs::lgetxattr(&path, std::ffi::OsStr::from_bytes(name), &mut value[..]) {
            Ok(count) => value.truncate(count),
            // Not for this user to see.
            Err(Errno::PERM | Errno::ACCESS | Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot read its extended attribute `{}`", name.escape_ascii())
                });
            }
        }
        found.push((name.to_vec(), value));
    }
    Ok(found)
}
