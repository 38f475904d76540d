//! A process that no door covers does not run, and says why.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{Mount, World, compiled, feed, launcher, program, read_only, read_write, transcript, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed")];

fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>, mode: u32) {
    fs::copy(from, &to).expect("the program is there to copy");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(to, mode).expect("our own file");
}

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("data/file"), "data\n");
    copy(compiled("children", &["-static"], "children-static"), host.join("fixed/static"), 0o755);
    copy(program("children"), host.join("fixed/children"), 0o755);
    copy("/bin/cat", host.join("fixed/unreadable"), 0o711);
    let mut bytes = fs::read("/bin/true").expect("coreutils are installed");
    // The class byte of an ELF file: 1 says 32-bit.
    bytes[4] = 1;
    fs::write(host.join("fixed/narrow"), &bytes).expect("a fresh tree");
    // A machine number that is nobody's.
    bytes[4] = 2;
    bytes[18] = 0xfe;
    fs::write(host.join("fixed/foreign"), &bytes).expect("a fresh tree");
    for name in ["narrow", "foreign"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(host.join("fixed").join(name), mode).expect("our own file");
    }
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill)
}

/// One whose programs the shim covers, and not all of them.
fn shim_world(name: &str) -> World {
    world(name).saying("coverage.door = \"shim\"")
}

/// A program of root's with the setuid bit, in a world of another user's.
fn make_setuid(world: &World, program: &str) {
    let path = world.dir.join("host/fixed/setuid");
    copy(program, &path, 0o755);
    let owned = Command::new("chown").arg("0:0").arg(&path).status().expect("chown is installed");
    assert!(owned.success());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    fs::set_permissions(&path, mode).expect("our own file");
}

#[test]
fn a_static_program_is_refused_with_one_clear_line() {
    let world = shim_world("static");
    for (program, words) in
        [("@/ro/static", "statically linked"), ("@/ro/narrow", "32-bit"), ("@/ro/foreign", "another machine")]
    {
        let said = world.view_says(program, &["null", "/bin/true"]);
        assert!(said.contains(words) && said.contains("coverage"), "{said}");
        assert!(said.contains("exit status: 126"), "{said}");
        assert_eq!(said.matches("launcher:").count(), 1, "{said}");
    }
}

#[test]
fn a_loader_runs_no_static_program_either() {
    let said =
        shim_world("loader-static").view_says(LOADER, &["--argv0", "x", "@/ro/static", "null", "/bin/true"]);
    assert!(said.contains("/ro/static: not started: it is statically linked"), "{said}");
    assert!(said.contains("exit status: 126"), "{said}");
}

