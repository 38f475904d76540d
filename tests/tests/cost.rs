//! What the view costs, where it can be counted: system calls, instructions,
//! private memory. Times are shown by `cargo xtask bench` and asserted
//! nowhere.
//!
//! Start-up costs a constant. It falls out of the counts: of two workloads
//! that differ in size, the difference is what the calls themselves cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tests::{compiled, instructions, launcher};

/// Where the mounts of most policies here stand. The host need not have it.
const APP: &str = "/opt/launcher-test-cost";

/// A directory with what the counts are taken on, made once for all tests:
/// the trees `small`, `large` and `free`, which no mount touches, and the
/// policies `10`, `1000` and `near`. The first two have so many mounts on
/// [`APP`]; those of `near` are beside the trees.
fn ground() -> &'static Path {
    static GROUND: OnceLock<PathBuf> = OnceLock::new();
    GROUND.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cost");
        let _ = fs::remove_dir_all(&dir);
        grow(&dir.join("small"), 2);
        grow(&dir.join("large"), 12);
        // What strace writes; a view of mounts beside it would be checked anew
        // if a file came to lie here.
        fs::create_dir(dir.join("tables")).expect("a fresh tree");
        for tree in 0..1000 {
            for side in ["host", "free"] {
                let tree = dir.join(side).join(format!("m{tree}"));
                fs::create_dir_all(tree.join("a/b/c")).expect("a fresh tree");
                fs::write(tree.join("file"), "x\n").expect("a fresh tree");
                std::os::unix::fs::symlink("file", tree.join("link")).expect("a fresh tree");
            }
        }
        for (name, app, mounts) in
            [("10", APP.into(), 10), ("1000", APP.into(), 1000), ("near", dir.join("app"), 10)]
        {
            let mut policy = "coverage.door = \"shim\"\n".to_owned();
            for mount in 0..mounts {
                // Writing to a string does not fail.
                let _ = writeln!(policy, "[[mount]]\nat = \"{}/m{mount}\"", app.display());
                let _ = writeln!(policy, "source = \"host/m{mount}\"");
            }
            let file = dir.join(name).with_extension("toml");
            fs::write(&file, policy).expect("a fresh tree");
            // The first start places the instance; what follows finds it there.
            let mut first = Command::new(launcher());
            first.arg("--policy").arg(file).arg("true").env_remove("XDG_RUNTIME_DIR");
            assert!(first.status().expect("the launcher runs").success());
        }
        // What a file that has just been written holds is dirty, whoever maps it.
        // SAFETY: sync(2) takes nothing and cannot fail.
        unsafe { libc::sync() };
        dir
    })
}

/// A tree with `size` directories of `size` files.
fn grow(dir: &Path, size: usize) {
    for sub in 0..size {
        let sub = dir.join(format!("dir{sub}"));
        fs::create_dir_all(&sub).expect("a fresh tree");
        for file in 0..size {
            fs::write(sub.join(format!("file{file}")), "some text\n").expect("a fresh tree");
        }
        std::os::unix::fs::symlink("file0", sub.join("link")).expect("a fresh tree");
    }
}

/// A policy's name, or none for the program as it is.
type View = Option<&'static str>;

/// A command that runs what its arguments will say, with `before` before it.
fn command(view: View, before: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(before);
    if let Some(policy) = view {
        command.arg(launcher()).arg("--policy").arg(ground().join(policy).with_extension("toml"));
    }
    command.env_remove("XDG_RUNTIME_DIR").env("LC_ALL", "C.UTF-8").current_dir("/");
    command.stdin(Stdio::null());
    command
}

type Calls = BTreeMap<String, i64>;

/// The system calls that a command and its children make, by kind.
fn calls(view: View, words: &[&str]) -> Calls {
    let table = ground().join("tables").join(format!("{:?}", std::thread::current().id()));
    let table_name = table.to_string_lossy();
    // A fixed layout of memory: how often the heap grows depends on it.
    let strace = ["setarch", "-R", "strace", "-qq", "-f", "-c", "-U", "name,calls", "-o", &*table_name];
    let status = command(view, &strace).args(words).stdout(Stdio::null()).status();
    assert!(status.expect("strace is installed").success(), "{words:?} fails");
    let text = fs::read_to_string(&table).expect("strace has written its table");
    text.lines()
        .filter_map(|line| {
            let (name, count) = line.trim().split_once(' ')?;
            let count = count.trim().parse().ok()?;
            (name != "total").then(|| (name.to_owned(), count))
        })
        .collect()
}

/// The call by which the shim looks at a page of the program's, once, before
/// it reads a path there. A larger workload has paths in a few more pages, and
/// the launcher's own number of them varies: so few are no difference.
const LOOK_AT_POINTER: &str = "rt_sigprocmask";
const FEW_LOOKS: i64 = 20;

