//! A union of layers, held against the kernel's overlayfs.
//!
//! tests/programs/union.c makes random layers and random calls on their union. It
//! is run in the view, and in a private mount namespace on an overlay of the same
//! layers: what the calls answer, what the listings say and what the trees look like in
//! the end must be the same. `UNION_SEQUENCES` says how many sequences of
//! calls there are, `UNION_SEED` where they begin.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{assert_same, compiled, feed, is_root, launcher, program, transcript, write};

/// Sequences that are made at once.
const BATCH: u64 = 100;
const STEPS: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Layers, a place for their union, and a place for what is kept.
struct Ground {
    dir: PathBuf,
    /// The union's place. What is below /dev is looked at more closely than other places, so it is none there.
    app: PathBuf,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
            let _ = self.app.parent().map(fs::remove_dir_all);
        }
    }
}

impl Ground {
    fn new(name: &str) -> Ground {
        // Of two temporary directories the quicker.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let ground = format!("launcher-union-{name}-{}", std::process::id());
        let (dir, app) = (base.join(&ground), std::env::temp_dir().join(ground).join("app"));
        let _ = fs::remove_dir_all(&dir);
        let made = ["state", "kernel/upper", "kernel/work"].map(|below| dir.join(below));
        for made in made.iter().chain([&app]) {
            fs::create_dir_all(made).expect("the temporary directory is writable");
        }
        let policy = format!(
            "app.name = \"oracle\"\n[[mount]]\nat = \"{}\"\nlayers = [\"base\", \"middle\", \"patches\"]\n",
            app.display()
        );
        fs::write(dir.join("policy.toml"), policy).expect("the temporary directory is writable");
        Ground { dir, app }
    }

    /// With random layers.
    fn grown(name: &str, seed: u64, sequences: u64) -> Ground {
        let ground = Ground::new(name);
        let made = Command::new(program("union"))
            .arg("make")
            .arg(&ground.dir)
            .args([seed.to_string(), sequences.to_string()])
            .status();
        assert!(made.expect("the probe runs").success());
        ground
    }

    /// Through the gate.
    fn in_view(&self, program: &Path, words: &[&str]) -> String {
        self.through("gate", program, words)
    }

    fn through(&self, door: &str, program: &Path, words: &[&str]) -> String {
        let mut command = Command::new(launcher());
        command.args(["--door", door, "--policy"]).arg(self.dir.join("policy.toml")).arg(program);
        command.args(self.spelled(words)).env("YOUNGER", self.younger());
        command.env("STATE_DIRECTORY", self.dir.join("state")).current_dir("/");
        transcript(&feed(&mut command, b""))
    }

    /// Runs a program on the kernel's overlay, with what changes in directories
    /// `upper` and `work` of one of ours.
    fn on_overlay(&self, write: &Path, program: &Path, words: &[&str]) -> String {
        let options = format!(
            "redirect_dir=on,index=off,xino=off,metacopy=off,lowerdir={0}/patches:{0}/middle:{0}/base,upperdir={1}/upper,workdir={1}/work",
            self.dir.display(),
            write.display()
        );
        let script = format!(
            "mount --make-rprivate / && mount -t overlay overlay -o {options} {} && exec \"$@\"",
            self.app.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", &script, "sh"]).arg(program).args(self.spelled(words));
        command.env("YOUNGER", self.younger());
        command.current_dir("/");
        transcript(&feed(&mut command, b""))
    }

    /// The inode of what has been made after random layers.
    fn younger(&self) -> String {
        fs::metadata(self.dir.join("mark")).map_or(0, |mark| mark.ino()).to_string()
    }

    /// `@` stands for the union.
    fn spelled(&self, words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.replace('@', &self.app.to_string_lossy())).collect()
    }

    /// The directory of the write layer.
    fn kept(&self) -> PathBuf {
        let write = self.dir.join("state/instances/oracle/write");
        let layers = fs::read_dir(write).expect("a write layer").flatten();
        layers.map(|entry| entry.path()).next().expect("a write layer")
    }

    /// An overlay's upper directory that is as old as the layers.
    fn kernels(&self) -> PathBuf {
        let write = self.dir.join("kernel");
        let aged = Command::new("touch").args(["-d", "@1000000000"]).arg(write.join("upper")).status();
        assert!(aged.expect("touch is installed").success());
        write
    }

