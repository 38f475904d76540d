//! What is laid out for a start: the order of the doors' code, and the pages of a program's data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Mount, World, feed, read_only, write};

/// The functions that lie together.
const OFTEN: &str = include_str!("../../elements/often.txt");
const MOUNTS: &[Mount] = &[read_only("fixed", "fixed")];

/// The file that a module of a crate is in, or the one that it is in as far as that is a file's.
fn source(crate_dir: &Path, modules: &[&str]) -> Option<PathBuf> {
    let mut found =
        ["lib.rs", "main.rs"].map(|name| crate_dir.join(name)).into_iter().find(|path| path.exists());
    let mut dir = crate_dir.to_owned();
    for module in modules {
        dir.push(module);
        let beside = dir.with_extension("rs");
        found = [beside, dir.join("mod.rs")].into_iter().find(|path| path.exists()).or(found);
    }
    found
}

#[test]
fn each_function_that_is_said_to_be_run_often_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut read: BTreeMap<PathBuf, String> = BTreeMap::new();
    let paths = OFTEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let missing: Vec<&str> = paths
        .filter(|path| {
            let names: Vec<&str> = path.split("::").filter(|name| *name != "{closure}").collect();
            let [crate_name, modules @ .., function] = &*names else { return true };
            let modules: Vec<&str> =
                modules.iter().copied().take_while(|name| !name.starts_with(char::is_uppercase)).collect();
            let Some(file) = source(&root.join(crate_name).join("src"), &modules) else { return true };
            let text =
                read.entry(file).or_insert_with_key(|file| fs::read_to_string(file).expect("our source"));
            let declared = [format!("fn {function}("), format!("fn {function}<")];
            !declared.iter().any(|declared| text.contains(declared.as_str()))
        })
        .collect();
    assert!(missing.is_empty(), "elements/often.txt names what is not there: {missing:#?}");
}

#[test]
fn a_program_has_its_data_with_all_pages() {
    let fill = |dir: &Path| {
        write(dir.join("host/fixed/file"), "fixed\n");
        fs::create_dir_all(dir.join("home")).expect("a fresh tree");
    };
    for (flags, name) in [(&["-no-pie"][..], "data-fixed"), (&["-pie"], "data-movable")] {
        let program = tests::compiled("data", flags, name);
        let faults = |mut command: Command| -> u64 {
            let said = feed(&mut command, b"");
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            text.trim().parse().unwrap_or_else(|_| panic!("{name}: {said:?}"))
        };
        let world = World::new(name, MOUNTS, fill);
        let (native, in_view) = (faults(Command::new(&program)), faults(world.in_view(&program)));
        assert!(native > 240, "{native}");
        assert!(in_view < 8, "{name}: {in_view} faults, natively {native}");
    }
}
