//! A ground of its own for first writes that copy no data: on a file system that can have two files
//! share their blocks (FICLONE of ioctl_ficlone(2)), in a file of the bench's directory.

use std::fs;
use std::io::{Error, Result};
use std::path::PathBuf;
use std::process::Command;

use crate::ground::Ground;

/// The sizes of which there are files.
const SIZES: [&str; 3] = ["4K", "1M", "1G"];
/// Bytes that the file system may take; what is not used is not taken.
const ROOM: u64 = 8 << 30;

/// The ground, and what it takes to be rid of it.
pub struct Clones {
    /// A union, and what native finds there; nothing else.
    pub ground: Ground,
}

impl Clones {
    /// Makes the file system and all that is on it. Only root may mount one, in mounts of the bench's own.
    pub fn new(beside: &Ground) -> Result<Clones> {
        let image = beside.dir.join("xfs.image");
        let dir = beside.dir.join("xfs");
        fs::File::create(&image)?.set_len(ROOM)?;
        fs::create_dir(&dir)?;
        ran(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image))?;
        ran(Command::new("mount").args(["-o", "loop"]).args([&image, &dir]))?;
        let of = |path: &PathBuf| path.clone();
        let ground = Ground {
            dir,
            runtime: of(&beside.runtime),
            probe: of(&beside.probe),
            filter: of(&beside.filter),
            empty: of(&beside.empty),
            redhook: of(&beside.redhook),
        };
        let clones = Clones { ground };
        let ground = &clones.ground;
        fs::create_dir(ground.scratch())?;
        ground.make_large(|size| SIZES.contains(&size))?;
        ground.write_unions(&[ground.at(0)])?;
        Ok(clones)
    }
}

impl Drop for Clones {
    fn drop(&mut self) {
        // What still has a file there open does not keep the mount.
        let _ = ran(Command::new("umount").arg("--lazy").arg(&self.ground.dir));
    }
}

fn ran(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(Error::other(format!("{command:?}: {status}"))) }
}
