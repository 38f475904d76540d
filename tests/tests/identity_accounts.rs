//! Accounts: the tools that make and change users, and those that become one, in a view whose root an ordinary user
//! plays and whose /etc can be written to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::{World, assert_same, write};

/// An ordinary user of the host.
const USER: u32 = 65534;

/// What accounts need of a system's /etc, with no password that anybody has.
fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
    let etc = dir.join("host/etc");
    fs::create_dir_all(&etc).expect("the world is writable");
    for name in ["passwd", "group", "login.defs", "nsswitch.conf", "shells"] {
        let _ = fs::copy(Path::new("/etc").join(name), etc.join(name));
    }
    for directory in ["pam.d", "security", "default"] {
        fs::create_dir_all(etc.join(directory)).expect("the world is writable");
        for file in fs::read_dir(Path::new("/etc").join(directory)).into_iter().flatten().flatten() {
            let _ = fs::copy(file.path(), etc.join(directory).join(file.file_name()));
        }
    }
    for (from, to, rest) in [("passwd", "shadow", ":*:19000:0:99999:7:::"), ("group", "gshadow", ":*::")] {
        let text = fs::read_to_string(etc.join(from)).expect("it has been copied");
        let names = text.lines().filter_map(|line| line.split(':').next());
        write(etc.join(to), &names.map(|name| format!("{name}{rest}\n")).collect::<String>());
        fs::set_permissions(etc.join(to), fs::Permissions::from_mode(0o640)).expect("it is ours");
    }
}

const SCRIPT: &str = r#"
groupadd -g 4321 dba && useradd -M -u 4322 -g dba -d /tmp oracle && getent passwd oracle; id oracle
echo "oracle:secret" | chpasswd && grep -c '^oracle:\$' /etc/shadow; stat -c '%U:%G %a' /etc/shadow
su -s /bin/sh oracle -c id; runuser -u oracle -- id -un; runuser -u oracle -- su -c id root < /dev/null > /dev/null 2>&1; echo $?
usermod -aG daemon oracle; echo id | su -s /bin/sh oracle -c "newgrp daemon"; setpriv --reuid oracle --regid dba --clear-groups id -G
cp /bin/cat able; setcap cap_chown,cap_net_bind_service=ep able; getcap able; su -s /bin/sh oracle -c "./able /proc/self/status" | grep '^Cap[PE]'
su -s /bin/sh oracle -c "setcap cap_chown=ep able" > /dev/null 2>&1; echo $?; chown root able; getcap able; setcap -r able 2>&1 | wc -l
echo 'root ALL=(ALL) ALL' > /etc/sudoers; echo 'oracle ALL=(root) NOPASSWD: /usr/bin/id' >> /etc/sudoers; chmod 440 /etc/sudoers
sudo -l 2> /dev/null | tail -n 1; su -s /bin/sh oracle -c "sudo -n id -u; sudo -n ls" 2> /dev/null; echo $?
passwd -l daemon > /dev/null; echo $?; userdel oracle; echo $?; getent passwd oracle; echo $?; su oracle -c id 2>&1 | grep -c exist
"#;

#[test]
fn accounts_are_made_changed_and_taken_on_as_by_root() {
    let expected = "oracle:x:4322:4321::/tmp:/bin/sh\nuid=4322(oracle) gid=4321(dba) groups=4321(dba)\n1\nroot:root 640\n\
        uid=4322(oracle) gid=4321(dba) groups=4321(dba)\noracle\n1\n\
        uid=4322(oracle) gid=1(daemon) groups=1(daemon),4321(dba)\n4321\n\
        able cap_chown,cap_net_bind_service=ep\nCapPrm:\t0000000000000401\nCapEff:\t0000000000000401\n1\n1\n\
        \x20   (ALL) ALL\n0\n1\n0\n0\n2\n1\n--- standard error\n--- exit status: 0\n";
    for door in ["shim", "gate"] {
        let world = World::new(&format!("accounts-{door}"), &[], fill).as_user(USER).saying(&format!(
            "coverage.door = \"{door}\"\n[identity]\nrun_as = \"root\"\n\
             [[mount]]\nat = \"/etc\"\nlayers = [\"./host/etc\"]\nwrite = \"ephemeral\"\n"
        ));
        let mut command = world.in_view(Path::new("/bin/bash"));
        command
            .args(["-c", SCRIPT])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(world.dir.join("app"));
        assert_same("root", expected, door, &tests::transcript(&tests::feed(&mut command, b"")));
    }
}
