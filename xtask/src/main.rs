//! `cargo xtask`: what a person does in this repository, in one command each.
//!
//! Each task says what it is about to do and stops at the first failure.

mod demo;
mod packages;
mod prebuilt;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
cargo xtask <TASK>

  build    build the launcher and leave it at target/release/launcher
  demo     run two instances of one small program, each in its own view
  test     run all tests; installs what they need (Debian packages, as root)
  suite cpython [--short]
           run CPython's own tests natively, in a view and over a union, and compare
           them (five minutes; three with --short, without the union); installs them
  suite go [--short]
           the same with Go's own tests of files, processes, sockets and time,
           static and dynamic (five minutes; one with --short)
  bench [--quick] [--conformance | --speed] [--json | --write] [NAME]
           show what works and what it costs, beside native and the peers;
           --write puts it into docs/benchmarks and README.md (docs/benchmarks/README.md)
  packages install what the tests need, and nothing else
  docs     write docs/symbols.md anew from the table of hooks
";

/// The launcher runs on any host, so it is a static program.
const TARGET: &str = "x86_64-unknown-linux-musl";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "build" => build().map(|launcher| println!("{}", launcher.display())),
        "demo" => build().and_then(|launcher| demo::run(&launcher)),
        "test" => test(),
        "suite" => {
            let short = std::env::args().nth(3).is_some_and(|word| word == "--short");
            suite(&std::env::args().nth(2).unwrap_or_default(), short)
        }
        "bench" => bench(std::env::args().skip(2)),
        "packages" => packages(),
        "docs" => docs(),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository: where cargo says that it is now, which a built xtask may
/// have been moved to.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().expect("xtask lies in the repository").to_owned()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command that must succeed.
fn must(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Has rustup fetch the standard library of a target, where it is missing and
/// rustup does not do so by itself.
fn install_target(target: &str) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let query = Command::new(rustc)
        .current_dir(root())
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    if Path::new(String::from_utf8_lossy(&query.stdout).trim()).is_dir() {
        return Ok(());
    }
    must(Command::new("rustup").current_dir(root()).args(["target", "add", target]))
}

/// Where what is built goes.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the launcher and gives its place.
fn build() -> Result<PathBuf> {
    install_target(TARGET)?;
    must(cargo().args(["build", "--release", "--locked", "--package", "launcher", "--target", TARGET]))?;
    let target = target();
    let built = target.join(TARGET).join("release/launcher");
    let launcher = target.join("release/launcher");
    let place = || {
        std::fs::create_dir_all(target.join("release"))?;
        // A copy beside it and a rename: a running launcher keeps its file.
        let draft = target.join("release/.launcher");
        std::fs::copy(&built, &draft)?;
        std::fs::rename(&draft, &launcher)
    };
    place().map_err(|error: std::io::Error| format!("cannot place {}: {error}", launcher.display()))?;
    Ok(launcher)
}

/// The tests that hold for either door. They run once more through the gate.
const THROUGH_THE_GATE: &[&str] = &[
    "calls",
    "children",
    "counts",
    "families",
    "faults",
    "fts",
    "hooks",
    "mounts",
    "musl",
    "proc",
    "programs_coreutils",
    "programs_daemons",
    "programs_data",
    "programs_jobs",
    "programs_languages",
    "programs_prebuilt",
    "programs_servers",
    "programs_shells",
    "scale",
    "sockets",
    "systemd",
    "union",
    "union_counts",
];

/// Installs and fetches what the tests run.
fn packages() -> Result<()> {
    packages::install(packages::TESTS)?;
    // The nodejs of some systems brings npm along, Debian's does not.
    if Command::new("npm").arg("--version").output().is_err() {
        packages::install(&["npm"])?;
    }
    prebuilt::fetch(&target().join("prebuilt"))
}

fn test() -> Result<()> {
    packages()?;
    let doors = ["--exclude", "shim", "--exclude", "gate"];
    // Two profiles, two cargos: neither waits for the other.
    let mut ahead = cargo();
    ahead.args(["test", "--quiet", "--locked", "--no-run", "--workspace"]).args(doors);
    let ahead = ahead.spawn();
    let launcher = build();
    // What it could not build is said by the run below.
    let _ = ahead.and_then(|mut ahead| ahead.wait());
    let launcher = launcher?;
    let tests = |arguments: &[&str]| {
        let mut cargo = cargo();
        cargo.args(["test", "--locked", "--no-fail-fast"]).args(arguments).env("LAUNCHER", &launcher);
        cargo
    };
    must(tests(&["--workspace"]).args(doors).env("DOOR", "shim"))?;
    let again = THROUGH_THE_GATE.iter().flat_map(|name| ["--test", name]);
    must(tests(&["--package", "tests"]).args(again).env("DOOR", "gate"))
}

/// Writes the pages that are generated.
fn docs() -> Result<()> {
    let file = root().join("docs/symbols.md");
    std::fs::write(&file, hooks::page()).map_err(|error| format!("{}: {error}", file.display()))
}

/// Measures. The preload library of the baseline has std in it, so it is built
/// here and by no other task.
fn bench(arguments: impl Iterator<Item = String>) -> Result<()> {
    packages::install(packages::BENCH)?;
    if let Err(message) = packages::install(packages::PEERS) {
        eprintln!("{message}: peers that are missing are absent from the result");
    }
    let launcher = build()?;
    let bench = |task: &str| {
        let mut cargo = cargo();
        cargo.args([task, "--release", "--locked", "--package", "bench"]).env("LAUNCHER", &launcher);
        cargo
    };
    must(bench("build").args(["--example", "passthrough"]))?;
    let redhook = launcher.with_file_name("examples/libpassthrough.so");
    must(bench("run").args(["--quiet", "--", "--redhook"]).arg(redhook).args(arguments))
}

/// Runs a suite that nobody here wrote.
fn suite(name: &str, short: bool) -> Result<()> {
    let needed = match name {
        "cpython" => packages::CPYTHON,
        "go" => packages::GO,
        _ => return Err(format!("there is no suite {name:?}; there are \"cpython\" and \"go\"")),
    };
    packages::install(needed)?;
    let launcher = build()?;
    let mut test = cargo();
    test.args(["test", "--locked", "--package", "tests", "--test", &format!("suite_{name}")]);
    test.args(["--", "--ignored", "--nocapture"]).env("LAUNCHER", launcher);
    if short {
        test.env("SUITE_SHORT", "1");
    }
    must(&mut test)
}
