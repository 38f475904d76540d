//! What an instance has changed, the image that is made of it, held against what umoci
//! unpacks and skopeo copies, and the instance on another host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::images::{LISTING, listing, must};
use tests::instances::{Site, until};
use tests::is_root;

/// The host's programs beside an image's root.
const HOST: &str = r#"
[root]
image = "shop"
[env]
set = { PATH = "/usr/bin:/usr/sbin", B = "c" }
[[mount]]
at = "/usr"
source = "/usr"
[[mount]]
at = "/lib"
source = "/usr/lib"
[[mount]]
at = "/lib64"
source = "/usr/lib64"
"#;

/// An image of two layers, with all that a file can be.
const IMAGE: &str = r#"
    umoci init --layout oci && umoci new --image oci:v1 && umoci unpack --image oci:v1 bundle
    cd bundle/rootfs && mkdir -p data/deep/er data/moved/in data/gone data/again usr lib lib64 proc dev sys tmp
    echo a > data/a && echo b > data/deep/b && echo c > data/deep/er/c && echo d > data/gone/d
    echo e > data/moved/e && ln data/moved/e data/moved/in/e2 && ln data/moved/e data/deep/outside && ln data/moved/e data/zz && ln -s ../a data/moved/l && echo f > data/again/f
    echo tool > data/tool && chmod 4755 data/tool && setcap cap_net_raw+ep data/tool && mknod data/null c 1 3
    mkfifo data/moved/pipe && chmod 640 data/deep/b && chown 1000:42 data/deep/b data/moved
    setfattr -n user.note -v hello data/moved/e
    cd ../.. && umoci repack --image oci:v1 bundle && rm -r bundle && umoci unpack --image oci:v1 bundle
    cd bundle/rootfs && echo g > data/moved/g && rm -r data/gone && echo h > data/h
    cd ../.. && umoci repack --image oci:v1 bundle && rm -r bundle
    umoci config --image oci:v1 --config.env A=b --config.cmd /data/tool --config.label x=y --config.workingdir /data
"#;

/// Changes of all kinds.
const CHANGES: &str = r#"
    set -e; cd /data
    echo more >> a; mv moved renamed; mv renamed/in renamed/inner; echo i > renamed/inner/i; rm renamed/g
    rm -r again; mkdir again; echo j > again/j; rm h; mkdir h; echo k > h/k
    mkdir new; echo l > new/l; ln new/l new/l2; ln -s /nowhere new/link; mkfifo -m 622 new/pipe
    truncate -s 3M new/sparse; echo end >> new/sparse; head -c 200000 /dev/zero > new/zeros
    setfattr -n user.own -v own new/l; chmod 700 deep/er; touch -d '1999-12-31 23:59:59.123456789' new/l deep
    touch -d '1969-12-31 23:59:58.5' new/link -h; rm deep/b; : > 'new/a	name'; exec 3<> tool
    d=new; for name in aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb; do
    d=$d/$name; mkdir $d; echo x > $d/$name; done
"#;

/// What only root can.
const OF_ROOT: &str = r#"
    chown 7:8 new/l2; mknod new/dev c 5 6; cp new/zeros new/suid; chmod 6711 new/suid; setcap cap_chown+ep new/zeros
    chown -h 9:9 new/link; chown 3000000:3000000 h; chmod 1777 h
"#;

/// A site with the image `shop`, and a policy `shop` on it.
fn shop(name: &str, user: Option<u32>) -> Site {
    assert!(is_root(), "umoci is run as root: run the tests as root");
    let mut site = Site::new(name);
    must("sh", &["-ec", IMAGE], &site.dir);
    must("sh", &["-ec", "mkdir -p state runtime"], &site.dir);
    site.policy("shop", HOST);
    if let Some(user) = user {
        must("chown", &["-R", &format!("{user}:{user}"), "."], &site.dir);
        site.user = Some(user);
    }
    site.good(&["image", "import", "oci:oci:v1", "--name", "shop"]);
    site
}

fn changed(site: &Site, policy: &str, script: &str) {
    site.good(&["--policy", policy, "/usr/bin/bash", "-c", script]);
}

/// The listing of /data as a program of the view sees it.
fn seen(site: &Site, policy: &str) -> String {
    site.good(&["--policy", policy, "/usr/bin/python3", "-c", LISTING, "/data"])
}

