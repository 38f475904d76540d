//! Real programs under a clock of the policy's, and beside faketime and nss_wrapper, which do the like.
//! Their programs' output under their tool and under ours is the same, or ours is nearer to the kernel's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::{World, assert_same, compiled, feed, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];
const END: &str = "--- standard error\n--- exit status: 0\n";

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn world(name: &str, door: &str, policy: &str) -> World {
    World::new(&format!("clock-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n{policy}"))
}

const WHO: &str = r#"
[identity]
hostname = "erp01"
users = [{ name = "oracle", uid = 54321, home = "/home/oracle", shell = "/bin/bash" }]
[time]
zone = "America/Toronto"
at = "2015-06-30T12:00:00"
[[mount]]
at = "/etc/hosts"
content = "127.0.0.1 localhost\n127.0.1.1 erp01\n"
"#;

const JAVA: &str = r#"
public class Who {
    public static void main(String[] words) throws Exception {
        System.out.println(java.net.InetAddress.getLocalHost().getHostName() + " "
            + System.getProperty("user.name") + " " + System.getProperty("user.home") + " "
            + new java.text.SimpleDateFormat("yyyy-MM-dd z").format(new java.util.Date()));
    }
}"#;

#[test]
fn languages_agree_who_and_where_they_are_and_when() {
    if !tests::is_root() {
        return;
    }
    // The gate alone has Java's look at /etc/hosts.
    let world = world("languages", "gate", &format!("[app]\nuser = \"oracle\"\n{WHO}"));
    let (source, out) = (world.dir.join("Who.java"), world.dir.join("java"));
    write(&source, JAVA);
    let javac = Command::new("javac").arg("-d").arg(&out).arg(&source).status();
    assert!(javac.expect("javac is installed").success());
    let script = format!(
        r#"unset HOME USER LOGNAME
        echo "$(hostname) $(id -un) $(getent passwd oracle | cut -d: -f6) $(date '+%F %Z')"
        java -XX:TieredStopAtLevel=1 -cp {} Who
        node -e 'const os = require("os"), now = new Date()
          const zone = now.toLocaleTimeString("en-CA", {{ timeZoneName: "short" }}).split(" ").pop()
          console.log(os.hostname(), os.userInfo().username, os.userInfo().homedir, now.toISOString().slice(0, 10), zone)'
        perl -MSys::Hostname -MPOSIX=strftime -e 'print join(" ", hostname, (getpwuid($<))[0, 7], strftime("%F %Z", localtime)), "\n"'
        python3 -c 'import getpass, os, socket, time; print(socket.gethostname(), getpass.getuser(), os.path.expanduser("~"), time.strftime("%F %Z"))'"#,
        out.display()
    );
    let said = world.view_says("/bin/bash", &["-c", &script]);
    assert_same("the policy", &("erp01 oracle /home/oracle 2015-06-30 EDT\n".repeat(5) + END), "gate", &said);
}

#[test]
fn files_are_not_from_the_future() {
    let script = r#"set -e; cd "$APP"
        touch -d '2001-02-03 04:05:06.789' old; touch new; cp -p old kept; stat -c '%n %y' old kept; test new -nt old && echo newer
        printf 'x: y\n\tcp y x\n' > Makefile; echo 1 > y; make -s; make; touch -d '2014-01-01' x; make
        git init -q .; git add y; git -c user.email=a -c user.name=n commit -qm x; git status --short --untracked-files=no; git log --format=%ad --date=short
        tar cf t.tar old; mkdir out; tar xf t.tar -C out; stat -c %y out/old; find . -newermt '2015-07-02' | wc -l
        python3 -c 'import os, time; f = open("p", "w"); n = f.fileno(); print(time.time() - os.fstat(n).st_mtime < 5)
os.utime(n, (5, 7)); print(os.stat("p").st_mtime, os.fstat(n).st_mtime); os.utime("p"); print(abs(time.time() - os.lstat("p").st_mtime) < 5)'
        perl -e 'utime 11, 12, "p"; print((stat "p")[9], "\n"); print((stat "y")[9] > time - 60 ? "now\n" : "then\n")'"#;
    let expected = "old 2001-02-03 04:05:06.789000000 +0000\nkept 2001-02-03 04:05:06.789000000 +0000\nnewer\n\
        make: 'x' is up to date.\ncp y x\n2015-06-30\n2001-02-03 04:05:06.000000000 +0000\n0\nTrue\n7.0 7.0\nTrue\n12\nnow\n";
    for door in DOORS {
        let world =
            world("files", door, "[time]\nzone = \"UTC\"\nat = \"2015-06-30T12:00:00\"\nfiles = true\n");
        let said = world.view_says("/bin/bash", &["-c", script]);
        assert_same("the policy", &format!("{expected}{END}"), door, &said);
        // On the host a file has the host's time.
        let written = std::fs::metadata(world.dir.join("app/new")).and_then(|about| about.modified());
        assert!(written.expect("it is there").elapsed().is_ok_and(|age| age < Duration::from_secs(120)));
    }
}

/// Whether a program is there to be measured against.
fn has(peer: &str) -> bool {
    let there = Path::new(peer).exists();
    if !there {
        eprintln!("{peer} is not installed: `cargo xtask packages`");
    }
    there
}

