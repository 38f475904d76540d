//! Changes of a union that come between another one's look and its call. strace(1) holds that call back.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tests::{feed, is_root, launcher, transcript};

/// The whiteouts in a write layer, by their names in it.
fn whiteouts(dir: &Path, top: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("root may read it").map(|entry| entry.expect("it is there")) {
        let about = entry.metadata().expect("it is there");
        if about.is_dir() {
            whiteouts(&entry.path(), top, found);
        } else if about.file_type().is_char_device() && about.rdev() == 0 {
            found.push(entry.path().strip_prefix(top).expect("it is below").to_owned());
        }
    }
}

/// Runs a script in a union whose lower layer has the files `f` and `g`, and an empty directory `d`. `late` is a program whose renameat2(2)
/// comes two seconds late. Gives what is said, and the whiteouts that are left.
fn raced(door: &str, script: &str) -> (String, Vec<PathBuf>) {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("launcher-races-{turn}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    for below in ["app", "state", "base/d"] {
        fs::create_dir_all(dir.join(below)).expect("the temporary directory is writable");
    }
    for file in ["f", "g"] {
        fs::write(dir.join("base").join(file), file).expect("the temporary directory is writable");
    }
    let app = dir.join("app");
    let policy = format!("app.name = \"races\"\n[[mount]]\nat = {app:?}\nlayers = [\"base\"]\n");
    fs::write(dir.join("policy.toml"), policy).expect("the temporary directory is writable");
    let script = format!(
        "cd {}; late() {{ strace -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:delay_enter=2000000 \"$@\"; }}\n{script}",
        app.display()
    );
    let mut command = Command::new(launcher());
    command.args(["--door", door, "--policy"]).arg(dir.join("policy.toml")).args(["/bin/sh", "-c", &script]);
    command.env("STATE_DIRECTORY", dir.join("state")).current_dir("/");
    let said = transcript(&feed(&mut command, b""));
    let layers = fs::read_dir(dir.join("state/instances/races/write")).expect("it has a write layer");
    let mut found = Vec::new();
    for layer in layers {
        let upper = layer.expect("it is there").path().join("upper");
        whiteouts(&upper, &upper, &mut found);
    }
    found.sort();
    fs::remove_dir_all(&dir).expect("it is ours");
    (said, found)
}

#[test]
fn a_whiteout_that_has_taken_a_files_place_is_not_renamed_to_where_it_hides_nothing() {
    assert!(is_root(), "whiteouts are looked for: run the tests as root");
    let rename = "perl -e 'rename(\"f\", \"n/new\") or print \"$!\\n\"'";
    let script = format!("mkdir n; late {rename} & sleep 1; rm f; wait; ls . n");
    let beside = "echo more >> f; late perl -e 'stat \"f\"; rename(\"f\", \"new\") or print \"$!\\n\"' & sleep 1; rm f; wait; ls";
    for door in ["gate", "shim"] {
        let (said, left) = raced(door, &script);
        assert!(said.contains("No such file or directory\n.:\nd\ng\nn\n\nn:\n"), "{door}: {said}");
        assert_eq!(left, [Path::new("f")], "{door}");
        // In one directory, of a file that is known to have its copy.
        let (said, left) = raced(door, beside);
        assert!(said.contains("No such file or directory\nd\ng\n"), "{door}: {said}");
        assert_eq!(left, [Path::new("f")], "{door}");
    }
}

#[test]
fn a_whiteout_that_has_taken_a_files_place_is_not_exchanged_with_another() {
    assert!(is_root(), "whiteouts are looked for: run the tests as root");
    // renameat2(2) with RENAME_EXCHANGE.
    let exchange =
        "perl -e 'syscall(316, -100, my $a = \"f\", -100, my $b = \"n/new\", 2) and print \"$!\\n\"'";
    let script =
        format!("mkdir n; echo new > n/new; late {exchange} & sleep 1; rm f; wait; ls . n; cat n/new");
    let (said, left) = raced("shim", &script);
    assert!(said.contains("No such file or directory\n.:\nd\ng\nn\n\nn:\nnew\nnew\n"), "{said}");
    assert_eq!(left, [Path::new("f")]);
}

#[test]
fn what_is_made_in_a_directory_that_is_being_removed_is_in_the_one_that_takes_its_name() {
    // The first rename takes it out of its place; the second would put it back, since something is in it. That others
    // take a directory away meanwhile has all look anew.
    let script = "touch d/t; rm d/t; late rmdir d & sleep 1; echo x > d/x; sleep 2; mkdir e; rmdir e; mkdir d && echo y > d/y; wait $!; echo $?; ls -A d; cat d/*";
    for door in ["gate", "shim"] {
        let (said, left) = raced(door, script);
        assert!(said.contains("\n0\nx\ny\nx\ny\n") || said.starts_with("0\nx\ny\nx\ny\n"), "{door}: {said}");
        assert_eq!(left, [] as [&Path; 0], "{door}");
    }
}
