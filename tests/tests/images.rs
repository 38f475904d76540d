//! The store of images: what good images become, against umoci and the
//! kernel's overlayfs.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::images::{LISTING, Place, listing, must};
use tests::tarball::{Tarball, layout, sha256};
use tests::{is_root, launcher};

/// The listing of the layers, as the kernel's overlayfs unites them.
fn union(trees: &[PathBuf], dir: &Path) -> String {
    fs::create_dir_all(dir.join("union")).expect("ours");
    fs::create_dir_all(dir.join("nothing")).expect("ours");
    // overlayfs wants two at least: below the lowest lies an empty one.
    let nothing = dir.join("nothing");
    let lowers: Vec<_> = trees.iter().rev().chain([&nothing]).map(|tree| tree.to_string_lossy()).collect();
    let script = format!(
        "mount -t overlay overlay -o ro,userxattr,lowerdir={0} {1}/union && exec python3 -c \"$1\" {1}/union",
        lowers.join(":"),
        dir.display()
    );
    must("unshare", &["-m", "sh", "-ec", &script, "sh", LISTING], Path::new("/"))
}

/// An image of three layers, with all that a file can be.
fn umoci_image(dir: &Path) {
    let script = r#"
        umoci init --layout oci && umoci new --image oci:v1 && umoci unpack --image oci:v1 bundle
        cd bundle/rootfs
        mkdir -p usr/bin etc/deep/er var/spool tmp gone run
        ln -s usr/bin bin
        echo tool > usr/bin/tool && chmod 4755 usr/bin/tool
        echo secret > etc/shadow && chown 0:42 etc/shadow && chmod 640 etc/shadow
        echo a > etc/deep/a && echo b > etc/deep/er/b && echo c > gone/c
        ln etc/deep/a etc/deep/a2 && ln -s /etc/deep etc/absolute
        chmod 1777 tmp && chmod 555 var/spool && mkfifo run/pipe && mknod run/null c 1 3
        setfattr -n user.note -v hello etc/deep/a && setfattr -n user.dir -v d etc/deep
        setcap cap_net_raw+ep usr/bin/tool
        touch -d '1999-12-31 23:59:59.123456789' etc/deep/er/b
        truncate -s 3M etc/sparse && chown 1000:1000 var/spool
        touch -d '2001-02-03 04:05:06.5' etc/deep/er etc var
        cd ../.. && umoci repack --image oci:v2 bundle && rm -r bundle && umoci unpack --image oci:v2 bundle
        cd bundle/rootfs
        rm -r gone etc/deep/er && mkdir etc/deep/er && echo new > etc/deep/er/new
        rm etc/shadow && mkdir etc/shadow && echo x > etc/shadow/x && echo more >> etc/deep/a && rm run/null
        cd ../.. && umoci repack --image oci:v3 bundle && rm -r bundle && umoci unpack --image oci:v3 bundle
        umoci config --image oci:v3 --config.env A=b --config.entrypoint /bin/tool --config.user 7:8 --config.exposedports 80/tcp
    "#;
    must("sh", &["-ec", script], dir);
}

