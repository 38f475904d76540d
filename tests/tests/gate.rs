//! The gate: static programs and raw system calls have the view, and nothing
//! else about a program changes.
//!
//! Much of what is tested of the shim is tested of the gate as well: with
//! `DOOR=gate` in the environment the other tests run through it.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{Mount, World, assert_same, compiled, feed, program, read_only, read_write, transcript, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("data/file"), "data\n");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).saying("coverage.door = \"gate\"")
}

/// The probe of raw calls, dynamic and static.
fn probes() -> [std::path::PathBuf; 2] {
    [program("raw"), compiled("raw", &["-static"], "raw-static")]
}

/// Runs the probe natively and in a view that touches nothing of it.
fn same_natively(name: &str, arguments: &[&str]) {
    let world = world(name);
    for probe in probes() {
        let run = |mut command: Command| {
            command.args(arguments).current_dir("/").env_clear().env("LC_ALL", "C").env("HOME", &world.dir);
            transcript(&feed(&mut command, b""))
        };
        let natively = run(Command::new(&probe));
        let in_view = run(world.in_view(&probe));
        assert_same("natively", &natively, "the gate", &in_view);
    }
}

#[test]
fn bad_pointers_in_every_argument_are_answered_as_natively() {
    same_natively("gate-bad", &["bad", "/etc/passwd"]);
}

#[test]
fn numbers_that_no_kernel_has_are_answered_as_natively() {
    same_natively("gate-numbers", &["numbers"]);
}

#[test]
fn a_program_finds_its_own_use_of_sigsys_as_it_left_it() {
    same_natively("gate-masks", &["masks"]);
}

#[test]
fn proc_and_the_auxiliary_vector_tell_of_the_program() {
    same_natively("gate-self", &["self", "one", "two words"]);
}

#[test]
fn execve_refuses_as_the_kernel_does() {
    same_natively("gate-exec", &["exec", "/etc", "/etc/passwd", "/none", "/etc/passwd/x", "/dev/null", ""]);
}

#[test]
fn a_32_bit_call_is_refused_with_the_reason() {
    let said = transcript(&feed(world("gate-old").in_view(&program("raw")).arg("old"), b""));
    assert!(said.contains("int 0x80") && said.contains("SIGSYS"), "{said}");
}

/// A program of two calls, write(2) and exit(2), for i386 or x32.
fn narrow(dir: &Path, flag: &str) -> std::path::PathBuf {
    let (source, built) = (dir.join("narrow.c"), dir.join(format!("narrow{flag}")));
    let code = r#"
        static const char said[] = "ran\n";
        static long call(long number, long a, long b, long c) {
            long result;
        #ifdef __x86_64__
            __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
        #else
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
        #endif
            return result;
        }
        void _start(void) {
        #ifdef __x86_64__
            call(0x40000001, 1, (long)said, 4), call(0x40000000 + 231, 7, 0, 0);
        #else
            call(4, 1, (long)said, 4), call(1, 7, 0, 0);
        #endif
        }
    "#;
    fs::write(&source, code).expect("the world is writable");
    let mut gcc = Command::new("gcc");
    gcc.args([flag, "-nostdlib", "-static", "-fno-pie", "-fno-stack-protector", "-o"])
        .arg(&built)
        .arg(&source);
    let output = gcc.output().expect("gcc is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    built
}

#[test]
fn programs_for_i386_and_x32_are_refused_with_the_reason() {
    for (level, reason) in [("required", "exit status: 126"), ("best-effort", "leaves the view")] {
        let lines = format!("coverage = {{ level = \"{level}\", door = \"gate\" }}");
        let world = World::new("gate-narrow", MOUNTS, fill).saying(&lines);
        for flag in ["-m32", "-mx32"] {
            let program = narrow(&world.dir, flag);
            let script = format!("{0}; echo $?; {0}; echo $?; exec {0}", program.display());
            let said = world.view_says("/bin/sh", &["-c", &script]);
            assert!(said.starts_with("126\n126\n"), "{level} {flag}: {said}");
            assert_eq!(
                said.matches("not started: it is a 32-bit program").count(),
                3,
                "{level} {flag}: {said}"
            );
            assert!(said.contains(reason), "{level} {flag}: {said}");
        }
        // Started by the launcher itself there is no filter yet.
        let said = world.view_says(&narrow(&world.dir, "-m32").to_string_lossy(), &[]);
        let goes = said.contains("runs outside the view") && said.contains("exit status: 7");
        let stays = said.contains("not started: it is a 32-bit program") && said.contains("exit status: 126");
        assert!(if level == "required" { stays } else { goes }, "{level}: {said}");
    }
}

#[test]
fn clone3_is_answered_as_by_older_kernels() {
    // With CLONE_CLEAR_SIGHAND, as the posix_spawn of newer libcs asks for it; they fall back.
    let python = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); \
        words = (ctypes.c_uint64 * 11)(0x100000000 | 0x4000, 0, 0, 0, 17); \
        print(libc.syscall(435, words, 88), os.strerror(ctypes.get_errno())); \
        print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn('/bin/cat', ['cat', '@/ro/file'], {}), 0)[1]))";
    let said = world("gate-clone3").view_says("/usr/bin/python3.11", &["-c", python]);
    assert!(said.starts_with("-1 Function not implemented\n") && said.contains("fixed\n"), "{said}");
}

