//! What overlayfs keeps in extended attributes.
//!
//! An ordinary user's are called `user.overlay.*`, as the kernel reads them of a
//! mount with the option `userxattr`; root's are `trusted.overlay.*`. Both are
//! read; the first are always written, and the second where that is allowed.

use core::ffi::CStr;

use super::super::MAX_PATH;
use super::super::namei::Walk;
use super::super::owners::{OVERRIDE, is_override, shown_name};
use super::super::place::{Change, Need, Place, Want};
use super::super::text::Text;
use super::origin::ORIGIN;
use crate::kernel::{self, AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance, user};

/// Attributes under the one name and the other.
pub struct Names(pub &'static CStr, pub &'static CStr);

/// A directory that hides what layers below have under its name.
pub const OPAQUE: Names = Names(c"user.overlay.opaque", c"trusted.overlay.opaque");
/// A directory that is merged with those of another name below.
pub const REDIRECT: Names = Names(c"user.overlay.redirect", c"trusted.overlay.redirect");
/// A directory that is opaque since it has all names of its sides in layers ([`super::given`]).
pub const PARTED: &CStr = c"user.launcher.parted";

/// Whether an attribute is the union's own business, and not the program's.
pub fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"user.overlay.")
        || name.starts_with(b"trusted.overlay.")
        || name == ORIGIN.to_bytes()
        || name == PARTED.to_bytes()
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
    [REDIRECT.0, REDIRECT.1]
        .iter()
        .any(|name| to.fill(|room| kernel::lgetxattr(path, name, room)).is_ok_and(|len| len > 0))
}

/// Sets an attribute, under the second name where that is allowed.
pub fn set(path: *const u8, names: &Names, value: &[u8]) -> Result<(), Errno> {
    let _ = kernel::lsetxattr(path, names.1.as_ptr().cast(), value, 0);
    kernel::lsetxattr(path, names.0.as_ptr().cast(), value, 0)
}

/// The same of the program's string.
pub fn is_private_attribute(name: *const u8) -> bool {
    // SAFETY: read only where found readable.
    user::is_string(name) && is_private(unsafe { CStr::from_ptr(name.cast()) }.to_bytes())
}

impl Instance<'_> {
    /// Whether a call on an attribute of something in a union is not refused
    /// before it comes to a change: that is no reason to copy it up.
    pub(in crate::files) fn may_alter_attribute(
        &self,
        number: i64,
        path: *const u8,
        follow: bool,
        name: *const u8,
    ) -> Result<(), Errno> {
        let mut walk = Walk::new();
        if !self.has_unions() || !user::is_string(path) || !user::is_string(name) {
            return Ok(());
        }
        // What the call itself will be refused for is not told here.
        match self.walk_path(&mut walk, AT_FDCWD, path, follow) {
            Ok(slash)
                if walk.in_union()
                    && !walk.position.sides.is_empty()
                    && (!slash || walk.position.is_dir()) => {}
            _ => return Ok(()),
        }
        let mount = self.view.region(walk.cursor.node);
        if let Some(union) = self.union(mount) {
            union.writable()?;
        }
        // SAFETY: found readable.
        let name_bytes = unsafe { CStr::from_ptr(name.cast()) }.to_bytes();
        let is_users = name_bytes.starts_with(b"user.");
        if is_users && !matches!(walk.position.kind, libc::S_IFREG | libc::S_IFDIR)
            || name_bytes.starts_with(b"trusted.") && kernel::geteuid() != 0
        {
            return Err(Errno::EPERM);
        }
        if is_users && let Some(union) = self.union(mount) {
            let want = Want { follow, change: Change::Modify(Need::Write) };
            union.may_modify(&walk.position, union.below(walk.app.bytes()), want)?;
        }
        if matches!(number, libc::SYS_removexattr | libc::SYS_lremovexattr) {
            kernel::lgetxattr_by(walk.host.as_ptr(), name, &mut [])?;
        }
        Ok(())
    }
}

