//! What instances of one image cost beside each other: memory that each has to itself,
//! and room on the disk.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tests::images::must;
use tests::instances::Site;
use tests::is_root;

const INSTANCES: u64 = 100;

/// An image at `/`, and a process of it that writes a file, says so, and waits.
const POLICY: &str = "coverage.door = \"gate\"\n[root]\nimage = \"base\"\nwrite = \"private\"\n";
const SCRIPT: &str = "echo $0 > /made; echo more >> /etc/greeting; echo; read line";
/// What a write layer has then, with a directory that all may write to.
const CHANGED: &str = "./etc\n./etc/greeting\n./made\n./tmp\n";

/// A command, started, that has written its line.
fn waiting(mut command: Command) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is there");
    child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it writes");
    child
}

fn end(mut child: Child) {
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
    assert!(child.wait().expect("our own child").success());
}

/// The KiB that a process has to itself, as the host has it.
fn private_memory(process: &Child) -> u64 {
    let said = fs::read_to_string(format!("/proc/{}/smaps", process.id())).expect("it runs");
    let lines = said.lines().filter(|line| line.starts_with("Private_"));
    lines
        .map(|line| line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()))
        .sum::<Option<_>>()
        .expect("numbers")
}

/// The KiB that a directory takes on its disk.
fn room(dir: &Path) -> u64 {
    let said = must("du", &["-sk", &dir.to_string_lossy()], Path::new("/"));
    said.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn a_hundred_instances_of_an_image_have_little_memory_and_only_their_differences_on_the_disk() {
    assert!(is_root(), "chroot is run: run the tests as root");
    let site = Site::new("hundred");
    site.good(&["image", "import", "root", "--name", "base"]);
    let policy = site.policy("base", POLICY).to_string_lossy().into_owned();
    let state = site.dir.join("state");
    let (empty, image) = (room(&state), room(&state.join("images")));
    let chrooted = |name: &str| {
        let mut command = Command::new("chroot");
        command.arg(site.dir.join("root")).args(["/bin/sh", "-c", SCRIPT, name]);
        waiting(command)
    };
    // Two of them, as pages that only one has are its own.
    let natively = [chrooted("a"), chrooted("b")];
    let native = private_memory(&natively[1]);
    natively.into_iter().for_each(end);
    let instances: Vec<Child> = (0..INSTANCES)
        .map(|number| {
            let name = format!("size-{number}");
            waiting(
                site.command(&["run", "--policy", &policy, "--name", &name, "/bin/sh", "-c", SCRIPT, &name]),
            )
        })
        .collect();
    let each: Vec<u64> = instances.iter().map(private_memory).collect();
    let most = each.iter().copied().max().expect("a hundred");
    let differences = room(&state) - empty;
    let run = room(&site.dir.join("runtime"));
    println!(
        "memory of its own: natively {native} KiB, in an instance {most} KiB at most; the runtime directory \
         {run} KiB; disk: image {image} KiB, {INSTANCES} instances {differences} KiB"
    );
    // The runtime directory may be in memory too.
    let ours = most - native + run / INSTANCES;
    assert!(ours < 1024, "{ours} KiB for each");
    assert_eq!(room(&state.join("images")), image);
    for number in 0..INSTANCES {
        let name = format!("size-{number}");
        let upper = state.join(format!("instances/{name}/write/-/upper"));
        assert_eq!(must("sh", &["-c", "find . -mindepth 1 | sort"], &upper), CHANGED);
        assert_eq!(fs::read_to_string(upper.join("made")).ok(), Some(format!("{name}\n")));
    }
    // Six files, two of them the changes, the directories that they are in, and /tmp, a block each.
    assert!(differences <= INSTANCES * 68, "{differences} KiB for {INSTANCES}");
    instances.into_iter().for_each(end);
}
