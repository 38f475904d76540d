//! Zstandard streams: any number of frames, none of which may want more memory
//! than the limit says.

use std::io::{self, BufRead, Cursor, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::limits::exceeded;

type Frame<R> = StreamingDecoder<io::Chain<Cursor<Vec<u8>>, R>, FrameDecoder>;

enum State<R: BufRead> {
    Between(R),
    Within(Box<Frame<R>>),
    Ended,
}

/// A Zstandard stream.
pub struct Zstd<R: BufRead> {
    state: State<R>,
    window: u64,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Within(mut frame) => {
                    let count = frame.read(into)?;
                    if count > 0 {
                        self.state = State::Within(frame);
                        return Ok(count);
                    }
                    let said = frame.decoder.get_checksum_from_data();
                    if said.is_some() && said != frame.decoder.get_calculated_checksum() {
                        return Err(io::Error::other("a zstd frame's checksum is wrong: it is damaged"));
                    }
                    self.state = State::Between(frame.into_inner().into_inner().1);
                }
                State::Between(mut input) => {
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    self.state = next(input, self.window)?;
                }
            }
        }
    }
}

impl<R: BufRead> Zstd<R> {
    /// A stream at its beginning.
    pub fn new(input: R, window: u64) -> Zstd<R> {
        Zstd { state: State::Between(input), window }
    }
}

/// Passes over a skippable frame, or enters one whose window is small enough.
fn next<R: BufRead>(mut input: R, most: u64) -> io::Result<State<R>> {
    let mut head = vec![0; 5];
    input.read_exact(&mut head[..4])?;
    if matches!(head[..4], [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
        let mut size = [0; 4];
        input.read_exact(&mut size)?;
        let size = u64::from(u32::from_le_bytes(size));
        if io::copy(&mut (&mut input).take(size), &mut io::sink())? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return Ok(State::Between(input));
    }
    if head[..4] != [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(io::Error::other("something that is no zstd frame follows the zstd stream"));
    }
    input.read_exact(&mut head[4..])?;
    let descriptor = head[4];
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        shift => 1 << shift,
    };
    let fields = head.len();
    head.resize(fields + usize::from(!single) + dictionary + content, 0);
    input.read_exact(&mut head[fields..])?;
    let window = if single {
        let mut size = [0; 8];
        size[..content].copy_from_slice(&head[head.len() - content..]);
        u64::from_le_bytes(size).saturating_add(if content == 2 { 256 } else { 0 })
    } else {
        let base = 1_u64 << (10 + (head[5] >> 3));
        base + base / 8 * u64::from(head[5] & 7)
    };
    if window > most {
        return Err(io::Error::other(exceeded("the zstd frame's window", window, "window", most)));
    }
    let source = Cursor::new(head).chain(input);
    let frame = StreamingDecoder::new(source).map_err(io::Error::other)?;
    Ok(State::Within(Box::new(frame)))
}
