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

use view::{Kind, NodeId, Stop, View};

use super::text::Text;
use super::{MAX_PATH, scan};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

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
    fn pack(self, standing: u32) -> u32 {
        if self.node.0 >> BELOW != 0 {
            return UNKNOWN;
        }
        KNOWN | standing | self.below << BELOW | self.node.0
    }

    fn unpack(word: u32) -> Option<Cursor> {
        if word == UNKNOWN {
            return None;
        }
        Some(Cursor { node: NodeId(word & ((1 << BELOW) - 1)), below: word >> BELOW & Cursor::DEEP })
    }
}

const UNKNOWN: u32 = 0;
const KNOWN: u32 = 1 << 31;
/// No mount has to do with a path from here that does not climb: the directory is in the
/// host's own tree, with no mount below, and is not the kernel's.
const FREE: u32 = 1 << 30;
/// The kernel is right about what has a name here, but for a link that is to be followed: the directory is
/// behind a mount of one directory, with none below, and is not the kernel's.
const BEHIND: u32 = 1 << 29;
/// Where in a word the count begins; the node is below it.
const BELOW: u32 = 18;
const _: () = assert!(Cursor::DEEP << BELOW < BEHIND);

const DESCRIPTORS: usize = 1024;
/// So many components are never too long for a path, with the mount that they are below.
pub(super) const SURE: u32 = 12;

/// What is noted of a directory.
struct Base {
    /// Of one of a union: whether the lowest layer alone has it ([`super::union`]). It counts only beside a cursor.
    origin: AtomicU64,
    /// A cursor, packed.
    cursor: AtomicU32,
}

impl Base {
    const fn new() -> Base {
        Base { origin: AtomicU64::new(0), cursor: AtomicU32::new(UNKNOWN) }
    }
}

#[unsafe(link_section = ".bss.soon")]
static WORKING_DIRECTORY: Base = Base::new();
/// Most programs have low numbers alone, so that a page holds all of both words.
#[unsafe(link_section = ".bss.descriptors")]
static DIRECTORIES: [Base; DESCRIPTORS] = [const { Base::new() }; DESCRIPTORS];
/// How many vfork children of this process have not gone their own way yet,
/// or more: while it is not 0, nothing is remembered. A door's vfork counts.
#[unsafe(link_section = ".data.start")]
pub static VFORKS: AtomicU32 = AtomicU32::new(0);

/// Whether a directory is one of those in which the kernel tells of the process and the machine.
fn is_of_kernel(app: &[u8]) -> bool {
    [&b"/proc"[..], b"/dev", b"/sys"].iter().any(|place| app.starts_with(place))
}

fn base_of(dirfd: i32) -> Option<&'static Base> {
    if dirfd == AT_FDCWD { Some(&WORKING_DIRECTORY) } else { DIRECTORIES.get(usize::try_from(dirfd).ok()?) }
}

fn entry(dirfd: i32) -> Option<&'static AtomicU32> {
    base_of(dirfd).map(|base| &base.cursor)
}

/// Where a directory stands, as far as that has been noted.
#[inline]
pub(super) fn known(dirfd: i32) -> Option<Cursor> {
    let quiet = VFORKS.load(Ordering::Acquire) == 0;
    Cursor::unpack(entry(dirfd)?.load(Ordering::Relaxed)).filter(|_| quiet)
}

/// What has been noted of a directory, and where it is.
#[inline]
pub(super) fn origin(dirfd: i32) -> Option<(Cursor, u64)> {
    Some((known(dirfd)?, base_of(dirfd)?.origin.load(Ordering::Relaxed)))
}

/// Notes it, if it is known where the directory is.
pub(super) fn note_origin(dirfd: i32, word: u64) {
    if origin(dirfd).is_some_and(|(_, noted)| noted != word) && !crate::process::is_borrower() {
        note_own_origin(dirfd, word);
    }
}

