//! Volumes: what outlives an instance, what several share, and how a new one is filled.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tests::images::{listing, must};
use tests::instances::{Site, killed_at_each_change, started};
use tests::{assert_same, free_port, is_root};

const ROOT: &str = "app.workdir = \"/\"\n[root]\nlayers = [\"root\"]\n";

/// The directory of a volume.
fn volume(site: &Site, name: &str) -> std::path::PathBuf {
    site.dir.join("state/volumes").join(name)
}

#[test]
fn a_volume_outlives_the_instance_and_is_shared_by_its_name() {
    let site = Site::new("shared");
    let data = "[[volume]]\nat = \"/srv/data\"\nname = \"data\"\n";
    site.policy("one", &format!("{ROOT}{data}"));
    site.policy(
        "two",
        &format!("{ROOT}[[volume]]\nat = \"/mnt/there\"\nname = \"data\"\naccess = \"read-only\"\n"),
    );
    site.sh("one.toml", "echo kept > /srv/data/file; echo gone > /srv/other");
    let read = "cat /mnt/there/file; echo x 2> /dev/null > /mnt/there/file || echo read-only";
    assert_eq!(site.sh("two.toml", read), "kept\nread-only\n");
    // No change of a volume's is one of the instance's.
    let upper = site.dir.join("state/instances/one/write/-/upper/srv");
    assert_eq!(fs::read_dir(upper).expect("it has been changed").count(), 1);
    site.good(&["rm", "one"]);
    assert_eq!(site.sh("one.toml", "cat /srv/data/file; ls /srv"), "kept\ndata\n");
    let listed = site.good(&["volume", "ls"]);
    assert!(listed.lines().any(|line| line.starts_with("data ") && line.contains("one,two")), "{listed}");
    let refused = site.refused(&["volume", "rm", "data"]);
    assert!(refused.contains("belongs to the instance `one`"), "{refused}");
    site.good(&["rm", "one", "two"]);
    let words = ["-p", "one.toml", "/bin/sh", "-c", "echo ready; exec sleep 600"];
    let mut child = started(&site, &words);
    let refused = site.refused(&["volume", "rm", "data"]);
    assert!(refused.contains(&format!("in use by process {}", child.id())), "{refused}");
    // A name that another one begins with is not the other.
    fs::create_dir(volume(&site, "dat")).expect("the store is writable");
    site.good(&["volume", "rm", "dat"]);
    child.kill().and_then(|()| child.wait()).expect("it is ours");
    site.good(&["rm", "one"]);
    site.good(&["volume", "rm", "data"]);
    assert!(!volume(&site, "data").exists());
    assert!(site.refused(&["volume", "rm", "data"]).contains("there is no volume `data`"));
}

#[test]
fn a_volume_needs_no_layers_and_stands_behind_either_door() {
    for door in ["shim", "gate"] {
        let site = Site::new(&format!("door-{door}"));
        let policy = "[[volume]]\nat = \"/var/lib/of-no-host\"\nname = \"data\"\n[[volume]]\nat = \"/var/lib/of-none\"\n";
        site.policy("plain", &format!("coverage.door = \"{door}\"\n{policy}"));
        site.sh(
            "plain.toml",
            "echo one > /var/lib/of-no-host/file; cd /var/lib/of-none; echo two > file; pwd",
        );
        let script = "cat /var/lib/of-no-host/file /var/lib/of-none/file; ls -d /var/lib/of-n*";
        let expected = "one\ntwo\n/var/lib/of-no-host\n/var/lib/of-none\n";
        assert_eq!(site.good(&["-p", "plain.toml", "/bin/bash", "-c", script]), expected, "{door}");
        // The one without a name is the instance's own.
        let words =
            ["run", "-p", "plain.toml", "--name", "other", "/bin/bash", "-c", "cat /var/lib/of-no*/file"];
        assert_eq!(String::from_utf8_lossy(&site.run(&words).stdout), "one\n", "{door}");
        let own = "plain@var-lib-of%2dnone";
        site.good(&["rm", "plain"]);
        assert!(volume(&site, own).exists());
        site.sh("plain.toml", "test -e /var/lib/of-none/file");
        site.good(&["rm", "--volumes", "plain"]);
        assert!(!volume(&site, own).exists() && volume(&site, "data").exists());
    }
}

