//! The store of images: what good images become, against umoci and the
//! kernel's overlayfs, and what becomes of hostile ones.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::tarball::{Tarball, blob, header, layout, layout_of, sealed};
use tests::{is_root, launcher};

struct Place {
    dir: PathBuf,
    user: Option<u32>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("launcher-test-image-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("state")).expect("the temporary directory is writable");
        Place { dir, user: None }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(launcher());
        command
            .arg("image")
            .args(words)
            .env("STATE_DIRECTORY", self.dir.join("state"))
            .current_dir(&self.dir);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the launcher runs")
    }

    fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What is said where it is refused; nothing of it is to be seen then.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(125), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(self.good(&["ls"]).lines().count(), 1, "{words:?}");
        for part in ["names", "layers", "drafts"] {
            let left =
                fs::read_dir(self.dir.join("state/images").join(part)).expect("the store is there").count();
            assert_eq!(left, 0, "{words:?} leaves something in {part}");
        }
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn layers(&self, layers: &[Vec<u8>]) {
        let _ = fs::remove_dir_all(self.dir.join("oci"));
        layout(&self.dir.join("oci"), layers);
    }

    /// The trees of an image, lowest first.
    fn trees(&self, name: &str) -> Vec<PathBuf> {
        let shown = self.good(&["show", name]);
        shown
            .lines()
            .filter(|line| line.starts_with("              /"))
            .map(|line| line.trim().into())
            .collect()
    }

    /// One layer of a tar archive, imported; where its files are.
    fn tree(&self, layer: Vec<u8>) -> PathBuf {
        self.layers(&[layer]);
        self.good(&["import", "oci:oci", "--name", "one", "--replace"]);
        self.trees("one").pop().expect("it has a layer")
    }
}

fn must(program: &str, words: &[&str], dir: &Path) -> String {
    let output = Command::new(program).args(words).current_dir(dir).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `cargo xtask packages`"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is in a tree: types, modes, owners, times, links, attributes, contents.
/// Where a file cannot have what it should, its extended attribute counts.
const LISTING: &str = r#"
import os, sys, stat, hashlib
root = sys.argv[1]
first = {}
def row(path, name):
    s = os.lstat(path)
    kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'symlink', stat.S_IFIFO: 'pipe',
            stat.S_IFCHR: 'char-%d-%d', stat.S_IFBLK: 'block-%d-%d'}[stat.S_IFMT(s.st_mode)]
    if '%' in kind: kind %= (os.major(s.st_rdev), os.minor(s.st_rdev))
    own = (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode), kind)
    attributes = {}
    if not stat.S_ISLNK(s.st_mode):
        for key in os.listxattr(path):
            value = os.getxattr(path, key)
            if key == 'user.containers.override_stat':
                uid, gid, mode, kind = value.decode().split(':')
                own = (int(uid), int(gid), int(mode, 8), kind)
            elif key.startswith('user.launcher.xattr.'):
                attributes[key[len('user.launcher.xattr.'):]] = value
            elif not key.startswith('user.overlay.'):
                attributes[key] = value
    linked = ''
    if not stat.S_ISDIR(s.st_mode) and s.st_nlink > 1:
        linked = first.setdefault((s.st_dev, s.st_ino), name)
    content = ''
    if stat.S_ISLNK(s.st_mode): content = os.readlink(path)
    elif stat.S_ISREG(s.st_mode): content = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    if kind.startswith(('char', 'block')): content = ''
    print(repr(name), own, s.st_mtime_ns, linked, sorted(attributes.items()), content)
def walk(path, name):
    row(path, name)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for child in sorted(os.listdir(path)): walk(path + '/' + child, name + '/' + child)
walk(root, '')
"#;

fn listing(tree: &Path) -> String {
    must("python3", &["-c", LISTING, &tree.to_string_lossy()], Path::new("/"))
}

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
                  tar -C root -cf root.tar . && gzip -k root.tar && zstd -q root.tar -o root.tar.zst";
    must("sh", &["-ec", script], &place.dir);
    for source in ["root", "root.tar", "rootfs:root.tar.gz", "rootfs:root.tar.zst"] {
        place.good(&["import", source, "--name", "one", "--replace"]);
        let tree = place.trees("one").pop().expect("it has a layer");
        assert_eq!(listing(&tree).lines().count(), 6, "{source}");
        assert_eq!(fs::read_to_string(tree.join("l/b/x")).expect("it is there"), "x\n", "{source}");
    }
}

