//! A state directory of a test's own, and the launcher in it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::images::must;
use crate::launcher;

/// A directory with a state directory, and a root of static programs.
pub struct Site {
    /// The directory.
    pub dir: PathBuf,
    /// Who the launcher runs as, where not as the test does.
    pub user: Option<u32>,
}

impl Drop for Site {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = self.run(&["stop", &name, "--timeout", "0"]);
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Site {
    /// A fresh one, with a busybox in `root`. The name must be one of its own.
    pub fn new(name: &str) -> Site {
        let dir = std::env::temp_dir().join(format!("launcher-test-site-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("root")).expect("the temporary directory is writable");
        let script = "cd root; mkdir -p bin etc srv/data tmp run; chmod 1777 tmp; cp /bin/busybox bin/; for name in $(busybox --list); do test $name = busybox || ln -s busybox bin/$name; done; \
                      echo root:x:0:0::/root:/bin/sh > etc/passwd; echo hello > etc/greeting";
        must("sh", &["-ec", script], &dir);
        Site { dir, user: None }
    }

    /// Writes a policy of this name: its application's name is that too, unless it says another.
    pub fn policy(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.join(format!("{name}.toml"));
        fs::write(&file, text).expect("the site is writable");
        file
    }

    /// The launcher with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(launcher());
        command.args(words).env_clear().env("PATH", "/bin:/usr/bin:/usr/sbin").current_dir(&self.dir);
        command
            .env("STATE_DIRECTORY", self.dir.join("state"))
            .env("XDG_RUNTIME_DIR", self.dir.join("runtime"));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs it.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the launcher runs")
    }

    /// What it prints where all is well.
    pub fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What it says where it refuses.
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(125), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What a shell script prints in the view of a policy.
    pub fn sh(&self, policy: &str, script: &str) -> String {
        self.good(&["--policy", policy, "/bin/sh", "-c", script])
    }

    /// The names of the instances that are kept.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("state/instances")).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 20 seconds");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a file has this text.
pub fn has(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|read| read == text)
}
