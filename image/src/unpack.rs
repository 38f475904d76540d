//! From the entries of an archive to a layer on disk, in overlayfs's format.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, futimens, linkat, openat, readlinkat, symlinkat,
};
use rustix::io::Errno;

use crate::archive::Archive;
use crate::attributes::{Keeper, OPAQUE, SPELLED, TIME, settle, times};
use crate::dir::{Dir, Found, WHITEOUT, kind, make_directory, make_file, make_opaque, open_directory};
use crate::header::{Entry, Kind, spelled};
use crate::limits::{Limits, exceeded};
use crate::tree::Tree;

/// What has been unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Entries.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Unpacks a layer over those below it, the highest first. `before` is what
/// the image's other layers held.
///
/// # Errors
///
/// What is hostile, and what the file system says.
pub fn unpack<R: Read>(
    archive: &mut Archive<'_, R>,
    upper: OwnedFd,
    lowers: Vec<OwnedFd>,
    keeper: &mut Keeper,
    limits: &Limits,
    before: Tally,
) -> Result<Tally> {
    let done = upper.try_clone().context("cannot open the layer's directory twice")?;
    let mut unpacker = Unpacker { tree: Tree::new(upper, lowers, limits), keeper, spells: false };
    unpacker.begin()?;
    let mut tally = Tally::default();
    while let Some(entry) = archive.next_entry()? {
        tally.entries += 1;
        let entries = before.entries + tally.entries;
        if entries > limits.entries {
            return Err(exceeded("the image's entries", entries, "entries", limits.entries));
        }
        let bytes = archive.stored();
        unpacker.entry(archive, &entry).with_context(|| format!("entry {}", spelled(&entry.name)))?;
        tally.bytes += bytes;
    }
    if unpacker.spells {
        fsetxattr(&done, SPELLED, b"y", XattrFlags::empty()).context("cannot mark the layer")?;
    }
    settle_all(&done)?;
    Ok(tally)
}

struct Unpacker<'a> {
    tree: Tree<'a>,
    keeper: &'a mut Keeper,
    /// Whether a whiteout is a file.
    spells: bool,
}

/// The attributes of a directory that no entry tells of.
fn plain_directory() -> Entry {
    Entry::plain(Vec::new(), Kind::Directory, 0o755)
}

