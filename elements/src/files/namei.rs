//! The walk: a path resolved component by component in the app's tree.
//!
//! This is the slow way and the exact one, as path_resolution(7) has it: at
//! each step the directory so far is an app path without symbolic links, and
//! its host path is known. It is taken when a link lies on the way, when `..`
//! climbs about among mounts, and where a canonical path is asked for.

use view::Kind;

use super::MAX_PATH;
use super::base::{Cursor, known};
use super::magic::is_magic;
use super::place::{Place, Scratch, Want};
use super::text::Text;
use super::union::{Position, Spelling, WholePath};
use crate::kernel::{self, AT_FDCWD};
use crate::shared::Layers;
use crate::{Errno, Instance};

/// How many links one path may lead through, as in the kernel.
const MAX_LINKS: u32 = 40;

/// The state of a walk.
pub(super) struct Walk {
    /// The app path so far: canonical, empty for `/`.
    pub app: Text<MAX_PATH>,
    /// The host path of the same place.
    pub host: Text<MAX_PATH>,
    /// Where `app` stands in the tree.
    pub cursor: Cursor,
    /// Where it stands in a union of layers, if it is in one.
    pub position: Position,
    pub(super) in_union: bool,
    /// What is still to be walked, back to front: the next component is last.
    pub(super) pending: Text<{ 2 * MAX_PATH }>,
    links: u32,
    /// Whether no link and no directory on the way can change within an epoch of the table of directories.
    pub(super) is_settled: bool,
    /// Whether a link before a slash at the end is followed.
    slash_follows: bool,
    /// Whether a link in the last place has led to what has a slash at its end.
    link_slash: bool,
}

