//! Directories of instances that nobody runs in any more, and old records of starts.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use elements::instance::VIEW;

use crate::instance::{RECORDS, start_time};
use crate::own_names;

/// More instance directories than this and stale ones are looked for.
const MANY: usize = 64;
/// Younger directories are never taken for stale, in seconds.
const A_DAY: i64 = 24 * 60 * 60;

/// What all processes have mapped that this user may look at.
fn maps_of_all() -> Vec<Vec<u8>> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|process| fs::read(process.path().join("maps")).unwrap_or_default()).collect()
}

fn is_mapped(dir: &Path, maps: &[Vec<u8>]) -> bool {
    let view = dir.join(VIEW);
    let name = view.as_os_str().as_bytes();
    maps.iter().any(|maps| maps.windows(name.len()).any(|window| window == name))
}

/// Whether a process runs in the instance in a directory.
pub fn is_in_use(dir: &Path) -> bool {
    is_mapped(dir, &maps_of_all())
}

/// Takes away directories that no process has mapped, and old records. Errors are no concern
/// of the program that is being started.
pub fn forget(base: &Path, current: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let dirs: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join(VIEW).exists()).collect();
    if dirs.len() <= MANY {
        return;
    }
    let now = i64::try_from(start_time() / 1_000_000_000).unwrap_or(i64::MAX);
    let is_old = |dir: &PathBuf| fs::metadata(dir).is_ok_and(|about| now - about.mtime() >= A_DAY);
    let old: Vec<PathBuf> = dirs.into_iter().filter(|dir| dir != current && is_old(dir)).collect();
    // To ask what is in use takes long, and most of the time nothing is old.
    let maps = if old.is_empty() { Vec::new() } else { maps_of_all() };
    for dir in old.iter().filter(|dir| !is_mapped(dir, &maps)) {
        own_names::remove(&own_names::of_view(dir));
        let _ = fs::remove_dir_all(dir);
    }
    for record in fs::read_dir(base.join(RECORDS)).into_iter().flatten().flatten() {
        let old = record.metadata().is_ok_and(|about| now - about.mtime() >= A_DAY);
        if old {
            let _ = fs::remove_file(record.path());
        }
    }
}
