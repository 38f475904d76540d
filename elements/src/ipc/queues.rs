//! Message queues of POSIX: mq_open(3), mq_unlink(3).
//!
//! The kernel's names of queues are one flat list, so ours begin with the instance's number.

use view::Ipc;

use super::{clear_mark, push_hex, set_mark};
use crate::files::{Text, scan};
use crate::{Answer, Errno, Instance, kernel, user};

const NAME_MAX: usize = 255;
/// The mark of a queue.
const QUEUE: u8 = b'n';

/// A name as the kernel has it.
pub type Name = Text<{ NAME_MAX + 2 }>;

/// The host's name for one of the program's; none where that is no name, which the kernel is to say.
fn host_name(ipc: &Ipc<'_>, name: *const u8) -> Result<Option<Name>, Errno> {
    if !user::is_string(name) {
        return Ok(None);
    }
    // SAFETY: found readable up to its NUL.
    let name = unsafe { core::slice::from_raw_parts(name, scan::length(name)) };
    if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
        return Ok(None);
    }
    let mut host = Name::new();
    push_hex(&mut host, ipc.salt, 16)?;
    host.push(b".")?;
    if host.len() + name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    host.push(name)?;
    Ok(Some(host))
}

impl Instance<'_> {
    /// mq_open(2)
    pub fn mq_open(&self, name: *const u8, flags: i32, mode: usize, attributes: usize) -> Answer {
        let Some(ipc) = self.own_names() else { return Answer::Pass };
        let mut host = match host_name(&ipc, name) {
            Ok(Some(host)) => host,
            Ok(None) => return Answer::Pass,
            Err(errno) => return Answer::fail(errno),
        };
        let args = [host.as_ptr() as usize, flags as usize, mode, attributes, 0, 0];
        // SAFETY: the program's own arguments, but for a string of ours.
        let done = unsafe { kernel::syscall(libc::SYS_mq_open, args) };
        if let Ok(opened) = done {
            crate::files::note_open(opened as i32);
            if flags & libc::O_CREAT != 0 {
                set_mark(&ipc, QUEUE, host.bytes());
            }
        }
        Answer::Done(done)
    }

    /// mq_unlink(2)
    pub fn mq_unlink(&self, name: *const u8) -> Answer {
        let Some(ipc) = self.own_names() else { return Answer::Pass };
        let mut host = match host_name(&ipc, name) {
            Ok(Some(host)) => host,
            Ok(None) => return Answer::Pass,
            Err(errno) => return Answer::fail(errno),
        };
        // SAFETY: the kernel reads a string.
        let done = unsafe { kernel::syscall(libc::SYS_mq_unlink, [host.as_ptr() as usize, 0, 0, 0, 0, 0]) };
        if done.is_ok() {
            clear_mark(&ipc, QUEUE, host.bytes());
        }
        Answer::Done(done)
    }
}
