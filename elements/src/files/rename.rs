//! Calls that take two paths: rename and link.
//!
//! Two mounts are two file systems to a program, whatever lies behind them:
//! between them the answer is `EXDEV`, as between the kernel's own. What we
//! answer ourselves is answered in the kernel's order: the directories of both
//! names, then their mounts, then the names.

use view::Kind;

use super::lexical::Look;
use super::magic::is_magic;
use super::place::{self, Place, Scratch, Want};
use crate::kernel::{self, syscall};
use crate::{Answer, Errno, Instance};

const RENAME_FLAGS: u32 = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
const LINK_FLAGS: i32 = libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH;

/// A path and the descriptor that it is relative to, as the program gave them.
type Given = (i32, *const u8);

/// One end of a rename or link: what to hand to the kernel for it.
struct End {
    place: Place,
    /// Whether a mount point is or lies below what the path names.
    busy: bool,
}

impl Instance<'_> {
    /// renameat2(2)
    pub fn renameat2(&self, old: Given, new: Given, flags: u32) -> Answer {
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        if flags & !RENAME_FLAGS != 0 || (exchange && flags != libc::RENAME_EXCHANGE) {
            return Answer::fail(Errno::EINVAL);
        }
        // The kernel reads both before it looks at either.
        if !crate::user::is_string(old.1) || !crate::user::is_string(new.1) {
            return Answer::fail(Errno::EFAULT);
        }
        let look = |(dirfd, path)| self.look_up(dirfd, path, Want::LOOK_AT_LINK);
        match (look(old), look(new)) {
            (Look::Untouched, Look::Untouched) => Answer::Pass,
            (from, to) => Answer::Done(self.rename_places((old, from), (new, to), flags)),
        }
    }

    #[inline(never)]
    fn rename_places(
        &self,
        (old, from): (Given, Look),
        (new, to): (Given, Look),
        flags: u32,
    ) -> Result<usize, Errno> {
        let mut scratch = (Scratch::new(), Scratch::new());
        let (mut mounts, mut dots) = ([0; 2], [false; 2]);
        for (index, given) in [old, new].into_iter().enumerate() {
            if let (Some(mount), Some(dot)) = (mounts.get_mut(index), dots.get_mut(index)) {
                *dot = ends_in_dots(given.1);
                *mount = if *dot { self.mount_of_directory(given)? } else { 0 };
            }
        }
        let from = self.end(old, from, false, &mut scratch.0)?;
        let to = self.end(new, to, false, &mut scratch.1)?;
        for ((mount, dot), end) in mounts.iter_mut().zip(dots).zip([&from, &to]) {
            if !dot {
                *mount = self.mount_above(end);
            }
        }
        let [old_mount, new_mount] = mounts;
        let read_only = self.view.mount(old_mount).access == view::Access::ReadOnly;
        if old_mount != new_mount || dots != [false; 2] || from.busy || to.busy || read_only {
            place::parent_exists(&from.place)?;
            place::parent_exists(&to.place)?;
            let keeps = flags & libc::RENAME_NOREPLACE != 0;
            return Err(match (old_mount == new_mount, dots) {
                (false, _) => Errno::EXDEV,
                (_, [true, _]) => Errno::EBUSY,
                (_, [_, true]) => {
                    if keeps {
                        Errno::EEXIST
                    } else {
                        Errno::EBUSY
                    }
                }
                _ if read_only => Errno::EROFS,
                _ if !place::exists(&from.place) => Errno::ENOENT,
                _ if keeps && place::exists(&to.place) => Errno::EEXIST,
                _ => Errno::EBUSY,
            });
        }
        let (from, to) = (&from.place, &to.place);
        // A directory that moves takes its name away from those below it.
        let stat = kernel::fstatat(from.dirfd, from.path, libc::AT_SYMLINK_NOFOLLOW)?;
        let moves_directory = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let forget = moves_directory || flags & libc::RENAME_EXCHANGE != 0;
        let args =
            [from.dirfd as usize, from.path as usize, to.dirfd as usize, to.path as usize, flags as usize, 0];
        if forget {
            self.forget_directories();
        }
        // SAFETY: the kernel only reads the strings.
        let done = unsafe { syscall(libc::SYS_renameat2, args) };
        if forget {
            self.forget_directories();
        }
        done
    }

    /// linkat(2)
    pub fn linkat(&self, old: Given, new: Given, flags: i32) -> Answer {
        if flags & !LINK_FLAGS != 0 {
            return Answer::fail(Errno::EINVAL);
        }
        if !crate::user::is_string(old.1) || !crate::user::is_string(new.1) {
            return Answer::fail(Errno::EFAULT);
        }
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let from = self.look_up(old.0, old.1, Want::LOOK.following(follow));
        let to = self.look_up(new.0, new.1, Want::CREATE);
        if matches!((&from, &to), (Look::Untouched | Look::Boundary(_), Look::Untouched | Look::Boundary(_)))
        {
            return Answer::Pass;
        }
        Answer::Done(self.link_places((old, from), (new, to), flags))
    }

    #[inline(never)]
    fn link_places(
        &self,
        (old, from): (Given, Look),
        (new, to): (Given, Look),
        flags: i32,
    ) -> Result<usize, Errno> {
        let mut scratch = (Scratch::new(), Scratch::new());
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        // SAFETY: found readable.
        let unnamed = flags & libc::AT_EMPTY_PATH != 0 && unsafe { *old.1 } == 0;
        let from = self.end(old, from, follow, &mut scratch.0)?;
        // A file without a name (O_TMPFILE, by descriptor or by /proc) has no
        // mount of its own here: the kernel sees to it.
        // SAFETY: a place's path is a string that ends in NUL.
        let host = unsafe { core::ffi::CStr::from_ptr(from.place.path.cast()) }.to_bytes();
        let nowhere = self.view.mount(from.place.mount).kind == Kind::Pass || is_magic(host);
        let anywhere = unnamed || (follow && nowhere && names_descriptor(old.1));
        if !anywhere {
            let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
            kernel::fstatat(from.place.dirfd, from.place.path, flags)?;
        }
        let to = self.end(new, to, false, &mut scratch.1)?.place;
        if self.view.mount(to.mount).kind != Kind::Pass {
            self.refuse(&to, Want::CREATE)?;
        }
        if !anywhere && from.place.mount != to.mount {
            place::parent_exists(&to)?;
            return Err(if place::exists(&to) { Errno::EEXIST } else { Errno::EXDEV });
        }
        let from = &from.place;
        let args =
            [from.dirfd as usize, from.path as usize, to.dirfd as usize, to.path as usize, flags as usize, 0];
        // SAFETY: the kernel only reads the strings.
        unsafe { syscall(libc::SYS_linkat, args) }
    }

    fn end(
        &self,
        (dirfd, path): Given,
        look: Look,
        follow: bool,
        scratch: &mut Scratch,
    ) -> Result<End, Errno> {
        let boundary = matches!(look, Look::Boundary(_));
        let place = self.place(dirfd, path, look, Want::LOOK.following(follow), scratch)?;
        let place = place.unwrap_or_else(|| Place::new(dirfd, path, 0, None));
        Ok(End { busy: boundary || place.node.is_some(), place })
    }

    /// The mount of the directory that an end's name is in.
    fn mount_above(&self, end: &End) -> u32 {
        match end.place.node {
            Some(node) if self.view.is_mount_point(node) => self.view.region(self.view.parent(node)),
            _ => end.place.mount,
        }
    }

    /// The mount of the directory that stands before a path's last component.
    fn mount_of_directory(&self, (dirfd, path): Given) -> Result<u32, Errno> {
        // SAFETY: a string that has been read up to its NUL.
        let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let named = path.get(..end).unwrap_or(&[]);
        let start = named.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let mut directory = Scratch::new();
        directory.push(named.get(..start).unwrap_or(&[]))?;
        directory.push(if path.first() == Some(&b'/') && start == 0 { b"/" } else { b"." })?;
        let mut scratch = Scratch::new();
        let look = self.look_up(dirfd, directory.as_ptr(), Want::LOOK);
        let place = self.place(dirfd, directory.as_ptr(), look, Want::LOOK, &mut scratch)?;
        Ok(place.map_or(0, |place| place.mount))
    }
}

/// Whether a path's last component is no name: `.`, `..` or the root.
fn ends_in_dots(path: *const u8) -> bool {
    // SAFETY: a string that has been read up to its NUL.
    let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
    let last = path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty());
    match last {
        Some(name) => matches!(name, b"." | b".."),
        None => !path.is_empty(),
    }
}

/// Whether a path names an open file by its descriptor.
fn names_descriptor(path: *const u8) -> bool {
    // SAFETY: a string that has been read up to its NUL.
    let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
    path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/")
}
