//! Abstract Unix sockets: names that are no paths, see unix(7).
//!
//! The kernel's name begins with eight bytes more. A name that is too long for that has their 64 bits
//! in its own first 64 bytes, in the eighth bit that ASCII leaves free: it tells as surely whose it is, and takes
//! no room. What the kernel itself names (five hexadecimal
//! digits) and what the policy leaves to the host stays as it is.

use view::Ipc;

use crate::Errno;
use crate::files::Text;

/// How long a name can be.
pub(super) const LONGEST: usize = 107;
/// Before the name: a letter, six of the instance's, a slash.
const PREFIX: usize = 8;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn prefix(salt: u64) -> [u8; PREFIX] {
    let mut prefix = *b"L______/";
    for (place, letter) in prefix.iter_mut().skip(1).take(6).enumerate() {
        let index = (salt >> (6 * place) & 63) as usize;
        *letter = LETTERS.get(index).copied().unwrap_or(b'_');
    }
    prefix
}

/// Whether the kernel names sockets so.
fn is_kernels(name: &[u8]) -> bool {
    name.len() == 5 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name is the host's for the program, too.
pub(crate) fn is_hosts(ipc: &Ipc<'_>, name: &[u8]) -> bool {
    name.is_empty() || is_kernels(name) || ipc.is_hosts(name)
}

/// The host's name for one of the program's (without the NUL before it). None: the same.
///
/// # Errors
///
/// `ENAMETOOLONG` where there is no room for it: it is long, and not ASCII.
pub(crate) fn host_name(ipc: &Ipc<'_>, name: &[u8]) -> Result<Option<Text<{ LONGEST + 1 }>>, Errno> {
    if is_hosts(ipc, name) { Ok(None) } else { own_name(ipc.salt, name).map(Some) }
}

fn own_name(salt: u64, name: &[u8]) -> Result<Text<{ LONGEST + 1 }>, Errno> {
    let prefix = prefix(salt);
    let mut host = Text::new();
    if name.len() + PREFIX > LONGEST {
        if !name.is_ascii() {
            return Err(Errno::ENAMETOOLONG);
        }
        for (index, byte) in name.iter().enumerate() {
            host.push(&[byte | mark(&prefix, index)])?;
        }
        return Ok(host);
    }
    host.push(&prefix)?;
    host.push(name)?;
    Ok(host)
}

/// The bit of the prefix that a byte of a long name has as its eighth.
fn mark(prefix: &[u8; PREFIX], index: usize) -> u8 {
    prefix.get(index / 8).map_or(0, |byte| (byte >> (index % 8) & 1) << 7)
}

/// Makes the program's name of one of the host's, if it is the instance's own, and gives its length. What
/// is left of the host's behind it becomes zeros: Go takes a name to end at a NUL.
pub(crate) fn show_name(salt: u64, host: &mut [u8]) -> Option<usize> {
    let prefix = prefix(salt);
    if host.starts_with(&prefix) {
        let len = host.len() - PREFIX;
        host.copy_within(PREFIX.., 0);
        host.get_mut(len..)?.fill(0);
        return Some(len);
    }
    let is_long = (LONGEST - PREFIX + 1..=LONGEST).contains(&host.len());
    let is_own = |(index, byte): (usize, &u8)| byte & 0x80 == mark(&prefix, index);
    if !is_long || !host.iter().enumerate().all(is_own) {
        return None;
    }
    for byte in host.iter_mut() {
        *byte &= 0x7f;
    }
    Some(host.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_told_as_it_was_given() {
        let (salt, other) = (0x1234_5678_9abc, 0x1234_5678_9abd);
        for len in [1, 6, 63, 64, 98, 99, 100, 106, 107] {
            for byte in [0, b'a', 0x7f] {
                let name = [byte; LONGEST];
                let name = &name[..len];
                let given = own_name(salt, name).expect("room for it");
                assert!(given.len() <= LONGEST);
                assert_ne!(given.bytes(), name);
                let mut host = [0; LONGEST];
                let host = &mut host[..given.len()];
                host.copy_from_slice(given.bytes());
                assert_eq!(show_name(other, host), None);
                assert_eq!(show_name(salt, host), Some(len));
                assert_eq!(&host[..len], name);
                assert!(host[len..].iter().all(|byte| *byte == 0));
            }
        }
        assert_eq!(own_name(salt, &[0xe9; 100]).err(), Some(Errno::ENAMETOOLONG));
    }
}
