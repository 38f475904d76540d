//! The text of /proc/PID/maps, smaps and numa_maps (proc_pid_maps(5),
//! proc_pid_smaps(5), proc_pid_numa_maps(5)) as it would be without us.
//!
//! Three things differ from the kernel's text. Files have their app paths. What
//! is ours is left out. And the text of a library that the gate's patcher has
//! split, by making one of its pages writable for a moment, is one mapping
//! again. All else stays as it is, byte for byte.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::files::{MAX_PATH, Text};
use crate::process::maps::{self, Mapping};

/// Which of the files it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A line for a mapping.
    Maps,
    /// The same line, and what the mapping takes of memory.
    Smaps,
    /// A line for a mapping, with the policy for its pages.
    NumaMaps,
}

impl Format {
    /// Which one a path's last component names.
    pub fn of(path: &[u8]) -> Option<Format> {
        match path.rsplit(|byte| *byte == b'/').next()? {
            b"maps" => Some(Format::Maps),
            b"smaps" => Some(Format::Smaps),
            b"numa_maps" => Some(Format::NumaMaps),
            _ => None,
        }
    }

    /// The bytes that the kernel writes as an octal number where a path has them.
    fn escaped(self) -> &'static [u8] {
        if self == Format::NumaMaps { b"\n\t= " } else { b"\n" }
    }

    /// The file in a line.
    fn file(self, line: &[u8]) -> &[u8] {
        match self {
            Format::Maps | Format::Smaps => maps::parse(line).map_or(&[], |mapping| mapping.file),
            Format::NumaMaps => {
                let word = line.split(|byte| *byte == b' ').find_map(|word| word.strip_prefix(b"file="));
                word.unwrap_or(&[])
            }
        }
    }
}

/// The files in an instance's directory that programs do not map themselves.
const OURS: [&[u8]; 5] = [b"/view", b"/notices", b"/trace", b"/gate", b"/shim.so"];

/// Where the gate lies in every process that has it: its slots and its image.
pub const GATE: core::ops::Range<u64> = 0x7e00_0010_0000..0x7e00_0420_0000;

/// What is ours among mappings.
pub struct Ours<'o> {
    /// The instance's directory.
    pub dir: &'o [u8],
    /// The memory that the text was read into: one mapping, shared and without a file.
    pub buffer: core::ops::Range<u64>,
}

impl Ours<'_> {
    fn is_named(&self, file: &[u8], name: &[u8]) -> bool {
        file.strip_prefix(self.dir) == Some(name)
    }

    fn has(&self, start: u64, file: &[u8], gated: bool) -> bool {
        OURS.iter().any(|name| self.is_named(file, name))
            || gated && GATE.contains(&start)
            || start == self.buffer.start && file.starts_with(b"/dev/zero")
    }
}

/// Whether a text tells of a process of the instance, and then whether it has the gate.
fn is_of_instance(format: Format, text: &[u8], ours: &Ours<'_>) -> Option<bool> {
    let (mut is, mut gated) = (false, false);
    for entry in Entries(text) {
        let file = format.file(entry.line);
        is |= ours.is_named(file, b"/view");
        gated |= ours.is_named(file, b"/gate");
        if is && gated {
            break;
        }
    }
    is.then_some(gated)
}

