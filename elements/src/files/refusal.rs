//! What the kernel refuses for the words of a call, whatever its path leads to.
//!
//! It says so before it looks at the path, and so do we: a call that is refused changes nothing, and in a union a look
//! at the path may be followed by a copy. The words are those of the man page of each call.

use super::place::{Place, Want};
use super::scan;
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance, user};

/// The longest name of an attribute (`XATTR_NAME_MAX`).
const ATTRIBUTE_NAME: usize = 255;
/// The largest value of an attribute (`XATTR_SIZE_MAX`).
const ATTRIBUTE_SIZE: usize = 64 * 1024;
/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Holds the flags of a call against those that it knows.
pub(super) fn flags_are_known(flags: i32, known: i32) -> Result<(), Errno> {
    if flags & !known == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// newfstatat(2) and statx(2)
pub(super) fn may_stat(flags: i32, mask: u32) -> Result<(), Errno> {
    const SYNC: i32 = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
    const KNOWN: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | SYNC;
    if flags & SYNC == SYNC || mask & libc::STATX__RESERVED as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    flags_are_known(flags, KNOWN)
}

/// faccessat2(2)
pub(super) fn may_access(mode: i32, flags: i32) -> Result<(), Errno> {
    const KNOWN: i32 = libc::AT_EACCESS | libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 {
        return Err(Errno::EINVAL);
    }
    flags_are_known(flags, KNOWN)
}

/// mknodat(2)
pub(super) fn may_make(mode: u32) -> Result<(), Errno> {
    match mode & libc::S_IFMT {
        0 | libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK | libc::S_IFCHR | libc::S_IFBLK => Ok(()),
        libc::S_IFDIR => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether a file of somebody else's may be linked, if one may write to it: it is regular, and runs as nobody.
pub(super) fn may_be_linked(mode: u32) -> bool {
    const AS_GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;
    mode & libc::S_IFMT == libc::S_IFREG && mode & libc::S_ISUID == 0 && mode & AS_GROUP != AS_GROUP
}

/// Whether this kernel refuses links to files of others (`protected_hardlinks` in proc_sys_fs(5)).
#[cold]
pub(super) fn links_are_protected() -> bool {
    let Ok(file) = kernel::open_at_once(c"/proc/sys/fs/protected_hardlinks".as_ptr().cast()) else {
        return false;
    };
    let mut told = [0];
    let read = kernel::read(file, &mut told);
    kernel::close(file);
    read == Ok(1) && told == *b"1"
}

/// Whether chown(2) takes bits of a file's mode away, whoever it is given to.
pub(super) fn loses_bits(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFREG
        && (mode & libc::S_ISUID != 0
            || mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP)
}

/// symlinkat(2), of a link's text.
pub(super) fn may_link_to(target: *const u8) -> Result<(), Errno> {
    // SAFETY: read only where found readable.
    match user::is_string(target).then(|| unsafe { scan::length(target) }) {
        None => Err(Errno::EFAULT),
        Some(0) => Err(Errno::ENOENT),
        Some(_) => Ok(()),
    }
}

/// truncate(2), setxattr(2), removexattr(2) and their kin: the words after the path.
pub(super) fn may_alter(nr: i64, [first, _, size, flags]: [usize; 4]) -> Result<(), Errno> {
    match nr {
        libc::SYS_truncate if (first as i64) < 0 => return Err(Errno::EINVAL),
        libc::SYS_truncate => return Ok(()),
        libc::SYS_setxattr | libc::SYS_lsetxattr => {
            flags_are_known(flags as i32, libc::XATTR_CREATE | libc::XATTR_REPLACE)?;
        }
        _ => {}
    }
    attribute_has_name(first as *const u8)?;
    let is_set = matches!(nr, libc::SYS_setxattr | libc::SYS_lsetxattr);
    if is_set && size > ATTRIBUTE_SIZE { Err(Errno::E2BIG) } else { Ok(()) }
}

/// Whether a string can be the name of an attribute.
pub(super) fn attribute_has_name(name: *const u8) -> Result<(), Errno> {
    if !user::is_string(name) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable.
    match unsafe { scan::length(name) } {
        1..=ATTRIBUTE_NAME => Ok(()),
        _ => Err(Errno::ERANGE),
    }
}

/// What utimensat(2) makes of its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Times {
    /// Both are left as they are: the path is not looked at.
    Nothing,
    /// One of them is none; that is said of a file that is there.
    Wrong,
    /// Both are to be those of now, for which it is enough to be allowed to write.
    Now,
    /// Anything else.
    Set,
}

impl Times {
    /// Reads the program's times.
    pub(super) fn read(times: *const libc::timespec) -> Result<Times, Errno> {
        if times.is_null() {
            return Ok(Times::Now);
        }
        if !user::is_readable(times.cast(), 2 * size_of::<libc::timespec>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: found readable.
        let nanoseconds =
            unsafe { times.cast::<[libc::timespec; 2]>().read_unaligned() }.map(|time| time.tv_nsec);
        Ok(match nanoseconds {
            [libc::UTIME_OMIT, libc::UTIME_OMIT] => Times::Nothing,
            [libc::UTIME_NOW, libc::UTIME_NOW] => Times::Now,
            both if both.iter().all(|one| {
                (0..SECOND).contains(one) || matches!(*one, libc::UTIME_NOW | libc::UTIME_OMIT)
            }) =>
            {
                Times::Set
            }
            _ => Times::Wrong,
        })
    }
}

impl Instance<'_> {
    /// Refuses a change for what is said of a file that is there, and changes nothing.
    #[cold]
    pub(super) fn refused(
        &self,
        nr: i64,
        (dirfd, path): (i32, *const u8),
        follow: bool,
        why: Errno,
    ) -> Answer {
        let look = |place: &Place| {
            let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
            kernel::fstatat(place.dirfd, place.path, flags)?;
            Err(why)
        };
        match self.at(nr, dirfd, path, Want::LOOK.following(follow), look) {
            Answer::Pass => Answer::Done(look(&Place::new(dirfd, path, 0, None))),
            done => done,
        }
    }

    /// Whether linkat(2) may give the file of a descriptor a name (`AT_EMPTY_PATH`): the kernel's word, by a link
    /// to a name that there is.
    pub(super) fn may_link_descriptor(&self, fd: i32) -> Result<(), Errno> {
        let taken = (AT_FDCWD, c"/".as_ptr().cast());
        match kernel::linkat((fd, c"".as_ptr().cast()), taken, libc::AT_EMPTY_PATH) {
            Err(Errno::EEXIST) => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(first: i64, second: i64) -> Times {
        let times = [first, second].map(|tv_nsec| libc::timespec { tv_sec: 1, tv_nsec });
        Times::read(times.as_ptr()).expect("they can be read")
    }

    #[test]
    fn times_are_now_set_left_or_wrong() {
        assert_eq!(Times::read(core::ptr::null()), Ok(Times::Now));
        assert_eq!(read(libc::UTIME_NOW, libc::UTIME_NOW), Times::Now);
        assert_eq!(read(libc::UTIME_OMIT, libc::UTIME_OMIT), Times::Nothing);
        for (first, second) in [(0, 999_999_999), (libc::UTIME_NOW, libc::UTIME_OMIT), (7, libc::UTIME_NOW)] {
            assert_eq!(read(first, second), Times::Set);
        }
        for (first, second) in [(-1, 0), (0, SECOND), (libc::UTIME_OMIT - 1, libc::UTIME_NOW)] {
            assert_eq!(read(first, second), Times::Wrong);
        }
    }

    #[test]
    fn a_device_is_made_and_a_directory_is_not() {
        assert_eq!(may_make(0o644), Ok(()));
        assert_eq!(may_make(libc::S_IFCHR | 0o644), Ok(()));
        assert_eq!(may_make(libc::S_IFDIR), Err(Errno::EPERM));
        assert_eq!(may_make(libc::S_IFLNK), Err(Errno::EINVAL));
    }

    #[test]
    fn an_attribute_has_a_name_of_some_length() {
        let long = [b"user.".as_slice(), &[b'x'; 251], b"\0"].concat();
        let longest = [b"user.".as_slice(), &[b'x'; 250], b"\0"].concat();
        assert_eq!(attribute_has_name(longest.as_ptr()), Ok(()));
        assert_eq!(attribute_has_name(long.as_ptr()), Err(Errno::ERANGE));
        assert_eq!(attribute_has_name(c"".as_ptr().cast()), Err(Errno::ERANGE));
    }
}
