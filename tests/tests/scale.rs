//! Policies of ten thousand mounts: each is there, and a start stays quick.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{World, feed, launcher, transcript, write};

const COUNT: usize = 10_000;
/// What a start may take here on a busy machine: on an idle one it is about a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn world(name: &str) -> World {
    World::new(name, &[], |dir| {
        write(dir.join("host/file"), "file\n");
        write(dir.join("host/tree/leaf"), "leaf\n");
        write(dir.join("app/there/own"), "own\n");
        fs::create_dir_all(dir.join("app/bare")).expect("a fresh tree");
    })
}

/// A policy of ten thousand mounts. `mount` gives one's place, below the app
/// directory, and its other keys.
fn policy(world: &World, mount: fn(usize) -> (String, String)) -> PathBuf {
    let app = world.dir.join("app");
    let mut text = String::new();
    for index in 0..COUNT {
        let (at, keys) = mount(index);
        // Writing to a string does not fail.
        let _ = writeln!(text, "[[mount]]\nat = \"{}/{at}\"\n{keys}", app.display());
    }
    let file = world.dir.join("many.toml");
    fs::write(&file, text).expect("the world is writable");
    file
}

/// Runs a script under the policy, and gives what it prints.
fn says(world: &World, policy: &PathBuf, script: &str) -> String {
    let run = |words: &[&str]| {
        let mut command = Command::new(launcher());
        command.arg("--policy").arg(policy).args(words).env("APP", world.dir.join("app"));
        transcript(&feed(&mut command, b""))
    };
    let start = Instant::now();
    assert!(run(&["/bin/true"]).ends_with("exit status: 0\n"));
    let took = start.elapsed();
    assert!(took < PATIENCE, "a start took {took:?}");
    let said = run(&["/bin/bash", "-c", &format!("exec 2>&1; cd $APP; {script}")]);
    said.split("--- standard error").next().unwrap_or_default().to_owned()
}

/// Reads a directory with buffers of several sizes, by the bare call, and
/// from a remembered place.
const LISTS: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.getdents64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
def names(fd, size, most=None):
    found, offsets = [], []
    buffer = ctypes.create_string_buffer(size)
    while most is None or len(found) < most:
        count = libc.getdents64(fd, buffer, size)
        assert count >= 0, os.strerror(ctypes.get_errno())
        if count == 0:
            break
        at = 0
        while at < count:
            inode, offset, length = struct.unpack_from("<QqH", buffer.raw, at)
            found.append(buffer.raw[at + 19:at + length].split(b"\0")[0].decode())
            offsets.append(offset)
            at += length
    return found, offsets
expected = sorted(os.listdir(".") + [".", ".."])
for size in [300, 1000, 32768, 1 << 20]:
    fd = os.open(".", os.O_RDONLY)
    found, offsets = names(fd, size)
    assert sorted(found) == expected, (size, len(found), len(expected))
    os.lseek(fd, 0, os.SEEK_SET)
    assert sorted(names(fd, size)[0]) == expected, size
    os.lseek(fd, offsets[5000], os.SEEK_SET)
    assert names(fd, size)[0] == found[5001:], size
    os.close(fd)
print(len(expected))
"#;

#[test]
fn a_directory_of_the_host_shows_ten_thousand_mounts() {
    let world = world("scale-there");
    for at in ["there", "bare"] {
        let policy = policy(
            &world,
            match at {
                "there" => |index| (format!("there/d{index:05}"), format!("content = \"{index}\\n\"")),
                _ => |index| (format!("bare/d{index:05}"), "source = \"host/tree\"".to_owned()),
            },
        );
        let script = format!(
            "cd {at}; ls | wc -l; ls | sort -u | md5sum; echo * | wc -w; find . -mindepth 1 -maxdepth 1 | wc -l; \
             cat d00000 d04999 d09999 d00000/leaf d09999/leaf d10000; /usr/bin/python3.11 -c '{LISTS}'"
        );
        let own = usize::from(at == "there");
        let mut names: String = (0..COUNT).map(|index| format!("d{index:05}\n")).collect();
        names += if own == 1 { "own\n" } else { "" };
        let mut md5 = Command::new("md5sum");
        let sum = String::from_utf8_lossy(&feed(&mut md5, names.as_bytes()).stdout).into_owned();
        let count = COUNT + own;
        let said = says(&world, &policy, &script);
        assert!(said.starts_with(&format!("{count}\n{sum}{count}\n{count}\n")), "{said}");
        let read = match at {
            "there" => "0\n4999\n9999\n",
            _ => {
                "cat: d00000: Is a directory\ncat: d04999: Is a directory\ncat: d09999: Is a directory\nleaf\nleaf\n"
            }
        };
        assert!(said.contains(read), "{said}");
        assert!(said.contains("d10000: No such file"), "{said}");
        assert!(said.ends_with(&format!("\n{}\n", count + 2)), "{said}");
    }
}

#[test]
fn ten_thousand_mounts_lie_in_each_other() {
    let world = world("scale-deep");
    let policy = policy(&world, |index| {
        let depth = index % 25;
        let at = format!("deep/g{:03}/{}k", index / 25, "k/".repeat(depth));
        let keys = match depth {
            24 => "content = \"bottom\\n\"",
            // Once in each chain: a directory that is mounted in itself is a loop.
            2 => "source = \"host/tree\"",
            depth if depth % 3 == 1 => "kind = \"hidden\"",
            _ => "kind = \"empty\"",
        };
        (at, keys.to_owned())
    });
    let bottom = "k/".repeat(24) + "k";
    let script = format!(
        "cd deep; ls | wc -l; cat g000/{bottom} g399/{bottom}; cat g123/k/k/k/leaf; ls g123/k g123/k/k g123/k/k/k; \
         echo new > g200/k/made && cat g200/k/made; cd g300; n=0; while cd k 2>/dev/null; do n=$((n + 1)); done; echo $n"
    );
    let said = says(&world, &policy, &script);
    let expected = "400\nbottom\nbottom\nleaf\ng123/k:\nk\n\ng123/k/k:\nk\n\ng123/k/k/k:\nk\nleaf\nnew\n24\n";
    assert_eq!(said, expected);
}

#[test]
fn ten_thousand_errors_are_told_as_fast() {
    let world = world("scale-errors");
    let policy = policy(&world, |index| (format!("e{index}"), "source = \"host/missing\"".to_owned()));
    let start = Instant::now();
    let output = feed(Command::new(launcher()).arg("check").arg("--policy").arg(&policy), b"");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("cannot be used").count(), COUNT);
    assert!(said.contains("many.toml:30000:10"), "{}", &said[said.len() - 500..]);
}
