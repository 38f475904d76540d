//! `launcher import`: an instance that another host has exported.
//!
//! It is made in a draft, which is renamed into its place when all of it is there and has
//! been checked. The image goes into the store before, and volumes to their places: they stay
//! there if this is cut off, and nothing that was there is ever replaced.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt as _, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::image::bundle::{Contents, Tree, Unbundle};
use ::image::import::{Progress, bring};
use ::image::source::{Configuration, find, kind};
use ::image::{Digest, Limits, Store};
use anyhow::{Context, Result, bail};
use policy::{Door, Plan};
use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde_json::json;

use super::{bar, complain, ignore_closed_pipes, print, shown_on};
use crate::cli::Import;
use crate::instances::{self, Kept, Record, Word};
use crate::output::say;
use crate::portable::renamed;
use crate::state::WriteLayer;
use crate::volumes::{self, Volume};
use crate::{FAILED, input, root_image, state};

/// The policy's name in the instance's directory.
const POLICY: &str = "policy.toml";

/// Takes the instance in.
pub fn import(asked: &Import) -> Result<u8> {
    ignore_closed_pipes();
    let mut limits = Limits::default();
    asked.limit.iter().try_for_each(|text| limits.change(text))?;
    let bar = bar();
    let done = take_in(asked, &limits, Arc::new(shown_on(&bar)));
    bar.finish_and_clear();
    let done = done.with_context(|| format!("{} was not imported", asked.file.display()))?;
    let Some((name, dir)) = done else { return Ok(FAILED) };
    let policy = dir.join(POLICY);
    if asked.json {
        return print(&format!("{:#}\n", json!({ "name": name, "policy": policy.to_string_lossy() })));
    }
    print(&format!("{name}\t{}\n", policy.display()))
}

/// Opens the file, and tells how long it is.
fn open(file: &Path, progress: &dyn Fn(Progress)) -> Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let shown = || format!("{} cannot be opened", file.display());
    let about = fs::metadata(file).with_context(shown)?;
    let is_file = about.is_file();
    if !is_file && !about.file_type().is_fifo() {
        bail!(
            "it is {}: name a file that `launcher export` has written, or - for standard input",
            kind(&about)
        )
    }
    let opened = input::open(file).with_context(shown)?;
    progress(Progress::Total(is_file.then_some(about.len())));
    Ok(Box::new(opened))
}

