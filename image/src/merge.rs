//! A union of layers as a program has seen it, to be read.
//!
//! A directory has *sides*: what layers have under its name. The write layer is
//! the highest, where there is one; its directories may be opaque, or be merged with
//! those of another name by a redirect. The kernel is never given more than one
//! component, relative to a directory that is held open, to follow no link.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::fs::{FileType, Stat, fgetxattr, fstat};
use rustix::io::Errno;

use crate::dir::{WHITEOUT, directory, has_whiteout, is_opaque, is_whiteout, kind, look};
use crate::header::spelled;
use crate::kept::Nature;

/// Where a directory of a write layer is merged under another name, for all and for root.
const REDIRECTS: [&str; 2] = ["user.overlay.redirect", "trusted.overlay.redirect"];

/// A layer of a union.
pub struct Layer {
    /// Its directory.
    pub dir: PathBuf,
    /// How what lies in it is to be understood.
    pub nature: Nature,
}

/// What one layer has of a directory.
pub struct Side {
    /// The number of the layer.
    pub layer: usize,
    /// The directory.
    pub dir: OwnedFd,
    /// Its path in the layer, without a slash at the beginning.
    pub path: Vec<u8>,
    id: (u64, u64),
}

/// A directory of a union.
pub struct Merged {
    /// Its side in the write layer.
    pub top: Option<Side>,
    /// Its sides below, the highest first.
    pub below: Vec<Side>,
}

/// What stands at a name in a directory.
pub struct Item<'m> {
    /// The side that has it.
    pub side: &'m Side,
    /// Its name.
    pub name: CString,
    /// Its status.
    pub stat: Stat,
}

/// A path and a name in it.
pub fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

impl Side {
    fn new(layer: usize, dir: OwnedFd, path: Vec<u8>) -> Result<Side> {
        let stat = fstat(&dir).context("cannot look at a directory")?;
        Ok(Side { layer, dir, path, id: (stat.st_dev, stat.st_ino) })
    }

    fn enter(&self, name: &CStr) -> Result<Side> {
        let dir = directory(&self.dir, name).with_context(|| {
            format!("cannot open the directory {}", spelled(&joined(&self.path, name.to_bytes())))
        })?;
        Side::new(self.layer, dir, joined(&self.path, name.to_bytes()))
    }

    fn look(&self, name: &CStr) -> Result<Option<Stat>> {
        look(self.dir.as_fd(), name)
    }
}

impl Item<'_> {
    /// The directory that it is in, and its name there.
    pub fn at(&self) -> (BorrowedFd<'_>, &CStr) {
        (self.side.dir.as_fd(), &self.name)
    }

    /// Its path in its layer.
    pub fn path(&self) -> Vec<u8> {
        if self.name.as_bytes() == b"." {
            return self.side.path.clone();
        }
        joined(&self.side.path, self.name.to_bytes())
    }

    /// Its device and inode.
    pub fn id(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Whether it is the very file that another one is.
    pub fn is_same(&self, other: &Item<'_>) -> bool {
        self.id() == other.id()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        kind(&self.stat) == FileType::Directory
    }
}

/// A union, the lowest layer first.
pub struct Union {
    layers: Vec<Layer>,
    is_written: bool,
}

impl Union {
    /// A union whose last layer is one that changes those below, or none.
    pub fn new(layers: Vec<Layer>, is_written: bool) -> Union {
        Union { layers, is_written }
    }

    /// A layer of it.
    pub fn layer(&self, number: usize) -> &Layer {
        &self.layers[number]
    }

    /// Whether a side is of the layer that changes those below.
    pub fn is_written_in(&self, side: &Side) -> bool {
        self.is_written && side.layer + 1 == self.layers.len()
    }

    /// The root, as the program has seen it.
    ///
    /// # Errors
    ///
    /// A layer that cannot be opened.
    pub fn root(&self) -> Result<Merged> {
        let mut base = self.base()?;
        if self.is_written {
            base.top = Some(self.open(self.layers.len() - 1)?);
        }
        Ok(base)
    }

    /// The root without the last layer's changes.
    ///
    /// # Errors
    ///
    /// A layer that cannot be opened.
    pub fn base(&self) -> Result<Merged> {
        let below = (0..self.layers.len() - usize::from(self.is_written)).rev();
        Ok(Merged { top: None, below: below.map(|number| self.open(number)).collect::<Result<_>>()? })
    }

    fn open(&self, number: usize) -> Result<Side> {
        let path = &self.layers[number].dir;
        let dir = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Side::new(number, dir.into(), Vec::new())
    }

    /// Only the store spells whiteouts as files. Elsewhere such a name is the program's own.
    fn spells_whiteouts(&self, side: &Side) -> bool {
        matches!(self.layers[side.layer].nature, Nature::Stored(_))
    }

