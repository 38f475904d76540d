//! Where an image comes from, as a person writes it.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::digest::Digest;
use crate::kept::Nature;
use crate::limits::{Limits, exceeded};
use crate::manifest::{
    Descriptor, Document, Saved, check_config, check_image, check_layer, choose, diff_ids, is_index, parse,
};
use crate::members::{Members, Slice};
use crate::merge::{Layer, Union};

/// The forms.
pub const FORMS: &str = "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], rootfs:FILE, \
                         or the path of a directory or a tar archive";

/// So many indexes may stand in each other.
const NESTED: u32 = 4;

/// A layer that is to be unpacked.
pub struct Packed {
    /// Its bytes.
    pub from: From,
    /// The digest of its bytes, where the image says it.
    pub digest: Option<Digest>,
    /// The digest of its archive, where the image says it.
    pub diff: Option<Digest>,
}

/// What a layer is made from.
pub enum From {
    /// An archive, compressed or not.
    Archive(Slice),
    /// What the last layer of a union changes.
    Union(Union),
}

/// A configuration.
pub enum Configuration {
    /// As it was written.
    Written(Vec<u8>),
    /// To be made for the digests of the layers.
    Made(Maker),
}

/// Makes a configuration, given the digests of the layers' archives, lowest first.
pub type Maker = Box<dyn FnOnce(&[String]) -> Result<Vec<u8>>>;

/// An image that has been found, verified down to its layers.
pub struct Found {
    /// The manifest's digest.
    pub manifest: Option<Digest>,
    /// The configuration.
    pub config: Configuration,
    /// The layers, lowest first.
    pub layers: Vec<Packed>,
}

/// Finds the image.
///
/// # Errors
///
/// What is not there, is no image, or not what its digest says.
pub fn find(source: &str, limits: &Limits) -> Result<Found> {
    let (kind, rest) = source.split_once(':').unwrap_or(("", source));
    let found = match kind {
        "oci" => {
            let (path, tag) = tagged(rest);
            oci(&Members::in_directory(&path)?, tag, limits)
        }
        "oci-archive" => {
            let (path, tag) = tagged(rest);
            oci(
                &Members::in_archive(open(&path)?, limits).with_context(|| path.display().to_string())?,
                tag,
                limits,
            )
        }
        "docker-archive" => {
            let (path, tag) = tagged(rest);
            docker(
                &Members::in_archive(open(&path)?, limits).with_context(|| path.display().to_string())?,
                tag,
                limits,
            )
        }
        "rootfs" => plain(Path::new(rest)),
        _ if Path::new(source).exists() => plain(Path::new(source)),
        _ => bail!("there is no file or directory `{source}`; a source is {FORMS}"),
    };
    let found = found.with_context(|| format!("the source `{source}`"))?;
    if found.layers.len() as u64 > limits.layers {
        return Err(exceeded("the image's layers", found.layers.len() as u64, "layers", limits.layers));
    }
    Ok(found)
}

