//! The rules of POSIX and of overlayfs, asked one by one.
//!
//! tests/programs/rules.c asks what each call on files answers of each kind of file, wherever in a union that comes
//! from, and what it leaves behind; rights.c asks who may. Both are run in the view, in a plain directory, and on the kernel's
//! overlay of the same layers. Where the two of the kernel's differ, as they do in when a directory's time changes, the view
//! may be as either.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{feed, is_root, launcher, program, transcript};

/// Each which question is asked: `RULES_SHARE=1` for all.
fn share(default: usize) -> usize {
    std::env::var("RULES_SHARE").ok().and_then(|share| share.parse().ok()).unwrap_or(default)
}

const DOORS: [&str; 2] = ["shim", "gate"];
/// An ordinary user of the host.
const USER: u32 = 65534;

/// Answers by the names of questions.
type Answers = HashMap<String, String>;

struct Ground {
    dir: PathBuf,
    probe: PathBuf,
    /// Who the probe, or the launcher, runs as.
    user: Option<u32>,
    /// Each which question is asked.
    share: String,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Ground {
    /// With a base and a plain directory that are made alike. `made_by` makes the base.
    fn new(name: &str, probe: &str, user: Option<u32>, made_by: Option<u32>) -> Ground {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = base.join(format!("launcher-rules-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for below in ["app", "plain", "base", "state", "home", "upper", "work"] {
            fs::create_dir_all(dir.join(below)).expect("the temporary directory is writable");
        }
        for owned in ["state", "home"] {
            chown(dir.join(owned), user, user).expect("root may");
        }
        chown(dir.join("base"), made_by, made_by).expect("root may");
        let share = share(if probe == "rules" { 7 } else { 5 }).to_string();
        let ground = Ground { dir, probe: program(probe), user, share };
        ground.says(None, "make", "plain");
        ground.says(made_by, "make", "base");
        ground
    }

    fn command(&self, user: Option<u32>, program: &Path) -> Command {
        let mut command = match user {
            Some(uid) => {
                let mut command = Command::new("setpriv");
                let id = uid.to_string();
                command.args(["--reuid", &id, "--regid", "2001", "--groups", "2003", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_remove("XDG_RUNTIME_DIR").env("HOME", self.dir.join("home"));
        command.env("STATE_DIRECTORY", self.dir.join("state")).current_dir("/");
        command
    }

    fn says(&self, user: Option<u32>, verb: &str, place: &str) -> Answers {
        answers(self.command(user, &self.probe).arg(verb).arg(self.dir.join(place)).arg(&self.share))
    }

    /// A run of the probe in a directory.
    fn asks(&self, place: &str) -> Command {
        let mut command = self.command(self.user, &self.probe);
        command.args(self.words()).arg(self.dir.join(place));
        command
    }

    /// What the probe is told before a directory.
    fn words(&self) -> &'static [&'static str] {
        if self.probe.extension().is_some() { &[] } else { &["ask"] }
    }

    fn on_overlay(&self) -> Answers {
        answers(self.overlaid().arg(&self.share))
    }

    /// The same on the kernel's overlay.
    fn overlaid(&self) -> Command {
        let dir = self.dir.display();
        let options = "redirect_dir=on,index=off,xino=off,metacopy=off";
        let script = format!(
            "mount --make-rprivate / && mount -t overlay overlay -o {options},lowerdir={dir}/base,upperdir={dir}/upper,workdir={dir}/work \
             {dir}/app && exec \"$@\""
        );
        let asks = self.asks("app");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--", "sh", "-c", &script, "sh"])
            .arg(asks.get_program())
            .args(asks.get_args());
        command.current_dir("/");
        command
    }

    fn in_view(&self, door: &str, head: &str, mount: &str) -> Answers {
        answers(self.viewed(door, head, mount).arg(&self.share))
    }

    /// The same in the view. `mount` has what stands at the place.
    fn viewed(&self, door: &str, head: &str, mount: &str) -> Command {
        let _ = fs::remove_dir_all(self.dir.join("state/instances"));
        let name = self.dir.file_name().expect("it has a name").to_string_lossy();
        let at = self.dir.join("app");
        let policy = format!(
            "coverage.door = \"{door}\"\n[app]\nname = \"{name}\"\n{head}\n[[mount]]\nat = \"{}\"\n{mount}\n",
            at.display()
        );
        let file = self.dir.join("policy.toml");
        fs::write(&file, policy).expect("a fresh tree");
        let mut command = self.command(self.user, launcher());
        command.arg("--policy").arg(file).arg(&self.probe).args(self.words()).arg(at);
        command
    }
}

/// An answer without the times of access of links: who looks at one on the way reads it, and nobody can leave its time.
fn unseen(answer: &str) -> String {
    let mut is_link = false;
    let mut words = Vec::new();
    for word in answer.split(' ') {
        let is_changes = !word.is_empty() && word.bytes().all(|letter| b"amc".contains(&letter));
        words.push(if is_link && is_changes { word.trim_start_matches('a') } else { word });
        is_link = word.contains("=120777:") || is_link && word == "other";
    }
    words.join(" ")
}

/// What a run of a probe's has answered: `NAME: ANSWER` lines.
fn answers(command: &mut Command) -> Answers {
    let output = feed(command, b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| line.split_once(": ").map(|(name, answer)| (name.to_owned(), unseen(answer)));
    said.lines().map(|line| pair(line).unwrap_or_else(|| panic!("no answer: {line}"))).collect()
}

/// Whether an answer is as one of two, word by word.
fn is_one_of(found: &str, kernels: [&str; 2]) -> bool {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (found, first, second) = (words(found), words(kernels[0]), words(kernels[1]));
    let is_either = |at: usize, word: &String| [&first, &second].iter().any(|one| one.get(at) == Some(word));
    [&first, &second].contains(&&found)
        || first.len() == second.len()
            && found.len() == first.len()
            && found.iter().enumerate().all(|(at, word)| is_either(at, word))
}

/// Holds the answers of `door` against those of the kernel. `what` takes of an answer what is compared, and of
/// a question whether it is asked at all.
fn hold(
    (plain, overlay): (&Answers, &Answers),
    (door, found): (&str, &Answers),
    what: impl for<'a> Fn(&str, &'a str) -> Option<&'a str>,
) -> usize {
    assert_eq!((plain.len(), overlay.len()), (found.len(), found.len()), "{door}");
    let mut asked = 0;
    let mut wrong = Vec::new();
    for (name, answer) in found {
        let Some(answer) = what(name, answer) else { continue };
        let kernels = [plain, overlay].map(|kernels| kernels.get(name).map_or("", String::as_str));
        let kernels = kernels.map(|answer| what(name, answer).unwrap_or(answer));
        asked += 1;
        if !is_one_of(answer, kernels) {
            wrong.push(format!(
                "{name}\n    {answer}\n    plain   {}\n    overlay {}",
                kernels[0], kernels[1]
            ));
        }
    }
    wrong.sort();
    let shown = wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "by the {door} {} of {asked} answers are wrong:\n{shown}", wrong.len());
    asked
}

#[test]
fn calls_on_a_union_answer_and_leave_what_the_kernels_do() {
    if !is_root() {
        eprintln!("not root, so there is no overlay to compare with");
        return;
    }
    let ground = Ground::new("calls", "rules", None, None);
    let (plain, overlay) = (ground.says(None, "ask", "plain"), ground.on_overlay());
    for door in DOORS {
        let found = ground.in_view(door, "", "layers = [\"base\"]");
        let asked = hold((&plain, &overlay), (door, &found), |_, answer| Some(answer));
        assert!(asked * share(7) > 25_000, "{asked}");
    }
}

#[test]
fn calls_on_a_mount_answer_and_leave_what_the_kernel_does() {
    let ground = Ground::new("mount", "rules", None, None);
    let plain = ground.says(None, "ask", "plain");
    let door = std::env::var("DOOR").unwrap_or_else(|_| "shim".into());
    let found = ground.in_view(&door, "", "source = \"base\"\naccess = \"read-write\"");
    let asked = hold((&plain, &plain), (&door, &found), |_, answer| Some(answer));
    assert!(asked * share(7) > 25_000, "{asked}");
}

/// Makes what edges.py asks of.
const EDGES: &str = "mkdir -p base/group/old-dir base/list/old-dir base/gone; cd base; echo text > file; echo old > group/old; echo old > list/old; \
    for name in a b c; do echo text > set-ids-$name; chmod 6755 set-ids-$name; done; echo text > attribute; setfattr -n user.a -v value attribute; \
    truncate -s 100M sparse; echo text | dd of=sparse bs=1 seek=50M conv=notrunc status=none";

#[test]
fn names_paths_links_and_what_is_handed_on_are_as_in_the_kernel() {
    if !is_root() {
        eprintln!("not root, so there is no overlay to compare with");
        return;
    }
    let mut ground = Ground::new("edges", "rules", None, None);
    for place in ["plain", "."] {
        let _ = fs::remove_dir_all(ground.dir.join(place).join("base"));
        let made = Command::new("sh").args(["-ec", EDGES]).current_dir(ground.dir.join(place)).status();
        assert!(made.expect("sh runs").success());
    }
    // The union has it at `base`, as the plain directory has.
    fs::rename(ground.dir.join("base"), ground.dir.join("inner")).expect("a fresh tree");
    fs::create_dir(ground.dir.join("base")).expect("a fresh tree");
    fs::rename(ground.dir.join("inner"), ground.dir.join("base/base")).expect("a fresh tree");
    ground.probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/edges.py");
    let lines = |mut command: Command| {
        let said = transcript(&feed(&mut command, b""));
        assert!(said.ends_with("--- standard error\n--- exit status: 0\n"), "{said}");
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = lines(ground.asks("plain"));
    let overlay = lines(ground.overlaid());
    for door in DOORS {
        let found = lines(ground.viewed(door, "", "layers = [\"base\"]"));
        assert_eq!((plain.len(), overlay.len()), (found.len(), found.len()), "{door}");
        let wrong: Vec<_> = found
            .iter()
            .zip(plain.iter().zip(&overlay))
            .filter(|(found, (plain, overlay))| found != plain && found != overlay)
            .collect();
        assert!(wrong.is_empty() && found.len() > 200, "{door}: {wrong:#?}");
    }
}

/// What docs/limitations.md says of an ordinary user's own unions: what cannot be read gets no copy; a directory that
/// has a side in the write layer, as the topmost has, is that user's; and a copy has no group that this user is not in.
const DIFFERENT_FOR_USERS: &[&str] =
    &[".closed.", ".secret.", ".writeonly.", "rename-up.", "chgrp-others.", "r-fchown."];

#[test]
fn a_user_may_do_with_a_layer_what_its_permissions_say() {
    if !is_root() {
        eprintln!("not root, so nothing belongs to anybody else");
        return;
    }
    for (user, door) in [(1001, "shim"), (1003, "gate")] {
        let ground = Ground::new(&format!("user-{user}"), "rights", Some(user), None);
        let (plain, overlay) = (ground.says(Some(user), "ask", "plain"), ground.on_overlay());
        let found = ground.in_view(door, "", "layers = [\"base\"]");
        let asked = hold((&plain, &overlay), (door, &found), |name, answer| {
            let is_asked =
                name.ends_with(".base") && !DIFFERENT_FOR_USERS.iter().any(|part| name.contains(part));
            answer.split(';').next().filter(|_| is_asked)
        });
        assert!(asked * share(5) > 3000, "{asked}");
    }
}

#[test]
fn users_that_are_played_may_do_what_they_may_natively() {
    if !is_root() {
        eprintln!("not root, so nothing belongs to anybody else");
        return;
    }
    for door in DOORS {
        let mut ground = Ground::new(&format!("played-{door}"), "rights", None, Some(USER));
        let plain = ground.says(None, "ask", "plain");
        ground.user = Some(USER);
        for owned in ["state", "home"] {
            chown(ground.dir.join(owned), ground.user, ground.user).expect("root may");
        }
        let found = ground.in_view(door, "[identity]\nrun_as = \"root\"", "layers = [\"base\"]");
        let asked = hold((&plain, &plain), (door, &found), |_, answer| answer.split(';').next());
        assert!(asked * share(5) > 9000, "{asked}");
    }
}

#[test]
fn a_file_that_is_held_open_keeps_what_it_was() {
    // Of what was opened before the copy, overlayfs has answered so before Linux 4.19.
    const SAID: &str = "a lock before: yes\nthe same inode: yes\na lock after: yes\na later one reads what is written: yes\n\
        one from before does: no\nits mapping does: no\na mapping writes: yes\nflock between later ones: yes\nfcntl between later ones: yes\n\
        locks of open files between later ones: yes\nwithout a name: yes\nit can be written to: yes\n\
        nothing is made in a directory that is gone: yes\n";
    for door in DOORS {
        let place = Place::new(&format!("held-{door}"));
        fs::create_dir_all(place.dir.join("base")).expect("a fresh tree");
        fs::create_dir_all(place.dir.join("app")).expect("a fresh tree");
        fs::write(place.dir.join("base/data"), "a".repeat(8192)).expect("a fresh tree");
        let said = transcript(&feed(place.run(door).arg(program("held")).arg(place.dir.join("app")), b""));
        assert_eq!(said, format!("{SAID}--- standard error\n--- exit status: 0\n"), "{door}");
        assert!(fs::read(place.dir.join("base/data")).is_ok_and(|text| text == "a".repeat(8192).as_bytes()));
    }
}

#[test]
fn a_copy_for_which_there_is_no_room_changes_nothing() {
    if !is_root() {
        eprintln!("not root, so there is no small file system");
        return;
    }
    const ASKS: &str = "cd app; for disk in . ../run; do cat /dev/zero > $disk/fill 2> /dev/null; done; \
        for change in 'chmod 700 sub' 'rm sub/low'; do eval \"$change\" 2>&1 | grep -o 'No space left'; done; \
        stat -c '%n %a' sub; find sub; for name in 1 2 3 4 5 6 7 8 9; do mkdir $name && rmdir $name || break; done; \
        rm fill; for change in 'echo more >> big' 'chmod 600 big' 'mv big other'; do eval \"$change\" 2>&1 | grep -o 'No space left'; done; \
        stat -c '%n %s %a' big; cmp big ../base/big; : > big; stat -c '%n %s' big";
    for door in DOORS {
        let place = Place::new(&format!("full-{door}"));
        for below in ["base", "app"] {
            fs::create_dir_all(place.dir.join(below)).expect("a fresh tree");
        }
        fs::write(place.dir.join("base/big"), vec![b'x'; 3 << 20]).expect("a fresh tree");
        fs::create_dir_all(place.dir.join("base/sub")).expect("a fresh tree");
        fs::write(place.dir.join("base/sub/low"), "").expect("a fresh tree");
        fs::create_dir_all(place.dir.join("run")).expect("a fresh tree");
        let script = "mount --make-rprivate / && mount -t tmpfs -o size=1m none state && mount -t tmpfs -o size=3m,mode=755 none run && \
                      \"$@\"; find state -path '*/work/*'";
        let mut inner = place.run(door);
        inner.env("RUNTIME_DIRECTORY", place.dir.join("run"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["/bin/bash", "-c", ASKS]).current_dir(&place.dir);
        let expected = "No space left\nNo space left\nsub 755\nsub\nsub/low\nNo space left\nNo space left\nNo space left\n\
                        big 3145728 644\nbig 0\n--- standard error\n--- exit status: 0\n";
        assert_eq!(transcript(&feed(&mut command, b"")), expected, "{door}");
    }
}

/// A directory with a union of `base` at `app`.
struct Place {
    dir: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("launcher-test-rules-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("state")).expect("the temporary directory is writable");
        Place { dir }
    }

    /// The launcher, which a program's name is to follow.
    fn run(&self, door: &str) -> Command {
        let file = self.dir.join("rules.toml");
        let at = self.dir.join("app");
        let policy = format!("[[mount]]\nat = \"{}\"\nlayers = [\"base\"]\n", at.display());
        fs::write(&file, policy).expect("a fresh tree");
        let mut command = Command::new(launcher());
        command.args(["--door", door, "--policy"]).arg(file).env("STATE_DIRECTORY", self.dir.join("state"));
        command.env("LC_ALL", "C").current_dir(&self.dir);
        command
    }
}
