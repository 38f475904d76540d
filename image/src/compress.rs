//! Compressing what is written.

use std::io::{self, Read, Write};

use anyhow::Result;
use flate2::Compression as Level;
use flate2::GzBuilder;
use ruzstd::encoding::{CompressionLevel, FrameCompressor};

/// As much is compressed at once.
const CHUNK: usize = 1 << 17;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// By gzip, which all readers know.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Packing {
    /// The media type of a layer.
    pub fn media_type(self) -> &'static str {
        match self {
            Packing::None => "application/vnd.oci.image.layer.v1.tar",
            Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Compresses all that can be read.
    ///
    /// # Errors
    ///
    /// What the reading and the writing say.
    pub fn compress(self, mut from: impl Read, mut to: impl Write) -> Result<()> {
        match self {
            Packing::None => {
                io::copy(&mut from, &mut to)?;
            }
            Packing::Gzip => {
                // Neither a name nor a time: the same bytes come out of the same.
                let mut encoder = GzBuilder::new().write(to, Level::default());
                // What comes out depends on how much comes in at once, and a pipe gives what it has.
                let mut chunk = Vec::with_capacity(CHUNK);
                while from.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)? > 0 {
                    encoder.write_all(&chunk)?;
                    chunk.clear();
                }
                encoder.finish()?;
            }
            Packing::Zstd => {
                let (mut from, mut to) = (Quiet::new(from), Quiet::new(to));
                let mut encoder = FrameCompressor::new(CompressionLevel::Fastest);
                encoder.set_source(&mut from);
                encoder.set_drain(&mut to);
                encoder.compress();
                drop(encoder);
                from.finish()?;
                to.finish()?;
            }
        }
        Ok(())
    }
}

/// A stream whose errors are told at its end: the encoder takes none.
struct Quiet<S> {
    stream: S,
    error: Option<io::Error>,
}

impl<S> Quiet<S> {
    fn new(stream: S) -> Quiet<S> {
        Quiet { stream, error: None }
    }

    fn finish(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

impl<S: Read> Read for Quiet<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.error.is_none() {
            match self.stream.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
                done => return done,
            }
        }
        Ok(0)
    }
}

impl<S: Write> Write for Quiet<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none()
            && let Err(error) = self.stream.write_all(bytes)
        {
            self.error = Some(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read, Write};

    use super::Packing;
    use crate::compression::Decompressed;

    #[test]
    fn what_was_compressed_is_read_again() {
        let mut bytes = Vec::new();
        for number in 0..300_000_u32 {
            bytes.extend(number.wrapping_mul(number >> 7).to_le_bytes());
        }
        bytes.resize(2 << 20, 0);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut packed = Vec::new();
            packing.compress(&bytes[..], &mut packed).expect("nothing fails");
            let mut read = Vec::new();
            let mut stream = Decompressed::new(BufReader::new(&packed[..]), 8 << 20).expect("it is known");
            stream.read_to_end(&mut read).expect("it is whole");
            assert!(read == bytes && packed.len() < bytes.len(), "{packing:?}");
        }
    }

    #[test]
    fn the_same_comes_out_however_much_comes_in_at_once() {
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.1 = self.1 * 7 % 1009 + 1;
                let (now, rest) = self.0.split_at(self.1.min(into.len()).min(self.0.len()));
                into[..now.len()].copy_from_slice(now);
                self.0 = rest;
                Ok(now.len())
            }
        }
        let bytes: Vec<u8> =
            (0..900_000_u32).map(|number| (number.wrapping_mul(number) / 1000 % 251) as u8).collect();
        for packing in [Packing::Gzip, Packing::Zstd] {
            let [mut whole, mut slow] = [Vec::new(), Vec::new()];
            packing.compress(&bytes[..], &mut whole).expect("nothing fails");
            packing.compress(Slow(&bytes, 1), &mut slow).expect("nothing fails");
            assert!(whole == slow, "{packing:?}");
        }
    }

    #[test]
    fn an_error_of_either_stream_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for packing in [Packing::Gzip, Packing::Zstd] {
            assert!(packing.compress(Broken, Vec::new()).is_err(), "{packing:?}");
            assert!(packing.compress(&b"x"[..], Broken).is_err(), "{packing:?}");
        }
    }
}
