//! By which inode a copy is known: by that of what it is a copy of.
//!
//! A file that is first written to gets a copy in the write layer, which has another inode. Programs tell
//! files apart by that number, so the program is told the first one for as long as the copy lives, as
//! overlayfs does it. The copy says in an attribute what it is a copy of; what is kept
//! beside that ([`crate::shared::copies`]) sees to it that only copies are asked.
//!
//! Of a layer's file with several names each name gets a copy of its own. Those are different files, and
//! have their own inodes.

use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::super::owners::{Reached, bare, by_number, carries, open_place};
use super::super::place::{Place, Scratch};
use super::super::present::About;
use super::Union;
use super::copy_up::Copy;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::copies::{Identity, Record};
use crate::shared::notices::Notices;
use crate::shared::owners::Version;
use crate::{Errno, Instance};

/// Of which file below this one is a copy: the device and the inode by which the program knows that one, and
/// the copy's own inode, or 0 where it is not known by that. The kernel's own
/// attribute for this holds a handle, which takes privileges to be of use.
pub(super) const ORIGIN: &CStr = c"user.launcher.origin";

/// The file in an instance's directory that tells which inodes are copies'.
pub const COPIES: &str = "copies";

/// The kernel's number of the copy that a program knows under another.
type Value = [u8; 24];

const EMPTY: *const u8 = c"".as_ptr().cast();

