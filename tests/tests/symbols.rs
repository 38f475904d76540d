//! The table of hooks against the libcs of this machine: a symbol that nobody
//! has looked at is noticed.

use std::collections::BTreeSet;
use std::path::Path;

use tests::symbols::{MUSL, own, public_names};

/// Symbols that take no path and open no file, reviewed by hand: those of
/// glibc 2.36 and musl 1.2.3, and later ones up to glibc 2.42.
const NO_PATH: &str = include_str!("../data/no-path-symbols.txt");

/// A libc's file, and what the table says that it has.
type Libc = (String, fn(&str) -> bool);

/// The libcs to look at.
fn libcs() -> Vec<Libc> {
    let mut libcs: Vec<Libc> = vec![(own(), hooks::is_in_glibc)];
    if Path::new(MUSL).exists() {
        libcs.push((MUSL.into(), hooks::is_in_musl));
    }
    libcs
}

#[test]
fn every_symbol_of_libc_has_been_looked_at() {
    let known: BTreeSet<&str> = hooks::listed().chain(NO_PATH.lines()).collect();
    for (file, _) in libcs() {
        let names = public_names(Path::new(&file));
        assert!(names.len() > 1000, "{file} has only {} symbols", names.len());
        let new: Vec<_> = names.iter().filter(|name| !known.contains(name.as_str())).collect();
        assert!(
            new.is_empty(),
            "{file} has symbols that are new: list those that take or give a path, or open a file, in hooks/src, \
             and the others in tests/data/no-path-symbols.txt: {new:?}"
        );
    }
}

#[test]
fn the_table_says_which_libc_has_what() {
    for (file, says) in libcs() {
        let names = public_names(Path::new(&file));
        let wrong: Vec<_> = hooks::listed().filter(|name| names.contains(*name) && !says(name)).collect();
        assert!(wrong.is_empty(), "{file} has {wrong:?}, which hooks/src/libcs.rs does not know");
    }
}

#[test]
fn no_symbol_is_listed_twice() {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = hooks::listed().chain(NO_PATH.lines()).filter(|name| !seen.insert(*name)).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_page_of_symbols_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/symbols.md");
    let page = std::fs::read_to_string(&file).expect("the page is in the repository");
    assert!(page == hooks::page(), "run `cargo xtask docs`");
}
