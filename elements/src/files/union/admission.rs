//! Who may enter what is root's on the host: the layers of an image that root runs, and where its changes are made.
//!
//! Root's store of images is closed to other users. A program that gives up root's rights goes on in its view, so the
//! user that it becomes is let in: by an access control list, acl(5), on the directories that lead to the layers, on the
//! work directories of the write layers, and on the notices. The launcher lets in those whom the image's passwd knows at a start. Whom a program
//! becomes later, since the user has been made meanwhile, is let in then, by root's own process.

use super::super::MAX_PATH;
use super::super::place::Scratch;
use super::super::text::Text;
use crate::instance::NOTICES;
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// Where the kernel keeps an access control list; acl(5), linux/posix_acl_xattr.h.
const ATTRIBUTE: &core::ffi::CStr = c"system.posix_acl_access";
const VERSION: u32 = 2;
const HEAD: usize = size_of::<u32>();
const ENTRY: usize = 8;
/// As many as fit into one block of a file system.
const MANY: usize = 400;
/// How often it is looked whether another process has undone it.
const ATTEMPTS: usize = 64;

/// Tags of entries, in the order that they stand in.
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP: u16 = 4;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const SEARCH: u16 = 1;
const CHANGE: u16 = 6;
const ALL: u16 = 7;
const NOBODY: u32 = u32::MAX;

impl Instance<'_> {
    /// Lets users in. `dir` is the instance's directory; `scratch` names what stands in the way.
    ///
    /// # Errors
    ///
    /// A file system without access control lists, and more users than one holds (`ENOSPC`).
    pub fn admit(&self, dir: &[u8], uids: &[u32], scratch: &mut Scratch) -> Result<(), Errno> {
        for number in 0..self.view.layer_count(0) {
            self.admit_to_layer(self.view.layer(0, number), uids, scratch)?;
        }
        for union in self.view.mounts().filter_map(|mount| self.union(mount.id)) {
            let Some(upper) = union.top().map(|top| union.layer(top)) else { continue };
            scratch.truncate(0);
            scratch.push(upper.strip_suffix(b"upper").unwrap_or(upper))?;
            scratch.push(b"work")?;
            let_in(scratch, uids, ALL)?;
        }
        notices(dir, scratch)?;
        // Last: who is let in here is let in everywhere.
        let_in(scratch, uids, CHANGE)
    }

    /// A layer of the store: …/images/layers/DIGITS/tree. Others are where their owners put them.
    fn admit_to_layer(&self, tree: &[u8], uids: &[u32], scratch: &mut Scratch) -> Result<(), Errno> {
        scratch.truncate(0);
        scratch.push(super::parent(tree))?;
        let layer = scratch.len();
        scratch.push(b"/layer.json")?;
        if kernel::faccessat(AT_FDCWD, scratch.as_ptr(), libc::F_OK).is_err() {
            return Ok(());
        }
        scratch.truncate(layer);
        for _ in 0..3 {
            let_in(scratch, uids, SEARCH)?;
            scratch.truncate(super::parent(scratch.bytes()).len());
        }
        Ok(())
    }

    /// Root's process is about to become users, perhaps for good.
    pub(crate) fn before_becoming(&self, users: &[u32]) {
        let is_run_by_root = self.shared.is_some_and(|shared| shared.directories.has_notices());
        if !is_run_by_root || kernel::geteuid() != 0 {
            return;
        }
        for uid in users.iter().filter(|uid| !matches!(**uid, 0 | NOBODY)) {
            let mut scratch = Scratch::new();
            let is_in = notices(self.dir(), &mut scratch)
                .and_then(|()| List::of(&mut scratch))
                .is_ok_and(|list| list.has_user(*uid));
            if !is_in {
                // What stands in the way is met by whom it stops: EACCES.
                let _ = self.admit(self.dir(), &[*uid], &mut scratch);
            }
        }
    }
}

fn notices(dir: &[u8], scratch: &mut Scratch) -> Result<(), Errno> {
    scratch.truncate(0);
    for part in [dir, b"/", NOTICES.as_bytes()] {
        scratch.push(part)?;
    }
    Ok(())
}

/// Gives users rights to a file, beside whom has them already.
fn let_in(path: &mut Scratch, uids: &[u32], rights: u16) -> Result<(), Errno> {
    for _ in 0..ATTEMPTS {
        let mut list = List::of(path)?;
        if !list.add(uids, rights)? {
            return Ok(());
        }
        kernel::setxattr(path.as_ptr(), ATTRIBUTE.as_ptr().cast(), list.bytes.bytes(), 0)?;
    }
    Err(Errno::EAGAIN)
}

/// A list as the kernel keeps it: a version, and entries of a tag, rights and an id.
struct List {
    bytes: Text<MAX_PATH>,
}

