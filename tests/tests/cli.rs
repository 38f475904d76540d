//! The launcher's own words: help, pages, answers to questions, exit statuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{World, feed, launcher, link, write};

const VERBS: [&str; 19] = [
    "run",
    "check",
    "explain",
    "trace",
    "doctor",
    "ps",
    "create",
    "start",
    "restart",
    "exec",
    "cp",
    "logs",
    "stop",
    "rm",
    "volume",
    "image",
    "schema",
    "completions",
    "man",
];

/// Runs the launcher with words of its own: what it prints, what it says on
/// standard error, and its status.
fn said(words: &[&str]) -> (String, String, i32) {
    said_in(Path::new("/"), words)
}

fn said_in(directory: &Path, words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(launcher());
    command.args(words).current_dir(directory).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = feed(&mut command, b"");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

fn fill(dir: &Path) {
    write(dir.join("host/tree/file"), "file\n");
    write(dir.join("host/tree/sub/deep"), "deep\n");
    write(dir.join("host/tree/script"), "#!/bin/sh\nexit 7\n");
    write(dir.join("host/tree/orphan"), "#!/no/such/interpreter\n");
    write(dir.join("host/tree/junk"), "junk");
    for name in ["script", "orphan", "junk"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.join("host/tree").join(name), mode).expect("our own file");
    }
    link("sub", dir.join("host/tree/link"));
    link("nowhere", dir.join("host/tree/dangling"));
    write(dir.join("app/own"), "own\n");
}

/// A world with a mount of each kind.
fn world(name: &str) -> (World, String) {
    let policy = "[[mount]]\nat = \"@/ro\"\nsource = \"host/tree\"\n\
                  [[mount]]\nat = \"@/rw\"\nsource = \"host/tree\"\naccess = \"read-write\"\n\
                  [[mount]]\nat = \"@/made/up/conf\"\ncontent = \"conf\"\n\
                  [[mount]]\nat = \"@/scratch\"\nkind = \"empty\"\n\
                  [[mount]]\nat = \"@/hidden\"\nkind = \"hidden\"\n\
                  [[mount]]\nat = \"@/denied\"\nkind = \"denied\"\n";
    let world = World::new(name, &[], fill).saying(policy);
    let file = world.policy_file().to_string_lossy().into_owned();
    (world, file)
}

#[test]
fn each_verb_says_what_it_is_for() {
    for verb in VERBS {
        let (help, complaint, status) = said(&[verb, "--help"]);
        assert_eq!((complaint.as_str(), status), ("", 0), "{verb}");
        assert!(help.contains(&format!("Usage: launcher {verb}")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    let (help, _, status) = said(&["--help"]);
    assert_eq!(status, 0);
    for part in
        VERBS.iter().chain(&["Exit status: the program's own; 125", "--policy shop.toml", "[ARGUMENT]..."])
    {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    assert!(said(&["--version"]).0.starts_with("launcher "));
}

#[test]
fn a_wrong_command_line_is_told_what_to_do() {
    for (words, parts) in [
        (&["./app", "-x"][..], &["no policy is named", "launcher --policy FILE ./app"][..]),
        (&["chek"], &["did you mean `launcher check`?"]),
        (&["--polciy", "x", "ls"], &["no option is called `--polciy`", "--policy FILE"]),
        (&["--verbose", "ls"], &["--policy <FILE>"]),
        (&["explain"], &["--policy <FILE>", "<PATH>..."]),
        (&["check", "--polcy", "x"], &["'--policy'"]),
        (&["completions", "bsh"], &["bash, elvish, fish, powershell, zsh"]),
        (&[], &["--policy <FILE>", "<PROGRAM>"]),
    ] {
        let (printed, complaint, status) = said(words);
        assert_eq!((printed.as_str(), status), ("", 125), "{words:?}");
        for part in parts {
            assert!(complaint.contains(part), "{part} is not in {complaint}");
        }
    }
}

#[test]
fn a_command_after_the_policy_is_told_its_place() {
    let (_world, policy) = world("misplaced");
    let (_, complaint, status) = said(&["--policy", &policy, "check"]);
    assert!(status == 127 && complaint.contains("launcher check --policy FILE"), "{complaint}");
}

#[test]
fn a_relative_source_begins_beside_the_policy_however_that_is_named() {
    let (world, _) = world("beside");
    let policy = format!("[[mount]]\nat = \"{}/x\"\nsource = \"host\"\n", world.dir.join("app").display());
    fs::write(world.dir.join("beside.toml"), policy).expect("the world is writable");
    for (directory, file) in [("", "beside.toml"), ("", "./beside.toml"), ("app", "../beside.toml")] {
        let directory = world.dir.join(directory);
        let answer = said_in(&directory, &["check", "--policy", file]);
        assert_eq!(answer, (format!("{file}: right, 1 mount\n"), String::new(), 0));
        let file_in_it = world.dir.join("app/x/tree/file").display().to_string();
        assert_eq!(said_in(&directory, &["--policy", file, "cat", &file_in_it]).0, "file\n");
    }
}

#[test]
fn the_manual_pages_are_clean() {
    let dir = std::env::temp_dir().join("launcher-test-man");
    let _ = fs::remove_dir_all(&dir);
    assert_eq!(said(&["man", "--dir", &dir.to_string_lossy()]).2, 0);
    for verb in VERBS {
        assert!(dir.join(format!("launcher-{verb}.1")).exists(), "{verb}");
    }
    assert_eq!(fs::read_to_string(dir.join("launcher.1")).ok(), Some(said(&["man"]).0));
    for page in fs::read_dir(&dir).expect("the pages").flatten() {
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-Tascii", "-P-cbou"]).arg(page.path());
        let output = feed(&mut groff, b"");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("SYNOPSIS") && output.status.success(), "{text}");
        if page.file_name() == "launcher.1" {
            let sections = ["NAME", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "VERSION"];
            assert!(sections.iter().all(|section| text.contains(&format!("\n{section}\n"))), "{text}");
        }
    }
    fs::remove_dir_all(&dir).expect("our own directory");
}

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, _, status) = said(&["completions", shell]);
        assert_eq!(status, 0);
        assert!(VERBS.iter().all(|verb| script.contains(verb)), "{shell}");
    }
    let (script, ..) = said(&["completions", "bash"]);
    let asks = "\nCOMP_WORDS=(launcher ch); COMP_CWORD=1; _launcher launcher ch launcher; echo \"${COMPREPLY[@]}\"\n";
    let output = feed(&mut Command::new("bash"), (script + asks).as_bytes());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "check\n");
}

