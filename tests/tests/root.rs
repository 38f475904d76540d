//! A mount at `/`: a whole Debian 11, with its own ld.so, libc and programs, runs
//! on this host as it does under chroot(8).

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{assert_same, debian11, feed, free_port, is_root, launcher, transcript, write};

/// Who runs a session, and where it may write.
#[derive(Clone, Copy)]
struct Who {
    name: &'static str,
    uid: u32,
}

impl Who {
    fn dir(self) -> PathBuf {
        std::env::temp_dir().join(format!("launcher-test-root-{}", self.name))
    }

    /// A command with nothing of this process's environment.
    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/");
        command.envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C"), ("HOME", "/tmp")]);
        command
    }

    /// The session under chroot(8), with the host's own directories bound into it.
    fn chrooted(self, script: &str) -> Command {
        let mut command = self.command(Path::new("/usr/bin/unshare"));
        let bind = "for dir in proc dev sys; do mount --rbind /$dir $ROOT/$dir; done; \
                    exec chroot --userspec=$USER_ID:$USER_ID --groups= $ROOT /bin/sh -c \"$1\"";
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-ec", bind, "sh", script]);
        command.env("ROOT", debian11()).env("USER_ID", self.uid.to_string());
        command
    }

    /// The session in a view.
    fn in_view(self, script: &str) -> Command {
        let policy = self.dir().join("policy.toml");
        let mut text = format!(
            "[[mount]]\nat = \"/\"\nsource = \"{}\"\naccess = \"read-write\"\n",
            debian11().display()
        );
        for dir in ["/proc", "/dev", "/sys"] {
            text += &format!("[[mount]]\nat = \"{dir}\"\nsource = \"{dir}\"\naccess = \"read-write\"\n");
        }
        write(policy.clone(), &text);
        let mut command = self.command(Path::new("/usr/bin/setpriv"));
        let uid = self.uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]).arg(launcher());
        command.arg("--policy").arg(policy).args(["/bin/sh", "-c", script]);
        command.env("XDG_RUNTIME_DIR", self.dir().join("run"));
        command
    }

    /// Holds a session in the one against the same in the other. `@` in it is a
    /// directory of its own, and a port stands for `PORT`.
    fn same(self, script: &str) {
        if !is_root() {
            eprintln!("not root, so there is no chroot to compare with");
            return;
        }
        let root = debian11();
        let run = |in_view: bool| {
            let _ = std::fs::remove_dir_all(self.dir());
            std::fs::create_dir_all(self.dir().join("run")).expect("the temporary directory is writable");
            let own = root.join("tmp").join(self.name);
            let _ = std::fs::remove_dir_all(&own);
            std::fs::create_dir_all(&own).expect("the root is writable");
            for dir in [self.dir(), self.dir().join("run"), own] {
                std::os::unix::fs::chown(dir, Some(self.uid), Some(self.uid)).expect("root may do so");
            }
            let port = free_port().to_string();
            let script = format!(
                "exec 2>&1; umask 022; cd /; {}",
                script.replace('@', &format!("/tmp/{}", self.name))
            );
            let script = script.replace("PORT", &port);
            let mut command = if in_view { self.in_view(&script) } else { self.chrooted(&script) };
            // That it starts in `/` is said of the view alone.
            transcript(&feed(&mut command, b"")).replace(&port, "PORT").lines().fold(
                String::new(),
                |text, line| {
                    if line.starts_with("launcher: the working directory") {
                        text
                    } else {
                        text + line + "\n"
                    }
                },
            )
        };
        assert_same("chroot", &run(false), "the view", &run(true));
    }
}

/// Root, under a name of the test's own.
const fn root(name: &'static str) -> Who {
    Who { name, uid: 0 }
}

/// An ordinary user.
const fn user(name: &'static str) -> Who {
    Who { name, uid: 65534 }
}

const PROGRAMS: &str = r#"
    cat /etc/debian_version; pwd
    python2.7 -c 'import os, sys; print sys.version.split()[0], os.getcwd(), os.path.realpath("/proc/self/exe"), os.readlink("/proc/self/root")'
    perl -e 'print "$^V $0 $^X\n"'; perl -MCwd -e 'chdir "/usr/share/perl"; print getcwd, "\n"'
    perl -e 'open F, "/proc/self/maps"; print map { s,.*/,,r } grep /libc[-.]/ && !$seen{(split)[5]}++, <F>'
    perl -e 'for $f ("self/maps", "$$/maps", "$$/task/$$/smaps") { open F, "/proc/$f"; %s = map { $_ => 1 } map { m,\s(/.*), } <F>; print "$_\n" for sort keys %s }'
    /sbin/ldconfig -N -X; /sbin/ldconfig -p | grep 'libc.so' | sort
    ldd /usr/bin/perl | sed 's/ (0x.*//'; /lib64/ld-linux-x86-64.so.2 --version | head -1
    apt-cache policy perl | head -3; apt-cache show redis-server | grep -E '^(Package|Version)'; dpkg -S /bin/ls; dpkg -l | wc -l
    getent passwd www-data; id; ls -l /usr/bin/passwd /bin/su; stat -c '%n %F %a %U %G %h %s' /etc/shadow /bin /etc/passwd /
    find / -path /proc -prune -o -path /dev -prune -o -path /sys -prune -o -path /tmp -prune -o -printf '%p %y %m %s %l\n' 2>&1 | sort | md5sum
    tar -cf - /etc/alternatives /usr/share/perl5 2>/dev/null | md5sum
    python2.7 -c 'import subprocess; print subprocess.check_output(["sh", "-c", "echo $0 child", "/bin/true"])'
    env -i /bin/sh -c 'echo $PATH; pwd'; nice -n 1 sh -c 'echo nice'; /bin/nothing; python2.7 -c 'import os; os.execv("/etc/passwd", ["x"])' 2>&1 | tail -1
