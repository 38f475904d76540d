//! What overlayfs keeps in extended attributes.
//!
//! An ordinary user's are called `user.overlay.*`, as the kernel reads them of a
//! mount with the option `userxattr`; root's are `trusted.overlay.*`. Both are
//! read; the first are always written, and the second where that is allowed.

use core::ffi::CStr;

use super::super::MAX_PATH;
use super::super::text::Text;
use crate::Errno;
use crate::kernel;

/// Attributes under the one name and the other.
pub struct Names(pub &'static CStr, pub &'static CStr);

/// A directory that hides what layers below have under its name.
pub const OPAQUE: Names = Names(c"user.overlay.opaque", c"trusted.overlay.opaque");
/// A directory that is merged with those of another name below.
pub const REDIRECT: Names = Names(c"user.overlay.redirect", c"trusted.overlay.redirect");
/// Of which file below this one is a copy: its device and inode, ours alone.
pub const ORIGIN: &CStr = c"user.launcher.origin";

/// Whether an attribute is the union's own business, and not the program's.
pub fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"user.overlay.") || name.starts_with(b"trusted.overlay.") || name == ORIGIN.to_bytes()
}

/// Whether a directory is opaque. `path` ends in NUL.
pub fn is_opaque(path: *const u8) -> bool {
    let mut value = [0];
    [OPAQUE.0, OPAQUE.1]
        .iter()
        .any(|name| kernel::lgetxattr(path, name, &mut value) == Ok(1) && value == *b"y")
}

/// Reads where below a directory is merged with another name: absolute, or a
/// name beside its own. False where it is not.
pub fn redirect(path: *const u8, to: &mut Text<MAX_PATH>) -> bool {
    to.truncate(0);
    let found = [REDIRECT.0, REDIRECT.1]
        .iter()
        .any(|name| to.fill(|room| kernel::lgetxattr(path, name, room)).is_ok_and(|len| len > 0));
    found
}

/// Sets an attribute, under the second name where that is allowed.
pub fn set(path: *const u8, names: &Names, value: &[u8]) -> Result<(), Errno> {
    let _ = kernel::lsetxattr(path, names.1.as_ptr().cast(), value, 0);
    kernel::lsetxattr(path, names.0.as_ptr().cast(), value, 0)
}

/// Takes an attribute away, under both names.
pub fn remove(path: *const u8, names: &Names) {
    for name in [names.0, names.1] {
        let _ = kernel::lremovexattr(path, name);
    }
}

/// What a file is a copy of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The file system that it was on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

impl Origin {
    const LEN: usize = 16;

    /// Of a file that is about to be copied.
    pub fn of(stat: &libc::stat) -> Origin {
        Origin { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Its bytes, as they are kept.
    pub fn bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (device, inode) = bytes.split_at_mut(8);
        device.copy_from_slice(&self.device.to_le_bytes());
        inode.copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }

    /// What the file at a path is a copy of, if it is one.
    pub fn read(path: *const u8) -> Option<Origin> {
        let mut bytes = [0; Self::LEN];
        if kernel::lgetxattr(path, ORIGIN, &mut bytes) != Ok(Self::LEN) {
            return None;
        }
        let (device, inode) = bytes.split_at(8);
        Some(Origin {
            device: u64::from_le_bytes(device.try_into().ok()?),
            inode: u64::from_le_bytes(inode.try_into().ok()?),
        })
    }
}
