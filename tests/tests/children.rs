//! Children stay in the view, however they are started.

use std::fs;
use std::path::Path;

use tests::{Mount, World, compiled, program, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed")];

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn script(path: impl AsRef<Path>, text: &str) {
    write(&path, text);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, mode).expect("our own file");
}

fn fill(dir: &Path) {
    let (host, app) = (dir.join("host"), dir.join("app"));
    write(host.join("data/file"), "data\n");
    write(host.join("fixed/file"), "fixed\n");
    let app = app.display();
    script(host.join("fixed/show"), "#!/bin/sh -f\necho \"$0 [$*]\"; cat \"$1\"\n");
    script(host.join("fixed/outer"), &format!("#!{app}/ro/middle one two\n"));
    script(host.join("fixed/middle"), &format!("#! {app}/ro/inner\tthree\n"));
    script(host.join("fixed/inner"), "#!/bin/sh\necho \"$# $*\"\n");
    script(host.join("data/relative"), "#!show\n");
    script(host.join("data/lost"), &format!("#!{app}/ro/missing\n"));
    script(host.join("data/loop"), &format!("#!{app}/work/loop\n"));
    script(host.join("data/bare"), "echo bare $0\n");
    script(host.join("data/empty"), "");
    script(host.join("data/env"), "#!/usr/bin/env sh\necho by env $0; cat ../ro/file\n");
    script(host.join("data/env-s"), "#!/usr/bin/env -S sh -e\ncat ../ro/file; false; echo not here\n");
    fs::copy(program("children"), host.join("fixed/children")).expect("a fresh tree");
    fs::copy("/bin/cat", host.join("fixed/cat")).expect("a fresh tree");
    fs::copy(LOADER, host.join("fixed/ld.so")).expect("a fresh tree");
    let wrapped = format!(
        "#!/bin/sh\nexec {app}/ro/ld.so --library-path {app}/lib:/lib/x86_64-linux-gnu {app}/ro/cat \"$@\"\n"
    );
    script(host.join("fixed/wrapped"), &wrapped);
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

#[test]
fn an_emptied_environment_loses_nothing() {
    world("env").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run env cat ../ro/file
        run env -i /bin/cat "$APP/ro/file"
        run env -i "$APP/ro/cat" "$APP/ro/file"
        run env -u LD_PRELOAD cat "$APP/ro/file"
        run env LD_PRELOAD= cat "$APP/ro/file"
        run env -i env -i env -i /bin/sh -c "cat '$APP/work/file'"
        (unset LD_PRELOAD; run cat ../ro/file)
        (export LD_PRELOAD=; run cat ../ro/file)
        (export -n LD_PRELOAD; run cat ../ro/file)
        run env -i /usr/bin/python3.11 -S -E -c "print(open('$APP/ro/file').read())"
        run xargs -a file -I{} env -i cat "$APP/ro/file"
        "#,
    );
}

#[test]
fn scripts_that_are_named_by_a_descriptor_find_their_interpreters_too() {
    world("shebang-descriptor").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        by() { run python3 -c '
import os, sys
file = os.open(sys.argv[2], os.O_RDONLY)
os.set_inheritable(file, sys.argv[1] == "stays")
os.execve(file, sys.argv[2:], os.environ)' "$@" 2>&1 | grep -v '^  '; }
        for way in stays closes; do
            by $way ../ro/show file; by $way "$APP/ro/outer" x; by $way ../ro/middle; by $way relative; by $way lost
            by $way loop; by $way bare; by $way ../ro/cat file; by $way /bin/cat ../ro/file; by $way /usr/bin/ldd
        done
        "#,
    );
}

#[test]
fn scripts_find_their_interpreters_in_the_view() {
    world("shebang").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run ../ro/show file; run "$APP/ro/show" "$APP/work/file" x; (PATH=$APP/ro; show file)
        run ../ro/outer a b; run "$APP/ro/outer"
        run ./relative; run "$APP/work/relative"; (cd ../ro; run ../work/relative)
        run ./lost; run ./loop; run ./bare x; run ./empty; run ./env; run ./env-s; run ./missing; run ./file; run ..
        run env -i ./bare; run sh -c ./bare; run dash -c "$APP/ro/outer c"
        run find . -name env -exec {} \;
        run python3 -c 'import subprocess; print(subprocess.run(["../ro/outer", "p"]), subprocess.run("./env", env={"PATH": "/bin"}))'
        "#,
    );
}

#[test]
fn a_program_that_is_started_by_its_loader_is_in_the_view() {
    world("loader").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"; loader=/lib64/ld-linux-x86-64.so.2
        run $loader ../ro/cat ../ro/file "$APP/ro/file"; run "$APP/ro/ld.so" "$APP/ro/cat" file
        run $loader --inhibit-cache --argv0 cat "$APP/ro/cat" file ../ro/missing; run "$APP/ro/wrapped" "$APP/ro/file"
        run $loader /bin/sh -c 'cat "$APP/ro/file"; "$APP/ro/show" file'; run env -i $loader "$APP/ro/cat" "$APP/ro/file"
        run $loader --verify ../ro/cat; run $loader --verify file; run $loader; run $loader --version > /dev/null
        listed() { "$@" 2>&1 | sed 's/ (0x.*//'; }
        listed ldd ../ro/cat "$APP/ro/cat"; listed ldd file; listed $loader --list ../ro/cat; listed env -i /bin/ldd "$APP/ro/cat"
        cp ../ro/cat plain; chmod 644 plain; run ./plain file; run $loader ./plain file
        "#,
    );
}

