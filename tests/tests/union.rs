//! Unions of layers: what a person gets of them. Whether all calls are answered as
//! the kernel's overlayfs does is for `union_oracle`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{World, feed, is_root, launcher, transcript, write};

fn fill(dir: &Path) {
    for (file, text) in [("base/file", "base\n"), ("base/sub/deep", "deep\n"), ("base/sub/both", "base\n")] {
        write(dir.join("host").join(file), text);
    }
    write(dir.join("host/patches/sub/both"), "patched\n");
    write(dir.join("host/patches/sub/new"), "new\n");
    fs::create_dir_all(dir.join("app/at")).expect("a fresh tree");
}

const LAYERS: &str = "[[mount]]\nat = \"@/at\"\nlayers = [\"host/base\", \"host/patches\"]";

fn world(name: &str, more: &str) -> World {
    World::new(name, &[], fill).saying(&format!("app.name = \"{name}\"\n{LAYERS}\n{more}"))
}

/// What a shell script says in the view.
fn says(world: &World, script: &str) -> String {
    let app = world.dir.join("app").to_string_lossy().into_owned();
    let mut command = world.in_view(Path::new("/bin/bash"));
    command.args(["-c", &format!("exec 2>&1; cd @/at; {script}").replace('@', &app)]).current_dir("/");
    command.env("STATE_DIRECTORY", world.dir.join("state"));
    let said = transcript(&feed(&mut command, b""));
    said.split("--- standard error").next().unwrap_or_default().replace(&app, "@")
}

fn host(world: &World) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "find . -type f | sort | xargs grep -H ."]).current_dir(world.dir.join("host"));
    transcript(&feed(&mut command, b""))
}

#[test]
fn changes_stay_and_layers_do_not_change() {
    let world = world("union-stay", "");
    let before = host(&world);
    let script = "cat file sub/both; ls sub; echo mine > file; echo more >> sub/deep; rm sub/both; mkdir made; \
                  echo x > made/x; mv sub moved; ln -s file link; cat moved/deep link";
    let expected = "base\npatched\nboth\ndeep\nnew\ndeep\nmore\nmine\n";
    assert_eq!(says(&world, script), expected);
    let again = "cat file moved/deep made/x; ls -R . | tr '\\n' ' '; cat sub/both";
    let expected = "mine\ndeep\nmore\nx\n.: file link made moved  ./made: x  ./moved: deep new cat: sub/both: No such file or directory\n";
    assert_eq!(says(&world, again), expected);
    assert_eq!(host(&world), before);
}

#[test]
fn a_program_is_called_by_the_link_that_has_started_it() {
    let script = "cp /bin/cat real; ln -s real alias; ln -s ../alias sub/other; \
                  for name in ./real ./alias sub/other @/at/alias; do $name /proc/self/comm; done";
    assert_eq!(says(&world("union-called", ""), script), "real\nalias\nother\nalias\n");
}

/// As those of /etc/alternatives: out of the union, and by another one back into it.
#[test]
fn a_link_that_leads_out_and_back_finds_what_the_view_has() {
    let world = World::new("union-back", &[], |dir| {
        for (file, text) in [("lib/file", "base\n"), ("var/target", "base\n")] {
            write(dir.join("host").join(file), text);
        }
        write(dir.join("app/other/plain"), "outside\n");
        fs::create_dir_all(dir.join("app/at")).expect("a fresh tree");
        for (link, target) in [
            ("host/lib/back", "app/other/hop"),
            ("app/other/hop", "app/at/var/target"),
            ("host/lib/out", "app/other/plain"),
        ] {
            std::os::unix::fs::symlink(dir.join(target), dir.join(link)).expect("a fresh tree");
        }
    });
    let world = world.saying("app.name = \"union-back\"\n[[mount]]\nat = \"@/at\"\nlayers = [\"host\"]");
    let script = "echo written > var/target; cat lib/file; for time in 1 2; do cat @/at/lib/back @/at/lib/out; stat -L -c %s @/at/lib/back; \
                  test -r @/at/lib/back && echo readable; done";
    let each = "written\noutside\n8\nreadable\n";
    assert_eq!(says(&world, script), format!("base\n{each}{each}"));
}