#[test]
fn static_programs_see_what_the_kernel_would_show() {
    let busybox = "/bin/busybox";
    let script = "cd @; busybox cat work/file ro/file; busybox ls -l work ro | busybox wc -l; \
        busybox sh -c 'echo new > work/new && busybox cat @/work/new; echo no > ro/new; busybox find . | busybox sort'; \
        busybox readlink /proc/self/exe; busybox stat -c %n work/file; (cd ro && busybox pwd); \
        busybox env -i busybox cat @/work/file; busybox cp work/file work/copy; busybox tar -cf - work | busybox tar -tf -";
    assert!(Path::new(busybox).exists(), "busybox-static is installed");
    world("gate-static").same_script(script);
}

#[test]
fn scripts_and_children_of_static_programs_are_covered() {
    let script = "printf '#!/bin/busybox sh\\ncat @/work/file\\n' > @/work/script; chmod +x @/work/script; \
        @/work/script; busybox sh @/work/script; busybox xargs -n1 @/work/script < /dev/null; \
        busybox sh -c '/bin/cat @/ro/file; /usr/bin/python3 -c \"print(open(\\\"@/ro/file\\\").read())\"'";
    world("gate-scripts").same_script(script);
}

#[test]
fn a_go_program_has_the_view() {
    // Debian's gron is Go, which makes its calls by the instruction.
    let script = "printf '{\"a\": [1, {\"b\": null}]}' > @/work/data.json; gron @/work/data.json; cd @/work; \
        gron data.json | sort; gron none.json; echo $?; for i in 1 2 3 4 5 6 7 8 9 10; do gron -v data.json; done";
    world("gate-go").same_script(script);
}

#[test]
fn a_go_program_has_the_gate_by_itself_and_never_the_shim() {
    let world = |name: &str, line: &str| World::new(name, MOUNTS, fill).saying(line);
    let said = world("gate-go-auto", "coverage.door = \"auto\"").view_says("/usr/bin/gron", &["@/work/file"]);
    assert!(said.contains("invalid character 'd'"), "the file's bytes are read: {said}");
    let said = world("gate-go-shim", "coverage.door = \"shim\"").view_says("/usr/bin/gron", &["@/work/file"]);
    assert!(said.contains("a Go program") && said.contains("exit status: 126"), "{said}");
}

#[test]
fn the_gate_is_taken_where_nothing_is_said() {
    let said = |world: &World, words: &[&str]| {
        let mut command = Command::new(tests::launcher());
        command.args(["-v", "--policy"]).arg(world.policy_file()).args(words);
        transcript(&feed(&mut command, b""))
    };
    let world = World::new("gate-auto", MOUNTS, fill).saying("coverage = \"required\"");
    let gate = said(&world, &["/bin/cat", "/etc/hostname"]);
    assert!(gate.contains("door: gate") && gate.contains("exit status: 0"), "{gate}");
    // An ordinary user may install a filter only under no_new_privs.
    let world = World::new("gate-auto-privs", MOUNTS, fill)
        .saying("coverage = \"required\"\n[app]\nno_new_privs = false");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1500", "--regid", "1500", "--clear-groups"]).arg(tests::launcher());
    command.args(["-v", "--policy"]).arg(world.policy_file()).args(["/bin/cat", "/etc/hostname"]);
    let shim = transcript(&feed(&mut command, b""));
    assert!(shim.contains("door: shim") && shim.contains("not the gate: a filter needs"), "{shim}");
}

