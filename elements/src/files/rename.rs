//! Calls that take two paths: rename and link.
//!
//! Two mounts are two file systems to a program, whatever lies behind them:
//! between them the answer is `EXDEV`, as between the kernel's own.

use super::lexical::Look;
use super::place::{Change, Place, Scratch, Want};
use crate::kernel::syscall;
use crate::{Answer, Errno, Instance};

/// One end of a rename or link.
enum End {
    /// In the host's own tree: the path as it was given.
    Host,
    /// In a mount.
    Mapped(Place),
}

impl Instance<'_> {
    /// renameat2(2)
    pub fn renameat2(
        &self,
        (old_dir, old): (i32, *const u8),
        (new_dir, new): (i32, *const u8),
        flags: u32,
    ) -> Answer {
        // The kernel reads both before it looks at either.
        if !crate::user::is_string(old) || !crate::user::is_string(new) {
            return Answer::fail(Errno::EFAULT);
        }
        let want = Want { follow: false, change: Change::None };
        let looks = (self.look_up(old_dir, old, want), self.look_up(new_dir, new, want));
        match looks {
            (Look::Untouched, Look::Untouched) => Answer::Pass,
            (Look::Boundary, _) | (_, Look::Boundary) => Answer::fail(Errno::EBUSY),
            (from, to) => Answer::Done(self.rename_places((old_dir, old, from), (new_dir, new, to), flags)),
        }
    }

    #[inline(never)]
    fn rename_places(
        &self,
        (old_dir, old, from): (i32, *const u8, Look),
        (new_dir, new, to): (i32, *const u8, Look),
        flags: u32,
    ) -> Result<usize, Errno> {
        let mut scratch = (Scratch::new(), Scratch::new());
        let from = self.end(old_dir, old, from, false, &mut scratch.0)?;
        let to = self.end(new_dir, new, to, false, &mut scratch.1)?;
        if self.mount_above(&from) != self.mount_above(&to) {
            return Err(Errno::EXDEV);
        }
        for end in [&from, &to] {
            if let End::Mapped(place) = end {
                if place.node.is_some() {
                    return Err(Errno::EBUSY);
                }
                let exchanges = flags & libc::RENAME_EXCHANGE != 0;
                if self.view.mount(place.mount).access == view::Access::ReadOnly || exchanges {
                    self.refuse(place, Want { follow: false, change: Change::Remove(Errno::EBUSY) })?;
                }
            }
        }
        let (old_dir, old) = from.or((old_dir, old));
        let (new_dir, new) = to.or((new_dir, new));
        // A directory that moves takes its name away from those below it.
        let moves_directory = crate::kernel::fstatat(old_dir, old, libc::AT_SYMLINK_NOFOLLOW)?.st_mode
            & libc::S_IFMT
            == libc::S_IFDIR;
        let exchanges = flags & libc::RENAME_EXCHANGE != 0;
        let args = [old_dir as usize, old as usize, new_dir as usize, new as usize, flags as usize, 0];
        if moves_directory || exchanges {
            self.forget_directories();
        }
        // SAFETY: the kernel only reads the strings.
        let done = unsafe { syscall(libc::SYS_renameat2, args) };
        if moves_directory || exchanges {
            self.forget_directories();
        }
        done
    }

    /// linkat(2)
    pub fn linkat(
        &self,
        (old_dir, old): (i32, *const u8),
        (new_dir, new): (i32, *const u8),
        flags: i32,
    ) -> Answer {
        if !crate::user::is_string(old) || !crate::user::is_string(new) {
            return Answer::fail(Errno::EFAULT);
        }
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let from = self.look_up(old_dir, old, Want::LOOK.following(follow));
        let to = self.look_up(new_dir, new, Want::CREATE);
        if matches!((&from, &to), (Look::Untouched | Look::Boundary, Look::Untouched | Look::Boundary)) {
            return Answer::Pass;
        }
        // SAFETY: found readable.
        let unnamed = flags & libc::AT_EMPTY_PATH != 0 && unsafe { *old } == 0;
        Answer::Done(self.link_places((old_dir, old, from), (new_dir, new, to), flags, unnamed))
    }

    fn link_places(
        &self,
        (old_dir, old, from): (i32, *const u8, Look),
        (new_dir, new, to): (i32, *const u8, Look),
        flags: i32,
        unnamed: bool,
    ) -> Result<usize, Errno> {
        let mut scratch = (Scratch::new(), Scratch::new());
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let from = self.end(old_dir, old, from, follow, &mut scratch.0)?;
        let to = self.end(new_dir, new, to, false, &mut scratch.1)?;
        if let End::Mapped(place) = &to {
            self.refuse(place, Want::CREATE)?;
        }
        // A file without a name (O_TMPFILE, by descriptor or by /proc) has no
        // mount of its own here: the kernel sees to it.
        let anywhere = unnamed || (follow && matches!(from, End::Host) && names_descriptor(old));
        if !anywhere && self.mount_above(&from) != self.mount_above(&to) {
            return Err(Errno::EXDEV);
        }
        let (old_dir, old) = from.or((old_dir, old));
        let (new_dir, new) = to.or((new_dir, new));
        let args = [old_dir as usize, old as usize, new_dir as usize, new as usize, flags as usize, 0];
        // SAFETY: the kernel only reads the strings.
        unsafe { syscall(libc::SYS_linkat, args) }
    }

    fn end(
        &self,
        dirfd: i32,
        path: *const u8,
        look: Look,
        follow: bool,
        scratch: &mut Scratch,
    ) -> Result<End, Errno> {
        let want = Want::LOOK.following(follow);
        Ok(self.place(dirfd, path, look, want, scratch)?.map_or(End::Host, End::Mapped))
    }

    /// The mount of the directory that an end's name is in.
    fn mount_above(&self, end: &End) -> u32 {
        match end {
            End::Host => 0,
            End::Mapped(place) => match place.node {
                Some(node) if self.view.is_mount_point(node) => self.view.region(self.view.parent(node)),
                _ => place.mount,
            },
        }
    }
}

/// Whether a path names an open file by its descriptor.
fn names_descriptor(path: *const u8) -> bool {
    if !crate::user::is_string(path) {
        return false;
    }
    // SAFETY: a readable string.
    let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
    path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/")
}

impl End {
    fn or(&self, given: (i32, *const u8)) -> (i32, *const u8) {
        match self {
            End::Host => given,
            End::Mapped(place) => (place.dirfd, place.path),
        }
    }
}