#[test]
fn an_ordinary_user_has_unions_too() {
    if !is_root() {
        return;
    }
    let world = world("union-user", "").as_user(1234);
    fs::write(world.dir.join("host/base/sub/roots"), "root's\n").expect("a fresh tree");
    let script = "id -u; echo mine > file; rm sub/both; mv sub moved; mkdir sub; ls sub moved; cat file moved/deep; \
                  echo x > moved/roots; rm moved/roots; ls moved";
    let expected = "1234\nmoved:\ndeep\nnew\nroots\n\nsub:\nmine\ndeep\n\
                    /bin/bash: line 1: moved/roots: Permission denied\ndeep\nnew\n";
    assert_eq!(says(&world, script), expected);
    assert_eq!(says(&world, "ls . moved | tr '\\n' ' '"), ".: file moved sub  moved: deep new ");
}

#[test]
fn directories_that_their_owner_may_not_look_into_go_as_natively() {
    if !is_root() {
        return;
    }
    let script = "import os, sys
os.chdir(sys.argv[1])
def say(call, *names):
    try: print(call.__name__, *names, call(*names))
    except OSError as error: print(call.__name__, *names, error.strerror)
def closed(name, *files):
    os.mkdir(name)
    for file in files: open(name + '/' + file, 'w').close()
    os.chmod(name, 0)
os.mkdir('full')
closed('full/empty'); say(os.rmdir, 'full/empty')
closed('full/held', 'x'); say(os.rmdir, 'full/held'); say(os.listdir, 'full/held')
os.mkdir('moved'); say(os.rename, 'moved', 'full/held')
closed('full/other'); say(os.rename, 'moved', 'full/other'); print(sorted(os.listdir('full')))
# What layers below have, too.
say(os.rmdir, 'known'); closed('known'); say(os.rmdir, 'known')
closed('known', 'x'); say(os.rmdir, 'known'); print(oct(os.stat('known').st_mode))
os.mkdir('moved'); say(os.rename, 'moved', 'known')
os.chmod('known', 0o700); os.unlink('known/x'); os.chmod('known', 0); say(os.rename, 'moved', 'known')
print(sorted(os.listdir('.')))";
    let fill = |dir: &Path| {
        for at in ["host/base/known", "native/known", "app/at"] {
            fs::create_dir_all(dir.join(at)).expect("a fresh tree");
        }
    };
    let policy = "app.name = \"union-closed\"\n[[mount]]\nat = \"@/at\"\nlayers = [\"host/base\"]";
    let world = World::new("union-closed", &[], fill).saying(policy).as_user(1234);
    let python = Path::new("/usr/bin/python3");
    let said = |mut command: Command, at: &str| {
        command.args(["-c", script]).arg(world.dir.join(at)).env("STATE_DIRECTORY", world.dir.join("state"));
        transcript(&feed(command.current_dir("/"), b""))
    };
    let natively = said(world.among_mounts(python), "native");
    assert!(natively.contains("rename moved known None"), "{natively}");
    tests::assert_same("natively", &natively, "in a union", &said(world.in_view(python), "app/at"));
}

