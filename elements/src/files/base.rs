//! Where relative paths begin: the working directory and directory descriptors.
//!
//! The host's own working directory and descriptors stay the real thing. All
//! that we need to know of one is where it stands in the app's tree: a
//! [`Cursor`]. It is kept in a table by descriptor, so that a relative path
//! costs no system call; an empty entry is always right and merely costs one
//! (readlink of /proc/self/fd/N, or getcwd).
//!
//! A vfork child shares this table with its parent, but has descriptors and a
//! working directory of its own. So while a vfork is under way in the process
//! nothing is remembered, and what would be remembered is forgotten instead.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use view::{NodeId, Stop, View};

use super::text::Text;
use super::{MAX_PATH, scan};
use crate::Instance;
use crate::kernel::{self, AT_FDCWD};

/// A place in the app's tree: a node, and how many components below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The deepest node on the way.
    pub node: NodeId,
    /// How many components follow that have no node; [`Cursor::DEEP`] for "many".
    pub below: u32,
}

impl Cursor {
    /// As many components as can be counted, or more.
    pub const DEEP: u32 = 0x7ff;

    /// At a node.
    #[inline]
    pub fn at(node: NodeId) -> Cursor {
        Cursor { node, below: 0 }
    }

    /// One component down.
    pub fn down(self, view: &View<'_>, name: &[u8]) -> Cursor {
        if self.below == 0
            && let Some(child) = view.child(self.node, name)
        {
            return Cursor::at(child);
        }
        Cursor { node: self.node, below: (self.below + 1).min(Cursor::DEEP) }
    }

    /// Along a path, by its letters; none where the count has been lost, or a
    /// link of the policy's is on the way.
    pub fn along(self, view: &View<'_>, path: &[u8]) -> Option<Cursor> {
        if path.contains(&b'.') {
            return scan::components(path).try_fold(self, |cursor, name| {
                if name == b".." { cursor.up(view) } else { Some(cursor.down(view, name)) }
            });
        }
        let (node, left) = if self.below > 0 {
            (self.node, path.len())
        } else {
            let reach = view.reach(self.node, path);
            if reach.stop == Stop::Link {
                return None;
            }
            (reach.node, reach.left)
        };
        let names = scan::components(path.get(path.len() - left..).unwrap_or(&[])).count() as u32;
        Some(Cursor { node, below: (self.below + names).min(Cursor::DEEP) })
    }

    /// One component up; none where the count has been lost.
    pub fn up(self, view: &View<'_>) -> Option<Cursor> {
        match self.below {
            0 => Some(Cursor::at(view.parent(self.node))),
            Cursor::DEEP => None,
            below => Some(Cursor { node: self.node, below: below - 1 }),
        }
    }

    /// Packs into one word, never 0; 0 itself where it does not fit.
    fn pack(self) -> u32 {
        if self.node.0 < 1 << 20 { 1 << 31 | self.below << 20 | self.node.0 } else { UNKNOWN }
    }

    fn unpack(word: u32) -> Option<Cursor> {
        if word == UNKNOWN {
            return None;
        }
        Some(Cursor { node: NodeId(word & 0xf_ffff), below: word >> 20 & Cursor::DEEP })
    }
}

const UNKNOWN: u32 = 0;
const DESCRIPTORS: usize = 1024;

#[unsafe(link_section = ".data.start")]
static WORKING_DIRECTORY: AtomicU32 = AtomicU32::new(UNKNOWN);
static DIRECTORIES: [AtomicU32; DESCRIPTORS] = [const { AtomicU32::new(UNKNOWN) }; DESCRIPTORS];
/// Of directories of a union: whether the lowest layer alone has them ([`super::union`]).
/// An entry counts only beside one above.
static WORKING_ORIGIN: AtomicU64 = AtomicU64::new(0);
static ORIGINS: [AtomicU64; DESCRIPTORS] = [const { AtomicU64::new(0) }; DESCRIPTORS];
/// How many vfork children of this process have not gone their own way yet,
/// or more: while it is not 0, nothing is remembered. A door's vfork counts.
#[unsafe(link_section = ".data.start")]
pub static VFORKS: AtomicU32 = AtomicU32::new(0);

fn entry(dirfd: i32) -> Option<&'static AtomicU32> {
    if dirfd == AT_FDCWD { Some(&WORKING_DIRECTORY) } else { DIRECTORIES.get(usize::try_from(dirfd).ok()?) }
}

fn origin_entry(dirfd: i32) -> Option<&'static AtomicU64> {
    if dirfd == AT_FDCWD { Some(&WORKING_ORIGIN) } else { ORIGINS.get(usize::try_from(dirfd).ok()?) }
}

/// What has been noted of a directory, and where it is.
pub(super) fn origin(dirfd: i32) -> Option<(Cursor, u64)> {
    let quiet = VFORKS.load(Ordering::Acquire) == 0;
    let cursor = Cursor::unpack(entry(dirfd)?.load(Ordering::Relaxed)).filter(|_| quiet)?;
    Some((cursor, origin_entry(dirfd)?.load(Ordering::Relaxed)))
}

