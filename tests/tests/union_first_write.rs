//! The first write to a large file of a layer: on file systems that share data nothing is
//! copied; on others the kernel copies it, and leaves holes holes. Each test has a file
//! system of its own on a loop device, in a mount namespace of its own.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use tests::images::Place;
use tests::{feed, is_root, launcher};

/// What is done on the file system: what is on it, and what is in the write layer's file
/// once the file of the base has been opened for append. `$1` makes the file system.
const SCRIPT: &str = r#"
truncate -s $((MIB * 3 + 512))M disk; $1 disk; mkdir disk.d
if ! mount -o loop disk disk.d; then grep -q "$2" /proc/filesystems && exit 1; echo skipped=1; exit; fi
cd disk.d; mkdir base at
used() { sync -f .; df -k --output=used . | tail -1 | tr -d ' '; }
head -c ${MIB}M /dev/urandom > base/large
truncate -s 64M base/sparse
for at in 0 32; do printf data | dd of=base/sparse bs=1M seek=$at conv=notrunc status=none; done
printf '[app]\nname = "large"\n[[mount]]\nat = "%s/at"\nlayers = ["base"]\n' $PWD > policy.toml
echo before=$(used)
export STATE_DIRECTORY=$PWD/state XDG_RUNTIME_DIR=$PWD
strace -f -qq -e signal=none -e trace=read,pread64,readv,preadv,write,pwrite64,writev,pwritev,copy_file_range,sendfile,splice,ioctl -o ../calls \
    "$LAUNCHER" --door gate --policy policy.toml /bin/sh -c 'echo more >> at/large'
