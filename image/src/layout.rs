//! Writing into an OCI layout: all is made in a draft, written to the disk, and
//! then put in place, the index last.
//!
//! A layout that is new is a draft beside its place, which is renamed. One that is
//! there gets its blobs one by one: what refers to them comes after them. A draft that
//! was cut off says which blobs it was about to bring, and the next writer takes
//! away those that nothing refers to.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock, syncfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::{Digest, HashedWriter};
use crate::manifest::{ARCHITECTURE, TAG};

/// The draft's name in a layout.
const DRAFT: &str = ".launcher-draft";
/// What a draft is about to bring.
const JOURNAL: &str = "journal";
/// Where a layout has its blobs.
const BLOBS: &str = "blobs/sha256";

/// Media types of documents.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The file that says that a directory is a layout.
const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The manifest of an image.
pub fn manifest(config: &Blob, layers: &[Value]) -> Result<Vec<u8>> {
    let config = config.descriptor(CONFIG);
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    Ok(serde_json::to_vec(&manifest)?)
}

/// The small files of a layout of one image, by their names in it.
///
/// # Errors
///
/// Never.
pub fn documents(config: &[u8], layers: &[Value]) -> Result<Vec<(String, Vec<u8>)>> {
    let config_blob = Blob::of(config);
    let manifest = manifest(&config_blob, layers)?;
    let manifest_blob = Blob::of(&manifest);
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest_blob.descriptor(MANIFEST)] });
    let blob = |blob: &Blob| format!("{BLOBS}/{}", blob.digest.hex());
    Ok(vec![
        ("oci-layout".into(), MARK.to_vec()),
        ("index.json".into(), serde_json::to_vec(&index)?),
        (blob(&manifest_blob), manifest),
        (blob(&config_blob), config.to_vec()),
    ])
}

/// A layout that is being written to.
pub struct Layout {
    dir: PathBuf,
    draft: PathBuf,
    is_new: bool,
    /// Whether nothing is to be taken back.
    is_done: bool,
    /// Dies with its holder.
    _lock: File,
}

impl Drop for Layout {
    /// What has failed may have filled the disk. What stays is taken away by the next writer.
    fn drop(&mut self) {
        if !self.is_done && self.sweep().is_ok() {
            let _ = fs::remove_dir_all(&self.draft);
        }
    }
}

/// A blob that has been written.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

impl Blob {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Blob {
        Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    /// As a document names it.
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest.to_string(), "size": self.size })
    }
}

#[derive(Serialize, Deserialize)]
struct Journal {
    /// The manifest that the index is to name.
    manifest: String,
    /// Blobs that the layout did not have.
    blobs: Vec<String>,
}

