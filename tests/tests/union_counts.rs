//! How many system calls a union costs: where nothing is written under a directory, as many as natively, and after
//! a write in it one more at the most. A directory takes less where it is asked for again.
//!
//! A call on a file that no mount has to do with is as natively, by each door (tests/tests/cost.rs), so each is held against that.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{compiled, launcher, system_calls};

const TIMES: i64 = 20;

/// The operations of tests/programs/cost.c that look at a file or open one.
const LOOKS: &[(&str, &str)] = &[
    ("open", "file"),
    ("stat", "file"),
    ("statx", "file"),
    ("lstat", "link"),
    ("access", "file"),
    ("access-none", "none"),
    ("readlink", "link"),
];

/// A layer, what lies outside of it, and the policy.
fn ground(name: &str, door: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    for tree in ["layer", "free"] {
        for directory in ["untouched", "written"] {
            let directory = dir.join(tree).join(directory);
            fs::create_dir_all(directory.join("below")).expect("a fresh tree");
            for file in ["file", "below/file"] {
                fs::write(directory.join(file), "x\n").expect("a fresh tree");
            }
            symlink("file", directory.join("link")).expect("a fresh tree");
            symlink("file", directory.join("below/link")).expect("a fresh tree");
        }
    }
    let layer = dir.join("layer");
    let policy = format!(
        "coverage.door = \"{door}\"\n[[mount]]\nat = \"{0}\"\nlayers = [\"{0}\"]\nwrite = \"ephemeral\"\n",
        layer.display()
    );
    fs::write(dir.join("policy.toml"), policy).expect("a fresh tree");
    dir
}

/// The system calls of twenty operations in the view, after a file and a link have been made in the layer's
/// directory `written`. `from` is the working directory of the program.
fn calls(dir: &Path, operation: &str, from: &Path, path: &str) -> i64 {
    let script = "echo x > $1/new; ln -s new $1/newlink; cd $2; shift 2; exec \"$@\"";
    let mut command = Command::new(launcher());
    command.arg("--policy").arg(dir.join("policy.toml")).args(["sh", "-c", script, "sh"]);
    command.arg(dir.join("layer/written")).arg(from).arg(compiled("cost", &["-O2"], "cost"));
    command.args(["steps", operation, "heap", &TIMES.to_string(), "2", path]);
    command.env_remove("XDG_RUNTIME_DIR").env("LC_ALL", "C.UTF-8").current_dir("/");
    i64::try_from(system_calls(&mut command)).expect("not that many")
}

#[test]
fn a_look_at_a_union_takes_no_call_more_and_one_more_after_a_write() {
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    let dir = ground("union-counts", &door);
    let (layer, root) = (dir.join("layer"), Path::new("/"));
    let mut more = String::new();
    for (operation, name) in LOOKS {
        let free = calls(&dir, operation, root, &dir.join("free/untouched").join(name).to_string_lossy());
        let mut hold = |what: &str, from: &Path, path: &str, most: i64| {
            let found = calls(&dir, operation, from, path) - free;
            println!("{operation} {what}: {found} more in {TIMES}");
            if found > most * TIMES {
                more += &format!("{operation} {what}: {found} more in {TIMES}, at most {most} in one\n");
            }
        };
        let written = layer.join("written");
        let absolute =
            |directory: &str, name: &str| layer.join(directory).join(name).to_string_lossy().into_owned();
        let made = if *name == "link" { "newlink" } else { "new" };
        hold("of the base", root, &absolute("untouched", name), 0);
        hold("of the base, by a name", &layer.join("untouched"), name, 0);
        hold("of the base, by a way down", &layer.join("untouched"), &format!("below/{name}"), 0);
        hold("below a write", root, &absolute("written/below", name), 0);
        hold("beside a write", root, &absolute("written", name), 1);
        hold("beside a write, by a name", &written, name, 1);
        hold("below a write, by a way down", &written, &format!("below/{name}"), 0);
        hold("of what was written", root, &absolute("written", made), 1);
    }
    assert!(more.is_empty(), "{more}");
}

#[test]
fn fstat_of_a_directory_of_the_base_that_was_opened_like_a_file_takes_no_call_more() {
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    let dir = ground("union-counts-of-opened", &door);
    let (layer, root) = (dir.join("layer"), Path::new("/"));
    let free = calls(&dir, "open", root, &dir.join("free/untouched/below").to_string_lossy());
    // An open beside a write looks for what was written first.
    for (below, more) in [("untouched/below", 0), ("untouched", 1), ("written/below", 1)] {
        let found = calls(&dir, "fstat", root, &layer.join(below).to_string_lossy()) - free;
        println!("{below}: {found} more than open and close in {TIMES}");
        assert_eq!(found, (1 + more) * TIMES, "{below}");
    }
}

#[test]
fn that_a_directory_is_no_link_is_asked_once_whichever_layers_have_it() {
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    let dir = ground("union-counts-of-directories", &door);
    let (layer, root) = (dir.join("layer"), Path::new("/"));
    let free = calls(&dir, "readlink-none", root, &dir.join("free/untouched/below").to_string_lossy());
    let mut asked = String::new();
    for (what, below) in [
        ("the union's point", ""),
        ("a directory with two sides", "written"),
        ("one of the base beside a write", "written/below"),
        ("one of the base", "untouched"),
        ("one below it", "untouched/below"),
    ] {
        let path = layer.join(below);
        let path = path.to_string_lossy();
        let found = calls(&dir, "readlink-none", root, path.trim_end_matches('/')) - free;
        println!("{what}: {found} more than natively in {TIMES}");
        // Some to find out which layers have it.
        if found > 6 - TIMES {
            asked += &format!("{what}: {found} more than natively in {TIMES}\n");
        }
    }
    assert!(asked.is_empty(), "{asked}");
}