#[test]
fn faketime_is_told_the_same_and_reaches_less() {
    if !has("/usr/bin/faketime") {
        return;
    }
    let script = "date +%F; before=$(date +%s%N); sleep 0.3; took=$(( ($(date +%s%N) - before) / 1000000 ))
        test $took -ge 300 -a $took -lt 2000 && echo slept
        python3 -c 'import time; before = time.monotonic(); time.sleep(0.2); print(time.strftime(\"%F\"), 0.19 < time.monotonic() - before < 1)'";
    let theirs =
        transcript(&feed(Command::new("faketime").args(["-f", "-400d", "/bin/sh", "-c", script]), b""));
    assert!(theirs.contains("slept\n") && theirs.contains("True\n"), "{theirs}");
    for door in DOORS {
        let world = world("faketime", door, "[time]\noffset = \"-400d\"\n");
        assert_same("faketime", &theirs, door, &world.view_says("/bin/sh", &["-c", script]));
    }
    // Static programs have the host's clock there.
    let probe = compiled("clock", &["-static"], "clock-static");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let expected = (now - 400 * 86_400).to_string();
    let theirs = transcript(&feed(
        Command::new("faketime").args(["-f", "-400d"]).arg(&probe).env("EXPECTED", &expected),
        b"",
    ));
    assert!(theirs.starts_with("as expected: 0\n"), "{theirs}");
    let world = world("faketime-static", "gate", "[time]\noffset = \"-400d\"\n");
    let ours = transcript(&feed(world.in_view(&probe).env("EXPECTED", &expected), b""));
    assert!(ours.starts_with("as expected: 1\n"), "{ours}");
}

/// Starts redis-server and gives what it answers to TIME; none where it is not there after a while.
fn redis_time(mut command: Command, port: u16, patience: Duration) -> Option<i64> {
    let port = port.to_string();
    command.args(["--port", &port, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let began = Instant::now();
    let mut told = None;
    while told.is_none() && began.elapsed() < patience {
        let output =
            Command::new("redis-cli").args(["-p", &port, "time"]).output().expect("redis-cli is installed");
        told = String::from_utf8_lossy(&output.stdout).lines().next().and_then(|line| line.parse().ok());
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.kill();
    let _ = server.wait();
    told
}

#[test]
fn redis_has_the_policys_clock_where_it_hangs_under_faketime() {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    for door in DOORS {
        let world = world("redis", door, "[time]\noffset = \"-400d\"\n");
        let server = world.in_view(Path::new("/usr/bin/redis-server"));
        let told = redis_time(server, tests::free_port(), Duration::from_secs(30)).expect("it answers");
        assert!((told - (now as i64 - 400 * 86_400)).abs() < 100, "{told}");
    }
    if has("/usr/bin/faketime") {
        let mut theirs = Command::new("faketime");
        theirs.args(["-f", "-400d", "redis-server"]);
        assert_eq!(redis_time(theirs, tests::free_port(), Duration::from_secs(2)), None, "it has learnt it");
    }
}

#[test]
fn nss_wrapper_is_told_the_same_users_and_reaches_less() {
    const WRAPPER: &str = "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so";
    if !has(WRAPPER) {
        return;
    }
    let users = "[identity]\nusers = [{ name = \"oracle\", uid = 54321, home = \"/home/oracle\", shell = \"/bin/bash\" }]\n";
    let script = "id oracle; getent passwd oracle 54321; getent group oracle; getent passwd scott || echo none
        python3 -c 'import pwd, grp; print(pwd.getpwnam(\"oracle\"), grp.getgrgid(54321).gr_name, len(pwd.getpwall()))'
        perl -e 'print join(\":\", (getpwuid(54321))[0, 2, 3, 7, 8]), \"\\n\"'";
    let shown = world("nss-files", "gate", users);
    let text = |file: &str| {
        let said = shown.view_says("/bin/cat", &[file]);
        said.strip_suffix(END).expect("it can be read").to_owned()
    };
    let (passwd, group) = (shown.dir.join("passwd"), shown.dir.join("group"));
    write(&passwd, &text("/etc/passwd"));
    write(&group, &text("/etc/group"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("LD_PRELOAD", WRAPPER).env("LC_ALL", "C.UTF-8");
    command.env("NSS_WRAPPER_PASSWD", &passwd).env("NSS_WRAPPER_GROUP", &group).current_dir("/");
    let theirs = transcript(&feed(&mut command, b""));
    assert!(theirs.contains("uid=54321(oracle)") && theirs.contains("none\n"), "{theirs}");
    for door in DOORS {
        let ours = world("nss", door, users).view_says("/bin/sh", &["-c", script]);
        assert_same("nss_wrapper", &theirs, door, &ours);
    }
    // A program that reads the file by itself.
    let words = ["-c", "grep -c oracle /etc/passwd"];
    let mut command = Command::new("/bin/sh");
    command
        .args(words)
        .env("LD_PRELOAD", WRAPPER)
        .env("NSS_WRAPPER_PASSWD", &passwd)
        .env("NSS_WRAPPER_GROUP", &group);
    assert!(transcript(&feed(&mut command, b"")).starts_with("0\n"));
    assert!(world("nss-read", "gate", users).view_says("/bin/sh", &words).starts_with("1\n"));
}
