//! The whole set of coreutils, in a directory that exists only in the view.
//!
//! The scripts name every program of the package; a test holds them to that.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{Mount, World, link, read_only, read_write, write};

const MOUNTS: &[Mount] =
    &[read_write("work", "data"), read_only("ro", "fixed"), read_only("work/words.txt", "words")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/fruit"), "pear\napple\nfig\napple\n");
    write(host.join("data/numbers"), "3 three\n1 one\n2 two\n");
    write(host.join("data/deep/er/leaf"), "leaf\n");
    write(host.join("data/words.txt"), "");
    write(host.join("fixed/fruit"), "apple\nkiwi\n");
    write(host.join("words"), "the quick brown fox\njumps over the lazy dog\n");
    link("fruit", host.join("data/to-fruit"));
    link("/nowhere", host.join("data/dangling"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

const READING: &str = r#"
cd "$APP/work"
for file in fruit words.txt to-fruit deep/er/leaf ../ro/fruit "$APP/ro/fruit" missing dangling; do
    for tool in cat tac nl wc head tail sum cksum md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum \
            base32 base64 od sort uniq fold fmt expand unexpand pr ptx shuf; do
        case $tool in
        shuf) run shuf --random-source="$APP/work/words.txt" "$file" ;;
        pr) run pr -t "$file" ;;
        *) run $tool "$file" ;;
        esac
    done
    run basenc --base16 "$file"
    run cut -c 1-2 "$file"
    run comm fruit "$file"
    run numfmt --field=1 --invalid=ignore --to=si < fruit
    run tsort "$file"
