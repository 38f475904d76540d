//! What a descriptor of a read-only mount does not let a program change: mode,
//! owner, times, attributes. Its bytes are safe, since it was not opened to write.

use core::ffi::CStr;

use view::{Access, Kind};

use super::namei::Walk;
use super::owners::{Own, is_access_list, is_override};
use super::place::{Change, Need, Place};
use super::refusal::{Times, attribute_has_name};
use super::text::Text;
use super::union::is_private_attribute;
use super::{MAX_PATH, Want, scan};
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// fchmod(2), fchown(2), futimens(3), fsetxattr(2), fremovexattr(2): passes
    /// but for a descriptor of a read-only mount. One that was opened to write
    /// is of no such mount, and costs no look at its path.
    fn change_by_descriptor(&self, number: i64, args: [usize; 6]) -> Answer {
        let fd = args[0] as i32;
        let reads = kernel::status_flags(fd)
            .is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_PATH == 0);
        if !reads {
            return Answer::Pass;
        }
        if self.is_protected_descriptor(fd) {
            return Answer::fail(Errno::EROFS);
        }
        // It may be a directory's, which is never opened to write.
        let gives_rights = matches!(
            number,
            libc::SYS_fchmod | libc::SYS_fchown | libc::SYS_fsetxattr | libc::SYS_fremovexattr
        );
        if !gives_rights || !self.has_unions() {
            return Answer::Pass;
        }
        // SAFETY: the program's own arguments, for the kernel to judge, and perhaps a name of ours.
        Answer::Done(self.changing_rights(|| unsafe { kernel::syscall(number, args) }))
    }

    /// The same, of a call that is given whole. One that means a file in a layer that never
    /// changes goes to the file's copy.
    pub fn modify_by_descriptor(&self, number: i64, mut args: [usize; 6]) -> Answer {
        let fd = args[0] as i32;
        let is_attribute = matches!(number, libc::SYS_fsetxattr | libc::SYS_fremovexattr);
        if is_attribute
            && self.has_unions()
            && is_private_attribute(args[1] as *const u8)
            && self.is_in_union(fd)
        {
            return Answer::fail(Errno::EOPNOTSUPP);
        }
        if self.plays() {
            let what = match number {
                libc::SYS_fchmod => Some(Own::Mode(args[1] as u32)),
                libc::SYS_fchown => Some(Own::Owner(args[1] as u32, args[2] as u32)),
                _ => None,
            };
            if let Some(what) = what {
                return self.own_descriptor(fd, what, false);
            }
            if is_attribute && is_override(args[1] as *const u8) {
                return Answer::fail(Errno::EOPNOTSUPP);
            }
            if is_attribute && is_access_list(args[1] as *const u8) && !self.is_layers_own(fd) {
                let done = match self.change_by_descriptor(number, args) {
                    // SAFETY: the program's own arguments, for the kernel to judge.
                    Answer::Pass => unsafe { kernel::syscall(number, args) },
                    Answer::Done(done) => done,
                };
                let here = (fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH);
                return Answer::Done(self.after_list(here, done));
            }
        }
        let mut kept = if is_attribute { self.kept_name(args[1] as *const u8) } else { None };
        if kept.is_none()
            && let Err(errno) = self.may_modify_file(fd, changed_by(number, [args[1], args[2]]))
        {
            return Answer::fail(errno);
        }
        if let Some(kept) = &mut kept {
            args = match self.kept_by_descriptor(number, kept, args) {
                Ok(args) => args,
                Err(errno) => return Answer::fail(errno),
            };
        }
        let modified = self.modify_in_union(number, args, false);
        match modified.unwrap_or_else(|| self.change_by_descriptor(number, args)) {
            // SAFETY: the program's own arguments, for the kernel to judge, and a name of ours.
            Answer::Pass if kept.is_some() => Answer::Done(unsafe { kernel::syscall(number, args) }),
            answer => answer,
        }
    }

    /// Makes a call that changes what a descriptor stands for, if that lies in a layer
    /// of a union that never changes. The descriptor is the first of `args`;
    /// where the call takes a path too, that is left out. `may_be_path` where the call takes a descriptor that
    /// was opened with `O_PATH`.
    #[inline(never)]
    pub(super) fn modify_in_union(&self, number: i64, args: [usize; 6], may_be_path: bool) -> Option<Answer> {
        const SYS_FCHMODAT2: i64 = 452;
        let [fd, a, b, c, d, _] = args;
        let fd = fd as i32;
        if matches!(number, libc::SYS_fsetxattr | libc::SYS_fremovexattr)
            && self.layers_own_file(fd).is_some_and(|mount| mount.access == Access::ReadWrite)
            && !is_path(fd)
            && let Err(errno) = may_have_attribute(number, fd, a as *const u8)
        {
            // That is no reason for a copy.
            return Some(Answer::fail(errno));
        }
        let want = Want { follow: false, change: changed_by(number, [a, b]) };
        let done = self.on_copy(fd, may_be_path, want, &mut |place| {
            let (here, path) = (place.dirfd as usize, place.path as usize);
            let no_follow = libc::AT_SYMLINK_NOFOLLOW as usize;
            let (number, args) = match number {
                libc::SYS_fchmod | SYS_FCHMODAT2 => (libc::SYS_fchmodat, [here, path, a, 0, 0, 0]),
                libc::SYS_fchown | libc::SYS_fchownat => {
                    (libc::SYS_fchownat, [here, path, a, b, no_follow, 0])
                }
                libc::SYS_fsetxattr => (libc::SYS_lsetxattr, [path, a, b, c, d, 0]),
                libc::SYS_fremovexattr => (libc::SYS_lremovexattr, [path, a, 0, 0, 0, 0]),
                libc::SYS_futimesat => (libc::SYS_futimesat, [here, path, a, 0, 0, 0]),
                _ => (libc::SYS_utimensat, [here, path, a, no_follow, 0, 0]),
            };
            // SAFETY: the program's pointers, for the kernel to judge.
            unsafe { kernel::syscall(number, args) }
        })?;
        Some(Answer::Done(done))
    }

    /// Makes a change on the copy of what a descriptor stands for, if that lies in a layer of
    /// a union that never changes.
    pub(super) fn on_copy(
        &self,
        fd: i32,
        may_be_path: bool,
        want: Want,
        change: &mut dyn FnMut(&Place) -> Result<usize, Errno>,
    ) -> Option<Result<usize, Errno>> {
        let mut app = Text::<MAX_PATH>::new();
        let found = self.name_in_layers(fd, &mut app)?;
        if !may_be_path && is_path(fd) {
            return Some(Err(Errno::EBADF));
        }
        Some(found.and_then(|_| self.change_union((AT_FDCWD, app.as_ptr()), want, change)))
    }

    /// The app path of what a descriptor stands for, and its mount, if that lies in a layer of a union that never
    /// changes.
    pub(super) fn name_in_layers(&self, fd: i32, app: &mut Text<MAX_PATH>) -> Option<Result<u32, Errno>> {
        if !self.has_unions() {
            return None;
        }
        let mut host = Text::<MAX_PATH>::new();
        if !read_descriptor(fd, &mut host) {
            return None;
        }
        let mount = self.layers_own(host.bytes())?;
        if let Err(errno) = self.reverse(host.bytes(), app) {
            return Some(Err(errno));
        }
        let mut walk = Walk::new();
        let below = app.bytes().get(mount.at.len()..).unwrap_or(&[]);
        let host = host.bytes();
        if self.walk_union(&mut walk, mount.id, below).is_ok() && self.is_at(&mut walk, host) {
            return Some(Ok(mount.id));
        }
        if self.walk_to_moved(&mut walk, host, &|walk| self.is_at(walk, host)).is_err() {
            // It has been taken away since, or renamed to where nobody finds it.
            return Some(Err(Errno::ESTALE));
        }
        app.truncate(0);
        Some(app.push(walk.app.bytes()).map(|()| mount.id))
    }

    /// Whether a descriptor stands for something in a layer of a union.
    pub(super) fn is_in_union(&self, fd: i32) -> bool {
        let mut host = Text::<MAX_PATH>::new();
        read_descriptor(fd, &mut host) && self.region_of_layer(host.bytes()).kind == Kind::Layers
    }

    /// The union that has a host path in a layer which never changes.
    pub(super) fn layers_own(&self, host: &[u8]) -> Option<view::Mount<'_>> {
        let mount = self.region_of_layer(host);
        (mount.kind == Kind::Layers && !self.is_in_write_layer(mount.id, host)).then_some(mount)
    }

    /// The mount that a host path is behind.
    fn region_of_layer(&self, host: &[u8]) -> view::Mount<'_> {
        let mut node = self.view.host_root();
        for name in scan::components(host) {
            let Some(child) = self.view.child(node, name) else { break };
            node = child;
        }
        self.view.mount(self.view.region(node))
    }

    /// Whether a descriptor stands for something in such a layer.
    pub(super) fn is_layers_own(&self, fd: i32) -> bool {
        self.layers_own_file(fd).is_some()
    }

    /// The union in which a descriptor stands for something in such a layer.
    fn layers_own_file(&self, fd: i32) -> Option<view::Mount<'_>> {
        let mut host = Text::<MAX_PATH>::new();
        if self.has_unions() && read_descriptor(fd, &mut host) { self.layers_own(host.bytes()) } else { None }
    }

    /// Whether read-only mounts alone show what a descriptor stands for.
    pub(super) fn is_protected_descriptor(&self, fd: i32) -> bool {
        let mut host = Text::<MAX_PATH>::new();
        if !read_descriptor(fd, &mut host) {
            return false;
        }
        let view = &self.view;
        let mut node = view.host_root();
        let mut access = None;
        for name in scan::components(host.bytes()) {
            let Some(child) = view.child(node, name) else { break };
            node = child;
            if view.is_mount_point(child) {
                access = Some(view.mount(view.region(child)).access);
            }
        }
        // The tree gives one mount of several.
        let shown_by = |mount: view::Mount<'_>| {
            mount.kind == Kind::Host
                && mount.access == Access::ReadWrite
                && host.bytes().strip_prefix(mount.source).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        access == Some(Access::ReadOnly) && !view.mounts().any(shown_by)
    }
}

