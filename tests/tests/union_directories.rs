//! What a union answers of directories that it has been asked for before: as a plain directory does, whatever has become
//! of them, and of who asks.
//!
//! tests/programs/asked.c asks again and again. It is run in the view, and natively on a directory that was made
//! alike: what the two print must be the same.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tests::{assert_same, feed, is_root, launcher, program};

struct Ground {
    dir: PathBuf,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Ground {
    fn new(door: &str, write: &str) -> Ground {
        // What is below /dev is looked at more closely than other places.
        let dir = std::env::temp_dir().join(format!("launcher-asked-{door}-{write}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for below in ["base", "plain/app", "app", "state"] {
            fs::create_dir_all(dir.join(below)).expect("the temporary directory is writable");
        }
        let policy = format!(
            "coverage.door = \"{door}\"\napp.name = \"asked\"\n[[mount]]\nat = \"{}\"\nlayers = [\"base\"]\nwrite = \"{write}\"\n",
            dir.join("app").display()
        );
        fs::write(dir.join("policy.toml"), policy).expect("a fresh tree");
        let ground = Ground { dir };
        for made in ["base", "plain/app"] {
            let made = ground.dir.join(made);
            assert_eq!(says(Command::new(program("asked")).arg("make").arg(made)), "");
        }
        ground
    }

    fn natively(&self) -> String {
        says(Command::new(program("asked")).arg("ask").arg(self.dir.join("plain/app")))
    }

    fn in_view(&self) -> String {
        let mut command = Command::new(launcher());
        command.arg("--policy").arg(self.dir.join("policy.toml")).arg(program("asked"));
        says(command.arg("ask").arg(self.dir.join("app")).env("STATE_DIRECTORY", self.dir.join("state")))
    }
}

fn says(command: &mut Command) -> String {
    command.env_remove("XDG_RUNTIME_DIR").current_dir("/");
    let output = feed(command, b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_known_of_a_directory_holds_for_as_long_as_it_is_so_and_who_asks_may_know() {
    if !is_root() {
        eprintln!("skipped: only root can become others");
        return;
    }
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    for write in ["private", "ephemeral"] {
        let ground = Ground::new(&door, write);
        let natively = ground.natively();
        assert!(natively.contains("EACCES") && natively.contains(" text"), "{natively}");
        assert_same("natively", &natively, "in the view", &ground.in_view());
    }
}
