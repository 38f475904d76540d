//! The gate: signals and the program's own seccomp filters are as without it.
//!
//! The probes print what they find. The oracle is a run without the launcher,
//! on the file itself.

use std::path::Path;
use std::process::Command;

use tests::{Mount, World, assert_same, compiled, feed, is_root, read_write, transcript, write};

const MOUNTS: &[Mount] = &[read_write("work", "data")];

fn world(name: &str) -> World {
    let fill = |dir: &Path| write(dir.join("host/data/file"), "data\n");
    World::new(name, MOUNTS, fill).saying("coverage.door = \"gate\"")
}

/// Runs a probe on a file natively, and in a view on the same file under its app path.
fn same_natively(name: &str, probe: &str, library: &str) {
    let world = world(name);
    for (flags, output) in [
        (&["-pthread", library][..], probe.to_owned()),
        (&["-pthread", "-static", library][..], format!("{probe}-static")),
    ] {
        let program = compiled(probe, flags, &output);
        let (host, app) = (world.dir.join("host/data/file"), world.dir.join("app/work/file"));
        let run = |mut command: Command, file: &Path| {
            let said = transcript(&feed(command.arg(file).current_dir("/").env("LC_ALL", "C"), b""));
            said.replace(&*file.to_string_lossy(), "FILE")
        };
        let natively = run(Command::new(&program), &host);
        let in_view = run(world.in_view(&program), &app);
        assert_same("natively", &natively, "the gate", &in_view);
        assert!(host.exists(), "the probe could remove the file:\n{in_view}");
    }
}

#[test]
fn signals_come_as_natively() {
    same_natively("gate-signals", "signals", "-lc");
}

#[test]
fn a_program_s_own_filters_judge_its_calls_and_never_the_gate_s() {
    same_natively("gate-seccomp", "seccomp", "-lc");
}

#[test]
fn filters_made_by_libseccomp_act_as_natively() {
    same_natively("gate-libseccomp", "libseccomp", "-lseccomp");
}

#[test]
fn a_listener_for_calls_that_the_gate_answers_is_refused_with_the_reason() {
    let world = world("gate-listener");
    let (probe, file) = (compiled("seccomp", &["-pthread"], "seccomp"), world.dir.join("app/work/file"));
    let natively = Command::new(&probe).arg(world.dir.join("host/data/file")).arg("listens").output();
    let natively = String::from_utf8_lossy(&natively.expect("the probe runs").stdout).into_owned();
    assert!(natively.starts_with("a listener\n"), "{natively}");
    let said = transcript(&feed(world.in_view(&probe).arg(file).arg("listens"), b""));
    assert!(said.starts_with("EINVAL\nrefused: openat ok\nrefused: stat 0\n"), "{said}");
    assert!(said.contains("listener is to be asked about system call 257, which the gate answers"), "{said}");
}

#[test]
fn a_filter_given_to_bwrap_holds_in_its_sandbox() {
    if !is_root() {
        eprintln!("not root, so bwrap may not be allowed its namespaces");
        return;
    }
    // unlinkat answers EXDEV (18), all else is allowed.
    let filter = "printf '\\40\\0\\0\\0\\0\\0\\0\\0\\25\\0\\0\\1\\7\\1\\0\\0\\6\\0\\0\\0\\22\\0\\5\\0\\6\\0\\0\\0\\0\\0\\377\\177' > @/work/bpf; \
        bwrap --bind / / --seccomp 9 rm @/work/file 9< @/work/bpf; cat @/work/file";
    let said = world("gate-bwrap").view_says("/bin/sh", &["-c", filter]);
    assert!(said.contains("Invalid cross-device link") && said.starts_with("data\n"), "{said}");
}

#[test]
fn sshd_lets_a_user_in_by_key_through_its_sandbox() {
    if !is_root() {
        eprintln!("not root, so sshd has no user to separate its privileges to");
        return;
    }
    let port = tests::free_port();
    let script = format!(
        "umask 077; mkdir -p /run/sshd; cd @/work; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f id; \
         cp id.pub keys; /usr/sbin/sshd -D -e -f /dev/null -p {port} -h @/work/host -o ListenAddress=127.0.0.1 \
         -o AuthorizedKeysFile=@/work/keys -o StrictModes=no -o UsePAM=no -o PidFile=none 2> log & sleep 0.1; \
         for turn in 1 2 3 4 5 6 7 8 9 10; do \
         ssh -p {port} -i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -F /dev/null -l root 127.0.0.1 \
         'cat @/work/file; echo came in' && break; sleep 0.5; done; kill $!; wait; cat log"
    );
    let said = world("gate-sshd").view_says("/bin/bash", &["-c", &script]);
    assert!(said.starts_with("data\ncame in\n") && said.contains("Accepted publickey for root"), "{said}");
}