/// The same in a process that is no borrower.
pub(super) fn note_own_origin(dirfd: i32, word: u64) {
    if origin(dirfd).is_some()
        && let Some(base) = base_of(dirfd)
    {
        base.origin.store(word, Ordering::Relaxed);
    }
}

#[inline(always)]
fn stands(dirfd: i32, standing: u32) -> bool {
    entry(dirfd).is_some_and(|entry| entry.load(Ordering::Relaxed) & standing != 0)
        && VFORKS.load(Ordering::Acquire) == 0
}

/// Whether a relative path that does not climb is the kernel's to resolve, as far as is
/// known without a call.
#[inline(always)]
pub(super) fn is_free(dirfd: i32) -> bool {
    stands(dirfd, FREE)
}

/// Whether the kernel is right about what has a name in a directory, but for a link that is to be followed, as
/// far as is known without a call.
#[inline(always)]
pub(super) fn is_behind(dirfd: i32) -> bool {
    stands(dirfd, BEHIND)
}

/// `fd` is the directory that has a name in one that is free, or behind a mount. False: that
/// is not known.
pub(super) fn note_below(dirfd: i32, fd: i32) -> bool {
    let word = entry(dirfd).map_or(UNKNOWN, |entry| entry.load(Ordering::Relaxed));
    let is_known = word & (FREE | BEHIND) != 0 && word >> BELOW & Cursor::DEEP < SURE;
    if is_known {
        remember(fd, word + (1 << BELOW));
    }
    is_known
}

fn remember(dirfd: i32, word: u32) {
    let Some(Base { origin, cursor: entry }) = base_of(dirfd) else { return };
    if word == UNKNOWN && entry.load(Ordering::Relaxed) == UNKNOWN {
        return;
    }
    super::union::forget_path(dirfd);
    if origin.load(Ordering::Relaxed) != 0 {
        origin.store(0, Ordering::Relaxed);
    }
    // Who walks a tree opens one directory after another at the same depth: nothing changes.
    if entry.load(Ordering::Relaxed) == word && VFORKS.load(Ordering::Acquire) == 0 {
        return;
    }
    let quiet = VFORKS.load(Ordering::Acquire) == 0 && (word == UNKNOWN || !crate::process::is_borrower());
    entry.store(if quiet { word } else { UNKNOWN }, Ordering::Relaxed);
}

/// Threads of this process may have working directories or descriptor tables
/// of their own from now on (unshare(2), clone(2) without `CLONE_FS`).
pub fn disable_base_cache() {
    VFORKS.fetch_add(1, Ordering::AcqRel);
    WORKING_DIRECTORY.cursor.store(UNKNOWN, Ordering::Release);
    for entry in DIRECTORIES.iter().map(|base| &base.cursor) {
        // Most pages of the table are nobody's yet.
        if entry.load(Ordering::Relaxed) != UNKNOWN {
            entry.store(UNKNOWN, Ordering::Relaxed);
        }
    }
}

