//! The book of owners, which all instances of a user share: an instance's
//! directory leads to it, layers of images bring theirs into it, and a commit
//! reads it.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use elements::instance::BOOK;
use elements::shared::owners::{Bare, Book, Record};
use image::header::Kind;
use image::kept::Kept;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use view::View;

use crate::output::say;
use crate::{room, state};

fn path() -> Result<PathBuf> {
    Ok(state::dir()?.join(BOOK))
}

/// Has an instance's directory lead to the book, which is made where it is missing.
///
/// # Errors
///
/// What the file system says.
pub fn lead_to_book(dir: &Path) -> Result<()> {
    let book = path()?;
    let made = || -> std::io::Result<()> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&book)?;
        if file.metadata()?.len() < Book::LEN as u64 {
            file.set_len(Book::LEN as u64)?;
            room::reserve(&file, 0..Book::LEN)?;
        }
        match symlink(&book, dir.join(BOOK)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    };
    made().with_context(|| format!("cannot use the book of owners {}", book.display()))
}

/// The book, for as long as this process runs; none where nobody has written one.
fn open() -> Option<&'static Book> {
    static OPENED: OnceLock<Option<&'static Book>> = OnceLock::new();
    *OPENED.get_or_init(|| {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let file = OpenOptions::new().read(true).write(true).open(path().ok()?).ok()?;
        if file.metadata().ok()?.len() < Book::LEN as u64 {
            return None;
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping of a whole book, which holds atomics, for which any bytes will
        // do. It is never taken away.
        unsafe { mmap(std::ptr::null_mut(), Book::LEN, rights, MapFlags::SHARED, &file, 0) }
            .ok()
            .map(|at| unsafe { &*at.cast::<Book>() })
    })
}

/// What the book says of a file: as a commit asks for it.
pub fn kept(inode: u64, made: (i64, u32)) -> Option<Kept> {
    let record = open()?.get(&Bare { inode, made })?;
    let kind = match record.device {
        libc::S_IFCHR => Kind::Character,
        libc::S_IFBLK => Kind::Block,
        _ => Kind::File,
    };
    let number = u64::from(record.number);
    let device = (libc::major(number), libc::minor(number));
    Some(Kept { uid: record.uid, gid: record.gid, mode: record.mode, kind, device })
}

/// Writes into the book what layers of images say of links and FIFOs, unless that has been done.
///
/// # Errors
///
/// A file of a layer's that cannot be read, or is malformed.
pub fn take_in_layers(view: &View<'_>) -> Result<()> {
    let Some(book) = open() else { return Ok(()) };
    for mount in view.mounts() {
        for number in 0..view.layer_count(mount.id) {
            let tree = Path::new(OsStr::from_bytes(view.layer(mount.id, number)));
            let file = tree.with_file_name("owners");
            if tree.file_name().is_some_and(|name| name == "tree") && file.is_file() {
                take_in(book, tree, &file).with_context(|| file.display().to_string())?;
            }
        }
    }
    Ok(())
}

fn take_in(book: &Book, tree: &Path, file: &Path) -> Result<()> {
    let bytes = fs::read(file)?;
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let first = fields.first().and_then(|first| bare(&tree.join(OsStr::from_bytes(first))));
    if first.is_some_and(|first| book.get(&first).is_some()) {
        return Ok(());
    }
    // A layer never changes: where its first record is known, which is written last, all are.
    for fields in fields.chunks_exact(3).rev() {
        let Some(bare) = bare(&tree.join(OsStr::from_bytes(fields[0]))) else { continue };
        let Kept { uid, gid, mode, .. } = Kept::parse(fields[1])?;
        let record = Record { uid, gid, mode, device: 0, number: 0 };
        book.expect(bare.inode);
        if !book.set(&bare, &record) {
            say!(
                "launcher: the book of owners is full: links of {} are shown as the starter's",
                tree.display()
            );
            return Ok(());
        }
    }
    Ok(())
}

/// What a file is known by; none where it is not there.
fn bare(path: &Path) -> Option<Bare> {
    let wanted = StatxFlags::BTIME | StatxFlags::INO;
    let about = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
    let is_known = StatxFlags::from_bits_retain(about.stx_mask).contains(StatxFlags::BTIME);
    let made = if is_known { (about.stx_btime.tv_sec, about.stx_btime.tv_nsec) } else { (0, 0) };
    Some(Bare { inode: about.stx_ino, made })
}
