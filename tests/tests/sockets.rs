//! Unix sockets bear the names that the program gave them, in and out.

use std::fs;
use std::path::Path;

use tests::{Mount, World, read_only, read_write};

/// The host's path of this source is longer than a socket address.
const DEEP: &str = concat!(
    "data/a-directory-whose-name-is-long/a-directory-whose-name-is-long/",
    "a-directory-whose-name-is-long/a-directory-whose-name-is-long"
);

const MOUNTS: &[Mount] = &[read_write("run", "run"), read_only("ro", "fixed"), read_write("deep", DEEP)];

const SESSION: &str = r#"
import array, os, socket, stat, sys
app = os.environ["APP"]
def tried(name, call):
    try:
        print(name, call())
    except OSError as error:
        print(name, type(error).__name__, error.errno, error.strerror)
def pair(path, kind=socket.SOCK_STREAM):
    server, client = socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)
    server.bind(path)
    if kind != socket.SOCK_DGRAM:
        server.listen()
    client.connect(path)
    return server, client
for path in [app + "/run/s", app + "/deep/s", "relative", "../run/dots", "./dot", "sub/../back", app + "/run/../deep/t"]:
    os.chdir(app + "/run")
    def whole():
        server, client = pair(path)
        accepted, peer = server.accept()
        names = server.getsockname(), client.getpeername(), client.getsockname(), accepted.getsockname(), peer
        client.sendall(b"hello")
        return names, accepted.recv(9), stat.S_ISSOCK(os.stat(path).st_mode)
    tried(path, whole)
    tried("again " + path, lambda: socket.socket(socket.AF_UNIX).bind(path))
    tried("refused " + path, lambda: socket.socket(socket.AF_UNIX).connect(path))
    tried("gone " + path, lambda: os.unlink(path))
for kind in [socket.SOCK_SEQPACKET, socket.SOCK_DGRAM]:
    def named():
        server, client = pair(app + "/deep/d", kind)
        os.unlink(app + "/deep/d")
        other = socket.socket(socket.AF_UNIX, kind)
        other.bind(app + "/run/from")
        return server.getsockname(), client.getpeername(), other.getsockname()
    tried(str(kind), named)
    tried("unlink", lambda: os.unlink(app + "/run/from"))
a, b = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab")
a.bind(app + "/deep/a"); b.bind(app + "/run/b")
tried("sendto", lambda: (a.sendto(b"1", app + "/run/b"), b.recvfrom(9)))
tried("back", lambda: (b.sendto(b"2", app + "/deep/a"), a.recvmsg(9)))
tried("sendmsg", lambda: (a.sendmsg([b"3", b"4"], [], 0, app + "/run/b"), b.recvmsg_into([bytearray(9)])))
fds = array.array("i", [os.open(app + "/run", os.O_RDONLY)])
tried("rights", lambda: a.sendmsg([b"5"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], 0, app + "/run/b"))
def received():
    data, extra, flags, source = b.recvmsg(9, socket.CMSG_LEN(4))
    got = array.array("i", extra[0][2])[0]
    os.fchdir(got)
    return data, source, os.getcwd(), sorted(os.listdir("."))
tried("received", received)
tried("nobody", lambda: a.sendto(b"6", app + "/run/nobody"))
tried("read-only", lambda: socket.socket(socket.AF_UNIX).bind(app + "/ro/s"))
tried("missing", lambda: socket.socket(socket.AF_UNIX).bind(app + "/run/missing/s"))
tried("absent", lambda: socket.socket(socket.AF_UNIX).connect(app + "/deep/absent"))
tried("file", lambda: socket.socket(socket.AF_UNIX).connect(app + "/ro"))
tried("abstract", lambda: [s.getsockname() for s in pair("\0launcher-test-sockets")])
tried("unnamed", lambda: [s.getsockname() for s in socket.socketpair()])
long = "x" * (107 - len(app + "/run/"))
tried("107", lambda: len(pair(app + "/run/" + long)[0].getsockname()))
tried("108", lambda: len(pair(app + "/run/" + long + "x")[0].getsockname()))
os.chdir(app + "/deep")
tried("long relative", lambda: len(pair("y" * 107)[1].getpeername()))
print(sorted(os.listdir(app + "/deep")), sorted(name[:9] for name in os.listdir(app + "/run")))
"#;

fn fill(dir: &Path) {
    let host = dir.join("host");
    for made in ["run/sub", "fixed", DEEP] {
        fs::create_dir_all(host.join(made)).expect("a fresh tree");
    }
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

#[test]
fn every_call_that_takes_or_gives_a_socket_address_speaks_app_paths() {
    World::new("sockets", MOUNTS, fill)
        .as_user(65534)
        .same_session("/bin/bash", &format!("exec /usr/bin/python3.11 -c '{SESSION}'"));
}