    fn hides(&self, side: &Side, name: &CStr) -> Result<bool> {
        if self.spells_whiteouts(side) {
            return has_whiteout(side.dir.as_fd(), name);
        }
        Ok(side.look(name)?.is_some_and(|stat| is_whiteout(&stat)))
    }

    /// What stands at a name in a directory.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn find<'m>(&self, dir: &'m Merged, name: &CStr) -> Result<Option<Item<'m>>> {
        for side in dir.sides() {
            match side.look(name)? {
                Some(stat) if is_whiteout(&stat) => return Ok(None),
                Some(stat) => return Ok(Some(Item { side, name: name.to_owned(), stat })),
                None if self.hides(side, name)? => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    /// The directory that stands at a name in a directory.
    ///
    /// # Errors
    ///
    /// A redirect that leads nowhere, and what the file system says.
    pub fn enter(&self, dir: &Merged, name: &CStr) -> Result<Merged> {
        let Some(top) = &dir.top else { return self.enter_below(&dir.below, name) };
        let side = match top.look(name)? {
            None if !self.hides(top, name)? => return self.enter_below(&dir.below, name),
            None => return Ok(Merged { top: None, below: Vec::new() }),
            Some(_) => top.enter(name)?,
        };
        let below = if is_opaque(&side.dir)? {
            Vec::new()
        } else if let (Nature::Written { .. }, Some(to)) = (&self.layers[side.layer].nature, redirect(&side)?)
        {
            self.redirected(dir, &to).with_context(|| format!("the redirect of {}", spelled(&side.path)))?
        } else {
            self.enter_below(&dir.below, name)?.below
        };
        Ok(Merged { top: Some(side), below })
    }

    /// The sides that a directory has in layers that never change.
    fn enter_below(&self, sides: &[Side], name: &CStr) -> Result<Merged> {
        let mut below = Vec::new();
        for side in sides {
            match side.look(name)? {
                Some(stat) if kind(&stat) == FileType::Directory => {
                    let entered = side.enter(name)?;
                    let is_last = is_opaque(&entered.dir)?;
                    below.push(entered);
                    if is_last {
                        break;
                    }
                }
                Some(_) => break,
                None if self.hides(side, name)? => break,
                None => {}
            }
        }
        Ok(Merged { top: None, below })
    }

    /// The sides below that a redirect leads to: from the root, or a name beside.
    fn redirected(&self, above: &Merged, to: &[u8]) -> Result<Vec<Side>> {
        let Some(path) = to.strip_prefix(b"/") else {
            return Ok(self.enter_below(&above.below, &component(to)?)?.below);
        };
        let mut here = self.base()?;
        for name in path.split(|byte| *byte == b'/') {
            here = self.enter_below(&here.below, &component(name)?)?;
        }
        Ok(here.below)
    }

    /// The names in some sides of a directory, sorted; those of whiteouts too.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn names<'s>(&self, sides: impl Iterator<Item = &'s Side>) -> Result<BTreeSet<CString>> {
        let mut names = BTreeSet::new();
        for side in sides {
            let shown = || format!("cannot list the directory {}", spelled(&side.path));
            for entry in rustix::fs::Dir::read_from(&side.dir).with_context(shown)? {
                let name = entry.with_context(shown)?.file_name().to_owned();
                match name.to_bytes().strip_prefix(WHITEOUT) {
                    _ if matches!(name.to_bytes(), b"." | b"..") => {}
                    Some(hidden) if self.spells_whiteouts(side) => {
                        names.insert(CString::new(hidden)?);
                    }
                    _ => {
                        names.insert(name);
                    }
                }
            }
        }
        Ok(names)
    }
}

impl Merged {
    /// What it is itself, as its highest side says.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn item(&self) -> Result<Option<Item<'_>>> {
        let Some(side) = self.sides().next() else { return Ok(None) };
        let stat = fstat(&side.dir).context("cannot look at a directory")?;
        Ok(Some(Item { side, name: c".".to_owned(), stat }))
    }

    /// All sides, the highest first.
    pub fn sides(&self) -> impl Iterator<Item = &Side> {
        self.top.iter().chain(&self.below)
    }

    /// Whether the layers below have the same in both.
    pub fn stands_on(&self, other: &Merged) -> bool {
        self.below.iter().map(|side| side.id).eq(other.below.iter().map(|side| side.id))
    }
}

/// One component of a redirect, which a hostile writer may have spelled.
fn component(name: &[u8]) -> Result<CString> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        bail!("it is malformed: remove the attribute user.overlay.redirect")
    }
    CString::new(name).context("it holds NUL")
}

fn redirect(side: &Side) -> Result<Option<Vec<u8>>> {
    for name in REDIRECTS {
        let mut value = vec![0; 4096];
        match fgetxattr(&side.dir, name, &mut value[..]) {
            Ok(0) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Ok(count) => return Ok(Some(value[..count].to_vec())),
            Err(error) => return Err(error).context("cannot read an extended attribute"),
        }
    }
    Ok(None)
}