/// The calls that `large` makes more often than `small`, by kind. Kinds that
/// do the same by another name are one: libc itself says now one, now the
/// other.
fn growth(view: View, small: &[&str], large: &[&str]) -> Calls {
    let mut grown = Calls::new();
    for (sign, words) in [(-1, small), (1, large)] {
        for (name, count) in calls(view, words) {
            let name = match name.as_str() {
                "open" | "openat2" => "openat",
                "stat" => "newfstatat",
                "access" | "faccessat2" => "faccessat",
                "readlink" => "readlinkat",
                name => name,
            };
            *grown.entry(name.to_owned()).or_default() += sign * count;
        }
    }
    grown.retain(|name, count| *count != 0 && (name != LOOK_AT_POINTER || count.abs() > FEW_LOOKS));
    grown
}

/// Runs programs on the small and the large tree, natively and in views whose
/// mounts are elsewhere.
fn assert_same_calls(programs: &[&[&str]]) {
    let mut differ = String::new();
    for program in programs {
        let on = |tree: &str| -> Vec<String> {
            let tree = ground().join(tree);
            program.iter().map(|word| word.replace('@', &tree.to_string_lossy())).collect()
        };
        let (small, large) = (on("small"), on("large"));
        let small: Vec<&str> = small.iter().map(String::as_str).collect();
        let large: Vec<&str> = large.iter().map(String::as_str).collect();
        for view in ["10", "near"] {
            // A program may be interrupted, or find a cache of its own renewed:
            // what differs by chance does not differ each time.
            let mut last = String::new();
            let same = (0..3).any(|_| {
                let natively = growth(None, &small, &large);
                assert!(
                    natively.values().sum::<i64>() > 100,
                    "{program:?} hardly does a thing: {natively:?}"
                );
                let in_view = growth(Some(view), &small, &large);
                last = format!("{program:?} in {view}: {in_view:?}, natively {natively:?}\n");
                in_view == natively
            });
            if !same {
                differ += &last;
            }
        }
    }
    assert!(differ.is_empty(), "{differ}");
}

#[test]
fn a_real_program_on_untouched_paths_makes_the_same_calls() {
    const WALK: &str = "import os, sys\nfor top, dirs, files in os.walk(sys.argv[1]):\n for f in files: open(os.path.join(top, f)).read(); os.stat(os.path.join(top, f))";
    assert_same_calls(&[
        &["find", "@", "-ls"],
        &["ls", "-lR", "@"],
        &["grep", "-r", "text", "@"],
        &["du", "-a", "@"],
        &["python3", "-S", "-c", WALK, "@"],
        &["sh", "-c", "cd @; for f in */*; do test -r $f && read line < $f; done"],
        &["git", "diff", "--no-index", "--stat", "@", "@"],
    ]);
}

#[test]
fn tar_on_untouched_paths_makes_the_same_calls() {
    assert_same_calls(&[&["tar", "-cPf", "/dev/null", "@"]]);
}

/// The operations of tests/programs/cost.c, what each is done on, and how many
/// calls of functions that the shim has it makes: a directory of one entry is
/// opened, read four times (`.` and `..` too, and the end) and closed.
const OPERATIONS: &[(&str, &str, i64)] = &[
    ("open", "file", 1),
    ("stat", "file", 1),
    ("lstat", "link", 1),
    ("access", "file", 1),
    ("readlink", "link", 1),
    ("readdir", "a/b", 6),
];

fn probe() -> String {
    compiled("cost", &["-O2"], "cost").to_string_lossy().into_owned()
}

/// Ten paths with this ending, each in a tree of its own.
fn paths(trees: &Path, ending: &str) -> Vec<String> {
    (0..10).map(|tree| format!("{}/m{tree}/{ending}", trees.display())).collect()
}

/// The calls that a hundred operations make, by kind.
fn calls_each(view: View, operation: &str, paths: &[String]) -> Calls {
    let probe = probe();
    let words = |times: &'static str| -> Vec<&str> {
        let words = [&*probe, "time", operation, "heap", times, "1"];
        words.into_iter().chain(paths.iter().map(String::as_str)).collect()
    };
    growth(view, &words("100"), &words("200"))
}

#[test]
fn an_operation_on_an_untouched_path_makes_the_same_calls() {
    for (operation, ending, _) in OPERATIONS {
        let free = paths(&ground().join("free"), ending);
        for view in ["10", "near"] {
            // The launcher may have its record to renew, as above.
            let mut last = (Calls::new(), Calls::new());
            let same = (0..3).any(|_| {
                last = (calls_each(Some(view), operation, &free), calls_each(None, operation, &free));
                last.0 == last.1
            });
            assert!(same, "{operation} in {view}: {:?}, natively {:?}", last.0, last.1);
        }
    }
}

