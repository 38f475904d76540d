//! Which names a union's last layer has added, changed or deleted.
//!
//! A copy that is like what it was made from is no change: the program has opened the file
//! to write, and written nothing. A directory is changed where it is itself
//! another: by its owner, mode, time or attributes.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags, openat};

use crate::changes::{Visitor, visit};
use crate::dir::kind;
use crate::header::{Entry, Kind};
use crate::kept;
use crate::merge::{Item, Union};

/// What has become of a name; the letters are docker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Becomes {
    /// `A`: it was not there before.
    Added,
    /// `C`: it was something else before.
    Changed,
    /// `D`: it is gone.
    Deleted,
}

impl Becomes {
    /// docker's letter.
    pub fn letter(self) -> char {
        match self {
            Becomes::Added => 'A',
            Becomes::Changed => 'C',
            Becomes::Deleted => 'D',
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What has become of it.
    pub kind: Becomes,
    /// The path below the union's root, without a slash at the beginning.
    pub path: Vec<u8>,
}

/// All changes, in the order of their paths.
///
/// # Errors
///
/// What cannot be read.
pub fn diff(union: &Union) -> Result<Vec<Change>> {
    let mut differ = Differ { changes: Vec::new() };
    visit(union, &mut differ)?;
    Ok(differ.changes)
}

struct Differ {
    changes: Vec<Change>,
}

impl Visitor for Differ {
    fn is_there(
        &mut self,
        union: &Union,
        path: &[u8],
        now: &Item<'_>,
        before: Option<&Item<'_>>,
    ) -> Result<()> {
        let kind = match before {
            None => Becomes::Added,
            Some(before) if differ(union, now, before)? => Becomes::Changed,
            Some(_) => return Ok(()),
        };
        self.changes.push(Change { kind, path: path.to_vec() });
        Ok(())
    }

    fn is_gone(&mut self, path: &[u8]) -> Result<()> {
        self.changes.push(Change { kind: Becomes::Deleted, path: path.to_vec() });
        Ok(())
    }

    fn is_replaced(&mut self, _: &[u8]) -> Result<bool> {
        Ok(false)
    }
}

fn differ(union: &Union, now: &Item<'_>, before: &Item<'_>) -> Result<bool> {
    // No archive holds a socket, and no two are the same.
    if [now, before].iter().any(|item| kind(&item.stat) == FileType::Socket) {
        return Ok(true);
    }
    let entry = |item: &Item<'_>| {
        kept::entry(&union.layer(item.side.layer).nature, item.at(), &item.path(), &item.stat)
    };
    let (new, old) = (entry(now)?, entry(before)?);
    // What an ordinary user's program writes to becomes that user's: nobody has changed it.
    let user = rustix::process::geteuid();
    let is_copy = !user.is_root() && now.stat.st_uid == user.as_raw();
    let is_same = |new: &Entry, old: &Entry| {
        (new.kind, new.mode, new.mtime, new.size, new.device)
            == (old.kind, old.mode, old.mtime, old.size, old.device)
            && (is_copy || (new.uid, new.gid) == (old.uid, old.gid))
            && new.link == old.link
            && new.xattrs == old.xattrs
    };
    if !is_same(&new, &old) {
        return Ok(true);
    }
    Ok(new.kind == Kind::File && new.size > 0 && !same_bytes(now, before)?)
}

fn same_bytes(one: &Item<'_>, other: &Item<'_>) -> Result<bool> {
    let open = |item: &Item<'_>| -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(item.at().0, item.at().1, flags, Mode::empty()).context("it cannot be read")?.into())
    };
    let (mut one, mut other) = (open(one)?, open(other)?);
    let mut buffers = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = one.read(&mut buffers.0)?;
        if count == 0 {
            return Ok(other.read(&mut buffers.1)? == 0);
        }
        let same = other.read_exact(&mut buffers.1[..count]).is_ok();
        if !same || buffers.0[..count] != buffers.1[..count] {
            return Ok(false);
        }
    }
}
