//! Owners that the kernel knows nothing of: kept with the file, over restarts, and
//! seen by real programs as root's own would be.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tests::{World, assert_same, feed, free_port, is_root, transcript, write};

const DOORS: [&str; 2] = ["shim", "gate"];
/// An ordinary user of the host.
const USER: u32 = 65534;

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
    write(dir.join("app/before"), "from before\n");
}

fn world(name: &str, door: &str, run_as: &str) -> World {
    let world = World::new(&format!("owners-{name}-{door}"), &[], fill).as_user(USER);
    world.saying(&head(door, run_as))
}

/// The head of a policy.
fn head(door: &str, run_as: &str) -> String {
    format!("coverage.door = \"{door}\"\n[identity]\nrun_as = \"{run_as}\"\n")
}

fn says(command: &mut Command, dir: &Path) -> String {
    transcript(&feed(command.current_dir(dir).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), b""))
}

fn script(world: &World, text: &str) -> String {
    says(world.in_view(Path::new("/bin/bash")).args(["-c", text]), &world.dir.join("app"))
}

/// A script that prints nothing to standard error and succeeds.
fn good(world: &World, text: &str) -> String {
    let told = script(world, text);
    let end = "--- standard error\n--- exit status: 0\n";
    told.strip_suffix(end).unwrap_or_else(|| panic!("{text}: {told}")).to_owned()
}

const SHOW: &str = "stat -c '%n %F %u:%g %a %t,%T' *";

#[test]
fn owners_are_the_same_after_a_restart_and_for_the_other_door() {
    const MAKE: &str = "umask 022; touch file; chown 33:44 file; chmod 4750 file; mkdir dir; chown 5:6 dir; chmod 3770 dir; \
        ln -s file link; chown -h 7:8 link; mkfifo pipe; chown 9:10 pipe; mknod block b 8 1; mknod char c 1 3; chown 1:2 char";
    for door in DOORS {
        let mut world = world("restart", door, "root");
        let first = good(&world, &format!("{MAKE}; {SHOW}"));
        let expected = "before regular file 0:0 644 0,0\nblock block special file 0:0 644 8,1\nchar character special file 1:2 644 1,3\n\
            dir directory 5:6 3770 0,0\nfile regular empty file 33:44 4750 0,0\nlink symbolic link 7:8 777 0,0\npipe fifo 9:10 644 0,0\n";
        assert_same("as it was made", expected, door, &first);
        for other in DOORS {
            world = world.saying(&head(other, "root"));
            assert_same("as it was made", expected, other, &good(&world, SHOW));
        }
        let app = world.dir.join("app");
        let disk = fs::metadata(app.join("file")).expect("it is there");
        assert_eq!(
            (disk.uid(), disk.mode() & 0o7777),
            (USER, 0o750),
            "the disk has no bit that would run it as the host user"
        );
        let python = format!(
            "import os; print(os.getxattr('{}/file', 'user.containers.override_stat').decode())",
            app.display()
        );
        let told = says(Command::new("python3").args(["-c", &python]), &app);
        assert!(told.starts_with("33:44:04750:file\n"), "as fuse-overlayfs has it: {told}");
        // A name that is taken away takes its owner with it.
        let anew = good(
            &world,
            "rm link pipe file; ln -s x link; mkfifo pipe; touch file; mv dir moved; ln char hard; stat -c '%n %u:%g' link pipe file moved hard",
        );
        assert_same("made anew", "link 0:0\npipe 0:0\nfile 0:0\nmoved 5:6\nhard 1:2\n", door, &anew);
    }
}

/// What archives say of owners is told again to the byte.
/// Files of another user's, plain and in a union, while a timer's signal comes three thousand times a second.
const SIGNALS: &str = r#"
import os, shutil, signal, sys, time
for top in "plain", "union":
    os.makedirs(top + "/own/deep", exist_ok=True)
    for directory in top + "/own", top + "/own/deep":
        os.chown(directory, 103, 104); os.chmod(directory, 0o700)
os.setgid(104); os.setuid(103)
came = 0
def handler(*_):
    global came
    came += 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
