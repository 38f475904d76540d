//! An instance in one file: a tar archive, compressed by zstd, of what it needs to run
//! elsewhere. In this order:
//!
//! ```text
//! launcher.json        what is in it ([`Contents`])
//! policy.toml          the policy; paths of what is in the archive are relative to it
//! image/…              the image at `/`, as an OCI layout
//! trees/N.tar          directories: layers, the changes to a union, volumes, other sources
//! ```
//!
//! The archives of trees are such as layers of images are, with their whiteouts, so
//! they are unpacked by what unpacks those, whoever made them. Changes become a
//! write layer in overlayfs's format again, also for an ordinary user.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::attributes::Keeper;
use crate::compression::Decompressed;
use crate::digest::{Digest, Hashed, HashedWriter};
use crate::header::{Entry, Kind, spelled};
use crate::import::{Progress, watch};
use crate::limits::{Limits, exceeded};
use crate::merge::Union;
use crate::pack::pack;
use crate::unpack::{Tally, unpack};
use crate::writer::Writer;

/// What [`Contents::version`] is.
pub const VERSION: u32 = 1;
/// The names in the archive.
const CONTENTS: &str = "launcher.json";
const POLICY: &str = "policy.toml";
const IMAGE: &str = "image/";
const TREES: &str = "trees/";

/// What is in a bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contents {
    /// The version of this format.
    pub version: u32,
    /// The instance's name.
    pub name: String,
    /// The name of the image at `/`, where it is one.
    pub image: Option<String>,
    /// The program and its arguments; none: the image's own.
    pub program: Vec<String>,
    /// The door that was asked for.
    pub door: Option<String>,
    /// Where the launcher was started.
    pub started_in: PathBuf,
    /// The directories.
    pub trees: Vec<Tree>,
}

/// A directory in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tree {
    /// A source of a mount, or the lowest layer of a union.
    Source,
    /// A layer, over other trees, the lowest first.
    Layer {
        /// Their numbers, which are smaller than its own.
        over: Vec<usize>,
    },
    /// What has been changed of the union at an app path.
    Changes {
        /// The app path.
        at: PathBuf,
        /// The numbers of the layers, the lowest first; none: the image's.
        over: Option<Vec<usize>>,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: String,
    },
}

/// Writes a bundle, not compressed yet.
pub struct Bundle<'a, W: Write> {
    writer: Writer<W>,
    progress: &'a dyn Fn(Progress),
    trees: usize,
}

impl<'a, W: Write> Bundle<'a, W> {
    /// A bundle with its first two files.
    ///
    /// # Errors
    ///
    /// What the output says.
    pub fn new(
        out: W,
        contents: &Contents,
        policy: &str,
        progress: &'a dyn Fn(Progress),
    ) -> Result<Bundle<'a, W>> {
        let mut bundle = Bundle { writer: Writer::new(out), progress, trees: 0 };
        bundle.bytes(CONTENTS, &serde_json::to_vec_pretty(contents)?)?;
        bundle.bytes(POLICY, policy.as_bytes())?;
        Ok(bundle)
    }

    /// A file of the image's layout.
    ///
    /// # Errors
    ///
    /// What the output says.
    pub fn image_file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.bytes(&format!("{IMAGE}{name}"), bytes)
    }

    /// A layer of the image, which has been measured.
    ///
    /// # Errors
    ///
    /// As [`Bundle::tree`].
    pub fn image_layer(&mut self, union: &Union, measured: &(Digest, u64)) -> Result<()> {
        self.packed(&format!("{IMAGE}blobs/sha256/{}", measured.0.hex()), union, measured.1)
    }

    /// The next tree: what the last layer of a union changes.
    ///
    /// # Errors
    ///
    /// What cannot be read, and what the output says.
    pub fn tree(&mut self, union: &Union) -> Result<()> {
        let (_, size) = measure(union)?;
        let name = format!("{TREES}{}.tar", self.trees);
        self.trees += 1;
        self.packed(&name, union, size)
    }

    fn packed(&mut self, name: &str, union: &Union, size: u64) -> Result<()> {
        let progress = self.progress;
        self.writer.append_written(name, size, |out| {
            let told = Told { out, progress };
            pack(union, told).map(drop)
        })
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.writer.append_written(name, bytes.len() as u64, |out| Ok(out.write_all(bytes)?))
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// What the output says.
    pub fn finish(self) -> Result<W> {
        self.writer.finish()
    }
}

