//! What a policy's rules of addresses refuse, lead to Unix sockets, and keep apart.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use tests::{World, feed, free_port, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn python(world: &World, program: &str) -> String {
    let mut command = world.in_view(Path::new("/usr/bin/python3"));
    transcript(&feed(command.args(["-c", program]).current_dir("/"), b""))
}

const REFUSED: &str = r#"
import ctypes, errno, socket, sys
def tried(what, call):
    try:
        call()
        print(what, "ok")
    except OSError as error:
        print(what, errno.errorcode[error.errno])
stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
def fresh(address, kind=stream):
    return socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, kind)
for address in [("10.1.0.1", 80), ("10.2.0.1", 80), ("10.3.0.1", 80), ("::ffff:10.1.0.1", 80), ("fd00::1", 80)]:
    tried(("connect", address), lambda: fresh(address).connect(address))
    tried(("sendto", address), lambda: fresh(address, datagram).sendto(b"x", address))
    tried(("sendmsg", address), lambda: fresh(address, datagram).sendmsg([b"x"], [], 0, address))
    tried(("bind", address), lambda: fresh(address).bind(address))
one = fresh(("10.1.0.1", 80))
one.setblocking(False)
tried("without blocking", lambda: one.connect(("10.1.0.1", 80)))
tried("allowed", lambda: fresh(("127.0.0.1", 1)).connect(("127.0.0.1", 1)))
tried("bind allowed", lambda: fresh(("127.0.0.1", 0)).bind(("127.0.0.1", 0)))
tried("udp alone", lambda: fresh(("10.4.0.1", 9), datagram).sendto(b"x", ("10.4.0.1", 9)))
tried("not tcp", lambda: fresh(("10.4.0.1", 9)).connect(("10.4.0.1", 9)))
# A ring would connect past every rule.
libc = ctypes.CDLL(None, use_errno=True)
print("io_uring_setup", libc.syscall(425, 4, ctypes.create_string_buffer(120)), errno.errorcode[ctypes.get_errno()])
"#;

const EXPECTED: &str = "\
('connect', ('10.1.0.1', 80)) EACCES
('sendto', ('10.1.0.1', 80)) EACCES
('sendmsg', ('10.1.0.1', 80)) EACCES
('bind', ('10.1.0.1', 80)) EACCES
('connect', ('10.2.0.1', 80)) ECONNREFUSED
('sendto', ('10.2.0.1', 80)) ECONNREFUSED
('sendmsg', ('10.2.0.1', 80)) ECONNREFUSED
('bind', ('10.2.0.1', 80)) EADDRINUSE
('connect', ('10.3.0.1', 80)) EHOSTUNREACH
('sendto', ('10.3.0.1', 80)) EHOSTUNREACH
('sendmsg', ('10.3.0.1', 80)) EHOSTUNREACH
('bind', ('10.3.0.1', 80)) EADDRNOTAVAIL
('connect', ('::ffff:10.1.0.1', 80)) EACCES
('sendto', ('::ffff:10.1.0.1', 80)) EACCES
('sendmsg', ('::ffff:10.1.0.1', 80)) EACCES
('bind', ('::ffff:10.1.0.1', 80)) EACCES
('connect', ('fd00::1', 80)) EACCES
('sendto', ('fd00::1', 80)) EACCES
('sendmsg', ('fd00::1', 80)) EACCES
('bind', ('fd00::1', 80)) EACCES
without blocking EACCES
allowed ECONNREFUSED
bind allowed ok
udp alone ok
not tcp EACCES
io_uring_setup -1 ENOSYS
--- standard error
--- exit status: 0
";

#[test]
fn what_is_refused_is_refused_as_the_policy_says() {
    let mut rules = String::new();
    for direction in ["bind", "connect"] {
        for (from, action) in [
            ("*", "deny"),
            ("10.2.0.0/16", "refuse"),
            ("10.3.0.0/16", "unreachable"),
            ("127.0.0.0/8", "allow"),
        ] {
            rules += &format!("[[network.{direction}]]\nfrom = \"{from}\"\naction = \"{action}\"\n");
        }
    }
    rules += &format!(
        "[[network.connect]]\nfrom = \"10.4.0.1:9\"\nto = \"127.0.0.1:{}\"\nprotocol = \"udp\"\n",
        free_port()
    );
    for door in DOORS {
        let head = format!("coverage.door = \"{door}\"\n{rules}");
        let world = World::new(&format!("network-refused-{door}"), &[], fill).saying(&head);
        assert_eq!(python(&world, REFUSED), EXPECTED, "{door}");
    }
}