/// Files of all kinds, in two layers of which the higher hides some of the lower.
fn grown(site: &Site) {
    let script = r#"
        mkdir -p base/srv/data/sub base/srv/data/gone base/srv/data/opaque/old top/srv/data/opaque
        cd base/srv/data
        echo one > sub/file; ln sub/file sub/again; ln -s /etc/passwd link; mkfifo -m 640 pipe; echo x > gone/x; echo low > both
        truncate -s 1M sparse; echo end >> sparse; setfattr -n user.color -v blue sub/file; setfattr -n user.of -v dir sub
        chmod 2750 sub; chmod 4711 both; touch -d @1000000000 sub/file link both pipe; touch -hd @1000000001 link
        cd ../../..; cd top/srv/data; echo high > both; touch -d @1000000002 both; mknod gone c 0 0
        setfattr -n user.overlay.opaque -v y opaque; echo new > opaque/new
        cd ../../..; touch -d @1000000003 base/srv/data/sub top/srv/data/opaque top/srv/data
    "#;
    must("sh", &["-ec", script], &site.dir);
    if is_root() {
        must(
            "chown",
            &["-h", "1234:5678", "base/srv/data/link", "base/srv/data/sub/file", "top/srv/data"],
            &site.dir,
        );
        must("setfattr", &["-n", "trusted.mark", "-v", "1", "base/srv/data/sub"], &site.dir);
    }
}

#[test]
fn a_new_volume_begins_with_what_the_layers_have_there() {
    assert!(is_root(), "overlayfs is mounted: run the tests as root");
    let site = Site::new("seeded");
    grown(&site);
    let policy = "app.workdir = \"/\"\n[root]\nlayers = [\"root\", \"base\", \"top\"]\n[[volume]]\nat = \"/srv/data\"\nname = \"data\"\n\
                  [[mount]]\nat = \"/srv/data/mounted\"\ncontent = \"x\"\n";
    site.policy("seeded", policy);
    let before = listing(&site.dir.join("base"));
    assert_eq!(site.sh("seeded.toml", "cat /srv/data/both; echo more >> /srv/data/both"), "high\n");
    // The kernel's own union of the same layers.
    let script = "set -e; mount --make-rprivate /; mkdir -p union; mount -t overlay -o lowerdir=top:base:root,userxattr none union; \
                  cp -a union/srv/data copy";
    must("unshare", &["--mount", "sh", "-c", script], &site.dir);
    must("sh", &["-c", "echo more >> copy/both; touch -d @5 copy/both"], &site.dir);
    must("touch", &["-d", "@5", "both"], &volume(&site, "data"));
    assert_same("cp -a", &listing(&site.dir.join("copy")), "the volume", &listing(&volume(&site, "data")));
    let blocks = fs::metadata(volume(&site, "data").join("sparse")).expect("it is there").blocks();
    assert!(blocks < 100, "{blocks} blocks of a file that is a hole");
    assert_eq!(listing(&site.dir.join("base")), before);
    // What is there already stays as it is, and an empty one is as it is too.
    must("sh", &["-c", "rm -r data; mkdir data"], &site.dir.join("state/volumes"));
    assert_eq!(site.sh("seeded.toml", "ls /srv/data"), "mounted\n");
}