echo after=$(used)
"$LAUNCHER" --door gate --policy policy.toml /bin/sh -c ': >> at/sparse'
sync -f .
upper=$(dirname $(find state -type f -name large))
echo shared=$(filefrag -v $upper/large | grep -c shared)
(cat base/large; echo more) | cmp - $upper/large && echo same=1
cmp base/sparse $upper/sparse && echo sparse_same=1
for side in base $upper; do echo sparse_${side%%/*}=$(stat -c %b $side/sparse); done
"#;

/// What happened: the script's numbers, and the bytes that each call moved, summed.
struct Seen {
    numbers: HashMap<String, u64>,
    bytes: HashMap<String, u64>,
    calls: Vec<String>,
    mib: u64,
}

/// None where this kernel has no such file system.
fn first_write(name: &str, make: &str, kind: &str) -> Option<Seen> {
    assert!(is_root(), "file systems are mounted: run the tests as root");
    let place = Place::new(&format!("first-write-{name}"));
    // As large as is asked for: `MIB=1024 cargo test -p tests --test union_first_write`
    let mib = std::env::var("MIB").unwrap_or_else(|_| "256".into());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", SCRIPT, "sh", make, kind]).current_dir(&place.dir);
    command.env("MIB", &mib).env("LAUNCHER", launcher()).env("LC_ALL", "C.UTF-8");
    let output = feed(&mut command, b"");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let number = |line: &str| {
        let (name, number) = line.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    let numbers: HashMap<String, u64> = said.lines().filter_map(number).collect();
    if numbers.contains_key("skipped") {
        eprintln!("this kernel has no {kind}: {errors}");
        return None;
    }
    let mut bytes = HashMap::new();
    // A line is "pid call(…) = result".
    let calls = fs::read_to_string(place.dir.join("calls")).expect("strace has written its lines");
    let calls: Vec<String> =
        calls.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim().to_owned())).collect();
    for call in &calls {
        let (Some((name, _)), Some((_, result))) = (call.split_once('('), call.rsplit_once("= ")) else {
            continue;
        };
        *bytes.entry(name.to_owned()).or_default() += result.parse().unwrap_or(0);
    }
    let mib = mib.parse().expect("a number");
    println!("{name}, {mib} MiB: {numbers:?}; bytes by call: {bytes:?}");
    assert!(numbers.contains_key("same") && numbers.contains_key("sparse_same"), "{errors}");
    assert_eq!(numbers["sparse_state"], numbers["sparse_base"]);
    assert!(numbers["sparse_base"] < 1024, "blocks of 512 bytes");
    Some(Seen { numbers, bytes, calls, mib })
}

/// No data is read or written by the program's own calls, beside what it starts with.
fn moves_nothing_by_hand(seen: &Seen) {
    let by_hand: u64 =
        seen.bytes.iter().filter(|(name, _)| *name != "copy_file_range").map(|(_, sum)| sum).sum();
    assert!(by_hand < 4 << 20, "{:?}", seen.bytes);
}

fn shares(name: &str, make: &str) {
    let Some(seen) = first_write(name, make, name) else { return };
    moves_nothing_by_hand(&seen);
    assert_eq!(seen.bytes.get("copy_file_range"), None);
    let clones = seen.calls.iter().filter(|call| call.contains("FICLONE") && call.ends_with("= 0")).count();
    assert_eq!(clones, 1);
    assert!(seen.numbers["shared"] > 0);
    let taken = seen.numbers["after"].saturating_sub(seen.numbers["before"]);
    assert!(taken < 4 << 10, "{taken} KiB more are used");
}

#[test]
fn the_first_write_of_a_large_file_copies_no_data_on_xfs() {
    shares("xfs", "mkfs.xfs -q -m reflink=1");
}

#[test]
fn nor_on_btrfs() {
    shares("btrfs", "mkfs.btrfs -q");
}

#[test]
fn where_data_cannot_be_shared_the_kernel_copies_it_in_pieces() {
    let seen = first_write("ext4", "mkfs.ext4 -q", "ext4").expect("every kernel has it");
    moves_nothing_by_hand(&seen);
    assert_eq!(seen.bytes["copy_file_range"], seen.mib << 20);
    let pieces = seen.calls.iter().filter(|call| call.starts_with("copy_file_range(")).count() as u64;
    // A signal is not kept waiting for all of it.
    assert_eq!(pieces, seen.mib.div_ceil(64));
    assert_eq!(seen.numbers["shared"], 0);
}

/// What is done to layers that take no change: on a file system, and behind a mount, that is read-only.
const READ_ONLY: &str = r#"
mkdir -p base other at state runtime; chmod 777 state runtime; mount -t tmpfs none base
mkdir base/deep base/open other/deep other/open; chmod 777 base/open other/open
for tree in base other; do echo closed > $tree/deep/closed; echo one > $tree/open/one; chmod 666 $tree/open/one; done
mount --bind other other; mount -o remount,ro base; mount -o remount,ro,bind other
! touch base/x 2> /dev/null; ! touch other/x 2> /dev/null
for layer in base other; do
    printf '[app]
name = "read-only"
[[mount]]
at = "%s/at"
layers = ["%s"]
' $PWD $layer > policy.toml
    for id in 0 12345; do
        setpriv --reuid $id --regid $id --clear-groups env STATE_DIRECTORY=$PWD/state/$layer$id XDG_RUNTIME_DIR=$PWD/runtime/$id \
            "$LAUNCHER" --door $1 --policy policy.toml /bin/sh -c 'cd at; for path in deep deep/closed open open/one; do
                if test -w $path; then echo writable $path; else echo not $path; fi; done
                echo more >> deep/closed; echo two >> open/one; mkdir open/new; mv open/one open/new; rm -r deep; ls -R; cat open/new/one' 2>&1
    done
done
"#;

#[test]
fn layers_on_a_file_system_that_takes_no_change_get_copies() {
    assert!(is_root(), "file systems are mounted: run the tests as root");
    for door in ["shim", "gate"] {
        let place = Place::new(&format!("read-only-{door}"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", READ_ONLY, "sh", door]).current_dir(&place.dir);
        let output = feed(command.env("LAUNCHER", launcher()).env("LC_ALL", "C.UTF-8"), b"");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("Read-only"), "{said}");
        let count = |line: &str| said.lines().filter(|found| *found == line).count();
        // Root may change all of it, the other user what its mode says.
        assert_eq!((count("writable deep"), count("writable deep/closed")), (2, 2), "{said}");
        assert_eq!(
            (count("writable open"), count("writable open/one"), count("not deep")),
            (4, 4, 2),
            "{said}"
        );
        assert_eq!((count("two"), count("closed")), (4, 2), "{said}");
        assert_eq!(said.matches("Permission denied").count(), 4, "{said}");
    }
}
