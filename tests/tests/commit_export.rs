//! An instance on another host: written into a file by one user, and taken in by another,
//! under another state directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tests::images::must;
use tests::instances::Site;
use tests::tarball::Tarball;
use tests::{is_root, launcher};

/// The other user.
const NOBODY: u32 = 65534;

/// What the application has: a root, a mount with layers, files beside the policy, volumes.
const POLICY: &str = r#"
[app]
workdir = "/srv"
[root]
image = "base"
[env]
set = { PATH = "/bin", GREETING = "hello" }
[[mount]]
at = "/etc/shop"
layers = ["./layers/low", "./layers/high"]
[[mount]]
at = "/opt/again/shop"
layers = ["./layers/low", "./layers/high"]
[[mount]]
at = "/opt/conf"
source = "./conf/app.conf"
[[mount]]
at = "/opt/data"
source = "conf"
[names]
web = "peers/web.toml"
[[volume]]
at = "/var/own"
[[volume]]
at = "/var/shared"
name = "shop-data"
"#;

const CHANGES: &str = r#"
    set -e; echo one > one; mkdir -p deep/er; echo two > deep/er/two; mv /srv/data /srv/renamed; echo three > renamed/three
    rm -r /srv/gone; mkdir /srv/gone; echo four > gone/four; ln one hard; ln -s /srv/one link; rm /etc/greeting
    echo five > /etc/shop/five; rm /etc/shop/low; mv /etc/shop/dir /etc/shop/moved; echo again > /opt/again/shop/again
    echo own > /var/own/own; echo shared > /var/shared/shared; chmod 640 one; touch -d @1000000000 one
"#;

/// What it tells of itself; but for the files of names, which are made at each start.
const TOLD: &str = "pwd; env | grep GREETING; cd /; find srv etc opt/conf opt/data var | sort | while read name; do stat -c '%n %F %s %Y' $name; done | \
    grep -v -e directory -e '^etc/hosts ' -e '^etc/host.conf ' -e '^etc/nsswitch.conf '; find srv etc var -type d | sort; cat srv/*e srv/*/* etc/shop/* opt/conf opt/data/* var/*/* 2>&1; stat -c '%n %h' srv/hard; test srv/one -ef srv/hard && echo same";

fn site(name: &str) -> Site {
    assert!(is_root(), "users are changed: run the tests as root");
    let site = Site::new(name);
    let script = "mkdir -p root/srv/data/in root/srv/gone root/var root/opt; echo a > root/srv/data/a; echo b > root/srv/data/in/b; echo c > root/srv/gone/c; \
                  chmod 4755 root/srv/data/a; mkdir -p layers/low/dir layers/high conf; echo low > layers/low/low; echo x > layers/low/dir/x; echo both > layers/low/both; \
                  echo high > layers/high/both; echo conf > conf/app.conf; mkdir peers; chown -R 7:8 layers";
    must("sh", &["-ec", script], &site.dir);
    site.good(&["image", "import", "root", "--name", "base"]);
    let web = "[[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:45080\"\n";
    fs::write(site.dir.join("peers/web.toml"), web).expect("the site is writable");
    site.policy("shop", POLICY);
    site.sh("shop.toml", CHANGES);
    site
}

