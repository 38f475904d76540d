//! `launcher commit`: an image of what an instance has become.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use image::Limits;
use image::commit::{Commit, Settings};
use image::compress::Packing;
use image::diff::diff;
use serde_json::json;

use super::{bar, complain, ignore_closed_pipes, print};
use crate::cli::{self, Compression};
use crate::output::say;
use crate::places::{self, Place};
use crate::{FAILED, instances, state};

/// Makes the image.
pub fn commit(asked: &cli::Commit) -> Result<u8> {
    ignore_closed_pipes();
    let held = instances::find(&asked.name)?.hold()?;
    held.must_be_idle()?;
    let store = state::images()?;
    let mut root = None;
    for place in places::all(&held.kept, &store)? {
        if place.at == Path::new("/") {
            root = Some(place);
        } else if !diff(&place.union(&store)?)?.is_empty() {
            say!(
                "launcher: the changes at {} stay with the instance: what is mounted is no part of the image",
                place.at.display()
            );
        }
    }
    let Some(Place { base, upper, .. }) = root else {
        bail!(
            "no changes to a root of its own are kept for `{}`, so there is nothing to make an image of: its policy \
             needs [root] with an image or layers, and write = \"private\"",
            asked.name
        )
    };
    let settings = if asked.image_config {
        Settings::default()
    } else {
        let record = held.kept.record()?.context("the instance has no record")?;
        match super::load(&record.policy) {
            Ok(policy) => Settings {
                set: policy.env.set.into_iter().collect(),
                unset: policy.env.unset,
                workdir: policy.workdir.map(|path| path.to_string_lossy().into_owned()),
                user: Some(policy.user.unwrap_or_default()),
            },
            Err(report) => {
                complain(&report);
                say!(
                    "launcher: what the policy says of the start becomes a part of the image; --image-config leaves it out"
                );
                return Ok(FAILED);
            }
        }
    };
    let bar = bar();
    let commit = Commit {
        store: &store,
        base,
        upper,
        settings,
        by: format!("launcher commit {}", asked.name),
        created: created()?,
        progress: Arc::new(super::shown_on(&bar)),
    };
    let done = match asked.target.strip_prefix("oci:") {
        Some(layout) => to_layout(&commit, layout, asked.compression),
        None => to_store(&commit, asked),
    };
    bar.finish_and_clear();
    let (words, value) = done.with_context(|| format!("`{}` was not committed", asked.name))?;
    if asked.json { print(&format!("{value:#}\n")) } else { print(&format!("{words}\n")) }
}

type Done = Result<(String, serde_json::Value)>;

fn to_layout(commit: &Commit<'_>, target: &str, compression: Compression) -> Done {
    let (dir, tag) = tagged(target)?;
    let packing = match compression {
        Compression::Gzip => Packing::Gzip,
        Compression::Zstd => Packing::Zstd,
    };
    let digest = commit.to_layout(Path::new(dir), tag, packing)?;
    Ok((
        format!("oci:{dir}:{tag}\t{digest}"),
        json!({ "layout": dir, "tag": tag, "manifest": digest.to_string() }),
    ))
}

fn to_store(commit: &Commit<'_>, asked: &cli::Commit) -> Done {
    let mut limits = Limits::default();
    asked.limit.iter().try_for_each(|text| limits.change(text))?;
    let image = commit.to_store(&asked.target, asked.replace, &limits)?;
    Ok((format!("{}\t{}", image.name, image.config), serde_json::to_value(&image)?))
}

/// A directory and what follows it, which has no slash; `latest` where nothing does.
fn tagged(target: &str) -> Result<(&str, &str)> {
    let split = target.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (dir, tag) = split.unwrap_or((target, "latest"));
    // The grammar of org.opencontainers.image.ref.name, as umoci and skopeo take it.
    let is_good = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'-');
    if dir.is_empty() {
        bail!("`oci:{target}` names no directory: write oci:DIR:TAG")
    }
    if tag.is_empty()
        || tag.len() > 128
        || !tag.bytes().all(is_good)
        || !tag.as_bytes()[0].is_ascii_alphanumeric()
    {
        bail!("`{}` cannot be a tag: letters, digits, `.`, `_` and `-` can be in it", tag.escape_debug())
    }
    Ok((dir, tag))
}

/// When it is made: as SOURCE_DATE_EPOCH says, so that the same can be made again, or now.
fn created() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {text:?}"))
        }
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
    }
}
