//! Compressed streams: told by their first bytes, read member after member.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use crate::zstd::Zstd;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// A kind that is not read, by its name.
    Other(&'static str),
}

/// Tells by the first bytes what a stream is.
pub fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Compression::Xz,
        [b'B', b'Z', b'h', ..] => Compression::Other("bzip2"),
        _ => Compression::None,
    }
}

/// A stream with its compression undone.
pub enum Decompressed<R: BufRead> {
    /// As it is.
    Plain(R),
    /// The current member of a gzip stream; none at its end.
    Gzip(Option<Box<GzDecoder<R>>>),
    /// A Zstandard stream.
    Zstd(Zstd<R>),
    /// An xz stream, and the memory that it may want; none at its end, or once it has failed.
    Xz(Option<Box<XzReader<R>>>, u64),
}

impl<R: BufRead> Decompressed<R> {
    /// Looks at the first bytes of a stream.
    ///
    /// # Errors
    ///
    /// A compression that is not read.
    pub fn new(mut input: R, window: u64) -> io::Result<Decompressed<R>> {
        Ok(match sniff(input.fill_buf()?) {
            Compression::None => Decompressed::Plain(input),
            Compression::Gzip => Decompressed::Gzip(Some(Box::new(GzDecoder::new(input)))),
            Compression::Zstd => Decompressed::Zstd(Zstd::new(input, window)),
            Compression::Xz => {
                // Beside its dictionary, the decoder has some tables.
                let room = (window >> 10).saturating_add(1024).try_into().unwrap_or(u32::MAX);
                Decompressed::Xz(Some(Box::new(XzReader::new_mem_limit(input, true, room))), window)
            }
            Compression::Other(name) => {
                return Err(io::Error::other(format!(
                    "it is compressed by {name}, which is not read: decompress it first, or compress it by gzip, zstd or xz"
                )));
            }
        })
    }
}

impl<R: BufRead> Read for Decompressed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Decompressed::Plain(input) => input.read(into),
            Decompressed::Zstd(zstd) => zstd.read(into),
            Decompressed::Xz(reader, window) => {
                if into.is_empty() {
                    return Ok(0);
                }
                let Some(mut xz) = reader.take() else { return Ok(0) };
                let count = xz.read(into).map_err(|error| match error.kind() {
                    io::ErrorKind::OutOfMemory => {
                        let message =
                            "the xz stream wants more memory than the limit `window` allows, which is";
                        io::Error::other(format!(
                            "{message} {window} bytes: `--limit window=64M` allows what xz -9 makes"
                        ))
                    }
                    _ => error,
                })?;
                *reader = (count > 0).then_some(xz);
                Ok(count)
            }
            Decompressed::Gzip(member) => loop {
                let Some(decoder) = member else { return Ok(0) };
                let count = decoder.read(into)?;
                if count > 0 || into.is_empty() {
                    return Ok(count);
                }
                let Some(decoder) = member.take() else { return Ok(0) };
                let mut input = decoder.into_inner();
                let rest = input.fill_buf()?;
                if rest.is_empty() {
                    return Ok(0);
                }
                if !rest.starts_with(&[0x1f]) {
                    return Err(io::Error::other("something that is no gzip follows the gzip stream"));
                }
                *member = Some(Box::new(GzDecoder::new(input)));
            },
        }
    }
}
