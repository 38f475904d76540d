//! Bringing an image in: all of its layers are made in a draft, written to the
//! disk, and then put in their places, the name last.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::archive::Archive;
use crate::attributes::Keeper;
use crate::compression::Decompressed;
use crate::digest::{Digest, Hashed};
use crate::limits::{Limits, exceeded};
use crate::pack::pack;
use crate::source::{Configuration, Found, From, Packed, find};
use crate::store::{Image, Layer, Store};
use crate::unpack::{Tally, unpack};

/// What to bring in.
pub struct Import<'a> {
    /// From where.
    pub source: &'a str,
    /// The image's name here.
    pub name: &'a str,
    /// Whether an image of that name is replaced.
    pub replace: bool,
    /// Whether the layers' archives are kept as well, to be given back by a commit.
    pub keep: bool,
    /// The limits.
    pub limits: &'a Limits,
    /// Told of how many bytes there are, and of each that has been read.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// So many bytes are to be read; none where that is not known.
    Total(Option<u64>),
    /// So many more have been read.
    Read(u64),
}

/// A layer's archive, as it came, in its directory.
pub const ARCHIVE: &str = "archive";

/// Bytes that go from the thread that reads and decompresses to the one that unpacks.
const CHUNK: usize = 1 << 17;
/// So many chunks may wait.
const CHUNKS: usize = 8;
/// A layer may be so large whatever the ratio.
const SMALL: u64 = 64 << 20;

/// Brings an image in.
///
/// # Errors
///
/// What is not as it should be, with the layer, the entry, the rule, and what to change.
pub fn import(store: &Store, asked: &Import<'_>) -> Result<Image> {
    let place = store.name(asked.name)?;
    if place.exists() && !asked.replace {
        bail!(taken(asked.name))
    }
    more_descriptors();
    bring(store, asked, find(asked.source, asked.limits)?)
}

/// Brings in an image that has been found.
///
/// # Errors
///
/// As [`import`].
pub fn bring(store: &Store, asked: &Import<'_>, found: Found) -> Result<Image> {
    let place = store.name(asked.name)?;
    let total: Option<u64> = found.layers.iter().map(|layer| layer.from.size()).sum();
    (asked.progress)(Progress::Total(total));
    let _lock = store.lock_for_import()?;
    let draft = store.draft()?;
    let mut layers: Vec<Layer> = Vec::new();
    let mut made: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut kept: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut trees: Vec<PathBuf> = Vec::new();
    let mut tally = Tally::default();
    let below = |layers: &[Layer]| layers.last().map(|layer| Digest::parse(&layer.chain)).transpose();
    for (number, packed) in found.layers.into_iter().enumerate() {
        let under = below(&layers)?;
        let chain = |diff: &Digest| under.as_ref().map_or_else(|| diff.clone(), |under| under.chained(diff));
        if let Some(diff) = &packed.diff {
            let place = store.layer(&chain(diff));
            if let Ok(bytes) = fs::read(place.join("layer.json")) {
                if asked.keep && !place.join(ARCHIVE).exists() {
                    let archive = draft.path().join(format!("{number}.{ARCHIVE}"));
                    keep_archive(&packed, diff, &archive, asked.limits)?;
                    kept.push((archive, place.join(ARCHIVE)));
                }
                (asked.progress)(Progress::Read(packed.from.size().unwrap_or(0)));
                layers.push(
                    serde_json::from_slice(&bytes)
                        .with_context(|| format!("{} is malformed", place.display()))?,
                );
                trees.push(place.join("tree"));
                continue;
            }
        }
        let dir = draft.path().join(number.to_string());
        let unpacked = unpack_layer(&dir, &packed, &trees, tally, asked);
        let what = || match packed.digest.as_ref().or(packed.diff.as_ref()) {
            Some(digest) => format!("layer {} ({digest})", number + 1),
            None => format!("layer {}", number + 1),
        };
        let (diff, new) = unpacked.with_context(what)?;
        tally = Tally { entries: tally.entries + new.entries, bytes: tally.bytes + new.bytes };
        let chain = chain(&diff);
        let layer =
            Layer { chain: chain.to_string(), diff: diff.to_string(), size: new.bytes, entries: new.entries };
        if asked.keep {
            keep_archive(&packed, &diff, &dir.join(ARCHIVE), asked.limits)?;
        }
        write(&dir.join("layer.json"), &serde_json::to_vec_pretty(&layer)?)?;
        trees.push(dir.join("tree"));
        made.push((dir, store.layer(&chain)));
        layers.push(layer);
    }
    let config = match found.config {
        Configuration::Written(config) => config,
        Configuration::Made(make) => {
            make(&layers.iter().map(|layer| layer.diff.clone()).collect::<Vec<_>>())?
        }
    };
    let image = Image {
        name: asked.name.to_owned(),
        source: asked.source.to_owned(),
        manifest: found.manifest.map(|digest| digest.to_string()),
        config: Digest::of(&config).to_string(),
        layers,
    };
    let record = draft.path().join("image");
    DirBuilder::new().mode(0o700).create(&record).context("cannot make the image's directory")?;
    write(&record.join("config.json"), &config)?;
    write(&record.join("image.json"), &serde_json::to_vec_pretty(&image)?)?;
    write(&record.join("lock"), b"")?;
    let disk = File::open(draft.path()).context("cannot open the draft")?;
    // A name must not outlive what it stands for, should the machine stop now.
    rustix::fs::syncfs(&disk).context("cannot write the layers to the disk")?;
    for (dir, place) in made {
        match renameat_with(CWD, &dir, CWD, &place, RenameFlags::NOREPLACE) {
            // Another import was faster: its layer is the same.
            Err(Errno::EXIST) => {}
            done => done.with_context(|| format!("cannot put a layer at {}", place.display()))?,
        }
    }
    for (archive, place) in kept {
        fs::rename(&archive, &place)
            .with_context(|| format!("cannot put an archive at {}", place.display()))?;
    }
    sync(store.drafts().with_file_name("layers"))?;
    match renameat_with(CWD, &record, CWD, &place, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) if asked.replace => {
            let _own = store.own_image(asked.name)?;
            renameat_with(CWD, &record, CWD, &place, RenameFlags::EXCHANGE)
                .context("cannot replace the image")?;
        }
        Err(Errno::EXIST) => bail!(taken(asked.name)),
        done => done.context("cannot give the image its name")?,
    }
    sync(store.drafts().with_file_name("names"))?;
    draft.close().context("cannot remove the draft")?;
    Ok(image)
}