done
md5sum fruit words.txt ../ro/fruit > sums && run md5sum -c sums
sha256sum "$APP"/*/fruit > sums && run sha256sum --check sums
run join <(sort numbers) <(sort numbers)
run paste fruit numbers
run tr a-z A-Z < words.txt
run dircolors -b /dev/null
run dircolors "$APP/ro/missing"
"#;

const LISTING: &str = r#"
cd "$APP/work"
run pwd
run /bin/pwd
run /bin/pwd -P
run ls
run ls -A "$APP" "$APP/work" "$APP/ro"
run ls -lR --time-style=+ --block-size=1 deep
run ls -F ../ro "$APP/missing"
run dir -1
run vdir -g -o --time-style=+ fruit to-fruit dangling
run du -a --apparent-size -b deep
run du -s --apparent-size ../missing
run df --output=target "$APP/missing"
for path in . .. fruit to-fruit dangling words.txt ../ro "$APP/work/deep/../fruit" "$APP/ro/../work"; do
    # A directory above mount points has another link count: docs/limitations.md.
    case $path in ..) run stat -c '%N %F %a' .. ;; *) run stat -c '%N %F %a %h' "$path" ;; esac
    run stat -L -c '%F %s' "$path"
    run realpath "$path"
    run realpath -s "$path"
    run realpath --relative-to="$APP/ro" "$path"
    run readlink "$path"
    run readlink -f "$path"
    run readlink -e "$path"
    run readlink -m "$path/x/.."
    run basename "$path"
    run dirname "$path"
    run pathchk "$path"
    run test -e "$path"
    run test -w "$path"
    run /usr/bin/[ -d "$path" ]
    run [ "$path" -ef "$APP/work" ]
done
run test -x /bin/sh -a -r "$APP/ro/fruit"
"#;

const CHANGING: &str = r#"
cd "$APP/work"
run cp fruit copy
run cp -a deep copies
run cp -r "$APP/ro" from-ro
run cp fruit ../ro/copy
run cp -t deep/er fruit numbers words.txt
run cp --reflink=auto --sparse=always words.txt sparse
run cp -l fruit hard
run cp -s "$APP/ro/fruit" soft
run cat soft
run mv copy moved
run mv moved ../ro/moved
run mv ../ro/fruit stolen
run mv words.txt elsewhere
run mv -T copies deep
run mv copies deep/
run mv --no-clobber fruit numbers
run mv "$APP/work/fruit" "$APP/fruit-above"
run mv "$APP/fruit-above" "$APP/work/fruit"
run ln fruit link1
run ln -s ../ro/fruit link2
run ln -sr "$APP/ro/fruit" link3
run ln -sf numbers link2
run ln ../ro/fruit link4
run readlink link2 link3
run link fruit link5
run unlink link5
run unlink ../ro/fruit
run rm link1
run rm missing
run rm -f missing
run rm -r deep/copies
run rm ../ro/fruit
run rm words.txt
run mkdir -p a/b/c "$APP/work/a/d"
run mkdir a
run mkdir ../ro/a
run mkdir -m 700 secret
run rmdir a/b
run rmdir -p a/b/c
run rmdir "$APP/ro"
run touch -d @1000000000 new
run touch ../ro/new
run touch -c ../ro/missing
run stat -c '%Y %n' new
run truncate -s 10 new
run truncate -s 0 ../ro/fruit
run dd if=fruit of=dd.out bs=2 count=3 status=none
run dd if=/dev/zero of=../ro/x count=1 status=none
run shred -n 1 -u hard
run split -l 1 fruit part-
run csplit -s numbers 2 -f piece-
run tee teed < fruit
run tee ../ro/teed < fruit
run install -m 755 -D fruit inst/all/ed
run install -d "$APP/work/inst/dir"
run mkfifo pipe
run mkfifo ../ro/pipe
run chmod 600 fruit
run chmod -R u=rwX,go= inst
run chmod 600 ../ro/fruit
run chmod a+x missing
run chgrp "$(id -g)" fruit
run chown "$(id -u)" fruit ../ro/fruit
run sync fruit
run chcon x fruit
name=$(mktemp "$APP/work/tmp.XXXXXX") && rm "$name" && echo "${name%.*}"
name=$(mktemp -d -p deep) && rmdir "$name" && echo "${name%.*}"
run mktemp -u -p ../ro --suffix=.x XXXXXX > /dev/null
run mktemp ../ro/XXXXXX
run ls -A . deep
"#;

const OTHERS: &str = r#"
cd "$APP/work"
run arch
run date -r fruit +%s
run date -f missing
run echo hello
run /bin/echo hello
run env -i /bin/cat "$APP/ro/fruit"
run env -C "$APP/ro" cat fruit
run env -C deep/er /bin/pwd
run expr 2 + 2
run factor 12
run false
run groups
run hostid
run id
run id -u nobody
run logname < /dev/null
run nice -n 1 cat "$APP/ro/fruit"
run nohup cat fruit
run nproc
run pinky -s -f -w missing > /dev/null
run printenv APP
run printf '%s\n' x
run runcon x /bin/true
run seq 3
run sleep 0
run stdbuf -oL cat ../ro/fruit
run stty -a
run timeout 5 cat "$APP/work/words.txt"
run timeout 5 "$APP/work/missing"
run true
run tty
run uname -s
run users > /dev/null
run who am i > /dev/null
run whoami
run yes > /dev/full
run chroot "$APP/missing" /bin/true
head -c 3 < <(yes) | run cat
"#;

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill)
}

#[test]
fn programs_that_read_find_the_same_text() {
    world("coreutils-reading").same_session("/bin/bash", READING);
}

#[test]
fn programs_that_look_see_the_same_names() {
    world("coreutils-listing").same_session("/bin/bash", LISTING);
}

#[test]
fn programs_that_change_leave_the_same_tree() {
    world("coreutils-changing").same_session("/bin/bash", CHANGING);
    let mknod = "cd $APP/work; run mknod node c 1 3; run mknod ../ro/node p; run stat -c '%F %t %T' node";
    world("coreutils-mknod").same_session("/bin/bash", mknod);
}

#[test]
fn an_ordinary_user_is_told_the_same() {
    let world = world("coreutils-user").as_user(65534);
    world.same_session("/bin/bash", CHANGING);
    world.same_session("/bin/bash", LISTING);
}

#[test]
fn programs_that_have_little_to_do_with_files_run_as_ever() {
    world("coreutils-others").same_session("/bin/bash", OTHERS);
}

#[test]
fn every_program_of_coreutils_is_in_these_tests() {
    let listed = Command::new("dpkg").args(["-L", "coreutils"]).output().expect("Debian has dpkg");
    let said: Vec<&str> = [READING, LISTING, CHANGING, OTHERS, "mknod"]
        .iter()
        .flat_map(|script| script.split([' ', '\n', '/', ';', '(', ')']))
        .collect();
    let missing: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter(|path| path.contains("bin/"))
        .filter_map(|path| path.rsplit('/').next())
        // The same program as md5sum, under a name that Debian keeps for upgrades.
        .filter(|name| *name != "md5sum.textutils" && !said.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(missing.is_empty(), "not run by any test: {missing:?}");
}