#[test]
fn an_operation_under_a_mount_makes_one_call_more() {
    let sum = |calls: &Calls| {
        calls.iter().filter(|(name, _)| *name != LOOK_AT_POINTER).map(|(_, count)| count).sum::<i64>()
    };
    for (operation, ending, _) in OPERATIONS {
        let natively = calls_each(None, operation, &paths(&ground().join("free"), ending));
        for view in ["10", "1000"] {
            let in_view = calls_each(Some(view), operation, &paths(Path::new(APP), ending));
            println!("{operation}, {view} mounts: {in_view:?}, natively {natively:?}");
            assert!(sum(&in_view) <= sum(&natively) + 100, "{operation}, {view} mounts: {in_view:?}");
        }
    }
}

/// The instructions of one operation, on average.
fn instructions_each(view: View, operation: &str, place: &str, paths: &[String]) -> i64 {
    const TIMES: u64 = 20;
    let mut command = command(view, &[]);
    command.arg(probe()).args(["steps", operation, place, &TIMES.to_string(), "2"]).args(paths);
    i64::try_from(instructions(&mut command) / TIMES).expect("not that many")
}

/// Holds each operation on these trees to so many instructions more a call than
/// natively on trees of the same shape.
fn assert_instructions(policy: &'static str, trees: &Path, most: i64) {
    let free = ground().join("free");
    let mut over = String::new();
    for (operation, ending, calls) in OPERATIONS {
        for place in ["heap", "stack", "static"] {
            let natively = instructions_each(None, operation, place, &paths(&free, ending));
            let in_view = instructions_each(Some(policy), operation, place, &paths(trees, ending));
            let more = in_view - natively;
            let line = format!("{operation} ({place}), {policy}: {more} more than {natively}\n");
            print!("{line}");
            if more > most * calls {
                over += &line;
            }
        }
    }
    assert!(over.is_empty(), "more than {most} instructions more a call:\n{over}");
}

#[test]
fn an_untouched_path_costs_a_hundred_instructions() {
    assert_instructions("10", &ground().join("free"), 100);
}

#[test]
fn an_untouched_path_beside_mounts_costs_a_hundred_instructions() {
    assert_instructions("near", &ground().join("free"), 100);
}

#[test]
fn a_path_under_one_of_ten_mounts_costs_three_hundred_instructions() {
    assert_instructions("10", Path::new(APP), 300);
}

#[test]
fn a_path_under_one_of_a_thousand_mounts_costs_three_hundred_instructions() {
    assert_instructions("1000", Path::new(APP), 300);
}

/// The KiB that a process has to itself: clean, dirty. Another runs beside it,
/// as an application's processes do: pages of files that both have mapped are
/// there once for all, but count as private where a process is alone.
fn private_memory(view: View) -> (i64, i64) {
    let mut beside = command(view, &[]);
    let beside = beside.args(["sh", "-c", "echo; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut beside = beside.spawn().expect("sh is installed");
    let mut ready = [0];
    beside.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("the shell has started");
    let output = command(view, &[]).args([&probe(), "memory"]).output().expect("the probe runs");
    // Its standard input ends, and so does it.
    drop(beside.stdin.take());
    beside.wait().expect("our own child");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (clean, dirty) = said.trim().split_once(' ').expect("two numbers");
    (clean.parse().expect("a number"), dirty.parse().expect("a number"))
}

#[test]
fn a_process_has_a_hundred_kib_more_to_itself() {
    let natively = private_memory(None);
    for view in ["10", "1000"] {
        let in_view = private_memory(Some(view));
        let more = in_view.0 + in_view.1 - natively.0 - natively.1;
        println!("{view} mounts: {in_view:?}, natively {natively:?}");
        assert!(more <= 100, "{more} KiB more: {in_view:?}, natively {natively:?}");
    }
}

/// What the program itself asks of the kernel, from its execve(2) on.
fn calls_of_the_program(view: View) -> usize {
    let file = ground().join("tables").join(format!("start-{:?}", std::thread::current().id()));
    let strace = ["strace", "-qq", "-o", &*file.to_string_lossy()];
    let status = command(view, &strace).arg("true").status();
    assert!(status.expect("strace is installed").success());
    let text = fs::read_to_string(&file).expect("strace has written its lines");
    text.lines().rev().take_while(|line| !line.starts_with("execve(")).count()
}

#[test]
fn the_view_is_mapped_and_not_read() {
    assert_eq!(calls_of_the_program(Some("1000")), calls_of_the_program(Some("10")));
}

#[test]
fn a_start_makes_twelve_calls_more() {
    // Six are ld.so's, which maps the shim; six ours: the view is opened,
    // measured, mapped, closed, made writable to check in; where the heap begins.
    assert_eq!(calls_of_the_program(Some("10")), calls_of_the_program(None) + 12);
}
