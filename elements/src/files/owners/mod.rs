//! Owners, groups and modes that the kernel knows nothing of.
//!
//! A file's record is kept in an extended attribute, as fuse-overlayfs writes it, where the file can carry
//! one: it goes with the file when that is renamed, linked and copied, and ends with it. Symbolic
//! links, FIFOs, sockets and files of others have theirs in the book ([`crate::shared::owners`]).
//! A file without a record is the starter's where it is the host user's.
//!
//! [`record`] is the text of the attribute; here records are found and kept; [`change`] is
//! chown(2) and chmod(2), [`made`] what is made, [`may`] who may do what ([`search`] keeps some of it); [`attributes`] are what else only root
//! may say of a file.

mod acl;
mod attributes;
mod change;
mod made;
mod may;
mod open;
mod record;
mod search;

pub(super) use acl::is_access_list;
pub(super) use attributes::shown_name;
pub(super) use change::Own;
pub(super) use made::Target;
pub(crate) use record::{OVERRIDE, is_override};

use super::present::About;
use super::text::Text;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::owners::{Bare, Book, Record};
use crate::{Errno, Instance};

/// How a file has been reached that a record is looked for.
#[derive(Clone, Copy)]
pub(super) enum Reached {
    /// By a descriptor.
    File(i32),
    /// By a path of the program's, with flags of newfstatat(2).
    Path(i32, *const u8, i32),
    /// By a host path.
    Place(i32, *const u8, i32),
}

/// What has come from elsewhere brings records that are in no book of ours.
pub(super) const FOREIGN: u32 = view::flags::LAYERS | view::flags::VOLUMES;

const EMPTY: *const u8 = c"".as_ptr().cast();

/// A descriptor of ours for the while.
struct Opened(i32);

impl Drop for Opened {
    fn drop(&mut self) {
        kernel::close(self.0);
    }
}

/// The path by which a descriptor's file is reached, whatever it is.
fn by_number(file: i32) -> Result<Text<40>, Errno> {
    let mut text = Text::new();
    // A thread may have descriptors of its own.
    text.push(b"/proc/thread-self/fd/")?;
    text.push_decimal(file.unsigned_abs())?;
    Ok(text)
}

fn open_place(dirfd: i32, path: *const u8, flags: i32) -> Result<Opened, Errno> {
    let follow = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { libc::O_NOFOLLOW } else { 0 };
    kernel::openat(dirfd, path, libc::O_PATH | libc::O_CLOEXEC | follow, 0).map(Opened)
}

/// Whether a string of the program's is empty.
pub(super) fn is_empty(path: *const u8) -> bool {
    // SAFETY: read only where found readable.
    crate::user::is_readable(path, 1) && unsafe { *path } == 0
}

/// Whether a kind of file carries attributes of a user's.
fn carries(kind: u32) -> bool {
    matches!(kind, libc::S_IFREG | libc::S_IFDIR)
}

