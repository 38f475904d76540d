//! Servers and clients that people run, at the names, addresses and ports that they had. The
//! oracle is a machine that has them: a network namespace with the view's own files in their places.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tests::{World, assert_same, feed, is_root, transcript, write};

const FILES: &str = "hosts resolv.conf nsswitch.conf services host.conf passwd group protocols networks";

/// Servers at the old addresses, and clients that ask by the old names. What is
/// printed has no address in it that a machine could have otherwise.
const SESSION: &str = r#"
umask 022; cd "$APP"
listens() { for _ in $(seq 200); do (: < "/dev/tcp/$1/$2") 2>/dev/null && return; sleep 0.05; done; echo "nobody listens at $1:$2"; }
nginx -p "$APP" -c nginx.conf & servers=$!
redis-server --protected-mode no --bind cache.old.corp --port 6379 --save "" --dir "$APP" > /dev/null & servers="$servers $!"
memcached -l 10.1.2.5 -p 11211 -U 11211 & servers="$servers $!"
export PATH=$PATH:/usr/lib/postgresql/15/bin PGDATA=$APP/db
serve() { dnsmasq -k -C /dev/null -u "" --pid-file= --no-resolv --no-hosts --bind-interfaces "$@" 2> /dev/null & servers="$servers $!"; }
serve --listen-address=10.1.2.53 --address=/served.old.corp/10.1.2.9 --local=/#/ --ptr-record=7.7.7.10.in-addr.arpa,seven.old.corp
serve --listen-address=10.1.2.54 --server=10.1.2.53
mkdir -p -m 755 /run/sshd 2> /dev/null; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f id
/usr/sbin/sshd -D -e -f /dev/null -h "$APP/host" -o ListenAddress=10.1.2.7 -o AuthorizedKeysFile="$APP/id.pub" -o StrictModes=no -o UsePAM=no -o PidFile=none 2> ssh.log & servers="$servers $!"
initdb --auth=trust --no-sync --username=shop > /dev/null
echo 'host all all all trust' >> db/pg_hba.conf
postgres -h db.old.corp -k '' -c fsync=off -c logging_collector=off 2> "$APP/db.log" & servers="$servers $!"
trap 'kill $servers; wait' EXIT
for end in "web.old.corp 80" "10.1.2.5 6379" "10.1.2.5 11211" "db.old.corp 5432" "10.1.2.7 22" "10.1.2.54 53" "10.1.2.53 53"; do listens $end; done
echo "- curl";   curl -sS http://web.old.corp/page http://127.0.0.1/page http://10.1.2.9/page http://served.old.corp/page
echo "- proxy";  curl -sS -x http://web.old.corp:80 http://behind.old.corp/page; http_proxy=http://10.1.2.9:80 wget -qO- http://behind.old.corp/page
echo "- dig";    dig +short served.old.corp; dig +short +tcp served; dig +short @10.1.2.53 served.old.corp; dig +short -x 10.7.7.7; dig nobody.old.corp | grep -oE 'status: [A-Z]*|SERVER: [0-9.#]*'; host served.old.corp 10.1.2.54 | grep address
echo "- getent"; getent ahostsv4 served | head -1; getent hosts 10.7.7.7; getent services 9001/tcp; getent protocols tunnel; getent networks oldnet
ssh() { command ssh -i id -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR -l shop "$@" < /dev/null; }
echo "- ssh";    ssh ssh.old.corp 'echo $SSH_CONNECTION' | cut -d' ' -f3-; ssh 10.1.2.7 'id -un; curl -sS http://web.old.corp/page'
command ssh -i id -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR -l shop -W served.old.corp:80 10.1.2.7 <<< $'GET /page HTTP/1.0\r\nHost: tunnel\r\n\r' | tail -1
echo "- wget";   wget -qO- http://web.old.corp/page
echo "- gron";   [ "$DOOR" = shim ] || { gron -m http://web.old.corp/json; gron -m http://served.old.corp/json; }
echo "- php";    php -r 'echo file_get_contents("http://web.old.corp/page"), gethostbyname("db.old.corp"), " ", getservbyname("shop", "tcp"), " ", getprotobyname("tunnel"), " ", dns_get_record("served.old.corp", DNS_A)[0]["ip"], "\n";'
echo "- perl";   perl -MSocket -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "web.old.corp", PeerPort => 80) or die; print $s->peerhost, " ", $s->peerport, "\n"; print scalar gethostbyaddr(inet_aton("10.1.2.3"), AF_INET), "\n"'
echo "- redis";  redis-cli -h cache.old.corp set key value; redis-cli -h 10.1.2.5 get key; redis-cli -h cache.old.corp client list | grep -o ' laddr=[^ ]*'
echo "- psql";   psql -h db.old.corp -U shop postgres -Atc 'select inet_server_addr(), inet_server_port()'; psql -h 10.1.2.3 -p 5432 -U shop postgres -Atc 'select 1' ; psql -h 10.1.2.8 -U shop postgres -Atc 'select 2'
echo "- node";   node -e 'const http = require("http"), dns = require("dns"), net = require("net"); http.get("http://web.old.corp/page", r => r.on("data", d => process.stdout.write(d)).on("end", () => dns.lookup("cache.old.corp", (e, a) => { console.log(a); const s = net.connect(6379, "10.1.2.5", () => { console.log(s.remoteAddress, s.remotePort); s.end(); }); })))'
echo "- java";   java -Xint -XX:TieredStopAtLevel=1 Client.java
echo "- python"; /usr/bin/python3 client.py
"#;