#[test]
fn a_union_that_takes_no_changes_is_read_only() {
    let world = world("union-none", "write = \"none\"");
    let script = "cat sub/both; echo x > file; mkdir x; rm file; mv file x; touch sub; chmod 600 file; exec 3< file; chmod 600 /dev/fd/3";
    let said = says(&world, script);
    assert!(said.starts_with("patched\n"), "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 7, "{said}");
    assert!(!world.dir.join("state").exists());
}

#[test]
fn what_is_ephemeral_is_gone_with_the_run() {
    let world = world("union-ephemeral", "write = \"ephemeral\"");
    for _ in 0..2 {
        assert_eq!(says(&world, "cat file; echo mine > file; sh -c 'cat file'"), "base\nmine\n");
    }
}

#[test]
fn a_union_at_the_root_is_a_root() {
    if !is_root() {
        return;
    }
    let fill = |dir: &Path| {
        write(dir.join("host/patches/only"), "only here\n");
    };
    let policy = "coverage.door = \"gate\"\n[root]\nlayers = [\"/usr\", \"host/patches\"]\nwrite = \"ephemeral\"\n\
                  [[mount]]\nat = \"/usr\"\nsource = \"/usr\"\n[[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n\
                  [[mount]]\nat = \"/etc\"\nsource = \"/etc\"\n[[mount]]\nat = \"/lib64\"\nsource = \"/usr/lib64\"\n[[mount]]\nat = \"/dev\"\nsource = \"/dev\"";
    let world = World::new("union-root", &[], fill).saying(policy);
    let script =
        "cat /only; echo x > /made; ls / | grep -c . ; cat /made; ls /tmp; cd /usr/bin; cd ../..; pwd";
    let said = world.view_says("/usr/bin/bash", &["-c", script]);
    assert!(said.starts_with("only here\n") && said.contains("\nx\n") && said.contains("\n/\n"), "{said}");
    assert!(!Path::new("/usr/made").exists());
    assert!(said.contains("'/tmp': No such file or directory"), "{said}");
}

#[test]
fn a_mount_may_lie_in_a_union() {
    let world = world(
        "union-nested",
        "[[mount]]\nat = \"@/at/sub/in\"\ncontent = \"in\\n\"\n[[mount]]\nat = \"@/at/sub/new\"\nkind = \"hidden\"",
    );
    let script = "ls sub; cat sub/in sub/new; echo x > sub/in; touch sub/made; ls sub; rm -r sub";
    let said = says(&world, script);
    assert!(said.starts_with("both\ndeep\nin\nin\ncat: sub/new: No such file or directory\n"), "{said}");
    assert!(said.contains("both\ndeep\nin\nmade\n"), "{said}");
}

#[test]
fn a_descriptor_of_a_layers_file_does_not_lead_to_it() {
    let world = world("union-descriptor", "");
    let before = host(&world);
    let script = "import os\n\
                  f = os.open('file', os.O_RDONLY); os.fchmod(f, 0o600); os.utime(f, (1, 1)); print(oct(os.stat('file').st_mode))\n\
                  d = os.open('sub', os.O_RDONLY); os.fchmod(d, 0o700); print(oct(os.stat('sub').st_mode), oct(os.fstat(d).st_mode))\n\
                  print(os.stat('sub').st_ino == os.fstat(d).st_ino)\n\
                  w = os.open(f'/proc/self/fd/{f}', os.O_WRONLY | os.O_TRUNC); os.write(w, b'mine\\n'); print(open('file').read())\n\
                  g = os.open('sub/deep', os.O_RDONLY); os.rename('sub', 'moved')\n\
                  os.fchmod(g, 0o600); print(oct(os.stat('moved/deep').st_mode)); os.rename('moved/deep', 'moved/other')\n\
                  try: os.fchmod(g, 0o640)\n\
                  except OSError as e: print(e.strerror)\n\
                  os.rename('moved/other', 'moved/deep')\n\
                  print(sorted(os.listdir('moved')), os.listxattr('moved'))\n";
    let file = world.dir.join("script.py");
    fs::write(&file, script).expect("the world is writable");
    let said = says(&world, &format!("/usr/bin/python3 {}", file.display()));
    let expected =
        "0o100600\n0o40700 0o40700\nTrue\nmine\n\n0o100600\nStale file handle\n['both', 'deep', 'new'] []\n";
    assert_eq!(said, expected);
    assert_eq!(host(&world), before);
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(world.dir.join("host").join(path)).expect("a file").permissions().mode() & 0o777
    };
    assert_eq!((mode("base/file"), mode("base/sub"), mode("base/sub/deep")), (0o644, 0o755, 0o644));
}

