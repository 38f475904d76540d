//! What an operator does at bad moments: two instances of one name, a start while another ends, a
//! program that is stopped, remains of launchers that were killed.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use tests::images::must;
use tests::instances::{ROOT, Site, WAITING, started, until};

/// A shell that says `ready` and does not end by TERM.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

/// Starts a script in the instance `same` that another state directory keeps.
fn elsewhere(site: &Site, state: &str, script: &str) -> Child {
    let words = ["run", "-p", "same.toml", "--name", "same", "/bin/sh", "-c", script];
    let mut command = site.command(&words);
    command.env("STATE_DIRECTORY", site.dir.join(state)).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the launcher runs");
    let mut said = [0; 6];
    child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it says that it runs");
    child
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().expect("it is ours").is_none()
}

#[test]
fn a_stop_ends_the_instance_that_is_kept_here_and_no_other_of_its_name() {
    let site = Site::new("same");
    site.policy("same", ROOT);
    let mut own = elsewhere(&site, "state", WAITING);
    let mut others = [elsewhere(&site, "second", DEAF), elsewhere(&site, "third", DEAF)];
    site.good(&["stop", "same", "--timeout", "1"]);
    assert!(own.wait().is_ok_and(|end| end.success()));
    assert!(others.iter_mut().all(is_running));
    // None is kept here that runs, and two might be meant.
    let refused = site.refused(&["stop", "same", "--timeout", "1"]);
    assert!(refused.contains("several instances `same`") && refused.contains("/second/instances/same"));
    let [second, third] = &mut others;
    let stop = |state: &str| {
        let mut command = site.command(&["stop", "same", "--timeout", "0"]);
        command.env("STATE_DIRECTORY", site.dir.join(state)).status().expect("the launcher runs")
    };
    assert!(stop("third").success() && !third.wait().expect("it ends").success());
    assert!(is_running(second) && stop("second").success());
    second.wait().expect("it ends");
}

#[test]
fn a_start_that_follows_a_stop_at_once_is_not_ended_by_it() {
    let site = Site::new("follows");
    site.policy("follows", ROOT);
    let slow = "trap 'echo heard; sleep 0.2; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut first = started(&site, &["-p", "follows.toml", "/bin/sh", "-c", slow]);
    let mut stop = site.command(&["stop", "follows", "--timeout", "1"]).spawn().expect("the launcher runs");
    let signal = |word: &str, process: u32| must("kill", &[word, &process.to_string()], &site.dir);
    first.stdout.as_mut().expect("it is piped").read_exact(&mut [0; 6]).expect("it hears of it");
    // It looks again when another has been started.
    signal("-STOP", stop.id());
    assert!(first.wait().is_ok_and(|end| end.success()));
    site.good(&["run", "--detach", "-p", "follows.toml", "/bin/sh", "-c", DEAF]);
    signal("-CONT", stop.id());
    assert!(stop.wait().is_ok_and(|end| end.success()));
    // What could not be started again is not stopped for that.
    let good = fs::read(site.dir.join("follows.toml")).expect("it is ours");
    site.policy("follows", "[[mount]]\nat = \"nowhere\"\n");
    let refused = site.refused(&["restart", "follows", "--detach"]);
    assert!(refused.contains("follows.toml:2") && refused.contains("has not been stopped"), "{refused}");
    fs::write(site.dir.join("follows.toml"), good).expect("it is ours");
    let log = site.dir.join("state/instances/follows/log");
    until("it runs on", || tests::instances::has(&log, "ready\n"));
    site.good(&["restart", "follows", "--detach", "--timeout", "0"]);
    site.good(&["stop", "follows", "--timeout", "0"]);
}

#[test]
fn a_program_that_is_stopped_hears_of_its_end() {
    let site = Site::new("stopped");
    site.policy("stopped", ROOT);
    let mut child = started(&site, &["-p", "stopped.toml", "/bin/sh", "-c", WAITING]);
    must("kill", &["-STOP", &child.id().to_string()], &site.dir);
    site.good(&["stop", "stopped", "--timeout", &u64::MAX.to_string()]);
    assert!(child.wait().is_ok_and(|end| end.success()), "it was killed");
}

