//! Who the machine is: whichever way a program asks, it is told what the
//! policy says, and nobody else is.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::symbols::MUSL;
use tests::{World, assert_same, compiled, compiled_by, feed, is_root, program, transcript, which, write};

const DOORS: [&str; 2] = ["shim", "gate"];

/// A machine of RHEL 6.
const OLD: &str = r##"
[identity]
hostname = "erp01"
domainname = "corp.example"
machine_id = "0123456789abcdef0123456789abcdef"
host_id = 0x8a01020f
os_release = { ID = "rhel", VERSION_ID = "6.10", VERSION = "6.10 (Santiago)" }
kernel = { release = "2.6.32-754.el6.x86_64", version = "#1 SMP Tue Jun 19 21:26:04 UTC 2018" }
"##;

/// What a program is told of it, but for the boot id.
const OLD_SAYS: &str = r#"uname: Linux|erp01|2.6.32-754.el6.x86_64|#1 SMP Tue Jun 19 21:26:04 UTC 2018|x86_64|corp.example
syscall: Linux|erp01|2.6.32-754.el6.x86_64|#1 SMP Tue Jun 19 21:26:04 UTC 2018|x86_64|corp.example
gethostname: ok erp01
getdomainname: ok corp.example
gethostid: ffffffff8a01020f
/etc/hostname: 100644 erp01|
/etc/machine-id: 100444 0123456789abcdef0123456789abcdef|
/etc/hostid: 100644 0f02018a
/etc/os-release: 100644 ID="rhel"|VERSION="6.10 (Santiago)"|VERSION_ID="6.10"|
/usr/lib/os-release: 100644 ID="rhel"|VERSION="6.10 (Santiago)"|VERSION_ID="6.10"|
/etc/redhat-release: 100644 Red Hat Enterprise Linux Server release 6.10 (Santiago)|
/etc/system-release: 100644 Red Hat Enterprise Linux Server release 6.10 (Santiago)|
/etc/debian_version: errno 2
/etc/lsb-release: errno 2
/proc/version: 100444 Linux version 2.6.32-754.el6.x86_64 (root@localhost) (gcc) #1 SMP Tue Jun 19 21:26:04 UTC 2018|
/proc/sys/kernel/hostname: 100644 erp01|
/proc/sys/kernel/domainname: 100644 corp.example|
/proc/sys/kernel/osrelease: 100444 2.6.32-754.el6.x86_64|
/proc/sys/kernel/version: 100444 #1 SMP Tue Jun 19 21:26:04 UTC 2018|
/proc/sys/kernel/ostype: 100444 Linux|
"#;

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

fn machine(name: &str, door: &str, identity: &str) -> World {
    World::new(&format!("identity-{name}-{door}"), &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\n{identity}"))
}

/// What a program prints in a world, without the boot id, and the boot id.
fn asked(world: &World, probe: &Path) -> (String, String) {
    let said = transcript(&feed(world.in_view(probe).current_dir("/"), b""));
    let (said, rest) = said.split_once("/proc/sys/kernel/random/boot_id: 100444 ").expect("a boot id");
    (said.to_owned(), rest.split('|').next().unwrap_or("").to_owned())
}

/// The probe, and by which doors it is to be run.
fn probes() -> Vec<(PathBuf, &'static [&'static str])> {
    vec![(program("licence"), &DOORS), (compiled("licence", &["-static"], "licence-static"), &["gate"])]
}

#[test]
fn every_way_of_asking_for_the_machine_has_the_policys_answer() {
    let natively = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    for (probe, doors) in probes() {
        for door in doors {
            let (said, boot) = asked(&machine("host", door, OLD), &probe);
            assert_same("the policy", OLD_SAYS, door, &said);
            assert!(boot.len() == 36 && boot != natively.trim_end(), "{boot}");
        }
    }
}

#[test]
fn a_program_of_musl_is_told_the_same() {
    if !Path::new(MUSL).exists() {
        eprintln!("musl is not installed: `cargo xtask packages`");
        return;
    }
    // It has no host id.
    let expected = OLD_SAYS.replace("ffffffff8a01020f", "0");
    for (flags, name, doors) in
        [(&[][..], "licence-musl", &DOORS[..]), (&["-static"], "licence-musl-static", &["gate"])]
    {
        let probe = compiled_by("musl-gcc", "licence", flags, name);
        for door in doors {
            assert_same("the policy", &expected, door, &asked(&machine("musl", door, OLD), &probe).0);
        }
    }
}

