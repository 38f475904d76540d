//! Copy-up: what a layer below has gets a copy in the write layer, to be changed.
//!
//! The copy is made where nobody looks, and put in place by one call, with its
//! contents, owner, mode, attributes and times as they were. A file is made
//! without a name, so that a crash leaves nothing; other kinds are drafts in the
//! work directory. Whoever is second finds the name taken, and the first one's
//! copy is as good.

use super::super::MAX_PATH;
use super::super::owners::Target;
use super::super::place::Scratch;
use super::super::text::Text;
use super::spot::{Spot, by_number};
use super::upper::Times;
use super::{LOST, Position, Union, parent, xattr};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::copies::Identity;

/// How much of a file's contents is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Data {
    /// All.
    All,
    /// None: it is about to be emptied.
    None,
}

/// How much is copied by hand at once.
const CHUNK: usize = 16 * 1024;
/// How much the kernel is asked to copy at once, so that a signal is not kept waiting.
const PIECE: u64 = 64 << 20;

impl Union<'_> {
    /// Gives what is at a position a copy in the write layer, unless it has one.
    ///
    /// # Errors
    ///
    /// `ENOENT` where nothing is there, `EROFS` where there is no write layer,
    /// and what stands in the way of the copy.
    #[inline(never)]
    pub(super) fn copy_up(&self, at: &Position, below: &[u8], data: Data) -> Result<(), Errno> {
        let top = self.writable()?;
        if at.sides.has(top) {
            return Ok(());
        }
        let from = at.sides.highest().ok_or(Errno::ENOENT)?;
        let mut spot = Spot::new();
        self.hold(&mut spot, at, below)?;
        let mut source = Scratch::new();
        let source = self.host_path(from, at.path_in(self, from, below), &mut source)?;
        let stat = kernel::fstatat(AT_FDCWD, source.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        let times = spot.keep_times()?;
        let is_dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if is_dir {
            self.may_copy_directory(&stat)?;
            self.instance.forget_directories();
        }
        let known_by =
            if at.identity().is_some() { Identity::of(&self.stat(at, below)?) } else { Identity::of(&stat) };
        let mut copy = |spot: &mut Spot| match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => self.copy_file(source, (&stat, known_by), spot, data),
            _ => self.copy_other(source, (&stat, known_by), spot),
        };
        let done = match copy(&mut spot) {
            // What the program may do to a file does not depend on whether it may
            // change the directory that the file is in.
            Err(Errno::EACCES) => with_room(&mut spot, &mut copy),
            done => done,
        };
        if is_dir {
            self.instance.forget_directories();
        }
        if let Some(times) = times {
            spot.restore_times(&times);
        }
        match done {
            Err(Errno::EEXIST) => Ok(()),
            // The directory itself has been taken away.
            Err(Errno::ENOENT) => Err(LOST),
            done => done,
        }
    }

    /// Whether a directory may get its side. It must keep its owner, and others must be told.
    ///
    /// # Errors
    ///
    /// `EACCES` in another user's process.
    fn may_copy_directory(&self, stat: &libc::stat) -> Result<(), Errno> {
        let keeps_owner = self.directories().is_some() && stat.st_uid == kernel::geteuid();
        if self.shared().is_some() || keeps_owner { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// A regular file. It has no name until it is whole.
    fn copy_file(
        &self,
        source: &mut Scratch,
        (stat, known_by): (&libc::stat, Identity),
        spot: &mut Spot,
        data: Data,
    ) -> Result<(), Errno> {
        const READ: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let from = match data {
            Data::None => None,
            // A layer keeps its times, if this user may leave them.
            Data::All => Some(match kernel::openat(AT_FDCWD, source.as_ptr(), READ | libc::O_NOATIME, 0) {
                Err(Errno::EPERM) => kernel::openat(AT_FDCWD, source.as_ptr(), READ, 0)?,
                opened => opened?,
            }),
        };
        let mut draft = Scratch::new();
        let opened = self.open_draft(&mut draft);
        let done =
            opened.and_then(|(to, is_named)| {
                let done =
                    from.map_or(Ok(()), |from| copy_data(from, to, stat.st_size as u64))
                        .and_then(|()| Copy::File(to).take_attributes(source, stat))
                        .and_then(|mode| {
                            self.keep_origin(&mut Copy::File(to), stat, known_by)?;
                            Copy::File(to).take_mode(mode, stat)
                        })
                        .and_then(|()| self.instance.carry_record(source, Target::File(to)))
                        .and_then(|()| {
                            if is_named { self.publish(&mut draft, spot) } else { publish_file(to, spot) }
                        });
                kernel::close(to);
                if is_named && done.is_err() {
                    let _ = kernel::unlinkat(AT_FDCWD, draft.as_ptr(), 0);
                }
                done
            });
        if let Some(from) = from {
            kernel::close(from);
        }
        done
    }

    /// A file for a copy, and whether it has a name, as it must on a file
    /// system that has none without.
    fn open_draft(&self, draft: &mut Scratch) -> Result<(i32, bool), Errno> {
        self.draft_path(draft)?;
        let mut work = Scratch::new();
        work.push(parent(draft.bytes()))?;
        let flags = libc::O_RDWR | libc::O_CLOEXEC;
        match kernel::openat(AT_FDCWD, work.as_ptr(), flags | libc::O_TMPFILE, 0o600) {
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT) => {}
            opened => return opened.map(|file| (file, false)),
        }
        let flags = flags | libc::O_CREAT | libc::O_EXCL;
        kernel::openat(AT_FDCWD, draft.as_ptr(), flags, 0o600).map(|file| (file, true))
    }

    /// A directory, a link, or a special file.
    fn copy_other(
        &self,
        source: &mut Scratch,
        (stat, known_by): (&libc::stat, Identity),
        spot: &mut Spot,
    ) -> Result<(), Errno> {
        let mut draft = Scratch::new();
        let draft = self.draft_path(&mut draft)?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => kernel::mkdirat(AT_FDCWD, draft.as_ptr(), 0o700)?,
            libc::S_IFLNK => {
                let mut target = Text::<MAX_PATH>::new();
                target.read(|room| kernel::readlinkat(AT_FDCWD, source.as_ptr(), room))?;
                kernel::symlinkat(target.as_ptr(), AT_FDCWD, draft.as_ptr())?;
            }
            kind => kernel::mknodat(AT_FDCWD, draft.as_ptr(), kind | 0o600, stat.st_rdev)?,
        }
        let mut shut = None;
        let done = Copy::Path(draft)
            .take_attributes(source, stat)
            .and_then(|mode| {
                self.keep_origin(&mut Copy::Path(draft), stat, known_by)?;
                // A directory that is moved must be one that its owner may write to.
                let keeps = stat.st_mode & libc::S_IFMT == libc::S_IFDIR && !self.instance.plays();
                Copy::Path(draft).take_mode(if keeps { mode | 0o200 } else { mode }, stat)?;
                shut = (keeps && mode & 0o200 == 0).then_some(mode);
                Ok(())
            })
            .and_then(|()| self.instance.carry_record(source, Target::Path(draft)))
            .and_then(|()| self.publish(draft, spot));
        if done.is_err() {
            self.discard(draft);
        }
        done?;
        let (dir, name) = spot.end();
        shut.map_or(Ok(()), |mode| kernel::fchmodat(dir, name, mode))
    }
}

