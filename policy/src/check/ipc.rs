//! `[ipc]`: whose the names are that processes find each other by.

use view::build::IpcFacts;

use super::Checker;
use crate::raw::RawIpc;

/// As long as an abstract socket's name can be, see unix(7).
const LONGEST: usize = 107;

/// What stays the host's in any case: servers of the user's session, which programs find by fixed names, and
/// the buses that such servers tell them of, which have random ones.
const ALWAYS: [&str; 3] = ["/tmp/.X11-unix/*", "/tmp/.ICE-unix/*", "/tmp/dbus-*"];

impl Checker<'_> {
    /// What makes names the instance's own; none where they are the host's. Its number is not known yet.
    pub fn ipc(&mut self, raw: &RawIpc) -> Option<IpcFacts> {
        let mut hosts: Vec<Vec<u8>> = ALWAYS.iter().map(|name| name.as_bytes().to_vec()).collect();
        for said in &raw.host {
            let Some(name) = self.expanded(said) else { continue };
            let wrong = if name.is_empty() {
                Some("a name, without the `@` that tools show before it")
            } else if name.starts_with('@') {
                Some("a name without the `@` that tools show before it")
            } else if name.contains('\0') {
                Some("a name without NUL")
            } else if name.len() > LONGEST {
                Some("107 bytes at most")
            } else {
                None
            };
            if let Some(expected) = wrong {
                let message = format!("`host` cannot hold {:?}", super::shorten(&name));
                self.report.add(said.span(), message, expected, None);
            }
            hosts.push(name.into_bytes());
        }
        if raw.share {
            return None;
        }
        // What whoever starts the application hands it in its environment is meant to be found.
        if let Some(name) = self.variable("NOTIFY_SOCKET").as_deref().and_then(|at| at.strip_prefix('@')) {
            hosts.push(name.into());
        }
        if let Some(addresses) = self.variable("DBUS_SESSION_BUS_ADDRESS") {
            let parts = addresses.split([';', ':', ',']);
            hosts.extend(parts.filter_map(|part| part.strip_prefix("abstract=")).map(Into::into));
        }
        Some(IpcFacts { salt: 0, hosts })
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let value = (self.variables)(name);
        self.host.note_variable(name, value.as_deref());
        value
    }
}
