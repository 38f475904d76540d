//! Where it is measured: trees, policies and programs, made for one run.
//!
//! `appl/mN` is what native finds at a mount point, `host/mN` is what stands
//! there in a view: two trees of one shape, at paths of one length, so that the
//! kernel does the same work for both. `free/mN` is touched by no mount.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The most mounts that a policy here has.
const MOST: usize = 1000;

/// The trees, policies and programs.
pub struct Ground {
    dir: PathBuf,
    /// Where instances are placed.
    pub runtime: PathBuf,
    /// The probe, tests/programs/cost.c.
    pub probe: PathBuf,
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
        for mounts in [10, 20, MOST] {
            let mut policy = String::new();
            for mount in 0..mounts {
                // Writing to a string does not fail.
                let _ = writeln!(policy, "[[mount]]\nat = \"{}\"", self.at(mount).display());
                let _ = writeln!(policy, "source = \"{}\"", self.source(mount).display());
            }
            fs::write(self.policy(mounts), policy)?;
        }
        Ok(())
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
