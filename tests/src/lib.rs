//! What the whole-program tests share.
//!
//! The oracle is the kernel. A [`World`] is a directory with a host tree and a
//! list of mounts. The same program is run in it twice: by the kernel, in a
//! private mount namespace in which the mounts are real bind mounts, and by
//! the launcher, under a policy that says the same. What both print must be
//! the same. Each run starts from a fresh copy, at the same path.

pub mod calls;
mod debian;
pub mod images;
pub mod instances;
mod session;
mod steps;
pub mod symbols;
pub mod tarball;

pub use debian::debian11;
pub use session::{WAITING, free_port, which};
pub use steps::{Count, counted, instructions, system_calls};

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// The launcher under test: `$LAUNCHER`, or where `cargo xtask build` leaves it.
pub fn launcher() -> &'static Path {
    static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/launcher");
        let launcher = std::env::var_os("LAUNCHER").map_or(built, PathBuf::from);
        let launcher = launcher.canonicalize();
        launcher.expect("the launcher has been built: `cargo xtask build`, or set LAUNCHER to it")
    })
}

/// A C program of tests/programs, compiled once.
pub fn program(name: &str) -> PathBuf {
    compiled(name, &[], name)
}

/// The same, with more words for the compiler, under a name of its own.
pub fn compiled(name: &str, flags: &[&str], output: &str) -> PathBuf {
    compiled_by("gcc", name, flags, output)
}