#[test]
fn who_watches_a_layers_file_is_told_of_what_is_made_of_it() {
    let world = world("union-watched", "");
    let before = host(&world);
    let script = "import ctypes, os, struct\n\
                  libc = ctypes.CDLL(None); w = libc.inotify_init1(os.O_NONBLOCK); libc.inotify_add_watch(w, b'file', 0xfff & ~0x31)\n\
                  open('file', 'a').write('more\\n'); os.chmod('file', 0o600); os.rename('file', 'moved'); os.unlink('moved')\n\
                  data = os.read(w, 4096); print([hex(struct.unpack('iIII', data[at:at + 16])[1]) for at in range(0, len(data), 16)])\n";
    let file = world.dir.join("script.py");
    fs::write(&file, script).expect("the world is writable");
    // IN_MODIFY, IN_CLOSE_WRITE, IN_ATTRIB, IN_MOVE_SELF, IN_ATTRIB (its links), IN_DELETE_SELF, IN_IGNORED.
    let expected = "['0x2', '0x8', '0x4', '0x800', '0x4', '0x400', '0x8000']\n";
    assert_eq!(says(&world, &format!("/usr/bin/python3 {}", file.display())), expected);
    assert_eq!(host(&world), before);
}

/// Where the kernel has the working directory of a program in the view, which changes it by lines of shell, after each.
fn working_directories(world: &World, lines: &[&str]) -> Vec<String> {
    let app = world.dir.join("app").to_string_lossy().into_owned();
    let mut command = world.in_view(Path::new("/bin/bash"));
    command.args(["-c", "while read -r line; do eval \"$line\"; echo done; done"]).current_dir("/");
    command.env("STATE_DIRECTORY", world.dir.join("state")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the launcher runs");
    let (mut to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut said = BufReader::new(from).lines();
    let places = lines.iter().map(|line| {
        writeln!(to, "{}", line.replace('@', &app)).expect("it reads");
        assert_eq!(said.next().expect("it lives").expect("text"), "done", "{line}");
        let cwd = fs::read_link(format!("/proc/{}/cwd", child.id())).expect("its own");
        let place = cwd.strip_prefix(&world.dir).unwrap_or(&cwd).to_string_lossy().into_owned();
        let below = place.rsplit_once("/upper").map(|(_, below)| format!("upper{below}"));
        below.unwrap_or(place)
    });
    let places = places.collect();
    drop(to);
    assert!(child.wait().expect("it ends").success());
    places
}

#[test]
fn the_working_directory_is_the_lowest_side_where_that_is_open_to_the_same() {
    let world = world("union-entered", "");
    for directory in ["same", "mode", "list", "low", "gone"] {
        write(world.dir.join("host/base").join(directory).join("below/file"), "x\n");
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("procfs");
    let before = host(&world);
    let list = "import os; os.setxattr(\"@/at/list\", \"system.posix_acl_access\", bytes.fromhex(\"0200000001000700ffffffff\"\
                + \"02000700e8030000\" + \"04000500ffffffff\" + \"10000700ffffffff\" + \"20000500ffffffff\"))";
    let lines = [
        &format!(
            "cd @/at; for d in same mode list gone; do touch $d/new; done; chmod 700 mode; /usr/bin/python3 -c '{list}'"
        ),
        "cd same",
        "cd ../mode",
        "cd ../list",
        "cd ../low",
        "cd below",
        "cd @/at; mv gone moved; cd moved",
        "cd ../same; mv ../same ../other; echo x > made; test $(cat ../other/made) = x; cd .",
        "ulimit -S -c unlimited; cd ../low",
    ];
    let lands = !pattern.starts_with(['/', '|']);
    let dumped = if lands { "upper/low" } else { "host/base/low" };
    let expected = [
        "host/base",
        "host/base/same",
        "upper/mode",
        "upper/list",
        "host/base/low",
        "host/base/low/below",
        "upper/moved",
        "upper/other",
        dumped,
    ];
    let found = working_directories(&world, &lines);
    assert_eq!(found.iter().map(|place| place.trim_start_matches('/')).collect::<Vec<_>>(), expected);
    assert_eq!(host(&world), before);
}

#[test]
fn a_socket_may_be_bound_in_a_union() {
    let world = world("union-socket", "");
    let script = "rm file; /usr/bin/python3 -c 'import socket\n\
                  s = socket.socket(socket.AF_UNIX); s.bind(\"file\"); s.listen(); print(s.getsockname())\n\
                  c = socket.socket(socket.AF_UNIX); c.connect(\"@/at/file\")\n\
                  try: socket.socket(socket.AF_UNIX).bind(\"@/at/sub/deep\")\n\
                  except OSError as e: print(e.strerror)'";
    assert_eq!(says(&world, script), "file\nAddress already in use\n");
}

#[test]
fn one_write_layer_is_not_for_two_starts() {
    let first = world("union-claim", "");
    let mut sleeper = first.in_view(Path::new("/bin/sleep"));
    sleeper.arg("60").env("STATE_DIRECTORY", first.dir.join("state")).current_dir("/");
    let mut sleeper = sleeper.spawn().expect("the launcher runs");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut again = first.in_view(Path::new("/bin/true"));
    let again = transcript(&feed(again.env("STATE_DIRECTORY", first.dir.join("state")), b""));
    let other = first.dir.join("other.toml");
    fs::write(
        &other,
        first.policy() + "\n[env]\nset = { A = \"b\" }\n[[mount]]\nat = \"/opt/x\"\nkind = \"hidden\"\n",
    )
    .expect("the world is writable");
    let mut second = Command::new(launcher());
    second.arg("--policy").arg(&other).arg("/bin/true").env("STATE_DIRECTORY", first.dir.join("state"));
    let said = transcript(&feed(second.env_remove("XDG_RUNTIME_DIR"), b""));
    sleeper.kill().and_then(|()| sleeper.wait()).expect("the sleeper ends");
    for said in [again, said] {
        assert!(said.contains("runs already, as process ") && said.contains("--name"), "{said}");
    }
}

#[test]
fn a_union_may_have_two_hundred_layers() {
    let fill = |dir: &Path| {
        for layer in 0..200 {
            write(dir.join(format!("host/{layer}/own-{layer}")), "own\n");
            write(dir.join(format!("host/{layer}/d/all")), &format!("{layer}\n"));
            write(dir.join(format!("host/{layer}/d/{}", layer % 7)), &format!("{layer}\n"));
        }
        fs::create_dir_all(dir.join("app/at")).expect("a fresh tree");
    };
    let names: Vec<String> = (0..200).map(|layer| format!("\"host/{layer}\"")).collect();
    let policy = |names: &[String]| {
        format!("app.name = \"union-many\"\n[[mount]]\nat = \"@/at\"\nlayers = [{}]\n", names.join(", "))
    };
    let world = World::new("union-many", &[], fill).saying(&policy(&names));
    let script = "ls | wc -l; cat own-0 own-70 own-199 d/all d/0 d/6; ls d | tr '\\n' ' '; rm own-130 d/all; echo new > d/3; mv d e; \
                  ls | wc -l; cat e/3 e/4; ls e | tr '\\n' ' '";
    let expected = "201\nown\nown\nown\n199\n196\n195\n0 1 2 3 4 5 6 all 200\nnew\n193\n0 1 2 3 4 5 6 ";
    assert_eq!(says(&world, script), expected);
    let many: Vec<String> = names.iter().chain(&names).cloned().collect();
    let world = world.saying(&policy(&many));
    let mut check = Command::new(launcher());
    let said = transcript(&feed(check.args(["check", "--policy"]).arg(world.policy_file()), b""));
    assert!(said.contains("a union of 400 layers") && said.contains("1 to 254 directories"), "{said}");
}

#[test]
fn names_of_whiteouts_in_archives_are_names_as_any_other() {
    let world = world("union-wh", "");
    write(world.dir.join("host/patches/.wh.file"), "a name\n");
    write(world.dir.join("host/patches/sub/.wh..wh..opq"), "another\n");
    let script = "cat file .wh.file sub/.wh..wh..opq; ls -A . sub | tr '\\n' ' '; echo x > .wh.made; rm .wh.file; mv .wh.made sub/.wh.both; ls -A . sub | tr '\\n' ' '";
    let expected = "base\na name\nanother\n.: .wh.file file sub  sub: .wh..wh..opq both deep new .: file sub  sub: .wh..wh..opq .wh.both both deep new ";
    assert_eq!(says(&world, script), expected);
}

#[test]
fn explain_says_which_layer_has_a_file() {
    let world = world("union-explain", "");
    says(&world, "echo mine > file; rm sub/deep");
    let mut command = Command::new(launcher());
    command.arg("explain").arg("--policy").arg(world.policy_file());
    for file in ["file", "sub/both", "sub/deep", "none"] {
        command.arg(world.dir.join("app/at").join(file));
    }
    command.env("STATE_DIRECTORY", world.dir.join("state")).env_remove("XDG_RUNTIME_DIR");
    let said = transcript(&feed(&mut command, b""));
    for expected in
        ["from the write layer", "from layer 2 of 3", "nothing: no layer has it", "read      ENOENT"]
    {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The calls on a path that a program makes under strace between two calls of getppid(2).
fn counted(world: &World, script: &str) -> Vec<usize> {
    let file = world.dir.join("script.py");
    fs::write(&file, format!("import os\n{script}")).expect("the world is writable");
    let table = world.dir.join("table");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&table).arg(launcher()).arg("--policy").arg(world.policy_file());
    command.arg("/usr/bin/python3").arg(&file).current_dir(world.dir.join("app"));
    // Where a string lies hangs on the environment; one just before a page's end costs a look more.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("STATE_DIRECTORY", world.dir.join("state"));
    let said = transcript(&feed(&mut command, b""));
    assert!(said.contains("exit status: 0"), "{said}");
    let lines = fs::read_to_string(&table).expect("a table");
    let mut counts = Vec::new();
    let mut count = None;
    let mut trapped = false;
    for line in lines.lines() {
        if line.starts_with("--- SIGSYS") {
            trapped = true;
        } else if line.starts_with("getppid") {
            counts.extend(count.replace(0));
        } else if let Some(count) = &mut count {
            *count +=
                usize::from(line.contains("/at/") || line.contains("host/") || line.contains("/upper/"));
            // A call that traps is shown twice.
            if line.starts_with("rt_sigreturn") && trapped {
                *count = count.saturating_sub(1);
            }
            trapped = false;
        }
    }
    counts
}

#[test]
fn a_file_costs_a_call_and_one_more_at_the_most() {
    let world = world("union-cost", "");
    let at = world.dir.join("app/at").to_string_lossy().into_owned();
    let script = "\
        def look(path): os.stat(path); os.close(os.open(path, 0))\n\
        for path in ['@/sub/deep', '@/other/x']:\n\
        \x20   look(path)\n\
        os.getppid(); os.stat('@/other/x'); os.getppid(); os.close(os.open('@/other/x', 0)); os.getppid()\n\
        os.close(os.open('@/other/new', os.O_CREAT | os.O_WRONLY)); look('@/other/x')\n\
        os.getppid(); os.stat('@/other/x'); os.getppid(); os.close(os.open('@/other/x', 0)); os.getppid()\n\
        os.stat('@/other/new'); os.getppid()\n";
    write(world.dir.join("host/base/other/x"), "x\n");
    let counts = counted(&world, &script.replace('@', &at));
    // Alone in the lowest layer; what is between; beside a file of the write layer; that one.
    let [stat, open, _, beside, beside_open, own] = counts[..] else { panic!("{counts:?}") };
    assert_eq!((stat, open), (1, 1), "{counts:?}");
    assert!(beside <= 2 && beside_open <= 2 && own == 1, "{counts:?}");
}