    fn nothing_is_left_over(&self) {
        let left: Vec<_> =
            fs::read_dir(self.kept().join("work")).expect("a work directory").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What is said of the same sequences, without those in which the kernel lists names that are not
/// there: it shows a whiteout in a directory that has one side (which a rename may bring about).
fn comparable(kernel: &str, view: &str) -> (String, String) {
    let sequences = |said: &str| -> Vec<String> { said.split("sequence ").map(str::to_owned).collect() };
    let (kernels, views) = (sequences(kernel), sequences(view));
    if kernels.len() != views.len() {
        return (kernel.into(), view.into());
    }
    let same: Vec<_> =
        kernels.iter().zip(views.iter()).filter(|(kernel, _)| !kernel.contains(" is not there: 2")).collect();
    assert!(same.len() * 10 > kernels.len() * 9, "{} of {}", same.len(), kernels.len());
    same.into_iter().map(|(kernel, view)| (but_for_links(kernel, view), view.clone())).unzip()
}

/// What the kernel says, but for the inodes in listings that the view has right. Where link(2) puts a copy into a directory that has no
/// other, overlayfs does not mark that as `impure`, and lists the copy's own number, which stat(2) does not give.
fn but_for_links(kernel: &str, view: &str) -> String {
    if kernel.lines().count() != view.lines().count() {
        return kernel.into();
    }
    let line = |(kernel, view): (&str, &str)| {
        let is_right = kernel.contains(OTHER_INODE) && with_any_inode(kernel) == view;
        (if is_right { view } else { kernel }).to_owned() + "\n"
    };
    kernel.lines().zip(view.lines()).map(line).collect()
}

/// What tests/programs/union.c says of a name that is listed with another inode than its file has.
const OTHER_INODE: &str = " has another inode";

fn with_any_inode(line: &str) -> String {
    let mut line = line.to_owned();
    while let Some(at) = line.find(OTHER_INODE) {
        let start = line.get(..at).and_then(|before| before.rfind(' ')).unwrap_or(at);
        line.replace_range(start..at + OTHER_INODE.len(), "");
    }
    line
}

/// What the kernel says of a write layer of ours, but for what it does not hide or know: the
/// attributes for ordinary users, and which inode to list for what has been renamed.
fn known(dump: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.retain(|word| !word.starts_with("user.overlay.") && !word.starts_with("user.launcher."));
        with_any_inode(&words.join(" ")) + "\n"
    };
    dump.lines().map(line).collect()
}

fn can_mount() -> bool {
    if !is_root() {
        eprintln!("not root, so there is no overlay to compare with");
    }
    is_root()
}

#[test]
fn random_calls_are_answered_as_by_the_kernel() {
    if !can_mount() {
        return;
    }
    let (first, sequences) = (number("UNION_SEED", 1), number("UNION_SEQUENCES", 1000));
    for seed in first..first + sequences.div_ceil(BATCH) {
        let ground = Ground::grown("random", seed, BATCH);
        let (seed, batch, steps) = (seed.to_string(), BATCH.to_string(), STEPS.to_string());
        let words = ["run", "@", &seed, "0", &batch, &steps];
        let expected = ground.on_overlay(&ground.kernels(), &program("union"), &words);
        for door in ["shim", "gate"] {
            let found = ground.through(door, &program("union"), &words);
            let (expected, found) = comparable(&expected, &found);
            // Copies keep the inodes of what they are copies of.
            assert!(
                expected.matches(" inode ").count() > 500 && expected.matches(" same inode").count() > 20
            );
            if expected != found {
                eprintln!("again: UNION_SEED={seed} UNION_SEQUENCES={BATCH}, by the {door}");
            }
            assert_same("the kernel", &expected, "the view", &found);
            ground.nothing_is_left_over();
            fs::remove_dir_all(ground.dir.join("state")).expect("what was changed");
        }
    }
}

/// A seed, and one of its sequences.
const ONCE_DIFFERENT: [(u64, u64); 2] = [(782, 84), (20027, 49)];

#[test]
fn what_was_once_answered_otherwise_is_answered_as_by_the_kernel() {
    if !can_mount() {
        return;
    }
    for (seed, sequence) in ONCE_DIFFERENT {
        let ground = Ground::grown("once", seed, BATCH);
        let [seed, sequence, steps] = [seed, sequence, STEPS].map(|number| number.to_string());
        let words = ["run", "@", &seed, &sequence, "1", &steps];
        let expected = ground.on_overlay(&ground.kernels(), &program("union"), &words);
        for door in ["shim", "gate"] {
            let found = ground.through(door, &program("union"), &words);
            let (expected, found) = comparable(&expected, &found);
            assert_same("the kernel", &expected, "the view", &found);
            fs::remove_dir_all(ground.dir.join("state")).expect("what was changed");
        }
    }
}

#[test]
fn a_directory_is_where_it_was_renamed_to() {
    if !can_mount() {
        return;
    }
    let ground = Ground::new("moved");
    let files = ["base/a/x/y/deep", "base/a/x/f", "base/b/z", "base/low/l", "base/low/k/l2", "middle/a/x/m"];
    for file in files.into_iter().chain(["patches/a/x/f", "patches/b/n"]) {
        write(ground.dir.join(file), &format!("{file}\n"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/moved.py");
    let words = [script.to_str().expect("a path in UTF-8"), "@"];
    let python = Path::new("/usr/bin/python3");
    let expected = ground.on_overlay(&ground.kernels(), python, &words);
    assert!(expected.contains("a/x/y @/a/x/y ") && expected.contains("-- made anew"), "{expected}");
    for door in ["shim", "gate"] {
        let found = ground.through(door, python, &words);
        assert_same("the kernel", &expected, "the view", &found);
        ground.nothing_is_left_over();
        fs::remove_dir_all(ground.dir.join("state")).expect("what was changed");
    }
}

#[test]
fn a_union_at_the_root_is_answered_so_too() {
    if !can_mount() {
        return;
    }
    let ground = Ground::grown("root", 3, BATCH);
    let probe = ground.dir.join("base/probe");
    fs::copy(compiled("union", &["-static"], "union-static"), &probe).expect("a fresh tree");
    fs::create_dir(ground.dir.join("base/proc")).expect("a fresh tree");
    for aged in ["base/proc", "base"] {
        let status = Command::new("touch").args(["-d", "@1000000000"]).arg(ground.dir.join(aged)).status();
        assert!(status.expect("touch is installed").success());
    }
    let policy = "app = { name = \"oracle\", workdir = \"/\" }\n[root]\nlayers = [\"base\", \"middle\", \"patches\"]\n\
                  [[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n";
    fs::write(ground.dir.join("policy.toml"), policy).expect("a fresh tree");
    let (batch, steps) = (BATCH.to_string(), STEPS.to_string());
    let words = ["run", "/.", "3", "0", &batch, &steps];
    let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /probe $*";
    let in_root = [&["-c", script, "@"], &words[..]].concat();
    let expected = ground.on_overlay(&ground.kernels(), Path::new("/bin/sh"), &in_root);
    let found = ground.in_view(Path::new("/probe"), &words);
    let (expected, found) = comparable(&expected, &found);
    assert_same("the kernel", &expected, "the view", &found);
}

#[test]
fn the_kernel_mounts_our_write_layer_and_we_take_its() {
    if !can_mount() {
        return;
    }
    let ground = Ground::grown("exchange", 7, 40);
    let probe = program("union");
    let run = ["run", "@", "7", "0", "40", "60"];
    // Ours, as the kernel sees it, and as we do in the next run.
    ground.in_view(&probe, &run);
    let found = ground.in_view(&probe, &["dump", "@"]);
    let layer = ground.kept();
    assert_same("the kernel", &known(&ground.on_overlay(&layer, &probe, &["dump", "@"])), "the view", &found);
    // The kernel goes on with it, and then we do.
    ground.on_overlay(&layer, &probe, &["run", "@", "8", "0", "40", "60"]);
    let expected = known(&ground.on_overlay(&layer, &probe, &["dump", "@"]));
    assert_same("the kernel", &expected, "the view", &ground.in_view(&probe, &["dump", "@"]));
    let again = ["run", "@", "9", "0", "40", "60"];
    ground.in_view(&probe, &again);
    let found = ground.in_view(&probe, &["dump", "@"]);
    assert_same("the kernel", &known(&ground.on_overlay(&layer, &probe, &["dump", "@"])), "the view", &found);
}

#[test]
fn several_processes_change_a_union_at_once() {
    if !can_mount() {
        return;
    }
    let probe = program("union");
    for seed in 0..4 {
        let ground = Ground::grown("several", 100 + seed, 4);
        let door = if seed % 2 == 0 { "gate" } else { "shim" };
        // All in the same few directories, each with calls of its own.
        let script = format!(
            "for seed in 1 2 3 4; do {0} run @ {seed}$seed 0 4 200 >/dev/null & done; wait; exec {0} dump @",
            probe.display()
        );
        let found = ground.through(door, Path::new("/bin/sh"), &["-c", &script]);
        for wrong in ["is not there", "another", "then", "seekdir", "errno"] {
            assert!(!found.contains(&format!(" {wrong}")), "seed {seed}: {found}");
        }
        ground.nothing_is_left_over();
        let layer = ground.kept();
        assert_same(
            "the kernel",
            &known(&ground.on_overlay(&layer, &probe, &["dump", "@"])),
            "the view",
            &found,
        );
    }
}

#[test]
fn no_update_is_lost() {
    let ground = Ground::new("append");
    for layer in ["base/d", "middle", "patches"] {
        fs::create_dir_all(ground.dir.join(layer)).expect("a fresh tree");
    }
    for file in 0..20 {
        fs::write(ground.dir.join(format!("base/d/{file}")), "base\n").expect("a fresh tree");
    }
    let script = "for writer in 1 2 3 4; do \
                  (for file in $(seq 0 19); do for line in 1 2 3 4 5; do echo $writer >> @/d/$file; done; done) & done; wait; \
                  for file in $(seq 0 19); do echo $(sort @/d/$file | uniq -c); done | uniq -c";
    let found = ground.in_view(Path::new("/bin/bash"), &["-c", script]);
    assert!(found.contains("20 5 1 5 2 5 3 5 4 1 base\n"), "{found}");
    assert!(
        (0..20)
            .all(|file| fs::read(ground.dir.join(format!("base/d/{file}")))
                .is_ok_and(|text| text == b"base\n"))
    );
    ground.nothing_is_left_over();
}

/// The calls that a program in the view makes from its first one on the union on: each by its name,
/// and as the how manieth of that name.
fn calls_of(ground: &Ground, words: &[&str]) -> Vec<(String, usize)> {
    let table = ground.dir.join("calls");
    let said = ground.under_strace(&["-o", &table.to_string_lossy()], words);
    assert!(said.contains("exit status: 0"), "{said}");
    let mut counts = std::collections::HashMap::<String, usize>::new();
    let mut calls = Vec::new();
    let mut is_on_union = false;
    for line in fs::read_to_string(table).expect("a table").lines() {
        let Some((name, _)) = line.split_once('(').filter(|(name, _)| !name.contains(' ')) else { continue };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        is_on_union |= line.contains("/app/d") && !line.contains("execve");
        if is_on_union {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

impl Ground {
    fn under_strace(&self, options: &[&str], words: &[&str]) -> String {
        let mut command = Command::new("strace");
        command.args(options).arg(launcher()).arg("--policy").arg(self.dir.join("policy.toml"));
        command.args(self.spelled(words)).env("STATE_DIRECTORY", self.dir.join("state")).current_dir("/");
        transcript(&feed(&mut command, b""))
    }
}

/// Kills a program at each of its system calls, and looks at what it leaves: what was
/// there before, or what it would have made.
fn killed_at_each_call(name: &str, words: &[&str]) {
    let (probe, ground) = (program("union"), Ground::new(name));
    for layer in ["base/d/sub", "middle", "patches"] {
        fs::create_dir_all(ground.dir.join(layer)).expect("a fresh tree");
    }
    fs::write(ground.dir.join("base/d/file"), "text\n".repeat(20_000)).expect("a fresh tree");
    fs::write(ground.dir.join("base/d/sub/file"), "sub\n").expect("a fresh tree");
    let look = || {
        let dump = ground.in_view(&probe, &["dump", "@"]);
        // That a name has come or gone shows in its directory's time only when all is done.
        dump.replace(" now", "").replace(" long ago", "").replace(" set", "")
    };
    let fresh = || {
        let _ = fs::remove_dir_all(ground.dir.join("state"));
    };
    let before = look();
    let calls = calls_of(&ground, words);
    let after = look();
    assert_ne!(before, after, "{words:?}");
    let mut kills = 0;
    for (name, number) in calls {
        fresh();
        let inject = format!("inject={name}:signal=SIGKILL:when={number}");
        let said = ground.under_strace(&["-o", "/dev/null", "-e", &inject], words);
        kills += usize::from(said.contains("signal: 9"));
        let found = look();
        if found != before {
            assert_same("done", &after, &format!("killed at {name} {number}"), &found);
        }
        ground.nothing_is_left_over();
    }
    assert!(kills > 20, "{kills}");
}

#[test]
fn a_kill_in_a_copy_up_leaves_the_old_or_the_new() {
    killed_at_each_call("kill-copy", &["chmod", "600", "@/d/file"]);
}

#[test]
fn a_kill_in_a_rename_leaves_the_old_or_the_new() {
    killed_at_each_call("kill-rename", &["mv", "-T", "@/d/sub", "@/d/moved"]);
    killed_at_each_call("kill-move", &["mv", "@/d/file", "@/d/sub/file"]);
}

#[test]
fn a_kill_in_a_removal_leaves_the_old_or_the_new() {
    killed_at_each_call("kill-remove", &["rm", "@/d/file"]);
}