fn exported(site: &Site, words: &[&str]) -> PathBuf {
    let output = site.run(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let file = site.dir.join("shop.tar.zst");
    fs::write(&file, output.stdout).expect("the site is writable");
    file
}

/// The launcher as the other user has it.
fn elsewhere(site: &Site, words: &[&str]) -> Command {
    let home = site.dir.join("elsewhere");
    if !home.exists() {
        fs::create_dir_all(home.join("runtime")).expect("ours");
        must("chown", &["-R", "65534:65534", "elsewhere"], &site.dir);
    }
    let mut command = Command::new(launcher());
    command.args(words).env_clear().env("XDG_STATE_HOME", home.join("state")).current_dir("/");
    command.env("XDG_RUNTIME_DIR", home.join("runtime")).env("PATH", "/bin").uid(NOBODY).gid(NOBODY);
    command
}

fn good(mut command: Command) -> String {
    let output = command.output().expect("the launcher runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program prints in the instance as the other user has it.
fn within(site: &Site, name: &str, program: &[&str]) -> String {
    let policy = site.dir.join("elsewhere/state/launcher/instances").join(name).join("policy.toml");
    let policy = policy.to_string_lossy().into_owned();
    good(elsewhere(site, &[&["--policy", &policy][..], program].concat()))
}

/// An import of these bytes by the other user.
fn fed(site: &Site, bytes: &[u8], words: &[&str]) -> Output {
    let mut command = elsewhere(site, words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It may have refused it before the end.
    let _ = child.stdin.take().expect("it is piped").write_all(bytes);
    child.wait_with_output().expect("it ends")
}

#[test]
fn an_instance_runs_the_same_as_another_user_under_another_prefix() {
    let site = site("export");
    let told = site.sh("shop.toml", TOLD);
    assert!(told.contains("three") && told.contains("five") && told.contains("same"), "{told}");
    let diff = site.good(&["diff", "shop"]);
    let file = exported(&site, &["export", "shop", "--volumes"]);
    // Nothing of this host is needed any more.
    must(
        "sh",
        &["-ec", "mkdir old; mv state layers conf peers shop.toml root old; chmod 700 old"],
        &site.dir,
    );
    let file = file.to_string_lossy().into_owned();
    let said = good(elsewhere(&site, &["import", &file]));
    let policy = said.trim().split('\t').nth(1).expect("the policy's path").to_owned();
    assert!(
        policy.starts_with(&*site.dir.join("elsewhere/state/launcher/instances/shop").to_string_lossy()),
        "{said}"
    );
    let again = good(elsewhere(&site, &["start", "shop"]));
    tests::assert_same("there", &told, "here", &again);
    let again = within(&site, "shop", &["/bin/sh", "-c", TOLD]);
    tests::assert_same("there", &told, "here", &again);
    assert_eq!(good(elsewhere(&site, &["diff", "shop"])), diff);
    // The policy of another instance goes along.
    let hosts = within(&site, "shop", &["/bin/cat", "/etc/hosts"]);
    assert!(hosts.contains("127.53.1.1 web.instance"), "{hosts}");
    // Two unions of the same layers have each its own changes.
    let both = ["/bin/cat", "/opt/again/shop/again", "/opt/again/shop/low", "/etc/shop/five"];
    assert_eq!(within(&site, "shop", &both), "again\nlow\nfive\n");
    // What is kept of owners and modes goes on from there.
    good(elsewhere(
        &site,
        &["commit", "shop", &format!("oci:{}:t", site.dir.join("elsewhere/out").display())],
    ));
    must("umoci", &["unpack", "--image", "elsewhere/out:t", "unpacked"], &site.dir);
    let kept =
        must("stat", &["-c", "%a %u", "unpacked/rootfs/srv/renamed/a", "unpacked/rootfs/srv/one"], &site.dir);
    assert_eq!(kept, "4755 0\n640 0\n");
    // From there to a third place, by another name.
    let mut export = elsewhere(&site, &["export", "shop", "--volumes"]);
    let bytes = export.output().expect("the launcher runs").stdout;
    let refused = fed(&site, &bytes, &["import", "-"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("choose another --name"), "{said}");
    let refused = fed(&site, &bytes, &["import", "-", "--name", "third"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("`launcher volume rm shop-data` first"), "{said}");
    good(elsewhere(&site, &["rm", "shop"]));
    good(elsewhere(&site, &["volume", "rm", "shop-data"]));
    let third = fed(&site, &bytes, &["import", "-", "--name", "third", "--json"]);
    let said = String::from_utf8_lossy(&third.stdout).into_owned();
    assert!(
        third.status.success() && said.contains("\"name\": \"third\""),
        "{said} {}",
        String::from_utf8_lossy(&third.stderr)
    );
    tests::assert_same("there", &told, "here", &good(elsewhere(&site, &["start", "third"])));
}

#[test]
fn volumes_go_along_only_where_asked() {
    let site = site("export-volumes");
    let output = site.run(&["export", "shop"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the volume at /var/own stays here: --volumes"), "{said}");
    let imported = fed(&site, &output.stdout, &["import", "-"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let script = "cat /srv/one; ls /var/own /var/shared";
    assert_eq!(within(&site, "shop", &["/bin/sh", "-c", script]), "one\n/var/own:\n\n/var/shared:\n");
}

#[test]
fn an_image_of_that_name_which_is_another_stays() {
    let site = site("export-image");
    let bytes = fs::read(exported(&site, &["export", "shop"])).expect("it is there");
    let other = site.dir.join("elsewhere-root");
    must("sh", &["-ec", "mkdir elsewhere-root; echo other > elsewhere-root/other"], &site.dir);
    good(elsewhere(&site, &["image", "import", &other.to_string_lossy(), "--name", "base"]));
    let imported = fed(&site, &bytes, &["import", "-"]);
    let said = String::from_utf8_lossy(&imported.stderr).into_owned();
    assert!(imported.status.success() && said.contains("there is another image `base`"), "{said}");
    assert_eq!(within(&site, "shop", &["/bin/cat", "/srv/one"]), "one\n");
    assert_eq!(good(elsewhere(&site, &["image", "ls"])).lines().count(), 3);
    // The same again has the same image.
    let imported = fed(&site, &bytes, &["import", "-", "--name", "again"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!(good(elsewhere(&site, &["image", "ls"])).lines().count(), 3);
}

/// A small archive of a bundle's, with these trees.
fn bundle(contents: &str, policy: &str, trees: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tarball = Tarball::default().file("launcher.json", contents).file("policy.toml", policy);
    for (name, bytes) in trees {
        tarball = tarball.entry(name, b'0', "", bytes);
    }
    tarball.ended()
}

#[test]
fn a_hostile_file_is_refused_and_nothing_of_it_stays() {
    let site = site("export-hostile");
    let whole = fs::read(exported(&site, &["export", "shop"])).expect("it is there");
    let contents = |trees: &str| {
        format!(
            r#"{{"version":1,"name":"bad","image":null,"program":[],"door":null,"started_in":"/","trees":[{trees}]}}"#
        )
    };
    let policy = "[[mount]]\nat = \"/opt\"\nlayers = [\"./trees/0/tree\"]\n";
    let changes = r#"{"is":"source"},{"is":"changes","at":"/opt","over":[0]}"#;
    let tree = |tarball: Tarball| tarball.ended();
    let good_tree = || ("trees/0.tar", tree(Tarball::default().file("low", "low")));
    let with =
        |second: Tarball| bundle(&contents(changes), policy, &[good_tree(), ("trees/1.tar", tree(second))]);
    let fine = with(Tarball::default().file("new", "new").file(".wh.low", ""));
    let imported = fed(&site, &fine, &["import", "-", "--name", "fine"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!(good(elsewhere(&site, &["diff", "fine"])), "D /opt/low\nA /opt/new\n");
    let damaged = {
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("truncated", whole[..whole.len() / 2].to_vec(), ""),
        ("damaged", damaged, ""),
        ("empty", Vec::new(), "launcher.json is not in it"),
        (
            "another version",
            bundle(&contents("").replace(":1", ":9"), policy, &[]),
            "the export's version is 9",
        ),
        (
            "a name that leaves",
            bundle(&contents("").replace("bad", "../bad"), policy, &[]),
            "cannot be called",
        ),
        ("a missing tree", bundle(&contents(changes), policy, &[good_tree()]), "trees/1.tar is not in it"),
        (
            "one tree more",
            bundle(&contents(r#"{"is":"source"}"#), policy, &[good_tree(), ("trees/1.tar", Vec::new())]),
            "more than should be in it",
        ),
        (
            "over itself",
            bundle(&contents(r#"{"is":"layer","over":[0]}"#), policy, &[good_tree()]),
            "comes later",
        ),
        (
            "over no image",
            bundle(&contents(r#"{"is":"changes","at":"/","over":null}"#), policy, &[good_tree()]),
            "there is none",
        ),
        (
            "no union there",
            bundle(
                &contents(r#"{"is":"source"},{"is":"changes","at":"/srv","over":[0]}"#),
                policy,
                &[good_tree(), ("trees/1.tar", tree(Tarball::default()))],
            ),
            "has no union there",
        ),
        (
            "a link out",
            with(
                Tarball::default()
                    .link("out", "/tmp")
                    .file("out/../../../../escaped", "x")
                    .link("up", "../../../../..")
                    .file("up/escaped", "x"),
            ),
            "",
        ),
        (
            "a bomb",
            with(
                Tarball::default()
                    .pax(
                        b'x',
                        &[
                            ("GNU.sparse.major", "1"),
                            ("GNU.sparse.minor", "0"),
                            ("GNU.sparse.realsize", "9000000000000"),
                        ],
                    )
                    .file(
                        "big",
                        &format!(
                            "{:0<512}",
                            "0
"
                        ),
                    ),
            ),
            "limit `file`",
        ),
        (
            "a policy that is none",
            bundle(&contents(r#"{"is":"source"}"#), "[[mount]]\nat = 5\n", &[good_tree()]),
            "expected",
        ),
        (
            "a source that is not here",
            bundle(
                &contents(r#"{"is":"source"}"#),
                "[[mount]]\nat = \"/x\"\nsource = \"/is/not/here\"\n",
                &[good_tree()],
            ),
            "/is/not/here",
        ),
    ];
    for (what, bytes, reason) in cases {
        let output = fed(&site, &bytes, &["import", "-"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let contained = what == "a link out" && output.status.success();
        assert!(contained || output.status.code() == Some(125) && said.contains(reason), "{what}: {said}");
        if contained {
            good(elsewhere(&site, &["rm", "bad"]));
        }
        let left = |dir: &str| {
            fs::read_dir(site.dir.join("elsewhere/state/launcher").join(dir)).map_or(0, Iterator::count)
        };
        assert_eq!((left("instances"), left("images/drafts"), left("images/names")), (1, 0, 0), "{what}");
    }
    for path in ["/tmp/escaped", "/escaped"] {
        assert!(!Path::new(path).exists(), "{path}");
    }
    let limited = fed(&site, &whole, &["import", "-", "--limit", "bytes=100K"]);
    let said = String::from_utf8_lossy(&limited.stderr).into_owned();
    assert!(said.contains("limit `bytes`"), "{said}");
}
