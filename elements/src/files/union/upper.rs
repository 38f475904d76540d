//! The write layer: making room in it, and putting things in their place.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

use super::super::MAX_PATH;
use super::super::namei::Walk;
use super::super::place::Scratch;
use super::super::text::Text;
use super::spot::Spot;
use super::{LOST, Position, Union, is_whiteout, xattr};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};

/// Tells this process's drafts from each other.
#[unsafe(link_section = ".bss.soon")]
static DRAFTS: AtomicU32 = AtomicU32::new(0);

impl<'i> Union<'i> {
    /// Writes a host path in the write layer.
    pub(super) fn upper_path<'s>(
        &self,
        below: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s mut Scratch, Errno> {
        self.host_path(self.writable()?, below, scratch)
    }

    /// Writes a fresh host path in the work directory, on the write layer's own
    /// file system. What is there after a crash means nothing to anybody.
    pub(super) fn draft_path<'s>(&self, scratch: &'s mut Scratch) -> Result<&'s mut Scratch, Errno> {
        let upper = self.layer(self.writable()?);
        scratch.truncate(0);
        scratch.push(upper.strip_suffix(b"upper").unwrap_or(upper))?;
        scratch.push(b"work/#")?;
        for number in [kernel::gettid().unsigned_abs(), DRAFTS.fetch_add(1, Ordering::Relaxed)] {
            scratch.push_decimal(number)?;
            scratch.push(b"-")?;
        }
        // A process of another namespace may have the same number.
        scratch.push_decimal(kernel::random() as u32)?;
        Ok(scratch)
    }

    /// The same for what is to be made as in a spot's directory: where that hands on an access control list, so does the
    /// directory in which the draft is to be made, which is made here. [`Self::drafted`] takes it away.
    pub(super) fn draft_for(&self, spot: &Spot, scratch: &mut Scratch) -> Result<Drafted, Errno> {
        const LIST: &CStr = c"system.posix_acl_default";
        self.draft_path(scratch)?;
        let mut list = Text::<MAX_PATH>::new();
        let mut directory = spot.directory_path()?;
        if !list.fill(|room| kernel::getxattr(directory.as_ptr(), LIST, room)).is_ok_and(|len| len > 0) {
            return Ok(Drafted { in_work: scratch.len(), has_directory: false });
        }
        let drafted = Drafted { in_work: scratch.len(), has_directory: true };
        kernel::mkdirat(AT_FDCWD, scratch.as_ptr(), 0o700)?;
        let handed_on = kernel::lsetxattr(scratch.as_ptr(), LIST.as_ptr().cast(), list.bytes(), 0);
        match handed_on.and_then(|()| scratch.push(b"/d")) {
            Ok(()) => Ok(drafted),
            Err(errno) => {
                self.drafted(drafted, scratch);
                Err(errno)
            }
        }
    }

    /// The draft is in its place, or is no more.
    pub(super) fn drafted(&self, drafted: Drafted, scratch: &mut Scratch) {
        if drafted.has_directory {
            scratch.truncate(drafted.in_work);
            let _ = kernel::unlinkat(AT_FDCWD, scratch.as_ptr(), libc::AT_REMOVEDIR);
        }
    }

    /// What the write layer itself has at a path.
    fn in_upper(&self, below: &[u8]) -> Result<Option<libc::stat>, Errno> {
        let mut path = Scratch::new();
        let path = self.upper_path(below, &mut path)?;
        match kernel::fstatat(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Sees to it that a directory of the union has its side in the write layer,
    /// and those above it.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is gone meanwhile, and what stands in the way of a copy.
    #[inline(never)]
    pub(super) fn ensure_upper(&self, below: &[u8]) -> Result<(), Errno> {
        if self.in_upper(below)?.is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR) {
            return Ok(());
        }
        let mut end = 0;
        loop {
            let prefix = below.get(..end).unwrap_or(below);
            if self.in_upper(prefix)?.is_none_or(|stat| stat.st_mode & libc::S_IFMT != libc::S_IFDIR) {
                self.ensure_one(prefix)?;
            }
            if end >= below.len() {
                return Ok(());
            }
            let rest = below.get(end + 1..).unwrap_or(&[]);
            end = end + 1 + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        }
    }

    #[inline(never)]
    fn ensure_one(&self, below: &[u8]) -> Result<(), Errno> {
        let mut walk = Walk::new();
        self.instance.walk_union(&mut walk, self.id, below)?;
        if !walk.position.is_dir() {
            return Err(if walk.position.sides.is_empty() { Errno::ENOENT } else { Errno::ENOTDIR });
        }
        self.copy_up(&walk.position, below, super::copy_up::Data::All).map(|_| ())
    }

    /// Puts a draft in its place, where the write layer has nothing. A draft of
    /// a directory that others have been faster with is of no use to anybody.
    pub(super) fn publish(&self, draft: &mut Scratch, spot: &mut Spot) -> Result<(), Errno> {
        kernel::renameat2((AT_FDCWD, draft.as_ptr()), spot.end(), libc::RENAME_NOREPLACE)
    }

    /// Puts a draft where a whiteout is. False: there is none (any more), and
    /// nothing has changed.
    pub(super) fn replace_whiteout(&self, draft: &mut Scratch, spot: &mut Spot) -> Result<bool, Errno> {
        let outside = (AT_FDCWD, draft.as_ptr());
        match kernel::renameat2(outside, spot.end(), libc::RENAME_EXCHANGE) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        let came_out = kernel::fstatat(AT_FDCWD, draft.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
        if is_whiteout(&came_out) {
            // Another user's stays there until the next start.
            let _ = kernel::unlinkat(AT_FDCWD, draft.as_ptr(), 0);
            return Ok(true);
        }
        // Somebody has made something there meanwhile: it goes back.
        kernel::renameat2(outside, spot.end(), libc::RENAME_EXCHANGE)?;
        self.instance.forget_directories();
        Ok(false)
    }

    /// Makes a whiteout where nothing is.
    pub(super) fn make_whiteout((dir, path): (i32, *const u8)) -> Result<(), Errno> {
        kernel::mknodat(dir, path, libc::S_IFCHR, 0)
    }

    /// Takes a whiteout away that has just been made in a directory which has become opaque since the walk to it:
    /// it hides nothing there, and the kernel lists it. False: the directory is none.
    ///
    /// Who makes a directory opaque says so first, and clears it of whiteouts after: those that
    /// come later are their makers' to see.
    #[inline(never)]
    pub(super) fn takes_back_whiteout(&self, at: &Position, spot: &mut Spot) -> bool {
        let is_opaque = self.is_opaque_since(at, spot);
        if is_opaque {
            self.take_back_whiteout(spot);
        }
        is_opaque
    }

    /// Whether a directory has become opaque since the walk to it.
    pub(super) fn is_opaque_since(&self, at: &Position, spot: &Spot) -> bool {
        !self.is_quiet_since(at) && spot.is_in_opaque()
    }

    /// Takes a whiteout away that hides nothing, if it is still there.
    pub(super) fn take_back_whiteout(&self, spot: &mut Spot) {
        let mut draft = Scratch::new();
        let Ok(draft) = self.draft_path(&mut draft) else { return };
        let outside = (AT_FDCWD, draft.as_ptr());
        if kernel::renameat2(spot.end(), outside, libc::RENAME_NOREPLACE).is_err() {
            return;
        }
        let came_out = kernel::fstatat(AT_FDCWD, draft.as_ptr(), libc::AT_SYMLINK_NOFOLLOW);
        // Somebody has made something there meanwhile: it goes back, if nobody has made yet another since.
        if came_out.is_ok_and(|stat| is_whiteout(&stat))
            || kernel::renameat2(outside, spot.end(), libc::RENAME_NOREPLACE).is_err()
        {
            self.discard(draft);
        }
    }

    /// Takes a draft away that is not to be used.
    pub(super) fn discard(&self, draft: &mut Scratch) {
        if kernel::unlinkat(AT_FDCWD, draft.as_ptr(), 0).is_err() {
            let _ = kernel::unlinkat(AT_FDCWD, draft.as_ptr(), libc::AT_REMOVEDIR);
        }
    }

    /// Takes a directory away that has been empty for the program when it was taken out
    /// of its place, with the whiteouts in it.
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY`: something has been put into it at the last moment; [`LOST`]: a whiteout has. It hides all that
    /// layers below have then, as its whiteouts did, and can go back.
    pub(super) fn take_apart(&self, draft: &mut Scratch) -> Result<(), Errno> {
        let remove = |draft: &mut Scratch| kernel::unlinkat(AT_FDCWD, draft.as_ptr(), libc::AT_REMOVEDIR);
        match remove(draft) {
            Err(Errno::ENOTEMPTY) => {}
            Err(Errno::ENOTDIR) => return Err(LOST),
            done => return done,
        }
        xattr::set(draft.as_ptr(), &xattr::OPAQUE, b"y")?;
        self.clear_whiteouts(draft, Err(Errno::ENOTEMPTY))?;
        remove(draft).map_err(|errno| if errno == Errno::ENOTEMPTY { LOST } else { errno })
    }
}

/// Where a draft is made.
#[derive(Clone, Copy)]
pub(super) struct Drafted {
    /// How long the path in the work directory is.
    in_work: usize,
    /// Whether that is of a directory of the draft's own.
    has_directory: bool,
}

/// A file's times of access and of change.
pub(super) struct Times([libc::timespec; 2]);

impl Times {
    pub(super) fn of(stat: &libc::stat) -> Times {
        Times([
            libc::timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec },
            libc::timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec },
        ])
    }

    pub(super) fn as_array(&self) -> &[libc::timespec; 2] {
        &self.0
    }
}
