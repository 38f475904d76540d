//! Programs that change much in a union: its layers below stay as they were, and what
//! the programs find and leave is what they would natively.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{assert_same, debian11, feed, is_root, launcher, transcript, write};

/// A directory for one test.
struct Ground {
    dir: PathBuf,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Ground {
    fn new(name: &str) -> Ground {
        let dir = std::env::temp_dir().join(format!("launcher-union-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("run")).expect("the temporary directory is writable");
        Ground { dir }
    }

    /// A shell script in a view. `@` in the policy is this directory.
    fn in_view(&self, policy: &str, script: &str) -> Command {
        let file = self.dir.join("policy.toml");
        write(file.clone(), &policy.replace('@', &self.dir.to_string_lossy()));
        let mut command = Command::new(launcher());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("HOME", "/");
        command.env("STATE_DIRECTORY", self.dir.join("state")).env("XDG_RUNTIME_DIR", self.dir.join("run"));
        command.arg("--policy").arg(file).args(["/bin/sh", "-ec", script]).current_dir("/");
        command
    }
}

/// Every file of a tree: what it is, whose, since when, and what is in it.
fn described(dir: &Path) -> String {
    let script = "find . -printf '%p %y %m %U:%G %s %T@ %l\\n' | sed 's/^\\(.* d [^ ]* [^ ]*\\) [0-9]* /\\1 /' | sort; \
                  find . -type f -print0 | sort -z | xargs -0 -r sha256sum";
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(dir).env("LC_ALL", "C");
    transcript(&feed(&mut command, b""))
}

#[test]
fn dpkg_and_apt_change_the_write_layer_alone() {
    if !is_root() {
        eprintln!("not root, so there is no root directory of root's to change");
        return;
    }
    let ground = Ground::new("dpkg");
    let build = r#"
        for name in probe other; do
            mkdir -p $name/DEBIAN $name/usr/share/$name $name/etc
            echo "$name" > $name/usr/share/$name/text; echo "setting" > $name/etc/$name.conf
            printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a probe\n' $name > $name/DEBIAN/control
            echo "/etc/$name.conf" > $name/DEBIAN/conffiles
            printf '#!/bin/sh\nset -e\nchown daemon /usr/share/%s/text\nln -sf text /usr/share/%s/link\n' $name $name > $name/DEBIAN/postinst
            printf '#!/bin/sh\nrm -f /usr/share/%s/link\n' $name > $name/DEBIAN/prerm
            chmod 755 $name/DEBIAN/postinst $name/DEBIAN/prerm
            dpkg-deb --root-owner-group --build $name debs/$name.deb
        done"#;
    fs::create_dir_all(ground.dir.join("debs")).expect("a fresh directory");
    let built = Command::new("sh").args(["-ec", build]).current_dir(&ground.dir).output();
    assert!(built.expect("dpkg-deb is installed").status.success());
    let base = debian11();
    let before = described(base);
    let mut policy = format!(
        "[app]\nname = \"dpkg\"\nworkdir = \"/\"\n[root]\nlayers = [\"{}\"]\n[[mount]]\nat = \"/debs\"\nsource = \"@/debs\"\n",
        base.display()
    );
    for dir in ["/proc", "/dev", "/sys"] {
        policy += &format!("[[mount]]\nat = \"{dir}\"\nsource = \"{dir}\"\naccess = \"read-write\"\n");
    }
    let script = "exec 2>&1; export DEBIAN_FRONTEND=noninteractive
        dpkg -i /debs/probe.deb > /tmp/said 2>&1 || { cat /tmp/said; exit 1; }
        apt-get install -y -o APT::Sandbox::User=root /debs/other.deb > /tmp/said 2>&1 || { cat /tmp/said; exit 1; }
        dpkg -l probe other | tail -n 2 | cut -c 1-20; stat -c '%U %n' /usr/share/*/text; cat /usr/share/probe/link
        dpkg --remove probe > /tmp/said || { cat /tmp/said; exit 1; }; ls /usr/share/probe 2>&1 || true; cat /etc/probe.conf
        dpkg --purge probe > /tmp/said; ls /etc/probe.conf 2>&1 || true; dpkg --audit; dpkg --verify other && echo right";
    let said = transcript(&feed(&mut ground.in_view(&policy, script), b""));
    let expected = "ii  other          1\nii  probe          1\ndaemon /usr/share/other/text\ndaemon /usr/share/probe/text\nprobe\n\
                    ls: cannot access '/usr/share/probe': No such file or directory\nsetting\n\
                    ls: cannot access '/etc/probe.conf': No such file or directory\nright\n";
    assert!(said.starts_with(expected), "{said}");
    let again = transcript(&feed(
        &mut ground.in_view(&policy, "cat /usr/share/other/text; dpkg -s other | head -n 2"),
        b"",
    ));
    assert!(again.starts_with("other\nPackage: other\nStatus: install ok installed\n"), "{again}");
    assert_same("before", &before, "after", &described(base));
}

/// Runs a script natively in one copy of a tree, and in a view whose union has another one
/// below; then all must be the same.
fn same_trees(name: &str, make: &str, script: &str) {
    let ground = Ground::new(name);
    let run = |script: &str, dir: &str| {
        let done = Command::new("sh")
            .args(["-ec", script])
            .current_dir(ground.dir.join(dir))
            .env("HOME", "/")
            .output();
        let done = done.expect("there is a shell");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    fs::create_dir_all(ground.dir.join("native")).expect("a fresh directory");
    run(make, "native");
    run("cp -a native base", "");
    let before = described(&ground.dir.join("base"));
    // Both are done at a path of the same name.
    let policy = "[app]\nname = \"same\"\n[[mount]]\nat = \"@/tree\"\nlayers = [\"@/base\"]\n";
    let place = format!("cd {}/tree; ", ground.dir.display());
    fs::create_dir_all(ground.dir.join("tree")).expect("a fresh directory");
    let mut natively = Command::new("unshare");
    let bind = "mount --bind \"$1/native\" \"$1/tree\"; exec sh -ec \"$2\"";
    natively.args(["--mount", "sh", "-ec", bind, "sh"]).arg(&ground.dir).arg(place.clone() + script);
    natively.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("HOME", "/");
    let natively = transcript(&feed(natively.current_dir("/"), b""));
    let in_view = transcript(&feed(&mut ground.in_view(policy, &(place + script)), b""));
    assert_same("natively", &natively, "the view", &in_view);
    assert!(natively.contains("exit status: 0"), "{natively}");
    assert_same("before", &before, "after", &described(&ground.dir.join("base")));
}

/// What stands at the end, but for times that tell when it was.
const LOOK: &str = "find . -name .git -prune -o -printf '%p %y %m %n %s %l\\n' | sed 's/ d \\([0-9]*\\) [0-9]* [0-9]* / d \\1 /' | sort; \
                    find . -name .git -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum";

#[test]
fn git_leaves_the_same_tree_as_natively() {
    if !is_root() {
        return;
    }
    let make = "export GIT_AUTHOR_DATE='2020-01-01 00:00:00 +0000' GIT_COMMITTER_DATE='2020-01-01 00:00:00 +0000'
        git init -q -b main . && git config user.name probe && git config user.email probe@localhost
        for n in $(seq 100); do mkdir -p dir$((n % 10)); echo $n > dir$((n % 10))/file$n; done; ln -s dir1 link
        git add . && git commit -qm one && git checkout -qb other && git mv dir2 moved && git rm -q dir3/* && echo x > dir4/file4
        git commit -qam two && git checkout -q main";
    let script = "export GIT_AUTHOR_DATE='2021-01-01 00:00:00 +0000' GIT_COMMITTER_DATE='2021-01-01 00:00:00 +0000'
        git status --short; git checkout -q other; git status --short; git log --oneline --stat; git checkout -q main
        echo more >> dir5/file5; git stash -q; git status --short; git stash pop -q; git commit -qam three
        git merge -q -m four other; git gc -q; git fsck --no-progress; git worktree add -q ../tree/second other; ls second
        git clone -q . third; git -C third log --oneline; git clean -nd; git rev-parse HEAD; ";
    same_trees("git", make, &(script.to_owned() + LOOK));
}

#[test]
fn tar_rsync_and_make_leave_the_same_tree_as_natively() {
    if !is_root() {
        return;
    }
    let make = "mkdir -p src/sub data; for n in $(seq 50); do echo \"int f$n(void) { return $n; }\" > src/f$n.c; done
        printf 'OBJECTS = $(patsubst %%.c,%%.o,$(wildcard src/*.c))\nlib.a: $(OBJECTS)\n\tar rcsD $@ $^\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' > Makefile
        echo old > data/a; cp data/a data/b; ln -s a data/c; mkfifo data/pipe; chmod 4755 data/a; truncate -s 1M data/sparse
        chown 1:2 data/b; setfattr -n user.x -v y data/sparse; touch -d @1000000000 src/f1.c data";
    let script = "make -s -j4; make -s -j4; touch src/f7.c; make -j4 | sort; ar t lib.a | wc -l
        tar -cf all.tar --xattrs --sort=name src data; mkdir out; tar -C out -xpf all.tar --xattrs; tar -df all.tar; rm all.tar
        rsync -aHX --delete data/ out/data/; rsync -aHXni data/ out/data/; mv src renamed; cp -a renamed/. src/; rm -r renamed
        cp -al data linked; stat -c '%n %h' linked/* data/*; rm -r data/pipe; ";
    same_trees("tar", make, &(script.to_owned() + LOOK));
}

/// Stressors that change a file system.
const STRESSORS: &str = "chmod chown copy-file dentry dir dirdeep fallocate fiemap file-ioctl filename flock fpunch \
                         fstat getdent hdd link lockf mknod open rename seek symlink touch utime xattr";

#[test]
fn stress_ng_finds_nothing_wrong() {
    let ground = Ground::new("stress-ng");
    for dir in ["base", "tree"] {
        fs::create_dir_all(ground.dir.join(dir)).expect("a fresh directory");
    }
    let each: Vec<String> =
        STRESSORS.split_whitespace().map(|name| format!("--{name} 1 --{name}-ops 50")).collect();
    let stress = |stressors: &str, place: &str| {
        let place = ground.dir.join(place).display().to_string();
        format!("cd {place}; stress-ng --verify --timeout 2 --temp-path {place} {stressors}")
    };
    // Natively all at once: that this stress-ng finds nothing wrong with the file system itself.
    let natively = Command::new("sh").args(["-ec", &stress(&each.join(" "), "base")]).output();
    let natively = natively.expect("stress-ng is installed: `cargo xtask packages`");
    assert!(natively.status.success(), "{}", String::from_utf8_lossy(&natively.stderr));
    let policy = "[app]\nname = \"stress\"\n[[mount]]\nat = \"@/tree\"\nlayers = [\"@/base\"]\n";
    for stressors in each.iter().chain([&each.join(" ")]) {
        let said = transcript(&feed(&mut ground.in_view(policy, &stress(stressors, "tree")), b""));
        assert!(said.contains("exit status: 0"), "{stressors}: {said}");
    }
}
