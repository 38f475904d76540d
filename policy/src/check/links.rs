//! `interfaces` and `mac` of `[identity]`: whether the host has such network interfaces.

use std::path::Path;

use toml::Spanned;

use super::{Checker, shorten};
use crate::host::Found;
use crate::identity::{LINK_SETTINGS, LINKS, Link, Said};
use crate::raw::RawIdentity;

impl Checker<'_> {
    /// What the policy says of interfaces. One of the host's whose name another has got has the name that
    /// has become free.
    pub(super) fn links(&mut self, raw: &RawIdentity) -> Vec<Said<Link>> {
        let mut links: Vec<Said<Link>> = Vec::new();
        for (name, host) in &raw.interfaces {
            if let Some(first) = links.iter().find(|link| link.value.host == *host.get_ref()) {
                let message =
                    format!("a second name for the network interface `{}`", shorten(host.get_ref()));
                let expected = format!("line {} calls it `{}`", first.line, first.value.name);
                self.report.add(name.span(), message, expected, Some("take one of them away".into()));
                continue;
            }
            links.extend(self.interface(name, host));
        }
        let mut displaced = Vec::new();
        for link in &links {
            let taken = &link.value.name;
            let is_there = Path::new(LINKS).join(taken);
            if links.iter().any(|other| other.value.host == *taken)
                || self.host.look(&is_there) == Found::Nothing
            {
                continue;
            }
            let mut free = &link.value.host;
            while let Some(next) = links.iter().find(|other| other.value.name == *free) {
                free = &next.value.host;
            }
            displaced.push((link.span.clone(), taken.clone(), free.clone()));
        }
        for (span, host, name) in displaced {
            let link = self.link(host, name);
            links.extend(link.map(|link| self.said(span, link)));
        }
        for (name, address) in &raw.mac {
            self.hardware_address(&mut links, name, address);
        }
        links
    }

    /// A name of the application's for an interface of the host's.
    fn interface(&mut self, name: &Spanned<String>, host: &Spanned<String>) -> Option<Said<Link>> {
        let wrong = match name.get_ref().as_str() {
            "lo" => Some("another name than `lo`, which stays what it is"),
            name if !fits(name) => Some("1 to 15 characters, without spaces, `/` and `:`"),
            _ => None,
        };
        if let Some(expected) = wrong {
            let message = format!("a network interface cannot be called {:?}", shorten(name.get_ref()));
            self.report.add(name.span(), message, expected, None);
            return None;
        }
        let value = self.expanded(host)?;
        if value == "lo" {
            let message = "`lo` cannot have another name".to_owned();
            self.report.add(host.span(), message, "an interface that is not the loopback", None);
            return None;
        }
        if !self.is_there(&value) {
            self.refuse_interface(host, &value, "name the one that the application is to know by this name");
            return None;
        }
        Some(self.said(name.span(), self.link(value, name.get_ref().clone())?))
    }

    /// What the host has of an interface.
    fn link(&self, host: String, name: String) -> Option<Link> {
        let device = self.host.canonicalize(&Path::new(LINKS).join(&host)).ok()?;
        let uevent = self.host.text(&device.join("uevent")).unwrap_or_default();
        let has =
            |directory: &&'static str| self.host.look(&Path::new(directory).join(&host)) == Found::Directory;
        let settings = LINK_SETTINGS.iter().copied().filter(has).collect();
        Some(Link { host, name, address: None, device, uevent, settings })
    }

    fn is_there(&self, name: &str) -> bool {
        fits(name) && self.host.look(&Path::new(LINKS).join(name).join("address")) != Found::Nothing
    }

    fn refuse_interface(&mut self, at: &Spanned<String>, name: &str, help: &str) {
        let names = std::fs::read_dir(LINKS).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        self.host.note_unsettled();
        let message = format!("the host has no network interface `{}`", shorten(name));
        self.report.add(at.span(), message, format!("one of {}", names.join(", ")), Some(help.into()));
    }

    /// The hardware address of an interface, by the application's name for it.
    fn hardware_address(
        &mut self,
        links: &mut Vec<Said<Link>>,
        name: &Spanned<String>,
        address: &Spanned<String>,
    ) {
        let word = name.get_ref();
        let known = links.iter().position(|link| link.value.name == *word);
        if let (None, Some(other)) = (known, links.iter().find(|link| link.value.host == *word)) {
            let message = format!("the application has no network interface `{}`", shorten(word));
            let expected = format!("`{}`, as line {} calls it", other.value.name, other.line);
            self.report.add(name.span(), message, expected, None);
            return;
        }
        if known.is_none() && !self.is_there(word) {
            let help = "name the one whose address the application is to take for its own";
            self.refuse_interface(name, word, help);
            return;
        }
        let said = self.text(address, "mac", |text| {
            let wrong = match parsed(text) {
                None => "six bytes in hexadecimal, with `:` between them: 00:50:56:aa:bb:cc",
                Some([0, 0, 0, 0, 0, 0]) => "an address that is not all zero",
                Some([first, ..]) if first & 1 != 0 => "an address of one card: its first byte is even",
                Some(_) => return None,
            };
            Some(wrong)
        });
        let Some(address) = said.and_then(|said| parsed(&said.value)) else { return };
        match known.and_then(|known| links.get_mut(known)) {
            Some(link) => link.value.address = Some(address),
            None => {
                let link = self.link(word.clone(), word.clone());
                links
                    .extend(link.map(|link| self.said(name.span(), Link { address: Some(address), ..link })));
            }
        }
    }
}

/// Whether an interface can be called so (`dev_valid_name` in the kernel).
fn fits(name: &str) -> bool {
    let is_odd = |c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace();
    (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(is_odd)
}

/// The bytes of a hardware address.
fn parsed(text: &str) -> Option<[u8; 6]> {
    let byte = |part: &str| {
        let is_right = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_right.then(|| u8::from_str_radix(part, 16).ok())?
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    bytes?.try_into().ok()
}
