//! Where images are kept, what is there, and taking it away.
//!
//! ```text
//! lock                 shared by imports, exclusive for gc: dies with its holder
//! layers/DIGITS/       a layer, by the digest of the chain that it ends
//!     tree/            its files, in overlayfs's format
//!     owners           what neither owner nor attribute of a file could hold
//!     archive          as it came, where that was asked for
//! names/NAME/          an image
//!     image.json       its layers, lowest first
//!     config.json      its configuration, as it was made
//!     lock             shared by the instances that run on it
//! drafts/              what is being made; nothing there is visible
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::attributes::SPELLED;
use crate::digest::Digest;
use crate::kept::Book;

/// A layer of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of the layers up to this one.
    pub chain: String,
    /// The digest of its archive.
    pub diff: String,
    /// Bytes of its files.
    pub size: u64,
    /// How many entries it has.
    pub entries: u64,
}

/// An image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Where it came from.
    pub source: String,
    /// The manifest's digest, where there was one.
    pub manifest: Option<String>,
    /// The configuration's digest: the image's own.
    pub config: String,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// Who uses a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// A process that runs on it.
    Process(i32),
    /// An instance that keeps changes which were made on it, and does not run.
    Instance(String),
}

/// Finds which of these layers' trees are in use, and all who use each.
pub type Users = fn(&[PathBuf]) -> Result<Vec<(PathBuf, User)>>;

/// The store.
pub struct Store {
    dir: PathBuf,
    users: Users,
    book: Option<Book>,
}

/// A lock, until it is dropped or its holder dies.
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// What `gc` has taken away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collected {
    /// Layers that no image had.
    pub layers: u64,
    /// Remains of imports that were cut off.
    pub drafts: u64,
}

impl Store {
    /// The store in a directory, made where it is missing.
    ///
    /// # Errors
    ///
    /// A directory that cannot be made, or is not ours alone.
    pub fn at(dir: PathBuf, users: Users) -> Result<Store> {
        for part in ["", "layers", "names", "drafts"] {
            let path = dir.join(part);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.with_context(|| {
                format!(
                    "cannot make {}: set STATE_DIRECTORY or XDG_STATE_HOME to a directory of yours",
                    path.display()
                )
            })?;
        }
        let about = fs::metadata(&dir).with_context(|| format!("cannot look at {}", dir.display()))?;
        let uid = rustix::process::geteuid().as_raw();
        if about.uid() != uid || about.mode() & 0o022 != 0 {
            bail!(
                "{} belongs to another user, or others may write there: set STATE_DIRECTORY or XDG_STATE_HOME to a directory of yours",
                dir.display()
            )
        }
        Ok(Store { dir, users, book: None })
    }

    /// The same, with what is kept elsewhere of the files of write layers.
    #[must_use]
    pub fn with_book(self, book: Book) -> Store {
        Store { book: Some(book), ..self }
    }

    /// What is kept elsewhere of them.
    pub fn book(&self) -> Option<Book> {
        self.book
    }

    /// Where drafts are made.
    pub fn drafts(&self) -> PathBuf {
        self.dir.join("drafts")
    }

    /// A layer's directory.
    pub fn layer(&self, chain: &Digest) -> PathBuf {
        self.dir.join("layers").join(chain.hex())
    }