/// One that does so when it has been looked at already: of a SIGSTOP, too, nobody sees anything before the process next runs.
#[test]
fn a_program_that_stops_when_it_is_told_to_end_goes_on() {
    let site = Site::new("stops");
    site.policy("stops", ROOT);
    let stops = "trap 'kill -STOP $$; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = started(&site, &["-p", "stops.toml", "/bin/sh", "-c", stops]);
    site.good(&["stop", "stops", "--timeout", "60"]);
    assert!(child.wait().is_ok_and(|end| end.success()), "it was killed");
}

#[test]
fn what_one_run_had_for_itself_and_what_was_cut_off_goes_with_the_next_start() {
    let site = Site::new("remains");
    site.policy("once", &ROOT.replace("[\"root\"]", "[\"root\"]\nwrite = \"ephemeral\""));
    let runtime = site.dir.join("runtime/launcher");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&runtime).expect("it has been used").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.ends_with("-gate") && !name.ends_with("-shim.so") && name != "starts");
        names.sort();
        names
    };
    let mut daemon = started(&site, &["-p", "once.toml", "/bin/sh", "-c", WAITING]);
    let of_daemon = names();
    site.sh("once.toml", "echo large > /srv/large");
    // Of a launcher that has been killed, and of one that is at work.
    let gone = "99999999-1";
    let at_work = format!(".draft-{}-1", std::process::id());
    let drafts = format!(
        "mkdir -p starts .draft-{gone} {at_work}; touch .door-{gone} starts/draft-{gone} .draft-{gone}/view; touch -d '2 minutes ago' * .draft* .door* starts/*"
    );
    must("sh", &["-ec", &drafts], &runtime);
    assert_eq!((of_daemon.len(), names().len()), (1, 5));
    // One that is killed while it takes them away.
    let launcher = site.command(&["-p", "once.toml", "/bin/true"]);
    let mut killed = Command::new("strace");
    killed
        .args(["-o", "/dev/null", "-e", "inject=unlinkat:signal=SIGKILL:when=4"])
        .arg(launcher.get_program());
    killed.args(launcher.get_args()).current_dir(&site.dir).env_clear();
    killed.envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(!killed.status().expect("strace is installed").success());
    must("sh", &["-ec", "touch -d '2 minutes ago' * .draft* starts"], &runtime);
    site.sh("once.toml", "test ! -e /srv/large");
    let left = names();
    assert!(left.contains(&of_daemon[0]) && left.contains(&at_work), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!runtime.join(format!("starts/draft-{gone}")).exists());
    site.good(&["stop", "once"]);
    assert!(daemon.wait().is_ok_and(|end| end.success()));
}

#[test]
fn what_was_cut_off_is_shown_and_can_be_taken_away() {
    let site = Site::new("cut-off");
    site.policy("whole", ROOT);
    site.sh("whole.toml", "true");
    // Others pass through an instance's directory, and cannot open it, and so not lock it.
    let mode =
        fs::metadata(site.dir.join("state/instances/whole")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o711);
    let script = "cd state; mkdir -p instances/half volumes/gone@srv volumes/gone removed/1-1/x";
    must("sh", &["-ec", script], &site.dir);
    let shown = site.good(&["ps", "--all"]);
    assert!(
        shown.lines().any(|line| line.starts_with("half ") && line.ends_with("(its making was cut off)"))
    );
    site.good(&["rm", "half"]);
    assert!(!site.dir.join("state/removed/1-1").exists());
    // Volumes of an instance that is gone already.
    site.good(&["rm", "--volumes", "gone"]);
    assert!(site.refused(&["rm", "--volumes", "gone"]).contains("no instance `gone`"));
    assert_eq!(fs::read_dir(site.dir.join("state/volumes")).expect("there").count(), 1);
    must("mkdir", &["-p", "state/removed/1-1/x"], &site.dir);
    site.good(&["image", "gc"]);
    assert!(!site.dir.join("state/removed/1-1").exists());
    // What cannot be taken away is in nobody's way.
    must(
        "sh",
        &["-ec", "mkdir -p state/removed/1-1; touch state/removed/1-1/x; chattr +i state/removed/1-1/x"],
        &site.dir,
    );
    let removed = site.run(&["rm", "whole"]);
    must("chattr", &["-i", "state/removed/1-1/x"], &site.dir);
    let said = String::from_utf8_lossy(&removed.stderr);
    assert!(removed.status.success() && said.contains("removed/1-1: Operation not permitted"), "{said}");
    assert_eq!(site.names(), Vec::<String>::new());
    let mut command = site.command(&["create", "-p", "whole.toml", "--name", "other", "/bin/true"]);
    let bad = site.dir.join(std::ffi::OsStr::from_bytes(b"bad\xff"));
    let output = command.env("STATE_DIRECTORY", &bad).output().expect("the launcher runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its name is no UTF-8") && !bad.exists(), "{said}");
}

