//! Programs as their makers have built them for everybody: ninja of PyPI's
//! wheels, against the glibc of 2007 (manylinux1) and against musl's
//! (musllinux), and npm's esbuild, which is static Go.

use std::fs;
use std::path::{Path, PathBuf};

use tests::{Mount, World, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed"), read_only("bin", "bin")];

/// Where `cargo xtask packages` leaves them.
fn prebuilt() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from).join("prebuilt")
}

fn fill(dir: &Path) {
    let host = dir.join("host");
    for name in ["ninja-manylinux1", "ninja-musllinux", "esbuild"] {
        let placed = host.join("bin").join(name);
        fs::create_dir_all(host.join("bin")).expect("a fresh tree");
        fs::copy(prebuilt().join(name), placed)
            .unwrap_or_else(|error| panic!("{name}: {error}: run `cargo xtask packages`"));
    }
    write(host.join("fixed/word"), "word\n");
    write(
        host.join("fixed/build.ninja"),
        "rule copy\n command = cat $in > $out && sleep 0.0$jitter && echo \"$out: $in\" > $out.d\n depfile = $out.d\n\
         rule pack\n command = cat @$out.rsp > /dev/null 2>&1; cat $in > $out\n rspfile = $out.rsp\n rspfile_content = $in\n\
         include many.ninja\nbuild bad: copy missing\n",
    );
    let many: String = (0..40).map(|n| format!("build out/{n}: copy word\n jitter = {}\n", n % 7)).collect();
    let all: String = (0..40).map(|n| format!(" out/{n}")).collect();
    write(host.join("fixed/many.ninja"), &format!("{many}build packed: pack{all}\n"));
    write(host.join("fixed/app.js"), "import { word } from './lib/word';\nconsole.log(word());\n");
    write(host.join("fixed/lib/word.ts"), "export function word(): string { return 'bundled'; }\n");
    fs::create_dir_all(host.join("data")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(name: &str, door: &str, script: &str) {
    let world = World::new(name, MOUNTS, fill).saying(door).as_user(65534);
    world.same_session("/bin/bash", &format!("cd \"$APP/work\"\n{script}"));
}

/// What ninja does, by its own parallel jobs, dependencies and log.
fn ninja(name: &str) -> String {
    format!(
        r#"
        export NINJA_STATUS=
        ninja() {{ "$APP/bin/{name}" "$@"; }}
        cp "$APP"/ro/*.ninja "$APP"/ro/word .
        run ninja --version; run ninja -j8 out/1 out/2 | sort; ninja -j8 -k0 2>&1 | sort | tail -n 3
        ninja -j8 -k0 packed > /dev/null; echo "= $?"; cat packed | sort | uniq -c
        run ninja packed; touch word; ninja -j8 -n packed | wc -l; run ninja -t deps out/3; run ninja -t query out/3
        run ninja -C "$APP/ro" -t targets depth 1 | head -n 3; run ninja -t compdb copy | head -n 6
        run ninja -C "$APP/ro" out/1; run ninja -C "$APP/none"
        ninja -j8 -t clean > /dev/null; ls out; rm -rf out packed .ninja_*
        "#
    )
}

#[test]
fn ninja_of_a_manylinux1_wheel_builds() {
    same("prebuilt-manylinux1", "", &ninja("ninja-manylinux1"));
}

#[test]
fn ninja_of_a_musllinux_wheel_builds() {
    same("prebuilt-musllinux", "", &ninja("ninja-musllinux"));
}

#[test]
fn esbuild_of_npm_bundles_and_serves() {
    same(
        "prebuilt-esbuild",
        "coverage.door = \"gate\"",
        r#"
        esbuild() { "$APP/bin/esbuild" "$@"; }
        run esbuild --version; run esbuild --log-level=warning --bundle "$APP/ro/app.js" --outfile="$APP/work/out/app.js" --sourcemap
        cat out/app.js out/app.js.map; cd "$APP/ro"; run esbuild --log-level=warning --bundle app.js --minify
        run esbuild --log-level=error --bundle missing.js; run esbuild --log-level=error --bundle app.js --outfile="$APP/ro/out.js"
        cd "$APP/work"; for n in $(seq 200); do echo "export const v$n = $n;" > "m$n.js"; echo "export * from './m$n.js';" >> all.js; done
        run esbuild --log-level=warning --bundle all.js --format=esm --outfile=all.out.js; cksum all.out.js
        rm -f m*.js all*.js
        "#,
    );
}
