//! Writes the seeds of all targets to where cargo-fuzz begins:
//! `cargo run -p fuzz-targets --example seeds -- fuzz/corpus`.

use std::path::PathBuf;

use fuzz_targets::{address, export, policy_text, program, tar_archive, view_image};

fn main() -> std::io::Result<()> {
    let corpus = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "fuzz/corpus".into()));
    for (name, seeds) in [
        ("address", address::seeds()),
        ("export", export::seeds()),
        ("policy_text", policy_text::seeds()),
        ("program", program::seeds()),
        ("tar_archive", tar_archive::seeds()),
        ("view_image", view_image::seeds()),
    ] {
        let dir = corpus.join(name);
        std::fs::create_dir_all(&dir)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