/// Whether a descriptor was opened with `O_PATH`.
fn is_path(fd: i32) -> bool {
    kernel::status_flags(fd).is_ok_and(|flags| flags & libc::O_PATH != 0)
}

/// Whether a file can carry an attribute, and has it where it is to be taken away.
fn may_have_attribute(number: i64, fd: i32, name: *const u8) -> Result<(), Errno> {
    attribute_has_name(name)?;
    let stat = kernel::fstatat(fd, c"".as_ptr().cast(), libc::AT_EMPTY_PATH)?;
    // SAFETY: found readable.
    let is_users = unsafe { CStr::from_ptr(name.cast()) }.to_bytes().starts_with(b"user.");
    if is_users && !matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR) {
        return Err(Errno::EPERM);
    }
    match kernel::fgetxattr(fd, name, &mut []) {
        Err(errno @ Errno::ENODATA) if number == libc::SYS_fremovexattr => Err(errno),
        _ => Ok(()),
    }
}

/// What a call on a descriptor changes, by its first words.
fn changed_by(number: i64, [first, second]: [usize; 2]) -> Change {
    const SYS_FCHMODAT2: i64 = 452;
    match number {
        libc::SYS_fchmod | SYS_FCHMODAT2 => Change::Mode,
        libc::SYS_fsetxattr | libc::SYS_fremovexattr => Change::Modify(Need::Write),
        libc::SYS_utimensat if Times::read(first as *const _) == Ok(Times::Now) => {
            Change::Modify(Need::OwnerOrWrite)
        }
        libc::SYS_futimesat if first == 0 => Change::Modify(Need::OwnerOrWrite),
        libc::SYS_fchown | libc::SYS_fchownat if [first as u32, second as u32] == [u32::MAX; 2] => {
            Change::Modify(Need::Nothing)
        }
        _ => Change::Modify(Need::Owner),
    }
}

/// Reads the host path of what a descriptor stands for. False: it has none.
fn read_descriptor(fd: i32, host: &mut Text<MAX_PATH>) -> bool {
    let mut link = Text::<32>::new();
    let named = link.push(b"/proc/self/fd/").and_then(|()| link.push_decimal(fd.unsigned_abs()));
    fd >= 0
        && named.is_ok()
        && host.read(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room)).is_ok()
        && host.bytes().first() == Some(&b'/')
}