#[test]
fn a_log_is_printed_to_where_it_ended_when_it_was_asked_for() {
    let site = Site::new("chatty");
    site.policy("chatty", ROOT);
    let script = "yes | head -c 300000; while :; do echo more; done";
    site.good(&["run", "--detach", "-p", "chatty.toml", "/bin/sh", "-c", script]);
    let log = site.dir.join("state/instances/chatty/log");
    let length = || fs::metadata(&log).map_or(0, |about| about.len());
    until("it prints", || length() > 300_000);
    let mut command = site.command(&["logs", "chatty"]);
    let mut logs = command.stdout(Stdio::piped()).spawn().expect("the launcher runs");
    let out = logs.stdout.as_mut().expect("it is piped");
    out.read_exact(&mut [0]).expect("it prints");
    let most = length();
    until("there is more", || length() > most + 1000);
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("it ends");
    assert!(logs.wait().is_ok_and(|end| end.success()));
    assert!(rest.len() > 290_000 && rest.len() as u64 <= most, "{} of {most}", rest.len());
    site.good(&["stop", "chatty", "--timeout", "0"]);
}

#[test]
fn what_a_program_takes_away_meanwhile_is_no_fault_of_a_copy() {
    let site = Site::new("busy");
    site.policy("busy", ROOT);
    let script = "echo ready; i=0; while :; do i=$((i + 1)); n=$((i % 23)); mkdir -p /srv/b/$n/e; echo $i > /srv/b/$n/e/f; \
                  mv /srv/b/$n /srv/c$n; mv /srv/c$n /srv/b; rm -r /srv/b/$(((i + 11) % 23)); done 2> /dev/null";
    let mut child = started(&site, &["-p", "busy.toml", "/bin/sh", "-c", script]);
    for turn in 0..12 {
        site.good(&["cp", "busy:/srv", &format!("out{turn}")]);
        let archive = site.run(&["cp", "busy:/srv", "-"]);
        assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
        let listed = tests::feed(Command::new("tar").arg("-t"), &archive.stdout);
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    }
    site.good(&["stop", "busy", "--timeout", "0"]);
    child.wait().expect("it ends");
}

#[test]
fn parts_of_the_state_may_lie_on_another_file_system_behind_links() {
    let site = Site::new("parts");
    let other = std::path::PathBuf::from(format!("/dev/shm/test-parts-{}", std::process::id()));
    let script = format!(
        "mkdir -p state {0}/instances {0}/volumes; chmod 711 {0}/*; ln -s {0}/* state",
        other.display()
    );
    must("sh", &["-ec", &script], &site.dir);
    let volumes = "[[volume]]\nat = \"/srv/data\"\n[[volume]]\nat = \"/srv/named\"\nname = \"named\"\n";
    site.policy("parts", &format!("{ROOT}{volumes}"));
    let script = "echo own > /srv/data/file; echo named > /srv/named/file; echo new > /new; echo more >> /etc/greeting";
    site.sh("parts.toml", script);
    let cat = "cat /srv/data/file /srv/named/file /new /etc/greeting";
    assert_eq!(site.sh("parts.toml", cat), "own\nnamed\nnew\nhello\nmore\n");
    let exported = site.run(&["export", "parts"]);
    fs::write(site.dir.join("parts.tar.zst"), exported.stdout).expect("the site is writable");
    site.good(&["rm", "--volumes", "parts"]);
    site.good(&["volume", "rm", "named"]);
    let refused = site.refused(&["import", "parts.tar.zst"]);
    assert!(refused.contains("lie on two file systems"), "{refused}");
    // What was cut off while it was removed there.
    must("mkdir", &["-p", "state/volumes/.removed/1-1/x"], &site.dir);
    assert!(!site.good(&["volume", "ls"]).contains("removed"));
    site.good(&["image", "gc"]);
    assert!(!other.join("volumes/.removed/1-1").exists() && site.names() == [".removed"]);
    assert_eq!(fs::read_dir(other.join("instances/.removed")).expect("it is there").count(), 0);
    fs::remove_dir_all(other).expect("it is ours");
}

