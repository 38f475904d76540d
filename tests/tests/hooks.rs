//! The families of libc that do more than one call: names for temporary
//! files, loading, patterns, walks, variadic starts. One program for each,
//! tests/programs/hooks, is run in a view and among the kernel's own mounts.

use std::fs;
use std::path::Path;

use tests::{
    Mount, World, assert_same, compiled, feed, hidden, is_root, link, read_only, read_write, transcript,
    write,
};

const MOUNTS: &[Mount] = &[
    read_write("rw", "data"),
    read_only("ro", "fixed"),
    read_only("etc/app.conf", "app.conf"),
    read_only("rw/nested", "nested"),
    hidden("secret"),
];

fn fill(dir: &Path) {
    let (host, app) = (dir.join("host"), dir.join("app"));
    write(host.join("data/file"), "data");
    write(host.join("data/sub/deep"), "deep");
    fs::create_dir_all(host.join("data/nested")).expect("a fresh tree");
    write(host.join("fixed/file"), "fixed");
    write(host.join("fixed/sub/deep"), "deeper");
    write(host.join("nested/inner"), "inner");
    write(host.join("app.conf"), "conf");
    write(app.join("etc/passwd"), "own");
    write(app.join("plain/file"), "plain");
    write(app.join("secret/key"), "key");
    link(app.join("ro/file"), host.join("data/abs"));
    link("sub", host.join("data/subdir"));
    link("loop", host.join("data/loop"));
    link("/nonexistent/x", host.join("data/dangling"));
    link(app.join("rw/sub"), host.join("fixed/absdir"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

/// Runs a probe in both, as root and as an ordinary user.
fn same(probe: &str, flags: &[&str], more: &[&str]) {
    if !is_root() {
        return;
    }
    for user in [None, Some(65534)] {
        let name = format!("hooks-{probe}");
        let world = || {
            let world = World::new(&name, MOUNTS, fill);
            if let Some(uid) = user { world.as_user(uid) } else { world }
        };
        let plain = format!("-Wl,-rpath,{}", world().dir.join("app/plain").display());
        let program = compiled(&format!("hooks/{probe}"), &[flags, &[&plain]].concat(), &name);
        let run = |in_view: bool| {
            let world = world();
            let mut command = if in_view { world.in_view(&program) } else { world.among_mounts(&program) };
            transcript(&feed(command.arg(world.dir.join("app")).args(more).current_dir("/"), b""))
        };
        let expected = run(false);
        assert!(expected.ends_with("exit status: 0\n"), "{expected}");
        assert_same("the kernel", &expected, "the view", &run(true));
    }
}

#[test]
fn names_for_temporary_files_are_made_as_libc_makes_them() {
    same("temp", &[], &[]);
}

#[test]
fn objects_are_loaded_as_libc_loads_them() {
    same("load", &[], &["by name"]);
}

#[test]
fn patterns_and_scans_find_what_libc_finds() {
    same("glob", &[], &[]);
}

#[test]
fn walks_visit_what_libc_visits() {
    same("walk", &[], &[]);
}

#[test]
fn variadic_starts_and_vfork_do_as_libc_does() {
    same("variadic", &[], &[]);
}
