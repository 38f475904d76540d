//! An image that an ordinary user has imported: owners are those that it came with,
//! packages are installed as by root, and a commit has what the program saw.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use tests::images::Place;
use tests::{assert_same, debian11, is_root, launcher, transcript, write};

/// An ordinary user of the host.
const USER: u32 = 65534;

/// What a script prints, and no more.
fn good(place: &Place, image: &str, run_as: &str, script: &str) -> String {
    let file = place.dir.join("shop.toml");
    let name = format!("{image}-{run_as}");
    let head =
        format!("[app]\nname = \"{name}\"\n[identity]\nrun_as = \"{run_as}\"\n[root]\nimage = \"{image}\"\n");
    write(&file, &head);
    let told = transcript(&said(place, &["--policy", &file.to_string_lossy(), "bash", "-c", script]));
    let end = "--- standard error\n--- exit status: 0\n";
    told.strip_suffix(end).unwrap_or_else(|| panic!("{script}: {told}")).to_owned()
}

fn said(place: &Place, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(launcher());
    command.env_clear().env("STATE_DIRECTORY", place.dir.join("state")).env("HOME", "/of/the/host");
    command.env("XDG_RUNTIME_DIR", place.dir.join("run")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(words).current_dir("/").uid(USER).gid(USER).output().expect("the launcher runs")
}

/// A package that adds a user when it is installed, and gives that user its files.
fn package(place: &Place) -> String {
    let dir = place.dir.join("package");
    write(
        dir.join("DEBIAN/control"),
        "Package: owned\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.com>\nDescription: x\n",
    );
    let script = "#!/bin/sh\nset -e\nadduser --quiet --system --group --home /srv/app --no-create-home appuser\n\
                  chown -R appuser:appuser /srv/app\nchmod 2750 /srv/app\nchmod 4755 /srv/app/run\n";
    write(dir.join("DEBIAN/postinst"), script);
    write(dir.join("srv/app/data"), "data\n");
    write(dir.join("srv/app/run"), "#!/bin/sh\nid -u\n");
    let build = "chmod 755 DEBIAN/postinst; dpkg-deb --build --root-owner-group . ../owned.deb >/dev/null && base64 -w0 ../owned.deb";
    let built = Command::new("sh").args(["-c", build]).current_dir(&dir).output().expect("dpkg-deb runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).expect("base64 is text")
}

#[test]
fn a_package_is_installed_as_by_root_and_committed_so() {
    if !is_root() {
        eprintln!("not root, so no root directory of Debian can be packed");
        return;
    }
    let place = Place::new("owners");
    let archive = place.dir.join("debian.tar");
    // What no package asks for makes an import long.
    let without = [
        "share/doc",
        "share/locale",
        "share/man",
        "share/zoneinfo",
        "share/i18n",
        "lib/python2.7",
        "lib/x86_64-linux-gnu/gconv",
    ];
    let without = without.map(|dir| format!("--exclude=./usr/{dir}/*"));
    let mut pack = Command::new("tar");
    pack.args(without).args([
        "--exclude=./var/lib/apt/*",
        "--exclude=./var/cache/*",
        "--exclude=./usr/bin/redis*",
    ]);
    let packed = pack.arg("-C").arg(debian11()).arg("-cf").arg(&archive).arg(".").status();
    assert!(packed.expect("tar runs").success());
    let deb = package(&place);
    let own = Command::new("chown")
        .arg(format!("{USER}:{USER}"))
        .arg(&place.dir)
        .arg(place.dir.join("state"))
        .status();
    assert!(own.expect("chown runs").success());
    let place = Place { dir: place.dir.clone(), user: Some(USER) };
    place.good(&["import", &archive.to_string_lossy(), "--name", "debian"]);
    fs::remove_file(archive).expect("it is there");

    let shown = good(
        &place,
        "debian",
        "root",
        "stat -c '%n %A %U:%G' /etc/shadow /usr/bin/passwd /usr/bin/chage /var/mail /tmp /bin/sh; id",
    );
    let expected = "/etc/shadow -rw-r----- root:shadow\n/usr/bin/passwd -rwsr-xr-x root:root\n/usr/bin/chage -rwxr-sr-x root:shadow\n\
        /var/mail drwxrwsr-x root:mail\n/tmp drwxrwxrwt root:root\n/bin/sh lrwxrwxrwx root:root\nuid=0(root) gid=0(root) groups=0(root)\n";
    assert_same("Debian", expected, "root's view", &shown);
    // Another user than root sees the same owners, and may not read what is root's.
    let shown = good(
        &place,
        "debian",
        "www-data",
        "stat -c '%n %A %U:%G' /bin/sh /etc/shadow; cat /etc/shadow 2>&1; touch /etc/x 2>&1; id -un",
    );
    let expected = "/bin/sh lrwxrwxrwx root:root\n/etc/shadow -rw-r----- root:shadow\ncat: /etc/shadow: Permission denied\n\
        touch: cannot touch '/etc/x': Permission denied\nwww-data\n";
    assert_same("Debian", expected, "www-data's view", &shown);

    let install = format!(
        "echo {deb} | base64 -d > /tmp/owned.deb; dpkg -i /tmp/owned.deb >/dev/null; ln -s data /srv/app/link; chown -h appuser /srv/app/link; \
         mkfifo /srv/app/pipe; chown 5:6 /srv/app/pipe; useradd -m bob; \
         perl -e 'my ($f, $n, $v) = (\"/srv/app/data\", \"security.capability\", pack(\"V5\", 0x02000001, 1024, 0, 0, 0)); syscall(188, $f, $n, $v, 20, 0)'; \
         su bob -s /bin/sh -c 'id -un; cat /etc/shadow 2>&1; cd /srv/app 2>&1; touch ~/x; stat -c %U ~/x'"
    );
    let told = good(&place, "debian", "root", &install);
    let expected = "bob\ncat: /etc/shadow: Permission denied\nsh: 1: cd: can't cd to /srv/app\nbob\n";
    assert_same("the rules", expected, "su", &told);
    const LIST: &str = "cd /srv/app; stat -c '%n %A %U:%G' . data run link pipe /home/bob/x /etc/shadow; \
                        stat -c %A /etc/shadow; grep -c appuser /etc/passwd /etc/shadow; \
                        perl -e 'my ($f, $n, $b) = (\"/srv/app/data\", \"security.capability\", \" \" x 32); \
                        print unpack(\"H*\", substr($b, 0, syscall(191, $f, $n, $b, 32))), \"\\n\"'";
    let before = good(&place, "debian", "root", LIST);
    let expected = ". drwxr-s--- appuser:appuser\ndata -rw-r--r-- appuser:appuser\nrun -rwsr-xr-x appuser:appuser\n\
        link lrwxrwxrwx appuser:appuser\npipe prw-r--r-- games:disk\n/home/bob/x -rw-r--r-- bob:bob\n/etc/shadow -rw-r----- root:shadow\n\
        -rw-r-----\n/etc/passwd:1\n/etc/shadow:1\n0100000200040000000000000000000000000000\n";
    assert_same("the package", expected, "the instance", &before);

    let committed = said(&place, &["commit", "debian-root", "shop"]);
    assert!(committed.status.success(), "{}", transcript(&committed));
    assert_same("the instance", &before, "the image", &good(&place, "shop", "root", LIST));
}
