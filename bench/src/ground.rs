//! Where it is measured: trees, policies and programs, made for one run.
//!
//! `appl/mN` is what native finds at a mount point, `host/mN` is what stands
//! there in a view: two trees of one shape, at paths of one length, so that the
//! kernel does the same work for both. `free/mN` is touched by no mount.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The most mounts that a policy here has.
const MOST: usize = 10_000;
/// How many of them have a tree of their own; the others share these.
const TREES: usize = 1000;
/// How many of them are unions too.
pub const UNIONS: usize = 10;
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
    /// The directory that all of it is in.
    pub dir: PathBuf,
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
            self.make_large(|_| true)?;
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
