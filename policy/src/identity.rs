//! Who the machine is, and the files that say so.
//!
//! uname(2) and its kin are answered from the view ([`view::Identity`]). All
//! else that a program can ask by is a file, and is served as one: a mount of
//! an inline file that the policy has not spelled out. So open, stat, mmap and
//! what else there is are as true of it as of any file.

use std::ops::Range;
use std::path::PathBuf;

use view::Access;
use view::build::{IdentityFacts, LinkFacts};

use crate::checked::{Mount, What};

mod links;
mod release;
mod users;
mod zone;

pub use links::Link;
pub(crate) use links::{ALL as LINKS, SETTINGS as LINK_SETTINGS};
pub use users::{Group, SWITCH, User, Users};
pub use zone::zone_files;

/// A value, and where the policy says it.
#[derive(Clone, Debug)]
pub struct Said<T> {
    /// The line that it begins on.
    pub line: u32,
    /// Where it stands in the text.
    pub span: Range<usize>,
    /// What is said.
    pub value: T,
}

/// The kernel, as uname(2) tells of it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `release`
    pub release: String,
    /// `version`
    pub version: String,
    /// `machine`
    pub machine: String,
}

/// Who the machine is. What is none is the host's.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The machine's name.
    pub host_name: Option<Said<String>>,
    /// The NIS domain.
    pub domain_name: Option<Said<String>>,
    /// What machine-id(5) holds.
    pub machine_id: Option<Said<String>>,
    /// What gethostid(3) gives.
    pub host_id: Option<Said<u32>>,
    /// The lines of os-release(5).
    pub os_release: Option<Said<Vec<(String, String)>>>,
    /// The kernel.
    pub kernel: Option<Said<Kernel>>,
    /// How many processors there are.
    pub cpus: Option<Said<u32>>,
    /// How many bytes of memory.
    pub memory: Option<Said<u64>>,
    /// The names and addresses of interfaces.
    pub links: Vec<Said<Link>>,
    /// Who there is.
    pub users: Option<Said<Users>>,
}

/// A file that an identity makes.
#[derive(Clone, Debug)]
pub struct GeneratedFile {
    /// What stands there, and which line says so.
    pub mount: Mount,
    /// The key that says it.
    pub key: &'static str,
    /// Whether it is left out where there is no directory for it: nobody
    /// looks for it in a tree that has none.
    pub needs_directory: bool,
    /// Whether a mount of the policy's own goes before it.
    pub gives_way: bool,
    /// Whether it stands in a link's place, and not where that leads.
    pub replaces_link: bool,
}

/// The files that an identity makes.
pub type Files = Vec<GeneratedFile>;

/// Collects files.
#[derive(Default)]
pub struct Writer {
    /// What has been collected.
    pub files: Files,
}

impl Writer {
    fn add<T>(&mut self, said: &Said<T>, key: &'static str, at: &str, what: What) -> &mut GeneratedFile {
        let mount = Mount {
            at: PathBuf::from(at),
            line: said.line,
            span: said.span.clone(),
            access: Access::ReadOnly,
            what,
        };
        let index = self.files.len();
        self.files.push(GeneratedFile {
            mount,
            key,
            needs_directory: false,
            gives_way: false,
            replaces_link: false,
        });
        &mut self.files[index]
    }

    /// Adds a file that says what the policy says.
    pub fn file<T>(
        &mut self,
        said: &Said<T>,
        key: &'static str,
        at: &str,
        mode: u32,
        text: impl Into<Vec<u8>>,
    ) {
        let what = What::Content { bytes: text.into(), mode };
        // What the kernel would have made is where the kernel's tree is.
        self.add(said, key, at, what).needs_directory = !at.starts_with("/etc/");
    }

    /// What is told of a network interface: it has nothing to stand in where the tree has no /sys or /proc.
    fn of_link<T>(&mut self, said: &Said<T>, at: PathBuf, what: What) -> &mut GeneratedFile {
        let file = self.add(said, "interfaces", "", what);
        file.mount.at = at;
        file.needs_directory = true;
        file
    }

    /// A file that follows from others, unless the policy says another thing of it.
    pub fn derived<T>(&mut self, said: &Said<T>, key: &'static str, at: &str, what: What) {
        let file = self.add(said, key, at, what);
        file.needs_directory = true;
        file.gives_way = true;
    }
}

