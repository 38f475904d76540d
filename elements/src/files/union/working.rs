//! The path of the working directory, where that is in a union.
//!
//! The kernel's working directory is one side of it, and a relative path may lead to
//! another side. So in a union a path from there is made an absolute one, without asking the
//! kernel each time where it is. What is kept holds for one epoch of the table of directories: a
//! directory that is renamed ends it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::base::origin;
use super::super::glance::{Glance, READ, Start};
use super::super::scan;
use super::super::text::Text;
use crate::Instance;
use crate::kernel::AT_FDCWD;

/// The longest path that is kept, in words.
const WORDS: usize = 32;

/// Room for the path and one from there.
pub(in crate::files) type WorkingPath = Text<512>;

const _: () = assert!(READ < 512);

/// Threads read it while another one writes: an odd version is one in the making.
struct Kept {
    version: AtomicU32,
    epoch: AtomicU32,
    len: AtomicU32,
    words: [AtomicU64; WORDS],
}

static KEPT: Kept = Kept {
    version: AtomicU32::new(0),
    epoch: AtomicU32::new(0),
    len: AtomicU32::new(0),
    words: [const { AtomicU64::new(0) }; WORDS],
};

/// The working directory is another one: what a thread has found out before is not to be kept.
pub(in crate::files) fn forget_working_path() {
    KEPT.len.store(0, Ordering::Relaxed);
    KEPT.version.fetch_add(2, Ordering::AcqRel);
}

/// Keeps what was found out at a version.
fn keep(path: &[u8], epoch: u32, version: u32) {
    let next = version.wrapping_add(1);
    let free = version.is_multiple_of(2)
        && KEPT.version.compare_exchange(version, next, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if !free {
        return;
    }
    for (word, bytes) in KEPT.words.iter().zip(path.chunks(8)) {
        let text = bytes.iter().rev().fold(0, |text, byte| text << 8 | u64::from(*byte));
        word.store(text, Ordering::Relaxed);
    }
    KEPT.epoch.store(epoch, Ordering::Relaxed);
    KEPT.len.store(path.len() as u32, Ordering::Relaxed);
    let done = next.wrapping_add(1);
    if KEPT.version.compare_exchange(next, done, Ordering::Release, Ordering::Relaxed).is_err() {
        KEPT.len.store(0, Ordering::Relaxed);
        KEPT.version.fetch_add(1, Ordering::Release);
    }
}

fn kept(epoch: u32, path: &mut WorkingPath) -> Option<()> {
    let version = KEPT.version.load(Ordering::Acquire);
    let mut left = KEPT.len.load(Ordering::Relaxed) as usize;
    if !version.is_multiple_of(2) || left == 0 || KEPT.epoch.load(Ordering::Relaxed) != epoch {
        return None;
    }
    for word in &KEPT.words {
        let bytes = word.load(Ordering::Relaxed).to_le_bytes();
        path.push(bytes.get(..left.min(8))?).ok()?;
        left = left.saturating_sub(8);
        if left == 0 {
            break;
        }
    }
    core::sync::atomic::fence(Ordering::Acquire);
    (KEPT.version.load(Ordering::Relaxed) == version).then_some(())
}

impl Instance<'_> {
    /// A path from the working directory, if that is in a union, as an absolute one, and
    /// what a glance tells of that.
    #[inline(never)]
    pub(in crate::files) fn below_working_directory(
        &self,
        dirfd: i32,
        path: *const u8,
        whole: &mut WorkingPath,
    ) -> Option<Start> {
        if dirfd != AT_FDCWD {
            return None;
        }
        let (cursor, _) = origin(AT_FDCWD).filter(|_| self.has_unions() && !self.traces())?;
        if !self.view.node(cursor.node)?.is_layered() {
            return None;
        }
        let len = scan::survey(path, 0)?.len;
        // SAFETY: just read.
        let given = unsafe { core::slice::from_raw_parts(path, len) };
        if matches!(given, [] | [b'/', ..]) {
            return None;
        }
        let epoch = self.shared?.epoch();
        // All of it is written to, for the glance.
        whole.fill(|_| Ok(0)).ok()?;
        if kept(epoch, whole).is_none() {
            let version = KEPT.version.load(Ordering::Acquire);
            whole.truncate(0);
            let mut walk = super::super::namei::Walk::new();
            self.walk_descriptor(&mut walk, AT_FDCWD).ok()?;
            whole.push(walk.app.bytes()).ok()?;
            if whole.len() <= 8 * WORDS {
                keep(whole.bytes(), epoch, version);
            }
        }
        whole.push(b"/").ok()?;
        whole.push(given.strip_prefix(b"./").unwrap_or(given)).ok()?;
        // SAFETY: there is room for as much, all of it written.
        match unsafe { self.glance_at(AT_FDCWD, whole.as_ptr()) } {
            Glance::Closer(start) if start.node != view::NodeId::NONE => Some(start),
            _ => None,
        }
    }
}
