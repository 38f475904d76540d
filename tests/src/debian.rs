//! The root directory of an older Debian, with its own ld.so, libc and programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed in the root beside what every Debian has.
const PACKAGES: &str = "apt,nginx-light,perl,python2.7-minimal,redis-server";

/// The root directory of a Debian 11, made once.
pub fn debian11() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
        let roots = target.join("tmp/roots");
        std::fs::create_dir_all(&roots).expect("the target directory is writable");
        let roots = roots.canonicalize().expect("it is there");
        let (root, draft) = (roots.join("bullseye"), roots.join(".bullseye"));
        if !root.exists() {
            let _ = std::fs::remove_dir_all(&draft);
            let mut command = Command::new("mmdebstrap");
            command.args(["--quiet", "--variant=apt", "--include", PACKAGES, "bullseye"]).arg(&draft);
            let output = command.output().expect("mmdebstrap is installed: `cargo xtask packages`");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(&draft, &root).expect("a rename in one directory works");
        }
        root
    })
}