#[test]
fn the_schema_is_the_one_that_is_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.schema.json");
    assert_eq!(fs::read_to_string(file).ok(), Some(said(&["schema"]).0));
}

#[test]
fn the_exit_status_says_whose_failure_it_was() {
    let (world, policy) = world("cli-status");
    let app = world.dir.join("app");
    let in_app = |path: &str| app.join(path).to_string_lossy().into_owned();
    for (program, expected, part) in [
        (in_app("ro/script"), 7, ""),
        (in_app("ro/missing"), 127, "policy.toml:"),
        (in_app("hidden"), 127, "hidden, so it looks non-existent"),
        (in_app("nowhere"), 127, "no mount of the policy touches it"),
        (in_app("ro/orphan"), 127, "no such file"),
        (in_app("ro/orphan"), 127, "which the application does not have"),
        ("no-such-program".into(), 127, "in no directory of PATH"),
        (in_app("ro/file"), 126, "permission denied"),
        (in_app("ro"), 126, "permission denied"),
        (in_app("denied"), 126, "denied, so it may not be touched"),
        (in_app("ro/junk"), 126, "exec format error"),
    ] {
        let (_, complaint, status) = said(&["--policy", &policy, &program]);
        assert_eq!(status, expected, "{program}: {complaint}");
        assert!(complaint.contains(part), "{part} is not in {complaint}");
    }
    let wrong = world.dir.join("wrong.toml");
    fs::write(&wrong, "[app]\nworkdir = \"/nonexistent\"\n").expect("the world is writable");
    let (_, complaint, status) = said(&["--policy", &wrong.to_string_lossy(), "true"]);
    assert_eq!(status, 125);
    assert!(complaint.contains("cannot enter the workdir /nonexistent"), "{complaint}");
    fs::write(&wrong, "[app]\nname = 5\nnam = 5\n").expect("the world is writable");
    for verb in ["run", "trace", "explain", "doctor", "check"] {
        let (printed, complaint, status) = said(
            &[verb, "--policy", &wrong.to_string_lossy(), "/bin/true"][..if verb == "check" { 3 } else { 4 }],
        );
        assert_eq!((printed.as_str(), status), ("", if verb == "check" { 1 } else { 125 }), "{verb}");
        assert!(complaint.contains("wrong.toml:2:8") && complaint.contains("wrong.toml:3:1"), "{complaint}");
    }
    assert_eq!(said(&["--policy", "/nonexistent/p.toml", "true"]).2, 125);
    let (printed, complaint, status) = said(&["check", "--policy", &policy]);
    assert_eq!((printed, complaint.as_str(), status), (format!("{policy}: right, 6 mounts\n"), "", 0));
}

#[test]
fn programs_are_answered_in_json() {
    let (world, policy) = world("cli-json");
    let wrong = world.dir.join("wrong.toml").to_string_lossy().into_owned();
    fs::write(&wrong, "[app]\nname = 5\nnam = 5\n").expect("the world is writable");
    for words in [&["check"][..], &["explain", "/etc"], &["doctor", "true"]] {
        let asked = |file: &str| said(&[&words[..1], &["--json", "--policy", file], &words[1..]].concat());
        let (printed, complaint, status) = asked(&wrong);
        assert_eq!((complaint.as_str(), status), ("", if words == ["check"] { 1 } else { 125 }), "{words:?}");
        for part in ["\"errors\":[", "\"line\":2", "\"line\":3", "\"column\":8", "did you mean `name`?"] {
            assert!(printed.contains(part), "{part} is not in {printed}");
        }
        let (printed, complaint, _) = asked(&policy);
        assert_eq!(complaint, "", "{words:?}");
        assert!(printed.starts_with(['{', '[']), "{printed}");
    }
}

