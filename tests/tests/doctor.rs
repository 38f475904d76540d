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
    for (name, reason) in [("ether_hostton", "Ethernet"), ("catopen", "catalogues")] {
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
    let text = world.policy() + "[[mount]]\nat = \"/etc/ethers\"\nsource = \"host/fixed/file\"\n";
    std::fs::write(&policy, text).expect("the world is writable");
    let (imports, said) = says(&[Path::new("--policy"), &policy, &program("imports")]);
    let warned: Vec<_> = imports.lines().filter(|line| line.starts_with("warn")).collect();
    assert!(warned.len() == 1 && warned[0].contains("ether_hostton"), "{said}");
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

#[test]
fn which_door_serves_names_and_addresses_is_told() {
    let network = "\n[network]\nhosts = { db = [\"10.1.2.3\"] }\n[[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:8080\"\n";
    let world = World::new("doctor-network", &[], fill);
    let policy = world.policy_file();
    let says = |door: &str, program: &Path| {
        let output = Command::new(launcher())
            .args(["doctor", "--door", door, "--policy"])
            .args([&policy, program])
            .output()
            .expect("the launcher runs");
        transcript(&output)
    };
    let dynamic = program("resolve");
    assert!(!says("gate", &dynamic).contains(" network "), "a policy that says nothing of it");
    std::fs::write(&policy, world.policy() + network).expect("the world is writable");
    let fixed = tests::compiled("resolve", &["-static"], "resolve-static");
    let go = Path::new("/usr/bin/gron");
    for (door, program, words) in [
        ("shim", &*dynamic, "names: the shim answers by the policy's files"),
        ("gate", &dynamic, "names: libc, as any other resolver"),
        ("gate", &fixed, "names: the resolver in the program"),
        ("gate", go, "names: Go's own resolver, or libc's, reads"),
    ] {
        let said = says(door, program);
        let addresses = format!("addresses: the {door} leads");
        assert!(said.contains(words) && said.contains(&addresses), "{said}");
        assert!(said.ends_with("exit status: 0\n"), "{said}");
    }
    // What the shim cannot serve is refused, not served otherwise.
    for program in [&*fixed, go] {
        let said = says("shim", program);
        assert!(said.contains("blocked  coverage") && !said.contains(" network "), "{said}");
    }
    if Path::new(tests::symbols::MUSL).exists() {
        let musl = tests::compiled_by("musl-gcc", "resolve", &[], "resolve-musl-dynamic");
        let said = says("shim", &musl);
        assert!(
            said.contains("warn     network        names: the shim answers by the policy's /etc/hosts"),
            "{said}"
        );
    }
    tests::compiled("deepbind", &["-shared", "-fPIC", "-Wl,-soname,liburing.so.2"], "libring.so");
    let place = dynamic.parent().expect("a directory").display().to_string();
    let flags = [&format!("-L{place}"), "-Wl,--no-as-needed", "-lring", &format!("-Wl,-rpath,{place}")];
    let ring = tests::compiled("resolve", &flags, "resolve-ring");
    let said = says("gate", &ring);
    assert!(said.contains("warn     network        it links liburing"), "{said}");
}

#[test]
fn what_of_the_machine_and_the_clock_a_door_does_not_tell_is_named() {
    let world = World::new("doctor-told", &[], fill).saying(
        "[identity]\nhostname = \"erp01\"\ncpus = 4\nrun_as = \"daemon\"\n[time]\noffset = \"-1d\"\n",
    );
    let policy = world.policy_file();
    let says = |door: &str, program: &Path| {
        let mut doctor = Command::new(launcher());
        let output = doctor.args(["doctor", "--door", door, "--policy"]).arg(&policy).arg(program).output();
        transcript(&output.expect("the launcher runs"))
    };
    let of = |said: &str, verdict: &str, subject: &str| {
        let has = |line: &&str| line.starts_with(&format!("{verdict:<8} {subject:<14} "));
        said.lines().filter(has).collect::<Vec<_>>().join("\n")
    };
    let clock = tests::compiled("credentials", &["-pthread"], "credentials");
    let said = says("shim", &clock);
    assert!(of(&said, "warn", "time").contains("vDSO by these and calls it has the host's clock"), "{said}");
    assert!(of(&said, "warn", "time").contains("getauxval"), "{said}");
    let said = says("shim", &program("resolve"));
    for subject in ["time", "identity"] {
        assert!(of(&said, "pass", subject).contains("the shim tells it"), "{said}");
    }
    let fixed = tests::compiled("pointers", &["-static"], "pointers-static");
    let said = says("shim", &fixed);
    assert!(
        of(&said, "blocked", "time").contains("outside the view the program is told the host's"),
        "{said}"
    );
    for program in [&clock, &fixed] {
        let said = says("gate", program);
        assert!(
            of(&said, "pass", "time").contains("the gate tells it") && !said.contains("\nwarn "),
            "{said}"
        );
    }
}
