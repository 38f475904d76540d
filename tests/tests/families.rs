//! The families that calls.rs does not have, in a view and among the kernel's
//! own mounts: one program makes all of them in both.

use std::fs;
use std::path::Path;

use tests::{
    Mount, World, assert_same, feed, is_root, link, program, read_only, read_write, transcript, write,
};

const MOUNTS: &[Mount] = &[
    read_write("w", "data"),
    read_only("r", "fixed"),
    read_only("etc/one.conf", "conf"),
    read_only("w/sub/nested", "nested"),
];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/file"), "data\n");
    write(host.join("data/sub/deep"), "deep\n");
    fs::create_dir_all(host.join("data/sub/nested")).expect("a fresh tree");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("nested/inner"), "inner\n");
    write(host.join("conf"), "conf\n");
    link("file", host.join("data/link"));
    link("../w/file", host.join("fixed/link"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(world: impl Fn() -> World) {
    if !is_root() {
        return;
    }
    let probe = program("families");
    let run = |in_view: bool| {
        let world = world();
        let mut command = if in_view { world.in_view(&probe) } else { world.among_mounts(&probe) };
        transcript(&feed(command.arg(world.dir.join("app")).current_dir("/"), b""))
    };
    assert_same("the kernel", &run(false), "the view", &run(true));
}

#[test]
fn every_family_answers_as_the_kernel_does() {
    same(|| World::new("families", MOUNTS, fill));
}

#[test]
fn every_family_answers_an_ordinary_user_as_the_kernel_does() {
    same(|| World::new("families-user", MOUNTS, fill).as_user(65534));
}
