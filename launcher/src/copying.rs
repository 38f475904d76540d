//! Copying trees between sides: bytes with their holes, and all that a file has
//! beside them, as far as who copies may set it.
//!
//! Each file appears under its name when it is whole. No link is followed: what
//! lies under a name that is copied to is looked at first, and a link there is replaced.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use elements::Errno;
use rustix::fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::Errno as KernelErrno;

use crate::commands::run::words;
use crate::side::Side;

/// What is copied of owners.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// They stay, as far as that may be set.
    Kept,
    /// All is this process's, or the user's that copies are made for.
    Given(u32, u32),
}

/// Copies trees from one side to another.
pub struct Copier<'i> {
    from: Side<'i>,
    to: Side<'i>,
    owners: Owners,
    /// Files with several names that have been copied: device and inode, and the copy.
    copied: HashMap<(u64, u64), PathBuf>,
}

fn failed(errno: Errno, what: &str, path: &Path) -> anyhow::Error {
    anyhow!("cannot {what} {}: {}", path.display(), words(errno))
}

impl<'i> Copier<'i> {
    /// A copier.
    pub fn new(from: Side<'i>, to: Side<'i>, owners: Owners) -> Copier<'i> {
        Copier { from, to, owners, copied: HashMap::new() }
    }

    /// Copies what lies at `from` to `to`, with all that is in it. Directories are merged with
    /// those that are there.
    ///
    /// # Errors
    ///
    /// What cannot be read or made, with its path.
    pub fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let stat = self.from.look(from, false).map_err(|errno| failed(errno, "look at", from))?;
        let there = match self.to.look(to, false) {
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(failed(errno, "look at", to)),
            Ok(there) => Some(there.st_mode & libc::S_IFMT),
        };
        match (stat.st_mode & libc::S_IFMT, there) {
            (libc::S_IFSOCK, _) => Ok(()),
            (libc::S_IFDIR, Some(libc::S_IFDIR)) => self.contents(from, to),
            (libc::S_IFDIR, Some(libc::S_IFLNK)) => {
                self.to.remove(to).map_err(|errno| failed(errno, "replace", to))?;
                self.directory(from, to, &stat)
            }
            (libc::S_IFDIR, None) => self.directory(from, to, &stat),
            (libc::S_IFDIR, Some(_)) => {
                bail!("cannot replace {}, which is no directory, by one", to.display())
            }
            (_, Some(libc::S_IFDIR)) => bail!("cannot replace the directory {} by a file", to.display()),
            (kind, Some(there)) if is_special(there) && kind != there => {
                bail!("cannot replace {} by a file: it is a device, a FIFO or a socket", to.display())
            }
            (kind, _) => self.file(from, to, &stat, kind),
        }
    }

    /// Copies what is in a directory into another.
    ///
    /// # Errors
    ///
    /// As [`Copier::copy`].
    pub fn contents(&mut self, from: &Path, to: &Path) -> Result<()> {
        let mut names = self.from.list(from).map_err(|errno| failed(errno, "list", from))?;
        names.sort();
        for name in &names {
            let (one, copied) = (from.join(name), self.copy(&from.join(name), &to.join(name)));
            // What a program has taken away meanwhile is as what it takes away before.
            if copied.is_err() && !self.from.is_gone(&one) {
                return copied;
            }
        }
        Ok(())
    }

    fn directory(&mut self, from: &Path, to: &Path, stat: &libc::stat) -> Result<()> {
        self.to.make_directory(to, 0o700).map_err(|errno| failed(errno, "make", to))?;
        self.contents(from, to)?;
        self.dress(from, to, stat)
    }

    /// Anything but a directory: made beside its place, and moved there.
    fn file(&mut self, from: &Path, to: &Path, stat: &libc::stat, kind: u32) -> Result<()> {
        let key = (stat.st_dev, stat.st_ino);
        let draft = to.with_file_name(format!(".launcher-copy-{}", std::process::id()));
        // What an earlier copy has left that was cut off.
        let _ = self.to.remove(&draft);
        let first = self.copied.get(&key).filter(|_| stat.st_nlink > 1);
        let made = match (first, kind) {
            (Some(first), _) => {
                self.to.link(first, &draft).map_err(|errno| failed(errno, "link", to)).map(|()| false)
            }
            (None, libc::S_IFREG) => self.bytes(from, &draft).map(|()| true),
            (None, libc::S_IFLNK) => {
                let text = self.from.read_link(from).map_err(|errno| failed(errno, "read", from))?;
                let made = self.to.make_link(Path::new(&text), &draft);
                made.map_err(|errno| failed(errno, "make", to)).map(|()| true)
            }
            _ => {
                let made = self.to.make_node(&draft, stat.st_mode & (libc::S_IFMT | 0o600), stat.st_rdev);
                made.map_err(|errno| failed(errno, "make", to)).map(|()| true)
            }
        };
        let made = made
            .and_then(|is_new| if is_new { self.dress(from, &draft, stat) } else { Ok(()) })
            .and_then(|()| self.to.rename(&draft, to).map_err(|errno| failed(errno, "replace", to)));
        // A rename of two names of one file leaves both.
        if made.is_err() || first.is_some() {
            let _ = self.to.remove(&draft);
        }
        if made.is_ok() && stat.st_nlink > 1 {
            self.copied.entry(key).or_insert_with(|| to.to_owned());
        }
        made
    }

    fn bytes(&self, from: &Path, draft: &Path) -> Result<()> {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let source = self.from.open(from, flags, 0).map_err(|errno| failed(errno, "read", from))?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let target = self.to.open(draft, flags, 0o600).map_err(|errno| failed(errno, "make", draft))?;
        fill(&source, &target).with_context(|| format!("cannot copy {}", from.display()))
    }

    /// Gives a copy what the file has beside its bytes. Setuid bits come last: a change of
    /// owner takes them away.
    fn dress(&self, from: &Path, to: &Path, stat: &libc::stat) -> Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        let (uid, gid) = match self.owners {
            Owners::Kept => (stat.st_uid, stat.st_gid),
            Owners::Given(uid, gid) => (uid, gid),
        };
        let given = self.to.set_owner(to, uid, gid);
        if let (Err(errno), true) = (given, is_root) {
            return Err(failed(errno, "set the owner of", to));
        }
        // An ordinary user's copy is that user's own.
        let is_its_owners = given.is_ok() && (uid, gid) == (stat.st_uid, stat.st_gid);
        for (name, value) in self.from.attributes(from).map_err(|errno| failed(errno, "look at", from))? {
            match self.to.set_attribute(to, &name, &value) {
                // What this user, this kind of file or this file system cannot have.
                Ok(()) | Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EACCES) => {}
                Err(errno) => return Err(failed(errno, "set an attribute of", to)),
            }
        }
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            // What runs as its owner must not run as another.
            let mode = stat.st_mode & if is_its_owners { 0o7777 } else { 0o1777 };
            self.to.set_mode(to, mode).map_err(|errno| failed(errno, "set the mode of", to))?;
        }
        self.to
            .set_time(to, stat.st_mtime, stat.st_mtime_nsec)
            .map_err(|errno| failed(errno, "set the time of", to))
    }
}

