//! `launcher export`: an instance in one file, on standard output.

use std::io::{self, IsTerminal, Write};

use ::image::bundle::{Bundle, Contents, Tree, VERSION, measure};
use ::image::commit::{self, Base, union};
use ::image::compress::Packing;
use ::image::import::Progress;
use ::image::layout::documents;
use ::image::merge::{Layer, Union};
use ::image::{Store, kept::Nature};
use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{bar, complain, ignore_closed_pipes, shown_on};
use crate::cli::Export;
use crate::instances::{Kept, Record, Word};
use crate::output::{end_by_closed_pipe, say, standard_output};
use crate::places::{self, Place};
use crate::portable::{Portable, Source, portable};
use crate::{FAILED, instances, state};

/// Writes the instance.
pub fn export(asked: &Export) -> Result<u8> {
    ignore_closed_pipes();
    if io::stdout().is_terminal() {
        bail!("an export is nothing to read on a terminal: launcher export {0} > {0}.tar.zst", asked.name)
    }
    let held = instances::find(&asked.name)?.hold()?;
    held.must_be_idle()?;
    let store = state::images()?;
    let record = held.kept.record()?.context("the instance has no record")?;
    let policy = match super::load(&record.policy) {
        Ok(policy) => policy,
        Err(report) => {
            complain(&report);
            return Ok(FAILED);
        }
    };
    let places = places::all(&held.kept, &store)?;
    let root = policy.image.as_ref().map(|(name, _)| image_of(&store, &places, name)).transpose()?;
    let mut portable = portable(&policy, &places)?;
    for volume in &record.volumes {
        if asked.volumes {
            portable.trees.push((Tree::Volume { at: volume.at.clone() }, Source::Volume(volume.dir.clone())));
        } else {
            say!("launcher: the volume at {} stays here: --volumes takes volumes along", volume.at.display());
        }
    }
    let contents = contents(&held.kept, &record, &portable, policy.image.map(|(name, _)| name))?;
    let bar = bar();
    let progress = shown_on(&bar);
    let whole = Whole {
        store: &store,
        places: &places,
        root: root.as_ref(),
        portable: &portable,
        progress: &progress,
    };
    let done = whole.compressed(&contents);
    bar.finish_and_clear();
    if let Err(error) = &done {
        end_by_closed_pipe(error);
    }
    done.with_context(|| format!("`{}` was not exported", asked.name)).map(|()| 0)
}

/// The image at `/`: that which the changes were made on, or the one of its name where
/// none are kept.
fn image_of(store: &Store, places: &[Place], name: &str) -> Result<Base> {
    let of_place = places.iter().find_map(|place| match &place.base {
        Base::Image(image, config) => Some(Base::Image(image.clone(), config.clone())),
        Base::Directories(_) => None,
    });
    of_place.map_or_else(|| Ok(Base::Image(store.image(name)?, store.config(name)?)), Ok)
}

fn contents(kept: &Kept, record: &Record, portable: &Portable, image: Option<String>) -> Result<Contents> {
    let word = |word: &Word| match word {
        Word::Text(text) => Ok(text.clone()),
        Word::Bytes(_) => {
            bail!("the program's arguments are no UTF-8: run it with others once, and export it then")
        }
    };
    Ok(Contents {
        version: VERSION,
        name: kept.name.clone(),
        image,
        program: record.program.iter().map(word).collect::<Result<_>>()?,
        door: record
            .door
            .map(|door| serde_json::to_value(door).map(|door| door.as_str().unwrap_or_default().to_owned()))
            .transpose()?,
        started_in: record.started_in.clone(),
        trees: portable.trees.iter().map(|(tree, _)| tree.clone()).collect(),
    })
}

/// All that goes into the file.
struct Whole<'a> {
    store: &'a Store,
    places: &'a [Place],
    root: Option<&'a Base>,
    portable: &'a Portable,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Whole<'_> {
    fn compressed(&self, contents: &Contents) -> Result<()> {
        let (from, to) = io::pipe().context("cannot make a pipe")?;
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || self.write(to, contents));
            let mut out = standard_output()?;
            let compressed = Packing::Zstd.compress(from, &mut out);
            let written = writer.join().map_err(|_| anyhow::anyhow!("the writing thread ended"))?;
            compressed.context("cannot write to standard output")?;
            written
        })
    }

    fn write(&self, out: impl Write, contents: &Contents) -> Result<()> {
        let mut bundle = Bundle::new(out, contents, &self.portable.text, self.progress)?;
        if let Some(root) = self.root {
            self.image(&mut bundle, root)?;
        }
        for (number, (_, source)) in self.portable.trees.iter().enumerate() {
            self.tree(&mut bundle, source).with_context(|| format!("tree {number}"))?;
        }
        bundle.finish().map(drop)
    }

    /// The image as an OCI layout, its layers packed anew.
    fn image(&self, bundle: &mut Bundle<'_, impl Write>, base: &Base) -> Result<()> {
        let Base::Image(_, config) = base else { return Ok(()) };
        let unions = (0..base.depth()).map(|number| union(self.store, base, None, number));
        let unions: Vec<Union> = unions.collect::<Result<_>>()?;
        let measured = unions.iter().map(measure).collect::<Result<Vec<_>>>()?;
        let diffs: Vec<String> = measured.iter().map(|blob| blob.digest.to_string()).collect();
        let config = commit::repacked(config, &diffs)?;
        let layers: Vec<Value> =
            measured.iter().map(|blob| blob.descriptor(Packing::None.media_type())).collect();
        for (name, bytes) in documents(&config, &layers)? {
            bundle.image_file(&name, &bytes)?;
        }
        let mut written = std::collections::HashSet::new();
        for (union, measured) in unions.iter().zip(&measured) {
            // Two layers may be the same.
            if written.insert(&measured.digest) {
                bundle.image_layer(union, measured)?;
            }
        }
        Ok(())
    }

    fn tree(&self, bundle: &mut Bundle<'_, impl Write>, source: &Source) -> Result<()> {
        let plain = |dirs: &[std::path::PathBuf]| {
            let layer = |dir: &std::path::PathBuf| Layer { dir: dir.clone(), nature: Nature::of_host(dir) };
            Union::new(dirs.iter().map(layer).collect(), true)
        };
        match source {
            Source::Path(path) if path.is_dir() => bundle.tree(&plain(std::slice::from_ref(path))),
            Source::Path(path) => bundle.file(path),
            Source::Layers(layers) => bundle.tree(&plain(layers)),
            Source::Volume(dir) => {
                // What is whose is told as for what the application has changed.
                let nature = Nature::Written { over_image: self.root.is_some(), book: self.store.book() };
                bundle.tree(&Union::new(vec![Layer { dir: dir.clone(), nature }], true))
            }
            Source::Changes(number) => {
                let place = self.places.get(*number).context("a place")?;
                bundle.tree(&place.union(self.store)?)
            }
        }
    }
}