const JAVA: &str = r#"
import java.net.*;
public class Client {
    public static void main(String[] words) throws Exception {
        System.out.println(InetAddress.getByName("db.old.corp") + " " + InetAddress.getByName("served") + " " + InetAddress.getByName("10.1.2.9").getHostName());
        Socket socket = new Socket("web.old.corp", 80);
        System.out.println(socket.getRemoteSocketAddress());
        socket.close();
        System.out.print(new String(new URL("http://web.old.corp/page").openStream().readAllBytes()));
        try { new Socket("10.1.2.77", 81); } catch (ConnectException error) { System.out.println(error.getMessage()); }
        ServerSocket server = new ServerSocket(9001, 5, InetAddress.getByName("10.1.2.9"));
        System.out.println(server.getLocalSocketAddress());
        Socket client = new Socket("10.1.2.9", 9001);
        System.out.println(server.accept().getLocalPort() + " " + client.getPort());
    }
}
"#;

const PYTHON: &str = r#"
import asyncio, requests, socket, struct, urllib.request
async def main():
    async def serve(reader, writer):
        writer.write(repr(writer.get_extra_info("sockname")).encode())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "10.1.2.9", 9001)
    print([one.getsockname() for one in server.sockets])
    reader, writer = await asyncio.open_connection("web.old.corp", "shop")
    print(writer.get_extra_info("peername"), (await reader.read()).decode())
    writer.close()
    server.close()
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport): self.transport = transport
        def datagram_received(self, data, source): self.transport.sendto(data, source)
    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data, source): answered.set_result((data, source))
    loop = asyncio.get_running_loop()
    answered = loop.create_future()
    await loop.create_datagram_endpoint(Echo, ("10.1.2.9", 9001))
    client, _ = await loop.create_datagram_endpoint(Client, ("0.0.0.0", 0))
    client.sendto(b"asked", ("10.1.2.9", 9001))
    print(await answered)
asyncio.run(main())
print(urllib.request.urlopen("http://web.old.corp/page").read(), requests.get("http://served.old.corp/page").text)
cache = socket.socket(type=socket.SOCK_DGRAM)
cache.settimeout(5)
cache.sendto(struct.pack(">HHHH", 7, 0, 1, 0) + b"set key 0 0 5\r\nvalue\r\n", ("cache.old.corp", 11211))
print(cache.recvfrom(100))
cache.connect(("10.1.2.5", 11211))
cache.send(struct.pack(">HHHH", 8, 0, 1, 0) + b"get key\r\n")
print(cache.recv(100), cache.getpeername())
for address in [("10.1.2.77", 81), ("127.0.0.1", 5432)]:
    try:
        socket.create_connection(address)
    except OSError as error:
        print(error)
"#;

const CONFIG: &str = "daemon off; pid pid; error_log stderr crit; worker_processes 1; events {}
http { access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
server { SERVER } }
";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
    let app = dir.join("app");
    let server = "listen 80; location /page { return 200 \"page of $host port $server_port\\n\"; }
        location /json { default_type application/json; return 200 '{\"port\": $server_port}'; }";
    write(app.join("nginx.conf"), &CONFIG.replace("SERVER", server));
    write(app.join("Client.java"), JAVA);
    write(app.join("client.py"), PYTHON);
}

/// A port that nobody has, nor is given by the kernel while servers start and clients connect.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (22_000 + std::process::id() % 400 * 25) as u16;
    std::iter::repeat_with(|| start + NEXT.fetch_add(1, Ordering::Relaxed))
        .take(1000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("ports are free")
}

fn world(door: &str) -> World {
    let ports: Vec<u16> = (0..8).map(|_| port()).collect();
    World::new(&format!("programs-network-{door}"), &[], fill).as_user(65534).saying(&format!(
        r#"coverage.door = "{}"
[network]
hosts = {{ "db.old.corp" = ["10.1.2.3"], "web.old.corp" = ["10.1.2.9"], "cache.old.corp" = ["10.1.2.5"], "ssh.old.corp" = ["10.1.2.7"] }}
services = {{ shop = "9001/tcp" }}
protocols = {{ tunnel = 253 }}
networks = {{ oldnet = "10.0.0.0" }}
resolver = {{ nameservers = ["10.1.2.54"], search = ["old.corp"], options = ["timeout:2"] }}
[identity]
users = [{{ name = "shop", uid = 65534, gid = 65534, home = "@", shell = "/bin/bash" }}]
groups = [{{ name = "shop", gid = 65534 }}]
[[network.bind]]
from = "0.0.0.0:80"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.5:6379"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.5:11211"
to = "127.0.0.1:{}"
[[network.bind]]
from = "db.old.corp:5432"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.9:9001"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.53:53"
to = "127.0.0.1:{}"
[[network.bind]]
from = "10.1.2.54:53"
to = "127.0.0.1:{}"
[[network.bind]]
from = "ssh.old.corp:22"
to = "127.0.0.1:{}"
[[network.connect]]
from = "10.1.2.9:80"
to = "127.0.0.1:{}"
[[network.connect]]
from = "10.1.2.8:5432"
to = "127.0.0.1:{}"
[[network.connect]]
from = "10.1.2.77:81"
action = "refuse"
"#,
        if door == "native" { "gate" } else { door },
        ports[0],
        ports[1],
        ports[2],
        ports[3],
        ports[4],
        ports[5],
        ports[6],
        ports[7],
        ports[0],
        ports[3],
    ))
}