fn taken(name: &str) -> String {
    format!("there is an image `{name}` already: choose another name, or add --replace")
}

impl From {
    fn size(&self) -> Option<u64> {
        match self {
            From::Archive(slice) => Some(slice.size()),
            From::Union(_) => None,
        }
    }
}

/// Unpacks one layer into a directory of its own.
fn unpack_layer(
    dir: &Path,
    packed: &Packed,
    below: &[PathBuf],
    before: Tally,
    asked: &Import<'_>,
) -> Result<(Digest, Tally)> {
    let tree = dir.join("tree");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&tree)
        .context("cannot make the layer's directory")?;
    let upper = OwnedFd::from(File::open(&tree).context("cannot open the layer's directory")?);
    let lowers = below
        .iter()
        .rev()
        .map(|path| File::open(path).map(OwnedFd::from).with_context(|| path.display().to_string()));
    let lowers = lowers.collect::<Result<Vec<_>>>()?;
    let mut keeper = Keeper::new(File::create(dir.join("owners")).context("cannot make the file of owners")?);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS);
        let reader = scope.spawn(|| read(packed, sender, before, asked));
        let mut archive =
            Archive::new(Pipe { receiver, chunk: Vec::new(), at: 0, done: false }, asked.limits);
        let unpacked = unpack(&mut archive, upper, lowers, &mut keeper, asked.limits, before);
        let marked = archive.marked;
        drop(archive);
        let digests = reader.join().map_err(|_| anyhow::anyhow!("the reading thread ended"))?;
        let tally = unpacked?;
        let (digest, diff) = digests?;
        let changed = "it is damaged or was changed; fetch it again";
        if let Some(said) = packed.digest.as_ref().filter(|said| Some(*said) != digest.as_ref()) {
            let found = digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
            bail!("its blob is {found}, and the manifest says {said}: {changed}")
        }
        match &packed.diff {
            Some(said) if *said != diff => {
                bail!("unpacked it is {diff}, and the configuration says {said}: {changed}")
            }
            None if !marked => bail!("the archive ends without the blocks that end one: it is truncated"),
            _ => {}
        }
        Ok((diff, tally))
    })
}

/// Ends the reading of what becomes too much: `before` bytes have been read already, and
/// so many compressed ones.
pub fn watch(
    limits: &Limits,
    before: u64,
    compressed: Arc<AtomicU64>,
) -> impl FnMut(u64) -> io::Result<()> + Send + 'static {
    let (most, ratio) = (limits.bytes, limits.ratio);
    move |count: u64| {
        let refused = |what: &str, found: u64, word: &str, limit: u64| {
            Err(io::Error::other(exceeded(what, found, word, limit)))
        };
        if before + count > most {
            return refused("the image's bytes, unpacked", before + count, "bytes", most);
        }
        let read = compressed.load(Ordering::Relaxed).max(1);
        if count > SMALL && count / read > ratio {
            return refused("unpacked bytes for each compressed one", count / read, "ratio", ratio);
        }
        Ok(())
    }
}

