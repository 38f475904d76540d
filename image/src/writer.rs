//! Writing a tar archive: the same entries give the same bytes, whoever writes
//! them and wherever they lie.
//!
//! What a plain header can say stands there; an extended one comes before it
//! only for what it cannot: fractions of a second, long names, large numbers,
//! extended attributes. Which parts of a file are holes is decided by its bytes
//! and not by where its file system has put them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

use crate::digest::HashedWriter;
use crate::header::{BLOCK, Entry, Kind};
use crate::holes;

/// As many bytes as a header's field takes in octal: seven digits, eleven digits.
const SMALL: u64 = 0o777_7777;
const LARGE: u64 = 0o777_7777_7777;
/// A header's field for a name or a target has so many bytes.
const NAME: usize = 100;

/// An archive being written.
pub struct Writer<W: Write> {
    builder: Builder<W>,
}

impl<W: Write> Writer<W> {
    /// An archive at its beginning.
    pub fn new(out: W) -> Writer<W> {
        Writer { builder: Builder::new(out) }
    }

    /// Appends an entry; the bytes of a regular file are read from `content`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that has not the size which the entry says.
    pub fn append(&mut self, entry: &Entry, content: Option<&mut File>) -> Result<()> {
        let pieces = match content {
            Some(ref file) => holes::pieces(file, entry.size)?,
            None => None,
        };
        let mut records = Vec::new();
        let mut name = entry.name.clone();
        let map = pieces.as_ref().map(|pieces| {
            records.push(("GNU.sparse.major".into(), b"1".to_vec()));
            records.push(("GNU.sparse.minor".into(), b"0".to_vec()));
            records.push((
                "GNU.sparse.name".into(),
                std::mem::replace(&mut name, b"GNUSparseFile.0/file".to_vec()),
            ));
            records.push(("GNU.sparse.realsize".into(), entry.size.to_string().into_bytes()));
            holes::map(pieces)
        });
        let stored = match (&pieces, &map) {
            (Some(pieces), Some(map)) => {
                map.len() as u64 + pieces.iter().map(|(_, length)| length).sum::<u64>()
            }
            _ if content.is_some() => entry.size,
            _ => 0,
        };
        let header = header(entry, name, stored, &mut records)?;
        self.begin(&header, &records)?;
        let out = self.builder.get_mut();
        if let Some(file) = content {
            out.write_all(map.as_deref().unwrap_or(&[]))?;
            for (offset, length) in pieces.unwrap_or_else(|| vec![(0, entry.size)]) {
                file.seek(SeekFrom::Start(offset))?;
                if io::copy(&mut Read::take(&mut *file, length), out)? != length {
                    bail!("it became shorter while it was read")
                }
            }
            let padding = usize::try_from(stored.wrapping_neg() % BLOCK as u64)?;
            out.write_all(&[0; BLOCK][..padding])?;
        }
        Ok(())
    }

    /// Appends a regular file with nothing of its own but its name, whose bytes, so many,
    /// are written by `write`.
    ///
    /// # Errors
    ///
    /// Another number of bytes, what the writing says, and what the output says.
    pub fn append_written(
        &mut self,
        name: &str,
        size: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let entry = Entry::plain(name.as_bytes().to_vec(), Kind::File, 0o644);
        let mut records = Vec::new();
        let header = header(&entry, entry.name.clone(), size, &mut records)?;
        self.begin(&header, &records)?;
        let out = self.builder.get_mut();
        let mut counted = HashedWriter::new(&mut *out);
        write(&mut counted)?;
        let (_, _, written) = counted.finish();
        if written != size {
            bail!("it has {written} bytes, and had {size} a moment ago: something changes it")
        }
        let padding = usize::try_from(size.wrapping_neg() % BLOCK as u64)?;
        Ok(out.write_all(&[0; BLOCK][..padding])?)
    }

    fn begin(&mut self, header: &Header, records: &[(String, Vec<u8>)]) -> Result<()> {
        if !records.is_empty() {
            let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(records)?;
        }
        Ok(self.builder.get_mut().write_all(header.as_bytes())?)
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// What the output says.
    pub fn finish(self) -> Result<W> {
        self.builder.into_inner().context("cannot write the archive's end")
    }
}

/// A header, and the records for what does not fit into it.
fn header(entry: &Entry, name: Vec<u8>, stored: u64, records: &mut Vec<(String, Vec<u8>)>) -> Result<Header> {
    let mut header = Header::new_ustar();
    let kind = match entry.kind {
        Kind::File => EntryType::Regular,
        Kind::Directory => EntryType::Directory,
        Kind::Symlink => EntryType::Symlink,
        Kind::HardLink => EntryType::Link,
        Kind::Character => EntryType::Char,
        Kind::Block => EntryType::Block,
        Kind::Fifo => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    let mut text = |key: &str, value: Vec<u8>, field: &mut [u8]| {
        let most = value.len().min(NAME);
        if value.len() > NAME {
            records.push((key.into(), value.clone()));
        }
        field[..most].copy_from_slice(&value[..most]);
    };
    let fields = header.as_ustar_mut().context("the header has no place for a name")?;
    text("path", name, &mut fields.name);
    text("linkpath", entry.link.clone(), &mut fields.linkname);
    let mut number = |key: &str, value: u64, most: u64| {
        if value > most {
            records.push((key.into(), value.to_string().into_bytes()));
        }
        if value > most { 0 } else { value }
    };
    header.set_uid(number("uid", entry.uid.into(), SMALL));
    header.set_gid(number("gid", entry.gid.into(), SMALL));
    header.set_size(number("size", stored, LARGE));
    match (u64::try_from(entry.mtime.0), entry.mtime.1) {
        (Ok(seconds), 0) if seconds <= LARGE => header.set_mtime(seconds),
        (seconds, _) => {
            header.set_mtime(seconds.unwrap_or(0).min(LARGE));
            records.push(("mtime".into(), time(entry.mtime).into_bytes()));
        }
    }
    if matches!(entry.kind, Kind::Character | Kind::Block) {
        header.set_device_major(entry.device.0)?;
        header.set_device_minor(entry.device.1)?;
    }
    if entry.kind != Kind::HardLink {
        for (name, value) in &entry.xattrs {
            let name = std::str::from_utf8(name).context("an extended attribute's name is no UTF-8")?;
            if name.contains('=') {
                bail!(
                    "its extended attribute `{}` has a name that an archive cannot hold",
                    name.escape_debug()
                )
            }
            records.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
    }
    header.set_cksum();
    Ok(header)
}

/// A time as an extended header spells it.
fn time((seconds, nanos): (i64, u32)) -> String {
    match nanos {
        0 => seconds.to_string(),
        // What counts on from a negative number of seconds is spelled counting back.
        _ if seconds < 0 => {
            let sign = if seconds == -1 { "-" } else { "" };
            format!("{sign}{}.{:09}", seconds + 1, 1_000_000_000 - nanos)
        }
        _ => format!("{seconds}.{nanos:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::time;
    use crate::pax::Pax;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for known in [(0, 0), (1, 1), (-1, 999_999_999), (-1, 0), (-2, 5), (1 << 40, 120_000_000), (-1, 1)] {
            let text = time(known);
            let record = |length: usize| format!("{length} mtime={text}\n");
            let length = (8..40).find(|length| record(*length).len() == *length).expect("one fits");
            let mut pax = Pax::default();
            pax.take_in(record(length).as_bytes()).expect("a record");
            assert_eq!(pax.time("mtime").expect("a time"), Some(known), "{text}");
        }
    }
}