#[test]
fn explain_knows_a_path_of_every_kind() {
    let (world, policy) = world("cli-explain");
    let first =
        world.policy().lines().position(|line| line.starts_with("at = ")).expect("there are mounts") + 1;
    let root = world.dir.to_string_lossy().into_owned();
    let explained = |path: &str| {
        let path = path.replace('@', &format!("{root}/app"));
        let (printed, complaint, status) =
            said_in(&world.dir.join("host"), &["explain", "--policy", &policy, &path]);
        assert_eq!((complaint.as_str(), status), ("", 0), "{path}");
        printed.replace(&root, "ROOT")
    };
    for (path, parts) in [
        (
            "@/ro/file",
            &["the host's ROOT/host/tree/file", "policy.toml:LINE (mount at ROOT/app/ro)", "write     EROFS"]
                [..],
        ),
        ("@/ro/link/deep", &["app path  ROOT/app/ro/sub/deep"]),
        ("@/ro/../ro/./sub", &["app path  ROOT/app/ro/sub\n"]),
        ("@/ro/sub/", &["read      ok"]),
        ("@/ro/file/", &["read      ENOTDIR", "create    ENOTDIR"]),
        ("@/ro/missing", &["read      ENOENT", "create    EROFS"]),
        ("@/ro/missing/x", &["ends at   ROOT/app/ro/missing", "create    ENOENT"]),
        ("@/rw/new", &["read      ENOENT", "create    ok"]),
        ("@/rw/file", &["write     ok", "create    EEXIST"]),
        ("@/made/up/conf", &["an inline file", "write     EROFS"]),
        ("@/made/up/conf/x", &["nothing: an inline file is no directory", "read      ENOTDIR"]),
        ("@/made/up", &["exists only because a mount lies below it", "create    EEXIST"]),
        ("@/made/else", &["nothing: its directory exists only because", "read      ENOENT"]),
        ("@/scratch", &["a private scratch directory", "write     ok"]),
        ("@/hidden", &["hidden", "policy.toml:", "create    ENOENT"]),
        ("@/hidden/x", &["ends at   ROOT/app/hidden", "read      ENOENT"]),
        ("@/denied", &["denied", "read      EACCES"]),
        ("@/own", &["the host's own ROOT/app/own", "no mount: the host's own tree"]),
        ("../app/ro/file", &["app path  ROOT/app/ro/file"]),
        ("tree/file", &["the host's own ROOT/host/tree/file"]),
        ("/nonexistent", &["the host's own /nonexistent", "read      ENOENT"]),
    ] {
        let found = explained(path);
        for part in parts {
            let part = part.replace("LINE", &first.to_string());
            assert!(found.contains(&part), "{part} is not in {found}");
        }
    }
}

#[test]
fn doctor_finds_a_program_as_the_application_would() {
    let (world, policy) = world("cli-doctor");
    let app = world.dir.join("app");
    let examined = |program: &str| {
        let program = program.replace('@', &app.to_string_lossy());
        let (printed, complaint, status) = said(&["doctor", "--policy", &policy, &program]);
        assert_eq!(complaint, "", "{program}");
        (printed, status)
    };
    for (program, expected, part) in [
        ("@/ro/script", None, "is run by /bin/sh"),
        ("sh", None, "64-bit, dynamic"),
        ("@/ro/orphan", Some(2), "/no/such/interpreter: no such file"),
        ("@/ro/file", Some(2), "is not executable (mode 644): chmod +x"),
        ("@/ro/junk", Some(2), "neither an ELF program nor a script"),
        ("@/hidden", Some(2), "hidden, so it looks non-existent"),
        ("no-such-program", Some(2), "no-such-program"),
    ] {
        let (printed, status) = examined(program);
        assert!(printed.contains(part), "{part} is not in {printed}");
        assert!(expected.map_or(status < 2, |expected| status == expected), "{program}: {status}");
    }
    // Where the policy says another PATH, it is that one.
    let elsewhere = world.dir.join("elsewhere.toml");
    let text = format!("{1}[env]\nset = {{ PATH = \"{0}/ro\" }}\n", app.display(), world.policy());
    fs::write(&elsewhere, text).expect("the world is writable");
    let (printed, ..) = said(&["doctor", "--policy", &elsewhere.to_string_lossy(), "script"]);
    assert!(printed.contains("ro/script is run by /bin/sh"), "{printed}");
}