/// A path and what follows it; a colon in an existing path is the path's own.
fn tagged(text: &str) -> (PathBuf, Option<&str>) {
    let mut at = text.len();
    loop {
        let path = Path::new(&text[..at]);
        if path.exists() {
            return (path.into(), text.get(at + 1..).filter(|tag| !tag.is_empty()));
        }
        match text[..at].rfind(':') {
            Some(colon) => at = colon,
            None => return (text.into(), None),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let shown = || format!("{} cannot be opened", path.display());
    let about = path.metadata().with_context(shown)?;
    if !about.is_file() {
        bail!(
            "{} is {}, and an image is read from a regular file or a directory: write it to a file first",
            path.display(),
            kind(&about)
        )
    }
    let mut options = File::options();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    options.open(path).with_context(shown)
}

/// What a file is.
pub fn kind(of: &Metadata) -> &'static str {
    let of = of.file_type();
    if of.is_dir() {
        "a directory"
    } else if of.is_fifo() {
        "a pipe"
    } else if of.is_socket() {
        "a socket"
    } else if of.is_file() {
        "a regular file"
    } else {
        "a device"
    }
}

fn plain(path: &Path) -> Result<Found> {
    let from = if path.is_dir() {
        let layer = Layer { dir: path.into(), nature: Nature::Plain };
        From::Union(Union::new(vec![layer], true))
    } else {
        From::Archive(Slice::whole(open(path)?).with_context(|| path.display().to_string())?)
    };
    // With what the layers are, since the image is known by its configuration's digest.
    let config = |diffs: &[String]| {
        let rootfs = serde_json::json!({ "type": "layers", "diff_ids": diffs });
        let config = serde_json::json!({
            "os": "linux", "architecture": crate::manifest::ARCHITECTURE, "config": {}, "rootfs": rootfs,
        });
        Ok(config.to_string().into_bytes())
    };
    let layers = vec![Packed { from, digest: None, diff: None }];
    Ok(Found { manifest: None, config: Configuration::Made(Box::new(config)), layers })
}

/// Opens a blob, whose size is what its descriptor says.
fn blob(members: &Members, descriptor: &Descriptor) -> Result<(Slice, Digest)> {
    let digest = Digest::parse(&descriptor.digest)?;
    let slice = members.open(&format!("blobs/sha256/{}", digest.hex()))?;
    if slice.size() != descriptor.size {
        bail!(
            "the blob {digest} has {} bytes, and the image says {}: it is damaged or truncated; fetch it again",
            slice.size(),
            descriptor.size
        )
    }
    Ok((slice, digest))
}

/// Reads a document, whose digest is what its descriptor says.
fn read(
    members: &Members,
    descriptor: &Descriptor,
    what: &str,
    limits: &Limits,
) -> Result<(Vec<u8>, Digest)> {
    let (slice, digest) = blob(members, descriptor).with_context(|| what.to_owned())?;
    let bytes = slice.document(what, limits)?;
    let found = Digest::of(&bytes);
    if found != digest {
        bail!("{what} is {found}, and the image says {digest}: it is damaged or was changed; fetch it again")
    }
    Ok((bytes, digest))
}

fn oci(members: &Members, tag: Option<&str>, limits: &Limits) -> Result<Found> {
    let layout = members.open("oci-layout").context("it is no OCI layout")?.document("oci-layout", limits)?;
    let layout: Value = parse(&layout, "oci-layout")?;
    let version = layout.get("imageLayoutVersion").and_then(Value::as_str).unwrap_or("none");
    if !version.starts_with("1.") {
        bail!("its layout's version is `{}`, and 1 is read", version.escape_debug())
    }
    let index = members.open("index.json")?.document("index.json", limits)?;
    let mut document: Document = parse(&index, "index.json")?;
    let mut tag = tag;
    let mut digest = None;
    let mut depth = 0;
    loop {
        if document.manifests.is_some() && (document.layers.is_some() || document.config.is_some()) {
            bail!(
                "a document is a manifest and an index at once, and readers disagree about such: make the image anew"
            )
        }
        let Some(manifests) = document.manifests else { break };
        depth += 1;
        if depth > NESTED {
            bail!("more than {NESTED} indexes stand in each other")
        }
        let chosen = choose(manifests, tag.take())?;
        let media_type = chosen.media_type.as_deref();
        check_image(media_type)?;
        let (bytes, of) = read(members, &chosen, "the manifest", limits)?;
        document = parse(&bytes, "the manifest")?;
        if media_type.is_some() && is_index(media_type) != document.manifests.is_some() {
            bail!(
                "the media type `{}` is not that of what {of} holds",
                media_type.unwrap_or_default().escape_debug()
            )
        }
        digest = Some(of);
    }
    let config = document.config.context("the manifest names no configuration")?;
    check_config(config.media_type.as_deref())?;
    let (config, _) = read(members, &config, "the configuration", limits)?;
    let ids = diff_ids(&parse::<Value>(&config, "the configuration")?)?;
    let layers = pair("the manifest", &document.layers.unwrap_or_default(), ids, |layer, diff| {
        check_layer(layer.media_type.as_deref())?;
        let (slice, digest) = blob(members, layer)?;
        Ok(Packed { from: From::Archive(slice), digest: Some(digest), diff: Some(diff) })
    })?;
    Ok(Found { manifest: digest, config: Configuration::Written(config), layers })
}

fn docker(members: &Members, tag: Option<&str>, limits: &Limits) -> Result<Found> {
    let manifest = members.open("manifest.json").context("it is no archive of `docker save`")?;
    let saved: Vec<Saved> = parse(&manifest.document("manifest.json", limits)?, "manifest.json")?;
    let tags = |one: &Saved| one.tags.clone().unwrap_or_default();
    let all: Vec<String> = saved.iter().flat_map(tags).map(|tag| tag.escape_debug().to_string()).collect();
    // Docker leaves out where its own images lie.
    let known = |known: &str, tag: &str| {
        known == tag
            || ["docker.io/library/", "docker.io/"].iter().any(|place| known.strip_prefix(place) == Some(tag))
    };
    let mut fitting =
        saved.into_iter().filter(|one| tag.is_none_or(|tag| tags(one).iter().any(|name| known(name, tag))));
    let Some(chosen) = fitting.next() else {
        bail!("no image has the name `{}`; there are: {}", tag.unwrap_or_default(), all.join(", "))
    };
    if fitting.next().is_some() {
        bail!("several images are in it: add one of these names to the source, as :NAME: {}", all.join(", "))
    }
    let config = members.open(&chosen.config)?.document("the configuration", limits)?;
    // Its file is called by its digest.
    let name = chosen.config.rsplit('/').next().unwrap_or_default();
    if let Ok(digest) = Digest::parse(&format!("sha256:{}", name.trim_end_matches(".json")))
        && Digest::of(&config) != digest
    {
        bail!(
            "the configuration is {}, and its name says {digest}: it is damaged or was changed",
            Digest::of(&config)
        )
    }
    let ids = diff_ids(&parse::<Value>(&config, "the configuration")?)?;
    let layers = pair("manifest.json", &chosen.layers.unwrap_or_default(), ids, |name, diff| {
        Ok(Packed { from: From::Archive(members.open(name)?), digest: None, diff: Some(diff) })
    })?;
    Ok(Found { manifest: None, config: Configuration::Written(config), layers })
}

/// The layers that a document names, each with the digest that the configuration gives it.
fn pair<T>(
    document: &str,
    named: &[T],
    ids: Vec<String>,
    packed: impl Fn(&T, Digest) -> Result<Packed>,
) -> Result<Vec<Packed>> {
    if ids.len() != named.len() {
        bail!("{document} names {} layers, the configuration {}", named.len(), ids.len())
    }
    let both = named.iter().zip(&ids).enumerate();
    both.map(|(number, (layer, id))| {
        Digest::parse(id)
            .and_then(|diff| packed(layer, diff))
            .with_context(|| format!("layer {}", number + 1))
    })
    .collect()
}
