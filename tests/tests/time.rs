//! The clock of a policy: whichever way a program asks, it is told the same, and what it waits
//! for comes when it should. The oracle is the program without a view: only the date may differ.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::symbols::MUSL;
use tests::{World, assert_same, compiled, compiled_by, feed, program, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];
const DAY: u64 = 86_400;

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn world(name: &str, door: &str, time: &str) -> World {
    World::new(&format!("time-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n[time]\n{time}\n"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// What the probe prints natively, with the line that says that it was told the right time.
fn native(mut command: Command) -> String {
    transcript(&feed(command.env("EXPECTED", now().to_string()), b""))
}

fn told(name: &str, probe: &Path, doors: &[&str]) {
    // The vsyscall page is a matter of the gate alone.
    let asking = |mut command: Command| {
        if doors == ["gate"] {
            command.env("VSYSCALL", "1");
        }
        command
    };
    let natively = native(asking(Command::new(probe)));
    assert!(natively.contains("as expected: 1\n") && natively.ends_with("exit status: 0\n"), "{natively}");
    assert!(!natively.contains("early") && !natively.contains("late"), "{natively}");
    for door in doors {
        let world = world(name, door, "offset = \"-400d\"");
        let mut command = asking(world.in_view(probe));
        let said = transcript(&feed(command.env("EXPECTED", (now() - 400 * DAY).to_string()), b""));
        assert_same("natively", &natively, door, &said);
    }
}

#[test]
fn every_way_of_asking_and_of_waiting_has_the_policys_clock() {
    told("glibc", &program("clock"), &DOORS);
}

#[test]
fn a_static_program_has_it_too() {
    told("static", &compiled("clock", &["-static"], "clock-static"), &["gate"]);
}

#[test]
fn a_program_of_musl_has_it_too() {
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    let probe = |more: &[&str], name: &str| -> PathBuf { compiled_by("musl-gcc", "clock", more, name) };
    told("musl", &probe(&[], "clock-musl"), &DOORS);
    told("musl-static", &probe(&["-static"], "clock-musl-static"), &["gate"]);
}

#[test]
fn a_clock_begins_where_it_is_said_to_and_is_one_for_all_processes() {
    let script = "date '+%F %T %Z'; /bin/sh -c 'exec date \"+%F %T\"'; cat /etc/timezone 2>/dev/null
        perl -e 'print scalar localtime, qq(\\n)'; before=$(date +%s%N); sleep 0.2
        took=$(( ($(date +%s%N) - before) / 1000000 )); test $took -ge 200 -a $took -lt 1000 && echo slept";
    for door in DOORS {
        let expected = "2015-06-30 23:59:00 EDT\n2015-06-30 23:59:00\nAmerica/Toronto\nTue Jun 30 23:59:00 2015\n\
                        slept\n--- standard error\n--- exit status: 0\n";
        let world = world("at", door, "zone = \"America/Toronto\"\nat = \"2015-06-30T23:59:00\"");
        // A second run begins anew.
        for _ in 0..2 {
            let said = world.view_says("/bin/sh", &["-c", script]);
            assert_same("the policy", expected, door, &said);
        }
    }
}

#[test]
fn a_clock_can_go_faster_slower_or_not_at_all() {
    let script = "import time
a, b = time.time(), time.monotonic(); time.sleep(0.2); c, d = time.time(), time.monotonic()
rate = float('RATE'); went = (c - a) / (d - b)
print(abs(went - rate) <= rate / 5, 0.19 < d - b < 1, time.strftime('%Y-%m-%d', time.gmtime()))";
    for door in DOORS {
        for (how, rate) in [("rate = 60", "60.0"), ("rate = 0.5", "0.5"), ("frozen = true", "0.0")] {
            let world = world("rate", door, &format!("at = \"2015-06-30T12:00:00Z\"\n{how}"));
            let said = world.view_says("/usr/bin/python3", &["-c", &script.replace("RATE", rate)]);
            assert_same(
                "the policy",
                "True True 2015-06-30\n--- standard error\n--- exit status: 0\n",
                how,
                &said,
            );
        }
        // What has been waited for has come: a minute of such a clock is over after a second.
        let world = world("wait", door, "at = \"2015-06-30T12:00:00Z\"\nrate = 600");
        let script = "import time, threading
condition, before, end = threading.Condition(), time.monotonic(), time.time() + 60
with condition: condition.wait(0.1)
print(time.time() >= end, 0.09 < time.monotonic() - before < 1)";
        let said = world.view_says("/usr/bin/python3", &["-c", script]);
        assert_same("the policy", "True True\n--- standard error\n--- exit status: 0\n", door, &said);
    }
}

#[test]
fn who_joins_an_instance_finds_its_clock_going() {
    for door in DOORS {
        let world = world("joined", door, "zone = \"UTC\"\nat = \"2015-06-30T12:00:00\"");
        let seconds = || -> u32 {
            let said = world.view_says("/bin/date", &["+%S%3N"]);
            said.lines().next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{said}"))
        };
        // Milliseconds since the start: the second run of a policy that nobody runs begins anew.
        assert!(seconds() < 700 && seconds() < 700);
        let mut first = world.in_view(Path::new("/bin/sleep")).arg("30").spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(800));
        let joined = seconds();
        first.kill().and_then(|()| first.wait()).expect("our own child");
        assert!((700..20_000).contains(&joined), "{joined}");
        assert!(seconds() < 700);
    }
}

#[test]
fn setting_the_clock_changes_this_instance_alone() {
    let expected = "clock_settime: 0 0 1\nsettimeofday: 0 0 1\nsettimeofday wrong: -1 22\nadjtimex: 0 0 1\n\
                    frequency: -1 1\na child: 1\n2001-09\n--- standard error\n--- exit status: 0\n";
    let refused = "clock_settime: -1 1 0\nsettimeofday: -1 1 0\nsettimeofday wrong: -1 22\nadjtimex: 1 1 0\n\
                   frequency: -1 1\na child: 0\n2015-06\n--- standard error\n--- exit status: 0\n";
    if !tests::is_root() {
        return;
    }
    for door in DOORS {
        let virtual_root = "at = \"2015-06-30T12:00:00Z\"\n[identity]\nrun_as = \"root\"";
        for (user, time, expected) in [
            (None, "at = \"2015-06-30T12:00:00Z\"", expected),
            (Some(65534), "at = \"2015-06-30T12:00:00Z\"", refused),
            (Some(65534), virtual_root, expected),
        ] {
            let world = world("set", door, time);
            let world = if let Some(uid) = user { world.as_user(uid) } else { world };
            let before = now();
            let said = transcript(&feed(world.in_view(&program("clock")).arg("set").current_dir("/"), b""));
            let (_, said) = said.split_once("cancelled: 1\n").expect("the probe comes so far");
            assert_same("the policy", expected, door, said);
            // The next run begins where the policy says.
            let said = world.view_says("/bin/date", &["-u", "+%F"]);
            assert!(said.starts_with("2015-06-30\n"), "{said}");
            assert!((before..before + 60).contains(&now()), "the host's clock has been set");
        }
    }
}

#[test]
fn go_reads_the_policys_clock_without_a_system_call() {
    let source = r#"package main
import ("fmt"; "time"; "syscall")
func main() {
	var usage, after syscall.Rusage
	syscall.Getrusage(0, &usage)
	var sum int64
	before := time.Now()
	for i := 0; i < 100000; i++ { sum += time.Now().UnixNano() }
	syscall.Getrusage(0, &after)
	system := after.Stime.Usec - usage.Stime.Usec + 1000000 * (after.Stime.Sec - usage.Stime.Sec)
	time.Sleep(50 * time.Millisecond)
	slept := time.Since(before)
	fmt.Println(before.UTC().Format("2006-01-02"), system < 30000, slept > 50 * time.Millisecond, sum != 0)
}"#;
    let world = world("go", "gate", "at = \"2015-06-30T12:00:00Z\"");
    let file = world.dir.join("main.go");
    write(&file, source);
    let built = world.dir.join("clock-go");
    let mut go = Command::new("go");
    let cache = std::env::temp_dir().join("launcher-test-go-cache");
    go.args(["build", "-o"]).arg(&built).arg(&file).env("CGO_ENABLED", "0").env("GOCACHE", cache);
    let output = go.output().expect("go is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = transcript(&feed(&mut world.in_view(&built), b""));
    assert_same(
        "the policy",
        "2015-06-30 true true true\n--- standard error\n--- exit status: 0\n",
        "gate",
        &said,
    );
}

#[test]
fn reading_the_clock_costs_seventy_instructions_more() {
    const TIMES: u64 = 100;
    let probe = compiled("cost", &["-O2"], "cost");
    // The kernel's own function begins anew where the clock is being set meanwhile: the least of many is its length.
    let each = |start: &dyn Fn() -> Command| {
        let once = |_| {
            let mut command = start();
            command.args(["steps", "clock", "heap", &TIMES.to_string(), "2", "/"]);
            tests::instructions(&mut command) / TIMES
        };
        (0..3).map(once).min().expect("three runs")
    };
    let natively = each(&|| Command::new(&probe));
    // The gate's functions are the same, and its traps are signals, which the counter keeps to itself.
    let world = world("cost", "shim", "offset = \"-400d\"");
    let ours = each(&|| world.in_view(&probe));
    println!("{ours}, natively {natively}");
    assert!(ours <= natively + 70, "{ours}, natively {natively}");
}