/// The listing of /data as umoci unpacks it.
fn unpacked(site: &Site, image: &str) -> String {
    let _ = fs::remove_dir_all(site.dir.join("unpacked"));
    must("umoci", &["unpack", "--image", image, "unpacked"], &site.dir);
    listing(&site.dir.join("unpacked/rootfs/data"))
}

fn same(theirs: &str, ours: &str) {
    let diff = similar::TextDiff::from_lines(theirs, ours).unified_diff().context_radius(0).to_string();
    assert!(diff.is_empty(), "- umoci, + ours\n{diff}");
}

/// A document of a layout, by its digest.
fn document(layout: &Path, digest: &str) -> Value {
    let file = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    serde_json::from_slice(&fs::read(file).expect("the blob is there")).expect("it is JSON")
}

/// The manifest and the configuration of an image in a layout.
fn image(layout: &Path, tag: &str) -> (Value, Value) {
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("it is there")).expect("JSON");
    let all = index["manifests"].as_array().expect("a list");
    let one = all
        .iter()
        .find(|one| one["annotations"]["org.opencontainers.image.ref.name"] == tag)
        .expect("tagged");
    let manifest = document(layout, one["digest"].as_str().expect("text"));
    let config = document(layout, manifest["config"]["digest"].as_str().expect("text"));
    (manifest, config)
}

