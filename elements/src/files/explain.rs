//! What becomes of a path, for a person to read: the same look-ups, told.

use view::Mount;

use super::MAX_PATH;
use super::namei::Walk;
use super::text::Text;
use crate::kernel::AT_FDCWD;
use crate::{Errno, Instance};

/// What an app path becomes.
pub struct Explanation<'v> {
    /// The canonical app path, as far as it could be walked.
    pub app: Text<MAX_PATH>,
    /// The host path behind it.
    pub host: Text<MAX_PATH>,
    /// The mount that decides.
    pub mount: Mount<'v>,
    /// Whether the path is a mount point itself.
    pub is_mount_point: bool,
    /// In a union, which layer the host path lies in.
    pub layer: Option<Layer>,
    /// Why the walk ended early, if it did.
    pub stopped: Option<Errno>,
}

/// A layer of a union, as people count.
#[derive(Clone, Copy)]
pub struct Layer {
    /// Which it is, from the lowest, which is 1.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// Whether it is the one that takes changes.
    pub is_write_layer: bool,
    /// Whether the union has anything at the path.
    pub is_there: bool,
}

impl<'v> Instance<'v> {
    /// Walks a path (which ends in NUL) and tells what decided. Links in the
    /// last place are followed if `follow`.
    pub fn explain(&self, path: &core::ffi::CStr, follow: bool) -> Explanation<'v> {
        let mut walk = Walk::new();
        let stopped = self.walk_path(&mut walk, AT_FDCWD, path.as_ptr().cast(), follow).err();
        let node = walk.cursor.node;
        let is_mount_point = walk.cursor.below == 0 && self.view.is_mount_point(node);
        let layer = if walk.in_union() { self.layer_of(&walk) } else { None };
        let mut explained = Explanation {
            layer,
            app: walk.app,
            host: walk.host,
            mount: self.view.mount(self.view.region(node)),
            is_mount_point,
            stopped,
        };
        for text in [&mut explained.app, &mut explained.host] {
            if text.is_empty() {
                // One byte fits: the text is empty.
                let _ = text.push(b"/");
            }
        }
        explained
    }
}
