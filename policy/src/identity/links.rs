//! Network interfaces under the application's names, as far as files tell of them: /sys/class/net, the device that
//! a link there leads to, and /proc/sys/net.

use std::path::{Path, PathBuf};

use view::Access;

use super::{Said, Writer};
use crate::checked::What;

/// Where the kernel has links to all interfaces.
pub(crate) const ALL: &str = "/sys/class/net";
/// Directories that have one for each interface.
pub(crate) const SETTINGS: [&str; 4] = [
    "/proc/sys/net/ipv4/conf",
    "/proc/sys/net/ipv4/neigh",
    "/proc/sys/net/ipv6/conf",
    "/proc/sys/net/ipv6/neigh",
];

/// An interface that the policy says something of.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name on the host.
    pub host: String,
    /// The name that the application knows it by.
    pub name: String,
    /// Its hardware address, where that is not the host's.
    pub address: Option<[u8; 6]>,
    /// Its directory in /sys, without links.
    pub device: PathBuf,
    /// The text of `uevent` there.
    pub uevent: String,
    /// Those of [`SETTINGS`] that have it.
    pub settings: Vec<&'static str>,
}

impl Link {
    fn is_renamed(&self) -> bool {
        self.host != self.name
    }
}

/// What tells of interfaces.
pub(super) fn write(to: &mut Writer, links: &[Said<Link>]) {
    let is_shown = |name: &str| links.iter().any(|other| other.value.name == name);
    for said in links.iter().filter(|said| said.value.is_renamed()) {
        let link = &said.value;
        let own = link.device.with_file_name(&link.name);
        let hosts = |source: &Path| What::Host { source: source.to_owned(), is_dir: true };
        to.of_link(said, own.clone(), hosts(&link.device)).mount.access = Access::ReadWrite;
        let below = own.strip_prefix("/sys").unwrap_or(&own);
        let target = Path::new("../..").join(below);
        to.of_link(said, Path::new(ALL).join(&link.name), What::Link { target }).replaces_link = true;
        for directory in link.settings.iter().map(Path::new) {
            let source = directory.join(&link.host);
            to.of_link(said, directory.join(&link.name), hosts(&source)).mount.access = Access::ReadWrite;
        }
        if !is_shown(&link.host) {
            to.of_link(said, link.device.clone(), What::Hidden);
            to.of_link(said, Path::new(ALL).join(&link.host), What::Hidden).replaces_link = true;
            for directory in &link.settings {
                to.of_link(said, Path::new(directory).join(&link.host), What::Hidden);
            }
        }
        let line = |line: &str| match line.strip_prefix("INTERFACE=") {
            Some(_) => format!("INTERFACE={}\n", link.name),
            None => format!("{line}\n"),
        };
        let bytes = link.uevent.lines().map(line).collect::<String>().into_bytes();
        to.of_link(said, own.join("uevent"), What::Content { bytes, mode: 0o644 });
    }
    for said in links {
        let Link { name, address: Some(address), device, .. } = &said.value else { continue };
        let directory =
            if said.value.is_renamed() { device.with_file_name(name) } else { Path::new(ALL).join(name) };
        let digits: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = format!("{}\n", digits.join(":")).into_bytes();
        to.of_link(said, directory.join("address"), What::Content { bytes, mode: 0o444 }).key = "mac";
    }
}
