//! Static programs: busybox, Rust with musl, and what they start.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{Mount, World, hidden, link, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed"), hidden("work/secret")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/a/one.txt"), "one\n");
    write(host.join("data/a/b/two.txt"), "two\n");
    write(host.join("data/secret/key"), "key\n");
    write(host.join("fixed/main.rs"), RUST);
    write(host.join("fixed/hi"), "#!/bin/busybox sh\necho \"hi from $0 in $(busybox pwd)\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(host.join("fixed/hi"), mode).expect("our own file");
    link("a/b", host.join("data/short"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(name: &str, fill: fn(&Path), shell: &str, script: &str) {
    let world = World::new(name, MOUNTS, fill).saying("coverage.door = \"gate\"").as_user(65534);
    world.same_session(shell, script);
}

#[test]
fn busybox_is_a_whole_userland() {
    // A link of that name is how busybox knows what to be.
    let sh = |dir: &Path| {
        fill(dir);
        link("/bin/busybox", dir.join("host/fixed/sh"));
    };
    same("static-busybox", sh, "/bin/busybox", "");
    same(
        "static-busybox-sh",
        sh,
        "/bin/bash",
        r#"
        cat > "$APP/work/script" <<'END'
        cd "$APP/work" || exit 9
        b() { echo "$ $*"; busybox "$@" 2>&1; echo "= $?"; }
        b pwd; b ls -R; b cat secret/key; b cat short/two.txt; b readlink -f short; b find "$APP" -type f
        b cp -a a copy; b diff -r a copy; b mv copy moved; b rm -r moved; b touch ../ro/new; b mkdir -p x/y; b rmdir x/y
        b tar cf all.tar a short; b tar tf all.tar; b mkdir out; b tar xf all.tar -C out; b find out; b rm -r out all.tar
        b gzip -k a/one.txt; b zcat a/one.txt.gz; b sed -i s/one/1/ a/one.txt; b awk '{ print FILENAME, $0 }' a/one.txt
        b ln -s a link; b ls -l link | busybox awk '{ print $1, $NF }'; b rm link; b xargs -n1 cat < /dev/null
        b grep -r two .; b sh -c 'cd short; pwd; pwd -P; cat two.txt'; b env -i /bin/busybox cat "$APP/work/short/two.txt"
        b timeout 5 busybox sh -c 'cat a/b/two.txt'; busybox seq 5 | b xargs -P 3 -n1 sh -c 'cat a/b/two.txt'
        "$APP/ro/hi"; ../ro/hi
        busybox sleep 100 & kill $!; wait $! 2> /dev/null; echo "= $?"
        trap 'echo trapped' USR1; kill -USR1 $$; exec busybox cat a/b/two.txt
END
        run /bin/busybox sh "$APP/work/script"
        "#,
    );
}

const RUST: &str = r#"
use std::{env, fs, io::Write, path::Path, process::Command, thread};
fn main() {
    let app = env::var("APP").unwrap();
    let app = Path::new(&app);
    println!("{:?} {:?}", env::current_exe(), env::args().next());
    env::set_current_dir(app.join("work")).unwrap();
    println!("{:?} {:?}", env::current_dir(), fs::canonicalize("short/two.txt"));
    println!("{:?} {:?}", fs::read_to_string("secret/key"), fs::write(app.join("ro/new"), "x"));
    println!("{:?}", fs::rename("a", app.join("ro/a")).map_err(|error| error.kind()));
    let mut names: Vec<_> = fs::read_dir(app).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    println!("{names:?}");
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let name = app.join(format!("work/t{n}"));
            thread::spawn(move || {
                for round in 0..100 {
                    let mut file = fs::File::create(&name).unwrap();
                    write!(file, "{round}").unwrap();
                    assert_eq!(fs::read_to_string(&name).unwrap(), round.to_string());
                }
                let output = Command::new("/bin/cat").arg(&name).output().unwrap();
                assert_eq!(output.stdout, b"99");
                fs::remove_file(&name).unwrap();
            })
        })
        .collect();
    println!("{}", threads.into_iter().map(|thread| thread.join().is_ok()).filter(|ok| *ok).count());
    let output = Command::new("cat").arg("a/one.txt").current_dir(app.join("work")).env_clear().output();
    println!("{:?}", output.map(|output| (output.status.code(), String::from_utf8(output.stdout))));
    fs::copy("a/one.txt", "copied").unwrap();
    println!("{:?} {:?}", fs::read_to_string("copied"), fs::remove_file("copied"));
}
"#;

#[test]
fn a_rust_program_with_musl_works() {
    let built = |dir: &Path| {
        fill(dir);
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let source = dir.join("host/fixed/main.rs");
        let output = Command::new(rustc)
            .args(["--edition", "2021", "--target", "x86_64-unknown-linux-musl", "-o"])
            .arg(dir.join("host/fixed/probe"))
            .arg(source)
            .output();
        let output = output.expect("rustc is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    same("static-rust", built, "/bin/bash", r#"run "$APP/ro/probe"; cd "$APP/ro"; run ./probe"#);
}
