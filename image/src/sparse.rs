//! Sparse files of an archive: which of their bytes are stored.

use std::io::Read;

use anyhow::{Context, Result, bail};

use crate::archive::Archive;
use crate::header::{BLOCK, Pieces, number};
use crate::limits::exceeded;
use crate::pax::{Pax, decimal};

impl<R: Read> Archive<'_, R> {
    /// The map of a sparse file, in any of its four formats, and the file's size.
    ///
    /// # Errors
    ///
    /// A map that does not add up.
    pub(crate) fn pieces(
        &mut self,
        block: &[u8; BLOCK],
        pax: &Pax,
        size: u64,
    ) -> Result<(Option<Pieces>, u64)> {
        let real = match pax.number("GNU.sparse.realsize")? {
            Some(real) => Some(real),
            None => pax.number("GNU.sparse.size")?,
        };
        let (pieces, real) = if block[156] == b'S' {
            let real = number(&block[483..495])
                .and_then(|real| Ok(u64::try_from(real)?))
                .context("its real size")?;
            (self.old_pieces(block)?, real)
        } else if pax.get("GNU.sparse.major") == Some(b"1") {
            (self.pieces_in_body()?, real.context("a sparse file has no real size")?)
        } else if let Some(real) = real {
            (pax.pieces()?, real)
        } else {
            return Ok((None, size));
        };
        self.may_be_so_many(pieces.len() as u64)?;
        let (mut end, mut stored) = (0_u64, 0_u64);
        for (offset, length) in &pieces {
            let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= real);
            end = next.context("the sparse file's pieces overlap, or lie beyond its end")?;
            stored += length;
        }
        if stored != self.body {
            bail!("the sparse file's map says that {stored} bytes are stored, its header says {}", self.body)
        }
        Ok((Some(pieces), real))
    }

    fn may_be_so_many(&self, pieces: u64) -> Result<()> {
        if pieces > self.limits.pieces {
            return Err(exceeded("the sparse file's pieces", pieces, "pieces", self.limits.pieces));
        }
        Ok(())
    }

    fn old_pieces(&mut self, block: &[u8; BLOCK]) -> Result<Pieces> {
        let mut pieces = Vec::new();
        let take = |fields: &[u8], pieces: &mut Pieces| -> Result<()> {
            for pair in fields.chunks_exact(24) {
                if pair[0] == 0 {
                    break;
                }
                let part = |field: &[u8]| number(field).and_then(|value| Ok(u64::try_from(value)?));
                let part = |field: &[u8]| part(field).context("the sparse file's map");
                pieces.push((part(&pair[..12])?, part(&pair[12..])?));
            }
            Ok(())
        };
        take(&block[386..482], &mut pieces)?;
        let mut more = block[482] != 0;
        while more {
            self.may_be_so_many(pieces.len() as u64)?;
            let mut next = [0; BLOCK];
            self.fill(&mut next)?;
            take(&next[..504], &mut pieces)?;
            more = next[504] != 0;
        }
        Ok(pieces)
    }

    /// The map of format 1.0, which stands before the data.
    fn pieces_in_body(&mut self) -> Result<Pieces> {
        let (mut numbers, mut digits) = (Vec::new(), Vec::new());
        let mut wanted = 1;
        while numbers.len() < wanted {
            if self.body < BLOCK as u64 {
                bail!("the sparse file's map is longer than the file")
            }
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            self.body -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    if digits.len() > 20 {
                        bail!("the sparse file's map holds no numbers")
                    }
                    continue;
                }
                numbers.push(decimal(&digits).context("the sparse file's map")?);
                digits.clear();
                if numbers.len() == 1 {
                    let count = numbers[0];
                    self.may_be_so_many(count)?;
                    wanted = 1 + 2 * usize::try_from(count)?;
                }
                if numbers.len() == wanted {
                    break;
                }
            }
        }
        Ok(numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }
}
