//! Where it is measured: trees, policies and programs, made for one run.
//!
//! `appl/mN` is what native finds at a mount point, `host/mN` is what stands
//! there in a view: two trees of one shape, at paths of one length, so that the
//! kernel does the same work for both. `free/mN` is touched by no mount.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The most mounts that a policy here has.
const MOST: usize = 10_000;
/// How many of them have a tree of their own; the others share these.
const TREES: usize = 1000;
/// How many of them are unions too.
const UNIONS: usize = 10;
/// Files whose first write is measured: the name of a size, its bytes, how many are written to in one sample, and by how
/// many names there is one.
pub const SIZES: [(&str, usize, u32, u32); 4] =
    [("4K", 4 << 10, 50, 5000), ("1M", 1 << 20, 10, 1000), ("64M", 64 << 20, 1, 100), ("1G", 1 << 30, 1, 60)];

/// What a policy says.
#[derive(Clone, Copy)]
pub enum Rules {
    /// So many mounts.
    Mounts(usize),
    /// Who the machine is, and who its users are.
    Machine,
    /// That the date is another.
    Date,
    /// Names of hosts, and where addresses lead.
    Network,
}

impl Rules {
    /// All that are measured.
    const ALL: [Rules; 7] = [
        Rules::Mounts(10),
        Rules::Mounts(20),
        Rules::Mounts(1000),
        Rules::Mounts(MOST),
        Rules::Machine,
        Rules::Date,
        Rules::Network,
    ];

    /// How many mounts there are.
    pub fn mounts(self) -> usize {
        match self {
            Rules::Mounts(mounts) => mounts,
            Rules::Machine | Rules::Date | Rules::Network => 0,
        }
    }

    fn file(self) -> String {
        match self {
            Rules::Mounts(mounts) => format!("{mounts}.toml"),
            Rules::Machine => "machine.toml".into(),
            Rules::Date => "date.toml".into(),
            Rules::Network => "network.toml".into(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Rules::Mounts(_) => "",
            Rules::Machine => {
                "[identity]\nhostname = \"erp01\"\nusers = [{ name = \"oracle\", uid = 54321 }]\n"
            }
            Rules::Date => "[time]\noffset = \"-400d\"\n",
            Rules::Network => {
                "[network]\nhosts = { \"localhost\" = [\"127.0.0.1\"] }\norder = [\"hosts\"]\n\
                 [[network.bind]]\nfrom = \"127.0.0.1:45999\"\nto = \"127.0.0.1:45998\"\n"
            }
        }
    }
}

/// The trees, policies and programs.
pub struct Ground {
    dir: PathBuf,
    /// Where instances are placed.
    pub runtime: PathBuf,
    /// The probe, tests/programs/cost.c.
    pub probe: PathBuf,
    /// The least filter, tests/programs/filter.c.
    pub filter: PathBuf,
    /// The least preload library, tests/programs/empty.c.
    pub empty: PathBuf,
    /// The pass-through library written with redhook.
    pub redhook: PathBuf,
}

impl Ground {
    /// Makes all of it; what only whole programs are run on, where they are.
    pub fn new(redhook: PathBuf, whole: bool) -> Result<Ground> {
        let dir = std::env::temp_dir().join(format!("launcher-bench-{}", std::process::id()));
        let ground = Ground {
            runtime: dir.join("run"),
            probe: tests::compiled("cost", &["-O2"], "cost"),
            filter: tests::compiled("filter", &["-O2"], "filter"),
            empty: tests::compiled("empty", &["-O2", "-shared", "-fPIC", "-nostartfiles"], "empty.so"),
            redhook,
            dir,
        };
        ground.make(whole).with_context(|| format!("cannot make {}", ground.dir.display()))?;
        Ok(ground)
    }

