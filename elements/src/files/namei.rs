//! The walk: a path resolved component by component in the app's tree.
//!
//! This is the slow way and the exact one, as path_resolution(7) has it: at
//! each step the directory so far is an app path without symbolic links, and
//! its host path is known. It is taken when a link lies on the way, when `..`
//! climbs about among mounts, and where a canonical path is asked for.

use view::Kind;

use super::MAX_PATH;
use super::base::Cursor;
use super::magic::is_magic;
use super::place::{Place, Scratch, Want};
use super::text::Text;
use super::union::{Position, Told, WholePath};
use crate::kernel::{self, AT_FDCWD};
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
        self.walk_on(walk, rest, follow)
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
                return self.walk_on(walk, name, follow);
            }
            // The letters lead to a mount point, whatever lies on the way to it on the host.
            let reach = self.view.reach(self.view.app_root(), path);
            let mount = self.view.mount(self.view.region(reach.node));
            // What stands there for a link is met as one.
            let stands = mount.kind.has_source() && mount.is_dir;
            if let (Some(left), true) = (reach.point, stands) {
                walk.start_at_point(self, &mount)?;
                return self.walk_on(walk, path.get(path.len() - left..).unwrap_or(&[]), follow);
            }
            walk.start(self, &[])?;
        } else {
            self.walk_base(walk, dirfd)?;
        }
        self.walk_on(walk, path, follow)
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
    fn walk_on(&self, walk: &mut Walk, path: &[u8], follow: bool) -> Result<bool, Errno> {
        let slash = path.last() == Some(&b'/');
        walk.queue(path)?;
        walk.stride(self)?;
        while let Some(last) = walk.step(self)? {
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

    /// Stands at a canonical app path.
    pub(super) fn start(&mut self, instance: &Instance<'_>, app: &[u8]) -> Result<(), Errno> {
        self.app.truncate(0);
        self.host.truncate(0);
        self.cursor = Cursor::at(instance.view.app_root());
        self.in_union = false;
        let root = instance.view.node(self.cursor.node);
        if let Some(union) =
            root.filter(|root| root.is_layered()).and_then(|root| instance.union(root.region()))
        {
            self.in_union = true;
            union.enter_root(&mut self.position)?;
            union.write_host(&self.position, &[], &mut self.host)?;
        } else if let Some(source) = root.and_then(|root| instance.view.source_of(root)) {
            self.host.push(source)?;
        }
        for name in super::scan::components(app) {
            self.enter(instance, name)?;
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, instance: &Instance<'_>, name: &[u8]) -> Result<(), Errno> {
        self.app.push(b"/")?;
        self.app.push(name)?;
        self.cursor = self.cursor.down(&instance.view, name);
        let point = self.cursor.below == 0 && instance.view.is_mount_point(self.cursor.node);
        let mount = instance.view.mount(instance.view.region(self.cursor.node));
        if point && mount.kind.has_source() {
            self.host.truncate(0);
            self.in_union = mount.kind == Kind::Layers;
            if let (true, Some(union)) = (self.in_union, instance.union(mount.id)) {
                union.enter_root(&mut self.position)?;
                return union.write_host(&self.position, &[], &mut self.host);
            }
            return self.host.push(mount.source);
        }
        if let (true, Some(union)) = (self.in_union, instance.union(mount.id)) {
            let below = union.below(self.app.bytes());
            union.enter(&mut self.position, below, name)?;
            return union.write_host(&self.position, below, &mut self.host);
        }
        self.in_union = false;
        self.host.push(b"/")?;
        self.host.push(name)
    }

    /// `.` and `..` are names that only a directory has, and only for those
    /// who may search it.
    fn require_directory(&mut self, instance: &Instance<'_>) -> Result<(), Errno> {
        let mut search = None;
        if self.in_union {
            if !self.position.is_dir() {
                return Err(if self.position.sides.is_empty() { Errno::ENOENT } else { Errno::ENOTDIR });
            }
            search = instance.search(self.host.bytes());
            if search.is_some_and(Told::is_known) {
                return Ok(());
            }
        }
        let len = self.host.len();
        self.host.push(b"/.")?;
        let found = kernel::fstatat(AT_FDCWD, self.host.as_ptr(), 0);
        self.host.truncate(len);
        found?;
        if let Some(search) = search {
            search.note();
        }
        Ok(())
    }

    /// Goes up one component; `/` is above itself.
    fn leave(&mut self, instance: &Instance<'_>) -> Result<(), Errno> {
        let end = self.app.bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        if !self.in_union && (1..Cursor::DEEP).contains(&self.cursor.below) {
            // The name above is of the same mount, and the host path ends in the same names.
            self.host.truncate(self.host.len() - (self.app.len() - end));
            self.app.truncate(end);
            self.cursor.below -= 1;
            return Ok(());
        }
        let mut above = Text::<MAX_PATH>::new();
        above.push(self.app.bytes().get(..end).unwrap_or(&[]))?;
        self.start(instance, above.bytes())
    }

    /// Puts a path before what is still to be walked.
    fn queue(&mut self, path: &[u8]) -> Result<(), Errno> {
        for name in path.rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            self.pending.push(b"/")?;
            self.pending.push(name)?;
        }
        Ok(())
    }

    /// Takes the next component. Some(true) if it was the last one.
    fn step(&mut self, instance: &Instance<'_>) -> Result<Option<bool>, Errno> {
        loop {
            let pending = self.pending.bytes();
            let Some(slash) = pending.iter().rposition(|byte| *byte == b'/') else { return Ok(None) };
            let mut name = Text::<MAX_PATH>::new();
            name.push(pending.get(slash + 1..).unwrap_or(&[]))?;
            self.pending.truncate(slash);
            match name.bytes() {
                b"." => self.require_directory(instance)?,
                b".." => {
                    self.require_directory(instance)?;
                    self.leave(instance)?;
                    if self.pending.is_empty() {
                        return Ok(None);
                    }
                }
                name => {
                    self.enter(instance, name)?;
                    return Ok(Some(self.pending.is_empty()));
                }
            }
        }
    }
}