#[test]
fn an_ordinary_user_is_told_the_same() {
    if !is_root() {
        return;
    }
    for door in DOORS {
        let world = machine("user", door, OLD).as_user(65534);
        assert_same("the policy", OLD_SAYS, door, &asked(&world, &program("licence")).0);
    }
}

#[test]
fn what_the_policy_does_not_say_is_the_hosts() {
    let natively = transcript(&feed(Command::new(program("licence")).current_dir("/"), b""));
    for door in DOORS {
        let world = machine("none", door, "[identity]\nhost_id = 7\n");
        let said = transcript(&feed(world.in_view(&program("licence")).current_dir("/"), b""));
        let kept = |text: &str| -> String {
            let lines = text.lines().filter(|line| !line.contains("hostid"));
            lines.map(|line| format!("{line}\n")).collect()
        };
        assert_same("natively", &kept(&natively), door, &kept(&said));
        assert!(said.contains("gethostid: 7\n") && said.contains("/etc/hostid: 100644 07000000\n"), "{said}");
    }
}

#[test]
fn instances_at_the_same_time_are_machines_of_their_own() {
    let outside = || transcript(&feed(Command::new(program("licence")).current_dir("/"), b""));
    let before = outside();
    for door in DOORS {
        let worlds = [("one", "erp01"), ("two", "erp02")]
            .map(|(name, host)| machine(name, door, &OLD.replace("erp01", host)));
        // Each waits until the other has begun.
        let ready = |world: &World| world.dir.join("ready");
        let script = |own: &World, other: &World| {
            let (own, other) = (ready(own), ready(other));
            format!(
                "uname -n; : > {}; i=0; while [ ! -e {} ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done; uname -n; hostname",
                own.display(),
                other.display()
            )
        };
        let [one, two] = &worlds;
        let said = std::thread::scope(|scope| {
            let run = |own, other| {
                let script = script(own, other);
                scope.spawn(move || own.view_says("/bin/sh", &["-c", &script]))
            };
            [run(one, two), run(two, one)].map(|running| running.join().expect("it does not panic"))
        });
        let expected =
            |host: &str| format!("{host}\n{host}\n{host}\n--- standard error\n--- exit status: 0\n");
        assert_eq!(said, ["erp01", "erp02"].map(expected));
    }
    assert_same("before", &before, "after", &outside());
}

/// Runs the probe on a machine of the kernel's that has such names, and in the view.
fn same_on_a_machine(what: &str) {
    if !is_root() {
        eprintln!("not root, so there is no machine to compare with");
        return;
    }
    let identity = "[identity]\nhostname = \"erp01\"\ndomainname = \"corp.example\"\n";
    for (probe, doors) in probes() {
        let script = "echo erp01 > /proc/sys/kernel/hostname; echo corp.example > /proc/sys/kernel/domainname; exec \"$@\"";
        let mut natively = Command::new("unshare");
        natively.args(["--uts", "--", "sh", "-c", script, "sh"]).arg(&probe).arg(what).current_dir("/");
        let expected = transcript(&feed(&mut natively, b""));
        assert!(expected.ends_with("exit status: 0\n"), "{expected}");
        for door in doors {
            let world = machine(&format!("{what}-{}", probe.ends_with("licence")), door, identity);
            let found = transcript(&feed(world.in_view(&probe).arg(what).current_dir("/"), b""));
            assert_same("the kernel", &expected, door, &found);
        }
    }
}

#[test]
fn little_room_and_bad_pointers_are_answered_as_by_the_kernel() {
    same_on_a_machine("edges");
}

#[test]
fn a_name_is_set_as_on_a_machine_of_its_own() {
    same_on_a_machine("set");
}