impl Unpacker<'_> {
    /// The root begins with the attributes of the root below.
    fn begin(&mut self) -> Result<()> {
        let root = self.tree.root();
        match root.lowers.first() {
            Some(below) => inherit(below.as_fd(), root.upper()?),
            None => self.keeper.set(root.upper()?, &plain_directory()),
        }
        .context("the root")
    }

    fn entry<R: Read>(&mut self, archive: &mut Archive<'_, R>, entry: &Entry) -> Result<()> {
        let keeper = &*self.keeper;
        let (dir, last) =
            self.tree.parent(&entry.name, &|dir, name, found| implicit(keeper, dir, name, found))?;
        let Some(last) = last else {
            if entry.kind != Kind::Directory {
                bail!("the root is to be something else than a directory: make the layer anew")
            }
            return self.keeper.set(dir.upper()?, entry);
        };
        if last.as_bytes().len() > 255 {
            bail!(
                "a component of its name has {} bytes, and no file system takes more than 255",
                last.as_bytes().len()
            )
        }
        if let Some(hidden) = last.as_bytes().strip_prefix(WHITEOUT) {
            return self.whiteout(&dir, hidden);
        }
        match entry.kind {
            Kind::Directory => self.directory(&dir, &last, entry),
            Kind::HardLink => self.hard_link(&dir, &last, entry),
            Kind::Symlink => {
                self.clear(&dir, &last)?;
                let target = CString::new(entry.link.clone()).context("its target holds NUL")?;
                symlinkat(&target, dir.upper()?, &last).context("cannot make the link")?;
                self.keeper.set_at(dir.upper()?, &last, &join(&dir, &last), entry)
            }
            Kind::Fifo => {
                self.clear(&dir, &last)?;
                let mode = Mode::RUSR | Mode::WUSR;
                rustix::fs::mknodat(dir.upper()?, &last, FileType::Fifo, mode, 0)
                    .context("cannot make the FIFO")?;
                self.keeper.set_at(dir.upper()?, &last, &join(&dir, &last), entry)
            }
            Kind::File | Kind::Character | Kind::Block => {
                self.clear(&dir, &last)?;
                let mut file = make_file(dir.upper()?, &last)?;
                write(archive, &mut file, entry)?;
                self.keeper.set(file.as_fd(), entry)
            }
        }
    }

    fn whiteout(&mut self, dir: &Dir, hidden: &[u8]) -> Result<()> {
        match hidden {
            b".wh..opq" => {
                if !dir.lowers.is_empty() {
                    dir.hide_lower()?;
                    self.tree.forget();
                }
                return Ok(());
            }
            b"" | b"." | b".." => bail!("a whiteout hides no name: make the layer anew"),
            _ if hidden.starts_with(WHITEOUT) => bail!("a whiteout hides a whiteout: make the layer anew"),
            _ => {}
        }
        let name = CString::new(hidden).context("its name holds NUL")?;
        if matches!(dir.find_below(&name)?, Found::Absent) {
            return Ok(());
        }
        match dir.find(&name)? {
            // What the layer itself brings stays; it hides only what lies below.
            Found::Upper(stat) if kind(&stat) == FileType::Directory => {
                make_opaque(open_directory(dir.upper()?, &name)?.as_fd())?;
            }
            Found::Upper(_) | Found::Absent => {}
            Found::Lower(..) => self.spells |= !dir.white_out(&name)?,
        }
        self.tree.forget();
        Ok(())
    }

    fn directory(&mut self, dir: &Dir, name: &CString, entry: &Entry) -> Result<()> {
        let upper = dir.upper()?;
        let found = dir.find(name)?;
        let made = match &found {
            Found::Upper(stat) if kind(stat) == FileType::Directory => {
                let there = open_directory(upper, name)?;
                strip(there.as_fd())?;
                there
            }
            _ => {
                // Where the layer itself hid what lies below, it stays hidden.
                let hides =
                    !matches!(found, Found::Lower(..)) && !matches!(dir.find_below(name)?, Found::Absent);
                self.clear(dir, name)?;
                let made = make_directory(upper, name)?;
                if hides {
                    make_opaque(made.as_fd())?;
                }
                self.tree.forget();
                made
            }
        };
        self.keeper.set(made.as_fd(), entry)
    }

    /// Removes what the layer itself has at a name.
    fn clear(&mut self, dir: &Dir, name: &CString) -> Result<()> {
        match dir.remove(name) {
            Ok(()) => self.tree.forget(),
            Err(error) if error.downcast_ref::<Errno>() == Some(&Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn hard_link(&mut self, dir: &Dir, name: &CString, entry: &Entry) -> Result<()> {
        let missing = || {
            format!(
                "it is one more name of {}, which is not there: make the layer anew",
                spelled(&entry.link)
            )
        };
        let keeper = &*self.keeper;
        // The directories of a name that is not there are not made.
        let absent = |dir: &Dir, name: &CString, found: Found| match found {
            Found::Absent => bail!(missing()),
            found => implicit(keeper, dir, name, found),
        };
        let (from, last) = self.tree.parent(&entry.link, &absent)?;
        let last = last.with_context(missing)?;
        let stat = match from.find(&last)? {
            Found::Upper(stat) => stat,
            Found::Lower(side, stat) => {
                copy_up(from.lowers[side].as_fd(), from.upper()?, &last, &stat)
                    .with_context(|| format!("the file {} of a layer below", spelled(&entry.link)))?;
                stat
            }
            Found::Absent => bail!(missing()),
        };
        if kind(&stat) == FileType::Directory {
            bail!(
                "it is one more name of {}, which is a directory: make the layer anew",
                spelled(&entry.link)
            )
        }
        if from.path == dir.path && last == *name {
            return Ok(());
        }
        self.clear(dir, name)?;
        linkat(from.upper()?, &last, dir.upper()?, name, AtFlags::empty()).context("cannot make the link")
    }
}

fn join(dir: &Dir, name: &CString) -> Vec<u8> {
    if dir.path.is_empty() {
        name.as_bytes().to_vec()
    } else {
        [&dir.path, &b"/"[..], name.as_bytes()].concat()
    }
}

/// Makes a directory that an entry stands in.
fn implicit(keeper: &Keeper, dir: &Dir, name: &CString, found: Found) -> Result<()> {
    let upper = dir.upper()?;
    match found {
        Found::Lower(side, _) => {
            let made = make_directory(upper, name)?;
            inherit(open_directory(dir.lowers[side].as_fd(), name)?.as_fd(), made.as_fd())
        }
        _ => {
            let hides = !matches!(dir.find_below(name)?, Found::Absent);
            if hides {
                dir.remove(name)?;
            }
            let made = make_directory(upper, name)?;
            if hides {
                make_opaque(made.as_fd())?;
            }
            keeper.set(made.as_fd(), &plain_directory())
        }
    }
}

/// Writes a file's bytes, and leaves its holes.
fn write<R: Read>(archive: &mut Archive<'_, R>, file: &mut File, entry: &Entry) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut copy = |file: &mut File, mut left: u64| -> Result<()> {
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = archive.read(&mut buffer[..most])?;
            if count == 0 {
                bail!("the archive ends within the file")
            }
            file.write_all(&buffer[..count]).context("cannot write the file")?;
            left -= count as u64;
        }
        Ok(())
    };
    let Some(pieces) = &entry.pieces else {
        return if entry.kind == Kind::File { copy(file, entry.size) } else { Ok(()) };
    };
    file.set_len(entry.size).context("cannot make the sparse file so long")?;
    for (offset, length) in pieces {
        file.seek(SeekFrom::Start(*offset)).context("cannot seek in the sparse file")?;
        copy(file, *length)?;
    }
    Ok(())
}

