//! The floor: the shim loads into any libc from glibc 2.17 on, and into musl,
//! because it asks for nothing that one of them lacks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::Endianness;
use object::elf;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use tests::symbols::{Symbol, dynamic_symbols};
use tests::{World, read_only, write};

/// What the shim may import, and the glibc that has had it first. musl 1.1
/// has them all. 2.2.5 is the first glibc of x86-64.
const IMPORTS: &[(&str, &str)] = &[
    ("__errno_location", "2.2.5"),
    ("bcmp", "2.2.5"),
    ("calloc", "2.2.5"),
    ("close", "2.2.5"),
    ("dl_iterate_phdr", "2.2.5"),
    ("environ", "2.2.5"),
    ("fclose", "2.2.5"),
    ("fdopen", "2.2.5"),
    ("fileno", "2.2.5"),
    ("free", "2.2.5"),
    ("getenv", "2.2.5"),
    ("malloc", "2.2.5"),
    ("memcpy", "2.2.5"),
    ("memmove", "2.2.5"),
    ("memset", "2.2.5"),
    ("pipe2", "2.9"),
    ("posix_spawnattr_destroy", "2.2.5"),
    ("posix_spawnattr_getflags", "2.2.5"),
    ("posix_spawnattr_getpgroup", "2.2.5"),
    ("posix_spawnattr_getschedparam", "2.2.5"),
    ("posix_spawnattr_getschedpolicy", "2.2.5"),
    ("posix_spawnattr_getsigdefault", "2.2.5"),
    ("posix_spawnattr_getsigmask", "2.2.5"),
    ("posix_spawnattr_init", "2.2.5"),
    ("posix_spawnattr_setflags", "2.2.5"),
    ("posix_spawnattr_setsigdefault", "2.2.5"),
    ("posix_spawnattr_setsigmask", "2.2.5"),
    ("qsort", "2.2.5"),
    ("realloc", "2.2.5"),
    ("sigaction", "2.2.5"),
    ("sigaddset", "2.2.5"),
    ("sigprocmask", "2.2.5"),
    ("strlen", "2.2.5"),
];

/// The oldest glibc.
const FLOOR: (u32, u32) = (2, 17);

/// The shim that a program under the launcher has loaded.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let fill = |dir: &Path| write(dir.join("host/fixed/file"), "");
        let world = World::new("floor", &[read_only("ro", "fixed")], fill);
        world.instance().join("shim.so")
    })
}

fn names<'s>(symbols: impl Iterator<Item = &'s Symbol>) -> BTreeSet<&'s str> {
    symbols.map(|symbol| symbol.name.as_str()).collect()
}

#[test]
fn it_exports_the_table_and_nothing_else() {
    let symbols = dynamic_symbols(shim());
    let exported = names(symbols.iter().filter(|symbol| symbol.is_defined));
    let table: BTreeSet<&str> = hooks::exported().collect();
    let differ: Vec<_> = exported.symmetric_difference(&table).collect();
    assert!(differ.is_empty(), "in the shim or in the table, but not in both: {differ:?}");
    let versioned: Vec<_> = symbols.iter().filter(|symbol| symbol.version.is_some()).collect();
    assert!(versioned.is_empty(), "a version binds a symbol to one libc: {versioned:?}");
}

#[test]
fn it_imports_what_every_libc_has() {
    let symbols = dynamic_symbols(shim());
    let imported = names(symbols.iter().filter(|symbol| !symbol.is_defined));
    let known: BTreeSet<&str> = IMPORTS.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = imported.difference(&known).collect();
    assert!(new.is_empty(), "look up which libc has had them first, and list them: {new:?}");
    for (name, since) in IMPORTS {
        let mut numbers = since.split('.').map(|number| number.parse::<u32>().expect("a version"));
        let since = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        assert!(since <= FLOOR, "{name} is too new");
    }
    for libc in [tests::symbols::own(), tests::symbols::MUSL.into()] {
        if Path::new(&libc).exists() {
            let has = tests::symbols::public_names(Path::new(&libc));
            let lacks: Vec<_> = imported.iter().filter(|name| !has.contains(**name)).collect();
            assert!(lacks.is_empty(), "{libc} lacks {lacks:?}");
        }
    }
}

#[test]
fn it_needs_no_library_and_stays_loaded() {
    let bytes = std::fs::read(shim()).expect("the instance stays");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let dynamic = file.elf_dynamic_table().expect("a dynamic section");
    let value = |tag| dynamic.iter().find(|entry| entry.tag == tag).map(|entry| entry.val);
    for absent in
        [elf::DT_NEEDED, elf::DT_TEXTREL, elf::DT_VERNEED, elf::DT_VERDEF, elf::DT_RPATH, elf::DT_RUNPATH]
    {
        assert_eq!(value(absent), None, "{absent:?}");
    }
    let flags = value(elf::DT_FLAGS).unwrap_or(0);
    assert_eq!(flags & elf::DF_TEXTREL.0, 0, "relocations in the text");
    let flags = value(elf::DT_FLAGS_1).unwrap_or(0);
    assert_ne!(flags & elf::DF_1_NODELETE.0, 0, "it may be unloaded while a thread is in it");
    let headers = file.elf_program_headers();
    let stack = headers.iter().find(|header| header.p_type(file.endian()) == elf::PT_GNU_STACK);
    let stack = stack.expect("without the header, the stack is executable").p_flags(file.endian());
    assert_eq!(stack.0 & elf::PF_X.0, 0, "an executable stack");
    let changed_text = headers.iter().find(|header| {
        let flags = header.p_flags(file.endian()).0;
        flags & elf::PF_X.0 != 0 && flags & elf::PF_W.0 != 0
    });
    assert!(changed_text.is_none(), "memory that is both writable and executable");
}
