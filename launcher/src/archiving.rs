//! Trees of an instance as archives: written to a stream, and read from one.
//!
//! Names in an archive are its maker's to choose, so none leads upwards, and none through a link that
//! the same archive has brought: what it holds comes to lie below one directory. Links that were
//! there before mean what they mean to the application.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use elements::Errno;
use image::Limits;
use image::archive::Archive;
use image::compression::Decompressed;
use image::header::{Entry, Kind, spelled};
use image::writer::Writer;

use crate::commands::run::words;
use crate::copying::Owners;
use crate::side::Side;

fn failed(errno: Errno, what: &str, path: &Path) -> anyhow::Error {
    anyhow!("cannot {what} {}: {}", path.display(), words(errno))
}

/// Writes what lies at a path, and all that is in it, to an archive, under a name of its own.
///
/// # Errors
///
/// What cannot be read, with its path, and what the output says.
pub fn pack(side: Side<'_>, path: &Path, name: &[u8], out: impl Write) -> Result<()> {
    let mut packer = Packer { side, writer: Writer::new(out), packed: HashMap::new() };
    packer.add(path, name.to_vec(), true)?;
    packer.writer.finish()?.flush().context("cannot write the archive")
}

struct Packer<'i, W: Write> {
    side: Side<'i>,
    writer: Writer<W>,
    /// Files with several names that are in the archive: device and inode, and the first name.
    packed: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<'_, W> {
    /// Adds what lies at a path. What a program has taken away since its directory was listed is left out.
    fn add(&mut self, path: &Path, name: Vec<u8>, is_top: bool) -> Result<()> {
        match self.begin(path, name) {
            Err(error) if is_top || !self.side.is_gone(path) => Err(error),
            Err(_) | Ok(None) => Ok(()),
            Ok(Some((entry, content))) => self.put(path, &entry, content),
        }
    }

    /// The entry of what lies at a path, and its bytes. None of what has no place in an archive.
    fn begin(&mut self, path: &Path, name: Vec<u8>) -> Result<Option<(Entry, Option<File>)>> {
        let stat = self.side.look(path, false).map_err(|errno| failed(errno, "look at", path))?;
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFBLK => Kind::Block,
            libc::S_IFIFO => Kind::Fifo,
            // Sockets.
            _ => return Ok(None),
        };
        let mut entry = Entry::plain(name, kind, stat.st_mode & 0o7777);
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        entry.mtime = (stat.st_mtime, stat.st_mtime_nsec.try_into().unwrap_or(0));
        entry.device = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
        let key = (stat.st_dev, stat.st_ino);
        let first = self.packed.get(&key).filter(|_| kind != Kind::Directory && stat.st_nlink > 1);
        let mut content = None;
        if let Some(first) = first {
            (entry.kind, entry.link) = (Kind::HardLink, first.clone());
        } else {
            entry.xattrs = self.side.attributes(path).map_err(|errno| failed(errno, "look at", path))?;
            match kind {
                Kind::File => {
                    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
                    let file = self.side.open(path, flags, 0).map_err(|errno| failed(errno, "read", path))?;
                    entry.size = file.metadata().context("cannot look at a file")?.len();
                    content = Some(file);
                }
                Kind::Symlink => {
                    let link = self.side.read_link(path).map_err(|errno| failed(errno, "read", path))?;
                    entry.link = link.as_bytes().to_vec();
                }
                Kind::Directory => entry.name.push(b'/'),
                _ => {}
            }
            self.packed.insert(key, entry.name.clone());
        }
        Ok(Some((entry, content)))
    }

    /// Writes an entry, and what is below it.
    fn put(&mut self, path: &Path, entry: &Entry, mut content: Option<File>) -> Result<()> {
        self.writer
            .append(entry, content.as_mut())
            .with_context(|| format!("cannot pack {}", path.display()))?;
        if entry.kind != Kind::Directory {
            return Ok(());
        }
        let mut names = match self.side.list(path) {
            Err(_) if self.side.is_gone(path) => Vec::new(),
            listed => listed.map_err(|errno| failed(errno, "list", path))?,
        };
        names.sort();
        let below = |name: &OsStr| [&entry.name, name.as_bytes()].concat();
        names.iter().try_for_each(|name| self.add(&path.join(name), below(name), false))
    }
}