#[test]
fn what_the_instance_has_changed_goes_into_its_new_volume() {
    let site = Site::new("moved");
    site.policy("moved", ROOT);
    site.sh("moved.toml", "echo changed > /srv/data/file");
    site.policy("moved", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\n"));
    assert_eq!(site.sh("moved.toml", "cat /srv/data/file"), "changed\n");
}

#[test]
fn an_ordinary_user_has_volumes_too() {
    assert!(is_root(), "users are changed: run the tests as root");
    let mut site = Site::new("volume-user");
    grown(&site);
    fs::create_dir(site.dir.join("state"))
        .and_then(|()| fs::create_dir(site.dir.join("runtime")))
        .expect("ours");
    must("chown", &["12345:12345", "state", "runtime"], &site.dir);
    site.user = Some(12345);
    site.policy(
        "user",
        "app.workdir = \"/\"\n[root]\nlayers = [\"root\", \"top\"]\n[[volume]]\nat = \"/srv/data\"\n",
    );
    assert_eq!(
        site.sh("user.toml", "cat /srv/data/both; stat -c '%u %g %Y' /srv/data"),
        "high\n12345 12345 1000000003\n"
    );
}

#[test]
fn an_image_has_the_volumes_that_its_configuration_names() {
    let site = Site::new("of-image");
    let script = "umoci init --layout oci && umoci new --image oci:v1 && umoci unpack --rootless --image oci:v1 bundle && \
                  cp -a root/. bundle/rootfs && echo seed > bundle/rootfs/srv/data/seed && \
                  umoci repack --image oci:v1 bundle && umoci config --image oci:v1 --config.volume /srv/data --config.volume /var/new";
    must("sh", &["-ec", script], &site.dir);
    site.good(&["image", "import", "oci:oci:v1", "--name", "shop"]);
    let policy = "[root]\nimage = \"shop\"\n[env]\nset = { PATH = \"/bin\" }\n";
    site.policy("shop", policy);
    site.sh("shop.toml", "cat /srv/data/seed && echo kept > /srv/data/kept && echo new > /var/new/new");
    assert_eq!(site.sh("shop.toml", "cat /srv/data/kept /var/new/new"), "kept\nnew\n");
    assert!(volume(&site, "shop@srv-data").join("seed").exists());
    let named = format!("{policy}[[volume]]\nat = \"/srv/data\"\nname = \"data\"\n");
    site.policy("named", &named);
    site.sh("named.toml", "cat /srv/data/seed");
    assert!(volume(&site, "data").exists() && !volume(&site, "named@srv-data").exists());
    assert!(Path::new(&volume(&site, "named@var-new")).exists());
    // An image that a stopped instance has changes on stays, and so do its layers.
    let refused = site.refused(&["image", "rm", "shop"]);
    assert!(refused.contains("in use by the instance `named`"), "{refused}");
    must("rm", &["-r", "state/images/names/shop"], &site.dir);
    assert!(site.good(&["image", "gc"]).contains("removed 0 layers"));
    site.good(&["rm", "shop", "named"]);
    assert!(!site.good(&["image", "gc"]).contains("removed 0 layers"));
}

#[test]
fn a_wrong_volume_is_refused_with_its_line() {
    let site = Site::new("wrong-volume");
    let wrong = "[[volume]]\nat = \"srv\"\n[[volume]]\nat = \"/a\"\nname = \"../b\"\n[[volume]]\nname = \"c\"\n\
                 [[volume]]\nat = \"/d\"\nsize = 1\n[[volume]]\nat = \"/d\"\n";
    site.policy("wrong", wrong);
    let refused = site.refused(&["-p", "wrong.toml", "/bin/true"]);
    for said in [
        "wrong.toml:2:6",
        "a volume's `name` cannot be \"../b\"",
        "`volume` has no `at`",
        "unknown key `size`",
        "second mount at /d",
    ] {
        assert!(refused.contains(said), "{said}: {refused}");
    }
}

#[test]
fn a_kill_while_a_volume_is_filled_leaves_none_or_all_of_it() {
    let site = Site::new("killed-seed");
    must(
        "sh",
        &["-c", "for i in 1 2 3; do echo $i > root/srv/data/$i; done; ln root/srv/data/1 root/srv/data/4"],
        &site.dir,
    );
    site.policy("killed", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\nname = \"data\"\n"));
    let words = ["create", "-p", "killed.toml", "/bin/ls", "/srv/data"];
    let prepare = || drop(must("rm", &["-rf", "state"], &site.dir));
    let look = |killed: &str| {
        let volume = volume(&site, "data");
        if volume.exists() {
            assert_eq!(
                fs::read_dir(&volume).expect("it is there").count(),
                4,
                "half of it is seen: {killed}"
            );
        }
        assert_eq!(site.good(&["-p", "killed.toml", "/bin/ls", "/srv/data"]), "1\n2\n3\n4\n", "{killed}");
        let left = || fs::read_dir(site.dir.join("state/volumes")).expect("it is there").flatten();
        assert!(left().all(|entry| entry.file_name() == "data"), "something stays: {killed}");
    };
    let kills = killed_at_each_change(&site, &words, &prepare, &look);
    assert!(kills > 30, "{kills}");
}