/// The same, by another compiler.
pub fn compiled_by(compiler: &str, name: &str, flags: &[&str], output: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    let dir = target.join("tmp/programs");
    fs::create_dir_all(&dir).expect("the target directory is writable");
    let built = dir.join(output);
    let draft = dir.join(format!(".{output}-{}-{:?}", std::process::id(), std::thread::current().id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("programs/{name}.c"));
    let fresh = |built: &Path| {
        let time = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        time(built).is_some_and(|built| time(&source).is_some_and(|source| built > source))
    };
    if !fresh(&built) {
        let mut command = Command::new(compiler);
        command.args(["-O1", "-w", "-o"]).arg(&draft).arg(&source).args(flags);
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{compiler}: {error}: `cargo xtask packages`"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&draft, &built).expect("a rename in one directory works");
    }
    built
}

/// Whether the tests run as root, as they do where mounts can be made.
pub fn is_root() -> bool {
    // SAFETY: geteuid(2) cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// One mount, as the policy and the kernel are told of it.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where it stands, below the world's `app` directory.
    pub at: &'static str,
    /// What stands there, below the world's `host` directory; none for hidden.
    pub source: Option<&'static str>,
    /// Whether it takes changes.
    pub read_write: bool,
}

/// A read-only mount.
pub const fn read_only(at: &'static str, source: &'static str) -> Mount {
    Mount { at, source: Some(source), read_write: false }
}

/// A read-write mount.
pub const fn read_write(at: &'static str, source: &'static str) -> Mount {
    Mount { at, source: Some(source), read_write: true }
}

/// A path that looks non-existent.
pub const fn hidden(at: &'static str) -> Mount {
    Mount { at, source: None, read_write: false }
}

/// A directory with what a test needs.
pub struct World {
    /// The directory. `host` holds sources, `app` is where mounts stand.
    pub dir: PathBuf,
    mounts: Vec<Mount>,
    fill: fn(&Path),
    user: Option<u32>,
    head: String,
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl World {
    /// A world that `fill` makes and `mounts` are put in. The name must be one
    /// of its own, and so be the same in every run.
    pub fn new(name: &str, mounts: &[Mount], fill: fn(&Path)) -> World {
        let dir = std::env::temp_dir().join(format!("launcher-test-{name}"));
        let world = World { dir, mounts: mounts.to_vec(), fill, user: None, head: String::new() };
        world.make();
        world
    }

    /// The same, run by an ordinary user, whose the files are.
    pub fn as_user(mut self, uid: u32) -> World {
        self.user = Some(uid);
        self.make();
        self
    }

    /// The same, with more lines at the head of the policy; `@` in them stands
    /// for the app directory.
    pub fn saying(mut self, lines: &str) -> World {
        self.head = lines.replace('@', &self.dir.join("app").to_string_lossy());
        self
    }

    /// Runs a program in the view alone, and gives what it printed and how it
    /// ended. `@` in the words stands for the app directory.
    pub fn view_says(&self, program: &str, arguments: &[&str]) -> String {
        let app = self.dir.join("app");
        let spelled = |text: &str| text.replace('@', &app.to_string_lossy());
        let mut command = self.in_view(Path::new(&spelled(program)));
        command.args(arguments.iter().map(|word| spelled(word))).env("APP", &app).current_dir("/");
        // Where a user may not enter a directory of PATH, exec says EACCES.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        transcript(&feed(&mut command, b""))
    }

    fn make(&self) {
        let _ = fs::remove_dir_all(&self.dir);
        for dir in ["host", "app"] {
            fs::create_dir_all(self.dir.join(dir)).expect("the temporary directory is writable");
        }
        (self.fill)(&self.dir);
        if let Some(uid) = self.user {
            let owner = format!("{uid}:{uid}");
            let status = Command::new("chown").args(["-hR", &owner]).arg(&self.dir).status();
            assert!(status.expect("chown is installed").success());
        }
    }

    /// The policy's text.
    pub fn policy(&self) -> String {
        // Where a policy says nothing of its door, `DOOR` does: in the first line, so
        // that where there is no head the others have their numbers either way.
        let door = std::env::var("DOOR").ok().filter(|_| !self.head.contains("coverage"));
        let mut text = match door {
            Some(door) if self.head.is_empty() => format!("coverage.door = \"{door}\"\n"),
            Some(door) => format!("coverage.door = \"{door}\"\n{}\n", self.head),
            None => self.head.clone() + "\n",
        };
        for mount in &self.mounts {
            let at = self.dir.join("app").join(mount.at);
            // Writing to a string does not fail.
            let _ = writeln!(text, "[[mount]]\nat = \"{}\"", at.display());
            let _ = match mount.source {
                Some(source) => {
                    let access = if mount.read_write { "read-write" } else { "read-only" };
                    writeln!(text, "source = \"host/{source}\"\naccess = \"{access}\"")
                }
                None => writeln!(text, "kind = \"hidden\""),
            };
        }
        text
    }

    /// Writes the policy and gives its file.
    pub fn policy_file(&self) -> PathBuf {
        let file = self.dir.join("policy.toml");
        fs::write(&file, self.policy()).expect("the world is writable");
        file
    }

    /// The directory of the instance that a program runs in under the policy.
    pub fn instance(&self) -> PathBuf {
        let mut command = self.as_its_user(launcher());
        command.arg("-v").arg("--policy").arg(self.policy_file()).arg("/bin/true").current_dir("/");
        let said = transcript(&feed(&mut command, b""));
        let dir = said.lines().find_map(|line| line.rsplit_once("view in "));
        PathBuf::from(dir.unwrap_or_else(|| panic!("no instance: {said}")).1)
    }

    /// A command that runs a program under the policy.
    pub fn in_view(&self, program: &Path) -> Command {
        let mut command = self.as_its_user(launcher());
        command.arg("--policy").arg(self.policy_file()).arg(program);
        command
    }

    fn as_its_user(&self, program: &Path) -> Command {
        let mut command = match self.user {
            Some(uid) => {
                let mut command = Command::new("setpriv");
                let id = uid.to_string();
                command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_remove("XDG_RUNTIME_DIR").env("LC_ALL", "C.UTF-8");
        if self.user.is_some() {
            command.env("HOME", self.dir.join("home"));
        }
        command
    }

    /// A command that runs a program among real mounts. Needs root.
    pub fn among_mounts(&self, program: &Path) -> Command {
        let app = self.dir.join("app");
        let mut script = String::from("set -e\nmount --make-rprivate /\n");
        for mount in &self.mounts {
            let at = app.join(mount.at);
            let (at, parent) = (at.display(), at.parent().expect("a mount point has a parent").display());
            let _ = match mount.source {
                Some(source) => {
                    let source = self.dir.join("host").join(source);
                    let source = source.display();
                    let remount = if mount.read_write { "" } else { "mount -o remount,bind,ro \"$at\"" };
                    writeln!(
                        script,
                        "at='{at}'; mkdir -p '{parent}'; if [ -d '{source}' ]; then mkdir -p \"$at\"; else [ -e \"$at\" ] || : > \"$at\"; fi\n\
                         mount --bind '{source}' \"$at\"\n{remount}"
                    )
                }
                None => writeln!(script, "rm -rf '{at}'"),
            };
        }
        let inner = self.as_its_user(program);
        script.push_str("exec \"$@\"\n");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--", "sh", "-c", &script, "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        command.env_remove("XDG_RUNTIME_DIR").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs the calls of tests/programs/calls.c in both, and holds one
    /// against the other. `@` in a line stands for the app directory.
    pub fn same_calls(&self, lines: &str) {
        if !is_root() {
            eprintln!("not root, so there are no mounts to compare with");
            return;
        }
        let app = self.dir.join("app");
        let lines: String = lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| line.replace('@', &app.to_string_lossy()) + "\n")
            .collect();
        let probe = program("calls");
        let run = |mut command: Command| {
            command.current_dir("/");
            let output = feed(&mut command, lines.as_bytes());
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        };
        self.make();
        let expected = run(self.among_mounts(&probe));
        self.make();
        let found = run(self.in_view(&probe));
        assert_same("the kernel", &expected, "the view", &found);
    }

    /// Runs a shell script in both, and holds what it prints and its status
    /// against each other. `@` stands for the app directory.
    pub fn same_script(&self, script: &str) {
        if !is_root() {
            eprintln!("not root, so there are no mounts to compare with");
            return;
        }
        let script = script.replace('@', &self.dir.join("app").to_string_lossy());
        let run = |mut command: Command| {
            command.args(["-c", &script]).current_dir("/");
            transcript(&feed(&mut command, b""))
        };
        self.make();
        let expected = run(self.among_mounts(Path::new("/bin/bash")));
        self.make();
        let found = run(self.in_view(Path::new("/bin/bash")));
        assert_same("the kernel", &expected, "the view", &found);
    }
}

/// What a command printed and how it ended.
pub fn transcript(output: &Output) -> String {
    format!(
        "{}--- standard error\n{}--- {}\n",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status
    )
}

/// How long a command may take before its whole process group is ended.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs a command with standard input, in a process group of its own. One
/// that hangs is ended, with all that it has started in its group.
pub fn feed(command: &mut Command, input: &[u8]) -> Output {
    use std::io::Write as _;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    let group = i32::try_from(child.id()).expect("a process id");
    let (done, hangs) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        // A program that does not read all of it has its reasons.
        let _ = stdin.write_all(&input);
    });
    let watchman = std::thread::spawn(move || {
        // A run that is asked to take longer may.
        let asked = std::env::var("STRESS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        if hangs.recv_timeout(PATIENCE + Duration::from_secs(asked)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("process group {group} hangs and is ended");
            // SAFETY: kill(2) takes numbers; the leader has not been waited for.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    });
    let output = child.wait_with_output().expect("the child can be waited for");
    drop(done);
    watchman.join().expect("the watchman does not panic");
    writer.join().expect("the writer does not panic");
    output
}

/// Panics with the lines that differ.
pub fn assert_same(left_name: &str, left: &str, right_name: &str, right: &str) {
    if left == right {
        return;
    }
    let diff = similar::TextDiff::from_lines(left, right);
    let shown = diff.unified_diff().context_radius(2).header(left_name, right_name).to_string();
    panic!("{left_name} (-) and {right_name} (+) differ:\n{shown}");
}

/// Writes a file and the directories above it.
pub fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().expect("a file has a parent")).expect("directories can be made");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Times must not tell two runs apart.
    let touched = Command::new("touch").args(["-d", "@1000000000"]).arg(path).status();
    assert!(touched.expect("touch is installed").success());
}

/// Makes a symbolic link.
pub fn link(target: impl AsRef<Path>, path: impl AsRef<Path>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().expect("a link has a parent")).expect("directories can be made");
    std::os::unix::fs::symlink(target, path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
