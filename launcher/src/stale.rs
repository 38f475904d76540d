//! Directories of instances that nobody runs in any more, old records of starts, and what
//! launchers that were killed have left half made.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use elements::instance::VIEW;

use crate::instance::{RECORDS, start_time};
use crate::{own_names, removal};

/// More instance directories than this and stale ones are looked for.
const MANY: usize = 64;
/// Younger directories are never taken for stale, in seconds.
const A_DAY: i64 = 24 * 60 * 60;
/// The same of what is of one run or one launcher, whose process is gone: for so long it may be
/// that the process is one of another PID namespace, or that a daemon has not mapped its view yet.
const A_MINUTE: i64 = 60;

/// What all processes have mapped that this user may look at.
fn maps_of_all() -> Vec<Vec<u8>> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|process| fs::read(process.path().join("maps")).unwrap_or_default()).collect()
}

fn is_mapped(dir: &Path, maps: &[Vec<u8>]) -> bool {
    // Its view, or, where that is about to be mapped, its door.
    let name = [dir.as_os_str().as_bytes(), b"/"].concat();
    let name = name.as_slice();
    maps.iter().any(|maps| maps.windows(name.len()).any(|window| window == name))
}

/// Whether a process runs in the instance in a directory.
pub fn is_in_use(dir: &Path) -> bool {
    is_mapped(dir, &maps_of_all())
}

/// Takes away what nobody needs any more: of runs that are over what was theirs alone, drafts, and
/// of the rest what is old, where there is much of it. Errors are no concern of the program that is
/// being started.
pub fn forget(base: &Path, current: &Path) {
    let now = i64::try_from(start_time() / 1_000_000_000).unwrap_or(i64::MAX);
    let is_older = |path: &Path, age: i64| {
        fs::symlink_metadata(path).is_ok_and(|about| now.saturating_sub(about.mtime()) >= age)
    };
    let list = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let (drafts, rest): (Vec<_>, Vec<_>) = list(base).into_iter().partition(|path| is_draft(path));
    let records = list(&base.join(RECORDS));
    for draft in drafts.iter().chain(records.iter().filter(|path| is_draft(path))) {
        if is_older(draft, A_MINUTE) && is_makers_gone(draft) {
            let _ = if draft.is_dir() { removal::take_away(draft) } else { fs::remove_file(draft) };
        }
    }
    let dirs: Vec<PathBuf> =
        rest.into_iter().filter(|path| path != current && path.join(VIEW).exists()).collect();
    let is_much = dirs.len() >= MANY;
    let is_stale =
        |dir: &PathBuf| is_of_one_run(dir) && is_older(dir, A_MINUTE) || is_much && is_older(dir, A_DAY);
    let stale: Vec<PathBuf> = dirs.into_iter().filter(is_stale).collect();
    // To ask what is in use takes long, and most of the time nothing is stale.
    let maps = if stale.is_empty() { Vec::new() } else { maps_of_all() };
    for dir in stale.iter().filter(|dir| !is_mapped(dir, &maps)) {
        own_names::remove(&own_names::of_view(dir));
        // What is cut off is a draft, and half of one is known by its name.
        let aside = base.join(format!(".draft-{}-{}", std::process::id(), start_time()));
        let _ = fs::rename(dir, &aside).and_then(|()| removal::take_away(&aside));
    }
    if is_much {
        for record in records.iter().filter(|record| is_older(record, A_DAY)) {
            let _ = fs::remove_file(record);
        }
    }
}

/// The process and the time that a name ends with.
fn maker(path: &Path) -> Option<(&str, &str)> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    let (before, time) = name.rsplit_once('-')?;
    let (rest, process) = before.rsplit_once('-')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    (is_number(time) && is_number(process)).then_some((rest, process))
}

fn is_makers_gone(path: &Path) -> bool {
    maker(path).is_some_and(|(_, process)| !Path::new("/proc").join(process).exists())
}

/// Whether it is something that a launcher makes beside its place.
fn is_draft(path: &Path) -> bool {
    maker(path).is_some_and(|(kind, _)| matches!(kind, ".draft" | ".door" | "draft"))
}

/// Whether an instance's directory belongs to one run, and the process is gone that it was made for.
pub fn is_of_one_run(dir: &Path) -> bool {
    let digest = maker(dir).and_then(|(name, _)| Some(name.rsplit_once('-')?.1));
    let is_digest =
        digest.is_some_and(|digest| digest.len() == 16 && digest.bytes().all(|c| c.is_ascii_hexdigit()));
    is_digest && is_makers_gone(dir)
}
