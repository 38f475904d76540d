//! A policy that can be taken along: what it names of the old host by relative paths, and all
//! layers of its unions, become directories beside it.
//!
//! A source that is an absolute path is the host's own, there as here: it stays what it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::bundle::Tree;
use image::commit::Base;
use policy::{Mount, Policy, What};
use toml_edit::{Document, DocumentMut, Item, value};

use crate::places::Place;

/// A directory, or one file, to be taken along.
pub enum Source {
    /// A directory or a file of the host's.
    Path(PathBuf),
    /// A layer over others, all of the host's, the lowest first.
    Layers(Vec<PathBuf>),
    /// The changes to the union of this number.
    Changes(usize),
    /// The directory of a volume.
    Volume(PathBuf),
}

/// A policy that can be taken along, and what it needs.
pub struct Portable {
    /// Its text.
    pub text: String,
    /// The trees, and what they are made of.
    pub trees: Vec<(Tree, Source)>,
}

/// The path of a tree, relative to the policy of a bundle.
fn path_of(number: usize) -> String {
    format!("./trees/{number}/tree")
}

/// Makes a policy portable, with the changes to the unions that it has.
///
/// # Errors
///
/// A policy that has changed since the instance ran.
pub fn portable(policy: &Policy, places: &[Place]) -> Result<Portable> {
    let mut text: DocumentMut = policy.text.parse().context("the policy is no TOML")?;
    let spans = Document::parse(policy.text.as_str()).context("the policy is no TOML")?;
    let mut trees = Vec::new();
    let mut taken = vec![false; places.len()];
    let count = spans.get("mount").and_then(|mounts| {
        mounts
            .as_array()
            .map(toml_edit::Array::len)
            .or(mounts.as_array_of_tables().map(toml_edit::ArrayOfTables::len))
    });
    let of_table = |number: usize| -> Option<&Mount> {
        let at = spans.get("mount")?.get(number)?.get("at")?.span()?;
        policy.mounts.iter().find(|mount| mount.span == at)
    };
    let of_root = policy.mounts.iter().find(|mount| mount.at == Path::new("/"));
    let tables = (0..count.unwrap_or(0)).filter_map(|number| Some((Some(number), of_table(number)?)));
    let root = of_root.filter(|_| spans.get("root").is_some()).map(|mount| (None, mount));
    for (number, mount) in tables.chain(root) {
        let table = match number {
            Some(number) => text.get_mut("mount").and_then(|mounts| mounts.get_mut(number)),
            None => text.get_mut("root"),
        };
        let table =
            table.with_context(|| format!("the mount at {} is not in the policy", mount.at.display()))?;
        match &mount.what {
            What::Host { source, is_dir }
                if table.get("source").and_then(Item::as_str).is_some_and(is_beside) =>
            {
                let name = if *is_dir { None } else { source.file_name() };
                let path = path_of(trees.len());
                let path = name.map_or(path.clone(), |name| format!("{path}/{}", name.to_string_lossy()));
                table["source"] = value(path.replace('$', "$$"));
                trees.push((Tree::Source, Source::Path(source.clone())));
            }
            What::Layers { layers, .. } => {
                let of_image = table.get("image").is_some();
                let place = place_of(places, &taken, mount, layers);
                let over = (!of_image).then(|| take_layers(table, layers, &mut trees)).transpose()?;
                if let Some(number) = place {
                    taken[number] = true;
                    let at = places[number].at.clone();
                    trees.push((Tree::Changes { at, over }, Source::Changes(number)));
                }
            }
            _ => {}
        }
    }
    if let Some(left) = taken.iter().position(|taken| !taken) {
        bail!(
            "the policy has no union with these layers at {} any more, and there are changes to it: put the policy \
             back as it was",
            places[left].at.display()
        )
    }
    for (name, file) in &policy.network.names.peers {
        let said = text.get_mut("names").and_then(|names| names.get_mut(name));
        if let (Some(said), Some(last)) = (said, file.file_name())
            && said.as_str().is_some_and(is_beside)
        {
            let path = format!("{}/{}", path_of(trees.len()), last.to_string_lossy());
            *said = value(path.replace('$', "$$"));
            trees.push((Tree::Source, Source::Path(file.clone())));
        }
    }
    Ok(Portable { text: text.to_string(), trees })
}

/// Whether a source lies beside the policy: it is relative, and not the host's by a variable.
fn is_beside(said: &str) -> bool {
    !said.starts_with(['/', '$'])
}

/// The place whose changes are those to a mount: the one at its app path, or, where that leads
/// through a link, one with its layers that is no other mount's.
fn place_of(places: &[Place], taken: &[bool], mount: &Mount, layers: &[PathBuf]) -> Option<usize> {
    let stands_on = |place: &Place| match &place.base {
        Base::Image(..) => mount.at == Path::new("/"),
        Base::Directories(below) => below == layers,
    };
    let free = || places.iter().enumerate().filter(|(number, place)| !taken[*number] && stands_on(place));
    let found = free().find(|(_, place)| place.at == mount.at).or_else(|| free().next());
    found.map(|(number, _)| number)
}

/// Has a table name trees in the place of its layers; gives their numbers.
fn take_layers(table: &mut Item, layers: &[PathBuf], trees: &mut Vec<(Tree, Source)>) -> Result<Vec<usize>> {
    let mut over = Vec::new();
    let mut list = toml_edit::Array::new();
    for number in 0..layers.len() {
        let tree = if over.is_empty() { Tree::Source } else { Tree::Layer { over: over.clone() } };
        let below = layers.get(..=number).context("a layer")?;
        list.push(path_of(trees.len()));
        over.push(trees.len());
        trees.push((tree, Source::Layers(below.to_vec())));
    }
    table["layers"] = value(list);
    Ok(over)
}

/// The same policy for an instance of this name, on an image of this name.
///
/// # Errors
///
/// A policy that is no TOML.
pub fn renamed(policy: &str, name: &str, image: Option<&str>) -> Result<String> {
    let mut text: DocumentMut = policy.parse().context("the policy is no TOML")?;
    let table = |item: &mut Item| {
        if !item.is_table_like() {
            *item = toml_edit::table();
        }
    };
    table(&mut text["app"]);
    text["app"]["name"] = value(name);
    if let Some(image) = image {
        table(&mut text["root"]);
        text["root"]["image"] = value(image);
    }
    Ok(text.to_string())
}
