//! How many processors and how much memory there are: whichever way a program
//! asks, it is the policy's machine, whether that has more than the host or less.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::symbols::MUSL;
use tests::{World, assert_same, compiled, compiled_by, feed, program, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];
const MEMORY: u64 = 3 << 30;

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn machine(name: &str, door: &str, cpus: usize) -> World {
    World::new(&format!("machine-{name}-{cpus}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n[identity]\ncpus = {cpus}\nmemory = \"3GiB\"\n"))
}

/// What a program prints of such a machine.
fn says(cpus: usize) -> String {
    let set: String = (0..cpus).map(|cpu| format!(" {cpu}")).collect();
    let range = if cpus == 1 { "0".to_owned() } else { format!("0-{}", cpus - 1) };
    format!(
        "sysconf: {cpus} {cpus}\nget_nprocs: {cpus} {cpus}\nsched_getaffinity: {cpus}:{set}\nsyscall: {cpus}:{set}\n\
         pthread_getaffinity_np: {cpus}:{set}\nonline: {range}\npossible: {range}\npresent: {range}\ncpuinfo: {cpus}\nstat: {cpus} 1\n\
         sysinfo: {MEMORY}\npages: {MEMORY} {MEMORY}\nmeminfo: {MEMORY}\nfree: 1 1 1 1\nbind: ok\nbound: 1\nthread: 0\n\
         none such: errno 22\nempty: errno 22\nodd: errno 22\nnowhere: errno 14\nno process: errno 3\nnull: errno 14\n\
         --- standard error\n--- exit status: 0\n"
    )
}

fn told(name: &str, probe: &Path, doors: &[&str]) {
    for door in doors {
        for cpus in [1, 2, 5, 130] {
            let world = machine(name, door, cpus);
            let said = transcript(&feed(world.in_view(probe).current_dir("/"), b""));
            assert_same("the policy", &says(cpus), door, &said);
        }
    }
}

#[test]
fn every_way_of_asking_has_the_policys_machine() {
    told("glibc", &program("machine"), &DOORS);
}

#[test]
fn a_static_program_is_told_the_same() {
    told("static", &compiled("machine", &["-static"], "machine-static"), &["gate"]);
}

#[test]
fn a_program_of_musl_is_told_the_same() {
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    let probe = |more: &[&str], name: &str| -> PathBuf { compiled_by("musl-gcc", "machine", more, name) };
    told("musl", &probe(&[], "machine-musl"), &DOORS);
    told("musl-static", &probe(&["-static"], "machine-musl-static"), &["gate"]);
}

#[test]
fn what_the_policy_does_not_say_is_the_hosts() {
    let natively = transcript(&feed(Command::new(program("machine")).current_dir("/"), b""));
    for door in DOORS {
        let world = World::new(&format!("machine-none-{door}"), &[], fill)
            .saying(&format!("coverage.door = \"{door}\"\n[identity]\nhostname = \"erp01\"\n"));
        let said = transcript(&feed(world.in_view(&program("machine")).current_dir("/"), b""));
        assert_same("natively", &natively, door, &said);
    }
}

#[test]
fn languages_agree_about_the_machine() {
    let script = r#"
        nproc; nproc --all; getconf _NPROCESSORS_ONLN; grep -c ^processor /proc/cpuinfo; cat /proc/cpuinfo | grep -c ^processor
        free -b | awk '/^Mem/ { print $2 }'; head -n 1 /proc/meminfo | wc -c; taskset -c 4 nproc > /dev/null && echo bound
        python3 -c 'import os; print(os.cpu_count(), len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * 4096, sum(l.startswith("processor") for l in open("/proc/cpuinfo")))'
        node -e 'const os = require("os"); console.log(os.cpus().length, os.totalmem(), os.freemem() < os.totalmem())'
        perl -e 'open F, "/proc/meminfo"; print((split " ", <F>)[1] * 1024, "\n")'
    "#;
    let expected = format!(
        "5\n5\n5\n5\n5\n{MEMORY}\n28\nbound\n5 5 {MEMORY} 5\n5 {MEMORY} true\n{MEMORY}\n--- standard error\n--- exit status: 0\n"
    );
    for door in DOORS {
        let said = machine("languages", door, 5).view_says("/bin/bash", &["-c", script]);
        assert_same("the policy", &expected, door, &said);
    }
}
