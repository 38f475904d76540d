//! `launcher diff`: what an instance has changed.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};
use image::diff::diff;
use serde_json::{Value, json};

use super::print;
use crate::cli::Diff;
use crate::{instances, places, state};

/// Lists the changes of all its unions.
pub fn run(asked: &Diff) -> Result<u8> {
    let kept = instances::find(&asked.name)?;
    let store = state::images()?;
    let (mut text, mut rows) = (String::new(), Vec::new());
    for place in places::all(&kept, &store)? {
        let shown = || format!("the changes of `{}` at {}", kept.name, place.at.display());
        for change in diff(&place.union(&store)?).with_context(shown)? {
            let at = place.at.as_os_str().as_bytes();
            let at = at.strip_suffix(b"/").unwrap_or(at);
            let below = if change.path.is_empty() { Vec::new() } else { [b"/", &change.path[..]].concat() };
            let path = [at, &below].concat();
            let path = if path.is_empty() { b"/".to_vec() } else { path };
            let path = String::from_utf8_lossy(&path);
            let letter = change.kind.letter();
            writeln!(text, "{letter} {}", plain(&path))?;
            rows.push(json!({ "change": letter.to_string(), "path": path }));
        }
    }
    if asked.json { print(&format!("{:#}\n", Value::from(rows))) } else { print(&text) }
}

/// A path that a program has named, on one line and without what moves the cursor.
fn plain(path: &str) -> String {
    path.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            let whole = if escaped.is_none() { Some(letter) } else { None };
            escaped.into_iter().flatten().chain(whole)
        })
        .collect()
}
