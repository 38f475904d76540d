//! The tree that libc's calls are asked in, and the mounts over it.

use std::fs;
use std::path::Path;

use crate::{Mount, World, hidden, link, read_only, read_write, write};

const MOUNTS: &[Mount] = &[
    read_write("rw", "data"),
    read_only("ro", "fixed"),
    read_only("etc/app.conf", "app.conf"),
    read_write("etc/state.conf", "state.conf"),
    read_only("rw/nested", "nested"),
    hidden("secret"),
];

/// The tree that most tests work in. Mount points do not exist in `app`.
fn fill(dir: &Path) {
    let (host, app) = (dir.join("host"), dir.join("app"));
    write(host.join("data/file"), "data");
    write(host.join("data/sub/deep"), "deep");
    write(host.join("fixed/file"), "fixed");
    write(host.join("fixed/sub/deep"), "deeper");
    write(host.join("nested/inner"), "inner");
    fs::create_dir_all(host.join("data/nested")).expect("a fresh tree");
    write(host.join("app.conf"), "conf");
    write(host.join("state.conf"), "state");
    write(app.join("etc/passwd"), "own");
    write(app.join("plain/file"), "plain");
    write(app.join("secret/key"), "key");
    link(app.join("ro/file"), host.join("data/abs"));
    link("../../app/plain/file", host.join("data/outside"));
    link("sub/deep", host.join("data/rel"));
    link("sub", host.join("data/subdir"));
    link(app.join("rw/sub"), host.join("fixed/absdir"));
    link("loop", host.join("data/loop"));
    link("/nonexistent/x", host.join("data/dangling"));
    link("new-target", host.join("data/dangling-here"));
    link("..", host.join("data/up"));
}

/// A view of it, and the kernel's own mounts.
pub fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill)
}