#[test]
fn a_program_may_do_as_it_likes_with_its_environment() {
    world("environ").same_session(
        "/bin/bash",
        r#"
        run "$APP/ro/children" overwritten /bin/cat "$APP/ro/file"
        run "$APP/ro/children" null /bin/cat "$APP/ro/file"
        run "$APP/ro/children" null "$APP/ro/show" "$APP/ro/file"
        run "$APP/ro/children" cleared "cat $APP/ro/file; $APP/ro/show $APP/work/file"
        run "$APP/ro/children" twice /bin/cat "$APP/ro/file" 2>/dev/null
        "#,
    );
}

#[test]
fn spawning_and_vforking_keep_the_view() {
    world("spawn").same_session(
        "/bin/bash",
        r#"
        run "$APP/ro/children" spawn "$APP/work" out cat file ../ro/file; cat "$APP/work/out"
        run "$APP/ro/children" spawn "$APP/work" "$APP/work/out2" pwd; cat "$APP/work/out2"
        run "$APP/ro/children" spawn "$APP/ro" out cat file
        run "$APP/ro/children" spawn "$APP/missing" out cat file
        run "$APP/ro/children" spawn "$APP/work" out "$APP/work/missing"
        run "$APP/ro/children" spawn "$APP/work" out ../ro/show file; cat "$APP/work/out"
        cd "$APP/work"; run "$APP/ro/children" vfork /bin/cat "$APP/ro/file"
        run "$APP/ro/children" vfork "$APP/ro/show" "$APP/ro/file"
        run "$APP/ro/children" vfork "$APP/ro/missing" "$APP/ro/file"
        run "$APP/ro/children" stack /bin/cat "$APP/ro/file"
        run "$APP/ro/children" threads /bin/cat "$APP/ro/file" > /dev/null
        "#,
    );
}

#[test]
fn a_child_that_shares_the_working_directory_takes_its_parent_along() {
    world("shared").same_session(
        "/bin/bash",
        r#"
        run "$APP/ro/children" shared "$APP/work" / "$APP/ro" /tmp "$APP/work"
        "#,
    );
}

#[test]
fn a_child_that_a_filter_keeps_from_writing_stays_in_the_view() {
    world("filtered").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"; run "$APP/ro/children" filtered /bin/cat "$APP/ro/file" ../ro/file "$APP/ro/missing" file
        run "$APP/ro/children" filtered /bin/sh -c "cat $APP/ro/file; $APP/ro/show file; echo x > $APP/work/made"; run ls
        "#,
    );
}

#[test]
fn a_daemon_that_closes_everything_stays_in_the_view() {
    world("daemon").same_session(
        "/bin/bash",
        r#"
        waits() { for _ in $(seq 200); do [ -s "$1" ] && return; sleep 0.02; done; echo "$1 did not appear"; }
        run "$APP/ro/children" daemon "$APP/work/out" cat "$APP/ro/file"; waits "$APP/work/out"; cat "$APP/work/out"
        run "$APP/ro/children" daemon "$APP/work/fds" sh -c "ls /proc/self/fd | wc -l; echo /proc/self/fd/*"
        waits "$APP/work/fds"; sleep 0.2; cat "$APP/work/fds"
        (cat "$APP/ro/file"; exec 0<&- 1>&- 2>&-; cat "$APP/ro/file" > "$APP/work/closed"); cat "$APP/work/closed"
        setsid -w sh -c 'nohup cat "$APP/ro/file" 2>&1'
        (sleep 0.1; cat "$APP/ro/file" > "$APP/work/late") & disown; waits "$APP/work/late"; cat "$APP/work/late"
        "#,
    );
}

#[test]
fn a_preload_library_of_the_users_own_is_kept() {
    let library = compiled("neighbour", &["-shared", "-fPIC"], "neighbour.so");
    world("neighbour").same_session(
        "/bin/bash",
        &format!(
            r#"
            export LD_PRELOAD={library}
            run /usr/bin/python3.11 -c 'import socket; print(socket.gethostname())'
            run cat "$APP/ro/file"; run dash -c 'cat < "$APP/ro/file"; cat < neighbours-own; cat "$APP/ro/file"'
            run env -i LD_PRELOAD={library} /usr/bin/python3.11 -c "import socket; print(socket.gethostname(), open('$APP/ro/file').read())"
            run env LD_PRELOAD="{library} {library}" cat "$APP/ro/file"
            "#,
            library = library.display()
        ),
    );
}

#[test]
fn a_preload_library_written_with_redhook_works_beside_the_shim() {
    // Cargo puts examples beside the directory of the tests.
    let test = std::env::current_exe().expect("a test has a path");
    let library = test.ancestors().nth(2).map(|profile| profile.join("examples/libneighbour.so"));
    let library = library.filter(|library| library.exists());
    let library = library.expect("the example is built: cargo build --package tests --example neighbour");
    // An ordinary user may not enter every directory that cargo builds in.
    World::new("redhook", MOUNTS, fill).same_session(
        "/bin/bash",
        &format!(
            r#"
            export LD_PRELOAD={library}
            run cat "$APP/ro/file"; run cut -c 1-5 neighbours-own; run env -i LD_PRELOAD={library} cut -c 1-5 neighbours-own
            cd "$APP/work"; run dash -c 'read a b < neighbours-own; echo "$a"; cat ../ro/file; echo made > made; cat made'
            run python3 -c 'print(open("neighbours-own").read(5), open("../ro/file").read())'
            "#,
            library = library.display()
        ),
    );
}
