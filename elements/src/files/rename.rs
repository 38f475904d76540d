//! Calls that take two paths: rename and link.
//!
//! Two mounts are two file systems to a program, whatever lies behind them:
//! between them the answer is `EXDEV`, as between the kernel's own. What we
//! answer ourselves is answered in the kernel's order: the directories of both
//! names, then their mounts, then the names.

use view::{Kind, Node};

use super::allow::{exists, parent_exists};
use super::lexical::Look;
use super::magic::is_magic;
use super::place::{Place, Scratch, Want};
use super::text::Text;
use crate::kernel::{self, AT_FDCWD, syscall};
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
        self.forget_rights();
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        if flags & !RENAME_FLAGS != 0 || (exchange && flags != libc::RENAME_EXCHANGE) {
            return Answer::fail(Errno::EINVAL);
        }
        // The kernel reads both before it looks at either.
        if !crate::user::is_string(old.1) || !crate::user::is_string(new.1) {
            return Answer::fail(Errno::EFAULT);
        }
        if is_empty(old.1) || is_empty(new.1) {
            return Answer::fail(Errno::ENOENT);
        }
        let may = self
            .may_change_name(old, true)
            .and_then(|()| self.may_change_name(new, true))
            .and_then(|()| self.may_change_name(new, false));
        if let Err(errno) = may {
            return Answer::fail(errno);
        }
        if let Some(done) = self.rename_at_once(old, new, flags) {
            return Answer::Done(done);
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
        let dots = [ends_in_dots(old.1), ends_in_dots(new.1)];
        let mut ends = [None, None];
        let mut mounts = [0; 2];
        if dots.contains(&true) {
            self.directory_of(old)?;
        }
        let looks = [(old, from, &mut scratch.0), (new, to, &mut scratch.1)];
        for (((given, look, scratch), dot), (end, mount)) in
            looks.into_iter().zip(dots).zip(ends.iter_mut().zip(&mut mounts))
        {
            if dot {
                *mount = self.mount_of_directory(given)?;
            } else {
                let found = end.insert(self.end(given, look, (false, true), scratch)?);
                *mount = self.mount_above(found);
            }
        }
        let [old_mount, new_mount] = mounts;
        let keeps = flags & libc::RENAME_NOREPLACE != 0;
        let read_only = self.view.mount(old_mount).access == view::Access::ReadOnly;
        let [Some(from), Some(to)] = ends else {
            self.directory_of(old)?;
            self.directory_of(new)?;
            return Err(match dots {
                _ if old_mount != new_mount => Errno::EXDEV,
                [false, true] if keeps => Errno::EEXIST,
                _ => Errno::EBUSY,
            });
        };
        if old_mount != new_mount || from.busy || to.busy || read_only {
            self.directory_of(old)?;
            self.directory_of(new)?;
            return Err(match old_mount == new_mount {
                false => Errno::EXDEV,
                _ if read_only => Errno::EROFS,
                _ if !exists(&from.place) => Errno::ENOENT,
                _ if keeps && exists(&to.place) => Errno::EEXIST,
                _ => Errno::EBUSY,
            });
        }
        let (from, to) = (&from.place, &to.place);
        if self.is_layered(from) {
            return self.rename_in_union(old, new, flags);
        }
        // A directory that moves takes its name away from those below it.
        let moves_directory = match kernel::fstatat(from.dirfd, from.path, libc::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat.st_mode & libc::S_IFMT == libc::S_IFDIR,
            // Of a link and a slash that is said of what the link leads to.
            Err(_) if from.ends_in_slash() => true,
            Err(errno) => {
                // Both directories are looked at before either name.
                parent_exists(from)?;
                parent_exists(to)?;
                return Err(errno);
            }
        };
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
        if is_empty(old.1) && flags & libc::AT_EMPTY_PATH == 0 || is_empty(new.1) {
            return Answer::fail(Errno::ENOENT);
        }
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let may_link = || {
            let may = if is_empty(old.1) { Ok(()) } else { self.may_link(old, follow) };
            may.or_else(|errno| if self.is_there(new.0, new.1, false) { Ok(()) } else { Err(errno) })
        };
        if let Err(errno) = may_link().and_then(|()| self.may_change_name(new, false)) {
            return Answer::fail(errno);
        }
        let from = self.look_up(old.0, old.1, Want::LOOK.following(follow));
        let to = self.look_up(new.0, new.1, Want::CREATE);
        if matches!((&from, &to), (Look::Untouched | Look::Boundary(_), Look::Untouched | Look::Boundary(_)))
            && !(self.has_unions() && flags & libc::AT_EMPTY_PATH != 0)
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
        let unnamed = flags & libc::AT_EMPTY_PATH != 0 && is_empty(old.1);
        let mut app = Text::new();
        if unnamed && let Some(found) = self.name_in_layers(old.0, &mut app) {
            // A second name for a layer's file would be a way to change it: the copy has one.
            found?;
            self.may_link_descriptor(old.0)?;
            let old = (AT_FDCWD, app.as_ptr());
            let from = self.look_up(old.0, old.1, Want::LOOK_AT_LINK);
            return self.link_places((old, from), (new, to), 0);
        }
        let from = self.end(old, from, (follow, false), &mut scratch.0)?;
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
        let to = self.end(new, to, (false, true), &mut scratch.1)?.place;
        let to_union = self.is_layered(&to);
        if self.view.mount(to.mount).kind != Kind::Pass && !to_union {
            self.refuse(&to, Want::CREATE)?;
        }
        if !anywhere && from.place.mount != to.mount {
            parent_exists(&to)?;
            return Err(if exists(&to) { Errno::EEXIST } else { Errno::EXDEV });
        }
        let from = &from.place;
        let link = |from: (i32, *const u8), to: &Place, flags: i32| {
            let args =
                [from.0 as usize, from.1 as usize, to.dirfd as usize, to.path as usize, flags as usize, 0];
            // SAFETY: the kernel only reads the strings.
            unsafe { syscall(libc::SYS_linkat, args) }
        };
        if to_union && anywhere {
            return self.change_union(new, Want::CREATE, &mut |to| link((from.dirfd, from.path), to, flags));
        }
        if to_union {
            return self
                .link_in_union((old, follow), new, &mut |from, to| link((from.dirfd, from.path), to, 0));
        }
        link((from.dirfd, from.path), &to, flags)
    }

    fn end(
        &self,
        (dirfd, path): Given,
        look: Look,
        (follow, may_be_new): (bool, bool),
        scratch: &mut Scratch,
    ) -> Result<End, Errno> {
        let boundary = matches!(look, Look::Boundary(_));
        let in_union = match look {
            // A name that nothing has yet is no place to look at in a union.
            Look::Mapped { node, .. } if may_be_new && self.view.node(node).is_some_and(Node::is_layered) => {
                Some(self.walk_to_name(dirfd, path, scratch)?).filter(|place| self.is_layered(place))
            }
            Look::Walk if may_be_new && self.has_unions() => {
                Some(self.walk_to_name(dirfd, path, scratch)?).filter(|place| self.is_layered(place))
            }
            _ => None,
        };
        let want = if may_be_new { Want::NAME } else { Want::LOOK.following(follow) };
        let place = match in_union {
            None => self.place(dirfd, path, look, want, scratch)?,
            found => found,
        };
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
    fn mount_of_directory(&self, given: Given) -> Result<u32, Errno> {
        self.directory_of(given).map(|mount| mount.unwrap_or(0))
    }

    /// The same; none where no mount is involved. The directory must exist, and is looked at.
    pub(super) fn directory_of(&self, (dirfd, path): Given) -> Result<Option<u32>, Errno> {
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
        let Some(place) = place else {
            kernel::fstatat(dirfd, directory.as_ptr(), 0)?;
            return Ok(None);
        };
        kernel::fstatat(place.dirfd, place.path, 0)?;
        Ok(Some(place.mount))
    }
}

/// Whether a path that has been found readable is empty.
fn is_empty(path: *const u8) -> bool {
    // SAFETY: a string that has been read up to its NUL.
    unsafe { *path == 0 }
}

/// Whether a path's last component is no name: `.`, `..` or the root.
pub(super) fn ends_in_dots(path: *const u8) -> bool {
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
