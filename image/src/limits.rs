//! What an image may ask of this host: one table, each line of which can be
//! changed on the command line.

use anyhow::{Result, bail};

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $field:ident: $word:literal = $default:expr;)*) => {
        /// The limits.
        #[derive(Clone, Debug)]
        pub struct Limits { $($(#[doc = $doc])* pub $field: u64,)* }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($field: $default,)* }
            }
        }

        impl Limits {
            /// The words by which they are changed.
            pub const WORDS: &[&str] = &[$($word,)*];

            fn named(&mut self, word: &str) -> Option<&mut u64> {
                match word {
                    $($word => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
}

limits! {
    /// Bytes of all layers, unpacked.
    bytes: "bytes" = 64 << 30;
    /// Unpacked bytes for each compressed byte, beyond the first 64 MiB of a layer.
    ratio: "ratio" = 500;
    /// Entries of all layers.
    entries: "entries" = 2_000_000;
    /// Directories above an entry.
    depth: "depth" = 128;
    /// Bytes of an entry's whole name, and of a link's target.
    name: "name" = 4095;
    /// Bytes of one extended header, with the extended attributes in it.
    header: "header" = 1 << 20;
    /// Pieces of one sparse file.
    pieces: "pieces" = 100_000;
    /// Bytes of one file, holes and all.
    file: "file" = 1 << 40;
    /// Layers of one image.
    layers: "layers" = 127;
    /// Bytes of one JSON document: manifest, index or configuration.
    json: "json" = 4 << 20;
    /// Bytes of the window that a zstd frame wants in memory.
    window: "window" = 8 << 20;
    /// Files in an archive that holds a whole image.
    members: "members" = 20_000;
}

impl Limits {
    /// Changes one, as `word=number`; the number may end in K, M, G or T.
    ///
    /// # Errors
    ///
    /// A word or a number that is none.
    pub fn change(&mut self, text: &str) -> Result<()> {
        let known = Self::WORDS.join(", ");
        let Some((word, number)) = text.split_once('=') else {
            bail!("`{text}` is no limit: write KEY=NUMBER, with one of {known}")
        };
        let Some(limit) = self.named(word) else { bail!("no limit is called `{word}`; there are {known}") };
        let (digits, shift) = match number.chars().last() {
            Some('K') => (number.strip_suffix('K'), 10),
            Some('M') => (number.strip_suffix('M'), 20),
            Some('G') => (number.strip_suffix('G'), 30),
            Some('T') => (number.strip_suffix('T'), 40),
            _ => (Some(number), 0),
        };
        let value = digits
            .and_then(|digits| digits.parse::<u64>().ok())
            .and_then(|value| value.checked_mul(1 << shift));
        let Some(value) = value else {
            bail!("`{number}` is no number for the limit `{word}`: write digits, and K, M, G or T if wanted")
        };
        *limit = value;
        Ok(())
    }
}

/// The words of a refusal by a limit.
pub fn exceeded(what: &str, found: u64, word: &str, limit: u64) -> anyhow::Error {
    anyhow::anyhow!(
        "{what}: {found} is more than the limit `{word}` of {limit}; if the image is to be trusted, add --limit {word}={found}"
    )
}
