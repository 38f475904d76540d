//! The kinds of mounts, and how a policy may spell where they stand.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tests::{World, link, write};

fn world(name: &str, policy: &str) -> World {
    let fill = |dir: &Path| {
        write(dir.join("host/tree/file"), "tree\n");
        write(dir.join("host/tree/sub/deep"), "deep\n");
        write(dir.join("host/other/file"), "other\n");
        write(dir.join("app/own/file"), "own\n");
        write(dir.join("app/own/sub/deep"), "own deep\n");
        link("own", dir.join("app/linked"));
        link(dir.join("app/own/sub"), dir.join("app/far"));
        fs::create_dir_all(dir.join("home")).expect("a fresh tree");
    };
    World::new(name, &[], fill).saying(policy)
}

fn says(world: &World, script: &str) -> String {
    let said = world.view_says("/bin/bash", &["-c", &format!("exec 2>&1; cd @; {script}")]);
    let app = world.dir.join("app");
    said.split("--- standard error").next().unwrap_or_default().replace(&*app.to_string_lossy(), "@")
}

#[test]
fn content_is_a_file() {
    let world = world(
        "content",
        "[[mount]]\nat = \"@/etc/shop.conf\"\ncontent = \"port=9000\\n\"\n\
         [[mount]]\nat = \"@/own/file\"\ncontent = \"replaced\\n\"\nmode = \"0600\"\n\
         [[mount]]\nat = \"@/empty.conf\"\ncontent = \"\"",
    );
    let script = "cat etc/shop.conf own/file; ls . etc own; stat -c '%a %s %F' etc/shop.conf own/file empty.conf; \
                  echo x > etc/shop.conf; rm own/file; mv etc/shop.conf x; cat etc/shop.conf";
    let expected = "port=9000\nreplaced\n.:\nempty.conf\netc\nfar\nlinked\nown\n\netc:\nshop.conf\n\nown:\nfile\nsub\n\
                    644 10 regular file\n600 9 regular file\n644 0 regular empty file\n";
    let said = says(&world, script);
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("shop.conf: Read-only file system"), "{said}");
    assert!(said.contains("cannot remove 'own/file': ") && said.contains("mv: cannot"), "{said}");
    assert!(said.ends_with("port=9000\n"), "{said}");
    assert!(fs::read_to_string(world.dir.join("app/own/file")).is_ok_and(|text| text == "own\n"));
}

#[test]
fn an_empty_directory_is_private_to_the_run() {
    let world = world(
        "empty",
        "[[mount]]\nat = \"@/own\"\nkind = \"empty\"\n[[mount]]\nat = \"@/own/sub/in\"\ncontent = \"in\"",
    );
    let script = "ls -A own own/sub; echo mine > own/made; mkdir own/dir; sh -c 'cat own/made'; mv own/made own/dir/x; ls own";
    let expected = "own:\nsub\n\nown/sub:\nin\nmine\ndir\nsub\n";
    for _ in 0..2 {
        assert_eq!(says(&world, script), expected);
    }
    assert!(world.dir.join("app/own/file").exists() && !world.dir.join("app/own/made").exists());
}

#[test]
fn a_scratch_directory_may_be_anybodys() {
    let world = world("sticky", "[[mount]]\nat = \"@/tmp\"\nkind = \"empty\"\nmode = \"1777\"");
    assert_eq!(
        says(&world, "stat -c '%A' tmp; TMPDIR=$PWD/tmp mktemp -u XXX >/dev/null && echo ok"),
        "drwxrwxrwt\nok\n"
    );
}

#[test]
fn hidden_is_enoent_and_denied_is_eacces() {
    let world = world(
        "denied",
        "[[mount]]\nat = \"@/own/file\"\nkind = \"hidden\"\n[[mount]]\nat = \"@/own/sub\"\nkind = \"denied\"",
    );
    let said = says(
        &world,
        "ls own; cat own/file; cat own/sub/deep; ls own/sub; stat own/file; cat linked/file; cat far/deep; echo x > own/sub/new; rm -r own/sub; echo x > own/file",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.first(), Some(&"sub"), "{said}");
    assert_eq!(said.matches("No such file or directory").count(), 3, "{said}");
    assert!(said.matches("Permission denied").count() >= 4, "{said}");
    assert!(world.dir.join("app/own/sub/deep").exists() && world.dir.join("app/own/file").exists());
    assert!(fs::read_to_string(world.dir.join("app/own/file")).is_ok_and(|text| text == "own\n"), "{said}");
}

