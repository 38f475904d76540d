#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::view_image::target(data));
