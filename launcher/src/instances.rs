//! What is kept of an instance from one run to the next, and who may touch it.
//!
//! An instance that keeps anything has a directory of its name in the state
//! directory. Whoever starts, changes or removes it holds a lock on that
//! directory (flock(2)), which dies with its holder. A program that has been
//! started holds none: it is found by the view that it maps, and in the moment
//! before it maps one by the note that its start has left.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use policy::Door;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::state::{self, WriteLayer};
use crate::volumes::Volume;
use crate::{instance, processes};

/// The mode of an instance's directory.
pub const DIRECTORY: u32 = 0o711;
/// Where the instance's record stands in its directory.
const RECORD: &str = "instance.json";
/// Where its image stands, from before the first change that is made on it.
const IMAGE: &str = "image";
/// Where the process stands that was started last.
const STARTED: &str = "started";
/// How long another launcher may take to start or change the instance.
const PATIENCE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_millis(20);

/// An instance that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its directory in the state directory.
    pub dir: PathBuf,
}

/// An instance that nobody else starts, changes or removes, until this is dropped or
/// its holder becomes another program.
pub struct Held {
    /// The instance.
    pub kept: Kept,
    /// Its directory, opened: the lock.
    _lock: File,
}

/// A word of a command line: text, where it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// UTF-8.
    Text(String),
    /// What is not.
    Bytes(Vec<u8>),
}

/// What an instance is made of, and how it is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whether `create` has made it: then what it runs stays as it was said there.
    pub created: bool,
    /// The policy file, absolute.
    pub policy: PathBuf,
    /// The program and its arguments; none: the image's own.
    pub program: Vec<Word>,
    /// The door that the command line has asked for.
    pub door: Option<Door>,
    /// Where the launcher was started.
    pub started_in: PathBuf,
    /// Its unions that have write layers which are kept.
    pub write_layers: Vec<WriteLayer>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
}

/// The image that an instance's changes are made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The digest of the chain of its layers.
    pub digest: String,
    /// Its name, when the instance was made.
    pub name: String,
    /// The digests of the chains that end in each of its layers, lowest first, without their algorithm.
    pub layers: Vec<String>,
}

impl From<&OsString> for Word {
    fn from(word: &OsString) -> Word {
        word.to_str().map_or_else(|| Word::Bytes(word.as_bytes().to_vec()), |text| Word::Text(text.into()))
    }
}

impl From<&Word> for OsString {
    fn from(word: &Word) -> OsString {
        match word {
            Word::Text(text) => text.into(),
            Word::Bytes(bytes) => OsString::from_vec(bytes.clone()),
        }
    }
}

/// All instances that are kept, by name.
///
/// # Errors
///
/// What the file system says.
pub fn all() -> Result<Vec<Kept>> {
    let dir = state::part("instances")?;
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {}", dir.display()))?,
    };
    let mut all: Vec<Kept> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            policy::is_name(&name).then(|| Kept { name, dir: entry.path() })
        })
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// The instance of a name.
///
/// # Errors
///
/// That there is none.
pub fn find(name: &str) -> Result<Kept> {
    let kept = Kept::of(name)?;
    if !policy::is_name(name) || !kept.dir.is_dir() {
        bail!(
            "no instance `{name}` is kept in {}: `launcher ps --all` says which are; STATE_DIRECTORY names another \
             state directory",
            state::dir()?.display()
        )
    }
    Ok(kept)
}

impl Kept {
    /// The instance of this name, whether there is one or not.
    ///
    /// # Errors
    ///
    /// Those of [`state::dir`].
    pub fn of(name: &str) -> Result<Kept> {
        Ok(Kept { name: name.to_owned(), dir: state::of_application(name)? })
    }

