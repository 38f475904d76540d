//! The paths of the working directory and of directory descriptors, where those are in a union.
//!
//! The kernel's own directory is one side of it, and a relative path may lead to
//! another side. So in a union a path from there is made an absolute one, without asking the
//! kernel each time where it is. What is kept holds for one epoch of the table of directories: a
//! directory that is renamed or goes away ends it.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::super::base::{Cursor, origin};
use super::super::glance::{Glance, READ, Start};
use super::super::scan;
use super::super::text::Text;
use crate::kernel::AT_FDCWD;
use crate::{Instance, process};

/// The longest path that is kept, in words.
const WORDS: usize = 32;

/// How many are kept: who walks a tree has a few directories open.
const PATHS: usize = 8;

/// Room for the path and one from there.
pub(in crate::files) type WholePath = Text<512>;

const _: () = assert!(READ < 512);

/// Threads read it while another one writes: an odd version is one in the making.
struct Kept {
    version: AtomicU32,
    /// The descriptor, plus one, so that all zeros are nothing. That of the working
    /// directory is negative.
    directory: AtomicI32,
    epoch: AtomicU32,
    len: AtomicU32,
    words: [AtomicU64; WORDS],
}

static KEPT: [Kept; PATHS] = [const {
    Kept {
        version: AtomicU32::new(0),
        directory: AtomicI32::new(0),
        epoch: AtomicU32::new(0),
        len: AtomicU32::new(0),
        words: [const { AtomicU64::new(0) }; WORDS],
    }
}; PATHS];

/// Whether anything has ever been kept, or is about to be found out.
static KEEPS: AtomicBool = AtomicBool::new(false);

