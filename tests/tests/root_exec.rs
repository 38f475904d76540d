//! What a program of a root is told of itself, and which loader and libraries it gets:
//! held against the same tree under chroot(8). A root of glibc's, older than the host's,
//! and one of musl's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::images::Place;
use tests::symbols::MUSL;
use tests::{assert_same, compiled_by, debian11, feed, is_root, launcher, transcript, write};

/// How it is started. `/opt/link` is another name of it, `/opt/apart` is of a loader that
/// the root alone has, behind an absolute link.
const SCRIPT: &str = r#"
    exec 2>&1; export PATH=/bin:/opt/bin LC_ALL=C
    run() { echo "\$ $*"; "$@"; echo "= $?"; }
    run /opt/bin/told one 'two words'; run told; run /opt/link; run /opt/apart
    cd /opt; run ./bin/told; run bin/../link; cd bin; run ../link
    run /opt/script an argument; run /opt/bare; run /opt/shell x; cd /; run opt/script
    for how in spawn descriptor closing name nothing; do
        run told by $how /opt/bin/told a; run told by $how /opt/link; run told by $how /opt/script b; run told by $how /opt/apart
        run told by $how /opt/shell c
    done
    run /opt/of-the-host; run /opt/script-of-the-host; run told by spawn /opt/script-of-the-host; run /opt/of-none
"#;

