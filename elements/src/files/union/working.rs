//! The paths of the working directory and of directory descriptors, where those are in a union.
//!
//! The kernel's own directory is one side of it, and a relative path may lead to
//! another side. So in a union a path from there is made an absolute one, without asking the
//! kernel each time where it is. What is kept holds for one epoch of the table of directories: a
//! directory that is renamed or goes away ends it.

use core::sync::atomic::{AtomicBool, Ordering};

use super::super::base::{Cursor, origin};
use super::super::glance::READ;
use super::super::text::Text;
use super::kept::Kept;
use crate::{Instance, process};

/// The longest path that is kept, in words.
const WORDS: usize = 32;

/// How many are kept: who walks a tree has a few directories open.
const PATHS: usize = 8;

/// Room for the path and one from there.
pub(in crate::files) type WholePath = Text<512>;

const _: () = assert!(READ < 512);

#[unsafe(link_section = ".bss.paths")]
static KEPT: [Kept<WORDS>; PATHS] = [const { Kept::new() }; PATHS];

/// Whether anything has ever been kept, or is about to be found out.
#[unsafe(link_section = ".bss.soon")]
static KEEPS: AtomicBool = AtomicBool::new(false);

/// Where the path of a directory is kept, if it is.
fn kept_of(dirfd: i32) -> Option<&'static Kept<WORDS>> {
    KEPT.get(dirfd as u32 as usize % PATHS)
}

/// What it is kept for: a descriptor, in an epoch. Never 0, since no descriptor is -1.
fn key(dirfd: i32, epoch: u32) -> u64 {
    u64::from(dirfd.wrapping_add(1) as u32) << 32 | u64::from(epoch)
}

/// A directory of which it is being found out where it is.
pub(in crate::files) struct Finding {
    kept: &'static Kept<WORDS>,
    dirfd: i32,
    epoch: u32,
    version: u32,
}

impl Finding {
    /// Keeps its path, if it is no other directory by now.
    pub fn keep(&self, app: &[u8]) {
        if app.len() <= Kept::<WORDS>::MOST {
            self.kept.keep(key(self.dirfd, self.epoch), app, self.version);
        }
    }
}

/// A descriptor, or the working directory, is another directory: what a thread has found out before is not
/// to be kept.
pub(in crate::files) fn forget_path(dirfd: i32) {
    // In most programs nothing is: leave the page alone.
    if KEEPS.load(Ordering::SeqCst)
        && let Some(kept) = kept_of(dirfd)
    {
        kept.forget();
    }
}

impl Instance<'_> {
    /// Keeps the path of a directory that has just been opened, as it was found in an epoch, by a process that is no
    /// borrower.
    pub(in crate::files) fn keep_path(&self, fd: i32, app: &[u8], epoch: u32) {
        if let Some(kept) = kept_of(fd).filter(|_| app.len() <= Kept::<WORDS>::MOST) {
            KEEPS.store(true, Ordering::SeqCst);
            kept.keep(key(fd, epoch), app, kept.version());
        }
    }

    /// Before it is found out where a directory is, to keep that. None: it is not to be kept.
    pub(in crate::files) fn begin_path(&self, dirfd: i32) -> Option<Finding> {
        let kept = kept_of(dirfd)?;
        let epoch = self.directories?.epoch();
        KEEPS.store(true, Ordering::SeqCst);
        // A vfork child's descriptors are not those of the memory that it runs in.
        let version = kept.version();
        (!process::is_borrower()).then_some(Finding { kept, dirfd, epoch, version })
    }

    /// The path of a directory in a union, if that is kept, and where that stands.
    pub(in crate::files) fn kept_path(&self, dirfd: i32, path: &mut WholePath) -> Option<Cursor> {
        let (cursor, _) = origin(dirfd)?;
        let is_layered = self.view.node(cursor.node)?.is_layered();
        path.truncate(0);
        let key = key(dirfd, self.directories?.epoch());
        kept_of(dirfd).filter(|_| is_layered)?.read(key, path)?;
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

    /// A path from a directory, if that is in a union, as an absolute one.
    pub(super) fn spell_whole(&self, dirfd: i32, given: &[u8], whole: &mut WholePath) -> Option<()> {
        let (cursor, _) = origin(dirfd)?;
        if !self.view.node(cursor.node)?.is_layered() {
            return None;
        }
        let epoch = self.directories?.epoch();
        let kept = kept_of(dirfd)?;
        if kept.read(key(dirfd, epoch), whole).is_none() {
            self.find_path(dirfd, whole)?;
        }
        whole.push(b"/").ok()?;
        whole.push(given.strip_prefix(b"./").unwrap_or(given)).ok()
    }
}
