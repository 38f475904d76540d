//! A layer of an image, made from what a union's last layer changes.
//!
//! OCI has whiteouts and opaque directories, as overlayfs has them under other names, and
//! no redirects: a directory that has been renamed is stored whole in its new place.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};

use crate::changes::{Visitor, visit};
use crate::dir::{WHITEOUT, kind};
use crate::header::{Entry, Kind, spelled};
use crate::kept::{self, Nature};
use crate::links;
use crate::merge::{Item, Union, joined};
use crate::writer::Writer;

/// Packs what the last layer of a union changes.
///
/// # Errors
///
/// What cannot be read, or cannot be said in a layer.
pub fn pack<W: Write>(union: &Union, out: W) -> Result<W> {
    let out = BufWriter::with_capacity(1 << 17, out);
    let mut packer = Packer { writer: Writer::new(out), first: HashMap::new(), brought: HashSet::new() };
    visit(union, &mut packer)?;
    packer.names_elsewhere(union)?;
    packer
        .writer
        .finish()?
        .into_inner()
        .map_err(IntoInnerError::into_error)
        .context("cannot write the archive")
}

/// Packs one file, under its own name.
///
/// # Errors
///
/// What cannot be read, and what the output says.
pub fn pack_file<W: Write>(path: &Path, out: W) -> Result<W> {
    let shown = || format!("{} cannot be read", path.display());
    let name = path.file_name().with_context(shown)?;
    let at = CString::new(name.as_bytes()).with_context(shown)?;
    let dir = File::open(path.parent().with_context(shown)?).with_context(shown)?;
    let stat = statat(&dir, &at, AtFlags::SYMLINK_NOFOLLOW).with_context(shown)?;
    let mut entry =
        kept::entry(&Nature::Plain, (dir.as_fd(), &at), name.as_bytes(), &stat).with_context(shown)?;
    entry.name = name.as_bytes().to_vec();
    let mut content = (entry.kind == Kind::File).then(|| File::open(path)).transpose().with_context(shown)?;
    let mut writer = Writer::new(out);
    writer.append(&entry, content.as_mut()).with_context(shown)?;
    writer.finish()
}

struct Packer<W: Write> {
    writer: Writer<W>,
    /// The first names of files with several, by device and inode.
    first: HashMap<(u64, u64), Vec<u8>>,
    /// Those of them that layers below have.
    brought: HashSet<(u64, u64)>,
}

impl<W: Write> Visitor for Packer<W> {
    fn is_there(&mut self, union: &Union, path: &[u8], now: &Item<'_>, _: Option<&Item<'_>>) -> Result<()> {
        // Nobody listens there any more, and tar leaves them out as well.
        if kind(&now.stat) == FileType::Socket {
            return Ok(());
        }
        if now.name.to_bytes().starts_with(WHITEOUT) {
            bail!("it has a name that layers keep for whiteouts: rename it")
        }
        let name = if path.is_empty() { b"./".to_vec() } else { path.to_vec() };
        let has_several = !now.is_dir() && now.stat.st_nlink > 1;
        if has_several && let Some(first) = self.first.get(&now.id()) {
            return self.link(name, first.clone());
        }
        let mut entry = kept::entry(&union.layer(now.side.layer).nature, now.at(), &now.path(), &now.stat)?;
        entry.name = name;
        if entry.kind == Kind::Directory && !entry.name.ends_with(b"/") {
            entry.name.push(b'/');
        }
        if entry.kind == Kind::File {
            self.file(&entry, now)?;
        } else {
            self.writer.append(&entry, None)?;
        }
        if has_several {
            self.first.insert(now.id(), entry.name);
            if !union.is_written_in(now.side) {
                self.brought.insert(now.id());
            }
        }
        Ok(())
    }

    fn is_gone(&mut self, path: &[u8]) -> Result<()> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = slash.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        if name.starts_with(WHITEOUT) {
            bail!("{} cannot be hidden: layers keep such names for whiteouts", spelled(path))
        }
        self.marker(joined(above, &[WHITEOUT, name].concat()))
    }

    fn is_replaced(&mut self, path: &[u8]) -> Result<bool> {
        self.marker(joined(path, b".wh..wh..opq")).map(|()| true)
    }
}

impl<W: Write> Packer<W> {
    fn file(&mut self, entry: &Entry, now: &Item<'_>) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (dir, file) = now.at();
        let file = openat(dir, file, flags, Mode::empty()).with_context(|| {
            format!(
                "it cannot be read (its mode is {:04o}): do this as root, or let its owner read it (chmod u+r)",
                now.stat.st_mode & 0o7777
            )
        })?;
        self.writer.append(entry, Some(&mut File::from(file)))
    }

    fn link(&mut self, name: Vec<u8>, to: Vec<u8>) -> Result<()> {
        let mut entry = Entry::plain(name, Kind::HardLink, 0o644);
        entry.link = to;
        self.writer.append(&entry, None)
    }

    /// Files of layers below have come into this one. Names of theirs that it does not touch
    /// become names of the new files, as they are one file to the program.
    fn names_elsewhere(&mut self, union: &Union) -> Result<()> {
        if self.brought.is_empty() {
            return Ok(());
        }
        for (name, id) in links::untouched(union, &self.brought)? {
            if let Some(first) = self.first.get(&id) {
                self.link(name, first.clone())?;
            }
        }
        Ok(())
    }

    fn marker(&mut self, name: Vec<u8>) -> Result<()> {
        self.writer.append(&Entry::plain(name, Kind::File, 0o644), None)
    }
}
