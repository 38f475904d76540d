//! Reading a tar archive from a stream: one block of memory, whatever it says.
//!
//! Where readers of tar are known to disagree (a size on a link, data after
//! the end, a map that does not add up) the archive is refused.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};

use crate::header::{BLOCK, Entry, Kind, header_name, number, spelled, text};
use crate::limits::{Limits, exceeded};
use crate::pax::Pax;

/// An archive. Reading from it gives the bytes stored for the current entry.
pub struct Archive<'a, R> {
    input: R,
    pub(crate) limits: &'a Limits,
    pub(crate) body: u64,
    padding: u64,
    /// How many bytes have been read.
    offset: u64,
    global: Pax,
    /// Whether the blocks that end an archive have been seen.
    pub marked: bool,
    done: bool,
}

impl<R: Read> Read for Archive<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.body).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file"));
        }
        self.body -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

impl<'a, R: Read> Archive<'a, R> {
    /// An archive at its beginning.
    pub fn new(input: R, limits: &'a Limits) -> Archive<'a, R> {
        Archive {
            input,
            limits,
            body: 0,
            padding: 0,
            offset: 0,
            global: Pax::default(),
            marked: false,
            done: false,
        }
    }

    /// Where in the archive the bytes of the current entry begin.
    pub fn position(&self) -> u64 {
        self.offset
    }

    /// How many bytes are stored for the current entry and not read yet.
    pub fn stored(&self) -> u64 {
        self.body
    }

    /// The next entry; none at the end.
    ///
    /// # Errors
    ///
    /// What is malformed, beyond a limit, or understood differently by different readers.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut pax = Pax::default();
        let (mut name, mut link) = (None, None);
        let mut announced = false;
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                if announced {
                    bail!("the archive ends after an extended header, before the entry it is for")
                }
                return Ok(None);
            };
            let size = number(&block[124..136]).context("the header's size")?;
            let size = u64::try_from(size).context("the header's size is negative")?;
            match block[156] {
                b'x' | b'X' => pax.take_in(&self.extended(size)?)?,
                b'g' => {
                    let body = self.extended(size)?;
                    self.global.take_in(&body)?;
                    continue;
                }
                b'L' => name = Some(long_name(self.extended(size)?)),
                b'K' => link = Some(long_name(self.extended(size)?)),
                _ => return self.entry(&block, size, &pax, name, link).map(Some),
            }
            announced = true;
        }
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        size: u64,
        pax: &Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let pax = pax.over(&self.global);
        let own = |key: &str| pax.get(key).map(<[u8]>::to_vec);
        let name = own("GNU.sparse.name").or_else(|| own("path")).or(long_name);
        let name = name.unwrap_or_else(|| header_name(block));
        let shown = || format!("entry {}", spelled(&name));
        let link = own("linkpath").or(long_link).unwrap_or_else(|| text(&block[157..257]).to_vec());
        let size = pax.number("size")?.unwrap_or(size);
        let kind = match block[156] {
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => bail!(
                "{}: type {:?} is none that an image may hold; make the layer anew",
                shown(),
                char::from(other)
            ),
        };
        if kind != Kind::File && size != 0 {
            bail!(
                "{}: it is no file, yet has a size of {size}: readers of tar disagree about what follows; make the layer anew",
                shown()
            )
        }
        if name.contains(&0) || link.contains(&0) {
            bail!("{}: its name or its target holds NUL, which no file system can", shown())
        }
        for (what, value) in [("the name's bytes", &name), ("the target's bytes", &link)] {
            if value.len() as u64 > self.limits.name {
                return Err(exceeded(what, value.len() as u64, "name", self.limits.name)).with_context(shown);
            }
        }
        let field = |key: &str, range: std::ops::Range<usize>| -> Result<u32> {
            let value = match pax.number(key)? {
                Some(value) => value,
                None => number(&block[range]).and_then(|value| u64::try_from(value).context("negative"))?,
            };
            u32::try_from(value)
                .ok()
                .filter(|value| *value != u32::MAX)
                .with_context(|| format!("{value} is out of range"))
        };
        let uid = field("uid", 108..116).with_context(|| format!("{}: its owner", shown()))?;
        let gid = field("gid", 116..124).with_context(|| format!("{}: its group", shown()))?;
        let mode = number(&block[100..108]).with_context(|| format!("{}: its mode", shown()))?;
        let mtime = match pax.time("mtime").with_context(shown)? {
            Some(time) => time,
            None => (number(&block[136..148]).with_context(|| format!("{}: its time", shown()))?, 0),
        };
        let device = if matches!(kind, Kind::Character | Kind::Block) {
            let part = |range: std::ops::Range<usize>| {
                number(&block[range]).and_then(|value| Ok(u32::try_from(value)?))
            };
            (part(329..337).with_context(shown)?, part(337..345).with_context(shown)?)
        } else {
            (0, 0)
        };
        (self.body, self.padding) = (size, padding(size));
        let (pieces, real) = self.pieces(block, &pax, size).with_context(shown)?;
        if real > self.limits.file {
            return Err(exceeded("the file's bytes", real, "file", self.limits.file)).with_context(shown);
        }
        let xattrs = pax.xattrs().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        let mode = u32::try_from(mode & 0o7777).unwrap_or(0);
        Ok(Entry { name, link, kind, mode, uid, gid, mtime, device, xattrs, size: real, pieces })
    }

    /// The body of a header that says more about the next one.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > self.limits.header {
            return Err(exceeded("the extended header's bytes", size, "header", self.limits.header));
        }
        let mut body = vec![0; usize::try_from(size)?];
        self.fill(&mut body)?;
        self.padding = padding(size);
        Ok(body)
    }

    /// A header, with its checksum verified; none at the archive's end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        if self.done || !self.fill_or_end(&mut block)? {
            self.done = true;
            return Ok(None);
        }
        if block == [0; BLOCK] {
            self.done = true;
            self.marked = true;
            return self.only_zeros().map(|()| None);
        }
        let sum = |signed: bool| -> i64 {
            let value = |byte: u8| if signed { i64::from(byte.cast_signed()) } else { i64::from(byte) };
            block
                .iter()
                .enumerate()
                .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { value(*byte) })
                .sum()
        };
        let said = number(&block[148..156]).context("a header's checksum")?;
        if said != sum(false) && said != sum(true) {
            bail!(
                "byte {}: a header's checksum is wrong: the archive is damaged, or is no tar archive",
                self.offset - 512
            )
        }
        Ok(Some(block))
    }

    /// Reads on to the end of the stream.
    fn only_zeros(&mut self) -> Result<()> {
        let mut rest = vec![0; 1 << 16];
        loop {
            let count = self.input.read(&mut rest)?;
            if count == 0 {
                return Ok(());
            }
            if rest[..count].iter().any(|byte| *byte != 0) {
                bail!(
                    "the archive goes on after its end: readers of tar disagree about what follows; make the layer anew"
                )
            }
        }
    }

    fn skip(&mut self) -> Result<()> {
        let mut left = std::mem::take(&mut self.body);
        let mut scratch = [0; 8192];
        while left > 0 {
            let most = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.fill(&mut scratch[..most])?;
            left -= most as u64;
        }
        // Some writers leave the last file's padding out, with the end (`umoci insert`).
        let padding = usize::try_from(std::mem::take(&mut self.padding))?;
        self.done |= self.read_up_to(&mut scratch[..padding])? < padding;
        Ok(())
    }

    /// Reads on, whatever entry it belongs to.
    ///
    /// # Errors
    ///
    /// The archive's end.
    pub(crate) fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        if !into.is_empty() && !self.fill_or_end(into)? {
            bail!("the archive is truncated after {} bytes", self.offset)
        }
        Ok(())
    }

    fn fill_or_end(&mut self, into: &mut [u8]) -> Result<bool> {
        match self.read_up_to(into)? {
            0 => Ok(into.is_empty()),
            count if count == into.len() => Ok(true),
            _ => bail!("the archive is truncated after {} bytes", self.offset),
        }
    }

    /// Reads until all is full, or the stream ends.
    fn read_up_to(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut at = 0;
        while at < into.len() {
            match self.input.read(&mut into[at..]) {
                Ok(0) => break,
                Ok(count) => {
                    at += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(at)
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn long_name(mut body: Vec<u8>) -> Vec<u8> {
    while body.last() == Some(&0) {
        body.pop();
    }
    body
}
