//! The store of images: what becomes of hostile ones.

use std::fs;

use tests::images::{Place, must};
use tests::tarball::{Tarball, blob, header, layout_of, sealed};

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
fn each_limit_holds_and_can_be_changed() {
    let place = Place::new("limits");
    let long = "n".repeat(200);
    let map = "0,1,2,1,4,1";
    let plain = || Tarball::default();
    for (limit, low, high, layers) in [
        ("bytes", "2000", "1M", vec![plain().file("x", &"y".repeat(4000)).ended()]),
        ("entries", "3", "4", vec![plain().dir("a").dir("b").ended(), plain().dir("c").dir("d").ended()]),
        ("depth", "3", "4", vec![plain().file("a/b/c/d", "x").ended()]),
        ("name", "199", "200", vec![plain().pax(b'x', &[("path", &long)]).file("x", "").ended()]),
        ("name", "199", "200", vec![plain().pax(b'x', &[("linkpath", &long)]).link("x", "").ended()]),
        (
            "header",
            "100",
            "1K",
            vec![plain().pax(b'x', &[("SCHILY.xattr.user.a", &long)]).file("x", "").ended()],
        ),
        (
            "pieces",
            "2",
            "3",
            vec![
                plain()
                    .pax(b'x', &[("GNU.sparse.map", map), ("GNU.sparse.size", "9")])
                    .file("x", "abc")
                    .ended(),
            ],
        ),
        (
            "file",
            "1M",
            "2M",
            vec![
                plain()
                    .pax(b'x', &[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1048577")])
                    .file("x", "a")
                    .ended(),
            ],
        ),
        ("layers", "1", "2", vec![plain().file("a", "").ended(), plain().file("b", "").ended()]),
        ("json", "100", "10K", vec![plain().file("a", "").ended()]),
    ] {
        place.layers(&layers);
        let import = |value: &str| {
            ["import", "oci:oci", "--name", "one", "--limit"]
                .map(String::from)
                .into_iter()
                .chain([format!("{limit}={value}")])
                .collect::<Vec<_>>()
        };
        let words = import(low);
        let said = place.refused(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains(&format!("--limit {limit}=")), "{said}");
        let words = import(high);
        place.good(&words.iter().map(String::as_str).collect::<Vec<_>>());
        place.good(&["rm", "one"]);
        place.good(&["gc"]);
    }
    // Those that hold for what an image is packed in.
    must(
        "sh",
        &[
            "-ec",
            "head -c 100M /dev/zero > z; tar -cf z.tar z; gzip -k z.tar; zstd -q --long=24 z.tar; head -c 100k /dev/urandom > x; tar -c x | xz -9 > x.tar.xz",
        ],
        &place.dir,
    );
    must("sh", &["-ec", "mkdir m; touch m/1 m/2 m/3; tar -cf m.tar m"], &place.dir);
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x98][..], &[0; 20]].concat();
    fs::write(place.dir.join("w.zst"), window).expect("ours");
    for (source, limit, part) in [
        ("z.tar.gz", "ratio=100", "--limit ratio="),
        ("oci-archive:m.tar", "members=2", "--limit members="),
        ("rootfs:w.zst", "window=1M", "--limit window="),
        ("rootfs:x.tar.xz", "window=8M", "--limit window="),
    ] {
        let said = place.refused(&["import", source, "--name", "one", "--limit", limit]);
        assert!(said.contains(part), "{said}");
    }
    place.good(&["import", "z.tar.gz", "--name", "one", "--limit", "ratio=2000"]);
    place.good(&["import", "x.tar.xz", "--name", "two", "--limit", "window=64M"]);
}

#[test]
fn a_layer_that_ends_too_early_is_refused_wherever_it_is_cut() {
    let place = Place::new("cut");
    must(
        "sh",
        &["-ec", "seq 3000 > f; tar -b1 -cf f.tar f; gzip -k f.tar; zstd -q f.tar; xz -k f.tar"],
        &place.dir,
    );
    for name in ["f.tar", "f.tar.gz", "f.tar.zst", "f.tar.xz"] {
        let whole = fs::read(place.dir.join(name)).expect("it is there");
        for part in 1..8 {
            fs::write(place.dir.join("cut"), &whole[..whole.len() * part / 8]).expect("ours");
            place.refused(&["import", "rootfs:cut", "--name", "cut"]);
        }
        let mut changed = whole.clone();
        let last = whole.len() - 3;
        changed[if name == "f.tar" { 10 } else { last }] ^= 1;
        fs::write(place.dir.join("cut"), changed).expect("ours");
        place.refused(&["import", "rootfs:cut", "--name", "cut"]);
        place.good(&["import", name, "--name", "whole"]);
        place.good(&["rm", "whole"]);
        place.good(&["gc"]);
    }
}
