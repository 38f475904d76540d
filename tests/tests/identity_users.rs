//! The users and groups of a policy: libc and all that asks it knows them, and
//! no others. The oracle is libc itself, where the kernel has the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::symbols::MUSL;
use tests::{World, assert_same, compiled, compiled_by, feed, is_root, program, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];

const USERS: &str = r#"
[identity]
users = [
  { name = "oracle", uid = 54321, comment = "Oracle, Inc.", home = "/home/oracle", shell = "/bin/bash" },
  { name = "grid", uid = 54322, gid = 54321 },
  { name = "web-1", uid = 33 },
]
groups = [
  { name = "dba", gid = 54322, members = ["oracle", "grid"] },
  { name = "oinstall", gid = 54321, members = ["grid"] },
  { name = "backup", gid = 54323, members = ["root", "oracle", "web-1"] },
]
"#;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
oracle:x:54321:54321:Oracle, Inc.:/home/oracle:/bin/bash
grid:x:54322:54321::/:/bin/sh
web-1:x:33:33::/:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "root:x:0:
dba:x:54322:oracle,grid
oinstall:x:54321:grid
backup:x:54323:root,oracle,web-1
web-1:x:33:
nogroup:x:65534:
";

const ASKED: [&str; 12] =
    ["root", "oracle", "grid", "dba", "nobody", "scott", "", "+", "0", "54321", "65534", "1000"];

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn machine(name: &str, door: &str, identity: &str) -> World {
    World::new(&format!("users-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n{identity}"))
}

/// What a program prints where the kernel has the files, as a user.
fn natively(world: &World, probe: &Path, uid: u32) -> String {
    let files = world.dir.join("files");
    let script = "set -e; mount --make-rprivate /; cd \"$1\"; shift
        for file in passwd group shadow gshadow nsswitch.conf; do mount --bind $file /etc/$file; done
        exec setpriv --reuid \"$1\" --regid \"$1\" --clear-groups -- \"$2\" \"${@:3}\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "bash", "-c", script, "bash"]).arg(files).arg(uid.to_string());
    command.arg(probe).args(ASKED).current_dir("/");
    transcript(&feed(&mut command, b""))
}

/// Copies the view's files for the kernel to have.
fn take_files(world: &World) {
    let files = world.dir.join("files");
    let script = format!(
        "umask 0; cd /etc; for f in passwd group shadow gshadow nsswitch.conf; do cat $f > {0}/$f; chmod --reference=$f {0}/$f; done",
        files.display()
    );
    std::fs::create_dir_all(files).expect("the world is writable");
    let said = world.view_says("/bin/sh", &["-c", &script]);
    assert_eq!(said, "--- standard error\n--- exit status: 0\n");
}

fn same_as_natively(probes: &[(PathBuf, &[&str])]) {
    if !is_root() {
        eprintln!("not root, so libc cannot be given the files");
        return;
    }
    for (probe, doors) in probes {
        for uid in [0, 33] {
            for door in *doors {
                let name = probe.file_name().expect("a file").to_string_lossy();
                let world = machine(&name, door, USERS);
                take_files(&world);
                let expected = natively(&world, probe, uid);
                assert!(expected.ends_with("exit status: 0\n"), "{expected}");
                let mut command = world.in_view(Path::new("/usr/bin/setpriv"));
                let uid = uid.to_string();
                command
                    .args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"])
                    .arg(probe)
                    .args(ASKED);
                let found = transcript(&feed(command.current_dir("/"), b""));
                assert_same("libc", &expected, door, &found);
            }
        }
    }
}

#[test]
fn every_way_of_asking_for_users_has_libcs_answer() {
    same_as_natively(&[(program("users"), &DOORS)]);
}

#[test]
fn a_program_of_musl_is_told_the_same() {
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    same_as_natively(&[
        (compiled_by("musl-gcc", "users", &[], "users-musl"), &DOORS),
        (compiled_by("musl-gcc", "users", &["-static"], "users-musl-static"), &["gate"]),
    ]);
}

#[test]
fn a_static_program_of_glibc_is_told_the_same() {
    same_as_natively(&[(compiled("users", &["-static"], "users-static"), &["gate"])]);
}

#[test]
fn the_files_are_whole_and_only_root_reads_the_secret_ones() {
    for door in DOORS {
        let world = machine("files", door, USERS);
        let said = world.view_says("/bin/sh", &["-c", "cat /etc/passwd; stat -c '%a %n' /etc/passwd /etc/group /etc/shadow /etc/gshadow; cat /etc/group"]);
        let modes = "644 /etc/passwd\n644 /etc/group\n640 /etc/shadow\n640 /etc/gshadow\n";
        assert_eq!(said, format!("{PASSWD}{modes}{GROUP}--- standard error\n--- exit status: 0\n"));
        if is_root() {
            let said = world.view_says(
                "/usr/bin/setpriv",
                &["--reuid", "33", "--regid", "33", "--clear-groups", "--", "cat", "/etc/shadow"],
            );
            assert!(said.contains("/etc/shadow: Permission denied"), "{said}");
        }
    }
}

