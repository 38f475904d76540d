//! Builds the doors and embeds them: the launcher is one file.
//!
//! The shim and the gate are for the programs' side, built for the host's GNU
//! target whatever the launcher itself is built for, in a target directory of
//! their own so that the two cargos do not wait for each other. A launcher of
//! another profile finds them there built.

use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the launcher lies in the workspace");
    for part in ["shim", "gate", "elements", "view", "hooks", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    let target_dir = target(root).join("doors");
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.current_dir(root).args(["build", "--release", "--locked", "--target", TARGET]);
    cargo.args(["--package", "shim", "--package", "gate"]);
    cargo.arg("--target-dir").arg(&target_dir);
    for (name, _) in std::env::vars_os() {
        // What this build was told about itself is not meant for them.
        let name = name.to_string_lossy();
        let inherited =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];
        if inherited.contains(&&*name) || name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_CFG_")
        {
            cargo.env_remove(&*name);
        }
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the shim and the gate could not be built");
    let mut hasher = blake3::Hasher::new();
    for (variable, name) in [("SHIM", "libshim.so"), ("GATE", "gate")] {
        let file = target_dir.join(TARGET).join("release").join(name);
        hasher.update(&std::fs::read(&file).expect("it has been built"));
        println!("cargo::rustc-env={variable}={}", file.display());
    }
    println!("cargo::rustc-env=DOORS_HASH={}", &hasher.finalize().to_hex()[..16]);
}

/// Where all that is built goes, unless a setting of cargo's says otherwise: then the doors alone lie here.
fn target(root: &Path) -> PathBuf {
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
