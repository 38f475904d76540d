//! `doctor` tells what a program imports that the shim can't serve, and what
//! the gate covers.

use std::path::Path;
use std::process::Command;

use tests::{World, launcher, program, read_only, transcript, write};

fn fill(dir: &Path) {
    write(dir.join("host/fixed/file"), "fixed\n");
}

/// The lines about imports, and how doctor ended.
fn says(arguments: &[&Path]) -> (String, String) {
    let output = Command::new(launcher()).args(["doctor", "--door", "shim"]).args(arguments).output();
    let said = transcript(&output.expect("the launcher runs"));
    let imports = said.lines().filter(|line| line.contains(" imports ")).collect::<Vec<_>>().join("\n");
    (imports, said)
}

#[test]
fn each_import_past_the_shim_is_named_once_with_the_reason() {
    let (imports, said) = says(&[&program("imports")]);
    assert_eq!(imports.lines().count(), 2, "{said}");
    for (name, reason) in [("getrpcbyname", "Sun RPC"), ("catopen", "catalogues")] {
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
    let text = world.policy() + "[[mount]]\nat = \"/etc/rpc\"\nsource = \"host/fixed/file\"\n";
    std::fs::write(&policy, text).expect("the world is writable");
    let (imports, said) = says(&[Path::new("--policy"), &policy, &program("imports")]);
    let warned: Vec<_> = imports.lines().filter(|line| line.starts_with("warn")).collect();
    assert!(warned.len() == 1 && warned[0].contains("getrpcbyname"), "{said}");
}

#[test]
fn the_gate_covers_what_the_shim_does_not_see() {
    let says = |door: &str, program: &Path| {
        let output = Command::new(launcher()).args(["doctor", "--door", door]).arg(program).output();
        transcript(&output.expect("the launcher runs"))
    };
    let fixed = tests::compiled("pointers", &["-static"], "pointers-static");
    for door in ["gate", "auto"] {
        for program in [&program("imports"), &fixed] {
            let said = says(door, program);
            assert!(said.contains("the gate covers it") && said.contains("exit status: 0"), "{said}");
        }
    }
    let said = says("shim", &fixed);
    assert!(said.contains("coverage.door = \"auto\"") && said.contains("exit status: 2"), "{said}");
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

#[test]
fn a_library_that_the_view_alone_has_is_told_with_the_remedy() {
    let world = World::new("doctor-library", &[read_only("opt", "fixed")], fill);
    let (lib, bin) = (world.dir.join("host/fixed/lib"), world.dir.join("host/fixed/bin"));
    let app = world.dir.join("app/opt");
    for dir in [&lib, &bin] {
        std::fs::create_dir_all(dir).expect("the world is writable");
    }
    let library = tests::compiled("deepbind", &["-shared", "-fPIC"], "libdeepbind.so");
    std::fs::copy(library, lib.join("libdeepbind.so")).expect("the world is writable");
    let search = format!("-L{}", lib.display());
    for (name, place) in
        [("fixed", app.join("lib").display().to_string()), ("origin", "$ORIGIN/../lib".into())]
    {
        let flags = [&search, "-Wl,--no-as-needed", "-ldeepbind", &format!("-Wl,-rpath,{place}")];
        let program = tests::compiled("deepbind", &flags, &format!("doctor-{name}"));
        std::fs::copy(program, bin.join(name)).expect("the world is writable");
    }
    let policy = world.policy_file();
    let said = |name: &str| says(&[Path::new("--policy"), &policy, &app.join("bin").join(name)]).1;
    let answer = said("fixed");
    let remedy = format!(
        "libdeepbind.so is in the view alone, and ld.so looks for it on the host, past the shim: add {} to",
        lib.display()
    );
    assert!(answer.contains(&remedy) && answer.contains("exit status: 2"), "{answer}");
    assert!(!said("origin").contains("libdeepbind"), "{}", said("origin"));
    let text = format!("{}[env]\nset = {{ LD_LIBRARY_PATH = \"{}\" }}\n", world.policy(), lib.display());
    std::fs::write(&policy, text).expect("the world is writable");
    assert!(!said("fixed").contains("libdeepbind"), "{}", said("fixed"));
    let mut command = Command::new(launcher());
    let status = command.arg("--policy").arg(&policy).arg(app.join("bin/fixed")).status();
    // What the program says of the missing arguments: it has started.
    assert_eq!(status.expect("the launcher runs").code(), Some(64));
}
