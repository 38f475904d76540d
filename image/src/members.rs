//! The files of a layout: in a directory, or in a tar archive that is never unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::archive::Archive;
use crate::header::Kind;
use crate::limits::{Limits, exceeded};

/// A file of a layout.
pub struct Slice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Slice {
    /// A whole file.
    ///
    /// # Errors
    ///
    /// What is no regular file.
    pub fn whole(file: File) -> Result<Slice> {
        let about = file.metadata().context("cannot look at it")?;
        if !about.is_file() {
            bail!("it is no regular file")
        }
        Ok(Slice { file: Arc::new(file), at: 0, end: about.len() })
    }

    /// The same, from its beginning.
    pub fn again(&self) -> Slice {
        Slice { file: self.file.clone(), at: self.at, end: self.end }
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.end - self.at
    }

    /// All of it, if it is small.
    ///
    /// # Errors
    ///
    /// One that is large, or what the file system says.
    pub fn document(mut self, what: &str, limits: &Limits) -> Result<Vec<u8>> {
        if self.size() > limits.json {
            return Err(exceeded(&format!("the bytes of {what}"), self.size(), "json", limits.json));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).with_context(|| format!("{what} cannot be read"))?;
        Ok(bytes)
    }
}

impl Read for Slice {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut into[..most], self.at)?;
        self.at += count as u64;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        Ok(count)
    }
}

/// A file of an archive.
pub enum Member {
    /// Where its bytes are, and how many.
    Bytes(u64, u64),
    /// The name of another one.
    Link(Vec<u8>),
}

/// Where the files are.
pub enum Members {
    /// In a directory.
    Directory(OwnedFd),
    /// In an archive.
    Archive(Arc<File>, HashMap<Vec<u8>, Member>),
}

/// A name without what says nothing; none if it leaves the layout.
fn plain(base: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|byte| *byte == b'/').chain(name.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

impl Members {
    /// A layout in a directory.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn in_directory(path: &Path) -> Result<Members> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty());
        Ok(Members::Directory(dir.with_context(|| format!("{} cannot be opened", path.display()))?))
    }

    /// A layout in an archive.
    ///
    /// # Errors
    ///
    /// An archive that is malformed, or beyond a limit.
    pub fn in_archive(file: File, limits: &Limits) -> Result<Members> {
        let slice = Slice::whole(file)?;
        let file = slice.file.clone();
        let mut archive = Archive::new(slice, limits);
        let mut members = HashMap::new();
        while let Some(entry) = archive.next_entry()? {
            if members.len() as u64 >= limits.members {
                return Err(exceeded(
                    "the archive's files",
                    members.len() as u64 + 1,
                    "members",
                    limits.members,
                ));
            }
            let Some(name) = plain(b"", &entry.name) else { continue };
            let member = match entry.kind {
                Kind::File if entry.pieces.is_none() => Member::Bytes(archive.position(), archive.stored()),
                Kind::Symlink => {
                    let parent =
                        name.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| &name[..slash]);
                    let Some(target) = plain(parent, &entry.link) else { continue };
                    Member::Link(target)
                }
                Kind::HardLink => match plain(b"", &entry.link) {
                    Some(target) => Member::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            members.insert(name, member);
        }
        Ok(Members::Archive(file, members))
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// One that is not there, or leads out of the layout.
    pub fn open(&self, name: &str) -> Result<Slice> {
        let shown = || format!("the image's file `{}`", name.escape_debug());
        match self {
            Members::Directory(dir) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = openat2(
                    dir,
                    name,
                    flags,
                    Mode::empty(),
                    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
                );
                Slice::whole(file.with_context(shown)?.into()).with_context(shown)
            }
            Members::Archive(file, members) => {
                let mut name = plain(b"", name.as_bytes())
                    .with_context(|| format!("{} leads out of the archive", shown()))?;
                for _ in 0..8 {
                    match members.get(&name) {
                        Some(Member::Bytes(at, size)) => {
                            return Ok(Slice { file: file.clone(), at: *at, end: at + size });
                        }
                        Some(Member::Link(target)) => name.clone_from(target),
                        None => bail!("{} is not in the archive", shown()),
                    }
                }
                bail!("{} is a link that goes around in a circle", shown())
            }
        }
    }
}
