//! Digests, and streams that are hashed and counted on their way.

use std::fmt;
use std::io::{self, Read, Write};

use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};

/// A sha256 digest, as OCI writes it: `sha256:` and 64 digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Reads one. Its digits can stand in a path.
    ///
    /// # Errors
    ///
    /// Another algorithm, or what is no digest.
    pub fn parse(text: &str) -> Result<Digest> {
        let Some(hex) = text.strip_prefix("sha256:") else {
            bail!("`{}` is no digest that can be verified: only sha256 is", text.escape_debug())
        };
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            bail!("`{}` is no digest: 64 digits in lower case follow `sha256:`", text.escape_debug())
        }
        Ok(Digest(text.to_owned()))
    }

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::finish(Sha256::new_with_prefix(bytes))
    }

    fn finish(hash: Sha256) -> Digest {
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Digest(format!("sha256:{digits}"))
    }

    /// The digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The digest of a chain of layers whose last is `diff`, over the chain `self`.
    #[must_use]
    pub fn chained(&self, diff: &Digest) -> Digest {
        Digest::of(format!("{self} {diff}").as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A stream that is hashed and counted.
pub struct Hashed<R> {
    input: R,
    hash: Sha256,
    count: u64,
    watch: Box<dyn FnMut(u64) -> io::Result<()> + Send>,
}

impl<R: Read> Hashed<R> {
    /// `watch` is told of each count, and may end the reading.
    pub fn new(input: R, watch: impl FnMut(u64) -> io::Result<()> + Send + 'static) -> Hashed<R> {
        Hashed { input, hash: Sha256::new(), count: 0, watch: Box::new(watch) }
    }

    /// What has been read: its digest and how many bytes.
    pub fn finish(self) -> (Digest, u64) {
        (Digest::finish(self.hash), self.count)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.hash.update(&into[..count]);
        self.count += count as u64;
        (self.watch)(self.count)?;
        Ok(count)
    }
}

/// What is written, hashed and counted on its way.
pub struct HashedWriter<W> {
    out: W,
    hash: Sha256,
    count: u64,
}

impl<W: Write> HashedWriter<W> {
    /// Nothing is written yet.
    pub fn new(out: W) -> HashedWriter<W> {
        HashedWriter { out, hash: Sha256::new(), count: 0 }
    }

    /// Where it went, its digest, and how many bytes it was.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.out, Digest::finish(self.hash), self.count)
    }
}

impl<W: Write> Write for HashedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
