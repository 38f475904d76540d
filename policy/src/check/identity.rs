//! `[identity]`: whether the machine can be as it is said to be.

use std::ops::Range;

use toml::Spanned;

use super::{Checker, shorten};
use crate::identity::{Identity, Kernel, Said, Writer};
use crate::raw::{RawIdentity, RawKernel};

/// As many processors as a `cpu_set_t` has room for.
const MOST_CPUS: u32 = 1024;
/// The least and the most memory, in bytes.
const LEAST_MEMORY: u64 = 16 << 20;
const MOST_MEMORY: u64 = 1 << 50;

/// The longest name that uname(2) has room for.
const LONGEST: usize = view::LONGEST;

impl Checker<'_> {
    /// What `[identity]` says; the files that say it to the application are added to `to`.
    /// `runs_as` is who the application runs as.
    pub fn identity(
        &mut self,
        raw: &RawIdentity,
        runs_as: Option<&Spanned<String>>,
        to: &mut Writer,
    ) -> Identity {
        let identity = Identity {
            host_name: raw.hostname.as_ref().and_then(|said| self.host_name(said, "hostname")),
            domain_name: raw.domainname.as_ref().and_then(|said| self.host_name(said, "domainname")),
            machine_id: raw.machine_id.as_ref().and_then(|said| self.machine_id(said)),
            host_id: raw.host_id.as_ref().and_then(|said| self.host_id(said)),
            kernel: raw.kernel.as_ref().and_then(|kernel| self.kernel(kernel)),
            os_release: raw.os_release.as_ref().and_then(|said| {
                let before = self.report.diagnostics().len();
                let lines = said.get_ref().iter().filter_map(|(key, value)| self.release_line(key, value));
                let lines = lines.collect();
                let is_right = self.report.diagnostics().len() == before;
                is_right.then(|| self.said(said.span(), lines))
            }),
            cpus: raw.cpus.as_ref().and_then(|said| self.cpus(said)),
            memory: raw.memory.as_ref().and_then(|said| self.memory(said)),
            links: self.links(raw),
            users: self.users(raw, runs_as),
        };
        let boot = if identity.machine_id.is_some() { self.host.boot_id() } else { None };
        identity.files(boot.as_deref(), to);
        identity
    }

    pub(super) fn said<T>(&self, span: Range<usize>, value: T) -> Said<T> {
        Said { line: self.report.line(span.start), span, value }
    }

    /// A text whose variables are put in, and that `wrong` has nothing against.
    pub(super) fn text(
        &mut self,
        said: &Spanned<String>,
        key: &str,
        wrong: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<Said<String>> {
        let value = self.expanded(said)?;
        match wrong(&value) {
            None => Some(self.said(said.span(), value)),
            Some(expected) => {
                let message = format!("`{key}` cannot be {:?}", shorten(&value));
                self.report.add(said.span(), message, expected, None);
                None
            }
        }
    }

    fn host_name(&mut self, said: &Spanned<String>, key: &str) -> Option<Said<String>> {
        self.text(said, key, |name| {
            let fits = |label: &str| {
                let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                (1..=63).contains(&label.len()) && !label.starts_with('-') && label.chars().all(letters)
            };
            if name.len() > LONGEST {
                Some("64 characters at most: uname(2) has no room for more")
            } else if key == "domainname" && name == "(none)" || name.split('.').all(fits) {
                None
            } else {
                Some("letters, digits, `-` and `_`, in parts with `.` between them (hostname(7))")
            }
        })
    }

    fn machine_id(&mut self, said: &Spanned<String>) -> Option<Said<String>> {
        self.text(said, "machine_id", |id| {
            let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let fits = id.len() == 32 && id.bytes().all(digits) && id.bytes().any(|byte| byte != b'0');
            (!fits).then_some("32 hexadecimal digits in lower case, not all zero (machine-id(5))")
        })
    }

    fn host_id(&mut self, said: &Spanned<i64>) -> Option<Said<u32>> {
        match u32::try_from(*said.get_ref()) {
            Ok(id) => Some(self.said(said.span(), id)),
            Err(_) => {
                let message = format!("`host_id` cannot be {}", said.get_ref());
                self.report.add(said.span(), message, "a number from 0 to 0xffffffff", None);
                None
            }
        }
    }

    fn kernel(&mut self, said: &Spanned<RawKernel>) -> Option<Said<Kernel>> {
        let raw = said.get_ref();
        let word = |text: &str| {
            if text.is_empty() || text.len() > LONGEST {
                Some("1 to 64 characters: uname(2) has no room for more")
            } else if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
                None
            } else {
                Some("letters, digits and signs, without spaces and `/`")
            }
        };
        let line = |text: &str| {
            if text.is_empty() || text.len() > LONGEST {
                Some("1 to 64 characters: uname(2) has no room for more")
            } else {
                text.chars().any(char::is_control).then_some("one line, without control characters")
            }
        };
        let mut or =
            |said: &Option<Spanned<String>>, key, default: &str, wrong: &dyn Fn(&str) -> _| match said {
                Some(said) => self.text(said, key, wrong).map(|said| said.value),
                None => Some(default.to_owned()),
            };
        let version = or(&raw.version, "version", "#1 SMP", &line);
        let machine = or(&raw.machine, "machine", "x86_64", &word);
        let release = self.text(raw.release.as_ref()?, "release", word)?.value;
        Some(self.said(said.span(), Kernel { release, version: version?, machine: machine? }))
    }

    fn cpus(&mut self, said: &Spanned<i64>) -> Option<Said<u32>> {
        match u32::try_from(*said.get_ref()) {
            Ok(cpus @ 1..=MOST_CPUS) => Some(self.said(said.span(), cpus)),
            _ => {
                let message = format!("`cpus` cannot be {}", said.get_ref());
                self.report.add(said.span(), message, format!("a number from 1 to {MOST_CPUS}"), None);
                None
            }
        }
    }

    fn memory(&mut self, said: &Spanned<String>) -> Option<Said<u64>> {
        let wrong = |text: &str| match bytes(text) {
            None => Some("a whole number and KiB, MiB, GiB or TiB: 8GiB"),
            Some(LEAST_MEMORY..=MOST_MEMORY) => None,
            Some(_) => Some("from 16MiB to 1024TiB"),
        };
        let text = self.text(said, "memory", wrong)?;
        Some(self.said(said.span(), bytes(&text.value)?))
    }

    fn release_line(&mut self, key: &Spanned<String>, value: &Spanned<String>) -> Option<(String, String)> {
        let word = key.get_ref();
        let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if word.is_empty() || !word.bytes().all(letters) || word.starts_with(|c: char| c.is_ascii_digit()) {
            let expected = "capital letters, digits and `_`, as os-release(5) has them";
            self.report.add(key.span(), format!("{word:?} cannot be a key of os-release"), expected, None);
            return None;
        }
        let wrong =
            |text: &str| text.chars().any(char::is_control).then_some("one line, without control characters");
        Some((word.clone(), self.text(value, word, wrong)?.value))
    }
}

/// The bytes in a size such as 8GiB.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (digits, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