fn xattrs(file: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = vec![0; 1 << 16];
    let count = flistxattr(file, &mut names[..]).context("cannot list its extended attributes")?;
    let names =
        names.get(..count).unwrap_or(&[]).split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// Takes away what an earlier entry for the same directory set, as the later one counts.
fn strip(dir: BorrowedFd<'_>) -> Result<()> {
    for name in xattrs(dir)? {
        if name.as_bytes() != OPAQUE.as_bytes() {
            rustix::fs::fremovexattr(dir, &name).context("cannot remove an extended attribute")?;
        }
    }
    Ok(())
}

/// Gives a file the attributes of one in a layer below.
fn inherit(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut value = vec![0; 1 << 16];
    for name in xattrs(from)? {
        if name.as_bytes() == OPAQUE.as_bytes() {
            continue;
        }
        let count = fgetxattr(from, &name, &mut value[..]).context("cannot read an extended attribute")?;
        fsetxattr(to, &name, &value[..count], XattrFlags::empty())
            .context("cannot set an extended attribute")?;
    }
    let stat = rustix::fs::fstat(from).context("cannot look at it")?;
    if rustix::process::geteuid().is_root() {
        fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
            .context("cannot set its owner")?;
    }
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o1777)).context("cannot set its mode")?;
    let mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    if kind(&stat) == FileType::Directory {
        let text = format!("{}.{:09}", mtime.0, mtime.1);
        fsetxattr(to, TIME, text.as_bytes(), XattrFlags::empty()).context("cannot set an extended attribute")
    } else {
        futimens(to, &times(mtime)).context("cannot set its time")
    }
}

/// Copies a file of a layer below, so that it can have one more name.
fn copy_up(lower: BorrowedFd<'_>, upper: BorrowedFd<'_>, name: &CString, stat: &Stat) -> Result<()> {
    match kind(stat) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut from = File::from(openat(lower, name, flags, Mode::empty()).context("cannot be opened")?);
            let mut to = make_file(upper, name)?;
            std::io::copy(&mut from, &mut to).context("cannot be copied")?;
            inherit(from.as_fd(), to.as_fd())
        }
        FileType::Symlink => {
            let target = readlinkat(lower, name, Vec::new()).context("cannot be read")?;
            symlinkat(&target, upper, name).context("cannot be copied")
        }
        _ => bail!("is neither a regular file nor a link: make the layer anew"),
    }
}

/// Gives each directory its time, now that nothing more comes into it.
fn settle_all(dir: &OwnedFd) -> Result<()> {
    for entry in rustix::fs::Dir::read_from(dir).context("cannot list a directory")? {
        let entry = entry.context("cannot list a directory")?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") && entry.file_type() == FileType::Directory {
            settle_all(&open_directory(dir.as_fd(), &name.to_owned())?)?;
        }
    }
    settle(dir)
}
