//! What a call costs, counted and held against what it cost before.
//!
//! tests/data/counts.txt says how many instructions and system calls each operation under a mount takes
//! more than natively, by each door. More than that, by more than a small tolerance, fails;
//! less is printed, and written down by
//!
//!     COUNTS=write DOOR=shim cargo test -p tests --test counts     (and DOOR=gate)

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{compiled, instructions, launcher, system_calls};

/// Where the mounts stand. The host need not have it.
const APP: &str = "/opt/launcher-test-counts";

/// The operations of tests/programs/cost.c, and what each is done on.
const OPERATIONS: &[(&str, &str)] = &[
    ("open", "file"),
    ("open", "a/b/c/d/e/file"),
    ("open", "way/d/e/file"),
    ("stat", "file"),
    ("statx", "file"),
    ("lstat", "link"),
    ("access", "file"),
    ("access-none", "none"),
    ("readlink", "link"),
    ("readdir", "a/b"),
    ("create", "made"),
    ("rename", "file"),
    ("read", "file"),
    ("write", "file"),
    ("mmap", "file"),
    ("getuid", "file"),
    ("uname", "file"),
    ("connect", "file"),
    ("send", "file"),
    ("sendto", "file"),
    ("create", "union/a/made"),
    ("rename", "union/a/b/one"),
    ("open", "union/a/b/two"),
];

/// What endings begin with that are in a union, in directories that have a side in its write layer.
const UNION: &str = "union/";

/// So many, that the gate has rewritten every call site before it is counted.
const TIMES: u64 = 20;

/// What is no worse: instructions for each call are few, and vary a little with where things lie in memory.
const TOLERANCE: f64 = 0.03;
const SLACK: i64 = 25;

/// Ten trees that are mounted, ten of the same shape and names that are not, the policy, and another one of a union.
fn ground(door: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counts");
    let _ = fs::remove_dir_all(&dir);
    // The port that `connect` and `send` ask for is led elsewhere.
    let mut policy = format!(
        "coverage.door = \"{door}\"\n[[network.bind]]\nfrom = \"127.0.0.1:45999\"\nto = \"127.0.0.1:45998\"\n"
    );
    for tree in 0..10 {
        for side in ["host", "free"] {
            let tree = dir.join(side).join(format!("m{tree}"));
            fs::create_dir_all(tree.join("a/b/c/d/e")).expect("a fresh tree");
            for file in ["file", "a/b/one", "a/b/two", "a/b/c/d/e/file"] {
                fs::write(tree.join(file), "x\n").expect("a fresh tree");
            }
            for (link, target) in [("link", "file"), ("way", "a/b/c")] {
                std::os::unix::fs::symlink(target, tree.join(link)).expect("a fresh tree");
            }
        }
        // Writing to a string does not fail.
        let _ = writeln!(
            policy,
            "[[mount]]\nat = \"{APP}/m{tree}\"\nsource = \"host/m{tree}\"\naccess = \"read-write\""
        );
    }
    fs::create_dir_all(dir.join("layer/a/b")).expect("a fresh tree");
    for file in ["one", "two"] {
        fs::write(dir.join("layer/a/b").join(file), "x\n").expect("a fresh tree");
    }
    let union = format!(
        "coverage.door = \"{door}\"\n[[mount]]\nat = \"{APP}/union\"\nlayers = [\"layer\"]\nwrite = \"ephemeral\"\n"
    );
    fs::write(dir.join("policy.toml"), policy).expect("a fresh tree");
    fs::write(dir.join("union.toml"), union).expect("a fresh tree");
    dir
}

/// The instructions and system calls of twenty operations.
fn counts(dir: &Path, in_view: bool, operation: &str, ending: &str) -> (i64, i64) {
    let command = || {
        let probe = compiled("cost", &["-O2"], "cost");
        let mut command = if in_view { Command::new(launcher()) } else { Command::new(&probe) };
        if in_view {
            let policy = if ending.starts_with(UNION) { "union.toml" } else { "policy.toml" };
            command.arg("--policy").arg(dir.join(policy)).arg(&probe);
        }
        let trees = if in_view { PathBuf::from(APP) } else { dir.join("free") };
        command.args(["steps", operation, "heap", &TIMES.to_string(), "2"]);
        match ending.strip_prefix(UNION) {
            Some(rest) => command.arg(trees.join(if in_view { "union" } else { "m0" }).join(rest)),
            None => command.args((0..10).map(|tree| trees.join(format!("m{tree}")).join(ending))),
        };
        command.env_remove("XDG_RUNTIME_DIR").env("LC_ALL", "C.UTF-8").current_dir("/");
        command
    };
    let number = |count: u64| i64::try_from(count).expect("not that many");
    (number(instructions(&mut command())), number(system_calls(&mut command())))
}

type Counts = BTreeMap<String, (i64, i64)>;

/// Lines of `DOOR OPERATION PATH INSTRUCTIONS CALLS`.
fn parsed(text: &str) -> Counts {
    let line = |line: &str| -> Option<(String, (i64, i64))> {
        let (rest, calls) = line.rsplit_once(' ')?;
        let (name, instructions) = rest.rsplit_once(' ')?;
        Some((name.to_owned(), (instructions.parse().ok()?, calls.parse().ok()?)))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

#[test]
fn no_operation_costs_more_than_it_did() {
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    let dir = ground(&door);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/counts.txt");
    let mut known = parsed(&fs::read_to_string(&file).unwrap_or_default());
    let writes = std::env::var("COUNTS").is_ok_and(|word| word == "write");
    let mut worse = String::new();
    for (operation, ending) in OPERATIONS {
        let find = || {
            let natively = counts(&dir, false, operation, ending);
            let in_view = counts(&dir, true, operation, ending);
            let more = (in_view.0 - natively.0) / i64::try_from(TIMES).expect("few");
            (more, in_view.1 - natively.1)
        };
        let mut found = find();
        let name = format!("{door} {operation} {ending}");
        if writes {
            known.insert(name, found);
            continue;
        }
        let Some(before) = known.get(&name) else {
            worse += &format!("{name}: not in {}\n", file.display());
            continue;
        };
        let most = before.0 + SLACK + (before.0 as f64 * TOLERANCE) as i64;
        let is_worse = |found: (i64, i64)| found.0 > most || found.1 > before.1;
        if is_worse(found) {
            // An interrupt, or a clock that was being set: it does not come twice.
            found = find();
        }
        println!("{name}: {found:?}, before {before:?}");
        if is_worse(found) {
            worse += &format!("{name}: {found:?}, before {before:?}\n");
        }
    }
    if writes {
        let mut text = "# What an operation under a mount takes more than natively: instructions of one, system calls of twenty.\n\
                        # Written by tests/tests/counts.rs.\n"
            .to_owned();
        for (name, (instructions, calls)) in known {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} {instructions} {calls}");
        }
        fs::write(&file, text).expect("the repository is writable");
    }
    assert!(worse.is_empty(), "instructions and system calls that are more than before:\n{worse}");
}
