//! Mounts that a program makes itself: mount(2), umount(2), pivot_root(2) and their kin.
//!
//! They are the kernel's, in the mount namespace that the program is in, as under chroot(2): the paths mean the host's files
//! behind the app's. In a union the kernel could mount on one side of a directory alone, and could show one alone elsewhere, so that
//! is refused with `EPERM` but for what lies in the write layer as a whole. What a program may not write to in its view it
//! may not bind elsewhere either (`EROFS`), since it could write to it there.

use core::ffi::CStr;

use super::lexical::Look;
use super::place::{Change, Need, Scratch, Want};
use super::union::forget_answers;
use crate::kernel::{AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance};

/// A path and the descriptor that it is relative to.
type Given = (i32, *const u8);

/// What the kernel is to do with a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Look at it.
    Looked,
    /// Mount something on it.
    Target,
    /// Mount it elsewhere too.
    Source,
}

/// Flags of mount(2) that change how mounts are told of each other's.
const PROPAGATION: usize =
    (libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE) as usize;

impl Instance<'_> {
    /// Makes a change to what is mounted, also for other processes.
    pub fn remounting(&self, change: impl FnOnce() -> Answer) -> Answer {
        forget_answers();
        self.forget_directories();
        let answer = change();
        self.forget_directories();
        answer
    }

    /// mount(2)
    pub fn mount(&self, args: [usize; 5]) -> Answer {
        let [source, target, _, flags, _] = args;
        let (source, target) = (source as *const u8, target as *const u8);
        let is_new = flags & (libc::MS_REMOUNT as usize | PROPAGATION) == 0;
        let is_bind = is_new && flags & (libc::MS_BIND | libc::MS_MOVE) as usize != 0;
        // The mount at the root of the app's tree is the kernel's own.
        if flags & PROPAGATION != 0 && is_root(target) {
            return Answer::Pass;
        }
        let role = if is_new { Role::Target } else { Role::Looked };
        let (mut from, mut to) = (Scratch::new(), Scratch::new());
        let places = self.place_of((AT_FDCWD, target), true, role, &mut to).and_then(|to| {
            let from = if is_bind {
                self.place_of((AT_FDCWD, source), true, Role::Source, &mut from)?
            } else {
                // A device, or any word: what it means depends on the file system.
                self.place_of((AT_FDCWD, source), true, Role::Looked, &mut from).unwrap_or(None)
            };
            Ok((from, to))
        });
        let (from, to) = match places {
            Ok((None, None)) => return Answer::Pass,
            Ok((from, to)) => (from.unwrap_or(source), to.unwrap_or(target)),
            Err(errno) => return Answer::fail(errno),
        };
        // SAFETY: the program's own arguments, but for the paths.
        Answer::Done(unsafe {
            syscall(libc::SYS_mount, [from as usize, to as usize, args[2], flags, args[4], 0])
        })
    }

    /// umount2(2)
    pub fn umount(&self, target: *const u8, flags: i32) -> Answer {
        let follow = flags & libc::UMOUNT_NOFOLLOW == 0;
        self.on_place((AT_FDCWD, target), follow, Role::Looked, |_, path| {
            // SAFETY: the kernel only reads the path.
            unsafe { syscall(libc::SYS_umount2, [path as usize, flags as usize, 0, 0, 0, 0]) }
        })
    }

    /// pivot_root(2)
    pub fn pivot_root(&self, new_root: *const u8, put_old: *const u8) -> Answer {
        let mut scratch = Scratch::new();
        let old = match self.place_of((AT_FDCWD, put_old), true, Role::Target, &mut scratch) {
            Ok(old) => old,
            Err(errno) => return Answer::fail(errno),
        };
        let pivot = |path: *const u8| {
            let args = [path as usize, old.unwrap_or(put_old) as usize, 0, 0, 0, 0];
            // SAFETY: the kernel only reads the paths.
            unsafe { syscall(libc::SYS_pivot_root, args) }
        };
        match self.on_place((AT_FDCWD, new_root), true, Role::Looked, |_, path| pivot(path)) {
            Answer::Pass if old.is_some() => Answer::Done(pivot(new_root)),
            answer => answer,
        }
    }

    /// open_tree(2)
    pub fn open_tree(&self, given: Given, flags: u32) -> Answer {
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0;
        let role = if flags & libc::OPEN_TREE_CLONE != 0 { Role::Source } else { Role::Looked };
        self.on_place(given, follow, role, |dirfd, path| {
            // SAFETY: the kernel only reads the path.
            unsafe { syscall(libc::SYS_open_tree, [dirfd as usize, path as usize, flags as usize, 0, 0, 0]) }
        })
    }

    /// move_mount(2)
    pub fn move_mount(&self, from: Given, to: Given, flags: u32) -> Answer {
        const F_SYMLINKS: u32 = 1;
        const T_SYMLINKS: u32 = 0x10;
        let mut scratch = [Scratch::new(), Scratch::new()];
        let [first, second] = &mut scratch;
        let places = self.place_of(from, flags & F_SYMLINKS != 0, Role::Looked, first).and_then(|source| {
            Ok((source, self.place_of(to, flags & T_SYMLINKS != 0, Role::Target, second)?))
        });
        let given = |place: Option<*const u8>, given: Given| place.map_or(given, |path| (AT_FDCWD, path));
        match places {
            Ok((None, None)) => Answer::Pass,
            Ok((source, target)) => {
                let (from, to) = (given(source, from), given(target, to));
                let args =
                    [from.0 as usize, from.1 as usize, to.0 as usize, to.1 as usize, flags as usize, 0];
                // SAFETY: the kernel only reads the paths.
                Answer::Done(unsafe { syscall(libc::SYS_move_mount, args) })
            }
            Err(errno) => Answer::fail(errno),
        }
    }

    /// mount_setattr(2), fspick(2): `words` come after the path.
    pub fn at_mount(&self, nr: i64, given: Given, flags: u32, words: [usize; 3]) -> Answer {
        const FSPICK_SYMLINK_NOFOLLOW: u32 = 2;
        let no_follow =
            if nr == libc::SYS_fspick { FSPICK_SYMLINK_NOFOLLOW } else { libc::AT_SYMLINK_NOFOLLOW as u32 };
        if nr == libc::SYS_mount_setattr && is_root(given.1) {
            return Answer::Pass;
        }
        self.on_place(given, flags & no_follow == 0, Role::Looked, |dirfd, path| {
            let args = [dirfd as usize, path as usize, words[0], words[1], words[2], 0];
            // SAFETY: the program's own arguments, but for the path.
            unsafe { syscall(nr, args) }
        })
    }

    /// swapon(2), swapoff(2), acct(2): a file that the kernel goes on to write to.
    pub fn at_kernels_file(&self, nr: i64, path: *const u8, flags: usize) -> Answer {
        if path.is_null() {
            return Answer::Pass;
        }
        self.on_place((AT_FDCWD, path), true, Role::Source, |_, path| {
            // SAFETY: the kernel only reads the path.
            unsafe { syscall(nr, [path as usize, flags, 0, 0, 0, 0]) }
        })
    }

    fn on_place(
        &self,
        given: Given,
        follow: bool,
        role: Role,
        call: impl FnOnce(i32, *const u8) -> Result<usize, Errno>,
    ) -> Answer {
        let mut scratch = Scratch::new();
        match self.place_of(given, follow, role, &mut scratch) {
            Ok(None) => Answer::Pass,
            Ok(Some(path)) => Answer::Done(call(AT_FDCWD, path)),
            Err(errno) => Answer::fail(errno),
        }
    }

    /// The host path that the kernel is to be given. None: the path itself will do.
    fn place_of(
        &self,
        (dirfd, path): Given,
        follow: bool,
        role: Role,
        scratch: &mut Scratch,
    ) -> Result<Option<*const u8>, Errno> {
        let is_named = crate::user::is_string(path) && {
            // SAFETY: a readable string.
            unsafe { *path != 0 }
        };
        let look = Want::LOOK.following(follow);
        if !is_named || matches!(self.look_up(dirfd, path, look), Look::Untouched | Look::Boundary(_)) {
            return Ok(None);
        }
        if role != Role::Looked {
            self.make_whole((dirfd, path), follow, true)?;
        }
        let want =
            if role == Role::Source { Want { follow, change: Change::Modify(Need::Nothing) } } else { look };
        self.host_path(dirfd, path, want, scratch)
    }
}

/// Whether a path is the root's, by its letters.
fn is_root(path: *const u8) -> bool {
    // SAFETY: read only where found to be a string, and no further than that is.
    crate::user::is_string(path) && unsafe { CStr::from_ptr(path.cast()) } == c"/"
}