/// Copies a layer's archive, and verifies the copy. That of a directory is none.
fn keep_archive(packed: &Packed, diff: &Digest, to: &Path, limits: &Limits) -> Result<()> {
    let From::Archive(slice) = &packed.from else { return Ok(()) };
    let shown = || format!("cannot write {}", to.display());
    io::copy(&mut slice.again(), &mut File::create_new(to).with_context(shown)?).with_context(shown)?;
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let blob = Hashed::new(File::open(to).with_context(shown)?, move |read| {
        counter.store(read, Ordering::Relaxed);
        Ok(())
    });
    let mut blob = BufReader::with_capacity(CHUNK, blob);
    let mut archive = Hashed::new(Decompressed::new(&mut blob, limits.window)?, watch(limits, 0, count));
    io::copy(&mut archive, &mut io::sink()).context("cannot read the archive")?;
    let found = archive.finish().0;
    io::copy(&mut blob, &mut io::sink()).context("cannot read the archive")?;
    let digest = blob.into_inner().finish().0;
    if found != *diff || packed.digest.as_ref().is_some_and(|said| *said != digest) {
        bail!(
            "the layer's archive is {digest}, unpacked {found}, and the image says otherwise: fetch it again"
        )
    }
    Ok(())
}

/// Reads a layer, decompresses it, and sends it on. Gives the digests of its
/// blob and of its archive.
fn read(
    packed: &Packed,
    sender: SyncSender<io::Result<Vec<u8>>>,
    before: Tally,
    asked: &Import<'_>,
) -> Result<(Option<Digest>, Digest)> {
    let compressed = Arc::new(AtomicU64::new(0));
    let watch = watch(asked.limits, before.bytes, compressed.clone());
    match &packed.from {
        From::Union(union) => {
            compressed.store(u64::MAX, Ordering::Relaxed);
            let progress = asked.progress.clone();
            let mut last = 0;
            let mut watch = watch;
            let watch = move |count: u64| {
                progress(Progress::Read(count - last));
                last = count;
                watch(count)
            };
            let (from, to) = io::pipe().context("cannot make a pipe")?;
            std::thread::scope(|scope| {
                let packer = scope.spawn(move || pack(union, to).map(drop));
                let mut hashed = Hashed::new(from, watch);
                let sent = send(&mut hashed, &sender);
                // With it goes the pipe: the packer does not wait for a reader that has gone.
                let (diff, _) = hashed.finish();
                let packed = packer.join().map_err(|_| anyhow::anyhow!("the packing thread ended"))?;
                sent.and(packed)?;
                Ok((None, diff))
            })
        }
        From::Archive(slice) => {
            let progress = asked.progress.clone();
            let mut last = 0;
            let blob = Hashed::new(slice.again(), move |count| {
                compressed.store(count, Ordering::Relaxed);
                progress(Progress::Read(count - last));
                last = count;
                Ok(())
            });
            let mut blob = BufReader::with_capacity(CHUNK, blob);
            let mut archive = Hashed::new(Decompressed::new(&mut blob, asked.limits.window)?, watch);
            send(&mut archive, &sender)?;
            let (diff, _) = archive.finish();
            io::copy(&mut blob, &mut io::sink()).context("cannot read the blob")?;
            Ok((Some(blob.into_inner().finish().0), diff))
        }
    }
}

fn send(from: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = from.take(CHUNK as u64).read_to_end(&mut chunk);
        let end = read.as_ref().is_ok_and(|count| *count == 0);
        if let Err(mut error) = read {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                error = io::Error::new(error.kind(), "the compressed data ends too early: it is truncated");
            }
            let text = error.to_string();
            let _ = sender.send(Err(error));
            bail!(text)
        }
        if end {
            return Ok(());
        }
        if sender.send(Ok(chunk)).is_err() {
            bail!("the unpacking has ended")
        }
    }
}

/// The stream as the unpacking thread reads it.
struct Pipe {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    done: bool,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() && !self.done {
            match self.receiver.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                Err(_) => self.done = true,
            }
        }
        let rest = &self.chunk[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn sync(dir: PathBuf) -> Result<()> {
    File::open(&dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot write {} to the disk", dir.display()))
}

/// A union of many layers holds many directories open.
pub fn more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, an image of very many layers says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
