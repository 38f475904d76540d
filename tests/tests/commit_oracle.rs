//! Random layers, random calls on their union, and the image that is made of what has come of
//! it: umoci unpacks what the program saw. `COMMIT_SEQUENCES` says how many sequences of calls
//! there are, `COMMIT_SEED` where they begin.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use tests::images::{LISTING, listing, must};
use tests::instances::Site;
use tests::{is_root, program};

/// Sequences that are made at once.
const BATCH: u64 = 100;
const STEPS: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Readers of archives that are written in Go take an attribute without a value for none.
fn as_go_reads(listing: &str) -> String {
    let empty = ["('user.a', b''), ", "('user.a', b'')", "('user.b', b'')"];
    empty.iter().fold(listing.to_owned(), |said, empty| said.replace(empty, "")).replace("), ]", ")]")
}

/// What can be compared: a file whose other names are hidden is none with several.
fn comparable(listing: &str) -> String {
    let mut names = HashMap::<&str, u32>::new();
    let linked = |line: &'_ str| -> Option<(usize, usize)> {
        let start = line.find(')').and_then(|end| Some(end + 2 + line.get(end + 2..)?.find(' ')? + 1))?;
        Some((start, start + line.get(start..)?.find(' ')?))
    };
    for line in listing.lines() {
        let name = linked(line).and_then(|(start, end)| line.get(start..end)).unwrap_or_default();
        *names.entry(name).or_default() += 1;
    }
    let own = |line: &str| {
        let mut line = line.to_owned();
        if let Some((start, end)) = linked(&line)
            && names.get(&line[start..end]) == Some(&1)
        {
            line.replace_range(start..end, "");
        }
        line + "
"
    };
    listing.lines().map(own).collect()
}

#[test]
fn what_is_unpacked_of_random_changes_is_what_the_program_saw() {
    assert!(is_root(), "umoci is run as root: run the tests as root");
    let first = number("COMMIT_SEED", 1);
    for seed in first..first + number("COMMIT_SEQUENCES", 100).div_ceil(BATCH) {
        let site = Site::new("commit-oracle");
        let numbers = [seed, BATCH].map(|number| number.to_string());
        let made = Command::new(program("union")).arg("make").arg(&site.dir).args(numbers).status();
        assert!(made.expect("the probe runs").success());
        let host = |at: &str, source: &str| format!("[[mount]]\nat = \"{at}\"\nsource = \"{source}\"\n");
        let policy = [
            "[root]\nlayers = [\"./base\", \"./middle\", \"./patches\"]\n".to_owned(),
            host("/usr", "/usr") + &host("/lib", "/usr/lib") + &host("/lib64", "/usr/lib64"),
            host("/union", &program("union").canonicalize().expect("it is there").to_string_lossy()),
        ];
        site.policy("oracle", &policy.concat());
        let (seed_text, batch, steps) = (seed.to_string(), BATCH.to_string(), STEPS.to_string());
        site.good(&["--policy", "oracle.toml", "/union", "run", "", &seed_text, "0", &batch, &steps]);
        let seen = site.good(&["--policy", "oracle.toml", "/usr/bin/python3", "-c", LISTING, "/p"]);
        assert!(seen.lines().count() > 1000, "{seen}");
        site.good(&["commit", "oracle", "oci:out:t"]);
        must("umoci", &["unpack", "--image", "out:t", "unpacked"], &site.dir);
        let unpacked = listing(&site.dir.join("unpacked/rootfs/p"));
        let diff = similar::TextDiff::from_lines(comparable(&unpacked), as_go_reads(&comparable(&seen)))
            .unified_diff()
            .context_radius(0)
            .to_string();
        assert!(diff.is_empty(), "COMMIT_SEED={seed}: - umoci, + the view\n{diff}");
        // What the store makes of it is the same again, and nothing has been changed there.
        site.good(&["commit", "oracle", "oracle"]);
        fs::write(
            site.dir.join("again.toml"),
            policy.concat().replacen(
                "layers = [\"./base\", \"./middle\", \"./patches\"]",
                "image = \"oracle\"",
                1,
            ),
        )
        .expect("the site is writable");
        let again = site.good(&["--policy", "again.toml", "/usr/bin/python3", "-c", LISTING, "/p"]);
        // A FIFO's setgid bit is kept beside the tree, and not on it.
        let seen = seen.replace("1517, 'pipe')", "493, 'pipe')");
        let diff = similar::TextDiff::from_lines(comparable(&seen), comparable(&again))
            .unified_diff()
            .context_radius(0)
            .to_string();
        assert!(diff.is_empty(), "COMMIT_SEED={seed}: - the view, + the image in the store\n{diff}");
        assert_eq!(site.good(&["diff", "again"]), "");
    }
}
