//! The stride of a walk: many components at once, where no link is among them.
//!
//! Most paths with a link have one, and what comes after it is plain. The
//! table of directories knows that, or the kernel says so with one call; a walk
//! asks it of each component else.

use view::{Kind, Mount};

use super::base::Cursor;
use super::namei::Walk;
use crate::{Errno, Instance};

impl Walk {
    /// Enters all that is still to be walked but for the last component, where
    /// neither a link nor a mount point nor `..` is on the way.
    pub(super) fn stride(&mut self, instance: &Instance<'_>) -> Result<(), Errno> {
        let mount = instance.view.mount(instance.view.region(self.cursor.node));
        if self.in_union() || mount.kind != Kind::Host || !self.host.bytes().starts_with(mount.source) {
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

    /// Stands at a mount point.
    pub(super) fn start_at_point(&mut self, instance: &Instance<'_>, mount: &Mount<'_>) -> Result<(), Errno> {
        if mount.kind == Kind::Layers {
            return self.start(instance, mount.at);
        }
        self.cursor = Cursor::at(instance.view.reach(instance.view.app_root(), mount.at).node);
        self.in_union = false;
        self.app.truncate(0);
        self.app.push(mount.at)?;
        self.host.truncate(0);
        self.host.push(mount.source)
    }
}
