//! Names by which processes find each other are the instance's own: who is in it finds them, and nobody else does,
//! unless the policy shares them. They go with the instance.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tests::{World, assert_same, compiled, feed, program, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];

/// The host's names are for all to see: who looks whether it has them waits for who gives it some.
static HOSTS: Mutex<()> = Mutex::new(());

/// What there is, as whoever finds it all is told.
const FOUND: &str = "shmget: ok\nkey: 4c41554e\nmemory: written\nsemget: ok\nvalue: 7\nmsgget: ok\nshm_open: ok\n\
    its file: there\nsem_open: 3\nmq_open: ok\nno name: -1 22\nconnect: ok\n/proc/sysvipc/shm: 1\n/proc/sysvipc/sem: 1\n\
    /proc/sysvipc/msg: 1\n/proc/net/unix: 3\n--- standard error\n--- exit status: 0\n";
/// The same of who finds nothing.
const NOTHING: &str = "shmget: No such file or directory\nsemget: No such file or directory\n\
    msgget: No such file or directory\nshm_open: No such file or directory\nits file: No such file or directory\nsem_open: -1\n\
    mq_open: No such file or directory\nno name: -1 22\nconnect: Connection refused\n/proc/sysvipc/shm: 0\n\
    /proc/sysvipc/sem: 0\n/proc/sysvipc/msg: 0\n/proc/net/unix: 0\n--- standard error\n--- exit status: 0\n";
/// What who makes it all is told of sockets: `connect` has the socket's name, at its end and at the other.
const MADE: &str = "bind: 0\ngetsockname: @launcher-test 14\nconnect: 0\ngetpeername: @launcher-test 14\nsendto: 1\n\
    recvfrom: @launcher-sender 16\nsendmsg: 1\n";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn world(name: &str, door: &str, more: &str) -> World {
    World::new(&format!("ipc-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n[app]\nname = \"ipc-{name}-{door}\"\n{more}"))
}

/// Has a program make all of it, and calls `look` while that is there.
fn while_made(mut command: Command, look: impl FnOnce()) -> String {
    let mut child =
        command.arg("make").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("a pipe");
    let mut said = Vec::new();
    let mut byte = [0];
    // The last line that it prints before it waits.
    while !String::from_utf8_lossy(&said).contains("/proc/net/unix: ") || said.last() != Some(&b'\n') {
        assert!(out.read(&mut byte).expect("it can be read") == 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    look();
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    String::from_utf8(said).expect("text")
}

fn check(door: &str, probe: &Path, name: &str) {
    let _alone = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    let (one, other) = (world(&format!("{name}-one"), door, ""), world(&format!("{name}-other"), door, ""));
    let look = |mut command: Command| transcript(&feed(command.arg("look"), b""));
    let said = while_made(one.in_view(probe), || {
        assert_same("the policy", FOUND, "the same instance", &look(one.in_view(probe)));
        assert_same("the policy", NOTHING, "another instance", &look(other.in_view(probe)));
        assert_same("the policy", NOTHING, "the host", &look(Command::new(probe)));
        let lists = one.view_says("/bin/sh", &["-c", "ipcs | grep -c 0x4c41554e; ls /dev/shm"]);
        assert_same(
            "the policy",
            "3\nlauncher-test\nsem.launcher-test\n--- standard error\n--- exit status: 0\n",
            door,
            &lists,
        );
    });
    assert!(said.contains(MADE), "{said}");
    let removed = transcript(&feed(one.in_view(probe).arg("remove"), b""));
    assert_eq!(removed.matches("removed: 0").count(), 4, "{removed}");
    assert_same("the policy", NOTHING, "afterwards", &look(one.in_view(probe)));
}

#[test]
fn names_are_the_instances_own() {
    for door in DOORS {
        check(door, &program("ipc"), "glibc");
    }
}

#[test]
fn names_of_a_static_program_are_the_instances_own() {
    check("gate", &compiled("ipc", &["-static"], "ipc-static"), "static");
}

#[test]
fn names_can_be_shared_with_the_host() {
    let _alone = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    for door in DOORS {
        let world = world("shared", door, "[ipc]\nshare = true\n");
        let probe = program("ipc");
        let said = while_made(world.in_view(&probe), || {
            let said = transcript(&feed(Command::new(&probe).arg("look"), b""));
            assert_same("the policy", FOUND, door, &said);
        });
        assert!(said.contains(MADE), "{said}");
        let removed = transcript(&feed(Command::new(&probe).arg("remove"), b""));
        assert_eq!(removed.matches("removed: 0").count(), 4, "{removed}");
    }
}

#[test]
fn what_is_the_hosts_stays_so() {
    let script = "import os, socket
for name in ['\\0launcher-notify', '\\0/tmp/.X11-unix/X77', '\\0licence-7', '\\0launcher-other']:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try: s.connect(name); print(s.getpeername()[1:].decode(), 'found')
    except ConnectionRefusedError: print('not found')
names = [l.split()[-1] for l in open('/proc/net/unix') if 'launcher-notify' in l]
print(names)";
    let servers: Vec<_> = ["launcher-notify", "/tmp/.X11-unix/X77", "licence-7", "launcher-other"]
        .iter()
        .map(|name| {
            use std::os::linux::net::SocketAddrExt;
            let at = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
            std::os::unix::net::UnixDatagram::bind_addr(&at).expect("nobody has it")
        })
        .collect();
    for door in DOORS {
        let world = world("hosts", door, "[ipc]\nhost = [\"licence-*\"]\n");
        let mut command = world.in_view(Path::new("/usr/bin/python3"));
        command.args(["-c", script]).env("NOTIFY_SOCKET", "@launcher-notify").current_dir("/");
        let said = transcript(&feed(&mut command, b""));
        let expected = "launcher-notify found\n/tmp/.X11-unix/X77 found\nlicence-7 found\nnot found\n['@launcher-notify']\n\
                        --- standard error\n--- exit status: 0\n";
        assert_same("the policy", expected, door, &said);
    }
    drop(servers);
}

#[test]
fn an_abstract_name_can_have_all_the_bytes_that_the_kernel_takes() {
    let script = "import socket
for name in (b'\\0' + b'h' * 107, b'\\0' + b'a' * 100, b'\\0abc' + b'\\0' * 104, b'\\0' + b'x' * 99):
    server, client = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2))
    server.bind(name); server.listen(1); client.connect(name)
    shown = '@' + name[1:].replace(b'\\0', b'@').decode()
    listed = any(l.rstrip('\\n').endswith(' ' + shown) for l in open('/proc/net/unix'))
    print(server.getsockname() == name, client.getpeername() == name, listed)
try: socket.socket(socket.AF_UNIX).bind(b'\\0' + b'\\xe9' * 105)
except OSError as e: print(e.strerror)";
    let expected = format!(
        "{}File name too long\n--- standard error\n--- exit status: 0\n",
        "True True True\n".repeat(4)
    );
    let _alone = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    for door in DOORS {
        let world = world("long", door, "");
        let mut command = world.in_view(Path::new("/usr/bin/python3"));
        let said = transcript(&feed(command.args(["-c", script]), b""));
        assert_same("the policy", &expected, door, &said);
    }
}

