//! What an earlier start has found out.
//!
//! To read a policy, check it and compile it takes longer than to start a small
//! program. So a start leaves a record beside the instance: what it has asked
//! of the host and of the environment, and what came of it. The next start of
//! the same text asks the same again, and if all answers are the same it has
//! its view. A record that is damaged, or that no longer holds, is as good as none.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use policy::Fact;
use serde::{Deserialize, Serialize};

use crate::instance::{self, Placed, RECORDS, Settings};
use crate::state::{self, WriteLayer};
use crate::volumes::Volume;

#[derive(Serialize, Deserialize)]
struct Record {
    facts: Vec<Fact>,
    /// The instance's directory, by its name.
    dir: OsString,
    settings: Settings,
}

/// A start that has been remembered, and still holds.
pub struct Remembered {
    /// The instance's directory.
    dir: PathBuf,
    /// What the policy says of the start.
    pub settings: Settings,
}

/// Where the record of a policy is kept.
pub struct Memory {
    file: PathBuf,
    base: PathBuf,
}

impl Memory {
    /// The memory for a policy file with this text, for instances in `base`; which of
    /// them depends on a name that the command line gives, and on whether it is to be kept.
    pub fn of(base: &Path, file: &Path, text: &[u8], (name, keeps): (Option<&str>, bool)) -> Memory {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut hasher = blake3::Hasher::new();
        let format = policy::FORMAT.to_le_bytes();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        let name = name.unwrap_or_default().as_bytes();
        let doors = instance::DOORS_HASH.as_bytes();
        for bytes in [&format, file.as_os_str().as_bytes(), doors, text, name, &[u8::from(keeps)]] {
            part(bytes);
        }
        // Write layers lie where these say.
        for name in state::VARIABLES {
            part(std::env::var_os(name).unwrap_or_default().as_bytes());
        }
        let name = hasher.finalize().to_hex();
        let name = name.get(..32).unwrap_or(&name);
        Memory { file: base.join(RECORDS).join(name), base: base.to_owned() }
    }

    /// The instance as an earlier start has placed it, if nothing has changed.
    pub fn recall(&self) -> Option<Remembered> {
        let bytes = fs::read(&self.file).ok()?;
        let record: Record = postcard::from_bytes(&bytes).ok()?;
        let variables = |name: &str| std::env::var(name).ok();
        if !record.facts.iter().all(|fact| fact.holds(&variables)) {
            return None;
        }
        Some(Remembered { dir: self.base.join(record.dir), settings: record.settings })
    }

    /// Keeps what this start has found out. Errors are no concern of the
    /// program that is being started.
    pub fn keep(&self, placed: &Placed, facts: Vec<Fact>) {
        let Some(dir) = placed.dir.file_name() else { return };
        let record = Record { facts, dir: dir.to_owned(), settings: placed.settings.clone() };
        let Ok(bytes) = postcard::to_allocvec(&record) else { return };
        let name = format!("draft-{}-{}", std::process::id(), instance::start_time());
        let draft = self.file.with_file_name(name);
        let _ = fs::create_dir_all(self.base.join(RECORDS));
        if instance::write(&draft, &bytes, 0o400).and_then(|()| Ok(fs::rename(&draft, &self.file)?)).is_err()
        {
            let _ = fs::remove_file(&draft);
        }
    }
}

impl Remembered {
    /// The instance, with all that it needs; none where that cannot be had.
    pub fn placed(self) -> Option<Placed> {
        let image = instance::read_image(&self.dir).ok()?;
        if !self.settings.volumes.iter().all(Volume::exists) {
            return None;
        }
        self.settings.write_layers.iter().try_for_each(WriteLayer::make).ok()?;
        Some(Placed { dir: self.dir, image, settings: self.settings })
    }
}
