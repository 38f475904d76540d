//! Putting a directory back that was taken out of its place too early.
//!
//! rmdir(2) and rename(2) take a directory that is empty out of its place first and look into it then, so that nobody
//! comes in between. Where somebody had put something into it at the last moment, it goes back. Others may have made
//! something under its name meanwhile: what it has is theirs then, as if it had been made there. Nothing is lost.

use super::super::entries;
use super::super::place::Scratch;
use super::super::text::Text;
use super::list::{DIRECTORY, ROOM};
use super::spot::Spot;
use super::{Union, is_whiteout};
use crate::Errno;
use crate::kernel::{self, AT_FDCWD};

/// How often what others do in between is gone along with.
const TURNS: u32 = 16;

impl Union<'_> {
    /// Puts a draft that is a directory back to where it was. False: others have made something there, and have what it had.
    ///
    /// # Errors
    ///
    /// Those of renameat2(2); `EBUSY` where others never end.
    pub(super) fn put_back(&self, draft: &mut Scratch, spot: &mut Spot) -> Result<bool, Errno> {
        for _ in 0..TURNS {
            let outside = (AT_FDCWD, draft.as_ptr());
            match spot.stat()? {
                None => match kernel::renameat2(outside, spot.end(), libc::RENAME_NOREPLACE) {
                    Err(Errno::EEXIST) => {}
                    done => return done.map(|()| true),
                },
                Some(stat) if is_whiteout(&stat) => {
                    match kernel::renameat2(outside, spot.end(), libc::RENAME_EXCHANGE) {
                        Err(Errno::ENOENT) => continue,
                        done => done?,
                    }
                    let came_out = kernel::fstatat(AT_FDCWD, draft.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
                    if is_whiteout(&came_out) {
                        return kernel::unlinkat(AT_FDCWD, draft.as_ptr(), 0).map(|()| true);
                    }
                    // It has been made since the look at it, and keeps its name.
                    kernel::renameat2(outside, spot.end(), libc::RENAME_EXCHANGE)?;
                }
                Some(_) => {
                    self.move_into(draft, spot);
                    return Ok(false);
                }
            }
        }
        Err(Errno::EBUSY)
    }

    /// Moves all that a draft has into the directory at a place, and takes the draft away. What has a name there already, and
    /// what finds no directory, stays: a start takes it away.
    pub(super) fn move_into(&self, draft: &mut Scratch, spot: &mut Spot) {
        let (dir, name) = spot.end();
        if let Ok(to) = kernel::openat(dir, name, DIRECTORY, 0) {
            if let Ok(from) = kernel::openat(AT_FDCWD, draft.as_ptr(), DIRECTORY, 0) {
                move_entries(from, to);
                kernel::close(from);
            }
            kernel::close(to);
        }
        self.discard(draft);
    }
}

fn move_entries(from: i32, to: i32) {
    let mut room = [0; ROOM];
    while let Ok(len @ 1..) = kernel::getdents64(from, &mut room) {
        let entries = entries::records(room.get(..len).unwrap_or(&[]));
        for entry in entries.filter(|entry| !matches!(entry.name, b"." | b"..")) {
            let mut name = Text::<256>::new();
            if name.push(entry.name).is_err() {
                continue;
            }
            let ends = ((from, name.as_ptr()), (to, name.as_ptr()));
            let done = kernel::renameat2(ends.0, ends.1, libc::RENAME_NOREPLACE);
            // A whiteout there hides nothing that is not gone.
            if done == Err(Errno::EEXIST) && is_gone(ends.1) && !is_gone(ends.0) {
                let _ = kernel::renameat2(ends.0, ends.1, libc::RENAME_EXCHANGE);
            }
            if is_gone(ends.0) {
                let _ = kernel::unlinkat(from, name.as_ptr(), 0);
            }
        }
    }
}

fn is_gone((dir, name): (i32, *const u8)) -> bool {
    kernel::fstatat(dir, name, libc::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| is_whiteout(&stat))
}
