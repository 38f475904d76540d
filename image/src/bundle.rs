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
use std::os::fd::{AsFd, OwnedFd};
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
use crate::dir::must_take_whiteouts;
use crate::header::{Entry, Kind, spelled};
use crate::import::{Progress, watch};
use crate::layout::Blob;
use crate::limits::{Limits, exceeded};
use crate::merge::Union;
use crate::pack::{pack, pack_file};
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
    /// The volume at an app path.
    Volume {
        /// The app path.
        at: PathBuf,
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
    pub fn image_layer(&mut self, union: &Union, measured: &Blob) -> Result<()> {
        self.packed(&format!("{IMAGE}blobs/sha256/{}", measured.digest.hex()), union, measured.size)
    }

    /// The next tree: what the last layer of a union changes.
    ///
    /// # Errors
    ///
    /// What cannot be read, and what the output says.
    pub fn tree(&mut self, union: &Union) -> Result<()> {
        let Blob { size, .. } = measure(union)?;
        let name = format!("{TREES}{}.tar", self.trees);
        self.trees += 1;
        self.packed(&name, union, size)
    }

    /// The next tree: one file of the host's.
    ///
    /// # Errors
    ///
    /// As [`Bundle::tree`].
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let (_, _, size) = pack_file(path, HashedWriter::new(io::sink()))?.finish();
        let name = format!("{TREES}{}.tar", self.trees);
        self.trees += 1;
        let progress = self.progress;
        self.writer.append_written(&name, size, |out| pack_file(path, Told { out, progress }).map(drop))
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
pub fn measure(union: &Union) -> Result<Blob> {
    let (_, digest, size) = pack(union, HashedWriter::new(io::sink()))?.finish();
    Ok(Blob { digest, size })
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

/// A bundle being unpacked.
pub struct Unbundle<'a, R: Read> {
    archive: Archive<'a, Hashed<Decompressed<BufReader<Hashed<R>>>>>,
    limits: &'a Limits,
    next: Option<Entry>,
    tally: Tally,
}

impl<'a, R: Read> Unbundle<'a, R> {
    /// Reads what is in it, and the policy.
    ///
    /// # Errors
    ///
    /// What is no bundle, or one of another version.
    pub fn open(
        input: R,
        limits: &'a Limits,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<(Unbundle<'a, R>, Contents, String)> {
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
        let archive = Archive::new(Hashed::new(plain, watch(limits, 0, compressed)), limits);
        let mut bundle = Unbundle { archive, limits, next: None, tally: Tally::default() };
        let contents = contents(&bundle.document(CONTENTS)?, limits)?;
        let policy = String::from_utf8(bundle.document(POLICY)?).context("policy.toml is no UTF-8")?;
        bundle.next = bundle.archive.next_entry()?;
        Ok((bundle, contents, policy))
    }

    fn document(&mut self, name: &str) -> Result<Vec<u8>> {
        let entry = self.archive.next_entry()?;
        let missing = || format!("{name} is not in it where it should be: `launcher export` has not made it");
        entry
            .filter(|entry| entry.name == name.as_bytes() && entry.kind == Kind::File)
            .with_context(missing)?;
        let size = self.archive.stored();
        if size > self.limits.json {
            return Err(exceeded(&format!("the bytes of {name}"), size, "json", self.limits.json));
        }
        let mut bytes = Vec::new();
        self.archive.read_to_end(&mut bytes).with_context(|| name.to_owned())?;
        Ok(bytes)
    }

    /// Writes the layout of the image into a directory that is made for it. What is in it is
    /// to be verified by whoever brings it in.
    ///
    /// # Errors
    ///
    /// A file that no layout has, and what the file system says.
    pub fn image(&mut self, layout: &Path) -> Result<()> {
        fs::create_dir_all(layout.join("blobs/sha256")).context("cannot make the image's layout")?;
        while let Some(entry) = self.next.take_if(|entry| entry.name.starts_with(IMAGE.as_bytes())) {
            self.image_file(&entry, layout).with_context(|| spelled(&entry.name))?;
            self.next = self.archive.next_entry()?;
        }
        Ok(())
    }

    fn image_file(&mut self, entry: &Entry, layout: &Path) -> Result<()> {
        let name = entry.name.strip_prefix(IMAGE.as_bytes()).unwrap_or_default();
        let name = std::str::from_utf8(name).context("it is none of the files that a layout has")?;
        let is_blob = |digits: &str| Digest::parse(&format!("sha256:{digits}")).is_ok();
        let is_known = matches!(name, "oci-layout" | "index.json")
            || name.strip_prefix("blobs/sha256/").is_some_and(is_blob);
        if !is_known || entry.kind != Kind::File || entry.pieces.is_some() {
            bail!("it is none of the files that a layout has")
        }
        self.count(1)?;
        let mut file = File::create_new(layout.join(name)).context("it cannot be written")?;
        io::copy(&mut self.archive, &mut file).context("it cannot be written").map(drop)
    }

    /// Unpacks the trees below a directory, each as `trees/N/tree`. `image` are the trees
    /// of the image's layers, lowest first.
    ///
    /// # Errors
    ///
    /// What is malformed, hostile or beyond a limit, and what the file system says.
    pub fn trees(mut self, dir: &Path, contents: &Contents, image: Vec<PathBuf>) -> Result<()> {
        let place = |number: usize| dir.join("trees").join(number.to_string()).join("tree");
        for (number, tree) in contents.trees.iter().enumerate() {
            let name = format!("{TREES}{number}.tar");
            let found =
                self.next.take().filter(|entry| entry.name == name.as_bytes() && entry.kind == Kind::File);
            if found.is_none() {
                bail!(
                    "{name} is not in it where it should be: it is damaged, or `launcher export` has not made it"
                )
            }
            let below = match tree {
                Tree::Layer { over } | Tree::Changes { over: Some(over), .. } => {
                    over.iter().map(|below| place(*below)).collect()
                }
                Tree::Changes { over: None, .. } => image.clone(),
                Tree::Source | Tree::Volume { .. } => Vec::new(),
            };
            self.tree(&place(number), &below).with_context(|| name)?;
            self.next = self.archive.next_entry()?;
        }
        if let Some(entry) = self.next {
            bail!("{} is more than should be in it", spelled(&entry.name))
        }
        if !self.archive.marked {
            bail!("it ends without the blocks that end an archive: it is truncated")
        }
        Ok(())
    }

    fn tree(&mut self, place: &Path, below: &[PathBuf]) -> Result<()> {
        let shown = || format!("cannot make {}", place.display());
        DirBuilder::new().recursive(true).mode(0o755).create(place).with_context(shown)?;
        let open = |dir: &Path| -> Result<OwnedFd> {
            Ok(File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?.into())
        };
        let lowers = below.iter().rev().map(|dir| open(dir)).collect::<Result<Vec<_>>>()?;
        let owners = File::create(place.with_file_name("owners")).with_context(shown)?;
        if !below.is_empty() {
            must_take_whiteouts(open(place)?.as_fd())?;
        }
        let mut inner = Archive::new(&mut self.archive, self.limits);
        let new =
            unpack(&mut inner, open(place)?, lowers, &mut Keeper::new(owners), self.limits, self.tally)?;
        if !inner.marked {
            bail!("it ends without the blocks that end an archive: it is truncated")
        }
        self.tally.bytes += new.bytes;
        self.count(new.entries)
    }

    fn count(&mut self, entries: u64) -> Result<()> {
        self.tally.entries += entries;
        if self.tally.entries > self.limits.entries {
            return Err(exceeded("the export's entries", self.tally.entries, "entries", self.limits.entries));
        }
        Ok(())
    }
}

/// Reads what is in a bundle. Numbers of trees lead to trees that come before.
fn contents(bytes: &[u8], limits: &Limits) -> Result<Contents> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let malformed = || format!("{CONTENTS} is malformed");
    let said: Version = serde_json::from_slice(bytes).with_context(malformed)?;
    if said.version != VERSION {
        bail!(
            "the export's version is {}, and {VERSION} is read: use the launcher that made it",
            said.version
        )
    }
    let contents: Contents = serde_json::from_slice(bytes).with_context(malformed)?;
    for (number, tree) in contents.trees.iter().enumerate() {
        let over = match tree {
            Tree::Layer { over } | Tree::Changes { over: Some(over), .. } => over.as_slice(),
            Tree::Changes { over: None, .. } if contents.image.is_none() => {
                bail!("{CONTENTS}: tree {number} is over an image, and there is none")
            }
            _ => &[],
        };
        if over.len() as u64 > limits.layers {
            return Err(exceeded("the tree's layers", over.len() as u64, "layers", limits.layers));
        }
        let is_layer = |below: &usize| {
            *below < number && matches!(contents.trees[*below], Tree::Source | Tree::Layer { .. })
        };
        if !over.iter().all(is_layer) {
            bail!("{CONTENTS}: tree {number} is over one that is no layer, or comes later")
        }
    }
    Ok(contents)
}
