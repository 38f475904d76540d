//! The life of an instance: made, started, stopped, removed; and that none of it
//! leaves anything half done.

use std::process::{Child, Stdio};

use tests::instances::{Site, until};

const ROOT: &str = "coverage.door = \"gate\"\napp.workdir = \"/\"\n[root]\nlayers = [\"root\"]\n\
    [[mount]]\nat = \"/dev\"\nsource = \"/dev\"\naccess = \"read-write\"\n[[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n";

/// Starts a script, and waits until it says that it runs.
fn started(site: &Site, words: &[&str]) -> Child {
    use std::io::Read as _;
    let mut child = site.command(words);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the launcher runs");
    let mut ready = [0; 6];
    child.stdout.as_mut().expect("it is piped").read_exact(&mut ready).expect("it says that it runs");
    assert_eq!(&ready, b"ready\n");
    child
}

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