#[test]
fn the_longest_prefix_by_whole_components_wins() {
    let world = world(
        "nested",
        "[[mount]]\nat = \"@/a\"\nsource = \"host/tree\"\naccess = \"read-write\"\n\
         [[mount]]\nat = \"@/a/sub\"\nsource = \"host/other\"\n\
         [[mount]]\nat = \"@/a/sub/x/y/z\"\ncontent = \"z\\n\"\n\
         [[mount]]\nat = \"@/ab\"\ncontent = \"ab\\n\"",
    );
    let said = says(
        &world,
        "cat a/file a/sub/file a/sub/x/y/z ab; ls a a/sub a/sub/x; cat a/sub/../file; ls -d a*; echo n > a/new; echo n > a/sub/new",
    );
    let expected = "tree\nother\nz\nab\na:\nfile\nsub\n\na/sub:\nfile\nx\n\na/sub/x:\ny\ntree\na\nab\n";
    assert!(said.starts_with(expected) && said.contains("a/sub/new: Read-only file system"), "{said}");
    assert!(world.dir.join("host/tree/new").exists());
}

#[test]
fn a_mount_behind_a_link_of_the_host_works_however_it_is_spelled() {
    let world = world(
        "behind",
        "[[mount]]\nat = \"@/linked/conf\"\ncontent = \"behind\\n\"\n[[mount]]\nat = \"@/far/more\"\nsource = \"host/tree\"",
    );
    let said = says(
        &world,
        "cat linked/conf own/conf own/sub/more/file far/more/file linked/sub/more/file; ls own linked/ far/; cat own/sub/../conf far/../conf; realpath linked/conf far/more/file",
    );
    let expected = "behind\nbehind\ntree\ntree\ntree\nfar/:\ndeep\nmore\n\nlinked/:\nconf\nfile\nsub\n\nown:\nconf\nfile\nsub\nbehind\nbehind\n@/own/conf\n@/own/sub/more/file\n";
    assert_eq!(said, expected);
}

#[test]
fn the_hosts_own_links_are_no_obstacle() {
    let policy = "[[mount]]\nat = \"/var/run/launcher-test/app.pid\"\ncontent = \"1\\n\"\n\
                  [[mount]]\nat = \"/bin/launcher-test-tool\"\ncontent = \"#!/bin/sh\\necho tool\\n\"\nmode = \"0755\"\n\
                  [[mount]]\nat = \"/lib/launcher-test\"\nkind = \"empty\"";
    let said = says(
        &world("host-links", policy),
        "cat /run/launcher-test/app.pid /var/run/launcher-test/app.pid; launcher-test-tool; /usr/bin/launcher-test-tool; \
         ls -d /lib/launcher-test /usr/lib/launcher-test; ls /run | grep -x launcher-test; ls /bin | grep -x launcher-test-tool",
    );
    let expected =
        "1\n1\ntool\ntool\n/lib/launcher-test\n/usr/lib/launcher-test\nlauncher-test\nlauncher-test-tool\n";
    assert_eq!(said, expected);
}

