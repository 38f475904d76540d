//! `doctor` tells what a program imports that the shim can't serve.

use std::path::Path;
use std::process::Command;

use tests::{World, launcher, program, read_only, transcript, write};

fn fill(dir: &Path) {
    write(dir.join("host/fixed/file"), "fixed\n");
}

/// The lines about imports, and how doctor ended.
fn says(arguments: &[&Path]) -> (String, String) {
    let output = Command::new(launcher()).arg("doctor").args(arguments).output();
    let said = transcript(&output.expect("the launcher runs"));
    let imports = said.lines().filter(|line| line.contains(" imports ")).collect::<Vec<_>>().join("\n");
    (imports, said)
}

#[test]
fn each_import_past_the_shim_is_named_once_with_the_reason() {
    let (imports, said) = says(&[&program("imports")]);
    assert_eq!(imports.lines().count(), 2, "{said}");
    for (name, reason) in [("getpwnam", "users"), ("catopen", "catalogues")] {
        let line = imports.lines().find(|line| line.ends_with(&format!(": {name}"))).unwrap_or_default();
        assert!(line.starts_with("warn") && line.contains(reason), "{said}");
    }
    assert!(said.contains("exit status: 1"), "{said}");
}

#[test]
fn a_policy_that_leaves_their_files_alone_is_no_cause_to_worry() {
    let world = World::new("doctor", &[read_only("ro", "fixed")], fill);
    let policy = world.policy_file();
    let (imports, said) = says(&[Path::new("--policy"), &policy, &program("imports")]);
    assert!(imports.lines().all(|line| line.starts_with("pass")), "{said}");
    let text = world.policy() + "[[mount]]\nat = \"/etc/passwd\"\nsource = \"host/fixed/file\"\n";
    std::fs::write(&policy, text).expect("the world is writable");
    let (imports, said) = says(&[Path::new("--policy"), &policy, &program("imports")]);
    let warned: Vec<_> = imports.lines().filter(|line| line.starts_with("warn")).collect();
    assert!(warned.len() == 1 && warned[0].contains("getpwnam"), "{said}");
}

#[test]
fn what_its_libraries_import_counts() {
    let (imports, said) = says(&[Path::new("/bin/ls")]);
    assert!(imports.contains("(lib"), "{said}");
}

#[test]
fn a_program_without_such_imports_is_told_so() {
    let (imports, said) = says(&[&tests::compiled("pointers", &[], "pointers")]);
    assert!(imports.starts_with("pass") && imports.contains("every path-taking function"), "{said}");
}
