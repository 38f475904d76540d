//! The gate under debuggers: gdb and strace in the view, and on the host.

use std::process::Command;
use std::time::{Duration, Instant};

use tests::{World, compiled, feed, read_write, transcript, write};

fn world(name: &str) -> World {
    World::new(name, &[read_write("work", "data")], |dir| write(dir.join("host/data/file"), "data\n"))
        .saying("coverage.door = \"gate\"")
}

/// What gdb is told first: traps are the gate's.
const QUIET: &str = "handle SIGSYS nostop noprint pass";

/// A loop of calls on a path, whose function `look` takes its breakpoint.
fn debugged() -> std::path::PathBuf {
    compiled("debugged", &["-g", "-O0"], "debugged")
}

#[test]
fn gdb_in_the_view_runs_a_program_there() {
    let program = debugged();
    let words = [
        "-nx",
        "-batch",
        "-ex",
        QUIET,
        "-ex",
        "break look",
        "-ex",
        "run",
        "-ex",
        "backtrace",
        "-ex",
        "finish",
        "-ex",
        "print turns",
        "-ex",
        "next",
        "-ex",
        "delete",
        "-ex",
        "continue",
        "--args",
        &program.to_string_lossy(),
        "@/work/file",
        "20",
    ];
    let said = world("gate-gdb").view_says("/usr/bin/gdb", &words);
    for part in [
        "Breakpoint 1, look",
        "#1  0x",
        "in main (",
        "Value returned is $1 = 1",
        "turns 20 good 20",
        "exited normally",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn gdb_and_strace_on_the_host_attach_to_a_program_in_the_view() {
    let world = world("gate-attach");
    let program = debugged();
    let mut command = world.in_view(&program);
    let mut running =
        command.arg(world.dir.join("app/work/file")).arg("100000000").spawn().expect("the launcher runs");
    let pid = running.id().to_string();
    // The process is the launcher's at first, then the gate's, which names it last.
    let (name, since) = (format!("/proc/{pid}/comm"), Instant::now());
    while std::fs::read_to_string(&name).is_ok_and(|name| name != "debugged\n")
        && since.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut gdb = Command::new("timeout");
    gdb.args(["60", "gdb"]);
    gdb.args([
        "-nx",
        "-batch",
        "-ex",
        "set exec-file-mismatch off",
        "-ex",
        QUIET,
        "-ex",
        "break look",
        "-ex",
        "continue",
        "-ex",
        "backtrace",
        "-ex",
        "finish",
        "-ex",
        "detach",
    ]);
    let attached = transcript(&feed(gdb.arg(&program).args(["-p", &pid]), b""));
    let mut strace = Command::new("timeout");
    let traced =
        transcript(&feed(strace.args(["1", "strace", "-e", "trace=openat,openat2", "-p", &pid]), b""));
    let ended = running.try_wait().expect("the child is ours");
    running.kill().expect("the child is ours");
    running.wait().expect("the child is ours");
    assert!(ended.is_none(), "{ended:?}: {attached}{traced}");
    for part in ["Breakpoint 1, look", "in main (", "Value returned is $1 = 1", "detached"] {
        assert!(attached.contains(part), "{part}: {attached}");
    }
    assert!(traced.contains("host/data/file"), "strace on the host sees host paths: {traced}");
}

#[test]
fn strace_works_in_the_view_and_around_it() {
    let world = world("gate-strace");
    let program = debugged();
    let said = world.view_says("/usr/bin/strace", &["-f", &program.to_string_lossy(), "@/work/file", "5"]);
    assert!(said.contains("turns 5 good 5") && said.contains("app/work/file"), "{said}");
    let inner = world.in_view(&program);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null"]).arg(inner.get_program()).args(inner.get_args());
    let said = transcript(&feed(strace.arg(world.dir.join("app/work/file")).arg("50"), b""));
    assert!(said.contains("turns 50 good 50") && said.contains("exit status: 0"), "{said}");
}
