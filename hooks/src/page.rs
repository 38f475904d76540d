//! docs/symbols.md, written from the table.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::{BY_HAND, Group, HOOKS, NEEDS_GATE, SAFE, is_in_glibc, is_in_musl};

const HEAD: &str = "\
# Symbols

Every public symbol of glibc and musl that takes a path, gives one back, or opens a file by a name of its
own, and what becomes of it under the shim. Written from `hooks/src` by `cargo xtask docs`.

| state | meaning |
|---|---|
| hooked | the shim exports it; the path is resolved in the app's tree |
| safe | right without a hook |
| needs the gate | libc does it by calls that no symbol stands before: it works on the host's own files |

The libcs looked at are glibc 2.36 and musl 1.2.3; a symbol that neither has is in a later release of one.
Functions that work on descriptors and streams alone are not listed. `launcher doctor PROGRAM` names what
a program imports that needs the gate.
";

/// What the hooks of a family do, in a line.
const FAMILIES: &[(&str, &str)] = &[
    ("actions", "the path is resolved when the child is started"),
    ("change", "the path is resolved"),
    ("cwd", "the path is resolved, and what comes back is the app's"),
    ("descriptor", "what descriptors stand for is remembered; syscall(2) goes to the hook of the call"),
    ("dir", "mount points are shown in the directories that they lie in"),
    ("exec", "the path is resolved, and the new program is covered"),
    ("glob", "written out over the hooked functions"),
    ("host", "answered from the policy's `[identity]`, where it says so"),
    ("link", "the addresses of interfaces that the policy names are put in"),
    ("load", "the path is resolved, and libc goes on with the host's"),
    ("machine", "the figures of the policy's machine are put in"),
    ("names", "answered from the files of the view, where it has such; libc asks the policy's name servers"),
    ("open", "the path is resolved"),
    ("protect", "a descriptor of a read-only mount is refused"),
    ("shell", "the shell is started covered, by its app path"),
    ("shm", "the name is a file below /dev/shm, which is resolved"),
    ("socket", "the address of a Unix socket is resolved, and what comes back is the app's"),
    ("spawn", "the path is resolved, and the child is covered"),
    ("stat", "the path is resolved"),
    ("stdio", "the path is resolved"),
    ("temp", "the path is resolved, and what comes back is the app's"),
    ("users", "answered from the files of the view, where it has such"),
    ("variadic", "the path is resolved, and the new program is covered"),
    ("vfork", "the child is told from its parent"),
    ("walk", "written out over the hooked functions"),
    ("xattr", "the path is resolved"),
];

struct Line {
    page: &'static str,
    names: Vec<&'static str>,
    state: &'static str,
    why: &'static str,
}

/// The text of docs/symbols.md.
pub fn page() -> String {
    let mut families: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for hook in HOOKS.iter().chain(BY_HAND) {
        let why = FAMILIES.iter().find(|(family, _)| *family == hook.family).map_or("", |(_, why)| *why);
        let names = hook.names().collect();
        families.entry(hook.family).or_default().push(Line { page: hook.page, names, state: "hooked", why });
    }
    let mut add = |groups: &[Group], state| {
        for group in groups {
            let lines = families.entry(group.family).or_default();
            lines.extend(group.rows.iter().map(|row| Line {
                page: row.page,
                names: row.names.to_vec(),
                state,
                why: group.why,
            }));
        }
    };
    add(SAFE, "safe");
    add(NEEDS_GATE, "needs the gate");
    let mut text = String::from(HEAD);
    for (family, lines) in families {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n## {family}\n\n| symbol | manual | glibc | musl | state | reason |\n|---|---|---|---|---|---|\n"
        );
        for line in lines {
            let Line { page, state, why, .. } = line;
            let names =
                line.names.iter().map(|name| alloc::format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let glibc = which(&line.names, is_in_glibc);
            let musl = which(&line.names, is_in_musl);
            let _ = writeln!(text, "| {names} | {page} | {glibc} | {musl} | {state} | {why} |");
        }
    }
    text
}

/// Whether a libc has all of some symbols, none, or which of them.
fn which(names: &[&'static str], has: fn(&str) -> bool) -> String {
    let had: Vec<_> = names.iter().filter(|name| has(name)).map(|name| alloc::format!("`{name}`")).collect();
    match had.len() {
        0 => String::from("–"),
        all if all == names.len() => String::from("✓"),
        _ => had.join(", "),
    }
}
