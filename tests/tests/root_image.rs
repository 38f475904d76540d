//! An image at `/`: what runs on it, held against `umoci unpack` and chroot(8).

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use tests::images::{Place, must};
use tests::{assert_same, debian11, feed, free_port, is_root, launcher, transcript};

/// The launcher with a policy, in a place's own directories. Nothing of this
/// process's environment comes along.
fn start(place: &Place, policy: &str, words: &[&str]) -> Command {
    let file = place.dir.join("shop.toml");
    fs::write(&file, policy).expect("the place is writable");
    let mut command = Command::new(launcher());
    command.env_clear().env("STATE_DIRECTORY", place.dir.join("state"));
    command.env("XDG_RUNTIME_DIR", place.dir.join("run")).env("HOME", "/of/the/host");
    command.arg("--policy").arg(file).args(words).current_dir("/");
    if let Some(user) = place.user {
        command.uid(user).gid(user);
    }
    command
}

fn output(place: &Place, policy: &str, words: &[&str]) -> Output {
    start(place, policy, words).output().expect("the launcher runs")
}

fn said(place: &Place, policy: &str, words: &[&str]) -> String {
    let output = output(place, policy, words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(place: &Place, policy: &str, words: &[&str]) -> String {
    let output = output(place, policy, words);
    assert_eq!(output.status.code(), Some(125), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const IMAGE: &str = "[root]\nimage = \"shop\"\n";

/// What the program of the image tells of itself.
const SCRIPT: &str = "id -u; id -g; id -G; pwd; env | sort | grep -v '^_=\\|^PWD\\|^SHLVL\\|^OLDPWD'; ls -a / /etc /srv | grep -v '^dev$\\|^proc$\\|^sys$'; \
     cat /etc/greeting /srv/high; stat -c '%n %a %u %g' /bin/busybox /etc/greeting /srv /tmp; \
     test -w /etc/greeting || echo not allowed; readlink /bin/sh; test -e /etc/gone || echo gone";

/// An image of a busybox in two layers, with a configuration, unpacked beside.
fn shop(place: &Place) {
    let script = r#"
        umoci init --layout oci && umoci new --image oci:v1 && umoci unpack --image oci:v1 bundle
        cd bundle/rootfs && mkdir -p bin etc srv tmp && cp /bin/busybox bin/busybox
        for name in sh id env sort ls cat stat readlink grep test sleep mkdir rmdir mv ln chmod chown rm cut; do ln -s busybox bin/$name; done
        echo hello > etc/greeting && echo old > etc/gone && chmod 1777 tmp
        echo 'root:x:0:0::/root:/bin/sh
shop:x:1234:50::/srv:/bin/sh' > etc/passwd
        echo 'root:x:0:
staff:x:50:
logs:x:60:shop' > etc/group
        cd ../.. && umoci repack --image oci:v1 bundle && rm -r bundle && umoci unpack --image oci:v1 bundle
        cd bundle/rootfs && echo high > srv/high && rm etc/gone && chown 1234:50 srv && mkdir -p home/data/deep
        echo own | tee home/own > home/data/own; echo deep > home/data/deep/own; echo high > home/high
        chown -R 1234:50 home && chown 0:0 home/high && chmod 750 home/data && chmod 700 home/data/deep
        cd ../.. && umoci repack --image oci:v1 bundle && rm -r bundle && umoci unpack --image oci:v1 bundle
        umoci config --image oci:v1 --config.env A=b --config.env PATH=/bin --config.workingdir /srv \
            --config.entrypoint /bin/sh --config.entrypoint -c --config.cmd "$1" --config.user shop
        mkdir -p bundle/rootfs/proc bundle/rootfs/dev bundle/rootfs/sys
    "#;
    must("sh", &["-ec", script, "sh", SCRIPT], &place.dir);
    place.good(&["import", "oci:oci:v1", "--name", "shop"]);
}

/// The same under chroot(8), by these ids and with these variables.
fn chrooted(place: &Place, ids: &str, groups: &str, variables: &[&str], script: &str) -> String {
    let root = place.dir.join("bundle/rootfs");
    let mut command = Command::new("chroot");
    command.args([&format!("--userspec={ids}"), &format!("--groups={groups}")]).arg(root);
    command.args(["/bin/env", "-i"]).args(variables).args(["/bin/sh", "-c", &format!("cd /srv; {script}")]);
    transcript(&feed(&mut command, b""))
}

fn in_view(place: &Place, policy: &str, words: &[&str]) -> String {
    transcript(&feed(&mut start(place, policy, words), b""))
}

#[test]
fn an_image_starts_as_its_configuration_says() {
    assert!(is_root(), "chroot is run: run the tests as root");
    let place = Place::new("configuration");
    shop(&place);
    let ours =
        in_view(&place, &format!("{IMAGE}[env]\nunset = [\"STATE_DIRECTORY\", \"XDG_RUNTIME_DIR\"]\n"), &[]);
    let theirs = chrooted(&place, "1234:50", "50,60", &["A=b", "PATH=/bin", "HOME=/srv"], SCRIPT);
    assert_same("chroot", &theirs, "the view", &ours);
    // What changes the tree, as root.
    let changes = "echo more >> etc/greeting; mkdir -p var/log/shop; echo x > var/log/shop/a; mv srv/high tmp/low; \
                   ln tmp/low srv/hard; ln -s /etc etc/loop; chmod 700 tmp; chown 7:8 etc/passwd; rm -r etc/group; \
                   mkdir etc/group; cat etc/greeting srv/hard etc/loop/greeting; ls -lR . | grep -v total | cut -d' ' -f1 | sort";
    let changes = changes.replace(" .", " bin etc srv tmp var");
    let script = format!(
        "cd /; umask 022; {changes}; stat -c '%n %a %u %g %s' tmp srv/hard etc/passwd etc/group etc/loop var/log/shop"
    );
    let policy = format!("[app]\nuser = \"\"\n{IMAGE}");
    let ours = in_view(&place, &policy, &["/bin/sh", "-c", &script]);
    let theirs = chrooted(&place, "0:0", "", &["PATH=/bin"], &script);
    assert_same("chroot", &theirs, "the view", &ours);
}

#[test]
fn the_policy_goes_before_the_configuration() {
    assert!(is_root(), "users are changed: run the tests as root");
    let place = Place::new("over");
    shop(&place);
    let policy =
        |app: &str| format!("[app]\nname = \"over\"\n{app}{IMAGE}[env]\nset = {{ A = \"of the policy\" }}\n");
    let who = "id -u; id -g; id -G; pwd; echo $A $PATH $HOME";
    for (app, answer) in [
        ("workdir = \"/etc\"\nuser = \"\"\n", "0\n0\n0\n/etc\nof the policy /bin /root\n"),
        ("user = \"shop:logs\"\n", "1234\n60\n60\n/srv\nof the policy /bin /srv\n"),
        ("user = \"77\"\n", "77\n0\n0\n/srv\nof the policy /bin /\n"),
    ] {
        assert_eq!(said(&place, &policy(app), &["/bin/sh", "-c", who]), answer, "{app}");
    }
    let said = refused(&place, &policy("user = \"nobody\"\n"), &["/bin/sh"]);
    assert!(said.contains("no user `nobody`"), "{said}");
    let said = refused(&place, &policy("user = \"a:b:c\"\n"), &["/bin/sh"]);
    assert!(said.contains("`user` cannot be"), "{said}");
    // Its programs have a loader of their own, or none, which the shim does not see.
    let said = refused(&place, &format!("coverage.door = \"shim\"\n{}", policy("")), &["/bin/sh"]);
    assert!(said.contains("an ld.so of its own") && said.contains("the shim"), "{said}");
}

#[test]
fn instances_of_one_image_have_their_own_changes_and_leave_it_alone() {
    let place = Place::new("apart");
    shop(&place);
    let before: Vec<String> = place.trees("shop").iter().map(|tree| tests::images::listing(tree)).collect();
    let policy = |name: &str| format!("[app]\nname = \"{name}\"\nuser = \"\"\n{IMAGE}");
    let sh = |name: &str, script: &str| said(&place, &policy(name), &["/bin/sh", "-c", script]);
    sh("one", "echo one > /etc/greeting; echo x > /srv/new");
    sh("two", "echo two > /etc/greeting");
    assert_eq!(sh("one", "cat /etc/greeting; ls /srv"), "one\nhigh\nnew\n");
    assert_eq!(sh("two", "cat /etc/greeting; ls /srv"), "two\nhigh\n");
    assert_eq!(sh("three", "cat /etc/greeting"), "hello\n");
    let after: Vec<String> = place.trees("shop").iter().map(|tree| tests::images::listing(tree)).collect();
    assert_eq!(before, after);
    // Changes that were made on another image are not put on this one.
    must(
        "sh",
        &[
            "-ec",
            "umoci config --image oci:v1 --config.user ''; echo y > new; umoci insert --image oci:v1 new /new",
        ],
        &place.dir,
    );
    place.good(&["import", "oci:oci:v1", "--name", "shop", "--replace"]);
    let said = refused(&place, &policy("one"), &["/bin/sh"]);
    assert!(said.contains("were made on") && said.contains("another `name`"), "{said}");
    assert_eq!(sh("four", "cat /new"), "y\n");
}

#[test]
fn an_image_that_a_process_runs_on_stays() {
    let place = Place::new("stays");
    shop(&place);
    let policy = format!("[app]\nuser = \"\"\n{IMAGE}");
    // One that runs on an image which begins with this one's layers is not on this one.
    let longer = "echo y > new; umoci insert --image oci:v1 --tag v2 new /new";
    must("sh", &["-ec", longer], &place.dir);
    place.good(&["import", "oci:oci:v2", "--name", "longer"]);
    let on_longer = policy.replace("user", "name = \"longer\"\nuser").replace("\"shop\"", "\"longer\"");
    let mut other =
        start(&place, &on_longer, &["/bin/sh", "-c", "echo x > /srv/x; echo ready; exec sleep 60"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().expect("the launcher runs");
    std::io::Read::read_exact(other.stdout.as_mut().expect("it is piped"), &mut [0; 6]).expect("it says so");
    for words in [
        &["import", "oci:oci:v1", "--name", "shop", "--replace"][..],
        &["rm", "shop"],
        &["import", "oci:oci:v1", "--name", "shop"],
    ] {
        place.good(words);
    }
    other.kill().and_then(|()| other.wait()).expect("it is ours");
    let mut child = start(&place, &policy, &["/bin/sh", "-c", "echo ready; exec sleep 60"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().expect("the launcher runs");
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("it is piped"), &mut ready).expect("it says so");
    for words in [&["rm", "shop"][..], &["import", "oci:oci:v1", "--name", "shop", "--replace"]] {
        let output = place.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(&format!("in use by process {}", child.id())),
            "{said}"
        );
    }
    child.kill().and_then(|()| child.wait()).expect("it is ours");
    // What has changes on it stays in need of it.
    let output = place.run(&["rm", "shop"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in use by the instance `shop`"), "{said}");
    let mut remove = Command::new(launcher());
    let removed = remove.args(["rm", "shop"]).env("STATE_DIRECTORY", place.dir.join("state")).status();
    assert!(removed.is_ok_and(|status| status.success()));
    place.good(&["rm", "shop"]);
    assert!(refused(&place, &policy, &[]).contains("there is no image `shop`"));
}

#[test]
fn what_runs_is_listed_and_stopped_with_its_daemons() {
    let place = Place::new("lifecycle");
    shop(&place);
    must("umoci", &["config", "--image", "oci:v1", "--config.stopsignal", "SIGUSR1"], &place.dir);
    place.good(&["import", "oci:oci:v1", "--name", "shop", "--replace"]);
    let name = format!("stopped-{}", std::process::id());
    let policy = format!("[app]\nname = \"{name}\"\nuser = \"\"\n{IMAGE}");
    let launch = |words: &[&str]| -> String {
        let mut command = Command::new(launcher());
        command.args(words);
        String::from_utf8_lossy(&command.output().expect("the launcher runs").stdout).into_owned()
    };
    let own = || {
        launch(&["ps"])
            .lines()
            .filter(|line| line.starts_with(&name))
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    // A shell that heeds the signal, and a daemon that has left it and heeds none.
    let heeding = "trap 'echo stopping; exit 0' USR1; echo ready; while :; do sleep 0.05; done";
    let daemon = "trap '' USR1 TERM; while :; do sleep 0.05; done";
    for (script, timeout, is_long) in [
        (heeding.to_owned(), "30", false),
        (format!("(sh -c \"{daemon}\" > /srv/log 2>&1 < /etc/passwd &); {heeding}"), "1", true),
    ] {
        let mut child = start(&place, &policy, &["/bin/sh", "-c", &script]);
        let mut child = child.stdout(std::process::Stdio::piped()).spawn().expect("the launcher runs");
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().expect("it is piped"), &mut ready)
            .expect("it says so");
        let shown = own();
        assert!(
            shown
                .iter()
                .any(|line| line.contains(&format!(" {} gate ", child.id())) && line.contains("/bin/sh -c")),
            "{shown:?}"
        );
        let json = launch(&["ps", "--json"]);
        assert!(json.contains(&format!("\"pid\": {}", child.id())) && json.contains(&name), "{json}");
        let begun = std::time::Instant::now();
        let stopped = Command::new(launcher()).args(["stop", &name, "--timeout", timeout]).output();
        let stopped = stopped.expect("the launcher runs");
        assert!(stopped.status.success(), "{stopped:?}");
        assert_eq!(begun.elapsed().as_secs() >= 1, is_long, "{script}");
        let output = child.wait_with_output().expect("it has ended");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"stopping\n"[..]), "{script}");
        assert_eq!(own(), Vec::<String>::new());
    }
    let none = Command::new(launcher()).args(["stop", &name]).output().expect("the launcher runs");
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(125) && said.contains("launcher ps"), "{said}");
}

#[test]
fn an_ordinary_user_runs_an_image_as_that_user() {
    assert!(is_root(), "users are changed: run the tests as root");
    let mut place = Place::new("ordinary");
    let place = &mut place;
    fs::create_dir(place.dir.join("run")).expect("ours");
    must("chown", &["-R", "1234:50", "."], &place.dir);
    shop(place);
    let place = &mut *place;
    let _ = fs::remove_dir_all(place.dir.join("state"));
    fs::create_dir(place.dir.join("state")).expect("ours");
    must("chown", &["-R", "12345:12345", "state", "run", "oci"], &place.dir);
    place.user = Some(12345);
    place.good(&["import", "oci:oci:v1", "--name", "shop"]);
    let said = refused(place, IMAGE, &[]);
    assert!(said.contains("run as `shop` (1234:50)") && said.contains("user = \"\""), "{said}");
    let policy = format!("[app]\nuser = \"\"\n{IMAGE}");
    assert_eq!(
        self::said(place, &policy, &["/bin/sh", "-c", "id -u; echo x > /etc/greeting; cat /etc/greeting"]),
        "12345\nx\n"
    );
}

#[test]
fn what_gives_up_roots_rights_changes_what_is_its_own() {
    assert!(is_root(), "chroot is run: run the tests as root");
    let place = Place::new("own");
    shop(&place);
    let changes = "id -u; umask 022; cd /home; echo new > new; cat new; \
                   inode=$(stat -c %i own); echo more >> own; cat own; test $inode = $(stat -c %i own) && echo same inode; rm data/own; ls data; \
                   echo more >> data/deep/own; cat data/deep/own; rm data/deep/own; echo again > data/own; cat data/own; \
                   mkdir data/made; echo in > data/made/in; cat data/made/in; rm high; chmod 700 data; mv new newer; \
                   ln newer data/newest; ln -s own link; cat link; echo t > /tmp/t; rm /tmp/t; echo t > /tmp/t; cat /tmp/t; \
                   echo no > /etc/no; rm /etc/passwd; echo no >> /etc/greeting; mkdir /made; stat -c '%n %A %u %g' data data/* /tmp/*";
    let after = "cd /; ls -R home tmp; stat -c '%n %A %u %g' home home/* home/data/* tmp tmp/*; \
                 cat home/own home/data/own home/data/made/in tmp/t etc/greeting";
    // The configuration names the user.
    let ours = in_view(&place, IMAGE, &["/bin/sh", "-c", changes]);
    let theirs = chrooted(&place, "1234:50", "50,60", &["PATH=/bin"], changes);
    assert_same("chroot", &theirs, "the view", &ours);
    // What root sees of it, who then gives up its rights for another command.
    let policy = format!("[app]\nuser = \"\"\n{IMAGE}");
    let again = format!(
        "{after}; busybox su shop -c 'cd /home; echo third >> data/own; rm own; echo x > data/deep/x; ls data/deep'; {after}"
    );
    let ours = in_view(&place, &policy, &["/bin/sh", "-c", &again]);
    let theirs = chrooted(&place, "0:0", "", &["PATH=/bin"], &again);
    assert_same("chroot", &theirs, "the view", &ours);
    // Directories that come and go, by turns with root, whose processes have looked at them before. A link that takes a
    // directory's place must be seen by both. Deep is merged: a layer has it too. One user is made meanwhile.
    let turns = "cd /home/data; su() { busybox su shop -c \"cd /home/data; $1\"; }; look() { ls -d */* * | sort; cat */in 2>&1; }; \
                 su 'mkdir a a/b; echo a > a/in; mkdir /tmp/m; rmdir /tmp/m; mkdir /tmp/m'; look; su 'mv a c; mkdir a; echo new > a/in'; look; \
                 su 'rm -r a; ln -s /etc a'; look; cat a/greeting; su 'rm a; mv c a; rmdir a/b; mkdir /tmp/m/n'; look; \
                 su 'echo y > deep/in; mv deep sunk; mkdir deep; ls sunk deep'; look; echo of root > sunk/more; su 'ls sunk; mv sunk deep/er; ls deep/er'; look; \
                 su 'rm -r deep; ls deep; rm -r a; cd ..; mv data moved; ls -R moved; mv moved data; rmdir /tmp/m/n; mv /tmp/m /tmp/o; rmdir /etc; mv /srv /tmp/srv; mv /home /tmp/home'; \
                 look; ls /tmp; stat -c '%n %A %u %g' /tmp/o /home/data; echo 'late:x:4321:50::/:/bin/sh' >> /etc/passwd; \
                 busybox su late -c 'id -u; cat /etc/greeting; mkdir /tmp/late; mv /tmp/late /tmp/later; rmdir /tmp/later; ls /tmp'";
    let ours = in_view(&place, &policy, &["/bin/sh", "-c", turns]);
    let theirs = chrooted(&place, "0:0", "", &["PATH=/bin"], turns);
    assert_same("chroot", &theirs, "the view", &ours);
}

#[test]
fn what_root_mounts_in_an_image_is_not_on_the_hosts_directories() {
    assert!(is_root(), "mounts are made: run the tests as root");
    let place = Place::new("mounting");
    shop(&place);
    let script = "mkdir /srv/m /srv/n; echo x > /srv/n/x; export PATH=/bin; alias mount='busybox mount'; mount -t tmpfs none /srv/m; echo in > /srv/m/in; \
                  cat /srv/m/in; busybox umount /srv/m; ls /srv/m; mount -t tmpfs none /etc; mount --bind /etc /srv/m; \
                  mount --bind /srv/n /srv/m; ls /srv/m; mount --bind /srv/n/x /etc/greeting; cat /etc/greeting; busybox umount /etc/greeting; cat /etc/greeting";
    let policy = format!("[app]\nuser = \"\"\n{IMAGE}");
    let answer = in_view(&place, &policy, &["/bin/busybox", "unshare", "-m", "sh", "-c", script]);
    let refused = "mount: permission denied (are you root?)\n";
    assert!(answer.starts_with("in\nx\nx\nhello\n") && answer.matches(refused).count() == 2, "{answer}");
    assert!(!fs::exists("/srv/m").expect("the host can be looked at"));
}

#[test]
fn what_gives_up_roots_rights_still_finds_the_image() {
    assert!(is_root(), "users are changed: run the tests as root");
    let place = Place::new("debian");
    place.good(&["import", &debian11().to_string_lossy(), "--name", "shop"]);
    let port = free_port().to_string();
    let script = r#"
        mkdir /www && echo 'from the image' > /www/index.html
        cat > /etc/nginx/nginx.conf << END
user www-data; pid /run/nginx.pid; error_log /var/log/nginx/error.log; worker_processes 2; events {}
http { access_log off; server { listen 127.0.0.1:PORT; root /www; location /copyright { alias /usr/share/doc/nginx-light/copyright; } } }
END
        nginx
        perl -MIO::Socket::INET -e 'for $path ("/", "/copyright") { for (1..200) { last if $s = IO::Socket::INET->new("127.0.0.1:PORT"); select undef, undef, undef, 0.05 } print $s "GET $path HTTP/1.0\r\n\r\n"; print((<$s>)[0]) }'
        ps -o user= -C nginx 2> /dev/null; kill -QUIT $(cat /run/nginx.pid); cat /var/log/nginx/error.log
        while test -e /run/nginx.pid; do sleep 0.05; done; cat /etc/debian_version
        mkdir /run/jail; ln -s jail /run/prison
        for jail in /run/jail /run/prison /var/tmp /usr/share /none; do
            perl -e '($d) = @ARGV; chroot $d or print("$d: $!\n"), exit; chdir "/" or print "$!\n"; print "$d: ", -e "/etc" ? "etc" : "nothing", "\n"' $jail
        done
    "#;
    let answer = in_view(
        &place,
        &format!("{IMAGE}[env]\nset = {{ PATH = \"/usr/sbin:/usr/bin:/sbin:/bin\" }}\n"),
        &["/bin/sh", "-c", &script.replace("PORT", &port)],
    );
    let ok = answer.matches("HTTP/1.1 200 OK").count();
    assert!(ok == 2 && answer.contains("\n11."), "{answer}");
    // What goes into an empty directory finds nothing; into another one it is not let, since a layer would be changed there.
    let jails = "/run/jail: nothing\n/run/prison: nothing\n/var/tmp: nothing\n/usr/share: Operation not permitted\n\
                 /none: No such file or directory\n";
    assert!(answer.contains(jails), "{answer}");
    for tree in place.trees("shop") {
        assert!(!tree.join("www").exists() && Path::new(&tree).join("etc/nginx/nginx.conf").exists());
    }
}