/// The digest and the size of the archive that a layer becomes. It is made twice, since its
/// size stands before it; that takes no room on a disk.
///
/// # Errors
///
/// What cannot be read.
pub fn measure(union: &Union) -> Result<(Digest, u64)> {
    let (_, digest, size) = pack(union, HashedWriter::new(io::sink()))?.finish();
    Ok((digest, size))
}

/// Tells of what goes through.
struct Told<'a> {
    out: &'a mut dyn Write,
    progress: &'a dyn Fn(Progress),
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        (self.progress)(Progress::Read(count as u64));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes in the image of a bundle: given the directory of its layout, the trees of its
/// layers, lowest first.
pub type TakeImage<'a> = &'a mut dyn FnMut(&Contents, &Path) -> Result<Vec<PathBuf>>;

/// Unpacks a bundle into an empty directory: the policy, and `trees/N/tree` for each of
/// the trees. The image is given to `take` as soon as it is there.
///
/// # Errors
///
/// What is malformed, hostile or beyond a limit, and what the file system says.
pub fn unbundle(
    input: impl Read,
    dir: &Path,
    limits: &Limits,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
    take: TakeImage<'_>,
) -> Result<(Contents, String)> {
    let compressed = Arc::new(AtomicU64::new(0));
    let counter = compressed.clone();
    let mut last = 0;
    let input = Hashed::new(input, move |count| {
        counter.store(count, Ordering::Relaxed);
        progress(Progress::Read(count - last));
        last = count;
        Ok(())
    });
    let plain = Decompressed::new(BufReader::with_capacity(1 << 17, input), limits.window)?;
    let mut limited = Hashed::new(plain, watch(limits, 0, compressed));
    let mut archive = Archive::new(&mut limited, limits);
    let mut reader = Reader { dir, limits, tally: Tally::default(), layers: Vec::new() };
    let contents = reader.contents(&mut archive)?;
    let policy = reader.document(&mut archive, POLICY)?;
    let policy = String::from_utf8(policy).context("policy.toml is no UTF-8")?;
    let mut entry = archive.next_entry()?;
    if contents.image.is_some() {
        let layout = dir.join("image");
        while let Some(file) = entry.as_ref().filter(|entry| entry.name.starts_with(IMAGE.as_bytes())) {
            reader.image_file(&mut archive, file, &layout).with_context(|| spelled(&file.name))?;
            entry = archive.next_entry()?;
        }
        reader.layers = take(&contents, &layout)?;
        fs::remove_dir_all(&layout).with_context(|| format!("cannot remove {}", layout.display()))?;
    }
    for (number, tree) in contents.trees.iter().enumerate() {
        let name = format!("{TREES}{number}.tar");
        let Some(found) = entry.filter(|entry| entry.name == name.as_bytes() && entry.kind == Kind::File)
        else {
            bail!("{name} is not where it should be: the file is damaged, or no export")
        };
        reader.tree(&mut archive, number, tree).with_context(|| spelled(&found.name))?;
        entry = archive.next_entry()?;
    }
    if let Some(entry) = entry {
        bail!("{} is more than the export should hold", spelled(&entry.name))
    }
    if !archive.marked {
        bail!("the file ends without the blocks that end an archive: it is truncated")
    }
    Ok((contents, policy))
}

struct Reader<'a> {
    dir: &'a Path,
    limits: &'a Limits,
    tally: Tally,
    /// The trees of the image's layers.
    layers: Vec<PathBuf>,
}

