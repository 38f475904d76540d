//! What a descriptor of a read-only mount does not let a program change: mode,
//! owner, times, attributes. Its bytes are safe, since it was not opened to write.

use view::{Access, Kind};

use super::text::Text;
use super::{MAX_PATH, scan};
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance};

impl Instance<'_> {
    /// fchmod(2), fchown(2), futimens(3), fsetxattr(2), fremovexattr(2): passes
    /// but for a descriptor of a read-only mount. One that was opened to write
    /// is of no such mount, and costs no look at its path.
    pub fn change_by_descriptor(&self, fd: i32) -> Answer {
        let reads = kernel::status_flags(fd)
            .is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_PATH == 0);
        if reads && self.is_protected_descriptor(fd) { Answer::fail(Errno::EROFS) } else { Answer::Pass }
    }

    /// Whether read-only mounts alone show what a descriptor stands for.
    pub(super) fn is_protected_descriptor(&self, fd: i32) -> bool {
        if fd < 0 {
            return false;
        }
        let mut link = Text::<32>::new();
        let mut host = Text::<MAX_PATH>::new();
        let named = link.push(b"/proc/self/fd/").and_then(|()| link.push_decimal(fd.unsigned_abs()));
        if named.is_err() || host.fill(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room)).is_err() {
            return false;
        }
        let view = &self.view;
        let mut node = view.host_root();
        let mut access = None;
        if host.bytes().first() != Some(&b'/') {
            return false;
        }
        for name in scan::components(host.bytes()) {
            let Some(child) = view.child(node, name) else { break };
            node = child;
            if view.is_mount_point(child) {
                access = Some(view.mount(view.region(child)).access);
            }
        }
        // The tree gives one mount of several.
        let shown_by = |mount: view::Mount<'_>| {
            mount.kind == Kind::Host
                && mount.access == Access::ReadWrite
                && host.bytes().strip_prefix(mount.source).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        access == Some(Access::ReadOnly) && !view.mounts().any(shown_by)
    }
}
