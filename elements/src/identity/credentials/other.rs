//! What another process is: for kill(2), for /proc, and for what sockets tell of their peers.

use super::own::{field, started, stat_of};
use super::rules::Credentials;
use crate::files::Text;
use crate::shared::credentials::Starter;
use crate::{Errno, Instance, kernel};

/// How many parents are asked, where a process has not said who it is.
const GENERATIONS: u32 = 16;

/// A user and a group, as they are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

fn decimal(process: u32) -> Result<Text<16>, Errno> {
    let mut text = Text::new();
    text.push_decimal(process)?;
    Ok(text)
}

impl Instance<'_> {
    /// The credentials of a process of this instance. One that has not changed since it came
    /// from its parent is as that one is.
    ///
    /// # Errors
    ///
    /// `ESRCH` where there is no such process, or it is of no instance of this policy.
    pub fn credentials_of(&self, process: u32) -> Result<Credentials, Errno> {
        if process == kernel::getpid() as u32 {
            return Ok(self.credentials());
        }
        let table = &self.told.ok_or(Errno::ESRCH)?.credentials;
        let mut id = process;
        for _ in 0..GENERATIONS {
            let text = decimal(id)?;
            let since = started(text.bytes())?;
            if let Some(found) = table.get(id, |started| started == since) {
                return Ok(found);
            }
            let mut buffer = [0; 512];
            let parent = field(stat_of(text.bytes(), &mut buffer)?, 1).unwrap_or(0);
            if parent <= 1 {
                break;
            }
            id = parent as u32;
        }
        Err(Errno::ESRCH)
    }

    /// Who a process of the host's user and group is to the programs.
    pub fn shown(&self, host: Shown) -> Shown {
        let Some(Starter { host_uid, host_gid, uid, gid }) = self.starter() else { return host };
        Shown {
            uid: if host.uid == host_uid { uid } else { host.uid },
            gid: if host.gid == host_gid { gid } else { host.gid },
        }
    }
}