/// The directories of names that belong to an instance whose directory's path has this in it.
fn owned(by: &str) -> Vec<PathBuf> {
    let names = std::fs::read_dir("/dev/shm").expect("it is there").flatten().map(|entry| entry.path());
    let is_its =
        |dir: &PathBuf| std::fs::read_to_string(dir.join("owner")).is_ok_and(|owner| owner.contains(by));
    names.filter(is_its).collect()
}

/// The marks of System V objects in a directory of names.
fn marks(names: &Path) -> Vec<String> {
    let marks = std::fs::read_dir(names.join("marks")).expect("it is there").flatten();
    let marks = marks.filter_map(|mark| mark.file_name().into_string().ok());
    marks.filter(|mark| !mark.starts_with("n-")).collect()
}

/// How many of them the kernel has.
fn there(marks: &[String]) -> usize {
    let is_there = |mark: &&String| {
        let (kind, id) = mark.split_once('-').expect("a letter and a number");
        let file = match kind {
            "m" => "shm",
            "s" => "sem",
            _ => "msg",
        };
        let text = std::fs::read_to_string(format!("/proc/sysvipc/{file}")).expect("the kernel has System V");
        text.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
    };
    marks.iter().filter(is_there).count()
}

#[test]
fn what_an_instance_leaves_goes_with_it() {
    let state = std::env::temp_dir().join("launcher-test-ipc-state");
    let _ = std::fs::remove_dir_all(&state);
    let kept = world("kept", "shim", "[[volume]]\nat = \"/opt/ipc\"\n");
    let mut command = kept.in_view(&program("ipc"));
    command.env("STATE_DIRECTORY", &state);
    while_made(command, || {});
    let names = owned("launcher-test-ipc-state");
    let left = marks(&names[0]);
    // Two of shared memory, and one each.
    assert_eq!((names.len(), left.len(), there(&left)), (1, 4, 4));
    let mut rm = Command::new(tests::launcher());
    rm.args(["rm", "ipc-kept-shim"]).env("STATE_DIRECTORY", &state).env_remove("XDG_RUNTIME_DIR");
    let rm = rm.output().expect("the launcher runs");
    assert!(rm.status.success(), "{}", String::from_utf8_lossy(&rm.stderr));
    assert_eq!((there(&left), owned("launcher-test-ipc-state").len()), (0, 0));
    let _ = std::fs::remove_dir_all(&state);
    // What belongs to one run goes when the next is made, whichever that is.
    let world = world("run", "shim", "[[mount]]\nat = \"/opt/ipc\"\nkind = \"empty\"\n");
    let run = |left: &mut Vec<String>| {
        while_made(world.in_view(&program("ipc")), || {
            let names = owned("ipc-run-shim");
            assert_eq!((there(left), names.len()), (0, 1));
            *left = marks(&names[0]);
            assert_eq!((left.len(), there(left)), (4, 4));
        });
    };
    let mut left = Vec::new();
    run(&mut left);
    run(&mut left);
}
