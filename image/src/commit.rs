//! Making an image of what an instance has become: its image's layers, and one
//! more of what it has changed.
//!
//! The store keeps layers unpacked, so those of an OCI layout are packed anew, but
//! for those whose archives are kept as well. In the store itself they stay what they
//! are, and the new image shares them.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::compress::Packing;
use crate::compression::{Compression, sniff};
use crate::digest::{Digest, Hashed};
use crate::import::{ARCHIVE, Import, Progress, bring};
use crate::kept::Nature;
use crate::layout::{self, Layout};
use crate::limits::Limits;
use crate::manifest::ARCHITECTURE;
use crate::merge::{Layer, Union};
use crate::owners::Owners;
use crate::pack::pack;
use crate::source::{Configuration, Found, From, Packed};
use crate::store::{Image, Store};

/// What an image configuration may have at its top, by OCI's specification.
const KNOWN: [&str; 10] = [
    "created",
    "author",
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "config",
    "rootfs",
    "history",
];

/// What lies below the changes.
pub enum Base {
    /// An image, and the configuration that it has.
    Image(Image, Value),
    /// Directories of the host's, the lowest first.
    Directories(Vec<PathBuf>),
}

/// What is said of the start, over the image's own configuration; none: as that says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Variables to set.
    pub set: Vec<(String, String)>,
    /// Variables to take away.
    pub unset: Vec<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Who it runs as; empty: nobody in particular.
    pub user: Option<String>,
}

/// An image to be made.
pub struct Commit<'a> {
    /// The store that the base is in.
    pub store: &'a Store,
    /// What lies below.
    pub base: Base,
    /// The write layer's own tree.
    pub upper: PathBuf,
    /// What is said of the start.
    pub settings: Settings,
    /// What made it, for the image's history.
    pub by: String,
    /// When, in seconds since 1970.
    pub created: u64,
    /// Told of how many bytes have been packed.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Commit<'_> {
    /// Writes it into an OCI layout, and gives the manifest's digest.
    ///
    /// # Errors
    ///
    /// What cannot be read, said in a layer, or written; the layout is as it was.
    pub fn to_layout(&self, dir: &std::path::Path, tag: &str, packing: Packing) -> Result<Digest> {
        let layout = Layout::open(dir)?;
        let (mut layers, mut diffs) = (Vec::new(), Vec::new());
        for number in 0..=self.base.depth() {
            let union = self.union(number)?;
            let what = || format!("layer {} of {}", number + 1, self.base.depth() + 1);
            if let Some((mut archive, packing, diff)) = self.kept(number).with_context(what)? {
                let (blob, _) = layout.blob(|out| Ok(io::copy(&mut archive, out)?)).with_context(what)?;
                layers.push(blob.descriptor(packing.media_type()));
                diffs.push(diff);
                continue;
            }
            let (blob, diff) = layout.blob(|out| self.packed(&union, packing, out)).with_context(what)?;
            layers.push(blob.descriptor(packing.media_type()));
            diffs.push(diff.to_string());
        }
        let config = layout.bytes(&self.config(&diffs)?)?;
        let manifest = layout.bytes(&layout::manifest(&config, &layers)?)?;
        layout.publish(tag, &manifest)?;
        Ok(manifest.digest)
    }

    /// Puts it into the store.
    ///
    /// # Errors
    ///
    /// As an import does.
    pub fn to_store(&self, name: &str, replace: bool, limits: &Limits) -> Result<Image> {
        let mut layers = Vec::new();
        for number in 0..=self.base.depth() {
            let diff = match &self.base {
                Base::Image(image, _) => {
                    image.layers.get(number).map(|layer| Digest::parse(&layer.diff)).transpose()?
                }
                Base::Directories(_) => None,
            };
            layers.push(Packed { from: From::Union(self.union(number)?), digest: None, diff });
        }
        let (base, settings, by, created) =
            (self.base.config(), self.settings.clone(), self.by.clone(), self.created);
        let make = move |diffs: &[String]| config(base, &settings, &by, created, diffs);
        let found = Found { manifest: None, config: Configuration::Made(Box::new(make)), layers };
        let asked =
            Import { source: &self.by, name, replace, keep: false, limits, progress: self.progress.clone() };
        bring(self.store, &asked, found)
    }

    /// The archive that a layer of the image came with, and the digest of what is in it.
    fn kept(&self, number: usize) -> Result<Option<(File, Packing, String)>> {
        let Base::Image(image, _) = &self.base else { return Ok(None) };
        let Some(layer) = image.layers.get(number) else { return Ok(None) };
        let path = self.store.layer(&Digest::parse(&layer.chain)?).join(ARCHIVE);
        let shown = || format!("cannot read {}", path.display());
        let mut archive = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(shown)?,
        };
        let mut head = Vec::new();
        (&mut archive).take(8).read_to_end(&mut head).with_context(shown)?;
        archive.seek(io::SeekFrom::Start(0)).with_context(shown)?;
        let packing = match sniff(&head) {
            Compression::Gzip => Packing::Gzip,
            Compression::Zstd => Packing::Zstd,
            _ => Packing::None,
        };
        Ok(Some((archive, packing, layer.diff.clone())))
    }

    /// The union whose last layer is this one.
    fn union(&self, last: usize) -> Result<Union> {
        union(self.store, &self.base, Some(&self.upper), last)
    }

    fn config(&self, diffs: &[String]) -> Result<Vec<u8>> {
        config(self.base.config(), &self.settings, &self.by, self.created, diffs)
    }

    /// Packs and compresses a layer; gives the digest of its archive.
    fn packed(&self, union: &Union, packing: Packing, out: &mut dyn io::Write) -> Result<Digest> {
        let (from, to) = io::pipe().context("cannot make a pipe")?;
        let progress = self.progress.clone();
        let mut last = 0;
        let mut archive = Hashed::new(from, move |count| {
            progress(Progress::Read(count - last));
            last = count;
            Ok(())
        });
        std::thread::scope(|scope| {
            let packer = scope.spawn(move || pack(union, to).map(drop));
            let compressed = packing.compress(&mut archive, out);
            // With it goes the pipe: the packer does not wait for a reader that has gone.
            let (diff, _) = archive.finish();
            let packed = packer.join().map_err(|_| anyhow::anyhow!("the packing thread ended"))?;
            compressed.and(packed)?;
            Ok(diff)
        })
    }
}

