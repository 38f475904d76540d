//! Extended attributes that are the system's: `security.*`, file capabilities among them, and `trusted.*` (xattr(7)).
//!
//! The kernel lets nobody but root set them. A played root's are kept under a user's name, as the store of images
//! keeps those of its layers, so that they go with the file and into a commit. A file's own, where it has
//! them, are shown too.

use core::ffi::CStr;

use super::super::place::{Change, Need, Place, Want};
use super::super::text::Text;
use super::{EMPTY, FOREIGN, by_number};
use crate::identity::credentials::{OfFile, capability};
use crate::kernel::{self, AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance, user};

/// What comes before the name that an attribute is kept under.
const KEPT: &[u8] = b"user.launcher.xattr.";
const CAPABILITY: &CStr = c"security.capability";
const KEPT_CAPABILITY: &CStr = c"user.launcher.xattr.security.capability";

/// The longest name of an attribute (`XATTR_NAME_MAX`).
const LONGEST: usize = 255;
/// The longest value that says a file's capabilities.
const CAPABILITIES: usize = 24;

fn is_systems(name: &[u8]) -> bool {
    name.starts_with(b"security.") || name.starts_with(b"trusted.") && !name.starts_with(b"trusted.overlay.")
}

/// The name that the program knows an attribute by, where it is kept under another.
pub(in crate::files) fn shown_name(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(KEPT).filter(|name| is_systems(name))
}

/// A name of the program's that is kept under another.
pub(in crate::files) struct Kept {
    name: Text<{ LONGEST + KEPT.len() + 1 }>,
}

impl Kept {
    /// None: it is not one of these.
    pub(in crate::files) fn of(name: *const u8) -> Option<Kept> {
        if !user::is_string(name) {
            return None;
        }
        // SAFETY: found readable.
        let said = unsafe { CStr::from_ptr(name.cast()) }.to_bytes();
        let mut name = Text::new();
        (is_systems(said) && name.push(KEPT).is_ok() && name.push(said).is_ok()).then_some(Kept { name })
    }

    fn said(&self) -> &[u8] {
        self.name.bytes().get(KEPT.len()..).unwrap_or(&[])
    }

    fn is_capability(&self) -> bool {
        self.said() == CAPABILITY.to_bytes()
    }
}

/// Whether a call takes an attribute away; else it sets it.
fn removes(number: i64) -> bool {
    matches!(number, libc::SYS_removexattr | libc::SYS_lremovexattr | libc::SYS_fremovexattr)
}

