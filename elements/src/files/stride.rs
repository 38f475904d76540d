//! The stride of a walk: many components at once, where no link is among them.
//!
//! Most paths with a link have one, and what comes after it is plain. The
//! table of directories knows that, or the kernel says so with one call; a walk
//! asks it of each component else.

use view::{Kind, Mount, NodeId};

use super::base::Cursor;
use super::glance::Glance;
use super::namei::Walk;
use super::scan;
use crate::kernel::AT_FDCWD;
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Stands at the directory of an absolute path's last name, if that is in a union and the table has its sides, and
    /// gives the name.
    pub(super) fn walk_at_once<'p>(
        &self,
        walk: &mut Walk,
        path: &'p [u8],
    ) -> Result<Option<&'p [u8]>, Errno> {
        if !self.has_unions() {
            return Ok(None);
        }
        let Glance::Closer(start) = self.glance(AT_FDCWD, path.as_ptr()) else { return Ok(None) };
        let Some((node, below)) = self.plain_below_union(path.as_ptr(), start) else { return Ok(None) };
        self.walk_below(walk, node, below)
    }

    /// The same of a path below a union's mount point.
    pub(super) fn walk_below<'p>(
        &self,
        walk: &mut Walk,
        node: NodeId,
        below: &'p [u8],
    ) -> Result<Option<&'p [u8]>, Errno> {
        let Some(slash) = below.iter().rposition(|byte| *byte == b'/') else { return Ok(None) };
        let (above, name) = (below.get(..slash).unwrap_or(&[]), below.get(slash + 1..).unwrap_or(&[]));
        let Some(union) = self.union(self.view.region(node)).filter(|_| !name.is_empty()) else {
            return Ok(None);
        };
        walk.position.begin(&union);
        let Some(sides) = union.known(above) else { return Ok(None) };
        walk.position.stand(above, sides)?;
        walk.app.truncate(0);
        walk.app.push(union.path())?;
        walk.app.push(above)?;
        walk.cursor = Cursor { node, below: scan::components(above).count() as u32 };
        walk.in_union = true;
        Ok(Some(name))
    }
}

impl Walk {
    /// Enters all that is still to be walked but for the last component, where
    /// neither a link nor a mount point nor `..` is on the way.
    pub(super) fn stride(&mut self, instance: &Instance<'_>) -> Result<(), Errno> {
        let mount = instance.view.mount(instance.view.region(self.cursor.node));
        if self.in_union() {
            return self.stride_in_union(instance, mount.id);
        }
        if mount.kind != Kind::Host || !self.host.bytes().starts_with(mount.source) {
            return Ok(());
        }
        // Back to front, and a slash before each.
        let pending = self.pending.bytes();
        let mut slashes = pending.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let Some(end) = slashes.nth(1) else { return Ok(()) };
        let names = || pending.get(end + 1..).unwrap_or(&[]).rsplit(|byte| *byte == b'/');
        let (start, mut cursor) = (self.host.len(), self.cursor);
        for name in names() {
            cursor = cursor.down(&instance.view, name);
            let entered = self.host.push(b"/").and_then(|()| self.host.push(name));
            if cursor.below == 0 || matches!(name, b"." | b"..") || entered.is_err() {
                self.host.truncate(start);
                return Ok(());
            }
        }
        let below = self.host.bytes().get(mount.source.len()..).unwrap_or(&[]);
        // Before the first link it has been asked, and that was the answer.
        let plain = instance.is_known_plain(mount.id, below)
            || self.has_followed() && instance.learn_plain(self.host.bytes(), mount.id).is_ok();
        if !plain {
            self.host.truncate(start);
            return Ok(());
        }
        for name in names() {
            self.app.push(b"/")?;
            self.app.push(name)?;
        }
        self.cursor = cursor;
        self.pending.truncate(end);
        Ok(())
    }

    /// The same in a union, up to the last component or the first `.` or `..`, where the table has the sides of the directory there.
    fn stride_in_union(&mut self, instance: &Instance<'_>, mount: u32) -> Result<(), Errno> {
        let Some(union) = instance.union(mount).filter(|_| self.position.is_in_its_place()) else {
            return Ok(());
        };
        let pending = self.pending.bytes();
        let is_dots = |name: &[u8]| matches!(name, b"." | b"..");
        let (start, mut cursor) = (self.app.len(), self.cursor);
        let mut end = pending.len();
        let has_dots = loop {
            let ahead = pending.get(..end).unwrap_or(&[]);
            let slash = ahead.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let name = ahead.get(slash + 1..).unwrap_or(&[]);
            if slash == 0 || is_dots(name) {
                break is_dots(name);
            }
            cursor = cursor.down(&instance.view, name);
            let entered = self.app.push(b"/").and_then(|()| self.app.push(name));
            if cursor.below == 0 || entered.is_err() {
                self.app.truncate(start);
                return Ok(());
            }
            end = slash;
        };
        if end == pending.len() {
            return Ok(());
        }
        let below = union.below(self.app.bytes());
        let Some(sides) = union.known(below) else {
            self.app.truncate(start);
            return Ok(());
        };
        self.position.stand(below, sides)?;
        // Otherwise that is written with the last component.
        if has_dots {
            union.write_host(&self.position, below, &mut self.host)?;
        }
        self.cursor = cursor;
        self.pending.truncate(end);
        Ok(())
    }

    /// Goes up one component in a union, to a directory of which the table has the sides. `end` is where its path ends. False: it has
    /// not, or they are known by another name.
    pub(super) fn leave_in_union(&mut self, instance: &Instance<'_>, end: usize) -> Result<bool, Errno> {
        if !(1..Cursor::DEEP).contains(&self.cursor.below) || self.position.has_own_name() {
            return Ok(false);
        }
        let Some(union) = instance.union(instance.view.region(self.cursor.node)) else { return Ok(false) };
        let below = union.below(self.app.bytes().get(..end).unwrap_or(&[]));
        let Some(sides) = union.known(below) else { return Ok(false) };
        self.position.stand(below, sides)?;
        union.write_host(&self.position, below, &mut self.host)?;
        self.cursor.below -= 1;
        self.app.truncate(end);
        Ok(true)
    }

    /// Stands at a mount point.
    pub(super) fn start_at_point(&mut self, instance: &Instance<'_>, mount: &Mount<'_>) -> Result<(), Errno> {
        self.cursor = Cursor::at(instance.view.reach(instance.view.app_root(), mount.at).node);
        self.app.truncate(0);
        self.app.push(mount.at.strip_suffix(b"/").unwrap_or(mount.at))?;
        if let Some(union) = instance.union(mount.id) {
            self.in_union = true;
            union.enter_root(&mut self.position)?;
            return union.write_host(&self.position, &[], &mut self.host);
        }
        self.in_union = false;
        self.host.truncate(0);
        self.host.push(mount.source)
    }
}
