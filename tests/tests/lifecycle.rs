//! The life of an instance: made, started, stopped, removed; and that none of it
//! leaves anything half done.

use std::process::Stdio;

use tests::instances::{Site, killed_at_each_change, started, until};

const ROOT: &str = "coverage.door = \"gate\"\napp.workdir = \"/\"\n[root]\nlayers = [\"root\"]\n\
    [[mount]]\nat = \"/dev\"\nsource = \"/dev\"\naccess = \"read-write\"\n[[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n";

const WAITING: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";

#[test]
fn a_second_start_of_an_instance_is_refused_with_the_process_of_the_first() {
    let site = Site::new("second");
    site.policy("second", ROOT);
    let start = |name: &str, script: &str| {
        started(&site, &["run", "-p", "second.toml", "--name", name, "/bin/sh", "-c", script])
    };
    let mut first = start("first", WAITING);
    let refused = site.refused(&["run", "-p", "second.toml", "--name", "first", "/bin/true"]);
    let process = format!("`first` runs already, as process {}", first.id());
    assert!(refused.contains(&process) && refused.contains("launcher stop first"), "{refused}");
    // Another instance of the same root has its own changes.
    let mut other = start("other", &format!("echo mine > /etc/greeting; {WAITING}"));
    assert_eq!(site.good(&["stop", "first"]) + &site.good(&["stop", "other"]), "");
    assert!(first.wait().is_ok_and(|end| end.success()) && other.wait().is_ok_and(|end| end.success()));
    for (name, greeting) in [("first", "hello\n"), ("other", "mine\n")] {
        let words = ["run", "-p", "second.toml", "--name", name, "/bin/cat", "/etc/greeting"];
        assert_eq!(site.good(&words), greeting);
    }
    assert_eq!(site.names(), ["first", "other"]);
}

#[test]
fn a_daemon_that_has_left_its_parents_keeps_its_instance_busy() {
    let site = Site::new("daemon");
    site.policy("daemon", ROOT);
    let daemon = "(setsid sh -c 'echo $$ > /run/pid; exec sleep 600' < /dev/null > /dev/null 2>&1 &)";
    site.sh("daemon.toml", &format!("{daemon}; while ! test -s /run/pid; do sleep 0.05; done"));
    let refused = site.refused(&["-p", "daemon.toml", "/bin/true"]);
    assert!(refused.contains("runs already, as process"), "{refused}");
    let removed = site.refused(&["rm", "daemon"]);
    assert!(removed.contains("runs, as process") && removed.contains("launcher stop daemon"), "{removed}");
    site.good(&["stop", "daemon"]);
    assert_ne!(site.sh("daemon.toml", "cat /run/pid"), "");
    site.good(&["rm", "daemon"]);
    assert_eq!(site.names(), Vec::<String>::new());
    assert_eq!(site.sh("daemon.toml", "cat /run/pid 2> /dev/null || echo gone"), "gone\n");
}

#[test]
fn what_keeps_nothing_runs_as_often_as_one_likes() {
    let site = Site::new("often");
    site.policy("often", "app.name = \"often\"\n[[mount]]\nat = \"/opt/x\"\ncontent = \"x\"\n");
    let words = ["-p", "often.toml", "/bin/sh", "-c", WAITING];
    let mut children = [started(&site, &words), started(&site, &words), started(&site, &words)];
    site.good(&["stop", "often"]);
    until("all have ended", || {
        children.iter_mut().all(|child| child.try_wait().is_ok_and(|end| end.is_some()))
    });
    assert_eq!(site.names(), Vec::<String>::new());
}

