//! What kind of file an entry is.

use core::mem::MaybeUninit;

use elements::Errno;
use libc::stat;

use super::entry::{
    Entry, FTS_D, FTS_DC, FTS_DEFAULT, FTS_DOT, FTS_F, FTS_NS, FTS_SL, FTS_SLNONE, ROOT_LEVEL,
};
use super::tree::{FTS_LOGICAL, FTS_NOSTAT, Fts};
use crate::answer::{errno, set_errno};
use crate::hooks::stat as stats;

impl Fts {
    /// Looks at a file, through a link if it is to be followed, and says what
    /// is to be its `info`.
    pub fn look(&self, entry: Entry, follow: bool) -> u16 {
        let mut unseen = MaybeUninit::<stat>::zeroed();
        let about = if self.has(FTS_NOSTAT) { unseen.as_mut_ptr() } else { entry.statp.get() };
        // SAFETY: a string of the entry's or the tree's, and room for the answer.
        unsafe {
            let path = entry.accpath.get();
            let follow = follow || self.has(FTS_LOGICAL);
            let found = if follow { stats::stat(path, about) } else { stats::lstat(path, about) };
            if found != 0 {
                let why = errno();
                if follow && stats::lstat(path, about) == 0 {
                    set_errno(Errno(0));
                    return FTS_SLNONE;
                }
                entry.errno.set(why);
                about.write_bytes(0, 1);
                return FTS_NS;
            }
            match (*about).st_mode & libc::S_IFMT {
                libc::S_IFDIR => directory(entry, &*about),
                libc::S_IFLNK => FTS_SL,
                libc::S_IFREG => FTS_F,
                _ => FTS_DEFAULT,
            }
        }
    }
}

fn directory(entry: Entry, about: &stat) -> u16 {
    entry.dev.set(about.st_dev);
    entry.ino.set(about.st_ino);
    entry.nlink.set(about.st_nlink);
    if matches!(entry.name_bytes(), b".\0" | b"..\0") {
        return FTS_DOT;
    }
    let above = core::iter::successors(entry.parent.get(), |above| above.parent.get());
    for above in above.take_while(|above| above.level.get() >= ROOT_LEVEL) {
        if (above.dev.get(), above.ino.get()) == (about.st_dev, about.st_ino) {
            entry.cycle.set(Some(above));
            return FTS_DC;
        }
    }
    FTS_D
}