fn value(of: Identity, own: u64) -> Value {
    let mut bytes = [0; 24];
    for (to, word) in bytes.chunks_exact_mut(8).zip([of.device, of.inode, own]) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn parse(bytes: &Value) -> (Identity, u64) {
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let mut next = || words.next().unwrap_or(0);
    (Identity { device: next(), inode: next() }, next())
}

/// What the attribute of what lies at a host path says.
pub(super) fn origin_at(path: *const u8) -> Option<Identity> {
    let mut bytes = [0; 24];
    (kernel::lgetxattr(path, ORIGIN, &mut bytes) == Ok(bytes.len())).then(|| parse(&bytes).0)
}

/// The record, once it has been mapped.
#[unsafe(link_section = ".bss.soon")]
static MAPPED: AtomicPtr<Record> = AtomicPtr::new(core::ptr::null_mut());

const PAGE: usize = 4096;
const BITS: usize = u64::BITS as usize;
/// Which of its pages are known to have room on the disk, a bit for each. It is a file with holes.
#[unsafe(link_section = ".bss.soon")]
static ROOM: [AtomicU64; Record::LEN.div_ceil(PAGE * BITS)] =
    [const { AtomicU64::new(0) }; Record::LEN.div_ceil(PAGE * BITS)];

/// Whether the record can be written to at a place.
fn has_room(record: &Record, at: usize) -> bool {
    let page = at / PAGE;
    let (word, bit) = (&ROOM[page / BITS], 1 << (page % BITS));
    if word.load(Ordering::Relaxed) & bit != 0 {
        return true;
    }
    let has_room = kernel::reserve(&raw const *record as usize + page * PAGE, PAGE).is_ok();
    if has_room {
        word.fetch_or(bit, Ordering::Relaxed);
    }
    has_room
}

impl Union<'_> {
    /// Writes down what a copy is a copy of, before it gets its name. `stat` is what the kernel
    /// says of that, and `known_by` what the program knows it by.
    pub(super) fn keep_origin(
        &self,
        copy: &mut Copy<'_>,
        stat: &libc::stat,
        known_by: Identity,
    ) -> Result<(), Errno> {
        let own = copy.stat()?;
        let kind = stat.st_mode & libc::S_IFMT;
        let is_one = kind == libc::S_IFDIR || stat.st_nlink == 1;
        let value = value(known_by, if is_one { own.st_ino } else { 0 });
        let is_written = carries(kind) && copy.try_attribute(ORIGIN.as_ptr().cast(), &value)?;
        if !is_one {
            return Ok(());
        }
        let record = self.instance.record_of_copies();
        if let (Some(record), false) = (record, is_written) {
            let opened;
            let file = match copy {
                Copy::File(file) => *file,
                Copy::Path(path) => {
                    opened = open_place(AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
                    opened.0
                }
            };
            if let Some(bare) = bare(file).filter(|bare| bare.made.0 != 0)
                && Record::rows_at(&bare).all(|at| has_room(record, at))
            {
                record.set(&bare, known_by);
            }
        }
        if let Some(record) = record {
            if !Record::expected_at(own.st_ino).iter().all(|at| has_room(record, *at)) {
                return Err(Errno::ENOSPC);
            }
            record.expect(own.st_ino);
        }
        match (self.shared(), self.directories()) {
            (Some(shared), _) => shared.copies.expect(own.st_ino),
            (None, Some(directories)) => {
                let notices = directories.notices();
                for at in Notices::expected_at(own.st_ino) {
                    kernel::reserve((&raw const *notices as usize + at) & !(PAGE - 1), PAGE)?;
                }
                notices.expect_copy(own.st_ino);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Whether a directory's entry may be a copy.
    pub(super) fn may_be_copy(&self, inode: u64) -> bool {
        self.instance.may_be_copy(inode)
    }
}

impl Instance<'_> {
    /// Whether there may be any copies.
    #[inline]
    pub(crate) fn has_copies(&self) -> bool {
        self.told.is_some_and(|told| told.copies.any())
            || self.directories.is_some_and(|directories| directories.notices().has_copies())
    }

    /// Whether a file may be a copy.
    #[inline]
    fn may_be_copy(&self, inode: u64) -> bool {
        self.told.is_some_and(|told| told.copies.may_have(inode))
            || self.directories.is_some_and(|directories| directories.notices().may_be_copy(inode))
    }

    /// What a copy is known by; none where a file is known by its own inode.
    #[inline]
    pub(in crate::files) fn known_by(&self, version: &Version, reached: Reached) -> Option<Identity> {
        if !self.may_be_copy(version.inode) {
            return None;
        }
        let copies = self.copies.or(self.told.map(|told| &told.copies))?;
        copies.get(version).unwrap_or_else(|| self.find_copied(version, reached))
    }

    #[cold]
    #[inline(never)]
    fn find_copied(&self, version: &Version, reached: Reached) -> Option<Identity> {
        self.with_reached(reached, |file| {
            let stat = kernel::fstatat(file, EMPTY, libc::AT_EMPTY_PATH).ok()?;
            if About::of(&stat).version != *version {
                return None;
            }
            let of = self.origin_of(file, &stat);
            if let Some(copies) = self.copies {
                copies.set(version, of);
            }
            of
        })
    }

    fn origin_of(&self, file: i32, stat: &libc::stat) -> Option<Identity> {
        let mut bytes = [0; 24];
        let mut path = by_number(file).ok()?;
        let said = carries(stat.st_mode & libc::S_IFMT)
            && kernel::getxattr(path.as_ptr(), ORIGIN, &mut bytes) == Ok(bytes.len());
        let of = if said {
            // What has been copied with all its attributes is another file.
            let (of, own) = parse(&bytes);
            (own == stat.st_ino).then_some(of)?
        } else {
            let (record, bare) = (self.record_of_copies()?, bare(file)?);
            Record::rows_at(&bare).all(|at| has_room(record, at)).then(|| record.get(&bare))??
        };
        // A file system may have another number since the machine was started.
        (of.device == stat.st_dev || self.has_layer_on(of.device)).then_some(of)
    }

    fn has_layer_on(&self, device: u64) -> bool {
        let unions = self.view.mounts().filter_map(|mount| self.union(mount.id));
        let mut layers = unions.flat_map(|union| (0..union.count).map(move |number| union.layer(number)));
        layers.any(|layer| {
            let mut path = Scratch::new();
            path.push(layer).is_ok()
                && kernel::fstatat(AT_FDCWD, path.as_ptr(), 0).is_ok_and(|stat| stat.st_dev == device)
        })
    }

    /// What is kept of the instance's copies.
    fn record_of_copies(&self) -> Option<&'static Record> {
        let mut mapped = MAPPED.load(Ordering::Acquire);
        if mapped.is_null() {
            // Another user's process has no part in it.
            self.shared?;
            let fresh = self.map_kept(COPIES, Record::LEN).ok()? as *mut Record;
            let first = core::ptr::null_mut();
            mapped = match MAPPED.compare_exchange(first, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => fresh,
                Err(other) => {
                    // SAFETY: mapped just now, and known to nobody.
                    unsafe { kernel::unmap(fresh as usize, Record::LEN) };
                    other
                }
            };
        }
        // SAFETY: a mapping as long as a record, never taken away, that holds atomics, for which
        // any bytes will do.
        Some(unsafe { &*mapped })
    }

    /// Finds out what a directory's other side is known by, of which a descriptor does not tell.
    pub(in crate::files) fn learn_origin(&self, version: &Version, place: &Place) {
        if self.has_copies() {
            let _ =
                self.known_by(version, Reached::Place(place.dirfd, place.path, libc::AT_SYMLINK_NOFOLLOW));
        }
    }

    /// Tells the program of a file by what it is known by.
    pub(in crate::files) fn show_origin(&self, stat: *mut libc::stat, reached: Reached) {
        if !self.has_copies() {
            return;
        }
        // SAFETY: a call that succeeds has filled the struct.
        let stat = unsafe { &mut *stat };
        if let Some(of) = self.known_by(&About::of(stat).version, reached) {
            (stat.st_dev, stat.st_ino) = (of.device, of.inode);
        }
    }

    /// The same of statx(2).
    pub(in crate::files) fn show_extended_origin(&self, stat: *mut libc::statx, reached: Reached) {
        if !self.has_copies() {
            return;
        }
        // SAFETY: a call that succeeds has filled the struct.
        let stat = unsafe { &mut *stat };
        if let Some(of) = self.known_by(&About::of_statx(stat).version, reached) {
            stat.stx_ino = of.inode;
            (stat.stx_dev_major, stat.stx_dev_minor) = (libc::major(of.device), libc::minor(of.device));
        }
    }
}