#[test]
fn values_come_from_the_environment_of_the_launcher() {
    let world = world(
        "variables",
        "[app]\nworkdir = \"@/own\"\n[env]\nset = { SET = \"by ${SHELL_NAME:-nobody}\" }\nunset = [\"GONE\"]\n\
         [[mount]]\nat = \"@/conf\"\ncontent = \"home=${HOME_DIR:-none}\\n\"\n\
         [[mount]]\nat = \"@/missing\"\nsource = \"host/nowhere\"\noptional = true",
    );
    let app = world.dir.join("app").display().to_string();
    let mut command = world.in_view(Path::new("/bin/sh"));
    command
        .args(["-c", &format!("pwd; cat {app}/conf; echo \"$SET ${{GONE-gone}}\"; ls {app}/missing 2>&1")]);
    command.env("SHELL_NAME", "test").env("GONE", "still here").env("HOME_DIR", "/h").current_dir("/");
    let said = tests::transcript(&tests::feed(&mut command, b"")).replace(&app, "@");
    let expected = "@/own\nhome=/h\nby test gone\nls: cannot access '@/missing': No such file or directory\n";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn two_instances_of_one_program_see_different_files_at_the_same_time() {
    let north = world("north", "[[mount]]\nat = \"/etc/launcher-test\"\ncontent = \"north\\n\"");
    let south = world("south", "[[mount]]\nat = \"/etc/launcher-test\"\ncontent = \"south\\n\"");
    let script = "read line < /etc/launcher-test; sleep 0.2; cat /etc/launcher-test; echo $line";
    let run = |world: &World| {
        tests::transcript(&tests::feed(world.in_view(Path::new("/bin/sh")).args(["-c", script]), b""))
    };
    let both = std::thread::scope(|scope| {
        let threads = [scope.spawn(|| run(&north)), scope.spawn(|| run(&south))];
        threads.map(|thread| thread.join().unwrap_or_default())
    });
    assert!(both[0].starts_with("north\nnorth\n") && both[1].starts_with("south\nsouth\n"), "{both:?}");
    assert!(!Path::new("/etc/launcher-test").exists());
}

#[test]
fn a_link_is_never_taken_for_a_directory_of_a_like_name() {
    let world = world("alike", "[[mount]]\nat = \"@/own\"\nsource = \"@/../host/alike\"");
    let (tree, app) = (world.dir.join("host/alike"), world.dir.join("app/own"));
    // What a link leads to is the mount's in the view, and the host's for who follows it unseen.
    write(tree.join("real/file"), "right\n");
    write(app.join("real/file"), "wrong\n");
    for name in (1..=16).map(|len| "d".repeat(len)) {
        for letter in 'a'..='t' {
            write(tree.join(&name).join(letter.to_string()).join("file"), "plain\n");
            link(app.join("real"), tree.join(format!("{name}_{letter}")));
        }
    }
    let script = r#"python3 -c '
import collections, os
names = ["d" * length for length in range(1, 17)]
letters = "abcdefghijklmnopqrst"
seen = collections.Counter()
for name in names:
    for turn in range(2):
        for letter in letters:
            os.stat(f"own/{name}/{letter}/file")
            seen[open(f"own/{name}/{letter}/file").read()] += 1
    for letter in letters:
        path = f"own/{name}_{letter}/file"
        seen[open(path).read()] += 1
        seen[os.stat(path).st_ino == os.stat("own/real/file").st_ino] += 1
print(sorted(seen.items(), key=str))'"#;
    assert_eq!(says(&world, script), "[('plain\\n', 640), ('right\\n', 320), (True, 320)]\n");
}

/// A directory's count of links is kept until it is changed: the host makes and takes away, beside the program, what is mounted in it.
#[test]
fn the_count_of_links_follows_what_the_host_does_in_a_directory_that_mounts_stand_in() {
    let world = world(
        "links-follow",
        "[[mount]]\nat = \"@/late\"\nsource = \"@/../host/tree\"\n[[mount]]\nat = \"@/gone\"\nkind = \"hidden\"",
    );
    let app = world.dir.join("app");
    let script = r#"
import os, sys
for line in sys.stdin:
    names = os.listdir(sys.argv[1])
    directories = [name for name in names if os.path.isdir(sys.argv[1] + "/" + name) and not os.path.islink(sys.argv[1] + "/" + name)]
    print(os.stat(sys.argv[1]).st_nlink - 2, len(directories), *sorted(directories), flush=True)
"#;
    let mut command = world.in_view(Path::new("/usr/bin/python3"));
    command.args(["-c", script]).arg(&app).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is installed");
    let (mut to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut from = BufReader::new(from).lines();
    let mut said = || {
        to.write_all(b"\n").expect("it reads");
        from.next().expect("it says a line").expect("it is text")
    };
    let make = |name: &str| fs::create_dir(app.join(name)).expect("ours");
    let take_away = |name: &str| fs::remove_dir(app.join(name)).expect("ours");
    assert_eq!(said(), "2 2 late own");
    // It is kept once the directory's last change is three seconds ago.
    let changed = fs::metadata(&app).expect("ours").ctime();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than that").as_secs();
    while now().cast_signed() <= changed + 3 {
        std::thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..2 {
        assert_eq!(said(), "2 2 late own");
    }
    make("late");
    assert_eq!(said(), "2 2 late own");
    make("gone");
    assert_eq!(said(), "2 2 late own");
    make("more");
    assert_eq!(said(), "3 3 late more own");
    take_away("late");
    assert_eq!(said(), "3 3 late more own");
    take_away("gone");
    take_away("more");
    assert_eq!(said(), "2 2 late own");
    drop(to);
    assert!(child.wait().expect("our own child").success());
}