impl Instance<'_> {
    /// The name that an attribute is kept under, where this process has none of its own right.
    pub(in crate::files) fn kept_name(&self, name: *const u8) -> Option<Kept> {
        if self.plays() { Kept::of(name) } else { None }
    }

    /// Whether this process may set it: `value` is its place and its size.
    fn may_set(&self, number: i64, kept: &Kept, (value, size): (usize, usize)) -> Result<(), Errno> {
        let own = self.credentials();
        if !kept.is_capability() {
            return if own.can(capability::SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) };
        }
        if !removes(number) {
            if size > CAPABILITIES {
                return Err(Errno::EINVAL);
            }
            if !user::is_readable(value as *const u8, size) {
                return Err(Errno::EFAULT);
            }
            // SAFETY: found readable.
            let value = unsafe { core::slice::from_raw_parts(value as *const u8, size) };
            OfFile::parse(value).ok_or(Errno::EINVAL)?;
        }
        if own.can(capability::SETFCAP) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Whether this process may read an attribute: those of users are for who may read the file.
    pub(in crate::files) fn may_read_attribute(
        &self,
        path: *const u8,
        follow: bool,
        name: *const u8,
    ) -> Result<(), Errno> {
        if !self.plays() {
            return Ok(());
        }
        // SAFETY: found readable.
        if unsafe { CStr::from_ptr(name.cast()) }.to_bytes().starts_with(b"user.") {
            self.may_use_path((AT_FDCWD, path), follow, libc::R_OK as u32, false)
        } else {
            self.may_reach((AT_FDCWD, path))
        }
    }

    /// setxattr(2), removexattr(2) and their kin on a path.
    pub(in crate::files) fn alter_kept(
        &self,
        number: i64,
        (path, follow): (*const u8, bool),
        mut kept: Kept,
        words: [usize; 4],
    ) -> Answer {
        let [_, value, size, flags] = words;
        if let Err(errno) = self.may_reach((AT_FDCWD, path)) {
            return Answer::fail(errno);
        }
        if let Err(errno) = self.may_set(number, &kept, (value, size)) {
            return self.refused(number, (AT_FDCWD, path), follow, errno);
        }
        if let Err(errno) = self.may_alter_attribute(number, path, follow, kept.name.as_ptr()) {
            return Answer::fail(errno);
        }
        let name = kept.name.as_ptr() as usize;
        let alter = |place: &Place| {
            let no_follow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
            if let (Some(book), Ok(stat)) = (self.book, kernel::fstatat(place.dirfd, place.path, no_follow)) {
                book.expect(stat.st_ino);
            }
            place.with_path(|path| {
                // SAFETY: the program's pointers, for the kernel to judge, and a name of ours.
                unsafe { syscall(number, [path as usize, name, value, size, flags, 0]) }
            })
        };
        match self.at(number, AT_FDCWD, path, Want { follow, change: Change::Modify(Need::Write) }, alter) {
            Answer::Pass => Answer::Done(alter(&Place::new(AT_FDCWD, path, 0, None))),
            answer => answer,
        }
    }

    /// The arguments of fsetxattr(2) or fremovexattr(2) with the name that an attribute is kept under.
    ///
    /// # Errors
    ///
    /// `EPERM`, `EINVAL` for no capabilities.
    pub(in crate::files) fn kept_by_descriptor(
        &self,
        number: i64,
        kept: &mut Kept,
        args: [usize; 6],
    ) -> Result<[usize; 6], Errno> {
        let [fd, _, value, size, flags, _] = args;
        self.may_set(number, kept, (value, size))?;
        if let (Some(book), Ok(stat)) = (self.book, kernel::fstatat(fd as i32, EMPTY, libc::AT_EMPTY_PATH)) {
            book.expect(stat.st_ino);
        }
        Ok([fd, kept.name.as_ptr() as usize, value, size, flags, 0])
    }

    /// Reads an attribute by `read`, which takes a name: what is kept, or else the file's own.
    pub(in crate::files) fn look_at_kept(
        &self,
        mut kept: Kept,
        name: usize,
        read: impl Fn(usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if kept.said().starts_with(b"trusted.") && !self.credentials().can(capability::SYS_ADMIN) {
            return Err(Errno::ENODATA);
        }
        match read(kept.name.as_ptr() as usize) {
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => read(name),
            done => done,
        }
    }

    /// The capabilities of a program's file, with this inode, which a path with flags of newfstatat(2) leads to.
    pub(crate) fn capabilities_of_file(
        &self,
        (dirfd, path, flags): (i32, *const u8, i32),
        inode: u64,
    ) -> Option<OfFile> {
        if self.id(0) == 0 && self.id(1) == 0 {
            // Root has all of them.
            return None;
        }
        let place = Place::new(dirfd, path, 0, None);
        let read = |name: &CStr| {
            let mut value = [0; CAPABILITIES];
            let len = if flags & libc::AT_EMPTY_PATH != 0 {
                kernel::getxattr(by_number(dirfd).ok()?.as_ptr(), name, &mut value).ok()?
            } else {
                place.with_path(|path| kernel::getxattr(path, name, &mut value)).ok()?
            };
            OfFile::parse(value.get(..len)?)
        };
        let may_be_kept =
            self.book.is_some_and(|book| book.may_have(inode)) || self.view.flags() & FOREIGN != 0;
        may_be_kept.then(|| read(KEPT_CAPABILITY)).flatten().or_else(|| read(CAPABILITY))
    }

    /// Takes a file's capabilities away: who gets it with another owner has not been given them.
    pub(super) fn forget_capabilities(&self, file: i32, inode: u64) {
        let may_be_kept =
            self.book.is_some_and(|book| book.may_have(inode)) || self.view.flags() & FOREIGN != 0;
        if may_be_kept && let Ok(mut path) = by_number(file) {
            let _ = kernel::removexattr(path.as_ptr(), KEPT_CAPABILITY);
        }
    }
}
