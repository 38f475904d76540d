//! `launcher image`: the store of images, as a person sees it.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result};
use image::{Image, Import, Limits, Store};
use serde_json::{Value, json};

use super::{bar, ignore_closed_pipes, print, shown_on};
use crate::cli::ImageVerb;
use crate::{removal, state};

/// What the words of a configuration are called, in its JSON and here.
const CONFIG: [(&str, &str); 9] = [
    ("User", "user"),
    ("WorkingDir", "workdir"),
    ("Entrypoint", "entrypoint"),
    ("Cmd", "cmd"),
    ("Env", "env"),
    ("Volumes", "volumes"),
    ("ExposedPorts", "ports"),
    ("StopSignal", "stop signal"),
    ("Labels", "labels"),
];

/// Does what is asked of the store.
pub fn image(verb: &ImageVerb) -> Result<u8> {
    let store = state::images()?;
    match verb {
        ImageVerb::Import { source, name, replace, keep_archives, limit, json } => {
            let mut limits = Limits::default();
            limit.iter().try_for_each(|text| limits.change(text))?;
            ignore_closed_pipes();
            let bar = bar();
            let progress = Arc::new(shown_on(&bar));
            let asked =
                Import { source, name, replace: *replace, keep: *keep_archives, limits: &limits, progress };
            let done = image::import(&store, &asked);
            bar.finish_and_clear();
            let image = done.with_context(|| format!("the image `{name}` was not imported"))?;
            if *json {
                return print(&format!("{:#}\n", serde_json::to_value(&image)?));
            }
            print(&format!("{}\t{}\n", image.name, image.config))
        }
        ImageVerb::Ls { json } => list(&store, *json),
        ImageVerb::Show { name, json } => show(&store, name, *json),
        ImageVerb::Rm { name } => store.remove(name).map(|()| 0),
        ImageVerb::Gc { json } => {
            let done = store.collect()?;
            removal::tidy()?;
            if *json {
                return print(&format!("{}\n", json!({ "layers": done.layers, "drafts": done.drafts })));
            }
            print(&format!(
                "removed {} and {}\n",
                counted(done.layers, "layer"),
                counted(done.drafts, "draft")
            ))
        }
    }
}

fn created(config: &Value) -> &str {
    config.get("created").and_then(Value::as_str).unwrap_or("-")
}

fn size(image: &Image) -> u64 {
    image.layers.iter().map(|layer| layer.size).sum()
}

/// Text of an image's, as it can be shown on a terminal.
fn safe(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// `1 layer`, `2 layers`.
fn counted(number: impl Into<u64>, what: &str) -> String {
    let number = number.into();
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn list(store: &Store, json: bool) -> Result<u8> {
    let mut rows = Vec::new();
    let mut text = format!("{:24} {:12} {:>12} {:>6} {}\n", "NAME", "DIGEST", "SIZE", "LAYERS", "CREATED");
    for image in store.list()? {
        let config = store.config(&image.name)?;
        let digest = image.config.trim_start_matches("sha256:");
        let short = digest.get(..12).unwrap_or(digest);
        let (bytes, layers) = (size(&image), image.layers.len());
        writeln!(text, "{:24} {short} {bytes:>12} {layers:>6} {}", image.name, safe(created(&config)))?;
        rows.push(json!({
            "name": image.name, "digest": image.config, "size": bytes, "layers": layers,
            "created": config.get("created"),
        }));
    }
    if json { print(&format!("{:#}\n", Value::from(rows))) } else { print(&text) }
}

fn show(store: &Store, name: &str, json: bool) -> Result<u8> {
    let image = store.image(name)?;
    let config = store.config(name)?;
    let trees: Vec<String> = store.trees(&image)?.iter().map(|tree| tree.display().to_string()).collect();
    if json {
        let all = json!({
            "name": image.name, "source": image.source, "manifest": image.manifest, "digest": image.config,
            "size": size(&image), "layers": image.layers, "trees": trees, "config": config,
        });
        return print(&format!("{all:#}\n"));
    }
    let word = |key: &str| safe(config.get(key).and_then(Value::as_str).unwrap_or("-"));
    let mut text = format!("name          {}\nsource        {}\n", image.name, safe(&image.source));
    writeln!(text, "digest        {}", image.config)?;
    writeln!(text, "manifest      {}", image.manifest.as_deref().unwrap_or("-"))?;
    writeln!(text, "platform      {}/{}", word("os"), word("architecture"))?;
    writeln!(text, "created       {}", safe(created(&config)))?;
    writeln!(text, "size          {}", size(&image))?;
    for (key, shown) in CONFIG {
        match config.get("config").and_then(|config| config.get(key)) {
            None | Some(Value::Null) => {}
            Some(Value::String(value)) => writeln!(text, "{shown:13} {}", safe(value))?,
            Some(value) => writeln!(text, "{shown:13} {}", safe(&value.to_string()))?,
        }
    }
    for (layer, tree) in image.layers.iter().zip(trees) {
        writeln!(
            text,
            "layer         {} {:>12} bytes {:>8} entries\n              {tree}",
            layer.diff, layer.size, layer.entries
        )?;
    }
    print(&text)
}
