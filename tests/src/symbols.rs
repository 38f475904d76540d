//! The libcs of this machine, and what they define.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

/// Where the loader of musl, which is its libc, lies.
pub const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A symbol of the dynamic table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// The version that it has, or is wanted in.
    pub version: Option<String>,
    /// Whether the file defines it.
    pub is_defined: bool,
}

/// The symbols that a file shows to the dynamic linker, as `nm -D` does.
pub fn dynamic_symbols(file: &Path) -> Vec<Symbol> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn read(bytes: &[u8]) -> object::Result<Vec<Symbol>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
    let versions = sections.versions(endian, bytes)?;
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut found = Vec::new();
    for (index, symbol) in symbols.enumerate() {
        let name = symbols.symbol_name(endian, symbol)?;
        // What defines a version is no symbol of the program's.
        if name.is_empty() || symbol.st_shndx(endian) == elf::SHN_ABS {
            continue;
        }
        let version = match &versions {
            Some(versions) => versions.version(versions.version_index(endian, index).into())?,
            None => None,
        };
        found.push(Symbol {
            name: text(name),
            version: version.map(|version| text(version.name())),
            is_defined: !symbol.is_undefined(endian),
        });
    }
    Ok(found)
}

/// The names that a libc gives to programs. What glibc keeps to itself bears
/// a version that says so.
pub fn public_names(file: &Path) -> BTreeSet<String> {
    let symbols = dynamic_symbols(file).into_iter();
    let public = symbols.filter(|symbol| {
        symbol.is_defined && symbol.version.as_deref().is_none_or(|version| version != "GLIBC_PRIVATE")
    });
    public.map(|symbol| symbol.name).collect()
}

/// The libc of this very process.
///
/// # Panics
///
/// Where it cannot be told from /proc/self/maps.
pub fn own() -> String {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    let file =
        maps.split_ascii_whitespace().find(|word| word.contains("/libc.so") || word.contains("/libc-2"));
    file.expect("the tests are linked with glibc").to_owned()
}
