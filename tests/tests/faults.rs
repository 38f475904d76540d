//! When something is wrong: the kernel's error number or a clear message,
//! never a crash.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{Mount, World, feed, hidden, is_root, link, read_only, read_write, transcript, write};

const MOUNTS: &[Mount] = &[
    read_write("work", "data"),
    read_only("ro", "fixed"),
    read_only("work/nested", "nested"),
    hidden("work/secret"),
];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/file"), "data\n");
    write(host.join("data/sub/deep"), "deep\n");
    write(host.join("data/secret/key"), "key\n");
    fs::create_dir_all(host.join("data/nested")).expect("a fresh tree");
    write(host.join("nested/inner"), "inner\n");
    write(host.join("fixed/file"), "fixed\n");
    link("sub/deep", host.join("data/link"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).expect("our own file");
}

#[test]
fn a_source_that_may_not_be_read_answers_as_the_kernel_does() {
    let fill = |dir: &Path| {
        fill(dir);
        set_mode(dir.join("host/fixed/file"), 0o000);
        set_mode(dir.join("host/nested"), 0o000);
    };
    World::new("unreadable", MOUNTS, fill).as_user(65534).same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run cat ../ro/file; run ls -l ../ro/file | cut -c 1-10; run ls nested; run cat nested/inner; run cd nested
        run stat -c %a nested; run test -r ../ro/file; run touch nested/x; run realpath nested/inner; run find . -name inner
        "#,
    );
}

#[test]
fn a_running_program_outlives_its_policy_and_its_sources() {
    world("removed").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        rm -f "$APP/../policy.toml"
        run cat file; run cat ../ro/file; run env -i sh -c "cat '$APP/work/nested/inner'"
        rm -r sub; run cat link; run ls; run mkdir sub; run ls sub
        mkdir gone; cd gone; rmdir ../gone; run pwd -P; run ls; run cat file; run cat ../file; run cat "$APP/ro/file"
        cd "$APP/work"; run /bin/pwd
        "#,
    );
}

#[test]
fn a_program_has_as_many_descriptors_as_ever() {
    const COUNT: &str = r#"
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
work = os.environ["APP"] + "/work"
os.chdir(work)
print(sorted(int(name) for name in os.listdir("/proc/self/fd")))
held = []
try:
    while True:
        held.append(os.open(work + "/file", os.O_RDONLY))
except OSError as error:
    print(len(held), held[0], held[-1], error)
def tried(call, *arguments, **named):
    try:
        answer = call(*arguments, **named)
        print(call.__name__, arguments, answer if isinstance(answer, (str, bool, list, type(None))) else "done")
    except OSError as error:
        print(call.__name__, arguments, error)
def both():
    for name in ["file", "link", "sub/../file", work + "/link", "../ro/file", "nested/inner", "missing", "sub"]:
        for call in [os.stat, os.lstat, os.readlink, os.path.realpath, os.listdir, os.open, os.chdir]:
            tried(call, name, os.O_RDONLY) if call is os.open else tried(call, name)
        os.chdir(work)
    tried(os.mkdir, "made"); tried(os.rename, "made", "moved"); tried(os.rename, "moved", "nested/x"); tried(os.rmdir, "moved")
    tried(os.symlink, "x", "made"); tried(os.link, "made", "more"); tried(os.unlink, "made"); tried(os.unlink, "more")
    tried(os.chmod, "link", 0o600); tried(os.utime, "file", (1, 1)); tried(os.truncate, "file", 3); tried(os.getcwd)
    tried(os.access, "file", os.W_OK); tried(os.access, "../ro/file", os.W_OK)
both()
os.close(held.pop())
both()
"#;
    world("descriptors")
        .same_session("/bin/bash", &format!("cat > /dev/null; exec /usr/bin/python3.11 -c '{COUNT}' 2>&1"));
}

