//! The ground as unions of layers: what the launcher, the kernel and a program of FUSE are told of them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::ground::{Ground, UNIONS};

/// Who mounts unions beside the launcher.
const KINDS: [&str; 2] = ["overlay", "fuse-overlayfs"];

impl Ground {
    /// Unions of native's trees and of `/usr`, with a write layer in which a directory of
    /// each has a file: as a policy, and as a script that has the kernel or a program mount them.
    pub fn make_unions(&self) -> std::io::Result<()> {
        let at: Vec<PathBuf> = (0..UNIONS).map(|mount| self.at(mount)).chain(["/usr".into()]).collect();
        self.write_unions(&at)?;
        for (number, kind) in (0..UNIONS).flat_map(|number| KINDS.map(|kind| (number, kind))) {
            for file in written(number) {
                let file = self.upper(number, kind).join(file);
                fs::create_dir_all(file.parent().expect("it is in a directory"))?;
                fs::write(file, "x\n")?;
            }
        }
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

    /// Says of each path that it is a union of what is there and of a write layer: in a policy, and in a
    /// script that has the kernel or a program mount them.
    pub fn write_unions(&self, all: &[PathBuf]) -> std::io::Result<()> {
        let mut policy = "app = { name = \"bench\" }\n".to_owned();
        let mut script =
            "kind=$1; shift\nover() { case $kind in overlay) mount -t overlay -o \"$1\" overlay \"$2\";; \
            *) fuse-overlayfs -o \"$1\" \"$2\";; esac || exit 1; }\n"
                .to_owned();
        for (number, at) in all.iter().enumerate() {
            for upper in KINDS.map(|kind| self.upper(number, kind)) {
                fs::create_dir_all(&upper)?;
                fs::create_dir_all(upper.with_file_name("work"))?;
            }
            let upper = self.upper(number, "$kind");
            let (at, work) = (at.display(), upper.with_file_name("work"));
            let (upper, work) = (upper.display(), work.display());
            let _ = writeln!(policy, "[[mount]]\nat = \"{at}\"\nlayers = [\"{at}\"]\nwrite = \"private\"");
            let _ = writeln!(script, "over \"lowerdir={at},upperdir={upper},workdir={work}\" '{at}'");
        }
        fs::write(self.layers(), policy)?;
        // The shell stays: what waits for an answer of a program cannot be killed, and as the first process would
        // keep that program alive as well.
        fs::write(self.overlays(), script + "\"$@\"\n")
    }

    /// The write layer of a union that is not the launcher's. Each peer has its own, since some run at once.
    fn upper(&self, number: usize, kind: &str) -> PathBuf {
        self.dir.join(format!("overlay/{number}/{kind}/upper"))
    }

    /// Where the launcher keeps write layers.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The same, with write layers of a peer's own.
    pub fn state_of(&self, peer: &str) -> std::io::Result<PathBuf> {
        let own = self.dir.join(format!("state-{peer}"));
        if !own.exists() {
            let status = Command::new("cp").arg("-a").arg(self.state()).arg(&own).status()?;
            if !status.success() {
                return Err(std::io::Error::other(format!("cp: {status}")));
            }
        }
        Ok(own)
    }

    /// The policy in which the mounts are unions.
    pub fn layers(&self) -> PathBuf {
        self.dir.join("layers.toml")
    }

    /// The script that mounts them, and then runs a command.
    pub fn overlays(&self) -> PathBuf {
        self.dir.join("overlays.sh")
    }
}

/// The files of a union that the write layer has.
fn written(number: usize) -> &'static [&'static str] {
    const ALL: &[&str] = &["a/new", "a/two", "10/new", "1000/new", "10000/new", "100000/new"];
    if number == 0 { ALL } else { &ALL[..4] }
}