/// Notes it, if it is known where the directory is.
pub(super) fn note_origin(dirfd: i32, word: u64) {
    if origin(dirfd).is_some_and(|(_, noted)| noted != word)
        && !crate::process::is_borrower()
        && let Some(entry) = origin_entry(dirfd)
    {
        entry.store(word, Ordering::Relaxed);
    }
}

fn remember(dirfd: i32, cursor: Option<Cursor>) {
    let Some(entry) = entry(dirfd) else { return };
    if cursor.is_none() && entry.load(Ordering::Relaxed) == UNKNOWN {
        return;
    }
    if dirfd == AT_FDCWD {
        super::union::forget_working_path();
    }
    if let Some(origin) = origin_entry(dirfd)
        && origin.load(Ordering::Relaxed) != 0
    {
        origin.store(0, Ordering::Relaxed);
    }
    let quiet = VFORKS.load(Ordering::Acquire) == 0 && !(cursor.is_some() && crate::process::is_borrower());
    let word = if quiet { cursor.map_or(UNKNOWN, Cursor::pack) } else { UNKNOWN };
    // Most descriptors are no directories: leave the page alone where nothing changes.
    if entry.load(Ordering::Relaxed) != word {
        entry.store(word, Ordering::Relaxed);
    }
}

/// Threads of this process may have working directories or descriptor tables
/// of their own from now on (unshare(2), clone(2) without `CLONE_FS`).
pub fn disable_base_cache() {
    VFORKS.fetch_add(1, Ordering::AcqRel);
    WORKING_DIRECTORY.store(UNKNOWN, Ordering::Release);
    for entry in &DIRECTORIES {
        entry.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// `fd` is new and we do not know what it is.
#[inline(always)]
pub fn note_open(fd: i32) {
    // A negative one is beyond the table.
    if let Some(entry) = DIRECTORIES.get(fd as u32 as usize)
        && entry.load(Ordering::Relaxed) != UNKNOWN
    {
        entry.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// `new` is now what `old` is.
pub fn note_duplicate(old: i32, new: i32) {
    let known = entry(old).and_then(|entry| Cursor::unpack(entry.load(Ordering::Relaxed)));
    let origin = origin(old);
    remember(new, known);
    if let Some((_, word)) = origin.filter(|(_, word)| *word != 0) {
        note_origin(new, word);
    }
}

/// `fd` (or the working directory) is now the directory at `cursor`.
pub fn note_directory(fd: i32, cursor: Option<Cursor>) {
    remember(fd, cursor);
}

impl Instance<'_> {
    /// Where the directory stands in the app's tree. None where it is no
    /// directory, or one that has gone: the kernel knows what to say.
    #[inline]
    pub(super) fn base(&self, dirfd: i32) -> Option<Cursor> {
        let known = match entry(dirfd) {
            Some(entry) if VFORKS.load(Ordering::Acquire) == 0 => {
                Cursor::unpack(entry.load(Ordering::Relaxed))
            }
            _ => None,
        };
        known.or_else(|| self.find_base(dirfd))
    }

    #[inline(never)]
    fn find_base(&self, dirfd: i32) -> Option<Cursor> {
        let mut app = Text::<MAX_PATH>::new();
        self.base_path(dirfd, &mut app).ok()?;
        let cursor = self.locate(app.bytes());
        remember(dirfd, Some(cursor));
        Some(cursor)
    }

    /// Finds a canonical app path in the tree.
    pub(super) fn locate(&self, app: &[u8]) -> Cursor {
        let root = Cursor::at(self.view.app_root());
        scan::components(app).fold(root, |cursor, name| cursor.down(&self.view, name))
    }

    /// The app path of the working directory or of a descriptor.
    pub(crate) fn base_path(&self, dirfd: i32, app: &mut Text<MAX_PATH>) -> Result<(), crate::Errno> {
        let mut host = Text::<MAX_PATH>::new();
        self.base_paths(dirfd, &mut host, app)
    }

    /// The same, and the host path.
    pub(super) fn base_paths(
        &self,
        dirfd: i32,
        host: &mut Text<MAX_PATH>,
        app: &mut Text<MAX_PATH>,
    ) -> Result<(), crate::Errno> {
        host.truncate(0);
        if dirfd == AT_FDCWD {
            host.fill(kernel::getcwd)?;
        } else {
            let mut link = Text::<32>::new();
            link.push(b"/proc/self/fd/")?;
            link.push_decimal(dirfd.unsigned_abs())?;
            host.fill(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room))?;
        }
        if host.bytes().first() != Some(&b'/') {
            return Err(crate::Errno::ENOENT);
        }
        app.truncate(0);
        self.reverse(host.bytes(), app)
    }
}