impl Identity {
    /// What the view says of the machine.
    pub fn facts(&self) -> IdentityFacts {
        let bytes = |said: &Option<Said<String>>| {
            said.as_ref().map(|said| said.value.clone().into_bytes()).unwrap_or_default()
        };
        let kernel = |of: fn(&Kernel) -> &String| {
            self.kernel.as_ref().map(|said| of(&said.value).clone().into_bytes()).unwrap_or_default()
        };
        let domain_name = match &self.host_name {
            Some(_) if self.domain_name.is_none() => NO_DOMAIN.into(),
            _ => bytes(&self.domain_name),
        };
        IdentityFacts {
            host_name: bytes(&self.host_name),
            domain_name,
            release: kernel(|kernel| &kernel.release),
            version: kernel(|kernel| &kernel.version),
            machine: kernel(|kernel| &kernel.machine),
            host_id: self.host_id.as_ref().map(|said| said.value),
            cpus: self.cpus.as_ref().map_or(0, |said| said.value),
            memory: self.memory.as_ref().map_or(0, |said| said.value),
            links: self
                .links
                .iter()
                .map(|said| {
                    let Link { host, name, address, .. } = said.value.clone();
                    LinkFacts { host: host.into_bytes(), name: name.into_bytes(), address }
                })
                .collect(),
            passwd: self.users.as_ref().map(|said| said.value.passwd().into_bytes()).unwrap_or_default(),
            group: self.users.as_ref().map(|said| said.value.group().into_bytes()).unwrap_or_default(),
        }
    }

    /// The files that say who the machine is. `boot` is the host's boot id.
    pub fn files(&self, boot: Option<&str>, to: &mut Writer) {
        let line = |text: &str| format!("{text}\n");
        if let Some(name) = &self.host_name {
            to.file(name, "hostname", "/etc/hostname", 0o644, line(&name.value));
            to.file(name, "hostname", "/proc/sys/kernel/hostname", 0o644, line(&name.value));
        }
        if let Some(domain) = self.domain_name.as_ref().or(self.host_name.as_ref()) {
            let name = self.domain_name.as_ref().map_or(NO_DOMAIN, |said| &said.value);
            to.file(domain, "domainname", "/proc/sys/kernel/domainname", 0o644, line(name));
        }
        if let Some(kernel) = &self.kernel {
            let Kernel { release, version, .. } = &kernel.value;
            to.file(kernel, "kernel", "/proc/sys/kernel/osrelease", 0o444, line(release));
            to.file(kernel, "kernel", "/proc/sys/kernel/version", 0o444, line(version));
            let banner = format!("Linux version {release} (root@localhost) (gcc) {version}\n");
            to.file(kernel, "kernel", "/proc/version", 0o444, banner);
        }
        if let Some(id) = &self.machine_id {
            to.file(id, "machine_id", "/etc/machine-id", 0o444, line(&id.value));
            let bytes = line(&id.value).into_bytes();
            // Where D-Bus keeps it, on systems that have it for longer than systemd.
            let what = What::Content { bytes, mode: 0o644 };
            to.derived(id, "machine_id", "/var/lib/dbus/machine-id", what);
            if let Some(boot) = boot {
                let boot = line(&boot_id(&id.value, boot));
                to.file(id, "machine_id", "/proc/sys/kernel/random/boot_id", 0o444, boot);
            }
        }
        if let Some(id) = &self.host_id {
            // As glibc's sethostid(3) writes it.
            to.file(id, "host_id", "/etc/hostid", 0o644, id.value.to_ne_bytes());
        }
        if let Some(lines) = &self.os_release {
            release::write(to, lines);
        }
        if let Some(cpus) = &self.cpus {
            let all = if cpus.value == 1 { "0".to_owned() } else { format!("0-{}", cpus.value - 1) };
            for name in ["online", "possible", "present"] {
                to.file(cpus, "cpus", &format!("/sys/devices/system/cpu/{name}"), 0o444, line(&all));
            }
        }
        links::write(to, &self.links);
        if let Some(said) = &self.users {
            users::write(to, said);
        }
    }
}

/// The domain of a kernel that nobody has told one.
const NO_DOMAIN: &str = "(none)";

/// A boot id for a machine: another for each boot of the host, and telling nothing of it.
fn boot_id(machine: &str, host_boot: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(machine.as_bytes());
    hasher.update(host_boot.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    // A random UUID's version and variant (RFC 9562), as the kernel sets them.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}