/// Gives the text as it would be without us, in parts. `rename` writes the app
/// path of a host path, and says whether it differs. False, and nothing given:
/// the process is not of the instance.
///
/// # Errors
///
/// What `out` answers.
pub fn rewrite(
    format: Format,
    text: &[u8],
    ours: &Ours<'_>,
    rename: impl FnMut(&[u8], &mut Text<MAX_PATH>) -> bool,
    out: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<bool, Errno> {
    let Some(gated) = is_of_instance(format, text, ours) else { return Ok(false) };
    let mut writer = Writer { format, rename, out };
    if format == Format::NumaMaps {
        for Entry { line, .. } in Entries(text) {
            let digits = line.split(|byte| *byte == b' ').next().unwrap_or(&[]);
            let start = core::str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
            let file = format.file(line);
            if !ours.has(start.unwrap_or(0), file, gated) {
                writer.line(line, file)?;
            }
        }
        return Ok(true);
    }
    let mut held: Option<Held<'_>> = None;
    for entry in Entries(text) {
        let Some(mapping) = maps::parse(entry.line) else {
            writer.flush(held.take())?;
            writer.entry(entry, &[])?;
            continue;
        };
        if ours.has(mapping.start, mapping.file, gated) {
            continue;
        }
        match &mut held {
            Some(held) if gated && held.takes(&mapping) => held.join(&mapping, entry),
            _ => writer.flush(held.replace(Held { entry, mapping, joined: None }))?,
        }
    }
    writer.flush(held)?;
    Ok(true)
}

/// The lines of a text, without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// What a text says of one mapping.
#[derive(Clone, Copy)]
struct Entry<'t> {
    /// The line with its range, without its end.
    line: &'t [u8],
    /// The lines that follow.
    fields: &'t [u8],
}

struct Entries<'t>(&'t [u8]);

impl<'t> Iterator for Entries<'t> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Entry<'t>> {
        let end = |text: &[u8]| text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        if self.0.is_empty() {
            return None;
        }
        let (line, mut rest) = self.0.split_at_checked(end(self.0))?;
        let after = rest;
        // Names of fields begin with a capital letter, addresses do not.
        while rest.first().is_some_and(u8::is_ascii_uppercase) {
            rest = rest.get(end(rest)..)?;
        }
        self.0 = rest;
        let fields = after.get(..after.len() - rest.len())?;
        Some(Entry { line: line.strip_suffix(b"\n").unwrap_or(line), fields })
    }
}

/// The width of a field's name. Eight columns for its number follow.
const NAME: usize = 16;
/// More fields than a mapping has.
const FIELDS: usize = 48;

/// A mapping that may not be whole yet.
struct Held<'t> {
    entry: Entry<'t>,
    mapping: Mapping<'t>,
    /// Where it is several: the sums of its fields.
    joined: Option<[u64; FIELDS]>,
}

impl<'t> Held<'t> {
    /// Whether a mapping is a part of this one, that the patcher has split off.
    fn takes(&self, next: &Mapping<'_>) -> bool {
        self.mapping.rights == b"r-xp" && !self.mapping.file.is_empty() && next.goes_on_from(&self.mapping)
    }

    fn join(&mut self, next: &Mapping<'_>, entry: Entry<'t>) {
        let own = self.entry.fields;
        let sums = self.joined.get_or_insert_with(|| {
            let mut sums = [0; FIELDS];
            add(&mut sums, own);
            sums
        });
        add(sums, entry.fields);
        self.mapping.end = next.end;
    }
}

fn add(sums: &mut [u64; FIELDS], fields: &[u8]) {
    for (sum, field) in sums.iter_mut().zip(lines(fields)) {
        *sum = sum.saturating_add(amount(field).map_or(0, |(_, amount)| amount));
    }
}

/// The name and the amount of memory in a field, where it is one that adds up.
fn amount(field: &[u8]) -> Option<(&[u8], u64)> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    let (name, rest) = field.split_at_checked(colon + 1)?;
    let digits = rest.strip_suffix(b" kB")?.trim_ascii_start();
    let amount = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (!name.ends_with(b"PageSize:")).then_some((name, amount))
}

struct Writer<R, O> {
    format: Format,
    rename: R,
    out: O,
}

