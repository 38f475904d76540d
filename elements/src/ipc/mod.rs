//! Names by which processes find each other beside files: keys of System V interprocess
//! communication, message queues of POSIX, abstract Unix sockets.
//!
//! Unless the policy shares them with the host, the kernel knows each by another name, made from the
//! program's and from the instance's number. It can be turned back, so nothing has to be remembered of names. What
//! is there is remembered, by *marks*: empty files that tell the launcher what to remove with the
//! instance, and that tell a listing what is the instance's. Shared memory of POSIX is files, and
//! needs no more than a mount.

mod list;
mod queues;
pub(crate) mod sockets;
mod sysv;

pub use list::{File, Net};
pub use sysv::Kind;

use view::Ipc;

use crate::files::Text;
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// The calls that only have to do with names of the instance's own.
pub const CALLS: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_shmctl,
    libc::SYS_semctl,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Where marks are: below a directory that the instance's number names.
const SHARED_MEMORY: &[u8] = b"/dev/shm/launcher-";
const MARKS: &[u8] = b"/marks/";

/// The longest name of a mark: a message queue's.
const LONGEST: usize = 255 + 2;
type Mark = Text<{ SHARED_MEMORY.len() + 16 + MARKS.len() + LONGEST + 1 }>;

/// Adds a number in so many hexadecimal digits.
fn push_hex<const N: usize>(to: &mut Text<N>, number: u64, digits: u32) -> Result<(), Errno> {
    (0..digits).rev().try_for_each(|digit| {
        let digit = (number >> (4 * digit) & 0xf) as usize;
        to.push(b"0123456789abcdef".get(digit..=digit).unwrap_or(b"0"))
    })
}

fn mark(ipc: &Ipc<'_>, kind: u8, name: &[u8]) -> Result<Mark, Errno> {
    let mut path = Mark::new();
    path.push(SHARED_MEMORY)?;
    push_hex(&mut path, ipc.salt, 16)?;
    path.push(MARKS)?;
    path.push(&[kind, b'-'])?;
    path.push(name)?;
    Ok(path)
}

/// Remembers that something is the instance's. What cannot be remembered is there all the same.
fn set_mark(ipc: &Ipc<'_>, kind: u8, name: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    if let Ok(mut path) = mark(ipc, kind, name)
        && let Ok(file) = kernel::openat_at_once(AT_FDCWD, path.as_ptr(), flags, 0o600)
    {
        kernel::close(file);
    }
}

fn clear_mark(ipc: &Ipc<'_>, kind: u8, name: &[u8]) {
    if let Ok(mut path) = mark(ipc, kind, name) {
        let _ = kernel::unlinkat(AT_FDCWD, path.as_ptr(), 0);
    }
}

fn has_mark(ipc: &Ipc<'_>, kind: u8, name: &[u8]) -> bool {
    let Ok(mut path) = mark(ipc, kind, name) else { return false };
    kernel::faccessat(AT_FDCWD, path.as_ptr(), libc::F_OK).is_ok()
}

impl<'v> Instance<'v> {
    /// What makes names the instance's own, if they are.
    #[inline]
    pub fn own_names(&self) -> Option<Ipc<'v>> {
        self.view.ipc()
    }
}