#[test]
fn a_full_disk_says_so() {
    if !is_root() {
        return;
    }
    let run = |in_view: bool| {
        let world = World::new("full", MOUNTS, fill).as_user(65534);
        let shell = Path::new("/bin/bash");
        let command = if in_view { world.in_view(shell) } else { world.among_mounts(shell) };
        let (host, app) = (world.dir.join("host/data"), world.dir.join("app"));
        let mut full = Command::new("unshare");
        let mount = format!(
            "mount --make-rprivate / && mount -t tmpfs -o size=16k,mode=777 none '{}' && mkdir '{0}/nested' && exec \"$@\"",
            host.display()
        );
        full.args(["--mount", "sh", "-c", &mount, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            value.map(|value| full.env(name, value));
        }
        let script = "cd $APP/work; head -c 100000 /dev/zero > big; echo $?; stat -c %s big; echo x > small; echo $?; \
                      mkdir dir; echo $?; cp ../ro/file copy; echo $?; ls; rm big; cp ../ro/file copy; cat copy";
        full.args(["-c", script]).env("APP", &app).current_dir("/");
        transcript(&feed(&mut full, b""))
    };
    tests::assert_same("the kernel", &run(false), "the view", &run(true));
}

#[test]
fn a_full_disk_under_the_instance_is_named() {
    if !is_root() {
        return;
    }
    let world = World::new("full-runtime", MOUNTS, fill);
    let inner = world.in_view(Path::new("/bin/cat"));
    let runtime = world.dir.join("runtime");
    fs::create_dir_all(&runtime).expect("a fresh tree");
    let mut command = Command::new("unshare");
    let mount = "mount --make-rprivate / && for d in \"$XDG_RUNTIME_DIR\" /run /tmp/launcher-0 \"$HOME\"; do mkdir -p $d; mount -t tmpfs -o size=4k,mode=755 none \"$d\"; done; exec \"$@\"";
    command.args(["--mount", "sh", "-c", mount, "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.arg("/dev/null").env("XDG_RUNTIME_DIR", &runtime).env("HOME", world.dir.join("home"));
    command.env_remove("XDG_STATE_HOME").env_remove("RUNTIME_DIRECTORY");
    let said = transcript(&feed(&mut command, b""));
    assert!(said.contains("launcher: ") && said.contains("exit status: 125"), "{said}");
    assert!(said.to_lowercase().contains("no space"), "{said}");
}

#[test]
fn a_path_may_grow_too_long_for_the_host_alone() {
    // The app path is shorter than the host path, so the longest app paths
    // have no host path: those answer ENAMETOOLONG, the others as ever.
    let fill = |dir: &Path| write(dir.join("host").join("p".repeat(200)).join("file"), "data");
    const LONG: &str = concat!(
        "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
        "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
        "pppppppppppppppppppppppppppppppp"
    );
    let world = World::new("prefix", &[read_write("w", LONG)], fill);
    let app = world.dir.join("app/w");
    let room = 4095 - app.as_os_str().len() - "/file".len();
    let dots = |len: usize| "/.".repeat(len / 2) + if len % 2 == 1 { "/" } else { "" };
    let lines = |over: usize| format!("open @/w{}/file RDONLY\nstat @/w{}/file\n", dots(over), dots(over));
    world.same_calls(&(lines(0) + &lines(100) + &lines(3000) + &lines(room - 400)));
    world.same_calls(&(lines(room + 1) + &lines(room + 2) + &lines(5000)));
    let output = feed(
        world.in_view(&tests::program("calls")).current_dir("/"),
        lines(room).replace('@', &world.dir.join("app").to_string_lossy()).as_bytes(),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let fine = said
        .lines()
        .all(|line| line.ends_with("ENAMETOOLONG") || line.contains("=> ok") || line.contains("=> mode"));
    assert!(output.status.success() && fine, "{said}");
}

#[test]
fn ten_thousand_mounts_are_as_good_as_ten() {
    let world = World::new("many", &[], |dir| write(dir.join("host/file"), "many\n"));
    let app = world.dir.join("app");
    let mut policy = String::new();
    for index in 0..10_000 {
        // Writing to a string does not fail.
        let _ = writeln!(
            policy,
            "[[mount]]\nat = \"{}/m/{}/d{index}\"\nsource = \"host/file\"",
            app.display(),
            index % 7
        );
    }
    fs::write(world.dir.join("many.toml"), policy).expect("the world is writable");
    let script = "cd $APP/m; ls; ls * | wc -l; ls 3 | wc -l; cat 0/d0 3/d9999 3/d5001; cat 0/d1; cat */d77 2>/dev/null; find . -type f | wc -l";
    let mut command = Command::new(tests::launcher());
    command
        .arg("--policy")
        .arg(world.dir.join("many.toml"))
        .args(["/bin/bash", "-c", script])
        .env("APP", &app);
    let said = transcript(&feed(&mut command, b""));
    let expected = "0\n1\n2\n3\n4\n5\n6\n10013\n1429\nmany\nmany\nmany\nmany\n10000\n";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("0/d1: No such file or directory"), "{said}");
}

#[test]
fn bad_pointers_reach_every_family() {
    World::new("pointers-all", MOUNTS, fill).same_calls("bad_open 1\nbad_stat 1\nbad_page");
    let program = tests::program("pointers");
    let world = World::new("pointers-families", MOUNTS, fill);
    if !is_root() {
        return;
    }
    let run = |mut command: Command| transcript(&feed(command.arg(world.dir.join("app/work/file")), b""));
    let expected = run(world.among_mounts(&program));
    tests::assert_same("the kernel", &expected, "the view", &run(world.in_view(&program)));
}

#[test]
fn bad_pointers_are_told_of_whatever_the_signals_of_faults_are() {
    let program = tests::program("pointers");
    let world = World::new("pointers-signals", MOUNTS, fill);
    if !is_root() {
        return;
    }
    for how in [
        "blocked",
        "inherited",
        "ignored",
        "handled",
        "in-handler",
        "after-handler",
        "after-handler-on-stack",
        "suspended",
        "threaded",
        "forked",
        "vforked",
        "forked-in-thread",
    ] {
        let run = |mut command: Command| {
            transcript(&feed(command.arg(world.dir.join("app/work/file")).arg(how), b""))
        };
        let expected = run(world.among_mounts(&program));
        assert!(expected.contains("bad places for answers"), "{how}: {expected}");
        tests::assert_same(
            "the kernel",
            &expected,
            &format!("the view, {how}"),
            &run(world.in_view(&program)),
        );
    }
}
