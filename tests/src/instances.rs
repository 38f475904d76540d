//! A state directory of a test's own, and the launcher in it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::images::must;
use crate::launcher;

/// A policy with the root of a site, and the kernel's directories that shells want.
pub const ROOT: &str = "coverage.door = \"gate\"\napp.workdir = \"/\"\n[root]\nlayers = [\"root\"]\n\
    [[mount]]\nat = \"/dev\"\nsource = \"/dev\"\naccess = \"read-write\"\n[[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n";

/// A shell script that says `ready`, and ends by TERM.
pub const WAITING: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";

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
            // Another test's may be called so too.
            let said = self.run(&["rm", &name]).stderr;
            if String::from_utf8_lossy(&said).contains("runs, as process") {
                let _ = self.run(&["stop", &name, "--timeout", "0"]);
            }
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

/// Starts a script that says `ready`, and waits until it has said so.
pub fn started(site: &Site, words: &[&str]) -> Child {
    use std::io::Read as _;
    let mut child = site.command(words);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the launcher runs");
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"ready\n") {
        child.stdout.as_mut().expect("it is piped").read_exact(&mut byte).expect("it says that it runs");
        said.extend(byte);
    }
    child
}

/// The system calls that change what is on the disk.
const CHANGES: &str = "openat,open,mkdir,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,chmod,fchmod,fchmodat,\
                       chown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,utimensat,write,pwrite64,ftruncate,copy_file_range,mknod,mknodat,flock";

/// Kills the launcher at each call that changes something, each time in what `prepare` has
/// made, and has `look` see what it leaves. Gives how often it was killed.
pub fn killed_at_each_change(site: &Site, words: &[&str], prepare: &dyn Fn(), look: &dyn Fn(&str)) -> usize {
    let run = |options: &[&str]| {
        let mut command = Command::new("strace");
        let launcher = site.command(words);
        command.args(options).arg(launcher.get_program()).args(launcher.get_args()).env_clear();
        command
            .envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(&site.dir);
        command.output().expect("strace is installed")
    };
    prepare();
    let table = site.dir.join("calls");
    let done = run(&["-o", &table.to_string_lossy(), "-e", CHANGES]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut counts = HashMap::<String, usize>::new();
    let (mut kills, mut begun, mut last) = (0, false, String::new());
    for line in fs::read_to_string(table).expect("a table").lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let is_read = name.starts_with("open") && !line.contains("O_CREAT");
        begun |= line.contains("/state/");
        // Of a row of writes the first stands for all.
        let is_more = std::mem::replace(&mut last, name.to_owned()) == name && name.contains("write");
        if is_read || is_more || !begun {
            continue;
        }
        prepare();
        let inject = format!("inject={name}:signal=SIGKILL:when={count}");
        let killed = run(&["-o", "/dev/null", "-e", &inject]);
        kills += usize::from(std::os::unix::process::ExitStatusExt::signal(&killed.status) == Some(9));
        look(&format!("killed at {name} {count}: {line}"));
    }
    kills
}
