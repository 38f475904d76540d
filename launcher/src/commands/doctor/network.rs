//! Which door serves the names and addresses that a program asks for, and what is refused it.

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, elf};
use policy::Door;

use super::{Findings, Sight, Verdict};

/// Who looks names up for a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// glibc, or another library that reads the files.
    Glibc,
    /// musl.
    Musl,
    /// libc's, in the program itself.
    Static,
    /// Go's own, and no other.
    Go,
    /// Go's own, or libc's where nsswitch.conf(5) asks for what Go does not know.
    GoOrLibc,
}

impl Resolver {
    /// That of a program that only the gate covers: a static one, or one of Go.
    pub fn within(bytes: &[u8]) -> Resolver {
        let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else { return Resolver::Static };
        let is_go = file.section_by_name(".note.go.buildid").is_some();
        match (is_go, super::interpreter_of(bytes)) {
            (true, None) => Resolver::Go,
            (true, Some(_)) => Resolver::GoOrLibc,
            (false, _) => Resolver::Static,
        }
    }
}

/// What the policy says of the network, as it bears on the program.
pub fn network(resolver: Resolver, bytes: &[u8], sight: &Sight<'_>, findings: &mut Findings) {
    let mut add = |verdict, text: String| findings.add(verdict, "network", text);
    if asks_for_rings(bytes) {
        let text = "it links liburing: io_uring_setup(2) answers ENOSYS, since a ring would open files and connect past \
                    every door; it must do without";
        add(Verdict::Warn, text.into());
    }
    let Some(view) = sight.view.map(|instance| &instance.view) else { return };
    let files = view.names();
    let is_gate = sight.door == Door::Gate;
    if [files.hosts, files.resolver, files.switch].iter().any(|text| !text.is_empty()) {
        let (verdict, text) = match resolver {
            Resolver::Musl if !is_gate => (
                Verdict::Warn,
                "the shim answers by the policy's /etc/hosts, with one address of a name; musl asks the host's name servers: \
                 with coverage.door = \"gate\" the policy's",
            ),
            _ if !is_gate => (
                Verdict::Pass,
                "the shim answers by the policy's files, and libc asks the policy's name servers",
            ),
            Resolver::Go => (
                Verdict::Pass,
                "Go's own resolver, which is in the program, reads the policy's files by the gate, and asks its name servers",
            ),
            Resolver::GoOrLibc => (
                Verdict::Pass,
                "Go's own resolver, or libc's, reads the policy's files by the gate, and asks its name servers",
            ),
            Resolver::Static => (
                Verdict::Pass,
                "the resolver in the program reads the policy's files by the gate, and asks its name servers",
            ),
            Resolver::Glibc | Resolver::Musl => (
                Verdict::Pass,
                "libc, as any other resolver, reads the policy's files by the gate, and asks its name servers",
            ),
        };
        add(verdict, format!("names: {text}"));
    }
    if view.has_network() {
        let door = if is_gate { "the gate" } else { "the shim" };
        let text = format!(
            "addresses: {door} leads what it binds, connects and sends to, and tells what was asked for; what goes through a \
             connected stream is the kernel's alone"
        );
        add(Verdict::Pass, text);
    }
}

fn asks_for_rings(bytes: &[u8]) -> bool {
    let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else { return false };
    let Ok(dynamic) = file.elf_dynamic_table() else { return false };
    let mut needed = dynamic.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
    needed.any(|entry| dynamic.string(entry).is_ok_and(|name| name.starts_with(b"liburing.so")))
}
