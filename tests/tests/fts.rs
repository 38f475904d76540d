//! fts(3), in a view and among the kernel's own mounts: what libc's walk
//! shows of the one, ours shows of the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::{
    Mount, World, assert_same, feed, is_root, link, program, read_only, read_write, transcript, write,
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
    if !is_root() {
        return;
    }
    let probe = program("fts");
    let run = |in_view: bool| {
        let world = world();
        let mut command = if in_view { world.in_view(&probe) } else { world.among_mounts(&probe) };
        transcript(&feed(command.arg(world.dir.join("app")).current_dir("/"), b""))
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