    /// An image's directory.
    ///
    /// # Errors
    ///
    /// A name that is none.
    pub fn name(&self, name: &str) -> Result<PathBuf> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(good) || name.starts_with(['.', '-']) {
            bail!(
                "`{}` cannot be the name of an image: letters, digits, `.`, `_` and `-` can be in it, at most 128, the first a letter, a digit or `_`",
                name.escape_debug()
            )
        }
        Ok(self.dir.join("names").join(name))
    }

    /// The lock that an import holds; what earlier ones left is taken away first.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn lock_for_import(&self) -> Result<Lock> {
        if let Ok(Some(_lock)) = self.lock(FlockOperation::NonBlockingLockExclusive) {
            self.clear_drafts()?;
        }
        self.lock(FlockOperation::LockShared)?.context("the store is locked")
    }

    fn lock(&self, how: FlockOperation) -> Result<Option<Lock>> {
        lock(&self.dir.join("lock"), how)
    }

    fn clear_drafts(&self) -> Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(self.drafts()).context("cannot list the drafts")? {
            let path = entry.context("cannot list the drafts")?.path();
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            count += 1;
        }
        Ok(count)
    }

    /// All images, by name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn list(&self) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        for entry in fs::read_dir(self.dir.join("names")).context("cannot list the images")? {
            let name = entry.context("cannot list the images")?.file_name();
            let Some(name) = name.to_str() else { continue };
            // One that has gone meanwhile is not there.
            if self.name(name)?.exists() {
                images.push(self.image(name)?);
            }
        }
        images.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(images)
    }

    /// An image.
    ///
    /// # Errors
    ///
    /// One that is not there.
    pub fn image(&self, name: &str) -> Result<Image> {
        let file = self.name(name)?.join("image.json");
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("there is no image `{name}`: `launcher image ls` says which there are")
            }
            read => read.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let mut image: Image =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is malformed", file.display()))?;
        name.clone_into(&mut image.name);
        Ok(image)
    }

    /// An image's configuration.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn config(&self, name: &str) -> Result<serde_json::Value> {
        let file = self.name(name)?.join("config.json");
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is malformed", file.display()))
    }

    /// The trees of an image's layers, lowest first.
    ///
    /// # Errors
    ///
    /// A record that is malformed.
    pub fn trees(&self, image: &Image) -> Result<Vec<PathBuf>> {
        image.layers.iter().map(|layer| Ok(self.layer(&Digest::parse(&layer.chain)?).join("tree"))).collect()
    }

    /// Whether whiteouts of a layer's tree are files, since devices were refused where it was imported.
    pub fn spells_whiteouts(tree: &Path) -> bool {
        rustix::fs::getxattr(tree, SPELLED, &mut [0; 1][..]).is_ok()
    }

    /// The lock of one who starts on an image: while it is held, the image
    /// cannot be removed or replaced. Those that run are found by what they have mapped.
    ///
    /// # Errors
    ///
    /// An image that is not there, or is being removed.
    pub fn use_image(&self, name: &str) -> Result<Lock> {
        let path = self.name(name)?.join("lock");
        let held = lock(&path, FlockOperation::NonBlockingLockShared)?;
        held.with_context(|| format!("the image `{name}` is being removed"))
    }

    /// The lock of one who removes or replaces an image.
    ///
    /// # Errors
    ///
    /// An image that is in use.
    pub fn own_image(&self, name: &str) -> Result<Lock> {
        let path = self.name(name)?.join("lock");
        let held = lock(&path, FlockOperation::NonBlockingLockExclusive)?;
        let held = held.with_context(|| {
            format!("an instance is being started on the image `{name}`: try again later")
        })?;
        for user in self.users_of(name)? {
            if let User::Process(id) = user {
                bail!("the image `{name}` is in use by process {id}: stop that first")
            }
        }
        Ok(held)
    }

    /// Who is on an image: has its layers and no other. One on an image that
    /// begins with them all has them until the last of both is gone.
    fn users_of(&self, name: &str) -> Result<Vec<User>> {
        let own = self.trees(&self.image(name)?)?;
        if (self.users)(&own)?.is_empty() {
            return Ok(Vec::new());
        }
        let mut of: BTreeMap<User, HashSet<PathBuf>> = BTreeMap::new();
        for (tree, user) in (self.users)(&self.all_trees()?)? {
            of.entry(user).or_default().insert(tree);
        }
        let own: HashSet<PathBuf> = own.into_iter().collect();
        Ok(of.into_iter().filter(|(_, trees)| *trees == own).map(|(user, _)| user).collect())
    }

    /// The trees of all layers, also of those that no image has.
    fn all_trees(&self) -> Result<Vec<PathBuf>> {
        let layers = fs::read_dir(self.dir.join("layers")).context("cannot list the layers")?;
        layers.map(|layer| Ok(layer.context("cannot list the layers")?.path().join("tree"))).collect()
    }

    /// Takes an image away. Its layers stay until `gc`.
    ///
    /// # Errors
    ///
    /// An image that is in use, or not there.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.image(name)?;
        let _own = self.own_image(name)?;
        for user in self.users_of(name)? {
            if let User::Instance(instance) = user {
                bail!(
                    "the image `{name}` is in use by the instance `{instance}`: `launcher rm {instance}` first"
                )
            }
        }
        let _import = self.lock_for_import()?;
        let draft = self.draft()?;
        fs::rename(self.name(name)?, draft.path().join("removed"))
            .context("cannot take the image's name away")?;
        draft.close().context("cannot remove the image's record")
    }

    /// A directory to make something in; it goes with its maker's last reference.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn draft(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("")
            .tempdir_in(self.drafts())
            .context("cannot make a directory for a draft")
    }

    /// Takes away layers that no image has, and what imports left that were cut off.
    ///
    /// # Errors
    ///
    /// An import that is running, or what the file system says.
    pub fn collect(&self) -> Result<Collected> {
        let Some(_lock) = self.lock(FlockOperation::NonBlockingLockExclusive)? else {
            bail!("an import is running: try again when it is done")
        };
        let mut collected = Collected { drafts: self.clear_drafts()?, layers: 0 };
        let images = self.list()?;
        let mut wanted: HashSet<PathBuf> = images
            .iter()
            .flat_map(|image| &image.layers)
            .filter_map(|layer| Some(self.layer(&Digest::parse(&layer.chain).ok()?)))
            .collect();
        let trees = self.all_trees()?;
        wanted.extend((self.users)(&trees)?.iter().filter_map(|(tree, _)| Some(tree.parent()?.to_owned())));
        for path in trees.iter().filter_map(|tree| tree.parent()) {
            if !wanted.contains(path) {
                // From its place in one step: half a layer is never there.
                let draft = self.draft()?;
                fs::rename(path, draft.path().join("layer"))
                    .with_context(|| format!("cannot move {}", path.display()))?;
                draft.close().with_context(|| format!("cannot remove {}", path.display()))?;
                collected.layers += 1;
            }
        }
        Ok(collected)
    }
}

fn lock(path: &Path, how: FlockOperation) -> Result<Option<Lock>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match flock(&file, how) {
        Ok(()) => Ok(Some(Lock(file))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