#[test]
fn an_image_of_umocis_is_what_umoci_unpacks() {
    assert!(is_root(), "mounts are made: run the tests as root");
    for user in [None, Some(12345)] {
        let mut place = Place::new(&format!("umoci-{}", user.unwrap_or(0)));
        umoci_image(&place.dir);
        if user.is_some() {
            must("chown", &["-R", "12345:12345", "state", "oci"], &place.dir);
        }
        place.user = user;
        place.good(&["import", "oci:oci:v3", "--name", "base"]);
        let trees = place.trees("base");
        assert_eq!(trees.len(), 2);
        let (ours, theirs) = (union(&trees, &place.dir), listing(&place.dir.join("bundle/rootfs")));
        // The owner of a link has no place in an ordinary user's tree.
        let own = |text: &str| {
            text.replace("(12345, 12345, 511, 'symlink')", "(0, 0, 511, 'symlink')")
                .replace("(12345, 12345, 384, 'pipe')", "(0, 0, 420, 'pipe')")
        };
        similar_asserted(&own(&ours), &theirs);
        let setuid = must(
            "find",
            &[place.dir.join("state").to_str().expect("UTF-8"), "-perm", "/6000", "-o", "-type", "b"],
            &place.dir,
        );
        assert_eq!(setuid, "");
        let shown = place.good(&["show", "base"]);
        for part in ["/bin/tool", "7:8", "80/tcp", "A=b", "linux/amd64"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        // The same from archives, with the layers that are there already.
        must(
            "skopeo",
            &["copy", "--quiet", "--insecure-policy", "oci:oci:v3", "docker-archive:saved.tar:a:b"],
            &place.dir,
        );
        must(
            "skopeo",
            &["copy", "--quiet", "--insecure-policy", "oci:oci:v3", "oci-archive:oci.tar:t"],
            &place.dir,
        );
        must("chmod", &["a+r", "saved.tar", "oci.tar"], &place.dir);
        place.good(&["import", "docker-archive:saved.tar:a:b", "--name", "saved"]);
        place.good(&["import", "oci-archive:oci.tar:t", "--name", "archived"]);
        assert_eq!(place.trees("saved"), trees);
        assert_eq!(place.trees("archived"), trees);
    }
}

/// Lines that differ, if any.
fn similar_asserted(ours: &str, theirs: &str) {
    let diff = similar::TextDiff::from_lines(theirs, ours).unified_diff().context_radius(0).to_string();
    assert!(diff.is_empty(), "- umoci, + ours\n{diff}");
}

#[test]
fn a_directory_and_an_archive_of_it_are_images_too() {
    let place = Place::new("rootfs");
    let script = "mkdir -p root/a/b && echo x > root/a/b/x && ln root/a/b/x root/y && ln -s a root/l && \
                  tar -C root -cf root.tar . && gzip -k root.tar && zstd -q root.tar -o root.tar.zst && xz -k root.tar";
    must("sh", &["-ec", script], &place.dir);
    for source in ["root", "root.tar", "rootfs:root.tar.gz", "rootfs:root.tar.zst", "root.tar.xz"] {
        place.good(&["import", source, "--name", "one", "--replace"]);
        let tree = place.trees("one").pop().expect("it has a layer");
        assert_eq!(listing(&tree).lines().count(), 6, "{source}");
        assert_eq!(fs::read_to_string(tree.join("l/b/x")).expect("it is there"), "x\n", "{source}");
    }
    // An image is known by a digest that what is in it makes.
    let digest = |source: &str| {
        let said = place.good(&["import", source, "--name", "one", "--replace"]);
        said.split_whitespace().find(|word| word.starts_with("sha256:")).expect("it says so").to_owned()
    };
    let (first, packed) = (digest("root"), digest("root.tar"));
    assert_eq!(digest("root"), first);
    assert_eq!(digest("root.tar.zst"), packed);
    fs::write(place.dir.join("root/more"), "more\n").expect("ours");
    assert_ne!(digest("root"), first);
}

#[test]
fn an_import_that_is_killed_leaves_all_or_nothing() {
    let place = Place::new("killed");
    must("sh", &["-c", "mkdir r && touch r/1 r/2 r/3"], &place.dir);
    packed(&place.dir, "r", "r.tar");
    let store = place.dir.join("state/images");
    let entries = |part: &str| fs::read_dir(store.join(part)).map_or(0, Iterator::count);
    let mut ended = [0, 0];
    // Each call that makes, moves or syncs something, the first time, the second, and so on.
    for call in ["mkdir", "mkdirat", "openat", "fsetxattr", "write", "syncfs", "renameat2", "fsync", "rmdir"]
    {
        for number in 1.. {
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let strace = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
                .arg(launcher())
                .args(["image", "import", "r.tar", "--name", "killed"])
                .env("STATE_DIRECTORY", place.dir.join("state"))
                .current_dir(&place.dir)
                .output()
                .expect("strace runs: `cargo xtask packages`");
            let shown = place.good(&["ls"]).lines().count() == 2;
            if shown {
                assert_eq!(fs::read_dir(&place.trees("killed")[0]).expect("there").count(), 3, "{inject}");
                place.good(&["rm", "killed"]);
            }
            assert!(shown || !strace.status.success(), "{inject}");
            ended[usize::from(shown)] += 1;
            place.good(&["gc"]);
            for part in ["names", "layers", "drafts"] {
                assert_eq!(entries(part), 0, "{inject} leaves something in {part}");
            }
            if strace.status.success() {
                break;
            }
        }
    }
    assert!(ended[0] > 20 && ended[1] >= 9, "{ended:?}");
}

#[test]
fn an_image_in_use_stays() {
    let place = Place::new("use");
    let layer = Tarball::default().file("good", "good").ended();
    let tree = place.tree(layer);
    let said =
        String::from_utf8_lossy(&place.run(&["import", "oci:oci", "--name", "one"]).stderr).into_owned();
    assert!(said.contains("--replace"), "{said}");
    let lock = place.dir.join("state/images/names/one/lock");
    let script = "exec 9<$0; flock -s 9; \"$@\"";
    let words =
        [&lock.to_string_lossy(), &launcher().to_string_lossy(), "image", "rm", "one"].map(ToOwned::to_owned);
    let held = Command::new("sh")
        .args(["-c", script])
        .args(&words)
        .env("STATE_DIRECTORY", place.dir.join("state"))
        .output();
    let held = held.expect("sh runs");
    assert_eq!(held.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&held.stderr).contains("is being started"), "{held:?}");
    assert!(tree.exists());
    place.good(&["gc"]);
    assert!(tree.exists(), "gc keeps what an image has");
    place.good(&["rm", "one"]);
    assert!(place.good(&["gc", "--json"]).contains("\"layers\":1"));
    assert!(!tree.exists());
}