    fn make(&self, whole: bool) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        fs::DirBuilder::new().mode(0o700).create(&self.runtime)?;
        for mount in 0..TREES {
            for side in ["host", "appl", "free"] {
                let tree = self.tree(side, mount);
                fs::create_dir_all(tree.join("a/b/c/d"))?;
                for file in ["file", "a/b/c/d/file", "a/one", "a/two", "a/three"] {
                    fs::write(tree.join(file), "x\n")?;
                }
                symlink("file", tree.join("link"))?;
            }
        }
        fs::create_dir(self.scratch())?;
        if whole {
            self.make_many()?;
            self.make_large()?;
            self.make_cluster()?;
            self.make_sources()?;
        }
        for rules in Rules::ALL {
            let mut policy = rules.text().to_owned();
            for mount in 0..rules.mounts() {
                // Writing to a string does not fail.
                let _ = writeln!(policy, "[[mount]]\nat = \"{}\"", self.at(mount).display());
                let _ = writeln!(
                    policy,
                    "source = \"{}\"\naccess = \"read-write\"",
                    self.source(mount).display()
                );
            }
            fs::write(self.policy(rules), policy)?;
        }
        self.make_lists()?;
        self.make_etc()?;
        self.make_owners()?;
        self.make_unions()
    }

    /// An ordinary user's directory, with files of which one half has been given away in a view.
    fn make_owners(&self) -> std::io::Result<()> {
        fs::create_dir(self.own())?;
        fs::write(self.owners(), "[app]\nname = \"owners\"\n[identity]\nrun_as = \"root\"\n")?;
        for name in ["kept", "given"] {
            fs::create_dir(self.own().join(name))?;
            for file in 0..10 {
                fs::write(self.own().join(name).join(file.to_string()), "x\n")?;
            }
        }
        let own = self.own();
        let given = "chown -R 65534:65534 $0; setpriv --reuid 65534 --regid 65534 --clear-groups $1 --policy $2 chown -R 33:33 $0/given";
        let mut command = Command::new("sh");
        command.args(["-ec", given]).arg(&own).arg(tests::launcher()).arg(self.owners());
        let status = command.env("XDG_RUNTIME_DIR", &own).env("STATE_DIRECTORY", &own).status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("{command:?}: {status}"))) }
    }

    /// The directory of an ordinary user.
    pub fn own(&self) -> PathBuf {
        self.dir.join("own")
    }

    /// The policy that has such a user play root.
    pub fn owners(&self) -> PathBuf {
        self.dir.join("owners.toml")
    }

    /// Unions of native's trees and of `/usr`, with a write layer in which a directory of
    /// each has a file: as a policy, and as a script that has the kernel or a program mount them.
    fn make_unions(&self) -> std::io::Result<()> {
        let mut policy = "app = { name = \"bench\" }\n".to_owned();
        let mut script =
            "kind=$1; shift\nover() { case $kind in overlay) mount -t overlay -o \"$1\" overlay \"$2\";; \
            *) fuse-overlayfs -o \"$1\" \"$2\";; esac || exit 1; }\n"
                .to_owned();
        for (number, at) in (0..UNIONS).map(|mount| self.at(mount)).chain(["/usr".into()]).enumerate() {
            let overlay = self.dir.join(format!("overlay/{number}"));
            let (upper, work) = (overlay.join("upper"), overlay.join("work"));
            for dir in [&upper, &work] {
                fs::create_dir_all(dir)?;
            }
            if number < UNIONS {
                for file in written(number) {
                    fs::create_dir_all(upper.join(file).parent().expect("it is in a directory"))?;
                    fs::write(upper.join(file), "x\n")?;
                }
            }
            let (at, upper, work) = (at.display(), upper.display(), work.display());
            let _ = writeln!(policy, "[[mount]]\nat = \"{at}\"\nlayers = [\"{at}\"]\nwrite = \"private\"");
            let _ = writeln!(script, "over 'lowerdir={at},upperdir={upper},workdir={work}' '{at}'");
        }
        fs::write(self.layers(), policy)?;
        // The shell stays: what waits for an answer of a program cannot be killed, and as the first process would
        // keep that program alive as well.
        fs::write(self.overlays(), script + "\"$@\"\n")?;
        // The same files in the launcher's own write layer.
        let mut write = Command::new(tests::launcher());
        write.arg("--policy").arg(self.layers()).args([
            "sh",
            "-ec",
            // What another user than who started it is to change must be there.
            "find $0 -exec touch -c {} + 2> /dev/null || true; for file; do echo x > $file; done",
        ]);
        write.arg(self.at(0).join("pg-union"));
        write.args(
            (0..UNIONS).flat_map(|mount| written(mount).iter().map(move |file| self.at(mount).join(file))),
        );
        write.env("XDG_RUNTIME_DIR", &self.runtime).env("STATE_DIRECTORY", self.state());
        let status = write.status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("{write:?}: {status}"))) }
    }

    /// Where the launcher keeps write layers.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The policy in which the mounts are unions.
    pub fn layers(&self) -> PathBuf {
        self.dir.join("layers.toml")
    }

    /// The script that mounts them, and then runs a command.
    pub fn overlays(&self) -> PathBuf {
        self.dir.join("overlays.sh")
    }

    /// The tree of 20,000 files, and the program that reads it.
    fn make_many(&self) -> std::io::Result<()> {
        let many = self.source(0).join("many");
        for directory in 0..400 {
            let directory = many.join(format!("{}/{}", directory / 20, directory % 20));
            fs::create_dir_all(&directory)?;
            for file in 0..50 {
                fs::write(directory.join(file.to_string()), format!("file {file}\n").repeat(file + 1))?;
            }
        }
        let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/read.go");
        // An index that is as young as its files makes git(1) read them all again.
        let commit = "git init -q . && git add . && git -c user.name=bench -c user.email=bench@localhost commit -qm all \
            && cp -a . \"$1\" && sleep 1.1 && for tree in . \"$1\"; do cd \"$tree\"; rm .git/index; git reset -q; done";
        let mut git = Command::new("sh");
        git.args(["-ec", commit, "sh"]).arg(self.at(0).join("many")).current_dir(&many);
        let mut build = Command::new("go");
        build.arg("build").arg("-o").arg(self.reader()).arg(go);
        build.env("CGO_ENABLED", "0").env("GOCACHE", self.dir.join("gocache")).env("GOFLAGS", "-mod=mod");
        for mut command in [git, build] {
            let status = command.status()?;
            if !status.success() {
                return Err(std::io::Error::other(format!("{command:?}: {status}")));
            }
        }
        Ok(())
    }

    /// Files of some sizes, each by as many names as are written to at most.
    fn make_large(&self) -> std::io::Result<()> {
        const LINE: &str = "64 bytes of a file that is large, one line of it after another.\n";
        for (name, size, times, names) in SIZES {
            let large = self.large().join(name);
            fs::create_dir_all(&large)?;
            let mut file = fs::File::create(large.join("0"))?;
            let block = LINE.repeat(size.min(1 << 20) / LINE.len());
            for _ in 0..size / block.len() {
                file.write_all(block.as_bytes())?;
            }
            for name in 1..names {
                fs::hard_link(large.join("0"), large.join(name.to_string()))?;
            }
            fs::write(self.scratch().join(format!("next-{name}")), format!("0 {times}\n"))?;
        }
        Ok(())
    }

    /// A cluster of postgresql's: for native, in the mount, and beside them.
    fn make_cluster(&self) -> std::io::Result<()> {
        let make = "user() { setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }\n\
            bin=$(echo /usr/lib/postgresql/*/bin); chmod 1777 $1; user $bin/initdb -A trust -N -D $1/pg > $1/said\n\
            user $bin/pg_ctl -s -w -D $1/pg -l $1/log -o \"-k $1 -c listen_addresses=\" start\n\
            PGHOST=$1 user $bin/pgbench -i -q postgres > $1/said 2>&1\n\
            user $bin/pg_ctl -s -w -m fast -D $1/pg stop; cp -a $1/pg $2; cp -a $1/pg $3; cp -a $1/pg $2/pg-union";
        let mut command = Command::new("sh");
        command.args(["-ec", make, "sh"]).arg(self.scratch()).arg(self.at(0)).arg(self.source(0));
        let status = command.current_dir("/").status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("{command:?}: {status}"))) }
    }

    /// Fifty files of C with their Makefile, and three hundred modules of JavaScript, for native and in the mount.
    fn make_sources(&self) -> std::io::Result<()> {
        for tree in [self.at(0), self.source(0)] {
            let (c, js) = (tree.join("c"), tree.join("js"));
            fs::create_dir(&c)?;
            fs::create_dir(&js)?;
            for file in 0..50 {
                let text = format!(
                    "#include <stdio.h>\n#include \"all.h\"\nint f{file}(int n) {{ return printf(\"%d\\n\", n + MORE); }}\n"
                );
                fs::write(c.join(format!("f{file}.c")), text)?;
            }
            fs::write(c.join("all.h"), "#define MORE 1\n")?;
            let makefile = "OBJECTS = $(patsubst %.c,$(OUT)/%.o,$(wildcard *.c))\n$(OUT)/all.a: $(OBJECTS)\n\tar rc $@ $^\n\
                            $(OUT)/%.o: %.c all.h\n\tgcc -O1 -c -o $@ $<\n";
            fs::write(c.join("Makefile"), makefile)?;
            let mut index = String::new();
            for module in 0..300 {
                fs::write(
                    js.join(format!("m{module}.js")),
                    format!("export const m{module} = () => {module};\n"),
                )?;
                let _ = writeln!(
                    index,
                    "import {{ m{module} }} from './m{module}.js'; console.log(m{module}());"
                );
            }
            fs::write(js.join("index.js"), index)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn large(&self) -> PathBuf {
        self.at(0).join("large")
    }

    /// The Go program that reads all files of a tree, programs/read.go.
    pub fn reader(&self) -> PathBuf {
        self.dir.join("read")
    }

    /// A directory that programs write to.
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    fn tree(&self, side: &str, number: usize) -> PathBuf {
        self.dir.join(side).join(format!("m{number}"))
    }

    /// The policy with these rules.
    pub fn policy(&self, rules: Rules) -> PathBuf {
        self.dir.join(rules.file())
    }

    /// Directories of so many entries, and libraries and files that calls are made on, in each of the first mounts.
    fn make_lists(&self) -> std::io::Result<()> {
        let library = tests::compiled("empty", &["-O2", "-shared", "-fPIC", "-nostartfiles"], "empty.so");
        for mount in 0..UNIONS {
            for tree in [self.at(mount), self.source(mount)] {
                fs::copy(&library, tree.join("library.so"))?;
                fs::create_dir_all(tree.join("1/2/3/4/5/6/7/8/9/10/11"))?;
                fs::write(tree.join("1/2/3/4/5/6/7/8/9/10/11/file"), "x\n")?;
                symlink("a/b", tree.join("way"))?;
                for size in [10, 1000] {
                    make_list(&tree.join(size.to_string()), size)?;
                }
            }
        }
        // One is enough of what is large.
        for tree in [self.at(0), self.source(0)] {
            for size in [LONG, LONGEST] {
                make_list(&tree.join(size.to_string()), size)?;
            }
        }
        Ok(())
    }

    /// What those that serve users and names by files are given.
    fn make_etc(&self) -> std::io::Result<()> {
        fs::write(self.dir.join("passwd"), "root:x:0:0::/root:/bin/sh\noracle:x:54321:54321::/:/bin/sh\n")?;
        fs::write(self.dir.join("group"), "root:x:0:\noracle:x:54321:\n")?;
        fs::write(self.dir.join("hosts"), "127.0.0.1 localhost\n")?;
        let proxychains =
            "strict_chain\nquiet_mode\nlocalnet 127.0.0.0/255.0.0.0\n[ProxyList]\nsocks5 127.0.0.1 1\n";
        fs::write(self.dir.join("proxychains.conf"), proxychains)
    }

    /// One of the files of `make_etc`.
    pub fn etc(&self) -> String {
        self.dir.to_string_lossy().into_owned()
    }

    /// Where a mount stands.
    pub fn at(&self, mount: usize) -> PathBuf {
        self.tree("appl", mount)
    }

    /// What stands there.
    pub fn source(&self, mount: usize) -> PathBuf {
        self.tree("host", mount % TREES)
    }

    /// A tree that no mount touches.
    pub fn free(&self, number: usize) -> PathBuf {
        self.tree("free", number)
    }
}

/// The files of a union that the write layer has.
fn written(number: usize) -> &'static [&'static str] {
    const ALL: &[&str] = &["a/new", "a/two", "10/new", "1000/new", "10000/new", "100000/new"];
    if number == 0 { ALL } else { &ALL[..4] }
}

/// The entries of a merged directory that fuse-overlayfs lists within a minute.
const LONG: usize = 10_000;
/// The most entries that a directory has whose listing is measured.
const LONGEST: usize = 100_000;

/// A directory with so many names.
fn make_list(dir: &Path, size: usize) -> std::io::Result<()> {
    fs::create_dir(dir)?;
    fs::write(dir.join("0"), "")?;
    // Links are made faster than files; a file has no more than 65,000 on ext4.
    for name in 1..size {
        if name % 50_000 == 0 {
            fs::write(dir.join(name.to_string()), "")?;
        } else {
            fs::hard_link(dir.join((name / 50_000 * 50_000).to_string()), dir.join(name.to_string()))?;
        }
    }
    Ok(())
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
