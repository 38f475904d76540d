//! Files of /proc that list such names: /proc/sysvipc/{shm,sem,msg} and /proc/net/unix.

use view::Ipc;

use super::sockets;
use super::sysv::{Kind, is_own, shown_key};
use crate::Errno;
use crate::files::Text;
use crate::proc::machine::Put;

/// Which file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// A file of /proc/sysvipc.
    Sysv(Kind),
    /// /proc/net/unix
    Net(Net),
}

/// /proc/net/unix, of whichever process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Net;

impl File {
    /// Which one a path's last component may be.
    pub fn named(path: &[u8]) -> Option<File> {
        match path.rsplit(|byte| *byte == b'/').next()? {
            b"shm" => Some(File::Sysv(Kind::Memory)),
            b"sem" => Some(File::Sysv(Kind::Semaphores)),
            b"msg" => Some(File::Sysv(Kind::Queue)),
            b"unix" => Some(File::Net(Net)),
            _ => None,
        }
    }

    /// Which one a canonical path is.
    pub fn at(path: &[u8]) -> Option<File> {
        let file = File::named(path)?;
        let is_there = match file {
            File::Sysv(_) => path.starts_with(b"/proc/sysvipc/"),
            File::Net(_) => path.starts_with(b"/proc/") && path.ends_with(b"/net/unix"),
        };
        is_there.then_some(file)
    }

    /// What it says to the program.
    ///
    /// # Errors
    ///
    /// Those of `put`.
    pub fn tell(self, ipc: &Ipc<'_>, text: &[u8], put: Put<'_>) -> Result<(), Errno> {
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match self {
                _ if number == 0 => put(line)?,
                File::Sysv(kind) => sysv(kind, ipc, line, put)?,
                File::Net(_) => unix(ipc, line, put)?,
            }
        }
        Ok(())
    }
}

/// A line begins with the key, ten wide, and the number.
fn sysv(kind: Kind, ipc: &Ipc<'_>, line: &[u8], put: Put<'_>) -> Result<(), Errno> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let number = |word: &[u8]| core::str::from_utf8(word).ok()?.parse::<i32>().ok();
    let (Some(key), Some(id)) = (words.next().and_then(number), words.next().and_then(number)) else {
        return put(line);
    };
    if !is_own(ipc, kind, id) {
        return Ok(());
    }
    let shown = shown_key(key as u32, ipc.salt) as i32;
    let mut text = Text::<16>::new();
    if shown < 0 {
        text.push(b"-")?;
    }
    text.push_decimal(shown.unsigned_abs())?;
    put(b"          ".get(..10_usize.saturating_sub(text.len())).unwrap_or(&[]))?;
    put(text.bytes())?;
    // What follows the key in its column.
    let start = line.iter().position(|byte| *byte != b' ').unwrap_or(0);
    let end = line.iter().skip(start).position(|byte| *byte == b' ').map_or(line.len(), |len| start + len);
    put(line.get(end..).unwrap_or(&[]))
}

/// A name is the last word, after an `@`.
fn unix(ipc: &Ipc<'_>, line: &[u8], put: Put<'_>) -> Result<(), Errno> {
    let at = line.windows(2).position(|pair| pair == b" @").map(|at| at + 2);
    let split = at.and_then(|at| line.split_at_checked(at));
    let Some((before, name)) = split else { return put(line) };
    let (name, end) = name.split_at(name.len() - usize::from(name.ends_with(b"\n")));
    let mut own = [0; sockets::LONGEST];
    if let Some(own) = own.get_mut(..name.len()) {
        own.copy_from_slice(name);
        if let Some(len) = sockets::show_name(ipc.salt, own) {
            let shown = own.get_mut(..len).unwrap_or(&mut []);
            // The kernel shows a NUL in a name so.
            shown.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'@');
            put(before)?;
            put(shown)?;
            return put(end);
        }
    }
    // A name that the program cannot find anybody by is none of the list.
    let found = sockets::is_hosts(ipc, name);
    if found { put(line) } else { Ok(()) }
}
