//! Programs as others have built them, from the registries of two languages:
//! linked against a libc of 2007, against musl's, and statically.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Result, must};

/// A program: its name in the tests, the words that fetch its archive, the
/// archive's digest, the words that unpack it, and where it is in there.
type Prebuilt = (&'static str, &'static [&'static str], &'static str, &'static [&'static str], &'static str);

const UNZIP: &[&str] = &["python3", "-m", "zipfile", "-e"];
const UNTAR: &[&str] = &["tar", "--extract", "--gzip", "--file"];

const ALL: &[Prebuilt] = &[
    (
        "ninja-manylinux1",
        &["pip", "--platform=manylinux1_x86_64", "ninja==1.9.0.post1"],
        "75ebbbaeb1b3298bf001cc7866555d88ba33bbdab4cb99eae1e2a59efe23f47b",
        UNZIP,
        "ninja/data/bin/ninja",
    ),
    (
        "ninja-musllinux",
        &["pip", "--platform=musllinux_1_1_x86_64", "ninja==1.11.1.1"],
        "76482ba746a2618eecf89d5253c0d1e4f1da1270d41e9f54dfbd91831b0f6885",
        UNZIP,
        "ninja/data/bin/ninja",
    ),
    (
        "esbuild",
        &["npm", "@esbuild/linux-x64@0.19.12"],
        "ee5aa4e80c55344de1812d7c5b1094c88129a593fa95452f13c1eb3ca5e07f88",
        UNTAR,
        "package/bin/esbuild",
    ),
];

/// Puts those that are missing into `dir`.
pub fn fetch(dir: &Path) -> Result<()> {
    for (name, words, digest, unpack, program) in ALL {
        let placed = dir.join(name);
        if placed.exists() {
            continue;
        }
        eprintln!("fetching {name}");
        let draft = dir.join(format!(".{name}"));
        let made = fs::remove_dir_all(&draft).or(Ok(())).and_then(|()| fs::create_dir_all(&draft));
        made.map_err(|error: std::io::Error| format!("{}: {error}", draft.display()))?;
        must(&mut download(words, &draft))?;
        let archive = fs::read_dir(&draft).ok().and_then(|mut entries| entries.next()?.ok());
        let archive = archive.ok_or_else(|| format!("{name}: nothing was fetched"))?.path();
        let sum = Command::new("sha256sum").arg(&archive).output().map_err(|error| error.to_string())?;
        if !String::from_utf8_lossy(&sum.stdout).starts_with(digest) {
            return Err(format!("{name}: {} is not the archive that the tests know", archive.display()));
        }
        let mut unpacks = Command::new(unpack[0]);
        unpacks.args(&unpack[1..]).arg(&archive).current_dir(&draft);
        if unpack[0] == "python3" {
            unpacks.arg(".");
        }
        must(&mut unpacks)?;
        // zipfile does not keep permissions.
        must(Command::new("chmod").arg("755").arg(draft.join(program)))?;
        fs::rename(draft.join(program), &placed)
            .and_then(|()| fs::remove_dir_all(&draft))
            .map_err(|error| format!("cannot place {}: {error}", placed.display()))?;
    }
    Ok(())
}

/// The client of the registry, told to leave the archive in `draft`.
fn download(words: &[&str], draft: &Path) -> Command {
    let (client, words) = words.split_first().expect("the table names the client");
    let mut command = Command::new(if *client == "pip" { "python3" } else { client });
    if *client == "pip" {
        command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."]);
    } else {
        command.args(["pack", "--silent"]);
    }
    command.args(words).current_dir(draft).stdout(Stdio::null());
    command
}