/// Gives a file without a name its name.
fn publish_file(file: i32, spot: &mut Spot) -> Result<(), Errno> {
    kernel::linkat((AT_FDCWD, by_number(file)?.as_ptr()), spot.end(), libc::AT_SYMLINK_FOLLOW)
}

/// Makes a copy in a directory of this user's that nobody may write to.
#[cold]
fn with_room(spot: &mut Spot, copy: &mut dyn FnMut(&mut Spot) -> Result<(), Errno>) -> Result<(), Errno> {
    let stat = spot.stat_directory()?;
    if stat.st_uid != kernel::geteuid() || stat.st_mode & 0o300 == 0o300 {
        return Err(Errno::EACCES);
    }
    let mut path = spot.directory_path()?;
    kernel::fchmodat(AT_FDCWD, path.as_ptr(), stat.st_mode & 0o7777 | 0o300)?;
    let done = copy(spot);
    kernel::fchmodat(AT_FDCWD, path.as_ptr(), stat.st_mode & 0o7777)?;
    done
}

/// A copy in the making: a file that has no name yet, or something with one.
pub(super) enum Copy<'a> {
    /// A descriptor.
    File(i32),
    /// A host path.
    Path(&'a mut Scratch),
}

impl Copy<'_> {
    /// Gives it its original's owner, attributes, mode and times.
    pub(super) fn take_after(&mut self, source: &mut Scratch, stat: &libc::stat) -> Result<(), Errno> {
        let mode = self.take_attributes(source, stat)?;
        self.take_mode(mode, stat)
    }

    /// Gives it its original's owner and attributes, and says which mode it is to have. An ordinary
    /// user's copy of another's file is that user's, and loses the bits that would
    /// make a program run as its owner.
    fn take_attributes(&mut self, source: &mut Scratch, stat: &libc::stat) -> Result<u32, Errno> {
        let mut mode = stat.st_mode & 0o7777;
        match self.set_owner(stat.st_uid, stat.st_gid) {
            Ok(()) => {}
            Err(Errno::EPERM | Errno::EINVAL) => {
                // The group alone may be had.
                let _ = self.set_owner(u32::MAX, stat.st_gid);
                if stat.st_uid != kernel::geteuid() {
                    mode &= !(libc::S_ISUID | libc::S_ISGID);
                }
            }
            Err(errno) => return Err(errno),
        }
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            // The program's umask may have taken what it needs.
            self.set_mode(0o700)?;
            self.copy_attributes(source)?;
        }
        Ok(mode)
    }

    /// Gives it a mode, and its original's times. It comes after all attributes: a mode may forbid its owner to write, and
    /// then the kernel takes none from an ordinary user.
    fn take_mode(&mut self, mode: u32, stat: &libc::stat) -> Result<(), Errno> {
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            self.set_mode(mode)?;
        }
        self.set_times(&Times::of(stat))
    }

    fn set_owner(&mut self, uid: u32, gid: u32) -> Result<(), Errno> {
        match self {
            Copy::File(file) => kernel::fchownat(*file, EMPTY, uid, gid, libc::AT_EMPTY_PATH),
            Copy::Path(path) => {
                kernel::fchownat(AT_FDCWD, path.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW)
            }
        }
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), Errno> {
        match self {
            Copy::File(file) => kernel::fchmod(*file, mode),
            Copy::Path(path) => kernel::fchmodat(AT_FDCWD, path.as_ptr(), mode),
        }
    }

    /// What the kernel says of it.
    pub(super) fn stat(&mut self) -> Result<libc::stat, Errno> {
        match self {
            Copy::File(file) => kernel::fstatat(*file, EMPTY, libc::AT_EMPTY_PATH),
            Copy::Path(path) => kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW),
        }
    }

    /// Where the file system keeps no attributes, there were none to lose.
    fn set_attribute(&mut self, name: *const u8, value: &[u8]) -> Result<(), Errno> {
        self.try_attribute(name, value).map(|_| ())
    }

    /// Sets an attribute. False: the file can carry none of that name.
    pub(super) fn try_attribute(&mut self, name: *const u8, value: &[u8]) -> Result<bool, Errno> {
        let done = match self {
            Copy::File(file) => kernel::fsetxattr(*file, name, value),
            Copy::Path(path) => kernel::lsetxattr(path.as_ptr(), name, value, 0),
        };
        match done {
            // Special files take none of a user's.
            Err(Errno::EOPNOTSUPP | Errno::EPERM) => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn set_times(&mut self, times: &Times) -> Result<(), Errno> {
        match self {
            Copy::File(file) => kernel::utimensat(*file, core::ptr::null(), times.as_array(), 0),
            Copy::Path(path) => {
                kernel::utimensat(AT_FDCWD, path.as_ptr(), times.as_array(), libc::AT_SYMLINK_NOFOLLOW)
            }
        }
    }

    fn copy_attributes(&mut self, source: &mut Scratch) -> Result<(), Errno> {
        let mut names = Text::<MAX_PATH>::new();
        match names.fill(|room| kernel::llistxattr(source.as_ptr(), room)) {
            Ok(0) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut value = Text::<CHUNK>::new();
        for name in names.bytes().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if xattr::is_private(name) {
                continue;
            }
            let mut text = Text::<256>::new();
            text.push(name)?;
            value.truncate(0);
            match value.fill(|room| kernel::lgetxattr_by(source.as_ptr(), text.as_ptr(), room)) {
                Ok(_) => self.set_attribute(text.as_ptr(), value.bytes())?,
                // Taken away meanwhile, or not for this user to see.
                Err(Errno::ENODATA | Errno::EPERM | Errno::EACCES) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

const EMPTY: *const u8 = c"".as_ptr().cast();

/// Copies a file's contents: shared where the file system can, and its holes
/// left as they are.
fn copy_data(from: i32, to: i32, len: u64) -> Result<(), Errno> {
    if len == 0 || kernel::clone_file(to, from).is_ok() {
        return Ok(());
    }
    kernel::ftruncate(to, len)?;
    let mut at = 0;
    while at < len {
        let start = match kernel::lseek(from, at as i64, libc::SEEK_DATA) {
            Ok(start) => start as u64,
            // Nothing but a hole up to the end.
            Err(Errno::ENXIO) => return Ok(()),
            // A file system that cannot tell.
            Err(_) => at,
        };
        let end = kernel::lseek(from, start as i64, libc::SEEK_HOLE).map_or(len, |end| end as u64);
        copy_run(from, to, start, end.min(len))?;
        at = end.max(start + 1);
    }
    Ok(())
}

fn copy_run(from: i32, to: i32, start: u64, end: u64) -> Result<(), Errno> {
    let mut at = start;
    let mut by_hand = false;
    let mut buffer = [0; CHUNK];
    while at < end {
        if !by_hand {
            match kernel::copy_file_range(from, to, at, (end - at).min(PIECE) as usize) {
                Ok(0) | Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                    by_hand = true
                }
                Ok(copied) => at += copied as u64,
                Err(errno) => return Err(errno),
            }
            continue;
        }
        let room = buffer.len().min((end - at) as usize);
        let got = kernel::pread(from, buffer.get_mut(..room).unwrap_or(&mut []), at)?;
        if got == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..got).unwrap_or(&[]);
        while !rest.is_empty() {
            let written = kernel::pwrite(to, rest, at)?;
            at += written as u64;
            rest = rest.get(written..).unwrap_or(&[]);
        }
    }
    Ok(())
}