"#;

const PATHS: &str = r#"
    cd @; ln -s /etc/debian_version absolute; ln -s ../../../../../../etc/debian_version climbing; ln -s /../../etc up
    cat absolute climbing up/debian_version /../../etc/debian_version; readlink -f absolute up; ls -d up/../etc
    mkdir -p a/b/c; cd a/b/c; cd ../../..; pwd; cd -P a/../up; pwd; cd @/a; /bin/pwd; ls -d ../../../..//etc
    ln -s / a/root; ls a/root/ | tr '\n' ' '; cat a/root/etc/debian_version; cd a/root; /bin/pwd; cd ..; /bin/pwd; cd @
    echo text > file; ln file hard; mv hard a; stat -c '%h %s' file; rm -r a; rmdir up; rm up; ls -l | sed 's/.* //' | tr '\n' ' '
    for link in cwd root exe fd/1; do readlink /proc/self/$link | sed 's/pipe:.*/pipe/'; done; exec 5< /etc/debian_version; readlink /proc/self/fd/5; cat /proc/self/fd/5 /dev/fd/5
    (cd /proc/self; cat comm; readlink exe; cd cwd; pwd -P | sed 's/[0-9].*/N/'); ls /proc/self/root/ | head -3; cat /proc/self/root/etc/debian_version
    mktemp -u /tmp/XXX > /dev/null; echo done > /dev/full; ls -ld /dev/null /sys/kernel /proc/version | cut -c1-10; test -e /sys/kernel/mm && echo sys
    test -e @/../../no || echo nothing; cat /root/.none; > /etc/root-may; rm /etc/root-may; perl -e 'print -e "/srv/../etc/passwd" ? "yes\n" : "no\n"'
"#;

const SERVERS: &str = r#"
    listens() { perl -MIO::Socket::INET -e 'for (1..200) { exit if IO::Socket::INET->new("127.0.0.1:$ARGV[0]"); select undef, undef, undef, 0.05 } print "nobody listens\n"' $1; }
    gone() { for i in $(seq 200); do kill -0 $1 2> /dev/null || return; sleep 0.05; done; echo "$1 did not go"; kill -9 $1; }
    cd @; mkdir www logs; echo "from Debian 11" > www/index.html; nginx -v; openssl version 2> /dev/null
    cat > nginx.conf << END
pid @/nginx.pid; error_log @/logs/error; worker_processes 2; events {}
http { access_log off; client_body_temp_path @/b; proxy_temp_path @/p; fastcgi_temp_path @/f; uwsgi_temp_path @/u; scgi_temp_path @/s;
  server { listen 127.0.0.1:PORT; root @/www; } }
END
    nginx -c @/nginx.conf; listens PORT
    perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]"); print $s "GET / HTTP/1.0\r\n\r\n"; print grep !/^(Date|Last|ETag)/, <$s>' PORT
    kill -QUIT $(cat nginx.pid); gone $(cat nginx.pid 2> /dev/null || echo 999999); cat logs/error
    redis-server --port PORT --daemonize yes --dir @ --pidfile @/redis.pid --logfile @/logs/redis > /dev/null; listens PORT
    redis-cli -p PORT set name value; redis-cli -p PORT get name; redis-cli -p PORT config get dir; redis-cli -p PORT save; pid=$(cat redis.pid)
    redis-cli -p PORT shutdown; gone $pid; ls dump.rdb; grep -c 'Redis version=6' logs/redis
"#;

#[test]
fn programs_of_another_debian_run_in_their_own_root() {
    root("programs").same(PROGRAMS);
}

#[test]
fn so_they_do_for_an_ordinary_user() {
    user("programs-user").same(PROGRAMS);
}

#[test]
fn no_path_leaves_the_root() {
    root("paths").same(PATHS);
    user("paths-user").same(PATHS);
}

#[test]
fn its_servers_serve() {
    root("servers").same(SERVERS);
    user("servers-user").same(SERVERS);
}
