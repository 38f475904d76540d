//! A layer being unpacked, over the layers below it.
//!
//! Names are resolved here, component by component, in the union of the
//! layer and those below: `..` and links never leave it, and the kernel is
//! never given more than one component, relative to a directory that is held
//! open, to follow no link.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fgetxattr, fsetxattr, mkdirat, mknodat, openat,
    readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::archive::spelled;
use crate::attributes::OPAQUE;
use crate::limits::{Limits, exceeded};

/// The prefix of an OCI whiteout.
pub const WHITEOUT: &[u8] = b".wh.";
/// As many links as the kernel follows.
const LINKS: u32 = 40;
/// So many descriptors are held for directories that are remembered.
const REMEMBERED: usize = 256;

/// A directory of the union: where it lies, and its sides.
pub struct Dir {
    /// Its path, without a slash at the beginning.
    pub path: Vec<u8>,
    /// Its side in the layer itself.
    pub upper: Option<OwnedFd>,
    /// Its sides in the layers below, the highest first.
    pub lowers: Vec<OwnedFd>,
}

/// What stands at a name in the union.
pub enum Found {
    /// Nothing.
    Absent,
    /// In the layer itself.
    Upper(Stat),
    /// In a layer below, whose directory is the one of this number.
    Lower(usize, Stat),
}

/// A layer being unpacked.
pub struct Tree<'a> {
    root: Rc<Dir>,
    remembered: HashMap<Vec<u8>, Rc<Dir>>,
    descriptors: usize,
    limits: &'a Limits,
}

fn directory(dir: impl AsFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// The kind of what a status is of.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// What one layer has at a name.
fn look(dir: BorrowedFd<'_>, name: &CString) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error).context("cannot look at it"),
    }
}

fn whiteout_file(name: &CString) -> CString {
    CString::new([WHITEOUT, name.as_bytes()].concat()).unwrap_or_default()
}

fn has_whiteout(dir: BorrowedFd<'_>, name: &CString) -> Result<bool> {
    Ok(match look(dir, name)? {
        Some(stat) => is_whiteout(&stat),
        None => look(dir, &whiteout_file(name))?.is_some(),
    })
}

fn is_opaque(dir: &OwnedFd) -> Result<bool> {
    let mut value = [0; 4];
    match fgetxattr(dir, OPAQUE, &mut value) {
        Ok(count) => Ok(&value[..count] == b"y"),
        Err(Errno::NODATA) => Ok(false),
        Err(error) => Err(error).context("cannot read an extended attribute"),
    }
}

impl Dir {
    /// What stands at a name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn find(&self, name: &CString) -> Result<Found> {
        if let Some(upper) = &self.upper {
            if let Some(stat) = look(upper.as_fd(), name)? {
                return Ok(if is_whiteout(&stat) { Found::Absent } else { Found::Upper(stat) });
            }
            if look(upper.as_fd(), &whiteout_file(name))?.is_some() {
                return Ok(Found::Absent);
            }
        }
        self.find_below(name)
    }

    /// What the layers below have at a name, whatever the layer itself has.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn find_below(&self, name: &CString) -> Result<Found> {
        for (number, lower) in self.lowers.iter().enumerate() {
            match look(lower.as_fd(), name)? {
                Some(stat) if is_whiteout(&stat) => return Ok(Found::Absent),
                Some(stat) => return Ok(Found::Lower(number, stat)),
                None if look(lower.as_fd(), &whiteout_file(name))?.is_some() => return Ok(Found::Absent),
                None => {}
            }
        }
        Ok(Found::Absent)
    }

    /// The directory that the sides of this one have at a name.
    fn enter(&self, name: &CString) -> Result<Dir> {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.as_bytes());
        let (mut upper, mut lowers) = (None, Vec::new());
        let mut hidden = false;
        if let Some(side) = &self.upper {
            if look(side.as_fd(), name)?.is_some() {
                let entered = directory(side, name)?;
                hidden = is_opaque(&entered)?;
                upper = Some(entered);
            } else {
                hidden = has_whiteout(side.as_fd(), name)?;
            }
        }
        for lower in &self.lowers {
            if hidden {
                break;
            }
            match look(lower.as_fd(), name)? {
                Some(stat) if kind(&stat) == FileType::Directory => {
                    let entered = directory(lower, name)?;
                    hidden = is_opaque(&entered)?;
                    lowers.push(entered);
                }
                Some(_) => break,
                None => hidden = has_whiteout(lower.as_fd(), name)?,
            }
        }
        Ok(Dir { path, upper, lowers })
    }

    /// The side in the layer itself, which has been made.
    ///
    /// # Errors
    ///
    /// Never, where [`Tree::parent`] made the directory.
    pub fn upper(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.upper.as_ref().context("the directory has not been made")?.as_fd())
    }

    /// Hides what the layers below have in this directory.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn hide_lower(&self) -> Result<()> {
        make_opaque(self.upper()?)
    }

    /// Removes what the layer itself has at a name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn remove(&self, name: &CString) -> Result<()> {
        let upper = self.upper()?;
        let _ = unlinkat(upper, whiteout_file(name), AtFlags::empty());
        remove(upper, name).context("cannot remove what stood there")
    }

    /// Hides what the layers below have at a name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn white_out(&self, name: &CString) -> Result<()> {
        let upper = self.upper()?;
        match mknodat(upper, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(upper, whiteout_file(name), flags, Mode::empty())
                    .context("cannot make the whiteout")?;
                Ok(())
            }
            done => done.context("cannot make the whiteout"),
        }
    }
}

/// Marks a directory as opaque.
///
/// # Errors
///
/// What the file system says.
pub fn make_opaque(dir: BorrowedFd<'_>) -> Result<()> {
    fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty()).context("cannot mark it opaque")
}

