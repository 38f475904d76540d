//! Abstract Unix sockets: names that are no paths, see unix(7).
//!
//! The kernel's name begins with eight bytes more. What the kernel itself names (five hexadecimal
//! digits) and what the policy leaves to the host stays as it is.

use view::Ipc;

use crate::Errno;
use crate::files::Text;

/// How long a name can be.
const LONGEST: usize = 107;
/// Before the name: a letter, six of the instance's, a slash.
const PREFIX: usize = 8;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn prefix(ipc: &Ipc<'_>) -> [u8; PREFIX] {
    let mut prefix = *b"L______/";
    for (place, letter) in prefix.iter_mut().skip(1).take(6).enumerate() {
        let index = (ipc.salt >> (6 * place) & 63) as usize;
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
/// `ENAMETOOLONG` where there is no room for it.
pub(crate) fn host_name(ipc: &Ipc<'_>, name: &[u8]) -> Result<Option<Text<{ LONGEST + 1 }>>, Errno> {
    if is_hosts(ipc, name) {
        return Ok(None);
    }
    if name.len() + PREFIX > LONGEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut host = Text::new();
    host.push(&prefix(ipc))?;
    host.push(name)?;
    Ok(Some(host))
}

/// The program's name for one of the host's, if it is the instance's own.
pub(crate) fn shown_name<'n>(ipc: &Ipc<'_>, host: &'n [u8]) -> Option<&'n [u8]> {
    host.strip_prefix(&prefix(ipc))
}
