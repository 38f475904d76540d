//! From host paths back to app paths: what getcwd and /proc give.

use super::text::Text;
use super::{MAX_PATH, scan};
use crate::{Errno, Instance};

impl Instance<'_> {
    /// Writes the app path of a canonical host path.
    ///
    /// A host path that no mount shows keeps its name, but for one that a mount
    /// at `/` leaves out of sight. Where two mounts show
    /// the same source, the first of the policy gives the name.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG` where the app path does not fit, `ENOENT` where there is none.
    pub(crate) fn reverse(&self, host: &[u8], app: &mut Text<MAX_PATH>) -> Result<(), Errno> {
        let view = &self.view;
        let mut node = view.host_root();
        let mut best = None;
        let mut at = 0;
        for name in host.split(|byte| *byte == b'/') {
            let end = at + name.len();
            if !name.is_empty() {
                let Some(child) = view.child(node, name) else { break };
                node = child;
                if view.is_mount_point(child) {
                    best = Some((view.region(child), end));
                }
            }
            at = end + 1;
        }
        let (at, end) = match best {
            Some((id, end)) => (view.mount(id).at, end),
            None if view.has_root() => return Err(Errno::ENOENT),
            None => (&[][..], 0),
        };
        let rest = host.get(end..).unwrap_or(&[]);
        // What is below `/` begins with the slash that `/` is.
        app.push(if at == b"/" && !rest.is_empty() { &[] } else { at })?;
        app.push(rest)
    }

    /// Whether the app's tree has no path for a host path.
    pub fn is_unreachable(&self, host: &[u8]) -> bool {
        self.view.has_root() && !self.is_behind_mount(host)
    }

    /// Whether a host path lies in a mount's source, so that its app path differs.
    pub(crate) fn is_behind_mount(&self, host: &[u8]) -> bool {
        let mut node = self.view.host_root();
        for name in scan::components(host) {
            let Some(child) = self.view.child(node, name) else { return false };
            if self.view.is_mount_point(child) {
                return true;
            }
            node = child;
        }
        false
    }
}
