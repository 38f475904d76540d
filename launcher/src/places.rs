//! The unions of an instance that is kept: what lies below, and what has been changed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use image::commit::{Base, union};
use image::merge::Union;
use image::{Image, Store};
use serde_json::Value;

use crate::instances::Kept;
use crate::state::WriteLayer;

/// A union of an instance's.
pub struct Place {
    /// The app path where it stands.
    pub at: PathBuf,
    /// What lies below the changes.
    pub base: Base,
    /// The tree of the changes.
    pub upper: PathBuf,
}

impl Place {
    /// The layers, the changes last.
    ///
    /// # Errors
    ///
    /// A record of the store's that is malformed.
    pub fn union(&self, store: &Store) -> Result<Union> {
        union(store, &self.base, Some(&self.upper), self.base.depth())
    }
}

/// The unions of an instance whose changes are kept, by their app paths.
///
/// # Errors
///
/// What cannot be read, and an image that is not there any more.
pub fn all(kept: &Kept, store: &Store) -> Result<Vec<Place>> {
    let record = kept.record()?;
    let mut layers: Vec<WriteLayer> = record.map(|record| record.write_layers).unwrap_or_default();
    layers.sort_by(|one, other| one.at.cmp(&other.at));
    let root = kept.image()?;
    let place = |layer: WriteLayer| {
        let upper = layer.dir.join("upper");
        let base = match &root {
            Some(image) if layer.at == Path::new("/") => based_on(store, kept, image)?,
            _ => Base::Directories(layer.layers),
        };
        Ok(Place { at: layer.at, base, upper })
    };
    layers.into_iter().map(place).collect()
}

/// The image that an instance's changes were made on: the one of that name, or another
/// that has the same layers.
fn based_on(store: &Store, kept: &Kept, base: &crate::instances::Base) -> Result<Base> {
    let is_it = |image: &Image| {
        let chains = image.layers.iter().map(|layer| layer.chain.trim_start_matches("sha256:"));
        chains.eq(base.layers.iter().map(String::as_str))
    };
    let found = store.image(&base.name).ok().filter(is_it);
    let found = found.or_else(|| store.list().ok()?.into_iter().find(is_it));
    let Some(image) = found else {
        bail!(
            "the changes of `{}` were made on the image `{}` ({}), which has been replaced: import that one again, \
             under another name",
            kept.name,
            base.name,
            base.digest
        )
    };
    let config: Value = store.config(&image.name)?;
    Ok(Base::Image(image, config))
}