/// Whether a name stands for something that others have, and that a file in its place would take from them.
fn is_special(kind: u32) -> bool {
    matches!(kind, libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK)
}

/// Fills a new file with the bytes of another: shared where the file system can, else
/// copied, but for the holes.
fn fill(source: &File, target: &File) -> Result<()> {
    if ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    let size = source.metadata()?.len();
    ftruncate(target, size)?;
    let mut at = 0;
    while at < size {
        let data = match seek(source, SeekFrom::Data(at)) {
            Err(KernelErrno::NXIO) => break,
            // No such word here: all is data.
            Err(KernelErrno::INVAL) => at,
            data => data?,
        };
        let end = seek(source, SeekFrom::Hole(data)).unwrap_or(size).min(size);
        let copied = piece(source, target, data, end)?;
        if copied < end {
            // It has become shorter meanwhile: what is missing is no hole.
            ftruncate(target, copied)?;
            break;
        }
        at = end;
    }
    Ok(())
}

/// Copies a piece, to where it says: before the end where the file has become shorter meanwhile.
fn piece(source: &File, target: &File, begin: u64, end: u64) -> Result<u64> {
    let (mut from, mut to) = (begin, begin);
    while from < end {
        let count = usize::try_from(end - from).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(source.as_fd(), Some(&mut from), target.as_fd(), Some(&mut to), count) {
            Ok(0) => break,
            Ok(_) => {}
            Err(KernelErrno::INTR) => {}
            Err(KernelErrno::XDEV | KernelErrno::NOSYS | KernelErrno::INVAL | KernelErrno::OPNOTSUPP) => {
                return by_hand(source, target, from, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(from)
}

fn by_hand(source: &File, target: &File, mut at: u64, end: u64) -> Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut room = vec![0; 1 << 17];
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(room.len());
        let count = source.read_at(room.get_mut(..most).unwrap_or_default(), at)?;
        if count == 0 {
            break;
        }
        target.write_all_at(room.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(at)
}
