//! Paths in another spelling, which takes no walk.
//!
//! A path that climbs by `..`, or leads through a link, is walked once. Where no link or directory on the way can change
//! within an epoch, the walk's answer holds for as long: the directory's own path is kept by the letters that have led to it, and
//! the next path with these letters is answered as one below that. So compilers look for their files
//! (`/usr/lib/gcc/x86_64-linux-gnu/12/../../../x86_64-linux-gnu/crt1.o`). A link of the policy's always leads where it says: what a program finds in
//! `/lib` is answered as what is in `/usr/lib`, from the first time on.
//!
//! A directory that is missing need not be walked to either, once layers below are known not to have it: what the write layer
//! has there is asked, if it has the directory above.
//!
//! Both are answers of the kernel's about who may search the directories on the way: see [`super::settled`].

use view::{Kind, Stop};

use super::super::glance::{Glance, Start};
use super::super::namei::Walk;
use super::super::place::parent_end;
use super::super::scan;
use super::kept::Kept;
use super::settled::Told;
use super::{WholePath, parent};
use crate::kernel::AT_FDCWD;
use crate::shared::path_hash;
use crate::{Errno, Instance};

/// The longest path that is kept, in words.
const WORDS: usize = 14;

/// How many are kept.
const SPELLINGS: usize = 64;

#[unsafe(link_section = ".bss.spelled")]
static SPELLED: [Kept<WORDS>; SPELLINGS] = [const { Kept::new() }; SPELLINGS];

/// What a walk may find out of a path's directory. To be asked for before it begins.
#[derive(Clone, Copy)]
pub(in crate::files) struct Spelling<'p> {
    /// The directory, as it is given.
    given: &'p [u8],
    key: u64,
    version: u32,
}

impl<'p> Spelling<'p> {
    fn kept(key: u64) -> &'static Kept<WORDS> {
        // The index is below the table's length.
        &SPELLED[(key >> 20) as usize % SPELLINGS]
    }

    /// Keeps the directory's own path, if that may be kept: the walk has come to the name in it, or no further than to a
    /// name below one that is missing.
    #[inline(never)]
    pub fn note(&self, walk: &Walk) {
        let mut own = WholePath::new();
        let may_keep = walk.in_union() && walk.is_settled && Told::is_told();
        if may_keep && walk.directory(&mut own).is_some() && own.bytes() != self.given {
            let kept = own.bytes();
            if kept.len() <= Kept::<WORDS>::MOST {
                Self::kept(self.key).keep(self.key, kept, self.version);
            }
        }
    }
}

impl Instance<'_> {
    /// What a walk of an absolute path may find out of its directory.
    pub(in crate::files) fn spelling<'p>(&self, path: &'p [u8]) -> Option<Spelling<'p>> {
        if !self.has_unions() {
            return None;
        }
        let given = path.get(..parent_end(path)?).filter(|given| !given.is_empty())?;
        let key = self.spelling_key(given)?;
        Some(Spelling { given, key, version: Spelling::kept(key).version() })
    }

    fn spelling_key(&self, given: &[u8]) -> Option<u64> {
        Some(self.directories?.in_present_rights(path_hash(given) ^ 0x7370_656c_6c69_6e67))
    }

    /// Whether the directory of a plain path is there, or (`itself`) one at that path. None: that is not known.
    fn has_directory(&self, path: *const u8, start: Start, itself: bool) -> Option<bool> {
        if start.is_anew() {
            return None;
        }
        let (mount, below) = self.plain_in_union(path, start)?;
        let union = self.union(mount)?;
        let directory = if itself { below } else { parent(below) };
        if union.known(directory).is_some() {
            return Some(true);
        }
        union.is_known_absent(directory).then_some(false)
    }

    /// A path that is not plain in another spelling, and what a glance tells of that; or what it comes to. None: neither is known.
    #[inline(never)]
    pub(in crate::files) fn respelled(
        &self,
        (dirfd, path): (i32, *const u8),
        start: Start,
        whole: &mut WholePath,
    ) -> Option<Result<Start, Errno>> {
        if !self.has_unions() || self.traces() {
            return None;
        }
        match self.has_directory(path, start, false) {
            // It has no other spelling then.
            Some(true) => return None,
            Some(false) => return Some(Err(Errno::ENOENT)),
            None => {}
        }
        if start.respelled > 0 {
            return None;
        }
        let len = scan::survey(path, 0)?.len;
        // SAFETY: just read.
        let given = unsafe { core::slice::from_raw_parts(path, len) };
        // More than that it is missing is not to be known of a directory that is named so.
        let directory = given.strip_suffix(b"/.");
        let is_absolute = *given.first()? == b'/';
        if !is_absolute {
            self.spell_whole(dirfd, given, whole)?;
        } else if self.spell_plainly(given, whole).is_none() {
            match self.spell_by_letters(given, start, whole) {
                Some(Ok(())) => {}
                Some(Err(errno)) => return Some(Err(errno)),
                None => {
                    whole.truncate(0);
                    whole.push(directory.map(|_| given)?).ok()?;
                }
            }
        }
        if directory.is_some() {
            whole.truncate(whole.len() - 2);
        }
        whole.clear_rest();
        // SAFETY: there is room for as much, all of it written.
        let start = match unsafe { self.glance_at(AT_FDCWD, whole.as_ptr()) } {
            Glance::Closer(start) if !start.is_anew() => start,
            _ => return None,
        };
        if directory.is_some() {
            if self.has_directory(whole.as_ptr(), start, true) == Some(false) {
                return Some(Err(Errno::ENOENT));
            }
            if !self.may_search_plainly(whole.as_ptr(), start) {
                return None;
            }
        }
        Some(Ok(Start { respelled: u8::from(is_absolute), ..start }))
    }

    /// Spells an absolute path by its directory's own path, where that is kept, or by where a link of the policy's leads.
    fn spell_plainly(&self, given: &[u8], whole: &mut WholePath) -> Option<()> {
        let (directory, name) = given.split_at_checked(parent_end(given)?)?;
        let key = self.spelling_key(directory)?;
        whole.truncate(0);
        if Told::is_told() && Spelling::kept(key).read(key, whole).is_some() {
            return whole.push(name).ok();
        }
        let reach = self.view.reach(self.view.app_root(), given);
        let link = self.view.mount(self.view.region(reach.node));
        // A slash alone may follow the link where it is the last name itself.
        let is_link = matches!(reach.stop, Stop::Link) && link.kind == Kind::Link && reach.left >= name.len();
        let rest = given.get(given.len() - reach.left..).filter(|_| is_link)?;
        whole.truncate(0);
        if link.source.first() != Some(&b'/') {
            whole.push(parent(link.at)).ok()?;
            whole.push(b"/").ok()?;
        }
        whole.push(link.source).ok()?;
        whole.push(rest).ok()
    }
}
