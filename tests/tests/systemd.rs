//! The launcher becomes the program, so that systemd's protocols just work:
//! activated sockets, notification, pid files.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::{World, free_port, launcher, program, read_only, read_write, write};

fn world(name: &str) -> World {
    let fill = |dir: &Path| {
        write(dir.join("host/fixed/greeting"), "hello from the view\n");
        fs::create_dir_all(dir.join("host/data")).expect("a fresh tree");
    };
    World::new(name, &[read_only("ro", "fixed"), read_write("work", "data")], fill)
}

/// Tries until it works or ten seconds have passed.
fn within_reason<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next message. With a timeout set, recv(2) is not restarted by itself.
fn receive(socket: &UnixDatagram) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let mut buffer = [0; 256];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => return String::from_utf8_lossy(&buffer[..len]).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("no message: {error}"),
        }
    }
}

#[test]
fn a_socket_that_systemd_opened_reaches_the_program() {
    let world = world("activated");
    let port = free_port();
    let server = format!(
        r#"
import os, socket
listener = socket.socket(fileno=3)
connection, _ = listener.accept()
whole = os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
connection.sendall(open("{}/ro/greeting").read().encode() + str(whole).encode())
"#,
        world.dir.join("app").display()
    );
    let mut activate = Command::new("systemd-socket-activate");
    activate.arg("--listen").arg(format!("127.0.0.1:{port}")).arg(launcher()).arg("--policy");
    activate.arg(world.policy_file()).args(["/usr/bin/python3.11", "-c", &server]);
    let mut child = activate.stdin(Stdio::null()).spawn().expect("systemd-socket-activate is installed");
    let mut connection = within_reason("a listener", || TcpStream::connect(("127.0.0.1", port)).ok());
    let mut said = String::new();
    connection.read_to_string(&mut said).expect("the server answers");
    assert_eq!(said, "hello from the view\nTrue");
    assert!(child.wait().expect("the child can be waited for").success());
}

#[test]
fn a_program_says_that_it_is_ready_with_the_process_id_that_systemd_knows() {
    let world = world("notify");
    for (how, path) in
        [("path", world.dir.join("notify.sock")), ("in the view", world.dir.join("host/data/n.sock"))]
    {
        let socket = UnixDatagram::bind(&path).expect("the world is writable");
        let told = if how == "path" { path } else { world.dir.join("app/work/n.sock") };
        let script = "cat $APP/ro/greeting > /dev/null && exec python3 -c 'import os, socket\n\
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
            s.sendto(f\"READY=1\\nMAINPID={os.getpid()}\".encode(), os.environ[\"NOTIFY_SOCKET\"])'";
        let mut command = world.in_view(Path::new("/bin/sh"));
        command.args(["-c", script]).env("NOTIFY_SOCKET", told).env("APP", world.dir.join("app"));
        let mut child = command.stdin(Stdio::null()).spawn().expect("the launcher runs");
        let message = receive(&socket);
        assert_eq!(message, format!("READY=1\nMAINPID={}", child.id()), "{how}");
        assert!(child.wait().expect("the child can be waited for").success());
    }
}

#[test]
fn systemd_notify_itself_works_in_the_view() {
    let world = world("systemd-notify");
    let path = world.dir.join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the world is writable");
    let mut command = world.in_view(Path::new("systemd-notify"));
    command.args(["--no-block", "--ready", "--status=serving"]).env("NOTIFY_SOCKET", &path);
    let status = command.status().expect("the launcher runs");
    assert!(status.success());
    assert!(receive(&socket).contains("STATUS=serving"));
}

#[test]
fn a_forking_daemon_leaves_its_pid_where_systemd_reads_it() {
    let world = world("pid-file");
    let (app, host) = (world.dir.join("app"), world.dir.join("host/data/daemon.pid"));
    let mut command = world.in_view(&program("children"));
    command.arg("daemon").arg(app.join("work/out"));
    let script =
        format!("echo $$ > '{0}/work/daemon.pid'; cat '{0}/ro/greeting'; exec sleep 60", app.display());
    command.args(["sh", "-c", &script]);
    assert!(command.status().expect("the launcher runs").success());
    let pid: i32 = within_reason("a pid file", || fs::read_to_string(&host).ok()?.trim().parse().ok());
    let greeting =
        || fs::read_to_string(world.dir.join("host/data/out")).ok().filter(|text| !text.is_empty());
    assert_eq!(within_reason("the daemon's output", greeting), "hello from the view\n");
    let name = within_reason("the daemon", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).ok().filter(|name| name == "sleep\n")
    });
    assert_eq!(name, "sleep\n");
    // SAFETY: kill(2) takes numbers; the process is the one just looked at.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
}
