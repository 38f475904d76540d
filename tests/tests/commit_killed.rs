//! Commits and imports that are cut off, at each call that changes something: what was
//! there before is there, or what was to be, and nothing half made stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::images::must;
use tests::instances::{Site, killed_at_each_change};

/// A site with an instance `app` that has changes to a small image.
fn site(name: &str, more: &str) -> Site {
    let site = Site::new(name);
    let script = "mkdir -p small/bin small/srv small/v small/w small/tmp; cp root/bin/busybox small/bin/; echo hello > small/greeting; \
                  for name in sh cat mkdir mv rm; do ln -s busybox small/bin/$name; done";
    must("sh", &["-ec", script], &site.dir);
    site.good(&["image", "import", "small", "--name", "base"]);
    site.policy("app", &format!("[root]\nimage = \"base\"\n{more}"));
    site.sh("app.toml", "echo one > /one; rm /greeting; mkdir /d; mv /srv /d/srv");
    site
}

/// The names below a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(names(&entry.path()).iter().map(|below| format!("{name}/{below}")));
        }
        found.push(name);
    }
    found.sort();
    found
}

/// The digits of the blobs of a layout.
fn blobs(layout: &Path) -> BTreeSet<String> {
    names(&layout.join("blobs/sha256")).into_iter().collect()
}

/// The digits of those that its index leads to.
fn referred(layout: &Path) -> BTreeSet<String> {
    let read = |file: PathBuf| -> Value {
        serde_json::from_slice(&fs::read(file).expect("it is there")).expect("it is JSON")
    };
    let digits = |one: &Value| one["digest"].as_str().expect("text").replace("sha256:", "");
    let mut found = BTreeSet::new();
    for one in read(layout.join("index.json"))["manifests"].as_array().expect("a list") {
        let manifest = read(layout.join("blobs/sha256").join(digits(one)));
        found.extend([digits(one), digits(&manifest["config"])]);
        found.extend(manifest["layers"].as_array().expect("a list").iter().map(digits));
    }
    found
}

/// Kills a commit to `out`, of which `before` is a copy if there is one, at each call. The
/// images of the layout must be `before`'s, or those and the new one.
fn kill_commits(site: &Site, before: &[&str]) {
    let out = site.dir.join("out");
    let prepare = || {
        let script = "rm -rf out .out.launcher-draft; test ! -e before || cp -a before out";
        must("sh", &["-ec", script], &site.dir);
    };
    let (first, other) =
        (["commit", "app", "oci:out:v2"], ["commit", "app", "oci:out:v3", "--compression", "zstd"]);
    let ended = std::cell::Cell::new([0, 0]);
    let look = |killed: &str| {
        let mut tags = Vec::new();
        if out.join("oci-layout").exists() {
            let listed = must("umoci", &["ls", "--layout", "out"], &site.dir);
            tags.extend(listed.lines().map(ToOwned::to_owned));
        }
        tags.sort();
        let is_new = tags.last().is_some_and(|tag| tag == "v2");
        assert_eq!(tags[..tags.len() - usize::from(is_new)], before[..], "{killed}");
        for tag in &tags {
            let _ = fs::remove_dir_all(site.dir.join("unpacked"));
            must("umoci", &["unpack", "--image", &format!("out:{tag}"), "unpacked"], &site.dir);
            assert!(site.dir.join("unpacked/rootfs/one").exists(), "{killed}");
        }
        let mut counts = ended.get();
        counts[usize::from(is_new)] += 1;
        ended.set(counts);
        // The next one takes away what this one has left, also where it is another.
        site.good(&other);
        assert_eq!(blobs(&out), referred(&out), "{killed}");
        let others = names(&out).into_iter().filter(|name| !name.starts_with("blobs/sha256"));
        assert_eq!(others.collect::<Vec<_>>(), ["blobs", "index.json", "oci-layout"], "{killed}");
        assert!(!site.dir.join(".out.launcher-draft").exists(), "{killed}");
    };
    let kills = killed_at_each_change(site, &first, &prepare, &look);
    let ended = ended.get();
    assert!(kills > 15 && ended[0] > 10 && ended[1] > 0, "{kills} {ended:?}");
}

#[test]
fn a_commit_that_is_killed_leaves_no_layout_or_a_whole_one() {
    kill_commits(&site("killed-new", ""), &[]);
}

#[test]
fn a_commit_that_is_killed_leaves_the_other_images_of_a_layout() {
    let site = site("killed-more", "");
    site.good(&["commit", "app", "oci:before:v1"]);
    site.sh("app.toml", "echo two > /two");
    kill_commits(&site, &["v1"]);
}

#[test]
fn a_commit_into_the_store_that_is_killed_leaves_all_or_nothing() {
    let site = site("killed-store", "");
    let prepare = || {
        let _ = site.run(&["image", "rm", "new"]);
        site.good(&["image", "gc"]);
    };
    let count = || fs::read_dir(site.dir.join("state/images/layers")).expect("there").count();
    let look = |killed: &str| {
        let is_there = site.run(&["image", "show", "new"]).status.success();
        site.good(&["image", "gc"]);
        assert_eq!(count(), 1 + usize::from(is_there), "{killed}");
        assert_eq!(names(&site.dir.join("state/images/drafts")), Vec::<String>::new(), "{killed}");
    };
    let kills = killed_at_each_change(&site, &["commit", "app", "new"], &prepare, &look);
    assert!(kills > 15, "{kills}");
}

#[test]
fn an_import_of_an_instance_that_is_killed_leaves_all_of_it_or_none() {
    let site = site("killed-import", "[[volume]]\nat = \"/v\"\n[[volume]]\nat = \"/w\"\nname = \"shared\"\n");
    site.sh("app.toml", "echo own > /v/own; echo shared > /w/shared; test ! -e /greeting");
    site.good(&["--policy", "app.toml", "/bin/cat", "/one", "/v/own", "/w/shared"]);
    let output = site.run(&["export", "app", "--volumes"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(site.dir.join("app.tar.zst"), output.stdout).expect("the site is writable");
    let prepare = || {
        must("rm", &["-rf", "state", "runtime"], &site.dir);
    };
    let import = ["import", "app.tar.zst"];
    let look = |killed: &str| {
        if site.names() != ["app"] {
            assert_eq!(site.names(), Vec::<String>::new(), "{killed}");
            // Volumes may be there before the instance is: whole, and in the way.
            for volume in fs::read_dir(site.dir.join("state/volumes")).into_iter().flatten().flatten() {
                assert_eq!(names(&volume.path()).len(), 1, "{killed}");
                let name = volume.file_name().to_string_lossy().into_owned();
                assert!(site.refused(&import).contains("launcher volume rm "), "{killed}");
                site.good(&["volume", "rm", &name]);
            }
            site.good(&import);
        }
        assert_eq!(site.good(&["start", "app"]), "one\nown\nshared\n", "{killed}");
        site.good(&["image", "gc"]);
        assert_eq!(names(&site.dir.join("state/images/drafts")), Vec::<String>::new(), "{killed}");
        let volumes = fs::read_dir(site.dir.join("state/volumes")).expect("there").count();
        assert_eq!(volumes, 2, "{killed}");
    };
    let kills = killed_at_each_change(&site, &import, &prepare, &look);
    assert!(kills > 50, "{kills}");
}