#[test]
fn an_instance_in_an_instance_has_both_views() {
    let outer = world("gate-outer");
    let inner = World::new("gate-inner", &[read_only("ro", "fixed")], fill).saying("coverage = \"required\"");
    write(inner.dir.join("host/fixed/file"), "inner\n");
    let (files, launcher) = (["work/file", "../../launcher-test-gate-inner/app/ro/file"], tests::launcher());
    let files = files.map(|file| outer.dir.join("app").join(file).to_string_lossy().into_owned());
    let policy = inner.policy_file();
    let [launcher, policy] = [launcher, &*policy].map(|path| path.to_string_lossy().into_owned());
    let mut words = vec!["-v", "--policy", &policy, "/bin/cat"];
    words.extend(files.iter().map(String::as_str));
    let said = outer.view_says(&launcher, &words);
    assert!(
        said.contains("data\ninner\n") && said.contains("not the gate: this is a program of another"),
        "{said}"
    );
}

#[test]
fn threads_forks_and_execs_under_signals_lose_nothing() {
    // More where that is asked for. Ten minutes, in all:
    // `STRESS=150 cargo test -p tests --test gate -- --nocapture lose_nothing`
    let seconds = std::env::var("STRESS").unwrap_or_else(|_| "15".into());
    let world = world("gate-stress");
    let file = world.dir.join("app/work/file");
    let stress = |flags: &[&str], output: &str| {
        for threads in ["8", "64"] {
            let mut command = world.in_view(&compiled("stress", flags, output));
            let said = transcript(&feed(command.args([&*seconds, threads]).arg(&file).arg("data\n"), b""));
            assert!(said.contains("wrong 0\n") && said.contains("exit status: 0"), "{said}");
            println!("{output}, {threads} threads: {said}");
        }
    };
    // Both at once: they are in each other's way, too.
    std::thread::scope(|scope| {
        scope.spawn(|| stress(&["-pthread"], "stress"));
        scope.spawn(|| stress(&["-pthread", "-static"], "stress-static"));
    });
}

#[test]
fn a_program_of_each_kind_has_room_for_its_heap() {
    let kinds: [&[&str]; 4] = [&["-pie"], &["-no-pie"], &["-static"], &["-static-pie"]];
    let world = world("gate-heap");
    for kind in kinds {
        let probe = compiled("heap", kind, &format!("heap{}", kind[0]));
        let natively = transcript(&feed(&mut Command::new(&probe), b""));
        assert_same("natively", &natively, "the gate", &transcript(&feed(&mut world.in_view(&probe), b"")));
        assert!(natively.contains("a heap of 64 MiB"), "{kind:?}: {natively}");
    }
}