def once(top):
    os.close(os.open("deep/new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    os.rename("deep/new", "deep/old")
    os.mkdir("deep/made"); os.rename("deep/made", "deep/moved")
    found = os.stat("deep/old"), os.stat("deep/moved")
    assert all((one.st_uid, one.st_gid) == (103, 104) for one in found), found
    assert sorted(os.listdir("deep")) == ["moved", "old"], os.listdir("deep")
    os.rmdir("deep/moved"); os.unlink("deep/old")
here = os.getcwd()
for top in "plain", "union":
    os.chdir(f"{here}/{top}/own")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        once(top)
signal.setitimer(signal.ITIMER_REAL, 0)
print("right" if came > 100 else f"{came} signals")
"#;

#[test]
fn signals_in_the_middle_of_calls_change_nothing_of_whose_a_file_is() {
    for door in DOORS {
        let world = world("signals", door, "root");
        let app = world.dir.join("app");
        fs::create_dir_all(app.join("layer")).expect("a fresh tree");
        std::os::unix::fs::chown(app.join("layer"), Some(USER), Some(USER)).expect("root may do so");
        let union = format!(
            "[[mount]]\nat = \"{0}/union\"\nlayers = [\"{0}/layer\"]\nwrite = \"ephemeral\"\n",
            app.display()
        );
        let world = world.saying(&(head(door, "root") + &union));
        write(app.join("signals.py"), SIGNALS);
        assert_eq!(good(&world, "python3 signals.py"), "right\n", "{door}");
    }
}

const ARCHIVES: &str = r#"
pack() { tar --numeric-owner --format=gnu --sort=name --mtime=@1 -cf $1.tar -C $1 .; }
umask 022; mkdir in; cd in; for id in 0 1 33 1000; do echo $id > f$id; chown $id:$((id+1)) f$id; done
mkdir d; chown 33:44 d; chmod 2775 d; echo x > d/x; ln -s f0 l; chown -h 5:6 l; mknod c c 1 3; mknod b b 8 1; mkfifo p; chown 9:9 p
chmod 4755 f1; ln f1 hard; chmod 0 f1000; cd ..; pack in
mkdir tar; tar -xpf in.tar --numeric-owner -C tar; pack tar; cmp in.tar tar.tar && echo tar
rsync -aH --numeric-ids in/ rsync/; pack rsync; cmp in.tar rsync.tar && echo rsync
cp -a in cp; pack cp; cmp in.tar cp.tar && echo cp
(cd in; find . | cpio -o --quiet > ../in.cpio 2>/dev/null) && echo made; tar tvf in.tar | sort
"#;

#[test]
fn archives_keep_many_owners_to_the_byte_as_under_fakeroot() {
    let script_of = |own: &str| format!("{ARCHIVES}\n{own}");
    for door in DOORS {
        let world = world("archives", door, "root");
        let ours = good(&world, &script_of("rm -rf in tar rsync cp *.tar *.cpio"));
        assert!(ours.starts_with("tar\nrsync\ncp\n"), "{ours}");
        let fakeroot = world.dir.join("fake");
        fs::create_dir_all(&fakeroot).expect("the world is writable");
        let theirs = says(Command::new("fakeroot").args(["bash", "-c", &script_of("")]), &fakeroot);
        let listing = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.contains(" ./")).map(ToOwned::to_owned).collect()
        };
        // A directory's group goes over to what is made in it: fakeroot does not know.
        let but_group = |text: &str| -> Vec<String> {
            listing(text).into_iter().filter(|line| !line.ends_with("./d/x")).collect()
        };
        assert_eq!(but_group(&theirs), but_group(&ours), "fakeroot and {door}");
        if is_root() {
            let native = world.dir.join("native");
            fs::create_dir_all(&native).expect("the world is writable");
            let kernels = says(Command::new("bash").args(["-c", &script_of("")]), &native);
            assert_eq!(listing(&kernels), listing(&ours), "the kernel and {door}");
        }
    }
}