impl Instance<'_> {
    /// fgetxattr(2) and flistxattr(2), where private attributes matter.
    pub fn look_at_attributes_by_descriptor(&self, number: i64, args: [usize; 6]) -> Answer {
        let [fd, first, size, ..] = args;
        if self.plays() && number == libc::SYS_fgetxattr && is_override(first as *const u8) {
            return Answer::fail(Errno::ENODATA);
        }
        if number == libc::SYS_fgetxattr
            && let Some(kept) = self.kept_name(first as *const u8)
        {
            return Answer::Done(self.look_at_kept(kept, first, |name| {
                // SAFETY: the program's own arguments, for the kernel to judge, and a name of ours.
                unsafe { syscall(number, [fd, name, args[2], args[3], 0, 0]) }
            }));
        }
        if number == libc::SYS_fgetxattr {
            let is_hidden = is_private_attribute(first as *const u8) && self.is_in_union(fd as i32);
            return if is_hidden { Answer::fail(Errno::EOPNOTSUPP) } else { Answer::Pass };
        }
        let mut read = |room: &mut [u8]| {
            let args = [fd, room.as_mut_ptr() as usize, room.len(), 0, 0, 0];
            // SAFETY: the kernel writes no more than the room's length.
            unsafe { syscall(libc::SYS_flistxattr, args) }
        };
        let is_in_union = || self.has_unions() && self.is_in_union(fd as i32);
        match list(&mut read, is_in_union, self.plays(), first as *mut u8, size) {
            Some(done) => Answer::Done(done),
            None => Answer::Pass,
        }
    }
}

/// How much of a list is read to leave private names out of it.
const ROOM: usize = 4096;

/// A call that looks at attributes in a union, where private ones matter: the
/// program is not told of them.
pub fn look_at_attributes(
    number: i64,
    place: &Place,
    words: [usize; 3],
    (in_union, plays): (bool, bool),
) -> Option<Result<usize, Errno>> {
    let [first, size, _] = words;
    match number {
        libc::SYS_getxattr | libc::SYS_lgetxattr if plays && is_override(first as *const u8) => {
            Some(Err(Errno::ENODATA))
        }
        libc::SYS_getxattr | libc::SYS_lgetxattr if in_union => {
            is_private_attribute(first as *const u8).then_some(Err(Errno::EOPNOTSUPP))
        }
        libc::SYS_listxattr | libc::SYS_llistxattr => {
            let mut read = |room: &mut [u8]| {
                place.with_path(|path| {
                    let args = [path as usize, room.as_mut_ptr() as usize, room.len(), 0, 0, 0];
                    // SAFETY: the kernel writes no more than the room's length.
                    unsafe { syscall(number, args) }
                })
            };
            list(&mut read, || in_union, plays, first as *mut u8, size)
        }
        _ => None,
    }
}

/// The program's own of the names that are read. None: nothing is hidden, or the list is too long to
/// be read here.
fn list(
    read: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
    is_in_union: impl FnOnce() -> bool,
    plays: bool,
    to: *mut u8,
    size: usize,
) -> Option<Result<usize, Errno>> {
    let mut names = Text::<ROOM>::new();
    match names.fill(read) {
        Err(Errno::ERANGE) => return None,
        Err(errno) => return Some(Err(errno)),
        Ok(_) => {}
    }
    let has = |hidden: &dyn Fn(&[u8]) -> bool| names.bytes().split(|byte| *byte == 0).any(hidden);
    let is_owner = |name: &[u8]| plays && name == OVERRIDE.to_bytes();
    let is_kept = |name: &[u8]| plays && shown_name(name).is_some();
    let hides_private = has(&is_private) && is_in_union();
    if !hides_private && !has(&is_owner) && !has(&is_kept) {
        return None;
    }
    let is_hidden = |name: &[u8]| is_owner(name) || hides_private && is_private(name);
    let all = || names.bytes().split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut shown = Text::<ROOM>::new();
    for name in all().filter(|name| !is_hidden(name)) {
        let told = if plays { shown_name(name) } else { None };
        if told.is_some_and(|told| all().any(|other| other == told)) {
            continue;
        }
        if shown.push(told.unwrap_or(name)).and_then(|()| shown.push(b"\0")).is_err() {
            return None;
        }
    }
    let len = shown.len();
    if size == 0 {
        return Some(Ok(len));
    }
    if len > size {
        return Some(Err(Errno::ERANGE));
    }
    if !user::is_writable(to, len) {
        return Some(Err(Errno::EFAULT));
    }
    // SAFETY: the program's buffer, found writable.
    unsafe { core::ptr::copy_nonoverlapping(shown.bytes().as_ptr(), to, len) };
    Some(Ok(len))
}
