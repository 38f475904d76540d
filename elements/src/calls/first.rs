//! The first look at a call: most calls of most programs look at files that no mount has to do with, and the way of
//! those is to be short.
//!
//! It says nothing that [`Instance::call`] would not say. A door may ask it before, and then go on from where it has come to.

use super::{Args, int, opened_at_last, p};
use crate::files::{Glance, Start};
use crate::kernel::AT_FDCWD;
use crate::{Answer, Instance};

/// What [`Instance::first_look`] at a call tells.
#[derive(Clone, Copy)]
pub enum FirstLook {
    /// It looks at a file that the view has nothing to do with, or that is as the kernel says: it is to be made
    /// as it was asked.
    Elsewhere,
    /// openat(2) of such a file: what it has opened is to be told of ([`Instance::opened`]).
    OpensElsewhere {
        /// The call's flags.
        flags: i32,
    },
    /// openat(2) of such a file that is hardly a directory: its descriptor is to be told of ([`note_open`]).
    OpensFile,
    /// It takes a closer look, [`Instance::look_closer_from`] here.
    Closer(Start),
}

impl Instance<'_> {
    /// The first look at a call that looks at a file, or opens one, before any other: the way of most calls of most
    /// programs is to be short. None: it is another call, or one of which more is to be said than of what file it is.
    #[inline(always)]
    pub fn first_look(&self, number: i64, args: &Args) -> Option<FirstLook> {
        let [first, second, third, ..] = *args;
        let (dirfd, path, elsewhere) = match number {
            libc::SYS_openat => (first as i32, second, FirstLook::OpensElsewhere { flags: third as i32 }),
            libc::SYS_newfstatat | libc::SYS_statx => (first as i32, second, FirstLook::Elsewhere),
            libc::SYS_readlinkat | libc::SYS_faccessat | libc::SYS_faccessat2 => {
                (first as i32, second, FirstLook::Elsewhere)
            }
            libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink => {
                (AT_FDCWD, first, FirstLook::Elsewhere)
            }
            _ => return None,
        };
        if self.adds_to_looks() {
            return None;
        }
        let glance = match self.glance(dirfd, p(path)) {
            // Perhaps since nobody has looked at its page: the long way is for paths that take one.
            Glance::Closer(start) if start.is_anew() => {
                self.second_glance(dirfd, p(path), start).unwrap_or(Glance::Closer(start))
            }
            glance => glance,
        };
        match glance {
            Glance::Elsewhere => Some(elsewhere),
            Glance::Closer(start) => {
                let in_base = if start.is_anew() { looks_at_link(number, args) } else { None };
                let in_base = in_base.filter(|_| self.is_of_base(dirfd, p(path)));
                Some(in_base.unwrap_or(FirstLook::Closer(start)))
            }
        }
    }

    /// [`Instance::call`] from a [`FirstLook::Closer`] on. None: that has to begin anew.
    #[inline(always)]
    pub fn look_closer_from(&self, number: i64, args: &Args, start: Start) -> Option<Answer> {
        let [first, second, third, fourth, fifth, _] = *args;
        let follow = libc::AT_SYMLINK_NOFOLLOW;
        Some(match number {
            libc::SYS_newfstatat if fourth as i32 == libc::AT_EMPTY_PATH && !self.traces() => {
                self.fstatat_of_file(first as i32, p(second), third as *mut _, start)
            }
            libc::SYS_newfstatat => self.stat_from((first as i32, second), third, fourth as i32, start),
            // What is known by another file's number takes more.
            libc::SYS_statx if !self.has_copies() => {
                let what = (third as i32, fourth as u32);
                self.statx_closer(first as i32, p(second), what, fifth as *mut _, start)
            }
            libc::SYS_stat => self.stat_from((AT_FDCWD, first), second, 0, start),
            libc::SYS_lstat => self.stat_from((AT_FDCWD, first), second, follow, start),
            libc::SYS_openat => self.open_from((first as i32, second), third as i32, fourth as u32, start),
            libc::SYS_access => self.access_from((AT_FDCWD, first), second as i32, start),
            libc::SYS_faccessat => self.access_from((first as i32, second), third as i32, start),
            libc::SYS_readlink => self.read_link_from((AT_FDCWD, first), second, third, start),
            libc::SYS_readlinkat => self.read_link_from((first as i32, second), third, fourth, start),
            _ => return None,
        })
    }

    #[inline(never)]
    fn stat_from(&self, (dirfd, path): (i32, usize), stat: usize, flags: i32, start: Start) -> Answer {
        self.fstatat_from(dirfd, p(path), stat as *mut _, flags, start)
    }

    #[inline(never)]
    fn open_from(&self, (dirfd, path): (i32, usize), flags: i32, mode: u32, start: Start) -> Answer {
        let answer = self.openat_from(dirfd, p(path), flags, mode, start);
        opened_at_last(self, answer, (dirfd, p(path)), flags, mode)
    }

    #[inline(never)]
    fn access_from(&self, (dirfd, path): (i32, usize), mode: i32, start: Start) -> Answer {
        self.faccessat_from(dirfd, p(path), mode, 0, start)
    }

    #[inline(never)]
    fn read_link_from(&self, (dirfd, path): (i32, usize), buf: usize, size: usize, start: Start) -> Answer {
        self.readlinkat_from(dirfd, p(path), buf as *mut u8, int(size), start)
    }

    /// Whether a program is told more of a file than the kernel tells, or may look at less.
    #[inline(always)]
    fn adds_to_looks(&self) -> bool {
        self.view.flags() & view::flags::CREDENTIALS != 0 || self.view.has_time()
    }
}

/// What a call is that follows no link in the last place, where the kernel is right about all that comes before it.
/// None: it may follow one, or does more than to look or to read.
#[inline(always)]
fn looks_at_link(number: i64, &[_, _, third, fourth, ..]: &Args) -> Option<FirstLook> {
    let flags = match number {
        libc::SYS_newfstatat => fourth,
        libc::SYS_statx => third,
        libc::SYS_lstat | libc::SYS_readlink | libc::SYS_readlinkat => return Some(FirstLook::Elsewhere),
        libc::SYS_openat => return reads_file(third as i32).then_some(FirstLook::OpensFile),
        _ => return None,
    };
    (flags as i32 & libc::AT_SYMLINK_NOFOLLOW != 0).then_some(FirstLook::Elsewhere)
}

/// Whether openat(2) is to read a file, and not what a link leads to. A directory is asked for as such, where paths will
/// begin at it.
#[inline(always)]
fn reads_file(flags: i32) -> bool {
    const OTHER: i32 =
        libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_DIRECTORY | libc::O_PATH | libc::O_NOFOLLOW;
    flags & OTHER == libc::O_NOFOLLOW
}