#[test]
fn nginx_has_a_master_of_root_and_workers_of_www_data() {
    for door in DOORS {
        let world = world("nginx", door, "root");
        let port = free_port();
        let text = format!(
            r#"mkdir www tmp; echo hello > www/index.html; echo secret > www/secret; chmod 600 www/secret
echo "user www-data; worker_processes 2; pid $PWD/pid; error_log $PWD/log; daemon off; events {{}}
http {{ access_log off; client_body_temp_path $PWD/tmp/b; proxy_temp_path $PWD/tmp/p; fastcgi_temp_path $PWD/tmp/f; uwsgi_temp_path $PWD/tmp/u; scgi_temp_path $PWD/tmp/s;
server {{ listen 127.0.0.1:{port}; root $PWD/www; }} }}" > conf
ask() {{ python3 -c 'import sys,urllib.request,urllib.error
try: print(urllib.request.urlopen("http://127.0.0.1:{port}/" + sys.argv[1]).read().decode().strip())
except urllib.error.HTTPError as error: print(error.code)' "$1"; }}
nginx -c $PWD/conf & for i in $(seq 100); do [ -s pid ] && (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done
ask; ask secret; chown www-data www/secret; ask secret
ps -o user=,args= --pid $! --ppid $! | sed 's/ \/.*//'; stat -c %U:%a tmp/b; kill $!; wait $!; echo $?"#
        );
        let told = script(&world, &text);
        let expected = "hello\n403\nsecret\nroot     nginx: master process nginx -c\nwww-data nginx: worker process\n\
            www-data nginx: worker process\nwww-data:700\n0\n--- standard error\n--- exit status: 0\n";
        assert_same("root's own", expected, door, &told);
    }
}

#[test]
fn apache_forks_children_that_have_dropped() {
    for door in DOORS {
        let world = world("apache", door, "root");
        let port = free_port();
        let text = format!(
            r#"mkdir www; echo hello > www/index.html; echo secret > www/secret; chmod 600 www/secret; modules=/usr/lib/apache2/modules
printf '%s\n' "ServerRoot $PWD" "ServerName x" "User www-data" "Group www-data" "PidFile $PWD/pid" "DefaultRuntimeDir $PWD" "Mutex file:$PWD" \
  "Listen 127.0.0.1:{port}" "ErrorLog $PWD/log" "LoadModule mpm_prefork_module $modules/mod_mpm_prefork.so" "StartServers 2" \
  "LoadModule authz_core_module $modules/mod_authz_core.so" "LoadModule dir_module $modules/mod_dir.so" "DocumentRoot $PWD/www" > conf
apache2 -f $PWD/conf; for i in $(seq 100); do [ -s pid ] && (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done
ask() {{ curl -s -o /dev/null -w '%{{http_code}}\n' http://127.0.0.1:{port}/$1; }}; ask; ask secret; chown www-data www/secret; ask secret
ps -o user= --pid $(cat pid); ps -o user= --ppid $(cat pid) | sort -u; kill $(cat pid); while [ -e pid ]; do sleep 0.05; done"#
        );
        let expected = "200\n403\n200\nroot\nwww-data\n--- standard error\n--- exit status: 0\n";
        assert_same("root's own", expected, door, &script(&world, &text));
    }
}

#[test]
fn redis_starts_that_hangs_under_uid_wrapper() {
    let ended = |command: &mut Command| command.output().expect("it runs").status.code();
    let words = ["3", "redis-server", "--version"];
    let mut theirs = Command::new("timeout");
    theirs
        .args(words)
        .env("LD_PRELOAD", "libuid_wrapper.so")
        .env("UID_WRAPPER", "1")
        .env("UID_WRAPPER_ROOT", "1");
    assert_eq!(ended(&mut theirs), Some(124), "uid_wrapper no longer hangs: compare what it says");
    for door in DOORS {
        let world = world("redis", door, "root");
        let mut ours = world.in_view(Path::new("/usr/bin/timeout"));
        assert_eq!(ended(ours.args(words).current_dir(world.dir.join("app"))), Some(0), "{door}");
    }
}

#[test]
fn postgresql_refuses_root_and_owns_its_data_as_postgres() {
    let bin = Path::new("/usr/lib/postgresql/15/bin");
    assert!(bin.exists(), "postgresql-15 is installed: `cargo xtask packages`");
    // Through the shim, its servers are the same; once is enough of two that take seconds.
    let root = world("postgres-root", "gate", "root");
    let told = script(&root, "/usr/lib/postgresql/15/bin/initdb -D $PWD/data");
    assert!(told.contains("cannot be run as root"), "{told}");
    let world = world("postgres", "gate", "postgres");
    let port = free_port();
    let text = format!(
        "PATH={}:$PATH; initdb -A trust -D $PWD/data --no-sync >/dev/null && stat -c '%U %a' data; \
         pg_ctl -D data -o '-p {port} -k {} -c listen_addresses=127.0.0.1 -F' -w -l log start | tail -1; \
         psql -h 127.0.0.1 -p {port} -Atc 'select current_user, 40 + 2'; pg_ctl -D data -m fast stop | tail -1; \
         chmod 755 data; postgres -D data 2>&1 | grep -o 'invalid permissions'; echo; \
         chmod 700 data; stat -c %a data",
        bin.display(),
        std::env::temp_dir().display()
    );
    let expected = "postgres 700\nserver started\npostgres|42\nserver stopped\ninvalid permissions\n\n700\n";
    assert_same("postgres' own", expected, "the view", &good(&world, &text));
}

#[test]
fn programs_that_ask_who_may_say_so() {
    for door in DOORS {
        let world = world("ask", door, "root");
        let text = "ssh-keygen -q -t ed25519 -N '' -f key; printf 'HostKey %s\\nUsePAM no\\nPidFile none\\n' $PWD/key > sshd; \
            /usr/sbin/sshd -t -f $PWD/sshd; echo sshd $?; chmod 644 key; /usr/sbin/sshd -t -f $PWD/sshd 2>&1 | grep -o 'UNPROTECTED PRIVATE KEY FILE'; \
            setpriv --reuid 33 --regid 33 --clear-groups su -c id </dev/null 2>&1 | tail -1; \
            runuser -u www-data -- sh -c 'id; touch his 2>&1; cat key2 2>&1'; \
            setpriv --reuid 33 --regid 33 --init-groups sh -c 'id -G; cat /proc/self/status | grep -c CapEff:.0000000000000000'; \
            redis-server --version | cut -c1-12; perl -e '$) = \"33 33\"; $> = 33; open(F, \">x\") or print \"$!\\n\"; $> = 0; open(F, \">x\") and print \"may\\n\"'";
        let told = script(&world, text);
        let expected = "sshd 0\nUNPROTECTED PRIVATE KEY FILE\nPassword: su: Authentication failure\n\
            uid=33(www-data) gid=33(www-data) groups=33(www-data)\ntouch: cannot touch 'his': Permission denied\ncat: key2: No such file or directory\n\
            33\n1\nRedis server\nPermission denied\nmay\n--- standard error\n--- exit status: 0\n";
        assert_same("the rules", expected, door, &told);
    }
}