#[test]
fn programs_agree_about_users() {
    let script = r#"
        cd "$1"; : > file; chown 54321:54322 file; : > other; chown 1000:1000 other
        ls -l file other | awk '{ print $3, $4 }'; stat -c '%U %G' file; find file -user oracle -group dba
        id oracle; id -Gn grid; echo ~oracle ~web-1; getent passwd | cut -d: -f1 | tr '\n' ' '; getent group dba; id games
        python3 -c 'import pwd, grp, os; print(pwd.getpwnam("oracle").pw_dir, pwd.getpwuid(33).pw_name, [g.gr_name for g in grp.getgrall() if "oracle" in g.gr_mem], os.path.expanduser("~oracle"))'
        perl -e 'print join(" ", (getpwnam("oracle"))[0,2,3,7,8], scalar getgrgid(54322), scalar getpwuid(54321)), "\n"; setpwent; while ($n = getpwent) { print "$n " } print "\n"'
        tar cf - file | tar tvf - | cut -d' ' -f2
        setpriv --reuid 54321 --regid 54321 --init-groups -- id
        setpriv --reuid 54321 --regid 54321 --init-groups -- node -e 'const u = require("os").userInfo(); console.log(u.username, u.homedir, u.shell)'
        setpriv --reuid 54321 --regid 54321 --init-groups -- java -XX:TieredStopAtLevel=1 -XshowSettings:properties -version 2>&1 | sed -n 's/^ *user\.\(name\|home\) = //p'
        setpriv --reuid 54321 --regid 54321 --init-groups -- sh -c 'whoami; bash -c "echo \u"'
    "#;
    if !is_root() {
        return;
    }
    let expected = "oracle dba
1000 1000
oracle dba
file
uid=54321(oracle) gid=54321(oinstall) groups=54321(oinstall),54322(dba),54323(backup)
oinstall dba
/home/oracle /
root oracle grid web-1 nobody dba:x:54322:oracle,grid
/home/oracle web-1 ['dba', 'backup'] /home/oracle
oracle 54321 54321 /home/oracle /bin/bash dba oracle
root oracle grid web-1 nobody 
oracle/dba
uid=54321(oracle) gid=54321(oinstall) groups=54321(oinstall),54322(dba),54323(backup)
oracle /home/oracle /bin/bash
/home/oracle
oracle
oracle
u
--- standard error
id: \u{2018}games\u{2019}: no such user
--- exit status: 0
";
    for door in DOORS {
        let world = machine("programs", door, USERS);
        let dir = world.dir.to_string_lossy().into_owned();
        let said = world.view_says("/bin/bash", &["-c", script, "bash", &dir]);
        assert_same("the policy", expected, door, &said);
    }
}

#[test]
fn an_application_runs_as_a_user_of_its_own() {
    if !is_root() {
        return;
    }
    for door in DOORS {
        let world = machine("runs-as", door, &format!("app.user = \"oracle\"\n{USERS}"));
        let said = world.view_says("/usr/bin/id", &[]);
        let expected =
            "uid=54321(oracle) gid=54321(oinstall) groups=54321(oinstall),54322(dba),54323(backup)\n";
        assert_eq!(said, format!("{expected}--- standard error\n--- exit status: 0\n"));
    }
}

#[test]
fn files_of_users_that_the_view_has_otherwise_are_read_too() {
    if !is_root() {
        return;
    }
    // More users than a page holds, and one line that is longer than one.
    let members: Vec<String> = (0..2000).map(|number| format!("user{number}")).collect();
    let users: String =
        members.iter().zip(5000..).map(|(name, id)| format!("{name}:x:{id}:{id}::/:/bin/sh\n")).collect();
    let groups = format!("all:x:4999:{}\nlast:x:4998:user7\n", members.join(","));
    for door in DOORS {
        let world = World::new(&format!("users-mounted-{door}"), &[], fill);
        write(world.dir.join("passwd"), &users);
        write(world.dir.join("group"), &groups);
        let mount = |name| format!("[[mount]]\nat = \"/etc/{name}\"\nsource = \"{name}\"\n");
        let world =
            world.saying(&format!("coverage.door = \"{door}\"\n{}{}", mount("passwd"), mount("group")));
        let script =
            "id user1999; id -G user7; getent group all | wc -c; getent passwd user0; getent passwd | wc -l";
        let said = world.view_says("/bin/sh", &["-c", script]);
        let expected = format!(
            "uid=6999(user1999) gid=6999 groups=6999,4999(all)\n5007 4999 4998\n{}\nuser0:x:5000:5000::/:/bin/sh\n2000\n",
            groups.lines().next().map_or(0, str::len) + 1
        );
        assert_eq!(said, format!("{expected}--- standard error\n--- exit status: 0\n"));
    }
}

#[test]
fn no_cache_of_the_hosts_is_asked_for_users() {
    if !is_root() {
        return;
    }
    // A host with a cache of names, which says of every question that it has been asked.
    let cache = r#"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind("/run/nscd/socket"); listener.listen(9)
if os.fork(): sys.exit()
os.close(1); os.close(2)
while True:
    listener.accept()[0].close()
    open("/run/nscd/asked", "a").write("asked\n")
"#;
    let script =
        "set -e; mount --make-rprivate /; mount -t tmpfs none /run; mkdir /run/nscd; python3 -c \"$1\"; shift
        \"$@\" | head -n 2; sleep 0.2; if [ -e /run/nscd/asked ]; then echo asked; fi; ls /run";
    let run = |inner: &Command| {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
            "bash",
            "-c",
            script,
            "bash",
            cache,
        ]);
        command.arg(inner.get_program()).args(inner.get_args()).arg("root").current_dir("/");
        transcript(&feed(&mut command, b""))
    };
    let probe = program("users");
    let natively = run(&Command::new(&probe));
    assert!(natively.contains("asked\nnscd\n"), "{natively}");
    for door in DOORS {
        let world = machine("cache", door, USERS);
        let said = run(&world.in_view(&probe));
        assert!(said.contains("getpwnam: root:x:0:0:root") && !said.contains("asked"), "{said}");
    }
}