#[test]
fn a_name_that_is_set_is_seen_by_the_whole_instance_until_it_ends() {
    if !is_root() {
        return;
    }
    for door in DOORS {
        let world = machine("until", door, OLD);
        let script = "hostname new; (hostname; cat /proc/sys/kernel/hostname); uname -n; \
                      setpriv --reuid 65534 --clear-groups -- uname -n; cat /etc/hostname";
        let said = world.view_says("/bin/sh", &["-c", script]);
        assert_eq!(said, "new\nnew\nnew\nnew\nerp01\n--- standard error\n--- exit status: 0\n");
        let said = world.view_says("/bin/sh", &["-c", "uname -n; cat /proc/sys/kernel/hostname"]);
        assert_eq!(said, "erp01\nerp01\n--- standard error\n--- exit status: 0\n");
        // A second program of an instance that is in use finds what the first has set.
        let ready = world.dir.join("ready");
        let script = format!("hostname again; : > {}; exec sleep 60", ready.display());
        let mut first = world.in_view(Path::new("/bin/sh")).args(["-c", &script]).spawn().expect("it starts");
        while !ready.exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let said = world.view_says("/bin/uname", &["-n"]);
        first.kill().and_then(|()| first.wait()).expect("it can be ended");
        assert_eq!(said, "again\n--- standard error\n--- exit status: 0\n");
    }
}

#[test]
fn a_name_is_never_seen_half_set() {
    if !is_root() {
        return;
    }
    for door in DOORS {
        let world = machine("half", door, &OLD.replace("erp01", "one"));
        let probe = program("licence");
        let script = format!("p={}; $p many & $p swap & $p swap & $p many; wait", probe.display());
        let said = world.view_says("/bin/sh", &["-c", &script]);
        assert_eq!(said, "whole names\nwhole names\n--- standard error\n--- exit status: 0\n");
    }
}

#[test]
fn languages_agree_about_the_machine() {
    let script = r#"
        uname -a; hostname; hostid; echo "$HOSTNAME"; cat /proc/sys/kernel/hostname
        python3 -c 'import platform, socket; print(*platform.uname()[:5]); print(socket.gethostname(), platform.freedesktop_os_release()["VERSION_ID"])'
        perl -MPOSIX -MSys::Hostname -e 'print join(" ", POSIX::uname()), "\n", hostname(), "\n"'
        node -e 'const os = require("os"); console.log(os.hostname(), os.release(), os.version(), os.machine())'
        java -XX:TieredStopAtLevel=1 -XshowSettings:properties -version 2>&1 | sed -n 's/^ *os\.version = //p'
    "#;
    let expected = "Linux erp01 2.6.32-754.el6.x86_64 #1 SMP Tue Jun 19 21:26:04 UTC 2018 x86_64 GNU/Linux
erp01
8a01020f
erp01
erp01
Linux erp01 2.6.32-754.el6.x86_64 #1 SMP Tue Jun 19 21:26:04 UTC 2018 x86_64
erp01 6.10
Linux erp01 2.6.32-754.el6.x86_64 #1 SMP Tue Jun 19 21:26:04 UTC 2018 x86_64
erp01
erp01 2.6.32-754.el6.x86_64 #1 SMP Tue Jun 19 21:26:04 UTC 2018 x86_64
2.6.32-754.el6.x86_64
--- standard error
--- exit status: 0
";
    for door in DOORS {
        let said = machine("languages", door, OLD).view_says("/bin/bash", &["-c", script]);
        assert_same("the policy", expected, door, &said);
    }
}

#[test]
fn a_root_of_layers_has_the_machines_files_where_it_has_room() {
    let door = "gate";
    let fill = |dir: &Path| {
        for below in ["root/bin", "root/proc", "root/tmp"] {
            std::fs::create_dir_all(dir.join(below)).expect("a fresh tree");
        }
        std::fs::copy(which("busybox"), dir.join("root/bin/busybox")).expect("busybox is one file");
    };
    let root =
        "[root]\nlayers = [\"root\"]\nwrite = \"ephemeral\"\n[[mount]]\nat = \"/proc\"\nsource = \"/proc\"\n";
    let world = World::new("identity-root", &[], fill)
        .saying(&format!("coverage.door = \"{door}\"\napp.workdir = \"/\"\n{OLD}{root}"));
    let script = "busybox uname -nr; busybox cat /etc/hostname /etc/redhat-release /proc/sys/kernel/hostname; \
                  busybox ls /etc; busybox ls /; : > /tmp/new; busybox ls /tmp";
    let said = world.view_says("/bin/busybox", &["sh", "-c", &format!("PATH=/bin; {script}")]);
    let expected = "erp01 2.6.32-754.el6.x86_64\nerp01\nRed Hat Enterprise Linux Server release 6.10 (Santiago)\nerp01\n\
                    hostid\nhostname\nmachine-id\nos-release\nredhat-release\nsystem-release\n\
                    bin\netc\nproc\ntmp\nnew\n--- standard error\n--- exit status: 0\n";
    assert_same("the policy", expected, door, &said);
}