impl<R, O> Writer<R, O>
where
    R: FnMut(&[u8], &mut Text<MAX_PATH>) -> bool,
    O: FnMut(&[u8]) -> Result<(), Errno>,
{
    fn flush(&mut self, held: Option<Held<'_>>) -> Result<(), Errno> {
        let Some(Held { entry, mapping, joined }) = held else { return Ok(()) };
        let Some(sums) = joined else { return self.entry(entry, mapping.file) };
        let dash = entry.line.iter().position(|byte| *byte == b'-').map_or(0, |dash| dash + 1);
        let (start, rest) = entry.line.split_at_checked(dash).unwrap_or((&[], entry.line));
        let after = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        (self.out)(start)?;
        self.number(mapping.end, 16, 8, b'0')?;
        self.line(rest.get(after..).unwrap_or(&[]), mapping.file)?;
        for (field, sum) in lines(entry.fields).zip(sums) {
            match amount(field) {
                None => (self.out)(field)?,
                Some((name, _)) => {
                    (self.out)(field.get(..name.len().max(NAME)).unwrap_or(name))?;
                    self.number(sum, 10, 8, b' ')?;
                    (self.out)(b" kB")?;
                }
            }
            (self.out)(b"\n")?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry<'_>, file: &[u8]) -> Result<(), Errno> {
        self.line(entry.line, file)?;
        (self.out)(entry.fields)
    }

    /// Gives a line with its file's app path. `file` is a part of it.
    fn line(&mut self, line: &[u8], file: &[u8]) -> Result<(), Errno> {
        // The kernel's own remark stays behind whatever the name is.
        let deleted: &[u8] = if self.format == Format::NumaMaps { b"\\040(deleted)" } else { b" (deleted)" };
        let path = file.strip_suffix(deleted).unwrap_or(file);
        let mut host = Text::<MAX_PATH>::new();
        let mut app = Text::<MAX_PATH>::new();
        let renamed = !path.is_empty()
            && unescape(path, self.format.escaped(), &mut host).is_ok()
            && (self.rename)(host.bytes(), &mut app);
        let place = || line.windows(file.len()).rposition(|part| part == file);
        match renamed.then(place).flatten() {
            Some(at) => {
                (self.out)(line.get(..at).unwrap_or(&[]))?;
                self.escape(app.bytes())?;
                (self.out)(line.get(at + path.len()..).unwrap_or(&[]))?;
            }
            None => (self.out)(line)?,
        }
        (self.out)(b"\n")
    }

    fn escape(&mut self, path: &[u8]) -> Result<(), Errno> {
        let escaped = self.format.escaped();
        for part in path.chunk_by(|a, b| !escaped.contains(a) && !escaped.contains(b)) {
            match part {
                [byte] if escaped.contains(byte) => {
                    (self.out)(b"\\")?;
                    self.number(u64::from(*byte), 8, 3, b'0')?;
                }
                plain => (self.out)(plain)?,
            }
        }
        Ok(())
    }

    /// Gives a number to a base, with `fill` before it where it is less wide than asked.
    fn number(&mut self, number: u64, base: u64, width: usize, fill: u8) -> Result<(), Errno> {
        let mut digits = [fill; 32];
        let mut at = digits.len();
        let mut rest = number;
        while let Some(digit) = at.checked_sub(1).and_then(|at| digits.get_mut(at)) {
            *digit = b"0123456789abcdef".get((rest % base) as usize).copied().unwrap_or(fill);
            at -= 1;
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        (self.out)(digits.get(at.min(digits.len().saturating_sub(width))..).unwrap_or(&[]))
    }
}

/// Writes a path as it is. Only the bytes of `escaped` stand as octal numbers in it.
fn unescape(path: &[u8], escaped: &[u8], host: &mut Text<MAX_PATH>) -> Result<(), Errno> {
    let mut rest = path;
    while let Some((first, more)) = rest.split_first() {
        let byte = match more {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')).filter(|byte| escaped.contains(byte))
            }
            _ => None,
        };
        host.push(&[byte.unwrap_or(*first)])?;
        rest = if byte.is_some() { more.get(3..).unwrap_or(&[]) } else { more };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
