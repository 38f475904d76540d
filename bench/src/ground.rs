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
const MOST: usize = 1000;
/// How many of them are unions too.
const UNIONS: usize = 10;
/// How often the first write to a file is measured, at most.
const NAMES: u32 = 100;

/// The policy with so many mounts says who the machine is.
pub const MACHINE: usize = 0;

/// A machine.
const IDENTITY: &str = "[identity]\nhostname = \"erp01\"\nusers = [{ name = \"oracle\", uid = 54321 }]\n[time]\noffset = \"-400d\"\n";

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
    /// Makes all of it.
    pub fn new(redhook: PathBuf) -> Result<Ground> {
        let dir = std::env::temp_dir().join(format!("launcher-bench-{}", std::process::id()));
        let ground = Ground {
            runtime: dir.join("run"),
            probe: tests::compiled("cost", &["-O2"], "cost"),
            filter: tests::compiled("filter", &["-O2"], "filter"),
            empty: tests::compiled("empty", &["-O2", "-shared", "-fPIC", "-nostartfiles"], "empty.so"),
            redhook,
            dir,
        };
        ground.make().with_context(|| format!("cannot make {}", ground.dir.display()))?;
        Ok(ground)
    }

    fn make(&self) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        fs::DirBuilder::new().mode(0o700).create(&self.runtime)?;
        for mount in 0..MOST {
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
        self.make_many()?;
        self.make_large()?;
        for mounts in [MACHINE, 10, 20, MOST] {
            let mut policy = String::new();
            for mount in 0..mounts {
                // Writing to a string does not fail.
                let _ = writeln!(policy, "[[mount]]\nat = \"{}\"", self.at(mount).display());
                let _ = writeln!(policy, "source = \"{}\"", self.source(mount).display());
            }
            if mounts == MACHINE {
                policy.push_str(IDENTITY);
            }
            fs::write(self.policy(mounts), policy)?;
        }
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
                fs::create_dir(upper.join("a"))?;
                for file in ["a/new", "a/two"] {
                    fs::write(upper.join(file), "x\n")?;
                }
            }
            let (at, upper, work) = (at.display(), upper.display(), work.display());
            let _ = writeln!(policy, "[[mount]]\nat = \"{at}\"\nlayers = [\"{at}\"]\nwrite = \"private\"");
            let _ = writeln!(script, "over 'lowerdir={at},upperdir={upper},workdir={work}' '{at}'");
        }
        fs::write(self.layers(), policy)?;
        fs::write(self.overlays(), script + "exec \"$@\"\n")?;
        // The same files in the launcher's own write layer.
        let mut write = Command::new(tests::launcher());
        write.arg("--policy").arg(self.layers()).args([
            "sh",
            "-ec",
            "for file; do echo x > $file; done",
            "sh",
        ]);
        write.args((0..UNIONS).flat_map(|mount| ["a/new", "a/two"].map(|file| self.at(mount).join(file))));
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

    /// A file of 64 MiB, by as many names as are written to at most.
    fn make_large(&self) -> std::io::Result<()> {
        let large = self.large();
        fs::create_dir(&large)?;
        fs::write(
            large.join("0"),
            "64 bytes of a file that is large, one line of it after another.\n".repeat(1 << 20),
        )?;
        for name in 1..NAMES {
            fs::hard_link(large.join("0"), large.join(name.to_string()))?;
        }
        fs::write(self.scratch().join("next"), "0\n")
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

    /// The policy with so many mounts.
    pub fn policy(&self, mounts: usize) -> PathBuf {
        self.dir.join(format!("{mounts}.toml"))
    }

    /// Where a mount stands.
    pub fn at(&self, mount: usize) -> PathBuf {
        self.tree("appl", mount)
    }

    /// What stands there.
    pub fn source(&self, mount: usize) -> PathBuf {
        self.tree("host", mount)
    }

    /// A tree that no mount touches.
    pub fn free(&self, number: usize) -> PathBuf {
        self.tree("free", number)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