/// Unpacks an archive below a directory. It may be compressed.
///
/// # Errors
///
/// What is malformed or leads elsewhere, and what cannot be made, with its name.
pub fn unpack(side: Side<'_>, to: &Path, owners: Owners, input: impl BufRead) -> Result<()> {
    // Who copies into an instance knows how much.
    let limits = Limits::default();
    let input = Decompressed::new(input, limits.window).context("cannot read the archive")?;
    let mut archive = Archive::new(input, &limits);
    let mut unpacker =
        Unpacker { side, to, owners, links: HashSet::new(), directories: Vec::new(), is_any: false };
    while let Some(entry) = archive.next_entry().context("cannot read the archive")? {
        unpacker
            .entry(&mut archive, &entry)
            .with_context(|| format!("the archive's entry {}", spelled(&entry.name)))?;
        unpacker.is_any = true;
    }
    if !unpacker.is_any && !archive.marked {
        bail!("there is no archive on standard input")
    }
    unpacker.settle()
}

struct Unpacker<'i> {
    side: Side<'i>,
    to: &'i Path,
    owners: Owners,
    /// Links that the archive has brought.
    links: HashSet<PathBuf>,
    /// Its directories, whose times are set when all is in them.
    directories: Vec<(PathBuf, (i64, u32))>,
    is_any: bool,
}

