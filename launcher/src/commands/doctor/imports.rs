//! What a program and its libraries import that only the gate can serve.
//!
//! The libraries are looked for much as ld.so does: along the search paths
//! that the files name, and in the host's usual directories. libc and its
//! parts are left out: the table of hooks is about them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use elements::Instance;
use elements::kernel::AT_FDCWD;
use object::elf;
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSymbol as _};

use super::{Findings, Sight, Verdict, told};

/// The parts of libc: of glibc before 2.34 there are several.
const LIBC: &[&str] = &[
    "ld-linux-x86-64.so",
    "ld-musl-x86_64.so",
    "libc.musl-x86_64.so",
    "libanl.so",
    "libc.so",
    "libdl.so",
    "libm.so",
    "libmvec.so",
    "libnsl.so",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libutil.so",
];

const DIRECTORIES: &[&str] =
    &["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// One finding for each reason why imports pass the shim by. A reason that
/// has to do with paths which the view leaves alone is no cause to worry.
pub fn imports(path: &Path, bytes: &[u8], sight: &Sight<'_>, findings: &mut Findings) {
    let mut imported = Imported::default();
    for (library, in_view) in with_libraries(path, bytes, sight, &mut imported) {
        let (verdict, text) = match in_view {
            Some(host) => (
                Verdict::Blocked,
                format!(
                    "{library} is in the view alone, and ld.so looks for it on the host, past the shim: \
                     add {} to LD_LIBRARY_PATH in the policy's [env]",
                    host.parent().unwrap_or(Path::new("/")).display()
                ),
            ),
            None => (
                Verdict::Warn,
                format!("{library} is neither on its search path nor in the usual directories"),
            ),
        };
        findings.add(verdict, "library", text);
    }
    let Imported { missed, told } = &imported;
    for (group, names) in missed {
        let Some(group) = hooks::NEEDS_GATE.get(*group) else { continue };
        let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (verdict, where_it_is) = if sight.view.is_some_and(|view| leaves_alone(view, group.paths)) {
            (Verdict::Pass, "where the view has no mount")
        } else {
            (Verdict::Warn, "past the shim")
        };
        findings.add(verdict, "imports", format!("{}, {where_it_is}: {names}", group.why));
    }
    if missed.is_empty() {
        let text = "every path-taking function that is imported is served by the shim";
        findings.add(Verdict::Pass, "imports", text);
    }
    let told_by = |place: usize| told.get(&place).into_iter().flatten().cloned().collect();
    told::covered(sight.shown(), sight.door, told_by, findings);
}

/// Names by the place of a group in its table, with the library that imports one where the program does not.
type Names = BTreeMap<usize, BTreeSet<String>>;

/// What a program and its libraries import.
#[derive(Default)]
struct Imported {
    /// Of [`hooks::NEEDS_GATE`].
    missed: Names,
    /// Of [`told::HOLES`].
    told: Names,
}

impl Imported {
    fn note(&mut self, name: &str, library: Option<&str>) {
        let missed = hooks::NEEDS_GATE.iter().map(|group| group.names().any(|listed| listed == name));
        let told = told::HOLES.iter().map(|hole| hole.names.contains(&name));
        insert(&mut self.missed, missed, name, library);
        insert(&mut self.told, told, name, library);
    }
}

fn insert(to: &mut Names, has: impl Iterator<Item = bool>, name: &str, library: Option<&str>) {
    for (place, _) in has.enumerate().filter(|(_, has)| *has) {
        let names = to.entry(place).or_default();
        match library {
            None => names.insert(name.to_owned()),
            Some(_) if names.contains(name) => false,
            Some(library) => names.insert(format!("{name} ({library})")),
        };
    }
}

/// Looks at a program and all its libraries, and gives the libraries that
/// ld.so will not find, each with its host path if the view has it.
fn with_libraries(
    path: &Path,
    bytes: &[u8],
    sight: &Sight<'_>,
    imported: &mut Imported,
) -> BTreeMap<String, Option<PathBuf>> {
    let mut missing = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut search: Vec<PathBuf> = sight.libraries.iter().flat_map(std::env::split_paths).collect();
    let mut to_do = note(path, bytes, None, imported, &mut search);
    while let Some(name) = to_do.pop() {
        if !seen.insert(name.clone()) || LIBC.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let places = search.iter().map(PathBuf::as_path).chain(DIRECTORIES.iter().map(Path::new));
        let mut files = places.map(|place| place.join(&name));
        let in_view = |file: PathBuf| (sight.on_host)(&file).ok().filter(|host| host.exists());
        let on_host = files.clone().find(|file| file.exists());
        let file = match &on_host {
            Some(file) => Some(file.clone()),
            None => files.find_map(in_view),
        };
        if on_host.is_none() {
            missing.insert(name.clone(), file.clone());
        }
        if let Some((file, bytes)) = file.and_then(|file| fs::read(&file).ok().map(|bytes| (file, bytes))) {
            to_do.extend(note(&file, &bytes, Some(&name), imported, &mut search));
        }
    }
    missing
}

/// Notes what one file imports, and where it has libraries looked for; gives
/// their names.
fn note(
    path: &Path,
    bytes: &[u8],
    library: Option<&str>,
    imported: &mut Imported,
    search: &mut Vec<PathBuf>,
) -> Vec<String> {
    let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else { return Vec::new() };
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_undefined()) {
        let Ok(name) = symbol.name() else { continue };
        imported.note(name, library);
    }
    let Ok(dynamic) = file.elf_dynamic_table() else { return Vec::new() };
    let mut needed = Vec::new();
    for entry in dynamic.iter() {
        let Ok(text) = dynamic.string(entry) else { continue };
        match entry.tag {
            elf::DT_NEEDED => needed.push(String::from_utf8_lossy(text).into_owned()),
            elf::DT_RPATH | elf::DT_RUNPATH => {
                let origin = path.parent().unwrap_or(Path::new("/"));
                search.extend(text.split(|byte| *byte == b':').map(|place| expand(place, origin)));
            }
            _ => {}
        }
    }
    needed
}

/// A directory of a search path, with `$ORIGIN` spelled out.
fn expand(place: &[u8], origin: &Path) -> PathBuf {
    let rest = place.strip_prefix(b"$ORIGIN").or_else(|| place.strip_prefix(b"${ORIGIN}"));
    match rest {
        Some(rest) => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            origin.join(OsStr::from_bytes(rest))
        }
        None => PathBuf::from(OsStr::from_bytes(place)),
    }
}

/// Whether paths are known, and the view has nothing at, above or below any.
fn leaves_alone(view: &Instance<'_>, paths: &[&str]) -> bool {
    let is_touched = |path: &&str| {
        CString::new(*path).map_or(true, |path| view.is_touched(AT_FDCWD, path.as_ptr().cast()))
    };
    !paths.is_empty() && !paths.iter().any(is_touched)
}