impl Reader<'_> {
    fn document<R: Read>(&self, archive: &mut Archive<'_, R>, name: &str) -> Result<Vec<u8>> {
        let entry = archive.next_entry()?;
        let missing =
            || format!("it does not hold {name} where it should: it is no export of `launcher export`");
        entry
            .filter(|entry| entry.name == name.as_bytes() && entry.kind == Kind::File)
            .with_context(missing)?;
        let size = archive.stored();
        if size > self.limits.json {
            return Err(exceeded(&format!("the bytes of {name}"), size, "json", self.limits.json));
        }
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).with_context(|| name.to_owned())?;
        Ok(bytes)
    }

    fn contents<R: Read>(&self, archive: &mut Archive<'_, R>) -> Result<Contents> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bytes = self.document(archive, CONTENTS)?;
        let said: Version =
            serde_json::from_slice(&bytes).with_context(|| format!("{CONTENTS} is malformed"))?;
        if said.version != VERSION {
            bail!(
                "the export's version is {}, and {VERSION} is read: use the launcher that made it",
                said.version
            )
        }
        let contents: Contents =
            serde_json::from_slice(&bytes).with_context(|| format!("{CONTENTS} is malformed"))?;
        for (number, tree) in contents.trees.iter().enumerate() {
            let over = match tree {
                Tree::Layer { over } | Tree::Changes { over: Some(over), .. } => over.as_slice(),
                Tree::Changes { over: None, .. } if contents.image.is_none() => {
                    bail!("{CONTENTS}: tree {number} is over an image, and there is none")
                }
                _ => &[],
            };
            if over.len() as u64 > self.limits.layers {
                return Err(exceeded("the tree's layers", over.len() as u64, "layers", self.limits.layers));
            }
            let is_layer = |below: &usize| {
                *below < number && matches!(contents.trees[*below], Tree::Source | Tree::Layer { .. })
            };
            if !over.iter().all(is_layer) {
                bail!("{CONTENTS}: tree {number} is over one that comes later, or is no layer")
            }
        }
        Ok(contents)
    }

    /// Writes a file of the image's layout, whose name is one of those that a layout has.
    fn image_file<R: Read>(
        &mut self,
        archive: &mut Archive<'_, R>,
        entry: &Entry,
        layout: &Path,
    ) -> Result<()> {
        let name = entry.name.strip_prefix(IMAGE.as_bytes()).unwrap_or_default();
        let name = std::str::from_utf8(name).context("its name is none of a layout")?;
        let is_blob = |digits: &str| Digest::parse(&format!("sha256:{digits}")).is_ok();
        let is_known = matches!(name, "oci-layout" | "index.json")
            || name.strip_prefix("blobs/sha256/").is_some_and(is_blob);
        if !is_known || entry.kind != Kind::File || entry.pieces.is_some() {
            bail!("it is none of the files that a layout has")
        }
        self.count(1)?;
        fs::create_dir_all(layout.join("blobs/sha256")).context("cannot make the layout")?;
        let mut file = File::create_new(layout.join(name)).context("cannot be written")?;
        io::copy(archive, &mut file).context("cannot be written").map(drop)
    }

    fn count(&mut self, entries: u64) -> Result<()> {
        self.tally.entries += entries;
        if self.tally.entries > self.limits.entries {
            return Err(exceeded("the export's entries", self.tally.entries, "entries", self.limits.entries));
        }
        Ok(())
    }

    fn place(&self, number: usize) -> PathBuf {
        self.dir.join("trees").join(number.to_string()).join("tree")
    }

    fn tree<R: Read>(&mut self, archive: &mut Archive<'_, R>, number: usize, tree: &Tree) -> Result<()> {
        let place = self.place(number);
        let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o755).create(dir);
        make(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let over: Vec<PathBuf> = match tree {
            Tree::Layer { over } | Tree::Changes { over: Some(over), .. } => {
                over.iter().map(|below| self.place(*below)).collect()
            }
            Tree::Changes { over: None, .. } => self.layers.clone(),
            Tree::Source | Tree::Volume { .. } => Vec::new(),
        };
        let open = |dir: &PathBuf| Ok(File::open(dir).with_context(|| dir.display().to_string())?.into());
        let lowers = over.iter().rev().map(open).collect::<Result<Vec<_>>>()?;
        let owners =
            File::create(place.with_file_name("owners")).context("cannot make the file of owners")?;
        let mut inner = Archive::new(archive, self.limits);
        let new =
            unpack(&mut inner, open(&place)?, lowers, &mut Keeper::new(owners), self.limits, self.tally)?;
        if !inner.marked {
            bail!("the archive ends without the blocks that end one: it is truncated")
        }
        self.tally.bytes += new.bytes;
        self.count(new.entries)
    }
}