#[test]
fn an_exec_that_would_escape_fails_with_eacces() {
    let world = shim_world("static-exec");
    let script = "@/ro/static null /bin/true; echo $?; exec @/ro/static x y";
    let said = world.view_says("/bin/bash", &["-c", script]);
    assert!(said.contains("126\n") && said.contains("exit status: 126"), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert_eq!(said.matches("statically linked").count(), 2, "{said}");
    let python = r#"
import os, subprocess
for call in [lambda: os.execv('@/ro/static', ['x']), lambda: subprocess.run(['@/ro/static']),
        lambda: os.posix_spawn('@/ro/static', ['x'], {}), lambda: os.posix_spawnp('@/ro/static', ['x'], {})]:
    try:
        print(call())
    except OSError as error:
        print(error.errno)
"#;
    let said = world.view_says("/usr/bin/python3.11", &["-c", python]);
    assert!(said.starts_with("13\n13\n13\n13\n"), "{said}");
}

#[test]
fn best_effort_lets_it_go_and_says_so_once() {
    let world = world("best-effort").saying("coverage = { level = \"best-effort\", door = \"shim\" }");
    let script = "for i in 1 2 3; do @/ro/static null /bin/echo ran; done";
    let said = world.view_says("/bin/bash", &["-c", script]);
    assert_eq!(said.matches("ran\n").count(), 3, "{said}");
    assert_eq!(said.matches("outside the view").count(), 1, "{said}");
    assert!(said.contains("exit status: 0"), "{said}");
}

#[test]
fn a_setuid_program_runs_covered_and_without_its_rights() {
    let world = world("setuid").as_user(65534);
    make_setuid(&world, "/usr/bin/id");
    let said = world.view_says("@/ro/setuid", &["-u"]);
    assert!(said.starts_with("65534\n"), "{said}");
    make_setuid(&world, "/bin/cat");
    let said = world.view_says("/bin/sh", &["-c", "@/ro/setuid @/ro/file"]);
    assert!(said.starts_with("fixed\n"), "{said}");
    let said = world.view_says("/bin/grep", &["NoNewPrivs", "/proc/self/status"]);
    assert!(said.starts_with("NoNewPrivs:\t1\n"), "{said}");
}

#[test]
fn a_program_that_gives_up_roots_rights_stays_in_the_view() {
    let world = world("drops");
    let private = world.dir.join("private");
    fs::create_dir_all(&private).expect("the world is writable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&private, mode).expect("our own directory");
    let script = "umask 077; setpriv --reuid 65534 --clear-groups cat $APP/ro/file; \
                  setpriv --reuid 65534 --clear-groups sh -c 'cat $APP/ro/file'";
    let mut command = world.in_view(Path::new("/bin/sh"));
    command.args(["-c", script]).env("APP", world.dir.join("app")).env("XDG_RUNTIME_DIR", &private);
    let said = transcript(&feed(&mut command, b""));
    assert!(said.starts_with("fixed\nfixed\n--- standard error\n---"), "{said}");
}

#[test]
fn a_process_of_two_users_starts_nothing_that_would_escape() {
    let world = shim_world("two-users");
    for call in ["os.seteuid(65534)", "os.setegid(65534)"] {
        let python = format!(
            "import os\n{call}\nprint(os.stat('@/ro/file').st_size)\nprint(os.system('cat @/ro/file'))"
        );
        let said = world.view_says("/usr/bin/python3.11", &["-c", &python]);
        assert!(said.starts_with("6\n32512\n") && said.contains("not the real one"), "{said}");
    }
}

#[test]
fn where_the_shim_cannot_be_read_nothing_starts_that_would_escape() {
    let world = shim_world("shut-out");
    let python = "import os\n\
                  dir = 'DIR'\n\
                  os.chmod(dir, 0o700)\npid = os.fork()\n\
                  if not pid:\n os.setuid(65534)\n os.execv('/bin/cat', ['cat', '@/ro/file'])\n\
                  print(os.waitpid(pid, 0)[1])\nos.chmod(dir, 0o755)\n\
                  os.rename(dir, dir + '-gone')\nprint(os.system('cat @/ro/file'))\n\
                  os.rename(dir + '-gone', dir)\nprint(os.system('cat @/ro/file'))";
    let python = python.replace("DIR", &world.instance().to_string_lossy());
    let said = world.view_says("/usr/bin/python3.11", &["-c", &python]);
    assert!(said.starts_with("256\n32512\nfixed\n0\n") && said.contains("Permission denied"), "{said}");
    assert_eq!(said.matches("the instance's directory is gone, or closed").count(), 2, "{said}");
}

#[test]
fn where_setuid_counts_such_a_program_is_refused() {
    let world = world("setuid-counts").as_user(65534).saying("[app]\nno_new_privs = false");
    make_setuid(&world, "/bin/cat");
    let said = world.view_says("/bin/sh", &["-c", "@/ro/setuid @/ro/file; echo $?"]);
    assert!(said.starts_with("126\n") && said.contains("setuid"), "{said}");
    let said = world.view_says("/bin/grep", &["NoNewPrivs", "/proc/self/status"]);
    assert!(said.starts_with("NoNewPrivs:\t0\n"), "{said}");
}

#[test]
fn a_program_that_cannot_be_looked_at_is_refused() {
    let world = world("not-readable").as_user(65534);
    let made = Command::new("chown").args(["0:0"]).arg(world.dir.join("host/fixed/unreadable")).status();
    assert!(made.expect("chown is installed").success());
    let said = world.view_says("@/ro/unreadable", &["@/ro/file"]);
    assert!(said.contains("not readable") && said.contains("exit status: 126"), "{said}");
}

#[test]
fn the_exit_status_is_the_programs_own_or_says_what_failed() {
    let world = world("status").as_user(65534);
    for (program, arguments, status) in [
        ("/bin/sh", ["-c", "exit 0"], "exit status: 0"),
        ("/bin/sh", ["-c", "exit 77"], "exit status: 77"),
        ("/bin/sh", ["-c", "kill -TERM $$"], "signal: 15 (SIGTERM)"),
        ("@/ro/missing", ["", ""], "exit status: 127"),
        ("no-such-program", ["", ""], "exit status: 127"),
        ("@/ro/file", ["", ""], "exit status: 126"),
        ("@/ro", ["", ""], "exit status: 126"),
    ] {
        let said = world.view_says(program, &arguments);
        assert!(said.contains(status), "{program}: {said}");
    }
    let said = world.saying("coverage = \"sometimes\"").view_says("/bin/true", &[]);
    assert!(said.contains("exit status: 125") && said.contains("best-effort"), "{said}");
}

#[test]
fn the_launcher_becomes_the_program() {
    let world = shim_world("pid");
    // The shell itself reads its status: while it starts a child it blocks signals.
    let script = "echo $PPID $$; ls /proc/$$/fd; cat /proc/$$/comm; tr '\\0' ' ' < /proc/$$/cmdline; while read line; do case $line in Sig[!Q]*) echo \"$line\";; esac; done < /proc/$$/status";
    let said = |mut command: Command| {
        let command = command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().expect("the program runs");
        let id = child.id();
        let output = child.wait_with_output().expect("the child can be waited for");
        String::from_utf8_lossy(&output.stdout).replace(&id.to_string(), "its id")
    };
    let natively = said(Command::new("/bin/dash"));
    assert!(natively.contains("its id"), "{natively}");
    tests::assert_same("natively", &natively, "the view", &said(world.in_view(Path::new("/bin/dash"))));
}

#[test]
fn spaces_and_colons_in_paths_do_no_harm() {
    let world = world("spaces");
    let odd = world.dir.join("odd : dir;$HOME");
    fs::create_dir_all(odd.join("run")).expect("the world is writable");
    copy(launcher(), odd.join("the launcher"), 0o755);
    write(odd.join("source dir/a file"), "odd\n");
    let policy = odd.join("my policy.toml");
    let text = "[app]\nname = \"odd\"\n[[mount]]\nat = \"/opt/odd : place\"\nsource = \"source dir\"\naccess = \"read-write\"\n";
    fs::write(&policy, text).expect("the world is writable");
    for runtime in [None, Some(odd.join("run")), Some(world.dir.join("run")), Some("relative".into())] {
        if let Some(runtime) = runtime.as_ref().filter(|runtime| runtime.is_absolute()) {
            fs::create_dir_all(runtime).expect("the world is writable");
        }
        let mut command = Command::new(odd.join("the launcher"));
        command.arg("--policy").arg(&policy).env_remove("XDG_RUNTIME_DIR").env("HOME", &odd);
        runtime.map(|runtime| command.env("XDG_RUNTIME_DIR", runtime));
        command.args(["sh", "-c", "env -i cat '/opt/odd : place/a file'; sh -c 'ls \"/opt/odd : place\"'"]);
        let said = transcript(&feed(&mut command, b""));
        assert!(said.starts_with("odd\na file\n") && said.contains("exit status: 0"), "{said}");
    }
}

#[test]
fn each_program_checks_in_and_trace_tells_how_many() {
    let world = world("counted");
    let mut command = Command::new(launcher());
    command.args(["trace", "--policy"]).arg(world.policy_file());
    command.args(["/bin/dash", "-c", "/bin/true; /bin/cat /dev/null; exec /bin/true"]);
    let said = transcript(&feed(&mut command, b""));
    assert!(said.contains("\n4 programs ran covered\n"), "{said}");
}
