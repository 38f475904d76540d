//! Link arguments of the gate: a static program at an address of its own,
//! without a libc.

#[path = "../elements/often.rs"]
mod often;

/// Where the gate lies in every process: [`BASE`] of src/place.rs.
const BASE: &str = "0x7e0004100000";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The types of the libc crate bring `-lc` along: an empty archive will do.
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    for name in ["libc.a", "libgcc_s.a", "libgcc_eh.a"] {
        std::fs::write(format!("{out}/{name}"), b"!<arch>\n").expect("OUT_DIR is writable");
    }
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", often::layout(&out));
    for arg in [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        &format!("-Wl,--image-base={BASE}"),
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,--no-rosegment",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,stack-size=0",
    ] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