impl Instance<'_> {
    /// The record of a file, which the kernel has said `about`.
    #[cold]
    #[inline(never)]
    pub(super) fn record(&self, about: &About, reached: Reached) -> Option<Record> {
        match reached {
            Reached::File(fd) => self.record_of(about, fd),
            Reached::Path(fd, path, flags) | Reached::Place(fd, path, flags)
                if flags & libc::AT_EMPTY_PATH != 0 && is_empty(path) =>
            {
                if fd == AT_FDCWD {
                    let file = open_place(AT_FDCWD, c".".as_ptr().cast(), 0).ok()?;
                    return self.record_of(about, file.0);
                }
                self.record_of(about, fd)
            }
            Reached::Place(dirfd, path, flags) => {
                let file = open_place(dirfd, path, flags).ok()?;
                self.record_of(about, file.0)
            }
            Reached::Path(dirfd, path, flags) => {
                let mut scratch = super::Scratch::new();
                let host = self.host_path(dirfd, path, Self::want_to_look(flags), &mut scratch).ok()?;
                let file = match host {
                    Some(host) => open_place(AT_FDCWD, host, flags | libc::AT_SYMLINK_NOFOLLOW),
                    None => open_place(dirfd, path, flags),
                };
                self.record_of(about, file.ok()?.0)
            }
        }
    }

    /// The record of a descriptor's file. What is found is kept for the next one who asks, where
    /// the file is the one that was asked for.
    fn record_of(&self, about: &About, file: i32) -> Option<Record> {
        let now = kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH).ok().map(|stat| About::of(&stat))?;
        let found = self.read_record(now.kind(), now.version.inode, file);
        // A directory of a union is known by another of its sides.
        let is_it = now.version == about.version
            || about.kind() == libc::S_IFDIR && now.version.changed == about.version.changed;
        if let Some(shared) = self.shared.filter(|_| is_it) {
            shared.owners.set(&about.version, found);
        }
        found
    }

    fn read_record(&self, kind: u32, inode: u64, file: i32) -> Option<Record> {
        let mut value = [0; 128];
        if carries(kind)
            && let Ok(mut path) = by_number(file)
            && let Ok(len) = kernel::getxattr(path.as_ptr(), OVERRIDE, &mut value)
            && let Some(record) = record::parse(value.get(..len).unwrap_or(&[]))
        {
            return Some(record);
        }
        let book = self.book.filter(|book| book.has_records() && book.may_have(inode))?;
        book.get(&bare(file)?)
    }

    /// Keeps a record of a descriptor's file, of which the kernel says `about`; or takes it away, where
    /// the file would be shown so without one.
    ///
    /// # Errors
    ///
    /// `ENOSPC` where there is no room for it.
    fn keep_record(&self, file: i32, about: &About, record: &Record) -> Result<(), Errno> {
        let starter = self.starter().ok_or(Errno::EPERM)?;
        let mut bare_one = *about;
        if about.uid == starter.host_uid {
            bare_one.uid = starter.uid;
        }
        if about.gid == starter.host_gid {
            bare_one.gid = starter.gid;
        }
        let mut wanted = *about;
        wanted.put(record);
        let is_own = about.uid == starter.host_uid;
        let mut path = by_number(file)?;
        if wanted == bare_one {
            self.forget_record(file, about);
        } else {
            let book = self.book.ok_or(Errno::ENOSPC)?;
            book.expect(about.version.inode);
            if about.kind() == libc::S_IFDIR && record.mode & libc::S_ISGID != 0 {
                book.set_hands_on();
            }
            let mut text = Text::<128>::new();
            record::write(record, about.kind(), &mut text)?;
            let is_written = is_own
                && carries(about.kind())
                && kernel::setxattr(path.as_ptr(), OVERRIDE.as_ptr().cast(), text.bytes(), 0).is_ok();
            if !is_written {
                let bare = bare(file).ok_or(Errno::ENOSPC)?;
                if !book.set(&bare, record) {
                    return Err(Errno::ENOSPC);
                }
            }
        }
        if let (Some(shared), Ok(stat)) = (self.shared, kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH)) {
            let record = (wanted != bare_one).then_some(*record);
            shared.owners.set(&About::of(&stat).version, record);
        }
        Ok(())
    }

    fn forget_record(&self, file: i32, about: &About) {
        if self.book.is_some_and(|book| !book.may_have(about.version.inode))
            && self.view.flags() & FOREIGN == 0
        {
            return;
        }
        if carries(about.kind())
            && let Ok(mut path) = by_number(file)
        {
            let _ = kernel::removexattr(path.as_ptr(), OVERRIDE);
        }
        if let Some(book) = self.book.filter(|book| book.has_records())
            && let Some(bare) = bare(file)
        {
            book.remove(&bare);
        }
    }

    /// Forgets what the book has of a name that is about to be taken away: gives what to
    /// forget once it is gone.
    pub(super) fn record_of_removed(&self, dirfd: i32, path: *const u8) -> Option<(&Book, Bare)> {
        let book = self.book.filter(|book| book.has_records())?;
        let stat = kernel::fstatat(dirfd, path, libc::AT_SYMLINK_NOFOLLOW).ok()?;
        if stat.st_nlink > 1 && stat.st_mode & libc::S_IFMT != libc::S_IFDIR || !book.may_have(stat.st_ino) {
            return None;
        }
        let file = open_place(dirfd, path, libc::AT_SYMLINK_NOFOLLOW).ok()?;
        Some((book, bare(file.0)?))
    }
}

/// What a file is known by in the book.
fn bare(file: i32) -> Option<Bare> {
    let about = kernel::birth(file).ok()?;
    let is_known = about.stx_mask & libc::STATX_BTIME != 0;
    let made = if is_known { (about.stx_btime.tv_sec, about.stx_btime.tv_nsec) } else { (0, 0) };
    Some(Bare { inode: about.stx_ino, made })
}