/// None where the policy does not fit this host, which has been said.
fn take_in(
    asked: &Import,
    limits: &Limits,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<Option<(String, PathBuf)>> {
    let input = open(&asked.file, &*progress)?;
    let (mut bundle, contents, policy) = Unbundle::open(input, limits, progress.clone())?;
    let name = asked.name.as_deref().unwrap_or(&contents.name);
    if !policy::is_name(name) {
        bail!("the instance cannot be called {name:?}: {}", policy::NAME)
    }
    let place = Kept::of(name)?;
    if place.dir.exists() {
        bail!(taken(name))
    }
    let store = state::images()?;
    must_be_beside(&store)?;
    let _lock = store.lock_for_import()?;
    let drafted = store.draft()?;
    let draft = drafted.path().join("instance");
    DirBuilder::new()
        .mode(instances::DIRECTORY)
        .create(&draft)
        .context("cannot make the instance's directory")?;
    let image = match &contents.image {
        Some(wanted) => {
            let layout = drafted.path().join("image");
            bundle.image(&layout)?;
            let image = take_image(&store, wanted, &layout, asked, limits)?;
            fs::remove_dir_all(&layout).context("cannot remove the image's layout")?;
            Some(image)
        }
        None => None,
    };
    let layers =
        image.as_deref().map(|name| store.trees(&store.image(name)?)).transpose()?.unwrap_or_default();
    bundle.trees(&draft, &contents, layers)?;
    let policy = renamed(&policy, name, image.as_deref())?;
    fs::write(draft.join(POLICY), policy).context("cannot write the policy")?;
    let found =
        super::load(&draft.join(POLICY)).and_then(|policy| Ok((policy::plan(&policy, false)?, policy)));
    let (plan, policy) = match found {
        Ok(found) => found,
        Err(report) => {
            complain(&report);
            return Ok(None);
        }
    };
    let own = Kept { name: name.to_owned(), dir: draft.clone() };
    if let Some((name, image)) = &policy.image {
        root_image::hold_to(&own, name, image)?;
    }
    let write_layers = put_changes(&draft, &contents, &plan, &place.dir)?;
    let volumes = volumes::dir()?;
    let volumes: Vec<Volume> = plan.volumes().iter().map(|planned| Volume::of(planned, &volumes)).collect();
    let record = Record {
        created: true,
        policy: place.dir.join(POLICY),
        program: contents.program.iter().cloned().map(Word::Text).collect(),
        door: contents.door.as_deref().map(door).transpose()?,
        started_in: if contents.started_in.is_dir() { contents.started_in.clone() } else { "/".into() },
        write_layers,
        volumes: volumes.clone(),
    };
    own.hold()?.keep(&record)?;
    let brought = take_volumes(&draft, &contents, &volumes)?;
    let disk = File::open(&draft).context("cannot open the draft")?;
    rustix::fs::syncfs(&disk).context("cannot write the instance to the disk")?;
    let put = put_instance(&draft, &place, &brought);
    if put.is_err() {
        // What has been put in its place before goes back, and away with the draft.
        for (tree, volume) in brought.iter().filter(|(tree, _)| !tree.exists()) {
            let _ = renameat_with(CWD, &volume.dir, CWD, tree, RenameFlags::NOREPLACE);
        }
    }
    put?;
    for dir in [Some(&place.dir), brought.first().map(|(_, volume)| &volume.dir)].into_iter().flatten() {
        let above = dir.parent().unwrap_or(dir);
        let written = File::open(above).and_then(|above| above.sync_all());
        written.with_context(|| format!("cannot write {} to the disk", above.display()))?;
    }
    drafted.close().context("cannot remove the draft")?;
    Ok(Some((name.to_owned(), place.dir)))
}

/// What is brought in is moved to its place in one step, which no file system's border lets through.
fn must_be_beside(store: &Store) -> Result<()> {
    let device = |dir: &Path| fs::metadata(dir).ok().map(|about| about.dev());
    let drafts = store.drafts();
    for part in [state::part("instances")?, volumes::dir()?] {
        if device(&part).is_some_and(|other| Some(other) != device(&drafts)) {
            bail!(
                "{} and {} lie on two file systems, and an import needs them on one: set STATE_DIRECTORY to another",
                part.display(),
                drafts.display()
            )
        }
    }
    Ok(())
}

/// Puts the volumes in their places, and then the instance.
fn put_instance(draft: &Path, place: &Kept, brought: &[(PathBuf, Volume)]) -> Result<()> {
    let above = place.dir.parent().context("the instances have a directory")?;
    fs::create_dir_all(above).with_context(|| format!("cannot make {}", above.display()))?;
    if place.dir.exists() {
        bail!(taken(&place.name))
    }
    let _volumes =
        if brought.is_empty() { None } else { Some(volumes::lock(FlockOperation::LockExclusive)?) };
    for (tree, volume) in brought {
        let done = renameat_with(CWD, tree, CWD, &volume.dir, RenameFlags::NOREPLACE);
        done.with_context(|| format!("cannot put the volume `{}` at {}", volume.name, volume.dir.display()))?;
    }
    match renameat_with(CWD, draft, CWD, &place.dir, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => bail!(taken(&place.name)),
        done => done.with_context(|| format!("cannot put the instance at {}", place.dir.display())),
    }
}

fn taken(name: &str) -> String {
    format!("there is an instance `{name}` already: choose another --name, or `launcher rm {name}`")
}

/// Brings the image in, under its name or one that is free; gives that. The same image is
/// not brought in twice.
fn take_image(store: &Store, wanted: &str, layout: &Path, asked: &Import, limits: &Limits) -> Result<String> {
    let source = format!("oci:{}", layout.display());
    let found = find(&source, limits).context("the image in it")?;
    let Configuration::Written(config) = &found.config else { bail!("the image in it has no configuration") };
    let digest = Digest::of(config).to_string();
    let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
    let mut name = wanted.to_owned();
    if store.name(&name)?.exists() && store.image(&name)?.config != digest {
        name = format!("{wanted}-{short}");
        say!("launcher: there is another image `{wanted}`: the one of the instance is called `{name}` here");
    }
    if store.name(&name)?.exists() && store.image(&name)?.config == digest {
        return Ok(name);
    }
    let from = format!("import of {}", asked.file.display());
    let progress = Arc::new(|_: Progress| {});
    bring(
        store,
        &::image::Import { source: &from, name: &name, replace: false, keep: false, limits, progress },
        found,
    )?;
    Ok(name)
}

/// Puts the changes where the instance's write layers are; gives those as they will be.
fn put_changes(draft: &Path, contents: &Contents, plan: &Plan, place: &Path) -> Result<Vec<WriteLayer>> {
    let mut layers = Vec::new();
    for planned in plan.write_layers().iter().filter(|layer| layer.is_kept) {
        let dir = draft.join(&planned.name);
        let is_its = |tree: &Tree| matches!(tree, Tree::Changes { at, .. } if *at == planned.at);
        if let Some(number) = contents.trees.iter().position(is_its) {
            let tree = draft.join("trees").join(number.to_string());
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&dir)
                .context("cannot make a write layer")?;
            fs::rename(tree.join("tree"), dir.join("upper"))
                .context("cannot put the changes in their place")?;
            fs::remove_dir_all(&tree).context("cannot remove a tree")?;
            DirBuilder::new().mode(0o700).create(dir.join("work")).context("cannot make a write layer")?;
        }
        let moved = |path: &PathBuf| path.strip_prefix(draft).map_or(path.clone(), |below| place.join(below));
        layers.push(WriteLayer {
            dir: place.join(&planned.name),
            at: planned.at.clone(),
            layers: planned.layers.iter().map(moved).collect(),
        });
    }
    let put = |tree: &Tree| match tree {
        Tree::Changes { at, .. } => layers.iter().any(|layer| layer.at == *at),
        _ => true,
    };
    if let Some(Tree::Changes { at, .. }) = contents.trees.iter().find(|tree| !put(tree)) {
        bail!(
            "there are changes at {}, and the policy in it has no union there whose changes are kept",
            at.display()
        )
    }
    Ok(layers)
}

/// Takes the volumes out of the draft of the instance; gives the tree of each.
fn take_volumes(draft: &Path, contents: &Contents, volumes: &[Volume]) -> Result<Vec<(PathBuf, Volume)>> {
    let mut brought = Vec::new();
    for (number, tree) in contents.trees.iter().enumerate() {
        let Tree::Volume { at } = tree else { continue };
        let Some(volume) = volumes.iter().find(|volume| volume.at == *at) else {
            bail!("there is a volume for {} in it, and its policy has none there", at.display())
        };
        // An instance that was removed has left its own, too.
        if volume.exists() {
            bail!(
                "there is a volume `{0}` already, and one in the file: `launcher volume rm {0}` first, or export \
                 without --volumes",
                volume.name
            )
        }
        let whole = draft.join("trees").join(number.to_string());
        let aside = draft.with_file_name(format!("volume-{number}"));
        fs::rename(whole.join("tree"), &aside).context("cannot move a volume")?;
        fs::remove_dir_all(&whole).context("cannot remove a tree")?;
        brought.push((aside, volume.clone()));
    }
    Ok(brought)
}

fn door(word: &str) -> Result<Door> {
    serde_json::from_value(word.into()).with_context(|| format!("`{}` is no door", word.escape_debug()))
}