impl List {
    fn of(path: &mut Scratch) -> Result<List, Errno> {
        let mut list = List { bytes: Text::new() };
        match list.bytes.fill(|room| kernel::getxattr(path.as_ptr(), ATTRIBUTE, room)) {
            Ok(_) => Ok(list),
            Err(Errno::ENODATA) => {
                let mode = kernel::fstatat(AT_FDCWD, path.as_ptr(), 0)?.st_mode;
                list.bytes.truncate(0);
                list.bytes.push(&VERSION.to_le_bytes())?;
                for (tag, shift) in [(OWNER, 6), (GROUP, 3), (OTHER, 0)] {
                    list.bytes.push(&entry(tag, (mode >> shift & 7) as u16, NOBODY))?;
                }
                Ok(list)
            }
            Err(errno) => Err(errno),
        }
    }

    fn entries(&self) -> &[[u8; ENTRY]] {
        self.bytes.bytes().get(HEAD..).unwrap_or(&[]).as_chunks().0
    }

    fn has_user(&self, uid: u32) -> bool {
        self.entries().iter().any(|entry| (tag(entry), id(entry)) == (USER, uid))
    }

    /// Adds users. False: they are all there.
    fn add(&mut self, uids: &[u32], rights: u16) -> Result<bool, Errno> {
        if uids.iter().all(|uid| self.has_user(*uid)) {
            return Ok(false);
        }
        let mut next = Text::new();
        next.push(&VERSION.to_le_bytes())?;
        let all = self.entries();
        let added = uids.iter().filter(|uid| !self.has_user(**uid));
        if all.len() + added.clone().count() > MANY {
            return Err(Errno::ENOSPC);
        }
        // The bits of a file's group are the mask, once there is one.
        let of_group = |entry: &&[u8; ENTRY]| matches!(tag(entry), GROUP | MASK);
        let mask = all.iter().filter(of_group).fold(rights, |mask, entry| mask | rights_of(entry));
        let (before, after) = all.split_at(all.iter().take_while(|entry| tag(entry) <= USER).count());
        next.push(before.as_flattened())?;
        for uid in added {
            next.push(&entry(USER, rights, *uid))?;
        }
        for old in after.iter().filter(|old| tag(old) < MASK) {
            next.push(old)?;
        }
        next.push(&entry(MASK, mask, NOBODY))?;
        for old in after.iter().filter(|old| tag(old) > MASK) {
            next.push(old)?;
        }
        self.bytes = next;
        Ok(true)
    }
}

fn entry(tag: u16, rights: u16, id: u32) -> [u8; ENTRY] {
    let ([a, b], [c, d], [e, f, g, h]) = (tag.to_le_bytes(), rights.to_le_bytes(), id.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

fn tag([a, b, ..]: &[u8; ENTRY]) -> u16 {
    u16::from_le_bytes([*a, *b])
}

fn rights_of([_, _, c, d, ..]: &[u8; ENTRY]) -> u16 {
    u16::from_le_bytes([*c, *d])
}

fn id([.., e, f, g, h]: &[u8; ENTRY]) -> u32 {
    u32::from_le_bytes([*e, *f, *g, *h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> List {
        let mut bytes = Text::new();
        bytes.push(&VERSION.to_le_bytes()).expect("there is room");
        for (tag, rights, id) in entries {
            bytes.push(&entry(*tag, *rights, *id)).expect("there is room");
        }
        List { bytes }
    }

    fn shown(list: &List) -> Vec<(u16, u16, u32)> {
        list.entries().iter().map(|entry| (tag(entry), rights_of(entry), id(entry))).collect()
    }

    #[test]
    fn users_come_after_the_owner_and_the_mask_lets_the_group_keep_its_rights() {
        let mut list = list(&[(OWNER, 7, NOBODY), (GROUP, 5, NOBODY), (OTHER, 0, NOBODY)]);
        assert_eq!(list.add(&[33, 7], SEARCH), Ok(true));
        let first = [(OWNER, 7, NOBODY), (USER, 1, 33), (USER, 1, 7)];
        let rest = [(GROUP, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY)];
        assert_eq!(shown(&list), [&first[..], &rest].concat());
        assert_eq!(list.add(&[7, 33], SEARCH), Ok(false));
        assert_eq!(list.add(&[33, 9], SEARCH), Ok(true));
        assert!(list.has_user(9) && shown(&list).len() == 7);
    }

    #[test]
    fn more_users_than_a_block_holds_are_refused() {
        let mut list = list(&[(OWNER, 7, NOBODY), (GROUP, 5, NOBODY), (OTHER, 0, NOBODY)]);
        let many: Vec<u32> = (1..500).collect();
        assert_eq!(list.add(&many, SEARCH), Err(Errno::ENOSPC));
        assert_eq!(shown(&list).len(), 3);
    }
}
