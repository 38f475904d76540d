//! Link arguments of the shim. They belong to the cdylib alone, so they are
//! given here and not in RUSTFLAGS, which build scripts would see too.

#[path = "../elements/often.rs"]
mod often;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The types of the libc crate bring `-lc` along. An empty archive by that
    // name keeps the shim free of DT_NEEDED and of symbol versions: what it
    // imports is bound to whichever libc the program has.
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(format!("{out}/libc.a"), b"!<arch>\n").expect("OUT_DIR is writable");
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-T,{}", often::layout(&out));
    // Bound at load, so that no hook ever runs the lazy resolver; never
    // unloaded, since a thread may be in it; both hash tables, since libcs
    // older than 2006 know only the first.
    // What is ours is bound to ours by the linker: ld.so would look it up at every start.
    // Two segments, not four: each costs every process a mapping at its start.
    for arg in [
        "-nostdlib",
        "-Wl,-z,now",
        "-Wl,-z,nodelete",
        "-Wl,-z,norelro",
        "-Wl,-Bsymbolic-functions",
        "-Wl,--no-rosegment",
        "-Wl,-z,separate-loadable-segments",
        "-Wl,--hash-style=both",
        "-Wl,-soname,libshim.so",
    ] {
        println!("cargo::rustc-cdylib-link-arg={arg}");
    }
}
