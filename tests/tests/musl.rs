//! A program of musl's, in a view and among the kernel's own mounts: the same
//! shim serves it as serves glibc's.

use std::fs;
use std::path::{Path, PathBuf};

use tests::symbols::MUSL;
use tests::{
    Mount, World, assert_same, compiled_by, feed, is_root, link, read_only, read_write, transcript, write,
};

const MOUNTS: &[Mount] =
    &[read_write("w", "data"), read_only("r", "fixed"), read_only("w/sub/nested", "nested")];

fn probe() -> PathBuf {
    compiled_by("musl-gcc", "musl", &[], "musl")
}

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/file"), "data\n");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("nested/inner"), "inner\n");
    fs::create_dir_all(host.join("data/sub/nested")).expect("a fresh tree");
    link("../w/file", host.join("fixed/link"));
    fs::copy(probe(), host.join("fixed/self")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(world: impl Fn() -> World) {
    if !is_root() {
        eprintln!("not root, so there are no mounts to compare with");
        return;
    }
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    let probe = probe();
    let run = |in_view: bool| {
        let world = world();
        let mut command = if in_view { world.in_view(&probe) } else { world.among_mounts(&probe) };
        transcript(&feed(command.arg(world.dir.join("app")).current_dir("/"), b""))
    };
    let expected = run(false);
    assert!(expected.contains("child in its place"), "{expected}");
    assert_same("the kernel", &expected, "the view", &run(true));
}

#[test]
fn a_program_of_musl_sees_what_the_kernel_would_show() {
    same(|| World::new("musl", MOUNTS, fill));
}

#[test]
fn so_does_one_of_an_ordinary_user() {
    same(|| World::new("musl-user", MOUNTS, fill).as_user(65534));
}
