//! fts(3), in a view and among the kernel's own mounts: what libc's walk
//! shows of the one, ours shows of the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tests::{
    Mount, World, assert_same, feed, hidden, is_root, link, program, read_only, read_write, transcript, write,
};

/// `w/only` and `x/y/z` are nowhere on the host; `sys` is another device.
const MOUNTS: &[Mount] = &[
    read_write("w", "data"),
    read_only("r", "fixed"),
    read_only("etc/one.conf", "conf"),
    read_only("w/sub/nested", "nested"),
    read_only("w/only", "only"),
    read_only("x/y/z", "lone"),
    read_only("sys", "elsewhere"),
    read_only("w/sys", "elsewhere-too"),
];

fn fill(dir: &Path) {
    let host = dir.join("host");
    let data = host.join("data");
    write(data.join("file"), "data\n");
    write(data.join("one/single"), "single\n");
    write(data.join("sub/deep"), "deep\n");
    write(data.join("sub/further/down/bottom"), "bottom\n");
    for empty in ["sub/nested", "empty", "void", "abyss", "tour"] {
        fs::create_dir_all(data.join(empty)).expect("a fresh tree");
    }
    for (name, mode) in [("secret", 0), ("listed", 0o644), ("passed", 0o311)] {
        write(data.join(name).join("inner"), "inner\n");
        let set = fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode));
        set.expect("our own directory");
    }
    write(host.join("fixed/file"), "fixed\n");
    // Each mount has a source of its own: what is mounted twice has one app path.
    for mounted in ["nested", "only", "lone"] {
        write(host.join(mounted).join("inner"), "inner\n");
        write(host.join(mounted).join("more/innermost"), "innermost\n");
    }
    write(host.join("conf"), "conf\n");
    let links = [
        ("file", "link"),
        ("sub", "to-sub"),
        ("empty", "to-empty"),
        ("nowhere", "dangling"),
        ("itself", "itself"),
        ("..", "sub/further/cycle"),
        ("../empty", "void/to-empty"),
        ("../file", "tour/a-link"),
        ("../sub/nested", "tour/to-nested"),
        ("../../r", "tour/to-r"),
        ("..", "tour/up"),
        ("nowhere", "tour/z-dangling"),
    ];
    for (target, name) in links {
        link(target, data.join(name));
    }
    link("../w/file", host.join("fixed/link"));
    link("/proc/sys/fs/epoll", host.join("elsewhere"));
    link("/proc/sys/fs/inotify", host.join("elsewhere-too"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(world: impl Fn() -> World) {
    let probe = program("fts");
    same_words(world, |app| vec![probe.clone(), app]);
}

/// Runs the words that an app directory makes, and compares what they print.
fn same_words(world: impl Fn() -> World, words: impl Fn(PathBuf) -> Vec<PathBuf>) {
    if !is_root() {
        return;
    }
    let run = |in_view: bool| {
        let world = world();
        let words = words(world.dir.join("app"));
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = if in_view { world.in_view(program) } else { world.among_mounts(program) };
        transcript(&feed(command.args(arguments).current_dir("/"), b""))
    };
    assert_same("the kernel", &run(false), "the view", &run(true));
}

#[test]
fn a_walk_is_the_one_among_mounts() {
    same(|| World::new("fts", MOUNTS, fill));
}

#[test]
fn a_walk_of_an_ordinary_user_is_the_one_among_mounts() {
    same(|| World::new("fts-user", MOUNTS, fill).as_user(65534));
}

/// What stands where the host has nothing, hidden directories, and hidden files.
const COUNTED: &[Mount] = &[
    read_write("w", "data"),
    read_only("w/only", "only"),
    read_only("w/sub/nested", "only"),
    read_only("w/one.conf", "file"),
    read_only("there", "only"),
    hidden("gone"),
    hidden("w/empty"),
    hidden("w/file"),
];

#[test]
fn the_link_count_of_a_directory_counts_what_is_mounted_in_it() {
    let fill = |dir: &Path| {
        write(dir.join("host/data/file"), "data\n");
        write(dir.join("host/file"), "file\n");
        for there in ["host/data/empty", "host/data/sub", "host/only/inner", "app/gone", "app/there", "home"]
        {
            fs::create_dir_all(dir.join(there)).expect("a fresh tree");
        }
    };
    let script = r#"
        stat -c '%n %h' "$0" "$0/w" "$0/w/." "$0/w/sub" "$0/w/sub/../only" "$0/there"
        cd "$0"; stat -c '%n %h' . w w/sub w/../w/only; cd w; stat -c '%n %h' . .. sub
        python3 -c 'import os; print([os.stat(p).st_nlink for p in (".", "..", "sub", "only", "../there")])'
        python3 -c 'import os; print([os.lstat(p).st_nlink for p in (".", "..", "sub", "only", "../there")])'
        find "$0" -type d -links 3 | sort
    "#;
    let words = |app| vec!["/bin/bash".into(), "-c".into(), script.into(), app];
    same_words(|| World::new("link-counts", COUNTED, fill), words);
}
