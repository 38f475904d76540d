//! The files that say which system it is: os-release(5), and those from
//! before it, which old installers look for.

use crate::checked::What;

use super::{Said, Writer};

const KEY: &str = "os_release";

/// The files of single systems. Where the system is another one, they are hidden.
const OLDER: [&str; 8] = [
    "/etc/redhat-release",
    "/etc/system-release",
    "/etc/centos-release",
    "/etc/fedora-release",
    "/etc/oracle-release",
    "/etc/SuSE-release",
    "/etc/debian_version",
    "/etc/lsb-release",
];

/// Writes what os-release(5) says, and what follows from it.
pub fn write(to: &mut Writer, said: &Said<Vec<(String, String)>>) {
    let text: String = said.value.iter().map(|(key, value)| format!("{key}={}\n", quoted(value))).collect();
    to.file(said, KEY, "/etc/os-release", 0o644, text.clone());
    let what = What::Content { bytes: text.into_bytes(), mode: 0o644 };
    to.derived(said, KEY, "/usr/lib/os-release", what);
    let of = |key: &str| said.value.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let older = System { id: of("ID").unwrap_or(""), of: &of }.older();
    for at in OLDER {
        let text = older.iter().find(|(name, _)| *name == at).map(|(_, text)| text.clone());
        let what = match text {
            Some(text) => What::Content { bytes: text.into_bytes(), mode: 0o644 },
            None => What::Hidden,
        };
        to.derived(said, KEY, at, what);
    }
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for letter in value.chars() {
        if matches!(letter, '"' | '$' | '`' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    text
}

struct System<'a> {
    id: &'a str,
    of: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl System<'_> {
    /// What stands in the older files that such a system has.
    fn older(&self) -> Vec<(&'static str, String)> {
        let version = (self.of)("VERSION_ID").unwrap_or("");
        let major = version.split('.').next().unwrap_or("").parse::<u32>().unwrap_or(0);
        let red_hat = if major < 8 { "Red Hat Enterprise Linux Server" } else { "Red Hat Enterprise Linux" };
        match self.id {
            "rhel" => self.red_hat(red_hat, &["/etc/redhat-release", "/etc/system-release"]),
            "centos" => {
                let name = if major < 7 { "CentOS" } else { "CentOS Linux" };
                self.red_hat(name, &["/etc/redhat-release", "/etc/system-release", "/etc/centos-release"])
            }
            "rocky" => self.red_hat("Rocky Linux", &["/etc/redhat-release", "/etc/system-release"]),
            "almalinux" => self.red_hat("AlmaLinux", &["/etc/redhat-release", "/etc/system-release"]),
            "fedora" => {
                self.red_hat("Fedora", &["/etc/redhat-release", "/etc/system-release", "/etc/fedora-release"])
            }
            "ol" => {
                let mut files =
                    self.red_hat("Oracle Linux Server", &["/etc/oracle-release", "/etc/system-release"]);
                // There the name is that of the system which it is made to be taken for.
                files.push(("/etc/redhat-release", self.line(red_hat)));
                files
            }
            "debian" if !version.is_empty() => vec![("/etc/debian_version", format!("{version}\n"))],
            "ubuntu" => {
                let codename = (self.of)("VERSION_CODENAME").unwrap_or("");
                let description = (self.of)("PRETTY_NAME").map_or(format!("Ubuntu {version}"), str::to_owned);
                let text = format!(
                    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={version}\nDISTRIB_CODENAME={codename}\n\
                     DISTRIB_DESCRIPTION={}\n",
                    quoted(&description)
                );
                vec![("/etc/lsb-release", text)]
            }
            _ => Vec::new(),
        }
    }

    fn red_hat(&self, name: &str, files: &[&'static str]) -> Vec<(&'static str, String)> {
        let name = (self.of)("NAME").unwrap_or(name);
        files.iter().map(|at| (*at, self.line(name))).collect()
    }

    /// `NAME release 6.10 (Santiago)`: the name in brackets is that of VERSION.
    fn line(&self, name: &str) -> String {
        let version = (self.of)("VERSION_ID").unwrap_or("");
        let codename = (self.of)("VERSION")
            .and_then(|version| version.split_once('('))
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or(String::new(), |(codename, _)| format!(" ({codename})"));
        format!("{name} release {version}{codename}\n")
    }
}
