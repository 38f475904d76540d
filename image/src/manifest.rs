//! The JSON of OCI and Docker: which image of an index, and which layers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The annotation that holds a tag.
pub const TAG: &str = "org.opencontainers.image.ref.name";

/// A blob, as a document names it.
#[derive(Clone, Debug, Deserialize)]
pub struct Descriptor {
    /// What it is.
    #[serde(rename = "mediaType", default)]
    pub media_type: Option<String>,
    /// Its digest.
    pub digest: String,
    /// Its size.
    pub size: u64,
    platform: Option<Platform>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// An index or a manifest, which must not be both.
#[derive(Deserialize)]
pub struct Document {
    /// The images of an index.
    pub manifests: Option<Vec<Descriptor>>,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image.
    pub layers: Option<Vec<Descriptor>>,
}

/// An image in a `docker save` archive.
#[derive(Deserialize)]
pub struct Saved {
    /// The configuration's file.
    #[serde(rename = "Config")]
    pub config: String,
    /// Its names.
    #[serde(rename = "RepoTags")]
    pub tags: Option<Vec<String>>,
    /// The layers' files.
    #[serde(rename = "Layers")]
    pub layers: Option<Vec<String>>,
}

/// Reads a document.
///
/// # Errors
///
/// What is no such document.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| format!("{what} is not what it should be"))
}

impl Descriptor {
    fn tag(&self) -> Option<&str> {
        self.annotations.as_ref()?.get(TAG).map(String::as_str)
    }

    fn platform(&self) -> String {
        let Some(platform) = &self.platform else { return "no platform".into() };
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".into());
        let variant = platform.variant.as_ref().map_or(String::new(), |variant| format!("/{variant}"));
        format!("{}/{}{variant}", part(&platform.os), part(&platform.architecture)).escape_debug().to_string()
    }

    /// How well the platform fits, the smallest best; none where it does not.
    fn fit(&self) -> Option<u32> {
        let Some(platform) = &self.platform else { return Some(1) };
        let fits =
            platform.os.as_deref() == Some("linux") && platform.architecture.as_deref() == Some(ARCHITECTURE);
        fits.then_some(())?;
        // Of amd64's levels the lowest runs on every host.
        match platform.variant.as_deref() {
            None | Some("" | "v1") => Some(0),
            Some(variant) => variant.strip_prefix('v')?.parse().ok(),
        }
    }
}

/// This host's, in OCI's words.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The one image of an index with a tag and for this host.
///
/// # Errors
///
/// None, or several; what there is.
pub fn choose(found: Vec<Descriptor>, tag: Option<&str>) -> Result<Descriptor> {
    let listed = |what: &mut dyn Iterator<Item = String>| {
        let mut all: Vec<String> = what.collect();
        all.dedup();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    };
    let shown = |tag: &str| tag.escape_debug().to_string();
    let tags = listed(&mut found.iter().filter_map(Descriptor::tag).map(shown));
    let tagged: Vec<Descriptor> =
        found.into_iter().filter(|one| tag.is_none_or(|tag| one.tag() == Some(tag))).collect();
    if tagged.is_empty() {
        match tag {
            Some(tag) => bail!("no image has the tag `{tag}`; the tags are: {tags}"),
            None => bail!("the index holds no image"),
        }
    }
    let platforms = listed(&mut tagged.iter().map(Descriptor::platform));
    let mut fitting: Vec<(u32, Descriptor)> =
        tagged.into_iter().filter_map(|one| Some((one.fit()?, one))).collect();
    fitting.sort_by_key(|(fit, _)| *fit);
    let best = fitting.first().map(|(fit, _)| *fit);
    let mut best = fitting.into_iter().filter(|(fit, _)| Some(*fit) == best).map(|(_, one)| one);
    let Some(chosen) = best.next() else {
        bail!("no image is for linux/{ARCHITECTURE}; there are: {platforms}")
    };
    if best.any(|other| other.digest != chosen.digest) {
        bail!("several images fit: add one of these tags to the source, as :TAG: {tags}")
    }
    Ok(chosen)
}

/// Whether a descriptor is of an index, where it says so.
pub fn is_index(media_type: Option<&str>) -> bool {
    matches!(
        media_type,
        Some(
            "application/vnd.oci.image.index.v1+json"
                | "application/vnd.docker.distribution.manifest.list.v2+json"
        )
    )
}

/// Checks what an index names.
///
/// # Errors
///
/// A media type of something else than images.
pub fn check_image(media_type: Option<&str>) -> Result<()> {
    match media_type {
        None
        | Some(
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json",
        ) => Ok(()),
        other if is_index(other) => Ok(()),
        Some(other) => bail!("the media type `{}` is of no image", other.escape_debug()),
    }
}

/// Checks a configuration's media type.
///
/// # Errors
///
/// Another one.
pub fn check_config(media_type: Option<&str>) -> Result<()> {
    match media_type {
        None
        | Some(
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json",
        ) => Ok(()),
        Some(other) => {
            bail!("the configuration's media type `{}` is of no image that runs", other.escape_debug())
        }
    }
}

/// Checks a layer's media type.
///
/// # Errors
///
/// One that cannot be unpacked, with the reason.
pub fn check_layer(media_type: Option<&str>) -> Result<()> {
    let Some(kind) = media_type else { return Ok(()) };
    if kind.contains("nondistributable") || kind.contains("foreign") {
        bail!(
            "its media type is `{}`: such a layer lies on another server and not in the image; make an image that holds it",
            kind.escape_debug()
        )
    }
    if kind.contains("encrypted") {
        bail!(
            "its media type is `{}`: it is encrypted; decrypt the image first, as with `skopeo copy --decryption-key`",
            kind.escape_debug()
        )
    }
    let tar = kind
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| kind.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"));
    match tar {
        Some("" | "+gzip" | "+zstd" | "+xz" | ".gzip" | ".zstd" | ".xz") => Ok(()),
        _ => bail!("its media type `{}` is none of tar, tar+gzip, tar+zstd and tar+xz", kind.escape_debug()),
    }
}

/// The digests of a configuration's layers, unpacked.
///
/// # Errors
///
/// A configuration of another kind or for another platform.
pub fn diff_ids(config: &Value) -> Result<Vec<String>> {
    let word = |key: &str| config.get(key).and_then(Value::as_str);
    for (key, expected) in [("os", "linux"), ("architecture", ARCHITECTURE)] {
        if let Some(found) = word(key).filter(|found| !found.is_empty() && *found != expected) {
            bail!("the image's {key} is `{}`, this host's is {expected}", found.escape_debug())
        }
    }
    let rootfs = config.get("rootfs").context("the configuration has no `rootfs`")?;
    if rootfs.get("type").and_then(Value::as_str) != Some("layers") {
        bail!("the configuration's `rootfs.type` is not `layers`")
    }
    match rootfs.get("diff_ids") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => Vec::deserialize(list).context("the configuration's `rootfs.diff_ids`"),
    }
}
