//! What is done in an instance from outside: a further program, and copies of files.

use std::process::Stdio;

use tests::instances::{ROOT, Site, WAITING, started};

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
    // What is of one run alone is not there any more.
    let refused = site.refused(&["cp", "exec.toml", "exec:/tmp/copy"]);
    assert!(refused.contains("is of one run alone"), "{refused}");
    site.good(&["cp", "exec.toml", "exec:/srv/data/copy"]);
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
fn a_copy_keeps_what_a_file_has_but_for_setuid_under_another_owner() {
    assert!(tests::is_root(), "owners are changed: run the tests as root");
    let site = Site::new("attributes");
    site.policy("attributes", ROOT);
    let script = "mkdir -p tree/sub; echo a > tree/sub/a; ln tree/sub/a tree/again; ln -s sub/a tree/link; mkfifo -m 600 tree/pipe; \
                  truncate -s 100M tree/hole; echo end >> tree/hole; setfattr -n user.color -v blue tree/sub/a; \
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
    // The same as archives, there and back.
    let launcher = tests::launcher().display().to_string();
    let piped = |script: &str| {
        let output = site
            .command(&[])
            .get_envs()
            .fold(std::process::Command::new("sh"), |mut command, (name, value)| {
                if let Some(value) = value {
                    command.env(name, value);
                }
                command
            })
            .args(["-c", &script.replace("cp ", &format!("{launcher} cp "))])
            .current_dir(&site.dir)
            .output();
        let output = output.expect("a shell");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (done, said) = piped(
        "mkdir there; cp attributes:/srv/tree - | tar -C there --xattrs -xpf - && tar -C there --xattrs -Sczf - tree | cp -a - attributes:/etc && cp -a attributes:/etc/tree back",
    );
    assert!(done, "{said}");
    for tree in ["there/tree", "back"] {
        tests::assert_same("what was copied", &listing("tree"), tree, &listing(tree));
    }
    let (done, said) = piped("cp attributes:/srv/tree/. - | tar -t | sort | head -3");
    assert!(done && said == "./\n./again\n./hole\n", "{said}");
    // Nothing leads out of the directory, and nothing through a link that came along.
    for (script, reason) in [
        ("tar -cPf - --transform 's,^tree/again,../up,' tree/again | cp - attributes:/srv", "leads upwards"),
        (
            "ln -s /etc to; tar -cf - to --transform 's,^tree,to,' tree/again | cp - attributes:/srv",
            "a link of the archive's own",
        ),
        ("echo no archive | cp - attributes:/srv", "cannot read the archive"),
        (": | cp - attributes:/srv", "there is no archive"),
        ("tar -cf - tree | cp - attributes:/srv/tree/sub/a", "is no directory"),
        ("tar -cf - tree | cp - attributes:/none", "no such file"),
    ] {
        let (done, said) = piped(script);
        assert!(!done && said.contains(reason), "{script}: {said}");
    }
    let (done, said) = piped("cp attributes:/etc/again - || true; cp attributes:/up -");
    assert!(!done && said.contains("cannot look at"), "{said}");
}

#[test]
fn files_are_copied_into_an_instance_and_out_of_it_by_the_rules_of_docker_cp() {
    let site = Site::new("copied");
    site.policy("copied", &format!("{ROOT}[[volume]]\nat = \"/srv/data\"\n"));
    let script = "mkdir -p tree/sub out; echo a > tree/a; ln -s a tree/link; echo b > tree/sub/b; chmod 640 tree/a; \
                  touch -d @1000000000 tree/a tree/sub/b tree/sub; ln -s /etc/passwd tree/host; mkfifo fifo";
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
            (["copied:/etc/low", "fifo"], "fifo by a file: it is a device, a FIFO or a socket"),
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