#[test]
fn a_daemon_whose_view_has_been_taken_away_keeps_its_instance_busy() {
    let site = Site::new("orphan");
    site.policy("orphan", ROOT);
    let daemon = "(setsid sh -c 'echo $$ > /run/pid; read word < /run/fifo' < /dev/null > /dev/null 2>&1 &)";
    site.sh(
        "orphan.toml",
        &format!("mkfifo /run/fifo; {daemon}; while ! test -s /run/pid; do sleep 0.05; done"),
    );
    fs::remove_dir_all(site.dir.join("runtime")).expect("it is ours");
    let upper = site.dir.join("state/instances/orphan/write/-/upper");
    let id = fs::read_to_string(upper.join("run/pid")).expect("it has said so");
    let process = format!("as process {}", id.trim());
    for words in [&["-p", "orphan.toml", "/bin/true"][..], &["rm", "orphan"], &["stop", "orphan"]] {
        let refused = site.refused(words);
        assert!(refused.contains(&process), "{words:?}: {refused}");
    }
    let shown = site.good(&["ps", "--all"]);
    assert!(shown.lines().any(|line| line.starts_with("orphan ") && line.contains(id.trim())), "{shown}");
    must("kill", &["-KILL", id.trim()], &site.dir);
    until("it has ended", || site.run(&["rm", "orphan"]).status.success());
}

/// On a file system of 8 MiB, by the launcher `$1`.
const FULL: &str = r#"
mkdir -p full; mount -t tmpfs -o size=8m none full; export STATE_DIRECTORY=$PWD/full/state XDG_RUNTIME_DIR=$PWD/runtime
"$1" image import root --name base > /dev/null
printf '[root]\nimage = "base"\n' > full.toml
printf '[app]\nname = "full"\n[root]\nimage = "base"\n[[volume]]\nat = "/srv"\nname = "v"\n' > volume.toml
"$1" -p full.toml /bin/sh -c 'head -c 2000000 /bin/busybox > /srv/x; echo more >> /etc/greeting'
head -c 10000000 /dev/zero > full/filling 2> /dev/null || true; truncate -s -1M full/filling
used() { df --output=used full | tail -1; }; before=$(used)
! "$1" commit full oci:full/out:v1; ! "$1" -p volume.toml /bin/true; ! "$1" commit full image
test $(used) -le $((before + 100)) || { echo stays; find full; }
head -c 2000000 /dev/zero >> full/filling 2> /dev/null || true
! "$1" cp root/bin/busybox full:/srv/copy
! "$1" -p full.toml --name other /bin/true
"$1" cp full:/etc/greeting - | tar -xO
umount full
"#;

#[test]
fn what_fails_on_a_full_disk_says_so_and_leaves_it_no_fuller() {
    let site = Site::new("full");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", FULL, "sh", &tests::launcher().to_string_lossy()]);
    let output = tests::feed(command.current_dir(&site.dir).env("LC_ALL", "C.UTF-8"), b"");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said == "hello\nmore\n", "{said}{errors}");
    assert_eq!(errors.lines().filter(|line| line.contains("No space left on device")).count(), 5, "{errors}");
}