#[test]
fn names_stay_inside() {
    let place = Place::new("inside");
    let outside = place.dir.join("outside");
    fs::create_dir(&outside).expect("ours");
    fs::write(outside.join("kept"), "kept").expect("ours");
    let out = outside.to_string_lossy().into_owned();
    let hostile = Tarball::default()
        .link("away", &out)
        .file("away/written", "x")
        .file("../../../../dotdot", "x")
        .file("/absolute", "x")
        .link("up", "../../../../..")
        .file("up/up", "x")
        .link("self", ".")
        .file("self/self/deep", "x")
        .file("away/.wh.kept", "");
    let tree = place.tree(hostile.ended());
    assert_eq!(fs::read_dir(&outside).expect("ours").count(), 1, "something was written outside");
    assert!(outside.join("kept").exists());
    for name in ["dotdot", "absolute", "up", "deep"] {
        assert!(tree.join(name).symlink_metadata().is_ok(), "{name}");
    }
    assert!(tree.join(out.trim_start_matches('/')).join("written").exists(), "the link leads inside");
}

#[test]
fn what_is_hostile_is_refused_with_the_rule() {
    let place = Place::new("hostile");
    let good = || Tarball::default().file("good", "good");
    let long = "x".repeat(300);
    let circle = Tarball::default().link("a", "b").link("b", "a").file("a/x", "x");
    let mut checksum = header(b"x", b'0', b"", 0);
    checksum[0] = b'y';
    let mut sized = header(b"x", b'2', b"y", 0);
    sized[124..135].copy_from_slice(b"00000000777");
    let deep = "d/".repeat(200);
    for (layer, parts) in [
        (good().entry("h", b'1', "/etc/passwd", b"").ended(), &["layer 1", "`h`", "not there"][..]),
        (good().entry("h", b'1', "../../../etc/passwd", b"").ended(), &["not there"]),
        (good().entry("h", b'1', "later", b"").file("later", "").ended(), &["not there"]),
        (good().file(".wh.", "").ended(), &["hides no name"]),
        (good().file(".wh...", "").ended(), &["hides no name"]),
        (good().file("a/..", "").ended(), &["`..`"]),
        (good().link(".", "/etc").ended(), &["the root"]),
        (circle.ended(), &["circle"]),
        (good().file("good/below", "").ended(), &["no directory"]),
        (good().pax(b'x', &[("path", &long)]).file("x", "").ended(), &["255"]),
        (
            good().file(&deep[..90], "").pax(b'x', &[("path", &deep)]).dir("x").ended(),
            &["depth", "--limit depth="],
        ),
        (good().pax(b'x', &[("path", "a\0b")]).file("x", "").ended(), &["NUL"]),
        (good().raw(&checksum).ended(), &["checksum"]),
        (good().raw(&sealed(sized)).ended(), &["no file", "disagree"]),
        (good().entry("odd", b'M', "", b"").ended(), &["type 'M'"]),
        (good().pax(b'x', &[("size", "99999")]).file("x", "").ended(), &["ends within a file"]),
        ([good().ended(), good().ended()].concat(), &["goes on after its end"]),
        (
            good()
                .pax(b'x', &[("GNU.sparse.map", "0,1,0,1"), ("GNU.sparse.size", "9")])
                .file("x", "ab")
                .ended(),
            &["overlap"],
        ),
        (
            good().pax(b'x', &[("GNU.sparse.map", "0,5"), ("GNU.sparse.size", "9")]).file("x", "ab").ended(),
            &["are stored"],
        ),
        (good().pax(b'x', &[("path", "x")]).cut(), &["before the entry"]),
    ] {
        place.layers(&[layer]);
        let said = place.refused(&["import", "oci:oci", "--name", "bad"]);
        for part in parts {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}

#[test]
fn a_bomb_and_a_damaged_blob_are_refused() {
    let place = Place::new("bomb");
    must(
        "sh",
        &["-c", "head -c 200M /dev/zero > zero && tar -cf zero.tar zero && gzip -k zero.tar"],
        &place.dir,
    );
    let said = place.refused(&["import", "rootfs:zero.tar.gz", "--name", "bomb"]);
    assert!(said.contains("--limit ratio="), "{said}");
    let said = place.refused(&["import", "zero.tar", "--name", "big", "--limit", "bytes=1M"]);
    assert!(said.contains("limit `bytes` of 1048576"), "{said}");
    let said = place.refused(&["import", "zero.tar", "--name", "big", "--limit", "byte=1"]);
    assert!(said.contains("there are bytes, ratio"), "{said}");
    let layer = Tarball::default().file("good", "good").ended();
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    for (archives, kind, blobs, part) in [
        (&layer, gzip, [&layer[..], b"x"].concat(), "goes on after its end"),
        (&Tarball::default().ended(), gzip, layer.clone(), "the configuration says"),
        (&layer, "application/vnd.oci.image.layer.nondistributable.v1.tar", layer.clone(), "another server"),
        (&layer, "application/vnd.oci.image.layer.v1.tar+encrypted", layer.clone(), "decrypt"),
    ] {
        let _ = fs::remove_dir_all(place.dir.join("oci"));
        layout_of(&place.dir.join("oci"), std::slice::from_ref(archives), kind, &[blobs]);
        let said = place.refused(&["import", "oci:oci", "--name", "bad"]);
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // A blob changed in place, and one cut short.
    place.layers(std::slice::from_ref(&layer));
    let file = place.dir.join("oci/blobs/sha256").join(tests::tarball::sha256(&layer));
    let mut changed = layer.clone();
    changed[520] ^= 1;
    fs::write(&file, changed).expect("ours");
    assert!(place.refused(&["import", "oci:oci", "--name", "bad"]).contains("damaged or was changed"));
    fs::write(&file, &layer[..1024]).expect("ours");
    assert!(place.refused(&["import", "oci:oci", "--name", "bad"]).contains("truncated"));
    let outside = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../../etc/passwd","size":1}]}"#;
    fs::write(place.dir.join("oci/index.json"), outside).expect("ours");
    assert!(place.refused(&["import", "oci:oci", "--name", "bad"]).contains("is no digest"));
    let arm = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0","size":1,"platform":{"os":"linux","architecture":"arm64"}}]}"#;
    fs::write(place.dir.join("oci/index.json"), arm).expect("ours");
    assert!(place.refused(&["import", "oci:oci", "--name", "bad"]).contains("there are: linux/arm64"));
    fs::write(place.dir.join("oci/index.json"), "[".repeat(100_000)).expect("ours");
    assert!(place.refused(&["import", "oci:oci", "--name", "bad"]).contains("index.json"));
    blob(&place.dir.join("oci"), gzip, b"unreferenced blobs are allowed");
}

#[test]
fn the_last_entry_of_a_name_counts() {
    let place = Place::new("last");
    let layer = Tarball::default()
        .dir("d")
        .file("d/in", "x")
        .file("d", "now a file")
        .file("f", "x")
        .dir("f")
        .file("f/in", "y")
        .pax(b'g', &[("mtime", "5.25")])
        .pax(b'x', &[("path", "pax"), ("size", "3")])
        .raw(&header(b"ustar", b'0', b"", 3))
        .raw(b"abc")
        .pax(b'x', &[("GNU.sparse.map", "1048576,2"), ("GNU.sparse.size", "2097152")])
        .file("sparse", "ab")
        .pax(
            b'x',
            &[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "new"),
                ("GNU.sparse.realsize", "9"),
            ],
        )
        .file("GNUSparseFile.0/new", &format!("1\n4\n2\n{}cd", "\0".repeat(506)))
        .entry("long", b'L', "", "l".repeat(200).as_bytes())
        .file("short", "x");
    let tree = place.tree(layer.ended());
    let text = |name: &str| fs::read_to_string(tree.join(name)).expect("it is there");
    assert_eq!((text("d"), text("f/in"), text("pax")), ("now a file".into(), "y".into(), "abc".into()));
    assert_eq!(text("new"), "\0\0\0\0cd\0\0\0");
    assert_eq!(text(&"l".repeat(200)), "x");
    let sparse = fs::metadata(tree.join("sparse")).expect("it is there");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(sparse.len(), 2 << 20);
    assert!(sparse.blocks() < 64, "the holes have been filled");
    assert_eq!((sparse.mtime(), sparse.mtime_nsec()), (5, 250_000_000));
}

#[test]
fn an_import_that_is_killed_leaves_nothing() {
    let place = Place::new("killed");
    must(
        "sh",
        &["-c", "mkdir r && for i in $(seq 2000); do echo $i > r/$i; done && tar -cf r.tar r"],
        &place.dir,
    );
    for wait in [0, 5, 10, 20, 30, 50, 80, 120] {
        let mut child =
            place.command(&["import", "r.tar", "--name", "killed"]).spawn().expect("the launcher runs");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let _ = child.kill();
        let done = child.wait().expect("it ends").success();
        let shown = place.good(&["ls"]);
        // All of it is there, or nothing.
        assert!(
            shown.lines().count() == 1
                || fs::read_dir(place.trees("killed")[0].join("r")).expect("there").count() == 2000
        );
        assert!(!done || shown.lines().count() == 2);
        if shown.lines().count() == 2 {
            place.good(&["rm", "killed"]);
        }
        place.good(&["gc"]);
        for part in ["names", "layers", "drafts"] {
            assert_eq!(
                fs::read_dir(place.dir.join("state/images").join(part)).expect("there").count(),
                0,
                "{part}"
            );
        }
    }
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
    assert!(String::from_utf8_lossy(&held.stderr).contains("in use"), "{held:?}");
    assert!(tree.exists());
    place.good(&["gc"]);
    assert!(tree.exists(), "gc keeps what an image has");
    place.good(&["rm", "one"]);
    assert!(place.good(&["gc", "--json"]).contains("\"layers\":1"));
    assert!(!tree.exists());
}
