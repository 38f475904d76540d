//! The life of an instance: made, started, stopped, removed; and that none of it
//! leaves anything half done.

use std::process::Stdio;

use tests::instances::{ROOT, Site, WAITING, killed_at_each_change, started, until};

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
        listed.lines().any(|line| line.starts_with("made ") && line.contains(" - -    /bin/sh -c")),
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
fn a_kill_while_an_instance_is_made_leaves_one_that_can_be_made() {
    let site = Site::new("killed-create");
    site.policy("made", ROOT);
    assert!(site.refused(&["create", "-p", "made.toml"]).contains("no program is named"));
    assert!(!site.dir.join("state/instances/made").exists());
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

#[test]
fn what_is_traced_runs_like_any_other_start() {
    let site = Site::new("traced");
    site.policy("traced", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\nname = \"data\"\n"));
    let mut child = started(&site, &["trace", "-o", "told", "-p", "traced.toml", "/bin/sh", "-c", WAITING]);
    let begun = std::time::Instant::now();
    assert!(site.refused(&["-p", "traced.toml", "/bin/true"]).contains("runs already, as process"));
    assert!(site.refused(&["rm", "traced"]).contains("runs, as process"));
    assert!(site.refused(&["volume", "rm", "data"]).contains("in use by process"));
    // Nobody waits for the one who traces.
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
    site.good(&["stop", "traced"]);
    assert!(child.wait().is_ok_and(|end| end.success()));
}

#[test]
fn an_ordinary_user_has_instances_too() {
    assert!(tests::is_root(), "users are changed: run the tests as root");
    let mut site = Site::new("ordinary");
    tests::images::must(
        "sh",
        &["-c", "mkdir state runtime out; chown -R 12345:12345 state runtime out root"],
        &site.dir,
    );
    site.user = Some(12345);
    site.policy("ordinary", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\n"));
    let script = format!(
        "mkdir -p /srv/closed/deep /srv/data/closed/deep; echo x > /srv/data/file; rm /etc/greeting; \
         chmod 0 /srv/closed/deep /srv/closed /srv/data/closed/deep /srv/data/closed; {WAITING}"
    );
    site.good(&["run", "--detach", "-p", "ordinary.toml", "/bin/sh", "-c", &script]);
    until("it runs", || site.good(&["logs", "ordinary"]).contains("ready"));
    assert_eq!(site.good(&["exec", "ordinary", "/bin/sh", "-c", "id -u; cat /srv/data/file"]), "12345\nx\n");
    site.good(&["cp", "ordinary:/srv/data/file", "out"]);
    site.good(&["cp", "out/file", "ordinary:/etc/greeting"]);
    site.good(&["stop", "ordinary"]);
    site.good(&["cp", "ordinary:/etc/greeting", "out/greeting"]);
    assert!(tests::instances::has(&site.dir.join("out/greeting"), "x\n"));
    // Also what its owner may not enter.
    site.good(&["rm", "--volumes", "ordinary"]);
    for dir in ["instances", "volumes", "removed"] {
        let left = std::fs::read_dir(site.dir.join("state").join(dir)).expect("it has been used").count();
        assert_eq!(left, 0, "{dir}");
    }
}