impl Instance<'_> {
    /// Resolves a path and writes the host path into `scratch`. Apart, like the
    /// next, so that what seldom walks keeps a small frame.
    #[inline(never)]
    pub(super) fn walk(
        &self,
        dirfd: i32,
        path: *const u8,
        follow: bool,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        self.walk_from(&mut Walk::new(), dirfd, path, follow, scratch)
    }

    /// The same for a call that makes a name or takes it away: a slash after
    /// the name does not lead it through a link.
    #[inline(never)]
    pub(super) fn walk_to_name(
        &self,
        dirfd: i32,
        path: *const u8,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        let mut walk = Walk::new();
        walk.slash_follows = false;
        self.walk_from(&mut walk, dirfd, path, false, scratch)
    }

    #[inline(never)]
    fn walk_from(
        &self,
        walk: &mut Walk,
        dirfd: i32,
        path: *const u8,
        follow: bool,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        let slash = self.walk_path(walk, dirfd, path, follow);
        self.finish_walk(walk, slash, (dirfd, path), follow, scratch)
    }

    /// The place that a walk has come to, or what it could not pass.
    pub(super) fn finish_walk(
        &self,
        walk: &mut Walk,
        slash: Result<bool, Errno>,
        (dirfd, path): (i32, *const u8),
        follow: bool,
        scratch: &mut Scratch,
    ) -> Result<Place, Errno> {
        let slash = match slash {
            Err(Errno::ENOENT) if dirfd == AT_FDCWD => self.walk_out(walk, path, follow)?,
            done => done?,
        };
        if walk.in_union && walk.position.sides.is_empty() && walk.slash_follows {
            return Err(Errno::ENOENT);
        }
        scratch.truncate(0);
        scratch.push(if walk.host.is_empty() { b"/" } else { walk.host.bytes() })?;
        if slash {
            scratch.push(b"/")?;
        }
        let node = (walk.cursor.below == 0).then_some(walk.cursor.node);
        let mut place = Place::new(AT_FDCWD, scratch.as_ptr(), self.view.region(walk.cursor.node), node);
        place.identity = if walk.in_union { walk.position.identity() } else { None };
        Ok(place)
    }

    /// Walks a path that leads out of a working directory that has been removed.
    /// That has no path to walk from, but the kernel still knows what is above it.
    #[cold]
    fn walk_out(&self, walk: &mut Walk, path: *const u8, follow: bool) -> Result<bool, Errno> {
        // SAFETY: callers give strings that end in NUL.
        let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
        let rest = path.strip_prefix(b"..").filter(|rest| matches!(rest, [] | [b'/', ..]));
        let rest = rest.ok_or(Errno::ENOENT)?;
        if kernel::fstatat(AT_FDCWD, c".".as_ptr().cast(), 0)?.st_nlink > 0 {
            return Err(Errno::ENOENT);
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let above = kernel::openat(AT_FDCWD, c"..".as_ptr().cast(), flags, 0)?;
        let mut base = Text::new();
        let found = self.base_path(above, &mut base);
        kernel::close(above);
        found?;
        walk.forget();
        walk.start(self, base.bytes())?;
        self.walk_on(walk, rest, follow, None)
    }

    /// Walks, and says whether the path ended in a slash. The last component
    /// need not exist.
    pub(super) fn walk_path(
        &self,
        walk: &mut Walk,
        dirfd: i32,
        path: *const u8,
        follow: bool,
    ) -> Result<bool, Errno> {
        // SAFETY: callers give strings that end in NUL.
        let path = unsafe { core::slice::from_raw_parts(path, super::scan::length(path)) };
        if path.len() >= MAX_PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        if path.first() == Some(&b'/') {
            if let Some(name) = self.walk_at_once(walk, path)? {
                return self.walk_on(walk, name, follow, None);
            }
            let spelling = self.spelling(path);
            // The letters lead to a mount point, whatever lies on the way to it on the host.
            let reach = self.view.reach(self.view.app_root(), path);
            let mount = self.view.mount(self.view.region(reach.node));
            // What stands there for a link is met as one.
            let stands = mount.kind.has_source() && mount.is_dir;
            if let (Some(left), true) = (reach.point, stands) {
                walk.start_at_point(self, &mount)?;
                let rest = path.get(path.len() - left..).unwrap_or(&[]);
                return self.walk_on(walk, rest, follow, spelling);
            }
            walk.start(self, &[])?;
            return self.walk_on(walk, path, follow, spelling);
        }
        self.walk_base(walk, dirfd)?;
        self.walk_on(walk, path, follow, None)
    }

    /// Stands at a path in a union, by names alone.
    pub(super) fn walk_union(&self, walk: &mut Walk, mount: u32, below: &[u8]) -> Result<(), Errno> {
        walk.start(self, self.view.mount(mount).at)?;
        for name in super::scan::components(below) {
            walk.enter(self, name)?;
        }
        Ok(())
    }

    /// Stands at the directory that a descriptor is of, in a union, by its name.
    pub(super) fn walk_descriptor(&self, walk: &mut Walk, dirfd: i32) -> Result<(), Errno> {
        self.walk_base(walk, dirfd)?;
        if walk.in_union { Ok(()) } else { Err(Errno::EXDEV) }
    }

    /// The same of a directory of which it need not be known where it stands: `EXDEV` where that is in no union. Whether
    /// that was not known, and its host path alone has told.
    pub(super) fn walk_opened(&self, walk: &mut Walk, dirfd: i32) -> Result<bool, Errno> {
        let is_layered = |cursor: Cursor| self.view.node(cursor.node).is_some_and(view::Node::is_layered);
        if let Some(cursor) = known(dirfd) {
            let walked =
                if is_layered(cursor) { self.walk_descriptor(walk, dirfd) } else { Err(Errno::EXDEV) };
            return walked.map(|()| false);
        }
        let (mut host, mut app) = (Text::new(), Text::new());
        self.base_paths(dirfd, &mut host, &mut app)?;
        if !is_layered(self.base_at(dirfd, app.bytes())) {
            return Err(Errno::EXDEV);
        }
        self.walk_to_side(walk, host.bytes(), app.bytes())?;
        if walk.in_union { Ok(true) } else { Err(Errno::EXDEV) }
    }

    /// Stands at the working directory or a descriptor's.
    fn walk_base(&self, walk: &mut Walk, dirfd: i32) -> Result<(), Errno> {
        let epoch = self.directories.map(|directories| directories.epoch());
        let mut kept = WholePath::new();
        let Some(cursor) = self.kept_path(dirfd, &mut kept) else { return self.walk_base_anew(walk, dirfd) };
        let is_point = self.view.is_mount_point(cursor.node);
        let union = self.union(self.view.region(cursor.node)).filter(|_| is_point);
        let below = union.map_or(&[][..], |union| union.below(kept.bytes()));
        let walked = match self.walk_below(walk, cursor.node, below) {
            Ok(Some(name)) => walk.enter(self, name),
            Ok(None) => walk.start(self, kept.bytes()),
            Err(errno) => Err(errno),
        };
        // It may have been renamed before the walk began.
        let is_kept = self.directories.map(|directories| directories.epoch()) == epoch;
        if is_kept { walked } else { self.walk_base_anew(walk, dirfd) }
    }

    /// The same, where nothing is known of its path.
    #[inline(never)]
    fn walk_base_anew(&self, walk: &mut Walk, dirfd: i32) -> Result<(), Errno> {
        let note = self.begin_path(dirfd);
        let (mut host, mut app) = (Text::new(), Text::new());
        self.base_paths(dirfd, &mut host, &mut app)?;
        // In a union it may have gone or been renamed, which its side below does not know.
        let has_moved = self.walk_to_side(walk, host.bytes(), app.bytes())?;
        if let (true, Some(note)) = (has_moved, note) {
            note.keep(walk.app.bytes());
        }
        Ok(())
    }

    /// Walks on from where the walk stands.
    fn walk_on(
        &self,
        walk: &mut Walk,
        path: &[u8],
        follow: bool,
        mut spelling: Option<Spelling<'_>>,
    ) -> Result<bool, Errno> {
        let slash = path.last() == Some(&b'/');
        walk.queue(path)?;
        walk.stride(self)?;
        loop {
            let step = walk.step(self);
            if step != Ok(Some(false))
                && let Some(spelling) = spelling.take()
                && matches!(step, Ok(Some(true)) | Err(Errno::ENOENT))
            {
                spelling.note(walk);
            }
            let Some(last) = step? else { break };
            let links = walk.links;
            self.meet(walk, last, follow || walk.link_slash || slash && walk.slash_follows)?;
            if walk.links != links {
                walk.stride(self)?;
            }
        }
        Ok(slash || walk.link_slash)
    }

    /// Looks at the component just entered: a link is followed, a hidden or
    /// denied place refused.
    fn meet(&self, walk: &mut Walk, last: bool, follow: bool) -> Result<(), Errno> {
        let mount = self.view.mount(self.view.region(walk.cursor.node));
        match mount.kind {
            Kind::Hidden => return Err(Errno::ENOENT),
            Kind::Denied => return Err(Errno::EACCES),
            _ => {}
        }
        if last && !follow {
            return Ok(());
        }
        if walk.in_union && walk.position.kind != libc::S_IFLNK {
            // What is there is known, and missing ancestors are met at the next step.
            return Ok(());
        }
        let mut target = Text::<MAX_PATH>::new();
        let is_link_row =
            walk.cursor.below == 0 && mount.kind == Kind::Link && self.view.is_mount_point(walk.cursor.node);
        if is_link_row {
            target.push(mount.source)?;
        } else if is_magic(walk.host.bytes()) {
            return walk.pass_through(self, last);
        } else {
            match target.read(|room| kernel::readlinkat(AT_FDCWD, walk.host.as_ptr(), room)) {
                Ok(_) => {}
                // Not a link. A directory's last moments are for the call to meet.
                Err(Errno::EINVAL) => return Ok(()),
                Err(Errno::ENOENT) if last => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        walk.is_settled &= is_link_row || walk.in_union && walk.position.above == Layers::LOWEST;
        walk.links += 1;
        if walk.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        walk.link_slash |= last && target.bytes().last() == Some(&b'/');
        walk.leave(self)?;
        if target.bytes().first() == Some(&b'/') {
            walk.start(self, &[])?;
        }
        walk.queue(target.bytes())
    }
}

impl Walk {
    /// In place: what has not been written to is not to be copied either.
    #[inline(always)]
    pub(super) fn new() -> Walk {
        let cursor = Cursor { node: view::NodeId(0), below: 0 };
        Walk {
            app: Text::new(),
            host: Text::new(),
            cursor,
            position: Position::new(),
            in_union: false,
            pending: Text::new(),
            links: 0,
            is_settled: true,
            slash_follows: true,
            link_slash: false,
        }
    }

    /// A walk for a call that changes something. In place, too.
    #[inline(always)]
    pub(super) fn for_change(want: Want) -> Walk {
        let mut walk = Walk::new();
        walk.slash_follows = !want.names();
        walk
    }

    /// Stands nowhere again, with nothing to be walked.
    fn forget(&mut self) {
        self.pending.truncate(0);
        self.links = 0;
        self.link_slash = false;
    }

    /// Whether it has followed a link.
    pub(super) fn has_followed(&self) -> bool {
        self.links > 0
    }

    /// Whether it stands in a union of layers.
    pub(super) fn in_union(&self) -> bool {
        self.in_union
    }
}
