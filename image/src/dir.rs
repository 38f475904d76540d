//! A directory of the union of a layer and those below it: what stands at a
//! name, and how it is hidden.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fgetxattr, fsetxattr, mkdirat, mknodat, openat,
    statat, unlinkat,
};
use rustix::io::Errno;

use crate::attributes::{OPAQUE, ROOTS_OPAQUE};

/// The prefix of an OCI whiteout.
pub const WHITEOUT: &[u8] = b".wh.";

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

/// Opens a directory, and no link to one.
pub fn directory(dir: impl AsFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// The kind of what a status is of.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a status is that of a whiteout.
pub fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// What one layer has at a name.
///
/// # Errors
///
/// What the file system says.
pub fn look(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error).context("cannot look at it"),
    }
}

fn whiteout_file(name: &CStr) -> CString {
    CString::new([WHITEOUT, name.to_bytes()].concat()).unwrap_or_default()
}

/// Whether one layer says that a name is gone.
///
/// # Errors
///
/// What the file system says.
pub fn has_whiteout(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    Ok(match look(dir, name)? {
        Some(stat) => is_whiteout(&stat),
        None => look(dir, &whiteout_file(name))?.is_some(),
    })
}

/// Whether a directory hides what the layers below have in it.
///
/// # Errors
///
/// What the file system says.
pub fn is_opaque(dir: &OwnedFd) -> Result<bool> {
    for name in [OPAQUE, ROOTS_OPAQUE] {
        let mut value = [0; 4];
        match fgetxattr(dir, name, &mut value) {
            Ok(count) if &value[..count] == b"y" => return Ok(true),
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error).context("cannot read an extended attribute"),
        }
    }
    Ok(false)
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
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn enter(&self, name: &CString) -> Result<Dir> {
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

    /// Hides what the layers below have at a name. False: by a file, since devices are refused.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn white_out(&self, name: &CString) -> Result<bool> {
        let upper = self.upper()?;
        match mknodat(upper, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(upper, whiteout_file(name), flags, Mode::empty())
                    .context("cannot make the whiteout")?;
                Ok(false)
            }
            done => done.context("cannot make the whiteout").map(|()| true),
        }
    }
}

/// Sees to it that a whiteout can be a device in a directory, as the union has them.
///
/// # Errors
///
/// That it cannot.
pub fn must_take_whiteouts(dir: BorrowedFd<'_>) -> Result<()> {
    mknodat(dir, c".probe", FileType::CharacterDevice, Mode::empty(), 0)
        .and_then(|()| unlinkat(dir, c".probe", AtFlags::empty()))
        .context("whiteouts cannot be made here: that needs Linux 5.8, and no filter against mknod(2)")
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