const BY_UNIX: &str = r#"
import array, os, select, socket, struct
def watched(address):
    """As nginx connects: a set watches the socket before."""
    one = socket.socket()
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 7, 0))
    sets = [select.epoll(), select.epoll()]
    for watching in sets:
        watching.register(one.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    one.connect_ex(address)
    print([watching.poll(5)[0][1] == select.EPOLLOUT for watching in sets], struct.unpack("ll", one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)))
    one.send(b"asked")
    for watching in sets:
        while not any(event & select.EPOLLIN for _, event in watching.poll(5)):
            pass
    print(one.recv(100))
def meet(address, blocking=True):
    one = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    os.set_inheritable(one.fileno(), True)
    one.setblocking(blocking)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.connect_ex(address)
    one.setblocking(True)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    print(one.getpeername(), one.getsockname()[0], one.getsockname()[1] >= 32768, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    print(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), os.get_inheritable(one.fileno()), one.dup().getpeername()[:2])
    one.sendall(b"asked")
    print(one.recv(100))
    return one
meet(("10.1.2.3", 5432))
meet(("10.1.2.3", 5432), False)
meet(("10.9.8.7", 5433))
meet(("fd00::1", 5434))
watched(("10.1.2.3", 5432))
try:
    socket.create_connection(("10.1.2.4", 5432))
except OSError as error:
    print(error)
"#;

#[test]
fn a_stream_can_be_led_to_a_unix_socket() {
    const MET: &str = "\
('10.1.2.3', 5432) 127.0.0.1 True 0
0 True ('10.1.2.3', 5432)
b'answered'
('10.1.2.3', 5432) 127.0.0.1 True 0
0 True ('10.1.2.3', 5432)
b'answered'
('10.9.8.7', 5433) 127.0.0.1 True 0
0 True ('10.9.8.7', 5433)
b'answered'
('fd00::1', 5434, 0, 0) ::1 True 0
0 True ('fd00::1', 5434)
b'answered'
[True, True] (7, 0)
b'answered'
[Errno 111] Connection refused
--- standard error
--- exit status: 0
";
    for door in DOORS {
        let world = World::new(&format!("network-unix-{door}"), &[], fill);
        let path = world.dir.join("host/s");
        let world = world.saying(&format!(
            "coverage.door = \"{door}\"\n\
             [[network.connect]]\nfrom = \"10.1.2.3:5432\"\nto = \"unix:host/s\"\n\
             [[network.connect]]\nfrom = \"10.0.0.0/8:5433\"\nto = \"unix:{}\"\n\
             [[network.connect]]\nfrom = \"[fd00::1]:5434\"\nto = \"unix:host/s\"\n\
             [[network.connect]]\nfrom = \"10.1.2.4:5432\"\nto = \"unix:host/nobody\"\n",
            path.display()
        ));
        let listener = UnixListener::bind(&path).expect("the world is writable");
        let server = std::thread::spawn(move || {
            for _ in 0..5 {
                let (mut client, _) = listener.accept().expect("a client comes");
                let mut asked = [0; 5];
                client.read_exact(&mut asked).expect("it asks");
                client.write_all(b"answered").expect("it listens");
            }
        });
        let said = python(&world, BY_UNIX);
        assert_eq!(said, MET, "{door}");
        server.join().expect("the server does not panic");
    }
}

/// Serves its name at port 80, and hands the socket to a child by the way of systemd.
const SERVING: &str = r#"
import os, socket, subprocess, sys
name = sys.argv[1].encode()
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", 80))
server.listen()
inside = 'import socket; one = socket.create_connection(("127.0.0.1", 80)); print(one.recv(9), one.getpeername(), flush=True)'
os.dup2(server.fileno(), 3)
child = 'import os, socket; one = socket.socket(fileno=3); print(os.environ["LISTEN_FDS"], one.getsockname(), flush=True)'
subprocess.run([sys.executable, "-c", child], env={"LISTEN_FDS": "1"}, pass_fds=[3])
client = subprocess.Popen([sys.executable, "-c", inside])
accepted, peer = server.accept()
accepted.sendall(name)
accepted.close()
client.wait()
print(server.getsockname(), peer[0], flush=True)
sys.stdin.read()
"#;