#[test]
fn postgresql_works_on_a_volume() {
    assert!(is_root(), "users are changed: run the tests as root");
    for door in ["shim", "gate"] {
        let site = Site::new(&format!("postgres-{door}"));
        let policy = format!(
            "coverage.door = \"{door}\"\n[app]\nuser = \"postgres\"\nworkdir = \"/\"\n\
             [[volume]]\nat = \"/var/lib/of-no-host\"\nname = \"pg\"\n"
        );
        site.policy("postgres", &policy);
        let port = free_port();
        let script = format!(
            r#"
            export PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/of-no-host/db PGHOST=/var/lib/of-no-host PGPORT={port}
            export PGDATABASE=postgres LC_ALL=C.UTF-8; cd /var/lib/of-no-host
            if ! test -e db; then
                initdb --auth=trust --no-sync > /dev/null
                echo "listen_addresses = ''" >> db/postgresql.conf
                echo "unix_socket_directories = '/var/lib/of-no-host'" >> db/postgresql.conf
                first=yes
            fi
            pg_ctl -s -w -l log start || cat log
            test -z "$first" || pgbench -q -i -s 2 > /dev/null 2>&1; echo "= $?"
            pgbench -n -c 4 -j 2 -t 100 2>&1 | grep 'number of transactions actually'
            psql -Atc 'select count(*) from pgbench_accounts' -c 'select count(*) from pgbench_history' -c 'show data_directory'
            pg_ctl -s -w -m fast stop
            "#
        );
        for (name, history) in [("one", 400), ("two", 800)] {
            let said = site.good(&["run", "-p", "postgres.toml", "--name", name, "/bin/bash", "-c", &script]);
            let expected = format!(
                "= 0\nnumber of transactions actually processed: 400/400\n200000\n{history}\n/var/lib/of-no-host/db\n"
            );
            assert_eq!(said, expected, "{door}");
            site.good(&["rm", name]);
        }
    }
}

#[test]
fn a_new_volume_in_a_mount_begins_with_what_the_mount_has_and_none_of_the_hosts() {
    for door in ["shim", "gate"] {
        let site = Site::new(&format!("mounted-{door}"));
        must("sh", &["-c", "mkdir -p old/data/sub; echo old > old/data/sub/file"], &site.dir);
        let policy = format!(
            "coverage.door = \"{door}\"\n[[mount]]\nat = \"/opt/of-no-host\"\nsource = \"old\"\n\
             [[volume]]\nat = \"/opt/of-no-host/data\"\nname = \"old\"\n[[volume]]\nat = \"/etc/default\"\nname = \"empty\"\n"
        );
        site.policy("migrated", &policy);
        let script =
            "cat /opt/of-no-host/data/sub/file; echo new > /opt/of-no-host/data/sub/file; ls -A /etc/default";
        assert_eq!(site.good(&["-p", "migrated.toml", "/bin/bash", "-c", script]), "old\n", "{door}");
        assert_eq!(site.good(&["-p", "migrated.toml", "/bin/bash", "-c", script]), "new\n", "{door}");
        assert!(tests::instances::has(&site.dir.join("old/data/sub/file"), "old\n"));
        // What has nothing of its own to keep is no instance, and its volume is removed when nobody runs.
        assert_eq!(site.names(), Vec::<String>::new());
        site.good(&["volume", "rm", "old", "empty"]);
    }
}