/// `fd` is new and we do not know what it is.
#[inline(always)]
pub fn note_open(fd: i32) {
    // A negative one is beyond the table.
    if let Some(Base { cursor, .. }) = DIRECTORIES.get(fd as u32 as usize)
        && cursor.load(Ordering::Relaxed) != UNKNOWN
    {
        cursor.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// `new` is now what `old` is.
pub fn note_duplicate(old: i32, new: i32) {
    let word = entry(old).map_or(UNKNOWN, |entry| entry.load(Ordering::Relaxed));
    let origin = origin(old);
    remember(new, word);
    if let Some((_, word)) = origin.filter(|(_, word)| *word != 0) {
        note_origin(new, word);
    }
}

impl Instance<'_> {
    /// Where the directory stands in the app's tree. None where it is no
    /// directory, or one that has gone: the kernel knows what to say.
    #[inline]
    pub(super) fn base(&self, dirfd: i32) -> Option<Cursor> {
        known(dirfd).or_else(|| self.find_base(dirfd))
    }

    #[inline(never)]
    fn find_base(&self, dirfd: i32) -> Option<Cursor> {
        let (mut host, mut app) = (Text::new(), Text::<MAX_PATH>::new());
        self.base_paths(dirfd, &mut host, &mut app).ok()?;
        Some(self.note_base(dirfd, app.bytes()))
    }

    /// Notes where a directory stands that has an app path, by its letters: what has been renamed since is still as far
    /// from all mounts.
    fn note_base(&self, dirfd: i32, app: &[u8]) -> Cursor {
        let cursor = self.locate(app);
        let standing = if is_of_kernel(app) { 0 } else { self.standing(cursor) };
        remember(dirfd, cursor.pack(standing));
        cursor
    }

    /// The same for one that may be known already.
    pub(super) fn base_at(&self, dirfd: i32, app: &[u8]) -> Cursor {
        known(dirfd).unwrap_or_else(|| self.note_base(dirfd, app))
    }

    /// `fd` (or the working directory) is now the directory at `cursor`. It was opened by a
    /// path that has met no link out of a mount.
    pub(super) fn note_directory(&self, fd: i32, cursor: Option<Cursor>) {
        let standing = |cursor: &Cursor| self.standing(*cursor) & BEHIND;
        remember(fd, cursor.map_or(UNKNOWN, |cursor| cursor.pack(standing(&cursor))));
    }

    fn standing(&self, cursor: Cursor) -> u32 {
        let mount = self.view.mount(self.view.region(cursor.node));
        let has_mounts = cursor.below == 0 && self.view.has_children(cursor.node);
        if self.traces() || has_mounts {
            0
        } else if self.view.passes(cursor.node) {
            if cursor.below > 0 { FREE } else { 0 }
        } else if mount.kind == Kind::Host && !is_of_kernel(mount.source) {
            BEHIND
        } else {
            0
        }
    }

    /// Notes a directory of the host's own tree, with no mount below.
    pub(super) fn note_untouched_directory(&self, fd: i32, cursor: Cursor, is_free: bool) {
        remember(fd, cursor.pack(if is_free && !self.traces() { FREE } else { 0 }));
    }

    /// Finds a canonical app path in the tree.
    pub(super) fn locate(&self, app: &[u8]) -> Cursor {
        let root = Cursor::at(self.view.app_root());
        scan::components(app).fold(root, |cursor, name| cursor.down(&self.view, name))
    }

    /// The app path of the working directory or of a descriptor.
    pub(crate) fn base_path(&self, dirfd: i32, app: &mut Text<MAX_PATH>) -> Result<(), Errno> {
        let mut kept = super::union::WholePath::new();
        if self.kept_path(dirfd, &mut kept).is_some() {
            app.truncate(0);
            return app.push(kept.bytes());
        }
        let mut host = Text::<MAX_PATH>::new();
        self.base_paths(dirfd, &mut host, app)?;
        self.follow_renames(host.bytes(), app)
    }

    /// The host path, and the app path by its letters: of a directory in a layer the one that it had at first.
    pub(super) fn base_paths(
        &self,
        dirfd: i32,
        host: &mut Text<MAX_PATH>,
        app: &mut Text<MAX_PATH>,
    ) -> Result<(), Errno> {
        host.truncate(0);
        if dirfd == AT_FDCWD {
            host.read(kernel::getcwd)?;
        } else {
            let mut link = Text::<32>::new();
            link.push(b"/proc/self/fd/")?;
            link.push_decimal(u32::try_from(dirfd).map_err(|_| Errno::EBADF)?)?;
            match host.read(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room)) {
                Err(Errno::ENOENT) if kernel::status_flags(dirfd).is_err() => return Err(Errno::EBADF),
                read => read?,
            };
        }
        if host.bytes().first() != Some(&b'/') {
            return Err(Errno::ENOENT);
        }
        app.truncate(0);
        self.reverse(host.bytes(), app)
    }
}
