//! The same programs under the preload libraries that people use for the like: nss_wrapper,
//! resolv_wrapper, socket_wrapper and proxychains. Where they can, the view gives the same answer; where they cannot, it does.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{World, feed, free_port, program, transcript, write};

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

/// Whether a preload library is installed.
fn has(library: &str) -> bool {
    let found = Path::new(LIBRARIES).join(library).exists();
    if !found {
        eprintln!("{library} is not installed: `cargo xtask packages`");
    }
    found
}

fn run(command: &mut Command) -> String {
    transcript(&feed(command.current_dir("/"), b""))
}

#[test]
fn names_are_those_of_nss_wrapper_and_resolv_wrapper() {
    if !has("libnss_wrapper.so") || !has("libresolv_wrapper.so") {
        return;
    }
    let probe = program("resolve");
    let asked = ["db.old.corp", "erp01"];
    let lines = "10.1.2.3 db.old.corp\n10.1.2.9 erp01\n";
    let world = World::new("peers-names", &[], fill).saying(
        "[network]\nhosts = { \"db.old.corp\" = [\"10.1.2.3\"], erp01 = [\"10.1.2.9\"] }\norder = [\"hosts\"]",
    );
    let hosts = world.dir.join("hosts");
    write(&hosts, lines);
    let mut wrapped = Command::new(&probe);
    wrapped.env("LD_PRELOAD", format!("{LIBRARIES}/libnss_wrapper.so")).env("NSS_WRAPPER_HOSTS", &hosts);
    let expected = run(wrapped.args(asked));
    assert_eq!(run(world.in_view(&probe).args(asked)), expected);

    let fake = world.dir.join("fake");
    write(&fake, "A app.old.corp 10.7.7.7\n");
    let query = "import ctypes; room = ctypes.create_string_buffer(512); n = ctypes.CDLL(None).res_query(b'app.old.corp', 1, 1, room, 512); print(list(room.raw[n - 4 : n]))";
    let mut wrapped = Command::new("/usr/bin/python3");
    wrapped.env("LD_PRELOAD", format!("{LIBRARIES}/libresolv_wrapper.so")).env("RESOLV_WRAPPER_HOSTS", &fake);
    let expected = run(wrapped.args(["-c", query]));
    let port = free_port();
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/data/nameserver.py");
    let mut server = Command::new("python3")
        .args([server, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut String::new()).expect("it says so");
    let world = World::new("peers-dns", &[], fill)
        .saying(&format!("[network.resolver]\nnameservers = [\"127.0.0.1:{port}\"]"));
    let said = run(world.in_view(Path::new("/usr/bin/python3")).args(["-c", query]));
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    assert_eq!(said, expected);
    assert!(said.starts_with("[10, 7, 7, 7]\n"), "{said}");
}

/// Serves at port 80, is met from inside, and waits for somebody from outside.
const SERVER: &str = r#"
import socket, sys
server = socket.create_server(("127.0.0.11", 80))
client = socket.create_connection(("127.0.0.11", 80))
accepted, _ = server.accept()
print(client.getpeername(), server.getsockname(), flush=True)
server.settimeout(10)
if "outside" in sys.argv:
    accepted, _ = server.accept()
    accepted.sendall(b"hello")
"#;

#[test]
fn a_server_is_met_as_under_socket_wrapper_and_also_from_outside() {
    if !has("libsocket_wrapper.so") {
        return;
    }
    let port = free_port();
    let world = World::new("peers-sockets", &[], fill)
        .saying(&format!("[[network.bind]]\nfrom = \"127.0.0.11:80\"\nto = \"127.0.0.1:{port}\"\n"));
    let sockets = world.dir.join("sockets");
    std::fs::create_dir_all(&sockets).expect("the world is writable");
    let mut wrapped = Command::new("/usr/bin/python3");
    wrapped
        .env("LD_PRELOAD", format!("{LIBRARIES}/libsocket_wrapper.so"))
        .env("SOCKET_WRAPPER_DIR", &sockets);
    let expected = run(wrapped.args(["-c", SERVER]));
    assert_eq!(expected, "('127.0.0.11', 80) ('127.0.0.11', 80)\n--- standard error\n--- exit status: 0\n");
    let mut command = world.in_view(Path::new("/usr/bin/python3"));
    command.args(["-c", SERVER, "outside"]).current_dir("/").stdout(Stdio::piped());
    let mut child = command.spawn().expect("the launcher runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says so");
    assert_eq!(line, "('127.0.0.11', 80) ('127.0.0.11', 80)\n");
    let mut said = String::new();
    TcpStream::connect(("127.0.0.1", port))
        .expect("it is reached from outside")
        .read_to_string(&mut said)
        .expect("it answers");
    assert_eq!(said, "hello");
    assert!(child.wait().expect("it ends").success());
}

/// A proxy (SOCKS5, RFC 1928) that goes nowhere, and says where it was asked to go.
const PROXY: &str = r#"
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    client, _ = server.accept()
    client.recv(2 + client.recv(2, socket.MSG_PEEK)[1])
    client.sendall(b"\x05\x00")
    head = client.recv(4)
    name = client.recv(4) if head[3] == 1 else client.recv(client.recv(1)[0])
    port = int.from_bytes(client.recv(2), "big")
    client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += client.recv(4096)
    shown = name.decode() if head[3] == 3 else ".".join(map(str, name))
    body = f"by the proxy to {shown} {port}\n".encode()
    client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client.close()
"#;

#[test]
fn a_client_goes_by_the_old_proxy_whether_it_knows_of_proxies_or_not() {
    let port = free_port();
    let mut proxy = Command::new("/usr/bin/python3")
        .args(["-c", PROXY, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    BufReader::new(proxy.stdout.take().expect("a pipe")).read_line(&mut String::new()).expect("it says so");
    for door in ["shim", "gate"] {
        let world = World::new(&format!("peers-proxy-{door}"), &[], fill).saying(&format!(
            "coverage.door = \"{door}\"\n[network]\nhosts = {{ \"proxy.old.corp\" = [\"10.9.9.9\"] }}\n\
             [[network.connect]]\nfrom = \"proxy.old.corp:1080\"\nto = \"127.0.0.1:{port}\"\n\
             [[network.connect]]\nfrom = \"*\"\naction = \"deny\"\n"
        ));
        let aware = ["-sS", "--socks5-hostname", "proxy.old.corp:1080", "http://web.old.corp/"];
        let said = run(world.in_view(Path::new("/usr/bin/curl")).args(aware));
        assert!(said.starts_with("by the proxy to web.old.corp 80\n"), "{door}: {said}");
        if !has("libproxychains.so.4") {
            continue;
        }
        let conf = world.dir.join("proxychains.conf");
        write(&conf, "strict_chain\nquiet_mode\n[ProxyList]\nsocks5 10.9.9.9 1080\n");
        let mut command = world.in_view(Path::new("/usr/bin/proxychains4"));
        command.arg("-f").arg(&conf).args(["curl", "-sS", "http://10.1.2.77/"]);
        let said = run(&mut command);
        assert!(said.starts_with("by the proxy to 10.1.2.77 80\n"), "{door}: {said}");
    }
    proxy.kill().expect("it runs");
    proxy.wait().expect("it ends");
}