impl Kept {
    /// Where the path of a directory is kept, if it is.
    fn of(dirfd: i32) -> Option<&'static Kept> {
        KEPT.get(dirfd as u32 as usize % PATHS)
    }

    /// Keeps what was found out at a version.
    fn keep(&self, dirfd: i32, path: &[u8], epoch: u32, version: u32) {
        let next = version.wrapping_add(1);
        let free = version.is_multiple_of(2)
            && self.version.compare_exchange(version, next, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !free {
            return;
        }
        for (word, bytes) in self.words.iter().zip(path.chunks(8)) {
            let text = bytes.iter().rev().fold(0, |text, byte| text << 8 | u64::from(*byte));
            word.store(text, Ordering::Relaxed);
        }
        self.directory.store(dirfd.wrapping_add(1), Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.len.store(path.len() as u32, Ordering::Relaxed);
        let done = next.wrapping_add(1);
        if self.version.compare_exchange(next, done, Ordering::Release, Ordering::Relaxed).is_err() {
            self.len.store(0, Ordering::Relaxed);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    fn read(&self, dirfd: i32, epoch: u32, path: &mut WholePath) -> Option<()> {
        let version = self.version.load(Ordering::Acquire);
        let mut left = self.len.load(Ordering::Relaxed) as usize;
        let is_other = self.directory.load(Ordering::Relaxed) != dirfd.wrapping_add(1)
            || self.epoch.load(Ordering::Relaxed) != epoch;
        if !version.is_multiple_of(2) || left == 0 || is_other {
            return None;
        }
        // Whole words are quicker than as many bytes; what is too much is cut off.
        let len = left;
        for word in &self.words {
            path.push(&word.load(Ordering::Relaxed).to_le_bytes()).ok()?;
            left = left.saturating_sub(8);
            if left == 0 {
                break;
            }
        }
        path.truncate(len);
        core::sync::atomic::fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(())
    }
}

/// A directory of which it is being found out where it is.
pub(in crate::files) struct Finding {
    kept: &'static Kept,
    dirfd: i32,
    epoch: u32,
    version: u32,
}

impl Finding {
    /// Keeps its path, if it is no other directory by now.
    pub fn keep(&self, app: &[u8]) {
        if app.len() <= 8 * WORDS {
            self.kept.keep(self.dirfd, app, self.epoch, self.version);
        }
    }
}

/// A descriptor, or the working directory, is another directory: what a thread has found out before is not
/// to be kept.
pub(in crate::files) fn forget_path(dirfd: i32) {
    // In most programs nothing is: leave the page alone.
    if KEEPS.load(Ordering::SeqCst)
        && let Some(kept) = Kept::of(dirfd)
    {
        kept.len.store(0, Ordering::Relaxed);
        kept.version.fetch_add(2, Ordering::AcqRel);
    }
}

impl Instance<'_> {
    /// Keeps the path of a directory that has just been opened, as it was found in an epoch, by a process that is no
    /// borrower.
    pub(in crate::files) fn keep_path(&self, fd: i32, app: &[u8], epoch: u32) {
        if let Some(kept) = Kept::of(fd).filter(|_| app.len() <= 8 * WORDS) {
            KEEPS.store(true, Ordering::SeqCst);
            kept.keep(fd, app, epoch, kept.version.load(Ordering::Acquire));
        }
    }

    /// Before it is found out where a directory is, to keep that. None: it is not to be kept.
    pub(in crate::files) fn begin_path(&self, dirfd: i32) -> Option<Finding> {
        let kept = Kept::of(dirfd)?;
        let epoch = self.directories?.epoch();
        KEEPS.store(true, Ordering::SeqCst);
        // A vfork child's descriptors are not those of the memory that it runs in.
        let version = kept.version.load(Ordering::Acquire);
        (!process::is_borrower()).then_some(Finding { kept, dirfd, epoch, version })
    }

    /// The path of a directory in a union, if that is kept, and where that stands.
    pub(in crate::files) fn kept_path(&self, dirfd: i32, path: &mut WholePath) -> Option<Cursor> {
        let (cursor, _) = origin(dirfd)?;
        let is_layered = self.view.node(cursor.node)?.is_layered();
        path.truncate(0);
        Kept::of(dirfd).filter(|_| is_layered)?.read(dirfd, self.directories?.epoch(), path)?;
        Some(cursor)
    }

    /// Finds out where a directory is, and keeps that. Apart from who asks: a walk takes pages of stack, which a
    /// program that has just begun has not touched.
    #[cold]
    #[inline(never)]
    fn find_path(&self, dirfd: i32, whole: &mut WholePath) -> Option<()> {
        let finding = self.begin_path(dirfd);
        whole.truncate(0);
        let mut walk = super::super::namei::Walk::new();
        self.walk_descriptor(&mut walk, dirfd).ok()?;
        whole.push(walk.app.bytes()).ok()?;
        if let Some(finding) = finding {
            finding.keep(whole.bytes());
        }
        Some(())
    }

    /// A path from a directory, if that is in a union, as an absolute one, and
    /// what a glance tells of that.
    #[inline(never)]
    pub(in crate::files) fn below_directory(
        &self,
        dirfd: i32,
        path: *const u8,
        whole: &mut WholePath,
    ) -> Option<Start> {
        let (cursor, _) = origin(dirfd).filter(|_| self.has_unions() && !self.traces())?;
        if !self.view.node(cursor.node)?.is_layered() {
            return None;
        }
        let len = scan::survey(path, 0)?.len;
        // SAFETY: just read.
        let given = unsafe { core::slice::from_raw_parts(path, len) };
        if matches!(given, [] | [b'/', ..]) {
            return None;
        }
        let epoch = self.directories?.epoch();
        let kept = Kept::of(dirfd)?;
        if kept.read(dirfd, epoch, whole).is_none() {
            self.find_path(dirfd, whole)?;
        }
        whole.push(b"/").ok()?;
        whole.push(given.strip_prefix(b"./").unwrap_or(given)).ok()?;
        whole.clear_rest();
        // SAFETY: there is room for as much, all of it written.
        match unsafe { self.glance_at(AT_FDCWD, whole.as_ptr()) } {
            Glance::Closer(start) if start.node != view::NodeId::NONE => Some(start),
            _ => None,
        }
    }
}
