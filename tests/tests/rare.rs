//! Calls that few programs make, in a view and among the kernel's own mounts.

use std::fs;
use std::path::Path;

use tests::{
    Mount, World, assert_same, compiled, feed, is_root, link, program, read_only, read_write, transcript,
    write,
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
    write(host.join("data/mtab"), "one /two three rw 0 0\n");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("nested/inner"), "inner\n");
    write(host.join("conf"), "conf\n");
    fs::create_dir_all(host.join("data/sub/nested")).expect("a fresh tree");
    link("../r/file", host.join("data/link"));
    fs::copy("/bin/cat", host.join("fixed/cat")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

/// Runs the probe in both. Handles bear the inode's number, so the tree must
/// be the same one.
fn same(world: &World) {
    if !is_root() {
        eprintln!("not root, so there are no mounts to compare with");
        return;
    }
    let probe = program("rare");
    let run = |in_view: bool| {
        let mut command = if in_view { world.in_view(&probe) } else { world.among_mounts(&probe) };
        let said = transcript(&feed(command.arg(world.dir.join("app")).current_dir("/"), b""));
        for made in ["a", "b", "new-mtab"] {
            let _ = fs::remove_file(world.dir.join("host/data").join(made));
        }
        said
    };
    assert_same("the kernel", &run(false), "the view", &run(true));
}

#[test]
fn rare_calls_answer_as_the_kernel_does() {
    same(&World::new("rare", MOUNTS, fill));
}

#[test]
fn rare_calls_answer_an_ordinary_user_as_the_kernel_does() {
    same(&World::new("rare-user", MOUNTS, fill).as_user(65534));
}

#[test]
fn a_library_that_binds_its_own_symbols_first_is_in_the_view() {
    let library = compiled("deepbind", &["-shared", "-fPIC"], "deepbind.so");
    let probe = program("deepbind");
    let world = World::new("deepbind", MOUNTS, fill);
    fs::copy(library, world.dir.join("host/fixed/deepbind.so")).expect("the world is writable");
    let said = world.view_says(&probe.to_string_lossy(), &["@/r/deepbind.so", "@/w/file"]);
    assert!(said.starts_with("0 ok\n1 ok\n2 ok\n3 ok\n---"), "{said}");
}

#[test]
fn a_child_started_by_descriptor_is_in_the_view() {
    let world = World::new("pidfd", MOUNTS, fill).saying("coverage.door = \"shim\"").as_user(65534);
    let probe = program("pidfd");
    let said = world.view_says(&probe.to_string_lossy(), &["@/r/cat", "@/w/file"]);
    let app = world.dir.join("app");
    let expected = format!(
        "data\npidfd_spawn {0}/r/cat 0 descriptor 1 cloexec 1 status 0\n\
         data\npidfd_spawnp cat 0 descriptor 1 cloexec 1 status 0\n\
         pidfd_spawn /none ENOENT descriptor 0 cloexec -1 status 0\n-1\n\
         pidfd_spawn /none ENOENT descriptor 0 cloexec -1 status 0\n1\n--- standard error\n--- exit status: 0\n",
        app.display()
    );
    assert_same("expected", &expected, "the view", &said);
}

#[test]
fn mounts_that_a_program_makes_itself_are_of_the_views_directories() {
    if !is_root() {
        eprintln!("not root, who alone may mount");
        return;
    }
    let script = r#"
        cd "$APP"; mkdir w/t w/sub/deep w/old; echo deep > w/sub/deep/file; export LC_ALL=C
        cat > script <<'END'
        mount --bind w/sub w/t && ls w/t; cat "$APP/w/t/deep/file"; echo new > w/t/new; umount w/t; ls w/t w/sub
        mount -t tmpfs t "$APP/w/t" && echo x > w/t/x; ls "$APP/w/t"; stat -f -c %T w/t; (cd w/t; mount -o remount,ro . ; echo y > y); umount -l "$APP/w/t"; ls w/t
        mount --bind w/link w/file && cat w/file; umount w/file; cat w/file; mount --bind none w/t; mount --bind w none; umount w/t; umount none
        mount -t tmpfs t w/t; mount --make-rprivate /; mount --bind w/sub/deep w/t; mount --move w/t w/old; ls w/old; umount w/old
        mkdir w/t/usr w/t/old; mount --rbind /usr w/t/usr; ls -d w/t/usr/bin | wc -l; umount -l w/t
END
        sed -i 's/mount --bind w.link w.file/mount --bind w\/sub\/new w\/file/' script
        perl -e '$! = 0; for $args ([165, 0, 1, 0, 0, 0], [165, 1, "$ENV{APP}/w/t", 1, 4096, 0], [166, 1, 0], [155, 1, 1], [428, -100, 1, 0], [429, -100, 1, -100, 1, 0], [163, 1], [167, 1, 0]) {
            print $args->[0], " ", syscall($args->[0], @$args[1..$#$args]) < 0 ? $! : "done", "\n" }'
        unshare -m sh script 2>&1 | sed 's/^.*mount: //; s/.dmesg.*//'; ls w/t w/sub; rm -r script w/t w/old w/sub/deep w/sub/new; cat w/file
    "#;
    World::new("rare-mount", MOUNTS, fill)
        .saying("coverage.door = \"gate\"")
        .same_session("/bin/bash", script);
}