    /// Its record; none where it has never been made whole.
    ///
    /// # Errors
    ///
    /// A record that cannot be read.
    pub fn record(&self) -> Result<Option<Record>> {
        let file = self.dir.join(RECORD);
        match fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{} is malformed", file.display())),
        }
    }

    /// The image that its changes are made on, where its root is one.
    ///
    /// # Errors
    ///
    /// A note that cannot be read.
    pub fn image(&self) -> Result<Option<Base>> {
        let file = self.dir.join(IMAGE);
        match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
            Ok(text) => {
                let mut lines = text.lines().map(ToOwned::to_owned);
                let digest = lines.next().unwrap_or_default();
                Ok(Some(Base { digest, name: lines.next().unwrap_or_default(), layers: lines.collect() }))
            }
        }
    }

    /// Writes down the image that its changes will be made on.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn set_image(&self, base: &Base) -> Result<()> {
        let lines: Vec<&str> =
            [&base.digest, &base.name].into_iter().chain(&base.layers).map(String::as_str).collect();
        self.put(IMAGE, (lines.join("\n") + "\n").as_bytes())
    }

    /// The note that its last start has left: a process and its birth. None where it was never started.
    pub fn start(&self) -> Option<String> {
        fs::read_to_string(self.dir.join(STARTED)).ok()
    }

    /// The id of a process that runs in it, daemons that have left their parents too.
    pub fn runs(&self) -> Option<i32> {
        let first = || {
            let note = self.start()?;
            let (id, birth) = note.split_once(' ')?;
            let id = id.parse().ok()?;
            // Another process may have its id now.
            (processes::birth(id)? == birth).then_some(id)
        };
        let own = |process: &processes::Process| {
            let settings = instance::settings(process.view.parent()?).ok()?;
            (settings.kept.as_ref() == Some(&self.dir)).then_some(process.id)
        };
        // What runs is of the last start, and a view with a union has the gate.
        let has_union = || self.record().ok().flatten().is_some_and(|record| !record.write_layers.is_empty());
        let has_union = has_union();
        let running = || if has_union { processes::gated() } else { processes::all() };
        first()
            .or_else(|| running().iter().find_map(own))
            .or_else(|| processes::orphan(&self.name, has_union))
    }

    /// Holds it. It need not be there yet.
    ///
    /// # Errors
    ///
    /// That another launcher is at work on it for long.
    pub fn hold(&self) -> Result<Held> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.make().with_context(|| format!("cannot make {}", self.dir.display()))?;
            match self.try_hold()? {
                Some(held) => return Ok(held),
                None if Instant::now() > deadline => bail!(
                    "another launcher is at work on the instance `{}` ({}): try again when it is done",
                    self.name,
                    self.dir.display()
                ),
                None => sleep(PERIOD),
            }
        }
    }

    /// Makes its directory, where it is missing. Other users pass through it to what is theirs, and
    /// cannot open it: whoever can may lock it.
    fn make(&self) -> std::io::Result<()> {
        let above = self.dir.parent().unwrap_or(&self.dir);
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        match DirBuilder::new().mode(DIRECTORY).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// None where another launcher is at work on it, or has just moved it away.
    fn try_hold(&self) -> Result<Option<Held>> {
        let opened = match File::open(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(|| format!("cannot open {}", self.dir.display()))?,
        };
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.with_context(|| format!("cannot lock {}", self.dir.display()))?,
        }
        let id = |about: fs::Metadata| (about.dev(), about.ino());
        let is_there = fs::metadata(&self.dir)
            .is_ok_and(|there| opened.metadata().is_ok_and(|own| id(own) == id(there)));
        Ok(is_there.then(|| Held { kept: self.clone(), _lock: opened }))
    }

    /// Writes a file, of which not even a machine that stops leaves half.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (place, draft) = (self.dir.join(name), self.dir.join(format!(".{name}")));
        let written = || {
            let mut file = File::create(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        written()
            .and_then(|()| fs::rename(&draft, &place))
            .with_context(|| format!("cannot write {}", place.display()))
    }
}

impl Held {
    /// Refuses to take away or change what a process runs in.
    ///
    /// # Errors
    ///
    /// That one does, and its id.
    pub fn must_be_idle(&self) -> Result<()> {
        let name = &self.kept.name;
        match self.kept.runs() {
            None => Ok(()),
            Some(id) => bail!("the instance `{name}` runs, as process {id}: `launcher stop {name}` first"),
        }
    }

    /// Refuses a second start.
    ///
    /// # Errors
    ///
    /// That a process runs in it, its id, and what can be done.
    pub fn must_not_run_already(&self) -> Result<()> {
        let name = &self.kept.name;
        match self.kept.runs() {
            None => Ok(()),
            Some(id) => bail!(
                "the instance `{name}` runs already, as process {id}\n  \
                 to end it: launcher stop {name}\n  \
                 for another instance with changes of its own: --name NAME, or `app.name` in a policy of its own"
            ),
        }
    }

    /// Writes the record, where it has changed.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn keep(&self, record: &Record) -> Result<()> {
        if self.kept.record().ok().flatten().as_ref() == Some(record) {
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(record).context("cannot write the record")?;
        text.push(b'\n');
        self.kept.put(RECORD, &text)
    }

    /// Notes that this process is about to become the instance's first.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn note_start(&self) -> Result<()> {
        let id = i32::try_from(std::process::id()).unwrap_or_default();
        let birth = processes::birth(id).context("cannot read /proc/self/stat")?;
        // Half of it is as good as none: then the view tells, as a moment later it does anyway.
        let file = self.kept.dir.join(STARTED);
        fs::write(&file, format!("{id} {birth}")).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The directory of the instance.
    pub fn dir(&self) -> &Path {
        &self.kept.dir
    }
}
