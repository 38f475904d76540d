//! The steps of a walk: into a directory by a name, and out of it by `..`.

use view::Kind;

use super::MAX_PATH;
use super::base::Cursor;
use super::namei::Walk;
use super::text::Text;
use super::union::{Told, WholePath};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

impl Walk {
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
            self.is_settled = false;
            return self.host.push(mount.source);
        }
        if let (true, Some(union)) = (self.in_union, instance.union(mount.id)) {
            let below = union.below(self.app.bytes());
            union.enter(&mut self.position, below, name)?;
            return union.write_host(&self.position, below, &mut self.host);
        }
        self.in_union = false;
        self.is_settled &= point && mount.kind == Kind::Link;
        self.host.push(b"/")?;
        self.host.push(name)
    }

    /// Writes the path of the directory that a name has been entered in, or that is missing on the way to it. None: it has none
    /// that is as plain.
    pub(super) fn directory(&self, path: &mut WholePath) -> Option<()> {
        path.truncate(0);
        path.push(self.app.bytes()).ok()?;
        for name in self.pending.bytes().rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if matches!(name, b"." | b"..") {
                return None;
            }
            path.push(b"/").ok()?;
            path.push(name).ok()?;
        }
        let end = path.bytes().iter().rposition(|byte| *byte == b'/')?;
        path.truncate(end);
        (end > 0).then_some(())
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
    pub(super) fn leave(&mut self, instance: &Instance<'_>) -> Result<(), Errno> {
        let end = self.app.bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        if !self.in_union && (1..Cursor::DEEP).contains(&self.cursor.below) {
            // The name above is of the same mount, and the host path ends in the same names.
            self.host.truncate(self.host.len() - (self.app.len() - end));
            self.app.truncate(end);
            self.cursor.below -= 1;
            return Ok(());
        }
        if self.in_union && self.leave_in_union(instance, end)? {
            return Ok(());
        }
        self.start_above(instance, end)
    }

    /// Walks to the directory above from the beginning. `end` is where its path ends.
    #[inline(never)]
    fn start_above(&mut self, instance: &Instance<'_>, end: usize) -> Result<(), Errno> {
        let mut above = Text::<MAX_PATH>::new();
        above.push(self.app.bytes().get(..end).unwrap_or(&[]))?;
        self.start(instance, above.bytes())
    }

    /// Puts a path before what is still to be walked.
    pub(super) fn queue(&mut self, path: &[u8]) -> Result<(), Errno> {
        for name in path.rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            self.pending.push(b"/")?;
            self.pending.push(name)?;
        }
        Ok(())
    }

    /// Takes the next component. Some(true) if it was the last one.
    pub(super) fn step(&mut self, instance: &Instance<'_>) -> Result<Option<bool>, Errno> {
        loop {
            let pending = self.pending.bytes();
            let Some(slash) = pending.iter().rposition(|byte| *byte == b'/') else { return Ok(None) };
            let mut name = Text::<MAX_PATH>::new();
            name.push(pending.get(slash + 1..).unwrap_or(&[]))?;
            self.pending.truncate(slash);
            match name.bytes() {
                dots @ (b"." | b"..") => {
                    if let Err(errno) = self.require_directory(instance) {
                        // It stands at what is missing, and not below.
                        self.is_settled = false;
                        return Err(errno);
                    }
                    if dots == b"." {
                        continue;
                    }
                    self.leave(instance)?;
                    if self.pending.is_empty() {
                        return Ok(None);
                    }
                    if self.in_union {
                        self.stride(instance)?;
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