impl Unpacker<'_> {
    fn kind_at(&self, path: &Path, follow: bool) -> Result<Option<u32>> {
        match self.side.look(path, follow) {
            Ok(stat) => Ok(Some(stat.st_mode & libc::S_IFMT)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failed(errno, "look at", path)),
        }
    }

    /// Where a name of the archive leads, whose directory is there; none for the top.
    fn place(&self, name: &[u8], makes: bool) -> Result<Option<PathBuf>> {
        let mut path = self.to.to_owned();
        let names = name.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
        let mut names = names.peekable();
        if names.peek().is_none() {
            return Ok(None);
        }
        while let Some(name) = names.next() {
            if name == b".." {
                bail!("its name leads upwards: make the archive anew, without `..`")
            }
            path.push(OsStr::from_bytes(name));
            if names.peek().is_none() {
                break;
            }
            if self.links.contains(&path) {
                bail!("its name leads through a link of the archive's own: such an archive is refused")
            }
            match self.kind_at(&path, true)? {
                Some(libc::S_IFDIR) => {}
                Some(_) => bail!("{} is no directory", path.display()),
                None if makes => {
                    self.side.make_directory(&path, 0o755).map_err(|errno| failed(errno, "make", &path))?;
                    self.own(&path, None)?;
                }
                None => bail!("there is no {}", path.display()),
            }
        }
        Ok(Some(path))
    }

    fn entry<R: Read>(&mut self, archive: &mut Archive<'_, R>, entry: &Entry) -> Result<()> {
        let Some(path) = self.place(&entry.name, true)? else {
            // The directory itself stays as it is.
            return Ok(());
        };
        let there = self.kind_at(&path, false)?;
        if entry.kind == Kind::Directory {
            match there {
                Some(libc::S_IFDIR) => {}
                Some(libc::S_IFLNK) if !self.links.contains(&path) => {
                    // As it is to the application: /bin may be a link to /usr/bin.
                    if self.kind_at(&path, true)? != Some(libc::S_IFDIR) {
                        bail!("cannot replace {}, which is no directory, by one", path.display())
                    }
                    return Ok(());
                }
                Some(_) => bail!("cannot replace {}, which is no directory, by one", path.display()),
                None => {
                    self.side.make_directory(&path, 0o700).map_err(|errno| failed(errno, "make", &path))?
                }
            }
            self.dress(&path, entry)?;
            self.directories.push((path, entry.mtime));
            return Ok(());
        }
        if there == Some(libc::S_IFDIR) {
            bail!("cannot replace the directory {} by a file", path.display())
        }
        let draft = path.with_file_name(format!(".launcher-copy-{}", std::process::id()));
        // What an earlier copy has left that was cut off.
        let _ = self.side.remove(&draft);
        let done = self
            .make(archive, entry, &draft)
            .and_then(|()| self.side.rename(&draft, &path).map_err(|errno| failed(errno, "replace", &path)));
        if done.is_err() || entry.kind == Kind::HardLink {
            // A rename of two names of one file leaves both.
            let _ = self.side.remove(&draft);
        }
        if entry.kind == Kind::Symlink {
            self.links.insert(path);
        } else {
            self.links.remove(&path);
        }
        done
    }

    fn make<R: Read>(&self, archive: &mut Archive<'_, R>, entry: &Entry, draft: &Path) -> Result<()> {
        let said = |errno| failed(errno, "make", draft);
        match entry.kind {
            Kind::HardLink => {
                let Some(first) = self.place(&entry.link, false)? else {
                    bail!("it is one more name of a directory")
                };
                return self.side.link(&first, draft).map_err(|errno| failed(errno, "link to", &first));
            }
            Kind::Symlink => {
                self.side.make_link(Path::new(OsStr::from_bytes(&entry.link)), draft).map_err(said)?
            }
            Kind::File => {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
                let mut file = self.side.open(draft, flags, 0o600).map_err(said)?;
                fill(archive, entry, &mut file)?;
            }
            Kind::Fifo => self.side.make_node(draft, libc::S_IFIFO | 0o600, 0).map_err(said)?,
            Kind::Character | Kind::Block => {
                let kind = if entry.kind == Kind::Block { libc::S_IFBLK } else { libc::S_IFCHR };
                let device = libc::makedev(entry.device.0, entry.device.1);
                self.side.make_node(draft, kind | 0o600, device).map_err(said)?;
            }
            Kind::Directory => {}
        }
        self.dress(draft, entry)
    }

    /// Sets an owner. Whether it is the entry's own.
    fn own(&self, path: &Path, entry: Option<&Entry>) -> Result<bool> {
        let own = entry.map(|entry| (entry.uid, entry.gid));
        let (uid, gid) = match (self.owners, own) {
            (Owners::Given(uid, gid), _) => (uid, gid),
            (Owners::Kept, Some(own)) => own,
            (Owners::Kept, None) => return Ok(false),
        };
        let given = self.side.set_owner(path, uid, gid);
        if let (Err(errno), true) = (given, rustix::process::geteuid().is_root()) {
            return Err(failed(errno, "set the owner of", path));
        }
        Ok(given.is_ok() && own == Some((uid, gid)))
    }

    /// Gives what has been made what the entry says beside its bytes. Setuid bits come last: a change of
    /// owner takes them away.
    fn dress(&self, path: &Path, entry: &Entry) -> Result<()> {
        let is_its_owners = self.own(path, Some(entry))?;
        for (name, value) in &entry.xattrs {
            match self.side.set_attribute(path, name, value) {
                // What this user, this kind of file or this file system cannot have.
                Ok(()) | Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EACCES) => {}
                Err(errno) => return Err(failed(errno, "set an attribute of", path)),
            }
        }
        if entry.kind != Kind::Symlink {
            // What runs as its owner must not run as another.
            let mode = entry.mode & if is_its_owners { 0o7777 } else { 0o1777 };
            self.side.set_mode(path, mode).map_err(|errno| failed(errno, "set the mode of", path))?;
        }
        self.set_time(path, entry.mtime)
    }

    fn set_time(&self, path: &Path, (seconds, nanoseconds): (i64, u32)) -> Result<()> {
        let set = self.side.set_time(path, seconds, nanoseconds.into());
        set.map_err(|errno| failed(errno, "set the time of", path))
    }

    fn settle(&self) -> Result<()> {
        self.directories.iter().rev().try_for_each(|(path, time)| self.set_time(path, *time))
    }
}

/// Writes a file's bytes, and leaves its holes.
fn fill<R: Read>(archive: &mut Archive<'_, R>, entry: &Entry, file: &mut File) -> Result<()> {
    let mut copy = |file: &mut File, length: u64| -> Result<()> {
        let copied = std::io::copy(&mut Read::take(&mut *archive, length), file)?;
        if copied != length { Err(anyhow!("the archive ends within the file")) } else { Ok(()) }
    };
    let Some(pieces) = &entry.pieces else { return copy(file, entry.size) };
    file.set_len(entry.size)?;
    for (offset, length) in pieces {
        file.seek(SeekFrom::Start(*offset))?;
        copy(file, *length)?;
    }
    Ok(())
}