#[test]
fn a_start_costs_few_page_faults_more_than_natively() {
    // Each is a microsecond or two; a look at every slot after a fork made it 300 more, and a large frame 12. It is
    // 25, and 37 where the files have just been written.
    const MORE: i64 = 50;
    let world = world("gate-faults");
    let faults = |mut command: Command| -> i64 {
        let output = command.args(["faults", "/usr/bin/true"]).output().expect("the probe runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    };
    let natively = faults(Command::new(program("cost")));
    let in_view = faults(world.in_view(&program("cost")));
    println!("{} more", in_view - natively);
    assert!(in_view - natively <= 10 * MORE, "ten starts: {natively} natively, {in_view} through the gate");
}

/// The KiB that a process has to itself, while another of the kind runs beside it.
fn private_memory(run: &dyn Fn() -> Command) -> u64 {
    let start = || {
        let mut child = run().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is installed");
        child.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("it reads");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it writes");
        child
    };
    let (mut beside, mut measured) = (start(), start());
    // As the host has it: the program itself is not shown what is the gate's.
    let said = fs::read_to_string(format!("/proc/{}/smaps", measured.id())).expect("it runs");
    let lines = said.lines().filter(|line| line.starts_with("Private_"));
    let sum =
        lines.map(|line| line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok())).sum();
    for child in [&mut beside, &mut measured] {
        drop(child.stdin.take());
        assert!(child.wait().expect("our own child").success());
    }
    Option::expect(sum, "numbers")
}

#[test]
fn a_process_has_three_hundred_kib_more_to_itself_at_most() {
    let world = world("gate-memory");
    let natively = private_memory(&|| Command::new("/bin/cat"));
    let in_view = private_memory(&|| world.in_view(Path::new("/bin/cat")));
    println!("natively {natively} KiB, through the gate {in_view} KiB");
    assert!(in_view > natively && in_view - natively <= 300, "natively {natively}, in the view {in_view}");
}

/// How many pages of the gate's image a process has written to.
fn pages_written(process: u32) -> u64 {
    // gate/build.rs, gate/src/place.rs
    const IMAGE: std::ops::Range<u64> = 0x7e00_0410_0000..0x7e00_0420_0000;
    let said = fs::read_to_string(format!("/proc/{process}/smaps")).expect("it runs");
    let (mut is_gate, mut sum) = (false, 0);
    for line in said.lines() {
        if let Some((start, _)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) {
            is_gate = u64::from_str_radix(start, 16).is_ok_and(|start| IMAGE.contains(&start));
        } else if let Some(size) = line.strip_prefix("Private_Dirty:").filter(|_| is_gate) {
            sum += size.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 4;
        }
    }
    sum
}

#[test]
fn the_calls_of_a_program_write_to_few_pages_of_the_gates() {
    // Each is a fault of a microsecond or two in every process: gate/layout.ld.
    const PLAIN: (&str, u64) = ("cd /; test -e etc/passwd; trap : INT", 2);
    const UNION: (&str, u64) = ("cd $0/a; test -e ../a/b/file; read word < b/../../a/b/file; trap : INT", 6);
    let mount = "[[mount]]\nat = \"@/union\"\nlayers = [\"@/union\"]\nwrite = \"ephemeral\"";
    let lines = format!("coverage.door = \"gate\"\n{mount}");
    let world = World::new("gate-pages", MOUNTS, fill).saying(&lines);
    let union = world.dir.join("app/union");
    write(union.join("a/b/file"), "file\n");
    for (script, most) in [PLAIN, UNION] {
        let mut command = world.in_view(Path::new("/bin/sh"));
        command.args(["-c", &format!("{script}; echo; read line")]).arg(&union);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh is installed");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it writes");
        let written = pages_written(child.id());
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
        assert!(child.wait().expect("our own child").success(), "{script}");
        println!("{written} pages: {script}");
        assert!((1..=most).contains(&written), "{written} pages are written to: {script}");
    }
}

#[test]
fn a_loop_of_starts_loses_none_and_leaves_nothing() {
    // As many as are asked for: `STARTS=100000 cargo test -p tests --test gate -- loses_none`
    let starts = std::env::var("STARTS").unwrap_or_else(|_| "1000".into());
    let world = world("gate-starts");
    for probe in [program("starts"), compiled("starts", &["-static"], "starts-static")] {
        let said = transcript(&feed(world.in_view(&probe).arg(&starts), b""));
        assert!(said.contains(&format!("started {starts}, wrong 0, leaked 0\n")), "{said}");
    }
}

#[test]
fn a_program_that_is_being_written_is_not_started() {
    let world = world("gate-busy");
    let file = world.dir.join("busy");
    fs::copy("/bin/true", &file).expect("a copy");
    let _writer = fs::OpenOptions::new().append(true).open(&file).expect("it can be opened");
    let script = format!("{}; echo $?", file.display());
    let run = |mut command: Command| transcript(&feed(command.args(["-c", &script]), b""));
    let natively = run(Command::new("/bin/bash"));
    assert!(natively.contains("126"), "{natively}");
    assert_same("natively", &natively, "the gate", &run(world.in_view(Path::new("/bin/bash"))));
}
