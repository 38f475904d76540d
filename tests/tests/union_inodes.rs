//! A file in a union keeps its inode number when it gets its copy, whoever asks and in whichever way,
//! from one start to the next.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tests::{World, feed, is_root, transcript, write};

fn fill(dir: &Path) {
    for file in ["base/d/file", "base/d/other", "base/d/sub/deep", "base/d/locked", "patches/d/sub/new"] {
        write(dir.join("host").join(file), "text\n");
    }
    let base = dir.join("host/base/d");
    fs::hard_link(base.join("other"), base.join("twin")).expect("a fresh tree");
    symlink("file", base.join("link")).expect("a fresh tree");
    let made = Command::new("mkfifo").arg(base.join("fifo")).status().expect("coreutils");
    assert!(made.success());
    fs::create_dir_all(dir.join("app/at")).expect("a fresh tree");
}

/// Tells what each name is known by: by stat(2), statx(2), fstat(2) and the listing, in all of which
/// it must be the same.
const LOOK: &str = "
import os, subprocess, sys
def known(top='.'):
    found = {}
    for at, dirs, files in os.walk(top):
        listed = {entry.name: entry.inode() for entry in os.scandir(at)}
        for name in dirs + files:
            path = os.path.normpath(os.path.join(at, name))
            stat = os.lstat(path)
            ids = {(stat.st_dev, stat.st_ino)}
            if os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):
                fd = os.open(path, os.O_RDONLY)
                ids |= {(os.fstat(fd).st_dev, os.fstat(fd).st_ino)}
                os.close(fd)
            by_listing = listed[name] == stat.st_ino
            if len(ids) != 1 or not by_listing:
                print('not one number:', path, ids, listed[name])
            found[path] = stat.st_ino
    if found:
        names = sorted(found)
        said = subprocess.run(['stat', '-c', '%i', *names], capture_output=True, text=True).stdout.split()
        if said != [str(found[name]) for name in names]:
            print('statx says otherwise:', said, found)
    return found
";

fn python(world: &World, policy: &Path, script: &str) -> String {
    let file = world.dir.join("script.py");
    fs::write(&file, format!("{LOOK}{script}")).expect("the world is writable");
    let mut command = Command::new(tests::launcher());
    command.arg("--policy").arg(policy).arg("/usr/bin/python3").arg(&file);
    command.env("STATE_DIRECTORY", world.dir.join("state")).env("LC_ALL", "C.UTF-8");
    command.env_remove("XDG_RUNTIME_DIR").current_dir("/");
    transcript(&feed(&mut command, b""))
}

#[test]
fn a_copy_has_the_inode_number_of_what_it_is_a_copy_of() {
    for door in ["shim", "gate"] {
        let name = format!("union-inodes-{door}");
        let layers = "[[mount]]\nat = \"@/at\"\nlayers = [\"host/base\", \"host/patches\"]";
        let head = format!("app.name = \"{name}\"\ncoverage.door = \"{door}\"\n{layers}\n");
        let world = World::new(&name, &[], fill).saying(&head);
        let at = world.dir.join("app/at");
        let saved = world.dir.join("before");
        let script = format!(
            "
os.chdir('{at}/d')
before = known()
fd = os.open('locked', os.O_RDONLY)
open('file', 'a').write('more')
os.chmod('locked', 0o600)
os.chown('link', -1, -1, follow_symlinks=False)
os.utime('link', (1, 1), follow_symlinks=False)
os.utime('fifo', (1, 1))
os.rename('sub', 'moved')
open('moved/deep', 'r+').write('new')
open('twin', 'a').write('mine')
os.link('file', 'again')
open('fresh', 'w').close()
after = known()
print('descriptor', os.fstat(fd).st_ino == after['locked'])
new = os.open('locked', os.O_RDWR)
print('a new one', os.fstat(new).st_ino == before['locked'])
for name in ['file', 'locked', 'link', 'fifo', 'other']:
    if before[name] != after[name]:
        print('changed:', name)
for old, new in [('sub', 'moved'), ('sub/deep', 'moved/deep'), ('sub/new', 'moved/new'), ('file', 'again')]:
    if before[old] != after[new]:
        print('changed:', old, new)
# The other name of one file is another file now.
print('twins', before['twin'] == before['other'], after['twin'] == after['other'])
print('numbers', len(set(after.values())), len(after))
os.unlink('file')
print('the other name', os.stat('again').st_ino == before['file'], os.stat('again').st_nlink)
import json
after = known()
json.dump(after, open('{saved}', 'w'))
",
            at = at.display(),
            saved = saved.display()
        );
        let expected = "descriptor True\na new one True\ntwins True False\nnumbers 10 11\nthe other name True 1\n--- standard error\n--- exit status: 0\n";
        assert_eq!(python(&world, &world.policy_file(), &script), expected, "{door}");
        // In the next start, and in one whose view is made anew.
        let again = format!(
            "
import json
os.chdir('{at}/d')
print(known() == json.load(open('{saved}')))
",
            at = at.display(),
            saved = saved.display()
        );
        let expected = "True\n--- standard error\n--- exit status: 0\n";
        assert_eq!(python(&world, &world.policy_file(), &again), expected, "{door}");
        let other = world.dir.join("other.toml");
        let text = format!("{}\n[env]\nset = {{ ANEW = \"1\" }}\n", world.policy());
        fs::write(&other, text).expect("the world is writable");
        assert_eq!(python(&world, &other, &again), expected, "{door}, anew");
    }
}

#[test]
fn one_who_plays_root_has_them_too() {
    if !is_root() {
        return;
    }
    let head = "app.name = \"union-inodes-plays\"\nidentity.run_as = \"root\"\n[[mount]]\nat = \"@/at\"\nlayers = [\"host/base\", \"host/patches\"]\n";
    let world = World::new("union-inodes-plays", &[], fill).saying(head).as_user(1234);
    let script = format!(
        "
os.chdir('{}/d')
before = known()
os.chown('file', 33, 33)
os.chown('link', 33, 33, follow_symlinks=False)
os.chown('sub', 33, 33)
after = known()
print(before == after, os.stat('file').st_uid, os.lstat('link').st_uid, os.stat('sub').st_uid)
",
        world.dir.join("app/at").display()
    );
    let file = world.dir.join("script.py");
    fs::write(&file, format!("{LOOK}{script}")).expect("the world is writable");
    let mut command = world.in_view(Path::new("/usr/bin/python3"));
    command.arg(&file).env("STATE_DIRECTORY", world.dir.join("state")).current_dir("/");
    let said = transcript(&feed(&mut command, b""));
    assert_eq!(said, "True 33 33 33\n--- standard error\n--- exit status: 0\n");
}
