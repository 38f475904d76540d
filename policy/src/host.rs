//! What a policy's meaning depends on outside its text: the host's files and
//! the environment.
//!
//! All looks at the host go through [`Host`], which remembers each answer, so
//! that one path is looked at once. The answers are [`Fact`]s, which can be
//! kept: a later start whose facts still hold means the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A directory that has changed as lately as this may change again without
/// its time telling.
const SETTLED: Duration = Duration::from_secs(1);

/// What the host has at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Nothing that this user can see.
    Nothing,
    /// A directory.
    Directory,
    /// A symbolic link, and its text.
    Link(PathBuf),
    /// Something else: a file, as a rule.
    File,
}

/// One answer of the host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// What lies at a path.
    Found(PathBuf, Found),
    /// A path without links that leads where another does.
    Canonical(PathBuf, PathBuf),
    /// A directory whose names have been read, or a file whose bytes have: its inode, and its time of
    /// change in seconds and nanoseconds.
    Listed(PathBuf, u64, (i64, i64)),
    /// A variable's value.
    Variable(String, Option<String>),
    /// The id of the kernel's boot.
    Boot(Option<String>),
}

impl Fact {
    /// Whether the host still says so. Variables are looked up by `variables`.
    pub fn holds(&self, variables: crate::Variables<'_>) -> bool {
        match self {
            Fact::Found(path, found) => look(path) == *found,
            Fact::Canonical(path, canonical) => fs::canonicalize(path).is_ok_and(|now| now == *canonical),
            Fact::Listed(path, inode, time) => fs::symlink_metadata(path)
                .is_ok_and(|now| now.ino() == *inode && (now.mtime(), now.mtime_nsec()) == *time),
            Fact::Variable(name, value) => variables(name) == *value,
            Fact::Boot(id) => boot_id() == *id,
        }
    }
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim_end().to_owned())
}

fn look(path: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => Found::Directory,
        Ok(about) if about.is_symlink() => fs::read_link(path).map_or(Found::Nothing, Found::Link),
        Ok(_) => Found::File,
        Err(_) => Found::Nothing,
    }
}

/// The host, as far as it has been looked at.
#[derive(Clone, Debug, Default)]
pub struct Host {
    found: RefCell<HashMap<PathBuf, Found>>,
    canonical: RefCell<HashMap<PathBuf, PathBuf>>,
    others: RefCell<Vec<Fact>>,
    unsettled: RefCell<bool>,
}

impl Host {
    /// What lies at a path; a link is not followed.
    pub fn look(&self, path: &Path) -> Found {
        if let Some(known) = self.found.borrow().get(path) {
            return known.clone();
        }
        let found = look(path);
        self.found.borrow_mut().insert(path.to_owned(), found.clone());
        found
    }

    /// The path without links that leads to the same place.
    ///
    /// # Errors
    ///
    /// Those of realpath(3).
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(known) = self.canonical.borrow().get(path) {
            return Ok(known.clone());
        }
        let canonical = fs::canonicalize(path).inspect_err(|error| {
            // That it is missing is an answer like another; what is not
            // allowed today may be tomorrow.
            let missing = error.kind() == io::ErrorKind::NotFound && self.look(path) == Found::Nothing;
            *self.unsettled.borrow_mut() |= !missing;
        })?;
        self.canonical.borrow_mut().insert(path.to_owned(), canonical.clone());
        Ok(canonical)
    }

    /// The names in a directory.
    ///
    /// # Errors
    ///
    /// Those of opendir(3).
    pub fn list(&self, path: &Path) -> io::Result<fs::ReadDir> {
        let about = fs::symlink_metadata(path).inspect_err(|_| *self.unsettled.borrow_mut() = true)?;
        let changed = about.modified().ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_none_or(|age| age < SETTLED) {
            *self.unsettled.borrow_mut() = true;
        }
        let time = (about.mtime(), about.mtime_nsec());
        self.others.borrow_mut().push(Fact::Listed(path.to_owned(), about.ino(), time));
        fs::read_dir(path)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.canonicalize(path)?;
        let about = fs::symlink_metadata(&path)?;
        let time = (about.mtime(), about.mtime_nsec());
        self.others.borrow_mut().push(Fact::Listed(path.clone(), about.ino(), time));
        fs::read(path)
    }

    /// The id of the kernel's boot; none where it cannot be read.
    pub fn boot_id(&self) -> Option<String> {
        let id = boot_id();
        self.others.borrow_mut().push(Fact::Boot(id.clone()));
        id
    }

    /// Notes that a variable has been asked for.
    pub fn note_variable(&self, name: &str, value: Option<&str>) {
        self.others.borrow_mut().push(Fact::Variable(name.into(), value.map(Into::into)));
    }

    /// Notes that the answers cannot be relied on another time.
    pub fn note_unsettled(&self) {
        *self.unsettled.borrow_mut() = true;
    }

    /// All that has been answered; none where some of it cannot be relied on.
    pub fn facts(&self) -> Option<Vec<Fact>> {
        if *self.unsettled.borrow() {
            return None;
        }
        let found = self.found.borrow();
        let canonical = self.canonical.borrow();
        let found = found.iter().map(|(path, found)| Fact::Found(path.clone(), found.clone()));
        let canonical = canonical.iter().map(|(path, to)| Fact::Canonical(path.clone(), to.clone()));
        let others = self.others.borrow();
        Some(others.iter().cloned().chain(found).chain(canonical).collect())
    }
}
