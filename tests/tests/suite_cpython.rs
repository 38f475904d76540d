//! A suite that nobody here wrote: CPython 3.11's own tests of files and
//! processes, run by an ordinary user with the working and the temporary
//! directory at a path that exists only in the view: a mount, and a union of layers.
//! Every single test must end as it does among the kernel's mounts.
//!
//! It takes five minutes, so it is not part of a plain `cargo test`:
//! `cargo xtask suite cpython` runs it, `--short` without the union.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{World, read_write};

/// The modules; Debian has them in libpython3.11-testsuite.
const MODULES: &str = "os posix posixpath genericpath pathlib shutil glob tempfile zipfile subprocess pwd grp mmap \
    fcntl fileio file io tarfile stat filecmp fileinput dbm mailbox zipimport unicode_file eintr pkgutil netrc \
    platform site getpass largefile import py_compile runpy venv pty openpty socket";

/// Fewer tests than this and the suite was not there.
const AT_LEAST: usize = 4_000;

/// The directory that only the view has. The paths to it are short: tests of Unix sockets put three process numbers behind
/// it and skip themselves where that is over 107 bytes, so that a number of one more digit would decide.
const WORK: &str = "w";

/// Runs the suite in `dir` and gives how each test ended.
fn results(
    mut command: Command,
    dir: &Path,
    report: &dyn Fn() -> PathBuf,
) -> BTreeMap<String, Vec<&'static str>> {
    let modules: String = MODULES.split_whitespace().map(|name| format!(" test_{name}")).collect();
    let script = format!(
        "umask 022; cd '{0}' && exec env -u LANG HOME='{0}' TMPDIR='{0}' PATH=/usr/bin:/bin:/usr/sbin \
         timeout --signal=INT 900 /usr/bin/python3.11 -m test -j2 --timeout 300 --junit-xml '{0}/junit.xml' {modules}",
        dir.display()
    );
    command.args(["-c", &script]).current_dir("/").stdin(Stdio::null());
    // RUST_BACKTRACE and the like are no concern of the suite's.
    let status = command.status().expect("the shell runs");
    let report =
        fs::read_to_string(report()).unwrap_or_else(|error| panic!("{status}, and no report: {error}"));
    let mut results: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for case in report.split("<testcase ").skip(1) {
        let name = case.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or(case);
        let ended =
            ["skipped", "failure", "error"].into_iter().find(|word| case.contains(&format!("<{word}")));
        results.entry(name.to_owned()).or_default().push(ended.unwrap_or("passed"));
    }
    results
}

#[test]
#[ignore = "takes five minutes: cargo xtask suite cpython"]
fn cpythons_own_tests_end_as_they_do_natively() {
    let fill = |dir: &Path| {
        fs::create_dir_all(dir.join("host").join(WORK)).expect("a fresh tree");
        fs::create_dir_all(dir.join("home")).expect("a fresh tree");
    };
    let shell = Path::new("/bin/sh");
    // Most of the time it waits, so both go at once: in worlds of their own, with paths of one length.
    let world = |name: &str| World::new(name, &[read_write(WORK, WORK)], fill).as_user(65534);
    let (viewed, native) = (world("py1"), world("py2"));
    let run = |world: &World, command: Command| {
        let report = world.dir.join("host").join(WORK).join("junit.xml");
        results(command, &world.dir.join("app").join(WORK), &|| report.clone())
    };
    let (in_view, natively) = std::thread::scope(|both| {
        let natively = both.spawn(|| run(&native, native.among_mounts(shell)));
        let in_view = run(&viewed, viewed.in_view(shell));
        (in_view, natively.join().expect("it has run"))
    });
    let count: usize = in_view.values().map(Vec::len).sum();
    assert!(count >= AT_LEAST, "only {count} tests ran");
    let lines = |results: &BTreeMap<String, Vec<&str>>| -> String {
        results.iter().map(|(name, ended)| format!("{name}: {}\n", ended.join(" "))).collect()
    };
    tests::assert_same("natively", &lines(&natively), "in the view", &lines(&in_view));
    if std::env::var_os("SUITE_SHORT").is_some() {
        return eprintln!("{count} tests end as they do natively; not asked of a union");
    }
    let layers = format!("app.name = \"cpython\"\n[[mount]]\nat = \"@/{WORK}\"\nlayers = [\"host/{WORK}\"]");
    let world = World::new("py1", &[], fill).saying(&layers).as_user(65534);
    let dir = world.dir.join("app").join(WORK);
    fs::create_dir_all(&dir).expect("a fresh tree");
    let write = world.dir.join("home/.local/state/launcher/instances/cpython/write");
    let in_union = results(world.in_view(shell), &dir, &|| {
        let layer = fs::read_dir(&write).expect("a write layer").flatten().next();
        layer.expect("a write layer").path().join("upper/junit.xml")
    });
    tests::assert_same("natively", &lines(&natively), "in a union", &lines(&in_union));
    let skipped = in_view.values().flatten().filter(|ended| **ended == "skipped").count();
    eprintln!("{count} tests, {skipped} of them skipped by themselves, end as they do natively");
}