/// The layers of a base up to one of them, and the write layer after the last.
///
/// # Errors
///
/// A record of the store's that is malformed.
pub fn union(store: &Store, base: &Base, upper: Option<&std::path::Path>, last: usize) -> Result<Union> {
    let mut layers = Vec::new();
    match base {
        Base::Image(image, _) => {
            for dir in store.trees(image)? {
                let owners = Owners::of(dir.with_file_name("owners"));
                layers.push(Layer { dir, nature: Nature::Stored(owners) });
            }
        }
        Base::Directories(directories) => {
            layers.extend(
                directories.iter().map(|dir| Layer { dir: dir.clone(), nature: Nature::of_host(dir) }),
            );
        }
    }
    let over_image = matches!(base, Base::Image(..));
    layers.extend(
        upper
            .map(|dir| Layer { dir: dir.into(), nature: Nature::Written { over_image, book: store.book() } }),
    );
    layers.truncate(last + 1);
    Ok(Union::new(layers, true))
}

impl Base {
    /// How many layers it has.
    pub fn depth(&self) -> usize {
        match self {
            Base::Image(image, _) => image.layers.len(),
            Base::Directories(directories) => directories.len(),
        }
    }

    fn config(&self) -> Value {
        match self {
            Base::Image(_, config) => config.clone(),
            Base::Directories(_) => json!({}),
        }
    }
}

/// The configuration of an image whose layers have been packed anew.
///
/// # Errors
///
/// A configuration that is none.
pub fn repacked(base: &Value, diffs: &[String]) -> Result<Vec<u8>> {
    let mut config = base.as_object().context("the image's configuration is no object")?.clone();
    config.retain(|key, _| KNOWN.contains(&key.as_str()));
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diffs }));
    Ok(serde_json::to_vec(&config)?)
}

/// The configuration of the new image.
fn config(base: Value, settings: &Settings, by: &str, created: u64, diffs: &[String]) -> Result<Vec<u8>> {
    let created = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(created));
    let Value::Object(mut config) = base else { anyhow::bail!("the image's configuration is no object") };
    config.retain(|key, _| KNOWN.contains(&key.as_str()));
    config.insert("created".into(), created.to_string().into());
    for (key, value) in [("os", "linux"), ("architecture", ARCHITECTURE)] {
        if config.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
            config.insert(key.into(), value.into());
        }
    }
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diffs }));
    let history = config.remove("history").and_then(|value| value.as_array().cloned()).unwrap_or_default();
    let is_of_layer = |one: &&Value| one.get("empty_layer").and_then(Value::as_bool) != Some(true);
    let below = diffs.len().saturating_sub(1);
    // Each layer has its line; where they do not match, nothing is known of any.
    let mut history = if history.iter().filter(is_of_layer).count() == below {
        history
    } else {
        vec![json!({ "comment": "a layer of the image below" }); below]
    };
    history.push(json!({ "created": created.to_string(), "created_by": by }));
    config.insert("history".into(), history.into());
    let start = config.entry("config").or_insert_with(|| json!({}));
    if start.is_null() {
        *start = json!({});
    }
    settings.put_over(start.as_object_mut().context("the image's `config` is no object")?);
    Ok(serde_json::to_vec(&config)?)
}

impl Settings {
    fn put_over(&self, config: &mut Map<String, Value>) {
        let env = config.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
        let name = |value: &Value| value.as_str().and_then(|text| text.split('=').next()).map(str::to_owned);
        let set: Vec<Value> = self.set.iter().map(|(name, value)| format!("{name}={value}").into()).collect();
        // What stays as it was keeps its place.
        let stays = |one: &Value| {
            let name = name(one).unwrap_or_default();
            set.contains(one)
                || !(self.unset.contains(&name) || self.set.iter().any(|(known, _)| *known == name))
        };
        let mut kept: Vec<Value> = env.into_iter().filter(stays).collect();
        let added: Vec<Value> = set.iter().filter(|one| !kept.contains(one)).cloned().collect();
        kept.extend(added);
        let words = [("WorkingDir", &self.workdir), ("User", &self.user)];
        for (key, value) in words.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            if value.is_empty() {
                config.remove(key);
            } else {
                config.insert(key.into(), value.clone().into());
            }
        }
        if kept.is_empty() {
            config.remove("Env");
        } else {
            config.insert("Env".into(), kept.into());
        }
    }
}