/// What the session prints where the machine itself has the names, addresses and ports.
fn natively() -> String {
    let world = world("native");
    let files = world.dir.join("files");
    std::fs::create_dir_all(&files).expect("the world is writable");
    let script = format!("for f in {FILES}; do cat /etc/$f > {}/$f; done", files.display());
    let mut command = world.in_view(Path::new("/bin/sh"));
    std::os::unix::fs::chown(&files, Some(65534), Some(65534)).expect("root may");
    let said = transcript(&feed(command.args(["-c", &script]).current_dir("/"), b""));
    assert!(said.ends_with("exit status: 0\n"), "{said}");
    let script = format!(
        "set -e; mount --make-rprivate /; ip link set lo up; cd {}; for f in {FILES}; do [ ! -e $f ] || mount --bind $f /etc/$f; done
        for a in 3 5 7 8 9 53 54 77; do ip address add 10.1.2.$a/32 dev lo; done; echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
        exec setpriv --reuid 65534 --regid 65534 --clear-groups -- bash -c \"$1\"",
        files.display()
    );
    // One that listens at its other address, as the policy leads it there.
    let session = SESSION.replace("-h db.old.corp -k", "-h db.old.corp,10.1.2.8 -k");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--", "bash", "-c", &script, "bash", &session]).env_remove("DOOR");
    run(&world, command)
}

fn run(world: &World, mut command: Command) -> String {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    command
        .env("APP", world.dir.join("app"))
        .env("HOME", world.dir.join("app"))
        .env("PATH", path)
        .current_dir("/");
    transcript(&feed(&mut command, b""))
}

#[test]
fn servers_and_clients_meet_where_they_always_did() {
    if !is_root() {
        eprintln!("not root, so there is no machine with the addresses");
        return;
    }
    std::thread::scope(|scope| {
        let native = scope.spawn(natively);
        let doors = ["shim", "gate"].map(|door| {
            let run = move || {
                let world = world(door);
                let mut command = world.in_view(&PathBuf::from("/bin/bash"));
                command.args(["-c", SESSION]).env("DOOR", door);
                run(&world, command)
            };
            (door, scope.spawn(run))
        });
        let expected = native.join().expect("the oracle runs");
        assert!(expected.ends_with("exit status: 0\n"), "{expected}");
        for (door, said) in doors {
            // The shim has no part in a program of Go.
            let of_door = |line: &&str| door == "gate" || !line.starts_with("json");
            let expected: String = expected.lines().filter(of_door).flat_map(|line| [line, "\n"]).collect();
            let said = said.join().expect("the view runs");
            assert_same("a machine that has the addresses", &expected, door, &said);
        }
    });
}

/// What wrk says of requests that fail, after one that does not; and that each server is its own.
const LOADED: &str = r#"
cd "$APP"; nginx -p "$APP" -c nginx.conf & server=$!
for _ in $(seq 200); do (: < /dev/tcp/127.0.0.1/80) 2>/dev/null && break; sleep 0.05; done
curl -sS http://127.0.0.1/; wrk -t1 -c8 -d1s http://127.0.0.1/ > out; grep -E 'Non-2xx|Socket errors' out; grep -c Requests/sec out
kill $server; wait $server
"#;

#[test]
fn two_nginx_on_port_80_serve_each_its_own_under_load() {
    std::thread::scope(|scope| {
        for (name, door) in [("first", "shim"), ("second", "gate")] {
            scope.spawn(move || {
                let world = World::new(&format!("programs-loaded-{name}"), &[], |dir| write(dir.join("home/.keep"), ""))
                    .as_user(65534)
                    .saying(&format!(
                        "coverage.door = \"{door}\"\n[[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:{}\"\n",
                        port()
                    ));
                let config = CONFIG.replace("SERVER", &format!("listen 80; return 200 \"{name}\\n\";"));
                write(world.dir.join("app/nginx.conf"), &config);
                let mut command = world.in_view(Path::new("/bin/bash"));
                command.args(["-c", LOADED]);
                assert_eq!(run(&world, command), format!("{name}\n1\n--- standard error\n--- exit status: 0\n"), "{door}");
            });
        }
    });
}
