//! A layer being unpacked, over the layers below it.
//!
//! Names are resolved here, component by component, in the union of the
//! layer and those below: `..` and links never leave it, and the kernel is
//! never given more than one component, relative to a directory that is held
//! open, to follow no link.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use rustix::fs::{FileType, readlinkat};

use crate::dir::{Dir, Found, kind};
use crate::header::spelled;
use crate::limits::{Limits, exceeded};

/// As many links as the kernel follows.
const LINKS: u32 = 40;
/// So many descriptors are held for directories that are remembered.
const REMEMBERED: usize = 256;

/// A layer being unpacked.
pub struct Tree<'a> {
    root: Rc<Dir>,
    remembered: HashMap<Vec<u8>, Rc<Dir>>,
    descriptors: usize,
    limits: &'a Limits,
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
        self.may_be_so_deep("the directories in the name", parts.len())?;
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

    fn may_be_so_deep(&self, what: &str, depth: usize) -> Result<()> {
        match depth as u64 {
            depth if depth > self.limits.depth => Err(exceeded(what, depth, "depth", self.limits.depth)),
            _ => Ok(()),
        }
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
                    self.may_be_so_deep("the directories in the name", parts.len())?;
                }
                Some(FileType::Directory) | None => {
                    if !matches!(found, Found::Upper(_)) {
                        make(&here, &part, found)
                            .with_context(|| format!("its directory {}", spelled(part.as_bytes())))?;
                    }
                    let next = here.enter(&part).with_context(|| spelled(part.as_bytes()))?;
                    above.push(std::mem::replace(&mut here, Rc::new(next)));
                    self.may_be_so_deep("the directories above it", above.len())?;
                }
                Some(_) => bail!("{} on the way to it is no directory", spelled(part.as_bytes())),
            }
        }
        Ok(here)
    }
}