#[test]
fn an_instance_is_made_started_restarted_and_removed() {
    let site = Site::new("life");
    site.policy("life", ROOT);
    let script = format!("echo $$ >> /run/starts; echo said; echo complained >&2; {WAITING}");
    let create = ["create", "-p", "life.toml", "--name", "made", "/bin/sh", "-c", &script];
    assert_eq!(site.good(&create), "made\n");
    assert!(site.refused(&create).contains("an instance `made` already"));
    let listed = site.good(&["ps", "--all"]);
    assert!(
        listed.lines().any(|line| line.starts_with("made ") && line.contains(" - /bin/sh -c")),
        "{listed}"
    );
    assert!(!site.good(&["ps"]).contains("made "));
    for (words, what) in [
        (&["logs", "made"][..], "has no log: it has not been started with --detach"),
        (&["exec", "made", "/bin/true"], "does not run: `launcher start made`"),
        (&["start", "none"], "no instance `none` is kept in"),
        (&["rm", "none"], "no instance `none` is kept in"),
    ] {
        let refused = site.refused(words);
        assert!(refused.contains(what), "{words:?}: {refused}");
    }
    let said = site.good(&["start", "--detach", "made"]);
    let id = said.trim().strip_prefix("made ").expect("its name and its process").to_owned();
    until("it says so", || site.good(&["logs", "made"]).contains("ready"));
    assert_eq!(site.good(&["logs", "made"]), "said\ncomplained\nready\n");
    assert!(site.refused(&["start", "made"]).contains(&format!("runs already, as process {id}")));
    // A session of its own, and no terminal.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    assert!(fields.get(3) != Some(&id.as_str()) && fields.get(4) == Some(&"0"), "{stat}");
    let mut follower = site.command(&["logs", "--follow", "-n", "1", "made"]);
    let follower = follower.stdout(Stdio::piped()).spawn().expect("the launcher runs");
    let again = site.good(&["restart", "--detach", "made"]);
    assert_ne!(again.trim(), said.trim());
    until("it has said more", || site.good(&["logs", "made"]).matches("ready").count() == 2);
    site.good(&["stop", "made"]);
    let followed = follower.wait_with_output().expect("it ends with the instance");
    let followed = String::from_utf8_lossy(&followed.stdout).into_owned();
    assert!(followed.starts_with("ready\n"), "{followed}");
    assert_eq!(site.good(&["logs", "-n", "2", "made"]), "complained\nready\n");
    // What is run otherwise in between changes nothing of what has been created.
    let words = ["run", "-p", "life.toml", "--name", "made", "/bin/sh", "-c", "wc -l < /run/starts"];
    assert_eq!(site.good(&words), "2\n");
    let mut child = started(&site, &["start", "made"]);
    site.good(&["stop", "made"]);
    assert!(child.wait().is_ok_and(|end| end.success()));
    site.good(&["rm", "made"]);
    assert_eq!(site.names(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(site.dir.join("state/removed")).expect("it has been used").count(), 0);
}

#[test]
fn a_run_is_remembered_with_its_words_and_its_directory() {
    let site = Site::new("again");
    site.policy("again", "[[volume]]\nat = \"/var/lib/of-no-host\"\n");
    let script = "pwd; echo \"$1\"; printf %s \"$2\" | od -An -tx1";
    let mut first = site.command(&["-p", "again.toml", "/bin/sh", "-c", script, "sh", "two  words"]);
    // A word need not be text.
    let first = first
        .arg(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff\x01"))
        .output()
        .expect("the launcher runs");
    let first = String::from_utf8_lossy(&first.stdout).into_owned();
    let again = site.command(&["start", "again"]).current_dir("/").output().expect("the launcher runs");
    assert_eq!(String::from_utf8_lossy(&again.stdout), first);
    assert_eq!(first, format!("{}\ntwo  words\n ff 01\n", site.dir.display()));
}

#[test]
fn a_start_in_the_background_that_fails_is_told_of() {
    let site = Site::new("failing");
    site.policy("failing", ROOT);
    let output = site.run(&["run", "--detach", "-p", "failing.toml", "/bin/none"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(127) && said.contains("cannot run /bin/none"), "{said}");
    let output = site.run(&["run", "--detach", "-p", "failing.toml", "/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(site.refused(&["run", "--detach", "-p", "none.toml", "/bin/sh"]).contains("none.toml"));
}

#[test]
fn a_long_log_is_moved_aside_at_the_next_start() {
    let site = Site::new("long");
    site.policy("long", ROOT);
    let start = |script: &str| {
        site.good(&["run", "--detach", "-p", "long.toml", "/bin/sh", "-c", script]);
        until("it has ended", || !site.good(&["ps"]).contains("long "));
    };
    start("yes line | head -c 9000000; echo; echo first");
    start("echo second");
    start("echo third");
    let log = site.dir.join("state/instances/long/log");
    assert_eq!(std::fs::read_to_string(&log).expect("it is there"), "second\nthird\n");
    assert!(site.good(&["logs", "long"]).ends_with("\nfirst\nsecond\nthird\n"));
    assert_eq!(site.good(&["logs", "-n", "1", "long"]), "third\n");
}

#[test]
fn a_further_program_runs_in_the_instance_as_the_first_does() {
    let site = Site::new("exec");
    let policy = format!(
        "{ROOT}[env]\nset = {{ OF = \"the policy\" }}\n[[volume]]\nat = \"/srv/data\"\n\
         [[mount]]\nat = \"/tmp\"\nkind = \"empty\"\nmode = \"1777\"\n"
    );
    site.policy("exec", &policy);
    let script = format!(
        "echo one > /srv/data/file; echo two > /etc/two; echo three > /tmp/three; cd /etc; {WAITING}"
    );
    let mut child = started(&site, &["-p", "exec.toml", "/bin/sh", "-c", &script]);
    let look = "cat /srv/data/file /etc/two /tmp/three; pwd; echo $OF; echo four > /etc/four; exit 7";
    let output = site.run(&["exec", "exec", "/bin/sh", "-c", look]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nthree\n/\nthe policy\n");
    assert_eq!(output.status.code(), Some(7));
    let words = [
        "exec",
        "--workdir",
        "/srv",
        "--env",
        "OF=the caller",
        "exec",
        "sh",
        "-c",
        "pwd; echo $OF; cat /etc/four",
    ];
    assert_eq!(site.good(&words), "/srv\nthe caller\nfour\n");
    // Without the state directory, as from a shell beside a unit of systemd's.
    let mut elsewhere = site.command(&["exec", "exec", "/bin/cat", "/etc/four"]);
    let elsewhere = elsewhere.env_remove("STATE_DIRECTORY").env("HOME", "/nonexistent").output();
    assert_eq!(String::from_utf8_lossy(&elsewhere.expect("the launcher runs").stdout), "four\n");
    // It is one of the instance's processes: its signals are its own, and it is stopped with it.
    let mut joined = started(
        &site,
        &[
            "exec",
            "exec",
            "/bin/sh",
            "-c",
            "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done",
        ],
    );
    tests::images::must("kill", &["-USR1", &joined.id().to_string()], &site.dir);
    assert_eq!(joined.wait().expect("it ends").code(), Some(3));
    let mut joined = started(&site, &["exec", "exec", "/bin/sh", "-c", "echo ready; exec sleep 600"]);
    site.good(&["stop", "exec"]);
    assert!(child.wait().is_ok_and(|end| end.success()));
    assert!(!joined.wait().expect("it ends").success());
    assert_eq!(site.run(&["exec", "exec", "/bin/true"]).status.code(), Some(125));
}

#[test]
fn a_further_program_has_the_terminal() {
    let site = Site::new("terminal");
    site.policy("terminal", ROOT);
    let mut child = started(&site, &["-p", "terminal.toml", "/bin/sh", "-c", WAITING]);
    let launcher = tests::launcher().display().to_string();
    let mut script = site.command(&[]);
    let words = format!("{launcher} exec terminal /bin/sh -c 'tty; stty size; test -t 0 && echo terminal'");
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &words, "/dev/null"]).env_clear();
    command.envs(script.env("SHELL", "/bin/sh").get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().expect("script is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("/dev/pts/") && said.contains("terminal"), "{said}");
    child.kill().and_then(|()| child.wait()).expect("it is ours");
}

#[test]
fn a_kill_while_an_instance_is_made_leaves_one_that_can_be_made() {
    let site = Site::new("killed-create");
    site.policy("made", ROOT);
    let create = ["create", "-p", "made.toml", "/bin/cat", "/etc/greeting"];
    let prepare = || {
        tests::images::must("rm", &["-rf", "state", "runtime"], &site.dir);
    };
    let look = |killed: &str| {
        let output = site.run(&create);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || said.contains("already"), "{killed}: {said}");
        assert_eq!(site.good(&["start", "made"]), "hello\n", "{killed}");
    };
    let kills = killed_at_each_change(&site, &create, &prepare, &look);
    assert!(kills > 10, "{kills}");
}

#[test]
fn a_kill_while_an_instance_is_removed_leaves_all_of_it_or_none() {
    let site = Site::new("killed-rm");
    site.policy("made", ROOT);
    let prepare = || {
        tests::images::must("rm", &["-rf", "state"], &site.dir);
        site.sh("made.toml", "mkdir /srv/new; echo new > /srv/new/file; rm /etc/greeting");
    };
    let look = |killed: &str| {
        let is_there = site.names() == ["made"];
        let expected = if is_there { "new\ngone\n" } else { "none\nhello\n" };
        let script =
            "cat /srv/new/file 2> /dev/null || echo none; cat /etc/greeting 2> /dev/null || echo gone";
        assert_eq!(site.sh("made.toml", script), expected, "{killed}");
        site.good(&["rm", "made"]);
        let left = std::fs::read_dir(site.dir.join("state/removed")).expect("it has been used").count();
        assert_eq!((site.names().len(), left), (0, 0), "{killed}");
    };
    let kills = killed_at_each_change(&site, &["rm", "made"], &prepare, &look);
    assert!(kills > 8, "{kills}");
}

#[test]
fn a_copy_keeps_what_a_file_has_but_for_setuid_under_another_owner() {
    assert!(tests::is_root(), "owners are changed: run the tests as root");
    let site = Site::new("attributes");
    site.policy("attributes", ROOT);
    let script = "mkdir -p tree/sub; echo a > tree/sub/a; ln tree/sub/a tree/again; ln -s sub/a tree/link; mkfifo -m 600 tree/pipe; \
                  truncate -s 1G tree/hole; echo end >> tree/hole; setfattr -n user.color -v blue tree/sub/a; \
                  chown 1234:50 tree/sub tree/sub/a; chown -h 7:8 tree/link; chmod 6755 tree/sub/a; touch -hd @1000000000 tree/*; touch -d @1 tree/sub/a tree/sub tree";
    tests::images::must("sh", &["-ec", script], &site.dir);
    site.good(&["create", "-p", "attributes.toml", "/bin/true"]);
    site.good(&["cp", "--archive", "tree", "attributes:/srv"]);
    site.good(&["cp", "-a", "attributes:/srv/tree", "kept"]);
    let listing = |tree: &str| tests::images::listing(&site.dir.join(tree));
    tests::assert_same("what was copied", &listing("tree"), "there and back", &listing("kept"));
    let blocks = std::os::unix::fs::MetadataExt::blocks(
        &std::fs::metadata(site.dir.join("kept/hole")).expect("it is there"),
    );
    assert!(blocks < 100, "{blocks} blocks of a file that is a hole");
    site.good(&["cp", "attributes:/srv/tree", "given"]);
    let looked = tests::images::must("stat", &["-c", "%a %u %g %Y", "given/sub/a", "given/sub"], &site.dir);
    assert_eq!(looked, "755 0 0 1\n755 0 0 1\n");
    assert!(site.refused(&["cp", "attributes:/srv", "-"]).contains("archives are not copied"));
}

#[test]
fn files_are_copied_into_an_instance_and_out_of_it_by_the_rules_of_docker_cp() {
    let site = Site::new("copied");
    site.policy("copied", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\n"));
    let script = "mkdir -p tree/sub out; echo a > tree/a; ln -s a tree/link; echo b > tree/sub/b; chmod 640 tree/a; \
                  touch -d @1000000000 tree/a tree/sub/b tree/sub; ln -s /etc/passwd tree/host";
    tests::images::must("sh", &["-ec", script], &site.dir);
    let sh = |script: &str| site.sh("copied.toml", script);
    sh(
        "rm /etc/greeting; mkdir /srv/new; echo kept > /srv/data/kept; ln -s /srv/data /data; echo low > /etc/low",
    );
    for is_running in [false, true] {
        let mut child = is_running.then(|| started(&site, &["-p", "copied.toml", "/bin/sh", "-c", WAITING]));
        let look = |script: &str| match is_running {
            true => site.good(&["exec", "copied", "/bin/sh", "-c", script]),
            false => sh(script),
        };
        let find = "find . -mindepth 1 | sort | tr '\\n' ' '";
        // To a directory that is there, to one that is not, and what is in a directory alone.
        for to in ["/srv/new", "/srv/new/named", "/data"] {
            assert_eq!(site.good(&["cp", "tree", &format!("copied:{to}")]), "");
        }
        site.good(&["cp", "tree/.", "copied:srv/new/into"]);
        let trees = "./into ./into/a ./into/host ./into/link ./into/sub ./into/sub/b ./named ./named/a ./named/host ./named/link \
                     ./named/sub ./named/sub/b ./tree ./tree/a ./tree/host ./tree/link ./tree/sub ./tree/sub/b ";
        assert_eq!(look(&format!("cd /srv/new; {find}")), trees);
        assert_eq!(
            look("cat /srv/data/tree/sub/b; readlink /srv/data/tree/host; stat -c '%a %Y' /srv/data/tree/a"),
            "b\n/etc/passwd\n640 1000000000\n"
        );
        site.good(&["cp", "tree/a", "copied:/etc/greeting"]);
        site.good(&["cp", "tree/sub/b", "copied:/etc/low"]);
        assert_eq!(
            look("cat /etc/greeting /etc/low; rm -r /etc/greeting /srv/new/* /srv/data/tree"),
            "a\nb\n"
        );
        // And out of it: what the instance sees, not what a layer has.
        site.good(&["cp", "copied:/data/.", "out/data"]);
        site.good(&["cp", "copied:/data", "out/link"]);
        site.good(&["cp", "-L", "copied:/data", "out/followed"]);
        site.good(&["cp", "copied:/etc", "out"]);
        let listed = tests::images::must(
            "sh",
            &["-c", &format!("cd out; {find}; readlink link; cat etc/low")],
            &site.dir,
        );
        assert_eq!(
            listed,
            "./data ./data/kept ./etc ./etc/low ./etc/passwd ./followed ./followed/kept ./link /srv/data\nb\n"
        );
        tests::images::must("sh", &["-c", "rm -r out/*"], &site.dir);
        for (words, what) in [
            (["tree", "copied:/etc/low"], "and /etc/low a file"),
            (["tree/a", "copied:/none/"], "no directory /none/"),
            (["tree/a", "copied:/none/a"], "no directory /none to copy to"),
            (["copied:/none", "out"], "there is no /none"),
            (["copied:/etc/low/.", "out"], "not a directory"),
            (["tree", "out"], "neither is an instance's"),
            (["copied:/a", "copied:/b"], "both are an instance's"),
            (["tree", "none-such:/b"], "no instance `none-such`"),
        ] {
            let refused = site.refused(&["cp", words[0], words[1]]);
            assert!(refused.contains(what), "{words:?}: {refused}");
        }
        if let Some(child) = &mut child {
            site.good(&["stop", "copied"]);
            assert!(child.wait().is_ok_and(|end| end.success()));
        }
    }
}

#[test]
fn no_link_of_an_instance_leads_a_copy_to_the_host() {
    let site = Site::new("escaping");
    site.policy("escaping", ROOT);
    tests::images::must("sh", &["-ec", "mkdir secret out; echo secret > secret/file"], &site.dir);
    let secret = site.dir.join("secret").display().to_string();
    let script = format!(
        "ln -s {secret} /srv/a; ln -s ../../../../../../..{secret} /srv/b; ln -s /proc/1/root{secret} /srv/c; ln -s /proc/self/root{secret} /srv/d"
    );
    site.sh("escaping.toml", &script);
    for name in ["a", "b", "c", "d"] {
        let from = format!("escaping:/srv/{name}");
        let refused = site.refused(&["cp", "-L", &from, "out"]);
        assert!(refused.contains("there is no") || refused.contains("cannot look"), "{refused}");
        site.refused(&["cp", &format!("{from}/file"), "out"]);
        site.refused(&["cp", "/etc/hostname", &format!("{from}/file")]);
        // The link itself, which is replaced where a later copy has a directory there.
        site.good(&["cp", &from, "out/name"]);
        assert!(site.dir.join("out/name").is_symlink());
        site.sh("escaping.toml", &format!("mkdir -p /tmp/{name}/name; echo bad > /tmp/{name}/name/file"));
        site.good(&["cp", &format!("escaping:/tmp/{name}/."), "out"]);
        assert!(site.dir.join("out/name").is_dir() && !site.dir.join("out/name").is_symlink());
        tests::images::must("sh", &["-c", "rm -r out/*"], &site.dir);
    }
    assert!(tests::instances::has(&site.dir.join("secret/file"), "secret\n"));
    assert_eq!(std::fs::read_dir(site.dir.join("secret")).expect("ours").count(), 1);
}

#[test]
fn the_policys_signal_goes_before_the_images_and_term() {
    let site = Site::new("signal");
    site.policy("signal", &ROOT.replace("app.workdir", "app.stop_signal = \"SIGUSR2\"\napp.workdir"));
    let script = "trap 'echo got; exit 0' USR2; trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = started(&site, &["-p", "signal.toml", "/bin/sh", "-c", script]);
    site.good(&["stop", "signal", "--timeout", "60"]);
    assert!(child.wait().is_ok_and(|end| end.success()));
    site.policy("signal", "app.stop_signal = \"SIGNAL\"\n");
    let refused = site.refused(&["-p", "signal.toml", "/bin/true"]);
    assert!(
        refused.contains("`stop_signal` cannot be \"SIGNAL\"") && refused.contains("signal.toml:1"),
        "{refused}"
    );
}

#[test]
fn a_further_program_comes_through_the_door_of_the_first() {
    for door in ["shim", "gate"] {
        let site = Site::new(&format!("door-of-{door}"));
        let policy = format!("coverage.door = \"{door}\"\n[[volume]]\nat = \"/var/lib/of-no-host\"\n");
        site.policy("through", &policy);
        let script = format!("echo one > /var/lib/of-no-host/file; {WAITING}");
        let mut child = started(&site, &["-p", "through.toml", "/bin/bash", "-c", &script]);
        // The gate has a handler for SIGSYS, which is signal 31.
        let look =
            "cat /var/lib/of-no-host/file; grep -c 'SigCgt.*[4-7c-f].......$' /proc/self/status || true";
        let gated = if door == "gate" { "1" } else { "0" };
        let words = ["exec", "through", "/bin/bash", "-c", look];
        assert_eq!(site.good(&words).lines().collect::<Vec<_>>(), ["one", gated], "{door}");
        site.good(&["stop", "through"]);
        assert!(child.wait().is_ok_and(|end| end.success()));
    }
}

#[test]
fn redis_lives_in_the_background_with_its_data_in_a_volume() {
    for door in ["shim", "gate"] {
        let site = Site::new(&format!("redis-{door}"));
        let policy = format!(
            "coverage.door = \"{door}\"\n[[volume]]\nat = \"/var/lib/of-no-host\"\nname = \"data\"\n"
        );
        site.policy("cached", &policy);
        let port = tests::free_port().to_string();
        let server =
            ["/usr/bin/redis-server", "--port", &port, "--bind", "127.0.0.1", "--dir", "/var/lib/of-no-host"];
        let ask = |words: &[&str]| -> String {
            let client = ["exec", "cached", "/usr/bin/redis-cli", "-p", &port];
            String::from_utf8_lossy(&site.run(&[&client, words].concat()).stdout).into_owned()
        };
        let runs = || until("it answers", || ask(&["ping"]) == "PONG\n");
        site.good(&[&["run", "--detach", "-p", "cached.toml"], &server[..]].concat());
        runs();
        assert_eq!(ask(&["set", "key", "value"]), "OK\n");
        site.good(&["restart", "--detach", "cached"]);
        runs();
        assert_eq!(ask(&["get", "key"]), "value\n");
        assert_eq!(site.good(&["logs", "cached"]).matches("Ready to accept connections").count(), 2);
        site.good(&["cp", "cached:/var/lib/of-no-host/dump.rdb", "dump"]);
        site.good(&["stop", "cached"]);
        assert!(std::fs::read(site.dir.join("dump")).is_ok_and(|dump| dump.starts_with(b"REDIS")));
        site.good(&["rm", "cached"]);
        // A daemon of its own making, which leaves its parent.
        site.good(
            &[&["run", "-p", "cached.toml", "--name", "cached"], &server[..], &["--daemonize", "yes"]]
                .concat(),
        );
        runs();
        assert_eq!(ask(&["get", "key"]), "value\n");
        assert!(site.refused(&["rm", "cached"]).contains("runs, as process"));
        site.good(&["stop", "cached"]);
        site.good(&["rm", "cached"]);
        site.good(&["volume", "rm", "data"]);
    }
}

#[test]
fn of_many_starts_at_once_one_is_the_first() {
    let site = Site::new("race");
    site.policy("race", ROOT);
    let script = "echo $$ >> /run/starts; sleep 2";
    let start = |_| {
        let mut command = site.command(&["-p", "race.toml", "/bin/sh", "-c", script]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher runs")
    };
    let children: Vec<_> = (0..8).map(start).collect();
    let ends: Vec<_> = children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
    assert_eq!(ends.iter().filter(|end| end.status.success()).count(), 1);
    let said = |end: &std::process::Output| {
        String::from_utf8_lossy(&end.stderr).contains("runs already, as process")
    };
    assert_eq!(ends.iter().filter(|end| said(end)).count(), 7);
    assert_eq!(site.sh("race.toml", "wc -l < /run/starts"), "1\n");
}

#[test]
fn nobody_is_led_into_a_view_that_another_user_has_made() {
    assert!(tests::is_root(), "users are changed: run the tests as root");
    let mut site = Site::new("anothers");
    std::fs::create_dir(site.dir.join("state"))
        .and_then(|()| std::fs::create_dir(site.dir.join("runtime")))
        .expect("ours");
    tests::images::must("chown", &["12345:12345", "state", "runtime"], &site.dir);
    site.policy("of-another", ROOT);
    site.user = Some(12345);
    let mut child = started(&site, &["-p", "of-another.toml", "/bin/sh", "-c", WAITING]);
    assert_eq!(site.good(&["exec", "of-another", "/bin/id", "-u"]), "12345\n");
    site.user = None;
    for words in [&["exec", "of-another", "/bin/id"][..], &["cp", "of-another:/etc/greeting", "out"]] {
        let refused = site.refused(words);
        assert!(refused.contains(&format!("another user's, in process {}", child.id())), "{refused}");
    }
    site.user = Some(12345);
    site.good(&["stop", "of-another"]);
    assert!(child.wait().is_ok_and(|end| end.success()));
}

#[test]
fn a_further_program_in_an_image_is_its_users() {
    assert!(tests::is_root(), "users are changed: run the tests as root");
    let site = Site::new("exec-image");
    let script = "umoci init --layout oci && umoci new --image oci:v1 && umoci unpack --image oci:v1 bundle && \
                  cp -a root/. bundle/rootfs && echo 'shop:x:1234:50::/srv:/bin/sh' >> bundle/rootfs/etc/passwd && mkdir bundle/rootfs/proc bundle/rootfs/dev && \
                  umoci repack --image oci:v1 bundle && umoci config --image oci:v1 --config.user shop --config.env A=b \
                  --config.env PATH=/bin --config.workingdir /srv --config.stopsignal SIGUSR1 --config.cmd /bin/sh --config.cmd -c \
                  --config.cmd \"trap 'exit 0' USR1; while :; do sleep 0.05; done\"";
    tests::images::must("sh", &["-ec", script], &site.dir);
    site.good(&["image", "import", "oci:oci:v1", "--name", "shop"]);
    site.policy("exec-image", "[root]\nimage = \"shop\"\n");
    assert_eq!(site.good(&["create", "-p", "exec-image.toml"]), "exec-image\n");
    site.good(&["start", "-d", "exec-image"]);
    let look =
        ["exec", "exec-image", "sh", "-c", "id -u; id -g; pwd; echo $A $PATH $HOME; cat /proc/self/comm"];
    assert_eq!(site.good(&look), "1234\n50\n/srv\nb /bin /srv\ncat\n");
    let look = [
        "exec",
        "--user",
        "0:0",
        "--workdir",
        "/etc",
        "exec-image",
        "sh",
        "-c",
        "id -u; pwd; echo x > x; ls x",
    ];
    assert_eq!(site.good(&look), "0\n/etc\nx\n");
    site.good(&["stop", "exec-image", "--timeout", "60"]);
    assert!(
        site.good(&["ps", "-a"]).lines().any(|line| line.starts_with("exec-image ") && line.contains(" - "))
    );
}

#[test]
fn nginx_of_an_image_serves_as_a_daemon_and_logs_into_a_volume() {
    assert!(tests::is_root(), "users are changed: run the tests as root");
    let site = Site::new("nginx");
    site.good(&["image", "import", &tests::debian11().to_string_lossy(), "--name", "debian"]);
    let policy = "[app]\nstop_signal = \"QUIT\"\n[env]\nset = { PATH = \"/usr/sbin:/usr/bin:/sbin:/bin\" }\n[root]\nimage = \"debian\"\n\
                  [[volume]]\nat = \"/var/log/nginx\"\nname = \"logs\"\n";
    site.policy("webd", policy);
    assert_eq!(site.good(&["create", "-p", "webd.toml", "nginx"]), "webd\n");
    let owner = |path: &str| tests::images::must("stat", &["-c", "%u %g %a", path], &site.dir);
    let there = format!("{}/var/log/nginx", tests::debian11().display());
    assert_eq!(owner("state/volumes/logs"), owner(&there));
    let port = tests::free_port();
    let config = format!(
        "user www-data; pid /run/nginx.pid; worker_processes 2; events {{}}\n\
         http {{ server {{ listen 127.0.0.1:{port}; root /www; access_log /var/log/nginx/access.log; }} }}\n"
    );
    std::fs::write(site.dir.join("nginx.conf"), config).expect("ours");
    tests::images::must("sh", &["-c", "mkdir www; echo from the instance > www/index.html"], &site.dir);
    site.good(&["cp", "nginx.conf", "webd:/etc/nginx/nginx.conf"]);
    site.good(&["cp", "www", "webd:/"]);
    let fetch = format!(
        "use IO::Socket::INET; for (1..200) {{ last if $s = IO::Socket::INET->new('127.0.0.1:{port}'); select undef, undef, undef, 0.05 }} \
         print $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; print ((<$s>)[-1])"
    );
    for turn in 1..=2 {
        // It becomes a daemon, so the first process ends at once.
        site.good(&["start", "webd"]);
        assert!(site.refused(&["start", "webd"]).contains("runs already, as process"));
        assert_eq!(site.good(&["exec", "webd", "perl", "-e", &fetch]), "from the instance\n");
        site.good(&["stop", "webd", "--timeout", "60"]);
        assert_eq!(site.good(&["ps"]).matches("webd ").count(), 0);
        let log =
            std::fs::read_to_string(site.dir.join("state/volumes/logs/access.log")).expect("it is there");
        assert_eq!(log.matches("\"GET / HTTP/1.0\" 200").count(), turn);
    }
    assert!(site.refused(&["image", "rm", "debian"]).contains("in use by the instance `webd`"));
    site.good(&["rm", "webd"]);
    site.good(&["image", "rm", "debian"]);
}
