//! What a union's last layer changes: the tree as the program has seen it, held
//! against the tree without that layer.
//!
//! Where both have the same sides below, only the names in the layer itself can
//! differ, so a small change in a large tree is found quickly. A directory that
//! has been renamed has other sides below than what stood in its place, and all
//! that is in it counts.

use std::ffi::CStr;

use anyhow::{Context, Result, bail};

use crate::header::spelled;
use crate::import::more_descriptors;
use crate::limits::Limits;
use crate::merge::{Item, Merged, Union, joined};

/// What is told of the changes, in the order of their paths, a directory before
/// what is in it. Paths have no slash at the beginning.
pub trait Visitor {
    /// Something is there which is, or may be, another than before.
    ///
    /// # Errors
    ///
    /// Its own.
    fn is_there(
        &mut self,
        union: &Union,
        path: &[u8],
        now: &Item<'_>,
        before: Option<&Item<'_>>,
    ) -> Result<()>;

    /// A name is gone.
    ///
    /// # Errors
    ///
    /// Its own.
    fn is_gone(&mut self, path: &[u8]) -> Result<()>;

    /// The directory that was just told of has nothing of what it held before.
    /// Whether what it held is to be forgotten: then all in it is told of as new.
    ///
    /// # Errors
    ///
    /// Its own.
    fn is_replaced(&mut self, path: &[u8]) -> Result<bool>;
}

/// Tells of all changes, the root's own first.
///
/// # Errors
///
/// What cannot be read, and what the visitor says.
pub fn visit(union: &Union, visitor: &mut impl Visitor) -> Result<()> {
    more_descriptors();
    let (now, before) = (union.root()?, union.base()?);
    let root = now.item()?.context("the union has no layers")?;
    visitor.is_there(union, b"", &root, before.item()?.as_ref())?;
    Walk { union, visitor, limits: Limits::default() }.directory(b"", &now, Some(&before))
}

struct Walk<'w, V> {
    union: &'w Union,
    visitor: &'w mut V,
    limits: Limits,
}

impl<V: Visitor> Walk<'_, V> {
    fn directory(&mut self, path: &[u8], now: &Merged, before: Option<&Merged>) -> Result<()> {
        let depth = path.iter().filter(|byte| **byte == b'/').count() as u64;
        if depth > 4 * self.limits.depth {
            bail!("{}: its directories are too deep", spelled(path))
        }
        let changed_alone = before.is_some_and(|before| now.stands_on(before));
        let names = if changed_alone {
            self.union.names(now.top.iter())?
        } else {
            let mut names = self.union.names(now.sides())?;
            if let Some(before) = before {
                names.extend(self.union.names(before.sides())?);
            }
            names
        };
        for name in names {
            let inner = joined(path, name.to_bytes());
            self.name(&inner, &name, now, before).with_context(|| spelled(&inner))?;
        }
        Ok(())
    }

    fn name(&mut self, path: &[u8], name: &CStr, now: &Merged, before: Option<&Merged>) -> Result<()> {
        let old = before.map(|before| self.union.find(before, name)).transpose()?.flatten();
        let Some(new) = self.union.find(now, name)? else {
            return old.map_or(Ok(()), |_| self.visitor.is_gone(path));
        };
        if !new.is_dir() {
            let is_the_same = old.as_ref().is_some_and(|old| new.is_same(old));
            return if is_the_same {
                Ok(())
            } else {
                self.visitor.is_there(self.union, path, &new, old.as_ref())
            };
        }
        let below = self.union.enter(now, name)?;
        let old_dir = match (before, &old) {
            (Some(before), Some(old)) if old.is_dir() => Some(self.union.enter(before, name)?),
            _ => None,
        };
        let stays = old_dir.as_ref().is_some_and(|old| below.stands_on(old));
        if stays && below.top.is_none() {
            return Ok(());
        }
        self.visitor.is_there(self.union, path, &new, old.as_ref())?;
        let is_forgotten = old_dir.is_some() && !stays && self.visitor.is_replaced(path)?;
        self.directory(path, &below, old_dir.as_ref().filter(|_| !is_forgotten))
    }
}