#[test]
fn a_diff_tells_what_was_added_changed_and_deleted() {
    let site = shop("diff", None);
    fs::create_dir_all(site.dir.join("etc/old")).expect("ours");
    fs::write(site.dir.join("etc/conf"), "conf").expect("ours");
    let policy = format!("{HOST}[[mount]]\nat = \"/etc/own\"\nlayers = [\"./etc\"]\n");
    site.policy("shop", &policy);
    changed(
        &site,
        "shop.toml",
        &format!("{CHANGES}\necho x > /etc/own/new; rmdir /etc/own/old; exec 4<> /etc/own/conf"),
    );
    let said = site.good(&["diff", "shop"]);
    let own: BTreeSet<&str> = said.lines().filter(|line| !line.contains("aaaaaaaa")).collect();
    let expected = "C /data\nC /data/a\nC /data/again\nD /data/again/f\nA /data/again/j\nC /data/deep\nD /data/deep/b\nC /data/deep/er\n\
        C /data/h\nA /data/h/k\nD /data/moved\nA /data/new\nA /data/new/a\\tname\nA /data/new/l\nA /data/new/l2\nA /data/new/link\n\
        A /data/new/pipe\nA /data/new/sparse\nA /data/new/zeros\nA /data/renamed\nA /data/renamed/e\nA /data/renamed/inner\n\
        A /data/renamed/inner/e2\nA /data/renamed/inner/i\nA /data/renamed/l\nA /data/renamed/pipe\nC /etc/own\nA /etc/own/new\nD /etc/own/old";
    assert_eq!(
        own.into_iter().collect::<Vec<_>>(),
        expected.lines().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    let rows: Value = serde_json::from_str(&site.good(&["diff", "shop", "--json"])).expect("it is JSON");
    assert_eq!(rows.as_array().expect("a list").len(), said.lines().count());
    assert!(
        rows.as_array()
            .expect("a list")
            .contains(&serde_json::json!({ "change": "D", "path": "/data/moved" }))
    );
    assert!(site.refused(&["diff", "none"]).contains("no instance `none`"));
}

#[test]
fn what_umoci_unpacks_of_a_commit_is_what_the_program_saw() {
    let site = shop("umoci", None);
    changed(&site, "shop.toml", &format!("{CHANGES}\n{OF_ROOT}"));
    let seen = seen(&site, "shop.toml");
    for compression in ["zstd", "gzip"] {
        site.good(&["commit", "shop", "oci:./out:v2", "--compression", compression]);
        let layout = site.dir.join("out");
        let (manifest, config) = image(&layout, "v2");
        let layers = manifest["layers"].as_array().expect("a list");
        assert_eq!(layers.len(), 3);
        let kind = format!("application/vnd.oci.image.layer.v1.tar+{compression}");
        assert!(layers.iter().all(|layer| layer["mediaType"] == kind), "{manifest:#}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(3));
        let of_layers = |one: &&Value| one["empty_layer"] != true;
        assert_eq!(config["history"].as_array().expect("a list").iter().filter(of_layers).count(), 3);
        assert_eq!(config["config"]["Labels"]["x"], "y");
        assert_eq!(config["config"]["Cmd"][0], "/data/tool");
        assert_eq!(config["config"]["WorkingDir"], "/data");
        let env: Vec<&str> =
            config["config"]["Env"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(env.contains(&"A=b") && env.contains(&"B=c"), "{env:?}");
        // umoci of Debian does not read zstd; skopeo packs it anew.
        let source = if compression == "zstd" { "plain:v2" } else { "out:v2" };
        if compression == "zstd" {
            let words = [
                "copy",
                "--quiet",
                "--insecure-policy",
                "--dest-compress-format",
                "gzip",
                "oci:out:v2",
                "oci:plain:v2",
            ];
            must("skopeo", &words, &site.dir);
        }
        same(&unpacked(&site, source), &seen);
    }
    // What skopeo makes of it, and what the store does.
    must(
        "skopeo",
        &["copy", "--quiet", "--insecure-policy", "oci:out:v2", "docker-archive:saved.tar:a:b"],
        &site.dir,
    );
    assert!(must("skopeo", &["inspect", "oci:out:v2"], &site.dir).contains("\"A=b\""));
    for (source, name) in [("docker-archive:saved.tar", "saved"), ("oci:out:v2", "again")] {
        site.good(&["image", "import", source, "--name", name]);
        site.policy(name, &HOST.replace("shop", name));
        same(&seen, &self::seen(&site, &format!("{name}.toml")));
    }
}

#[test]
fn a_commit_into_the_store_shares_the_layers_and_runs() {
    let site = shop("store", None);
    changed(&site, "shop.toml", CHANGES);
    let seen = seen(&site, "shop.toml");
    site.good(&["commit", "shop", "second"]);
    let layers = |name: &str| -> Vec<Value> {
        let shown: Value =
            serde_json::from_str(&site.good(&["image", "show", name, "--json"])).expect("JSON");
        shown["trees"].as_array().expect("a list").clone()
    };
    assert_eq!(layers("second")[..2], layers("shop")[..]);
    assert_eq!(layers("second").len(), 3);
    site.policy("second", &HOST.replace("shop", "second"));
    same(&seen, &self::seen(&site, "second.toml"));
    let said = site.refused(&["commit", "shop", "second"]);
    assert!(said.contains("--replace"), "{said}");
    // The same once more is another image on the first one's layers.
    changed(&site, "second.toml", "echo third > /data/third; rm /data/a");
    site.good(&["commit", "second", "third", "--json"]);
    site.policy("third", &HOST.replace("shop", "third"));
    assert_eq!(
        site.good(&[
            "--policy",
            "third.toml",
            "/usr/bin/bash",
            "-c",
            "cat /data/third; test -e /data/a || echo gone"
        ]),
        "third\ngone\n"
    );
    let config: Value =
        serde_json::from_str(&site.good(&["image", "show", "third", "--json"])).expect("JSON");
    let history = config["config"]["history"].as_array().expect("a list");
    assert_eq!(history[history.len() - 1]["created_by"], "launcher commit second");
}

#[test]
fn an_ordinary_users_files_are_roots_in_the_image() {
    let site = shop("user", Some(12345));
    // The mode that is kept of a directory shows in its attributes, whatever becomes of it.
    changed(&site, "shop.toml", &CHANGES.replace("chmod 700 deep/er", "touch deep/er"));
    let seen = seen(&site, "shop.toml");
    site.good(&["commit", "shop", "oci:out:v2"]);
    let own = seen.replace("(12345, 12345, ", "(0, 0, ");
    // A FIFO of the image carries no mode in an ordinary user's tree.
    let own = own.replace("'/renamed/pipe' (0, 0, 384,", "'/renamed/pipe' (0, 0, 420,");
    same(&unpacked(&site, "out:v2"), &own);
    let diff = site.good(&["diff", "shop"]);
    assert!(!diff.contains("/data/tool") && diff.contains("D /data/moved\n"), "{diff}");
    changed(&site, "shop.toml", "echo x > /data/secret; chmod 000 /data/secret");
    let said = site.refused(&["commit", "shop", "oci:out:v3"]);
    assert!(said.contains("data/secret") && said.contains("chmod u+r"), "{said}");
    assert_eq!(must("umoci", &["ls", "--layout", "out"], &site.dir), "v2\n");
}

#[test]
fn setuid_bits_of_the_image_stay_until_the_program_changes_the_mode() {
    let site = shop("setuid", None);
    changed(&site, "shop.toml", "cd /data; echo x >> tool; mv null zero; chmod 700 zero");
    site.good(&["commit", "shop", "oci:out:v2"]);
    let listed = unpacked(&site, "out:v2");
    assert!(listed.contains("'/tool' (0, 0, 2541, 'file')"), "{listed}");
    assert!(listed.contains("'/zero' (0, 0, 448, 'char-1-3')"), "{listed}");
    changed(&site, "shop.toml", "chmod 711 /data/tool; chown 5 /data/tool");
    site.good(&["commit", "shop", "oci:out:v3"]);
    let listed = unpacked(&site, "out:v3");
    assert!(listed.contains("'/tool' (5, 0, 457, 'file')"), "{listed}");
}

#[test]
fn the_same_content_gives_the_same_digests() {
    let site = shop("same", None);
    let times =
        "find /data -newermt 2020-01-01 -exec touch -h -d @1000000000 {} +; touch -d @1000000000 /data /";
    site.policy("other", HOST);
    let mut digests = Vec::new();
    for (policy, layout) in [("shop", "one"), ("shop", "two"), ("other", "three")] {
        if layout != "two" {
            changed(&site, &format!("{policy}.toml"), &format!("{CHANGES}\n{OF_ROOT}\n{times}"));
        }
        let mut command = site.command(&["commit", policy, &format!("oci:{layout}:t")]);
        let output = command.env("SOURCE_DATE_EPOCH", "1234567890").output().expect("the launcher runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (manifest, config) = image(&site.dir.join(layout), "t");
        assert_eq!(config["created"], "2009-02-13T23:31:30Z");
        digests.push((manifest["layers"].clone(), manifest));
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0].0, digests[2].0, "the layers of two instances");
}

#[test]
fn layers_whose_archives_are_kept_come_back_as_they_came() {
    let site = shop("archives", None);
    changed(&site, "shop.toml", CHANGES);
    let layers = |layout: &str, tag: &str| {
        let (manifest, config) = image(&site.dir.join(layout), tag);
        let digest = |layer: &Value| layer["digest"].clone();
        let all: Vec<Value> = manifest["layers"].as_array().expect("a list").iter().map(digest).collect();
        (all, config["rootfs"]["diff_ids"].as_array().expect("a list").clone())
    };
    let (theirs, diffs) = layers("oci", "v1");
    site.good(&["commit", "shop", "oci:out:anew"]);
    assert_ne!(layers("out", "anew").0[..2], theirs[..]);
    // The layers are there already, and get their archives.
    site.good(&["image", "import", "oci:oci:v1", "--name", "kept", "--keep-archives"]);
    site.good(&["commit", "shop", "oci:out:kept", "--compression", "zstd"]);
    let (ours, own) = layers("out", "kept");
    assert_eq!((&ours[..2], &own[..2]), (&theirs[..], &diffs[..]));
    let words = [
        "copy",
        "--quiet",
        "--insecure-policy",
        "--dest-compress-format",
        "gzip",
        "oci:out:kept",
        "oci:plain:v2",
    ];
    must("skopeo", &words, &site.dir);
    same(&unpacked(&site, "plain:v2"), &seen(&site, "shop.toml"));
    // What an image says of its layers does not make another one's archive of it.
    let blob = |digest: &Value| {
        site.dir.join("oci/blobs/sha256").join(digest.as_str().expect("text").replace("sha256:", ""))
    };
    must("sh", &["-ec", "rm -r state runtime; mkdir state"], &site.dir);
    site.good(&["image", "import", "oci:oci:v1", "--name", "shop"]);
    let bytes = fs::read(blob(&theirs[0])).expect("it is there");
    fs::write(blob(&theirs[0]), [&bytes[..bytes.len() - 1], b"x"].concat()).expect("ours");
    let said = site.refused(&["image", "import", "oci:oci:v1", "--name", "bad", "--keep-archives"]);
    assert!(said.contains("archive"), "{said}");
    assert_eq!(site.good(&["image", "ls"]).lines().count(), 2);
}

#[test]
fn a_layout_keeps_its_other_images() {
    let site = shop("tags", None);
    changed(&site, "shop.toml", "echo one > /data/one");
    site.good(&["commit", "shop", "oci:oci:v2"]);
    changed(&site, "shop.toml", "echo two > /data/two");
    site.good(&["commit", "shop", "oci:oci:v3"]);
    site.good(&["commit", "shop", "oci:oci:v2"]);
    let tags = must("umoci", &["ls", "--layout", "oci"], &site.dir);
    assert_eq!(tags.lines().collect::<BTreeSet<_>>(), BTreeSet::from(["v1", "v2", "v3"]));
    assert!(!unpacked(&site, "oci:v1").contains("'/one'"));
    assert!(unpacked(&site, "oci:v2").contains("'/two'"));
    assert_eq!(fs::read_dir(site.dir.join("oci")).expect("there").count(), 3, "nothing else is left in it");
    for (target, reason) in [
        ("oci:", "names no directory"),
        ("oci:out:a b", "cannot be a tag"),
        ("oci:bin:t", "is no OCI layout"),
        ("a/b", "cannot be the name of an image"),
    ] {
        fs::create_dir_all(site.dir.join("bin/x")).expect("ours");
        let said = site.refused(&["commit", "shop", target]);
        assert!(said.contains(reason), "{target}: {said}");
    }
}

#[test]
fn an_instance_that_runs_is_not_committed() {
    let site = shop("runs", None);
    let ready = site.dir.join("ready");
    let script = "echo x > /data/x; echo > /tmp/ready; sleep 60";
    site.policy(
        "shop",
        &format!(
            "{HOST}[[mount]]\nat = \"/tmp\"\nsource = \"{}\"\naccess = \"read-write\"\n",
            site.dir.display()
        ),
    );
    let mut child =
        site.command(&["--policy", "shop.toml", "/usr/bin/bash", "-c", script]).spawn().expect("it starts");
    until("it runs", || ready.exists());
    for words in [&["commit", "shop", "oci:out:v2"][..], &["export", "shop"]] {
        let said = site.refused(words);
        assert!(
            said.contains(&format!("process {}", child.id())) && said.contains("launcher stop shop"),
            "{said}"
        );
    }
    assert!(site.good(&["diff", "shop"]).contains("A /data/x"));
    site.good(&["stop", "shop", "--timeout", "0"]);
    child.wait().expect("it has ended");
    site.good(&["commit", "shop", "oci:out:v2"]);
}

#[test]
fn layers_without_an_image_are_one_layer_each() {
    let site = shop("layers", None);
    let script = "mkdir -p low/data low/usr low/lib low/lib64 low/proc high/data; echo low > low/data/low; echo both > low/data/both; \
                  echo gone > low/data/gone; echo high > high/data/both; mknod high/data/gone c 0 0; echo local > usr.local";
    must("sh", &["-ec", script], &site.dir);
    let policy = HOST.replace("image = \"shop\"", "layers = [\"./low\", \"./high\"]");
    site.policy("plain", &format!("{policy}[[mount]]\nat = \"/opt\"\nlayers = [\"./low\"]\n"));
    changed(&site, "plain.toml", "echo new > /data/new; rm /data/low; echo x > /opt/x");
    let seen = seen(&site, "plain.toml");
    let output = site.run(&["commit", "plain", "oci:out:v1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the changes at /opt stay"), "{said}");
    let (manifest, config) = image(&site.dir.join("out"), "v1");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(3));
    assert_eq!(config["history"].as_array().map(Vec::len), Some(3));
    same(&unpacked(&site, "out:v1"), &seen);
    site.policy("mount", "[[mount]]\nat = \"/opt\"\nlayers = [\"./low\"]\n");
    changed(&site, "mount.toml", "echo x > /opt/x");
    let said = site.refused(&["commit", "mount", "oci:out:v2"]);
    assert!(said.contains("needs [root]"), "{said}");
    changed(&site, "plain.toml", "echo x > /data/.wh.x");
    let said = site.refused(&["commit", "plain", "oci:out:v2"]);
    assert!(said.contains("/data/.wh.x") || said.contains("data/.wh.x"), "{said}");
    assert!(said.contains("rename it"), "{said}");
}