impl Layout {
    /// Begins to write to a layout, and takes away what one has left that was cut off.
    ///
    /// # Errors
    ///
    /// A directory that is something else, another writer, and what the file system says.
    pub fn open(dir: &Path) -> Result<Layout> {
        let name = dir.file_name().with_context(|| format!("{} names no directory", dir.display()))?;
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(DRAFT);
        let beside = dir.with_file_name(beside);
        let is_new = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            listed => listed.with_context(|| format!("{} cannot be listed", dir.display()))?.next().is_none(),
        };
        if !is_new && !dir.join("oci-layout").exists() {
            bail!("{} is no OCI layout, and not empty: name another directory", dir.display())
        }
        if beside.exists() {
            let lock = lock(&beside)?;
            if !is_new {
                fs::remove_dir_all(&beside).with_context(|| format!("cannot remove {}", beside.display()))?;
            }
            drop(lock);
        }
        let draft = if is_new { beside } else { dir.join(DRAFT) };
        let layout = Layout { _lock: lock(&draft)?, dir: dir.to_owned(), draft, is_new, is_done: false };
        layout.sweep()?;
        Ok(layout)
    }

    /// Writes a blob, which gets its name by what is written.
    ///
    /// # Errors
    ///
    /// What the writing says.
    pub fn blob<T>(&self, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<(Blob, T)> {
        let path = self.draft.join("blob");
        let shown = || format!("cannot write {}", path.display());
        let file = File::create(&path).with_context(shown)?;
        let mut out = HashedWriter::new(BufWriter::with_capacity(1 << 17, file));
        let done = write(&mut out)?;
        let (mut file, digest, size) = out.finish();
        file.flush().with_context(shown)?;
        fs::rename(&path, self.draft.join(BLOBS).join(digest.hex())).with_context(shown)?;
        Ok((Blob { digest, size }, done))
    }

    /// The same of bytes.
    ///
    /// # Errors
    ///
    /// As [`Layout::blob`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<Blob> {
        self.blob(|out| Ok(out.write_all(bytes)?)).map(|(blob, ())| blob)
    }

    /// Puts all in place: the layout has an image of this tag then, and all others as before.
    ///
    /// # Errors
    ///
    /// What the file system says; the layout is as it was.
    pub fn publish(mut self, tag: &str, manifest: &Blob) -> Result<()> {
        let mut descriptor = manifest.descriptor(MANIFEST);
        descriptor["platform"] = json!({ "os": "linux", "architecture": ARCHITECTURE });
        descriptor["annotations"] = json!({ TAG: tag });
        let mut index = if self.is_new {
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] })
        } else {
            index(&self.dir)?
        };
        let manifests = index.get_mut("manifests").and_then(Value::as_array_mut);
        let manifests = manifests.context("index.json has no `manifests`")?;
        manifests.retain(|one| one.pointer("/annotations").and_then(|all| all.get(TAG)) != Some(&tag.into()));
        manifests.push(descriptor);
        self.write("index.json", &serde_json::to_vec(&index)?)?;
        let shown = || format!("cannot write to {}", self.dir.display());
        if self.is_new {
            self.write("oci-layout", MARK)?;
            self.sync()?;
            fs::rename(&self.draft, &self.dir).with_context(shown)?;
            self.is_done = true;
            let above = self.dir.parent().filter(|path| !path.as_os_str().is_empty());
            return sync_dir(above.unwrap_or(Path::new(".")));
        }
        let blobs = self.dir.join(BLOBS);
        fs::create_dir_all(&blobs).with_context(shown)?;
        let mut fresh = Vec::new();
        for entry in fs::read_dir(self.draft.join(BLOBS)).with_context(shown)? {
            let name = entry.with_context(shown)?.file_name();
            if !blobs.join(&name).exists() {
                fresh.extend(name.into_string());
            }
        }
        let journal = Journal { manifest: manifest.digest.to_string(), blobs: fresh };
        self.write(JOURNAL, &serde_json::to_vec(&journal)?)?;
        self.sync()?;
        for name in &journal.blobs {
            fs::rename(self.draft.join(BLOBS).join(name), blobs.join(name)).with_context(shown)?;
        }
        sync_dir(&blobs)?;
        fs::rename(self.draft.join("index.json"), self.dir.join("index.json")).with_context(shown)?;
        self.is_done = true;
        sync_dir(&self.dir)?;
        fs::remove_dir_all(&self.draft).with_context(|| format!("cannot remove {}", self.draft.display()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.draft.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A name must not outlive what it stands for, should the machine stop.
    fn sync(&self) -> Result<()> {
        let draft = File::open(&self.draft).context("cannot open the draft")?;
        syncfs(&draft).context("cannot write the blobs to the disk")
    }

    /// Takes away what an earlier writer has left, and makes room for a new draft.
    fn sweep(&self) -> Result<()> {
        let shown = || format!("cannot clear {}", self.draft.display());
        if let Ok(bytes) = fs::read(self.draft.join(JOURNAL)) {
            // Half a journal was written before any blob was moved.
            if let Ok(journal) = serde_json::from_slice::<Journal>(&bytes) {
                self.take_back(&journal)?;
            }
            // Last of all: without it the blobs would stay.
            fs::remove_file(self.draft.join(JOURNAL)).with_context(shown)?;
        }
        for entry in fs::read_dir(&self.draft).with_context(shown)? {
            let path = entry.with_context(shown)?.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(shown)?;
        }
        fs::create_dir_all(self.draft.join(BLOBS)).with_context(shown)
    }

    fn take_back(&self, journal: &Journal) -> Result<()> {
        let index = index(&self.dir)?;
        if index.to_string().contains(&journal.manifest) {
            return Ok(());
        }
        // What cannot be read may refer to anything.
        let Ok(wanted) = referred(&self.dir, index) else { return Ok(()) };
        for name in journal.blobs.iter().filter(|name| !wanted.contains(*name)) {
            let Ok(digest) = Digest::parse(&format!("sha256:{name}")) else { continue };
            match fs::remove_file(self.dir.join(BLOBS).join(digest.hex())) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context("cannot remove a blob that nothing refers to");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes a draft's directory, or takes the one that is there, for this process alone.
fn lock(draft: &Path) -> Result<File> {
    let shown = || format!("cannot make {}", draft.display());
    loop {
        match fs::create_dir(draft) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).with_context(shown),
            _ => {}
        }
        let Ok(dir) = File::open(draft) else { continue };
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                bail!("another process is writing to the layout: try again when it is done")
            }
            done => done.with_context(|| format!("cannot lock {}", draft.display()))?,
        }
        // It may have been put in its place, or taken away, meanwhile.
        let (held, there) = (dir.metadata().with_context(shown)?, fs::metadata(draft));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(dir);
        }
    }
}

fn index(dir: &Path) -> Result<Value> {
    let path = dir.join("index.json");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is malformed", path.display()))
}

/// The digits of all blobs that an index refers to.
fn referred(dir: &Path, index: Value) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    let mut waiting = vec![index];
    while let Some(document) = waiting.pop() {
        let list = |key: &str| document.get(key).and_then(Value::as_array).into_iter().flatten();
        let plain = list("layers").chain(document.get("config")).map(|one| (one, false));
        for (one, is_document) in list("manifests").map(|one| (one, true)).chain(plain) {
            let digest = one.get("digest").and_then(Value::as_str).context("a descriptor has no digest")?;
            let digest = Digest::parse(digest)?;
            if found.insert(digest.hex().to_owned()) && is_document {
                waiting.push(serde_json::from_slice(&fs::read(dir.join(BLOBS).join(digest.hex()))?)?);
            }
        }
    }
    Ok(found)
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot write {} to the disk", dir.display()))
}
