//! Each target, with its seeds, with what once did harm, and with a number of
//! inputs that are nearly right: as many as `INPUTS` says.

use std::path::Path;

use fuzz_targets::mutate::{Random, input};
use fuzz_targets::{address, export, mappings, network, policy_text, program, tar_archive, view_image};

fn drive(name: &str, target: fn(&[u8]), mut seeds: Vec<Vec<u8>>, inputs: u64) {
    let once = Path::new(env!("CARGO_MANIFEST_DIR")).join("../regressions").join(name);
    for file in std::fs::read_dir(once).into_iter().flatten().flatten() {
        seeds.push(std::fs::read(file.path()).expect("a regression can be read"));
    }
    seeds.iter().for_each(|seed| target(seed));
    let inputs = std::env::var("INPUTS").ok().and_then(|number| number.parse().ok()).unwrap_or(inputs);
    for number in 0..inputs {
        let bytes = input(&seeds, &mut Random::new(number));
        if std::panic::catch_unwind(|| target(&bytes)).is_err() {
            let kept = std::env::temp_dir().join(format!("{name}-{number}"));
            std::fs::write(&kept, &bytes).expect("the temporary directory is writable");
            panic!("input {number} does harm; keep {} in fuzz/regressions/{name}", kept.display());
        }
    }
}

#[test]
fn no_text_does_harm_as_a_policy() {
    drive("policy_text", policy_text::target, policy_text::seeds(), 3_000);
}

#[test]
fn no_bytes_do_harm_as_a_view() {
    drive("view_image", view_image::target, view_image::seeds(), 30_000);
}

#[test]
fn no_bytes_do_harm_as_a_program() {
    drive("program", program::target, program::seeds(), 50_000);
}

#[test]
fn no_bytes_do_harm_as_an_address() {
    drive("address", address::target, address::seeds(), 50_000);
}

#[test]
fn no_bytes_do_harm_as_a_tar_archive() {
    drive("tar_archive", tar_archive::target, tar_archive::seeds(), 50_000);
}

#[test]
fn no_text_does_harm_as_mappings() {
    drive("mappings", mappings::target, mappings::seeds(), 50_000);
}

#[test]
fn no_bytes_do_harm_as_an_export() {
    drive("export", export::target, export::seeds(), 1_000);
}

#[test]
fn no_table_of_sockets_and_no_file_of_names_does_harm() {
    drive("network", network::target, network::seeds(), 50_000);
}
