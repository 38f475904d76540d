//! The image that a policy puts at `/`: its layers, and what its configuration
//! says of the start.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use image::store::Store;
use policy::Image;
use serde_json::Value;

use crate::instances::{Base, Kept};
use crate::state;

/// Looks an image up for a policy. Until this process ends, or becomes the
/// application, the image can neither be removed nor replaced.
///
/// # Errors
///
/// Why it cannot be had, in words.
pub fn find(name: &str) -> Result<Image, String> {
    look_up(name).map_err(|error| format!("{error:#}"))
}

fn look_up(name: &str) -> Result<Image> {
    let store = state::images()?;
    let before = store.image(name)?.config;
    let lock = store.use_image(name)?;
    let image = store.image(name)?;
    if image.config != before {
        bail!("it is being replaced: try again")
    }
    // The lock dies with this process, or when it becomes another program.
    std::mem::forget(lock);
    let trees = store.trees(&image)?;
    for tree in &trees {
        if Store::spells_whiteouts(tree) {
            bail!(
                "it was imported where whiteouts could not be made (before Linux 5.8, or by a filter against mknod(2)), and its \
                 files that are gone would be shown: remove it (`launcher image rm {name}`, `launcher image gc`) and import it anew"
            )
        }
    }
    let config = store.config(name)?;
    let config = config.get("config").unwrap_or(&Value::Null);
    let word = |key: &str| {
        let word = config.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        word.map(ToOwned::to_owned)
    };
    let list = |key: &str| -> Result<Vec<String>> {
        let found = config.get(key).cloned().filter(|value| !value.is_null());
        let list: Vec<String> =
            found.map(serde_json::from_value).transpose().map(Option::unwrap_or_default)?;
        if list.iter().any(|text| text.contains('\0')) {
            bail!("it holds NUL")
        }
        Ok(list)
    };
    let list = |key: &str| list(key).with_context(|| format!("`{key}` of its configuration is malformed"));
    let volumes = config.get("Volumes").and_then(Value::as_object);
    Ok(Image {
        volumes: volumes.into_iter().flatten().map(|(at, _)| at.clone()).collect(),
        digest: image.layers.last().map_or_else(|| image.config.clone(), |top| top.chain.clone()),
        layers: trees,
        env: list("Env")?,
        entrypoint: list("Entrypoint")?,
        cmd: list("Cmd")?,
        workdir: word("WorkingDir"),
        user: word("User"),
        stop_signal: word("StopSignal"),
    })
}

/// Sees to it that the changes that are kept of an instance were made on this image.
///
/// # Errors
///
/// That they were made on another one.
pub fn hold_to(kept: &Kept, name: &str, image: &Image) -> Result<()> {
    let dir = kept.dir.display();
    match kept.image()? {
        Some(first) if first.digest != image.digest => bail!(
            "the changes in {dir} were made on {}, and the image `{name}` is {} now: import the old image under \
             another name, give the application another `name`, or `launcher rm {}`",
            first.digest,
            image.digest,
            kept.name
        ),
        None if kept.dir.join("write/-/upper").exists() => bail!(
            "the changes in {dir} were made on layers that were no image: give the application another `name`, or \
             `launcher rm {}`",
            kept.name
        ),
        Some(first) if !first.layers.is_empty() => Ok(()),
        _ => {
            let digits = |tree: &PathBuf| Some(tree.parent()?.file_name()?.to_string_lossy().into_owned());
            let layers = image.layers.iter().filter_map(digits).collect();
            fs::create_dir_all(&kept.dir).with_context(|| format!("cannot make {dir}"))?;
            kept.set_image(&Base { digest: image.digest.clone(), name: name.to_owned(), layers })
        }
    }
}