/// An archive of a whole directory.
fn packed(dir: &Path, from: &str, into: &str) {
    must("tar", &["-C", from, "-cf", into, "."], dir);
}

#[test]
fn what_docker_saves_is_read_in_its_old_form_and_its_new_one() {
    let place = Place::new("docker");
    let layers = [
        Tarball::default().file("low", "low").file("gone", "x").ended(),
        Tarball::default().file("high", "high").file(".wh.gone", "").ended(),
    ];
    let ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{"Cmd":["/high"]}},"rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}}"#,
        ids[0], ids[1]
    );
    let digits = sha256(config.as_bytes());
    // Before Docker 25: a directory for each layer, with files for readers of the first format.
    let old = place.dir.join("old");
    for (id, layer) in [("1111", &layers[0]), ("2222", &layers[1])] {
        fs::create_dir_all(old.join(id)).expect("ours");
        fs::write(old.join(id).join("VERSION"), "1.0").expect("ours");
        fs::write(old.join(id).join("json"), format!("{{\"id\":\"{id}\"}}")).expect("ours");
        fs::write(old.join(id).join("layer.tar"), layer).expect("ours");
    }
    // A layer that occurs twice is a link to the first.
    fs::create_dir(old.join("3333")).expect("ours");
    std::os::unix::fs::symlink("../1111/layer.tar", old.join("3333/layer.tar")).expect("ours");
    fs::write(old.join(format!("{digits}.json")), &config).expect("ours");
    fs::write(old.join("repositories"), r#"{"shop":{"v1":"2222"}}"#).expect("ours");
    let manifest = format!(
        r#"[{{"Config":"{digits}.json","RepoTags":["shop:v1"],"Layers":["3333/layer.tar","2222/layer.tar"]}}]"#
    );
    fs::write(old.join("manifest.json"), manifest).expect("ours");
    packed(&place.dir, "old", "old.tar");
    // Since then: an OCI layout, with the old manifest beside its index.
    let new = place.dir.join("new");
    layout(&new, &layers);
    fs::write(new.join("blobs/sha256").join(&digits), &config).expect("ours");
    let manifest = format!(
        r#"[{{"Config":"blobs/sha256/{digits}","RepoTags":["shop:v1"],"Layers":["blobs/sha256/{}","blobs/sha256/{}"]}}]"#,
        sha256(&layers[0]),
        sha256(&layers[1])
    );
    fs::write(new.join("manifest.json"), manifest).expect("ours");
    packed(&place.dir, "new", "new.tar");
    let mut all = Vec::new();
    for source in [
        "docker-archive:old.tar",
        "docker-archive:old.tar:shop:v1",
        "docker-archive:new.tar:shop:v1",
        "oci-archive:new.tar",
    ] {
        place.good(&["import", source, "--name", "saved", "--replace"]);
        let trees = place.trees("saved");
        assert_eq!(trees.len(), 2, "{source}");
        assert_eq!(fs::read_to_string(trees[1].join("high")).expect("it is there"), "high", "{source}");
        all.push(trees);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the layers are the same: {all:?}");
    let output = place.run(&["import", "docker-archive:old.tar:shop:v2", "--name", "other"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("there are: shop:v1"), "{said}");
}

#[test]
fn what_buildah_writes_is_read() {
    assert!(is_root(), "buildah is run as root: run the tests as root");
    let place = Place::new("buildah");
    let script = r#"
        b="buildah --root $PWD/store --runroot $PWD/run --storage-driver vfs"
        c=$($b from scratch); echo hi > f; $b copy $c f /usr/f; $b config --env X=y --cmd '["/usr/f"]' $c
        $b commit --quiet $c oci:oci:t; $b commit --quiet --format docker $c oci:schema2:t
        $b commit --quiet $c docker-archive:saved.tar:x:y
        skopeo copy --quiet --insecure-policy --dest-compress --dest-compress-format zstd oci:oci:t oci:zstd:t
    "#;
    must("sh", &["-ec", script], &place.dir);
    for source in ["oci:oci:t", "oci:schema2:t", "docker-archive:saved.tar:x:y", "oci:zstd:t"] {
        place.good(&["import", source, "--name", "one", "--replace"]);
        let tree = place.trees("one").pop().expect("it has a layer");
        assert_eq!(fs::read_to_string(tree.join("usr/f")).expect("it is there"), "hi\n", "{source}");
        assert!(place.good(&["show", "one"]).contains("X=y"), "{source}");
    }
}

/// Has the kernel refuse mknodat(2) to a process and what it starts.
fn without_mknod() -> std::io::Result<()> {
    let filter = [
        libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_mknodat.try_into().unwrap_or(0) },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::EPERM.cast_unsigned() },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 },
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program lives as long as the calls that read it.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn where_a_whiteout_device_is_refused_a_file_says_the_same() {
    let place = Place::new("whiteout");
    let layers = [
        Tarball::default().file("gone", "x").file("dir/in", "x").file("back", "old").ended(),
        Tarball::default().file(".wh.gone", "").file(".wh.dir", "").file(".wh.back", "").ended(),
        Tarball::default().file("back", "new").file("dir/own", "y").ended(),
    ];
    let import = |layers: &[Vec<u8>]| {
        place.layers(layers);
        let mut command = place.command(&["import", "oci:oci", "--name", "one"]);
        // SAFETY: it makes two system calls and allocates nothing.
        unsafe { command.pre_exec(without_mknod) };
        let output = command.output().expect("the launcher runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // A layer above knows that the file is gone.
    let late = Tarball::default().entry("late", b'1', "gone", b"").ended();
    let (done, said) = import(&[&layers[..2], &[late]].concat());
    assert!(!done && said.contains("not there"), "{said}");
    let (done, said) = import(&layers);
    assert!(done, "{said}");
    let trees = place.trees("one");
    for name in ["gone", "dir", "back"] {
        assert!(trees[1].join(name).symlink_metadata().is_err(), "{name}");
        assert_eq!(fs::read(trees[1].join(format!(".wh.{name}"))).expect("it is there"), b"", "{name}");
    }
    assert_eq!(fs::read_to_string(trees[2].join("back")).expect("it is there"), "new");
    // The union knows whiteouts as devices alone.
    let policy = place.dir.join("policy.toml");
    fs::write(&policy, "[root]\nimage = \"one\"\n").expect("a fresh tree");
    let mut command = Command::new(launcher());
    command.arg("--policy").arg(&policy).arg("/own").env("STATE_DIRECTORY", place.dir.join("state"));
    let refused = command.output().expect("the launcher runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("import it anew"), "{said}");
}

#[test]
fn progress_is_shown_on_a_terminal_alone() {
    let place = Place::new("progress");
    place.layers(&[Tarball::default().file("good", "good").ended()]);
    let quiet = place.run(&["import", "oci:oci", "--name", "one"]);
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{quiet:?}");
    let words = format!("{} image import oci:oci --name two", launcher().display());
    let shown = Command::new("script")
        .args(["-qec", &words, "/dev/null"])
        .env("STATE_DIRECTORY", place.dir.join("state"))
        .env("TERM", "xterm")
        .current_dir(&place.dir)
        .output()
        .expect("script runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("2.00 KiB/2.00 KiB"), "{shown:?}");
    let json = place.good(&["import", "oci:oci", "--name", "three", "--json"]);
    assert!(json.contains("\"name\": \"three\""), "{json}");
}
