//! The image that a policy puts at `/`: its layers, and what its configuration
//! says of the start.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use policy::Image;
use serde_json::Value;

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
    Ok(Image {
        digest: image.layers.last().map_or_else(|| image.config.clone(), |top| top.chain.clone()),
        layers: store.trees(&image)?,
        env: list("Env")?,
        entrypoint: list("Entrypoint")?,
        cmd: list("Cmd")?,
        workdir: word("WorkingDir"),
        user: word("User"),
        stop_signal: word("StopSignal"),
    })
}

/// Sees to it that the changes that are kept for an application were made on this image.
///
/// # Errors
///
/// That they were made on another one.
pub fn hold_to(kept: &Path, name: &str, image: &Image) -> Result<()> {
    let note = kept.join("image");
    match fs::read_to_string(&note) {
        Ok(first) if first == image.digest => Ok(()),
        Ok(first) => bail!(
            "the changes in {} were made on {first}, and the image `{name}` is {} now: import the old image under \
             another name, give the application another `name`, or remove the directory with its changes",
            kept.display(),
            image.digest
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if kept.join("write/-/upper").exists() {
                bail!(
                    "the changes in {} were made on layers that were no image: give the application another `name`, \
                     or remove the directory with its changes",
                    kept.display()
                )
            }
            let draft = kept.join(format!(".image-{}", std::process::id()));
            fs::create_dir_all(kept)
                .and_then(|()| fs::write(&draft, &image.digest))
                .and_then(|()| fs::rename(&draft, &note))
                .with_context(|| format!("cannot write {}", note.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", note.display())),
    }
}