/// Puts the probe and the scripts into a root. `flags` are the compiler's for that root.
fn furnish(root: &Path, host: &Path, compiler: &str, kind: &str, flags: &[&str], loader: &str) {
    let opt = root.join("opt");
    for dir in ["bin", "lib", "loaders"] {
        fs::create_dir_all(opt.join(dir)).expect("ours");
    }
    let own = ["-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libown.so"];
    let own = compiled_by(compiler, "own", &own, &format!("libown-{kind}.so"));
    let own_word = own.to_string_lossy();
    let probe = |name: &str, dynamic_linker: &str| {
        let linker = format!("-Wl,--dynamic-linker={dynamic_linker}");
        // The library is found beside the program: `$ORIGIN` is what the loader takes that for.
        let mut words =
            vec!["-Wl,--no-as-needed", &own_word, "-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/lib", &linker];
        words.extend(flags);
        compiled_by(compiler, "told", &words, &format!("told-{kind}-{name}"))
    };
    let copy = |from: PathBuf, to: &str| fs::copy(from, opt.join(to)).map(|_| ()).expect("ours");
    copy(probe("plain", loader), "bin/told");
    copy(probe("apart", "/opt/loader/ld.so"), "apart");
    copy(own.clone(), "lib/libown.so");
    copy(probe("none", "/nowhere/ld.so"), "of-none");
    // A loader that is there, but on the host alone.
    write(host.join("ld.so"), "");
    fs::copy(fs::canonicalize(loader).expect("the host has it too"), host.join("ld.so")).expect("ours");
    // The path differs from run to run, so that the file is made anew.
    let name = format!("host-{}", std::process::id());
    let of_host = probe(&name, &host.join("ld.so").to_string_lossy());
    copy(of_host.clone(), "of-the-host");
    fs::remove_file(of_host).expect("ours");
    symlink("/opt/bin/told", opt.join("link")).expect("ours");
    symlink("/opt/loaders", opt.join("loader")).expect("ours");
    let script = |name: &str, text: String| {
        write(opt.join(name), &text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(opt.join(name), mode).expect("ours");
    };
    script("script", "#!/opt/link first argument\n".into());
    script("bare", "#!/opt/apart\n".into());
    script("shell", "#!/bin/sh\necho \"$0 $*\"; readlink /proc/$$/exe\n".into());
    script("script-of-the-host", format!("#!{}\n", host.join("ld.so").display()));
}

/// Before Linux 6.14 a program that is started by its descriptor is called after the
/// number, since then after its file.
fn as_since_linux_6_14(transcript: &str) -> String {
    let mut file = "";
    let mut text = String::new();
    for line in transcript.lines() {
        file = line.strip_prefix("exe ").map_or(file, |path| path.rsplit('/').next().unwrap_or(path));
        text += &if line == "comm 3" { format!("comm {file}\n") } else { format!("{line}\n") };
    }
    text
}

/// Under chroot(8), in what `mount` mounts at `$ROOT`, and in the view of a policy.
fn same(place: &Place, mount: &str, policy: &str) {
    assert!(is_root(), "chroot is run: run the tests as root");
    let root = place.dir.join("mounted");
    fs::create_dir_all(&root).expect("ours");
    let bind = format!(
        "{mount}; for dir in proc dev sys; do mount --rbind /$dir $ROOT/$dir; done; exec chroot $ROOT /bin/sh -c \"$1\""
    );
    let mut chrooted = Command::new("unshare");
    chrooted.args(["--mount", "--propagation", "private", "/bin/sh", "-ec", &bind, "sh", SCRIPT]);
    chrooted.env("ROOT", &root);
    let file = place.dir.join("told.toml");
    write(file.clone(), policy);
    let mut view = Command::new(launcher());
    view.env_clear().env("STATE_DIRECTORY", place.dir.join("state"));
    view.env("XDG_RUNTIME_DIR", place.dir.join("run"));
    view.arg("--policy").arg(file).args(["/bin/sh", "-c", SCRIPT]);
    let run = |command: &mut Command| transcript(&feed(command.current_dir(&place.dir), b""));
    let expected = as_since_linux_6_14(&run(&mut chrooted));
    for part in [
        "\nexe /opt/bin/told\n",
        "\nexecfn /opt/link\n",
        "\nmapped /opt/lib/libown.so\n",
        "\nword 1 first argument\n",
    ] {
        assert!(expected.contains(part), "{part}: {expected}");
    }
    assert_same("chroot", &expected, "the view", &run(&mut view));
}

#[test]
fn a_program_of_an_older_glibc_is_told_paths_of_its_root() {
    let place = Place::new("told-glibc");
    let (debian, own) = (debian11(), place.dir.join("own"));
    let libraries = ["libc.so.6", "libdl.so.2"]
        .map(|name| debian.join("lib/x86_64-linux-gnu").join(name).to_string_lossy().into_owned());
    // The host's libc is younger: linked against the root's own.
    let flags = ["-nodefaultlibs", "-Wl,--allow-shlib-undefined", &libraries[0], &libraries[1]];
    furnish(&own, &place.dir, "gcc", "debian11", &flags, "/lib64/ld-linux-x86-64.so.2");
    fs::copy(debian.join("lib/x86_64-linux-gnu/ld-2.31.so"), own.join("opt/loaders/ld.so")).expect("ours");
    let mount = format!("mount -t overlay -o lowerdir=own:{} overlay $ROOT", debian.display());
    let mut policy = format!(
        "coverage.door = \"gate\"\napp.workdir = \"/\"\n[root]\nlayers = [\"{}\", \"own\"]\nwrite = \"none\"\n",
        debian.display()
    );
    for dir in ["/proc", "/dev", "/sys"] {
        policy += &format!("[[mount]]\nat = \"{dir}\"\nsource = \"{dir}\"\naccess = \"read-write\"\n");
    }
    same(&place, &mount, &policy);
}

#[test]
fn a_root_of_musl_runs_with_its_own_loader() {
    let place = Place::new("told-musl");
    let root = place.dir.join("tree");
    for dir in ["bin", "lib", "etc", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(root.join(dir)).expect("ours");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox is installed: `cargo xtask packages`");
    for name in ["sh", "readlink"] {
        symlink("busybox", root.join("bin").join(name)).expect("ours");
    }
    let libc = fs::canonicalize(MUSL).expect("musl is installed: `cargo xtask packages`");
    furnish(&root, &place.dir, "musl-gcc", "musl", &[], "/lib/ld-musl-x86_64.so.1");
    // As Alpine has it: the loader is the libc.
    for to in ["lib/ld-musl-x86_64.so.1", "opt/loaders/ld.so"] {
        fs::copy(&libc, root.join(to)).expect("ours");
    }
    symlink("ld-musl-x86_64.so.1", root.join("lib/libc.musl-x86_64.so.1")).expect("ours");
    symlink("ld-musl-x86_64.so.1", root.join("lib/libc.so")).expect("ours");
    place.good(&["import", "tree", "--name", "musl"]);
    same(&place, "mount --bind tree $ROOT", "[root]\nimage = \"musl\"\nwrite = \"none\"\n");
}