#[test]
fn instances_have_a_port_80_each_at_the_same_time() {
    let worlds: Vec<(String, World)> = ["first", "second", "third", "fourth"]
        .iter()
        .zip(DOORS.iter().cycle())
        .map(|(name, door)| {
            let head = format!(
                "coverage.door = \"{door}\"\n[[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:{}\"\n",
                free_port()
            );
            let world = World::new(&format!("network-port-{name}"), &[], fill);
            let world = if tests::is_root() { world.as_user(65534) } else { world };
            ((*name).to_owned(), world.saying(&head))
        })
        .collect();
    // Each runs until all have said what they have to say.
    let mut children: Vec<_> = worlds
        .iter()
        .map(|(name, world)| {
            let mut command = world.in_view(Path::new("/usr/bin/python3"));
            command.args(["-c", SERVING, name]).current_dir("/");
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the launcher runs")
        })
        .collect();
    for ((name, _), child) in worlds.iter().zip(&mut children) {
        let stdout = child.stdout.as_mut().expect("a pipe");
        let expected = format!("1 ('0.0.0.0', 80)\nb'{name}' ('127.0.0.1', 80)\n('0.0.0.0', 80) 127.0.0.1\n");
        let mut said = vec![0; expected.len()];
        stdout.read_exact(&mut said).expect("it says as much");
        assert_eq!(String::from_utf8_lossy(&said), expected);
    }
    for mut child in children {
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    }
}

/// Lists its own sockets by tools that read /proc and by one that asks the kernel. Tables of /proc are read in pieces, and the kernel
/// tells of a socket twice where others come in between: no two have the same line.
const LISTED: &str = r#"
import re, socket, subprocess
server = socket.create_server(("10.1.2.9", 80))
named = socket.socket(type=socket.SOCK_DGRAM)
named.bind(("10.1.2.9", 53))
client = socket.create_connection(("10.1.2.9", 80))
accepted, _ = server.accept()
six = socket.socket(socket.AF_INET6)
six.bind(("fd00::1", 80)); six.listen()
far = socket.create_connection(("10.5.6.7", 4000))
for tool in (["ss", "-Hantu"], ["netstat", "-antu"]):
    lines = subprocess.run(tool, capture_output=True, text=True).stdout.splitlines()
    found = re.findall(r"(?:10\.1\.2\.9|10\.5\.6\.7|\[?fd00::1\]?):\d+", "\n".join(set(lines)))
    print(tool[0], sorted(found))
"#;

#[test]
fn the_tools_that_list_sockets_show_what_was_asked_for() {
    for door in DOORS {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let head = format!(
            "coverage.door = \"{door}\"\n[[network.bind]]\nfrom = \"10.1.2.9:80\"\nto = \"127.0.0.1:{0}\"\n\
             [[network.bind]]\nfrom = \"10.1.2.9:53\"\nto = \"127.0.0.1:{1}\"\n\
             [[network.bind]]\nfrom = \"[fd00::1]:80\"\nto = \"[::1]:{2}\"\n\
             [[network.connect]]\nfrom = \"10.5.0.0/16:4000\"\nto = \"127.0.0.1:{0}\"\n",
            ports[0], ports[1], ports[2]
        );
        let world = World::new(&format!("network-listed-{door}"), &[], fill).saying(&head);
        let said = python(&world, LISTED);
        let listed = |far: &str, six: &str| {
            format!(
                "['10.1.2.9:53', '10.1.2.9:80', '10.1.2.9:80', '10.1.2.9:80', '10.1.2.9:80'{far}, '{six}:80']"
            )
        };
        // /proc has no cookies: what a rule for many addresses has led is told by another rule.
        let expected = format!(
            "ss {}\nnetstat {}\n--- standard error\n--- exit status: 0\n",
            listed(", '10.5.6.7:4000'", "[fd00::1]"),
            listed(", '10.1.2.9:80'", "fd00::1"),
        );
        assert_eq!(said, expected, "{door}");
    }
}