fn remove(dir: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        done => return done,
    }
    let inner = directory(dir, name)?;
    for entry in rustix::fs::Dir::read_from(&inner)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            remove(inner.as_fd(), &entry.file_name().to_owned())?;
        }
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// A name's components, the first last; `.` and empty ones are left out.
fn reversed(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

impl<'a> Tree<'a> {
    /// The tree of a layer, over others, the highest first.
    pub fn new(upper: OwnedFd, lowers: Vec<OwnedFd>, limits: &'a Limits) -> Tree<'a> {
        let root = Rc::new(Dir { path: Vec::new(), upper: Some(upper), lowers });
        Tree { root, remembered: HashMap::new(), descriptors: 0, limits }
    }

    /// The root.
    pub fn root(&self) -> Rc<Dir> {
        self.root.clone()
    }

    /// Forgets what was resolved: a directory or a link has gone.
    pub fn forget(&mut self) {
        self.remembered.clear();
        self.descriptors = 0;
    }

    /// The directory that a name's entry stands in, and the last component; no
    /// component for the root. Directories that are nowhere yet are made by
    /// `make`, as are the layer's own sides of those that are below only.
    ///
    /// # Errors
    ///
    /// A name that leads nowhere, or what the file system says.
    pub fn parent(
        &mut self,
        name: &[u8],
        make: &dyn Fn(&Dir, &CString, Found) -> Result<()>,
    ) -> Result<(Rc<Dir>, Option<CString>)> {
        let mut parts: Vec<Vec<u8>> = reversed(name).collect();
        if parts.len() as u64 > self.limits.depth {
            return Err(exceeded(
                "the directories in the name",
                parts.len() as u64,
                "depth",
                self.limits.depth,
            ));
        }
        if parts.first().is_some_and(|last| last == b"..") {
            bail!("its name ends in `..`: make the layer anew")
        }
        let Some(last) = (!parts.is_empty()).then(|| parts.remove(0)) else { return Ok((self.root(), None)) };
        let length = name.iter().rposition(|byte| *byte != b'/').map_or(0, |end| end + 1) - last.len();
        let prefix = &name[..length];
        let dir = match self.remembered.get(prefix) {
            Some(dir) => dir.clone(),
            None => {
                let dir = self.walk(parts, make)?;
                if self.descriptors >= REMEMBERED {
                    self.forget();
                }
                self.descriptors += 1 + dir.lowers.len();
                self.remembered.insert(prefix.to_vec(), dir.clone());
                dir
            }
        };
        Ok((dir, Some(CString::new(last).context("its name holds NUL")?)))
    }

    fn walk(
        &self,
        mut parts: Vec<Vec<u8>>,
        make: &dyn Fn(&Dir, &CString, Found) -> Result<()>,
    ) -> Result<Rc<Dir>> {
        let mut above: Vec<Rc<Dir>> = Vec::new();
        let mut here = self.root();
        let mut links = 0;
        while let Some(part) = parts.pop() {
            if part == b".." {
                // Above the root is the root.
                here = above.pop().unwrap_or(here);
                continue;
            }
            let part = CString::new(part).context("its name holds NUL")?;
            let found = here.find(&part).with_context(|| spelled(&here.path))?;
            let stat = match &found {
                Found::Absent => None,
                Found::Upper(stat) | Found::Lower(_, stat) => Some(*stat),
            };
            match stat.map(|stat| kind(&stat)) {
                Some(FileType::Symlink) => {
                    links += 1;
                    if links > LINKS {
                        bail!("more than {LINKS} links lead to it: they go around in a circle")
                    }
                    let side = match found {
                        Found::Lower(number, _) => here.lowers[number].as_fd(),
                        _ => here.upper()?,
                    };
                    let target = readlinkat(side, &part, Vec::new()).context("cannot read a link")?;
                    if target.as_bytes().starts_with(b"/") {
                        above.clear();
                        here = self.root();
                    }
                    parts.extend(reversed(target.as_bytes()));
                    if parts.len() as u64 > self.limits.depth {
                        return Err(exceeded(
                            "the directories in the name",
                            parts.len() as u64,
                            "depth",
                            self.limits.depth,
                        ));
                    }
                }
                Some(FileType::Directory) | None => {
                    if !matches!(found, Found::Upper(_)) {
                        make(&here, &part, found)
                            .with_context(|| format!("its directory {}", spelled(part.as_bytes())))?;
                    }
                    let next = here.enter(&part).with_context(|| spelled(part.as_bytes()))?;
                    above.push(std::mem::replace(&mut here, Rc::new(next)));
                    if above.len() as u64 > self.limits.depth {
                        return Err(exceeded(
                            "the directories above it",
                            above.len() as u64,
                            "depth",
                            self.limits.depth,
                        ));
                    }
                }
                Some(_) => bail!("{} on the way to it is no directory", spelled(part.as_bytes())),
            }
        }
        Ok(here)
    }
}

/// Makes a directory that its owner alone may enter, and opens it.
///
/// # Errors
///
/// What the file system says.
pub fn make_directory(dir: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd> {
    mkdirat(dir, name, Mode::RWXU).context("cannot make the directory")?;
    directory(dir, name).context("cannot open the directory")
}

/// Opens a directory that is there.
///
/// # Errors
///
/// What the file system says.
pub fn open_directory(dir: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd> {
    directory(dir, name).context("cannot open the directory")
}

/// Makes a file.
///
/// # Errors
///
/// What the file system says.
pub fn make_file(dir: BorrowedFd<'_>, name: &CString) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::RUSR | Mode::WUSR).context("cannot make the file")?.into())
}
