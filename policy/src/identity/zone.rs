//! Where the application is: its time zone, as the files that tell it.

use crate::checked::What;

use super::{Files, Said, Writer};

const KEY: &str = "zone";

/// The files that say which zone it is. `text` is the zone's own, as tzfile(5) has it.
pub fn zone_files(zone: &Said<String>, text: &[u8]) -> Files {
    let mut to = Writer { files: Vec::new() };
    // Mostly it is a link to another zone, which is to stay what it is.
    to.file(zone, KEY, "/etc/localtime", 0o644, text);
    if let Some(file) = to.files.last_mut() {
        file.replaces_link = true;
    }
    to.file(zone, KEY, "/etc/timezone", 0o644, format!("{}\n", zone.value));
    // An image may have no zones, and what is named by TZ is looked for here.
    let what = What::Content { bytes: text.to_vec(), mode: 0o644 };
    to.derived(zone, KEY, &format!("/usr/share/zoneinfo/{}", zone.value), what);
    if let Some(file) = to.files.last_mut() {
        file.needs_directory = false;
    }
    to.files
}
