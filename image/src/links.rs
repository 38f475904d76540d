//! Which names of a union are those of one file.
//!
//! A renamed directory is stored whole, so its files are new ones in a layer. Where one of
//! them has names elsewhere too, those have to become names of the new one.

use std::collections::HashSet;

use anyhow::{Context, Result};

use crate::header::spelled;
use crate::merge::{Merged, Union, joined};

/// A file's device and inode.
type Id = (u64, u64);

/// The names of some files, by device and inode, where the last layer of a union has changed
/// nothing: in the order of their paths.
///
/// # Errors
///
/// What cannot be read.
pub fn untouched(union: &Union, files: &HashSet<Id>) -> Result<Vec<(Vec<u8>, Id)>> {
    let mut names = Vec::new();
    collect(union, (&union.root()?, &union.base()?), b"", files, &mut names)?;
    Ok(names)
}

fn collect(
    union: &Union,
    (now, before): (&Merged, &Merged),
    path: &[u8],
    files: &HashSet<Id>,
    names: &mut Vec<(Vec<u8>, Id)>,
) -> Result<()> {
    for name in union.names(now.below.iter())? {
        let inner = joined(path, name.to_bytes());
        let Some(item) = union.find(now, &name)? else { continue };
        if item.is_dir() {
            let both = || Ok::<_, anyhow::Error>((union.enter(now, &name)?, union.enter(before, &name)?));
            let (below, old) = both().with_context(|| spelled(&inner))?;
            // What has been renamed has been told of already.
            if below.stands_on(&old) {
                collect(union, (&below, &old), &inner, files, names)?;
            }
        } else if files.contains(&item.id()) {
            names.push((inner, item.id()));
        }
    }
    Ok(())
}
