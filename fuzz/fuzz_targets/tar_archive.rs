#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::tar_archive::target(data));
