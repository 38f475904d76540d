//! The directories of an image that others than root may write to.
//!
//! A process that has given up root's rights may not make a directory among root's, and so cannot give its own directory
//! a side in the write layer. So each directory that is another user's, or that others may write to, has its side from
//! an instance's first start by root: what lies in it can then be changed by who may.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use elements::instance;
use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::instance::Placed;

/// Says on a work directory that its write layer has them.
const MADE: &std::ffi::CStr = c"user.launcher.skeleton";

/// Gives them their side in the write layer of the image's root, once.
///
/// # Errors
///
/// Those of looking at the image's directories.
pub fn make(placed: &Placed) -> Result<()> {
    let root = placed.settings.write_layers.iter().find(|layer| layer.at == Path::new("/"));
    let Some(layer) = root.filter(|_| placed.settings.is_image && rustix::process::geteuid().is_root())
    else {
        return Ok(());
    };
    let work = layer.dir.join("work");
    if getxattr(&work, MADE, &mut [0_u8; 1][..]).is_ok() {
        return Ok(());
    }
    let mut found = BTreeSet::new();
    for tree in &layer.layers {
        find(tree, &mut PathBuf::from("/"), &mut found)
            .with_context(|| format!("cannot look at the directories of {}", tree.display()))?;
    }
    // For the rest of this process, which becomes the program.
    let dir = Box::leak(placed.dir.as_os_str().as_bytes().to_vec().into_boxed_slice());
    instance::attach(dir).map_err(|error| anyhow!("cannot enter the instance's view: {error:?}"))?;
    if let Some(instance) = instance::attached() {
        for path in found {
            let path =
                CString::new(path.into_os_string().into_encoded_bytes()).context("a path holds NUL")?;
            instance.prepare_directory(path.as_ptr().cast());
        }
    }
    setxattr(&work, MADE, b"y", XattrFlags::empty())
        .with_context(|| format!("cannot mark {}", work.display()))
}

/// Adds those below a directory of a layer, by their app paths. Links are not followed.
fn find(tree: &Path, app: &mut PathBuf, found: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        app.push(entry.file_name());
        let about = entry.metadata()?;
        let by_group = about.mode() & 0o020 != 0 && about.gid() != 0;
        if about.uid() != 0 || by_group || about.mode() & 0o002 != 0 {
            found.insert(app.clone());
        }
        find(&entry.path(), app, found)?;
        app.pop();
    }
    Ok(())
}
